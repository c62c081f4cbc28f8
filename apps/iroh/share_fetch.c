// Fetching with what people want to see meanwhile: files and bytes done of all, the rate, and the time that is left.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "share.h"

#define CONNECT_MS 30000
#define TRIES 3         // connections in a row that bring nothing new
#define SIZES_MAX 64    // files whose sizes are asked for first
#define LARGE 4210688u  // bytes; above it the store tells of a blob in part only by and by
#define SHORT_ID 10     // digits of an id
#define SEEN_MAX 16     // blobs on their way at once, of which that is remembered
#define SYNC_EVERY_NS UINT64_C(100000000)

// A blob on its way.
typedef struct seen_blob {
    uint64_t number;  // its index, and one; 0: none
    uint64_t before;  // bytes that had come when it was first seen
    bool told;        // the store was asked to remember it
} seen_blob;

typedef struct fetch {
    const cli_options *options;
    share_line *line;
    share_total *total;
    iroh_store *store;
    const iroh_content *content;
    iroh_addr *const *from;
    size_t from_count;
    iroh_get_progress latest;  // of this attempt
    seen_blob seen[SEEN_MAX];  // the latest ones
    size_t seen_next;
    uint64_t synced;  // ns
} fetch;

// --- Showing

// Of a collection: from one side they come in their order, from several they are counted.
static uint64_t files_done(const fetch *f, const iroh_get_progress *p) {
    if (f->from_count > 1)
        return p->blobs > 2 ? p->blobs - 2 : 0;
    return p->index > 1 ? p->index - 1 : 0;
}

static uint64_t size_of_all(const iroh_get_progress *p) {
    return p->total == 0 && p->count == 1 ? p->size : p->total;
}

static void show(fetch *f, const iroh_get_progress *p) {
    char done[SHARE_SIZE_MAX], all[SHARE_SIZE_MAX], rate[SHARE_SIZE_MAX], left[SHARE_TIME_MAX], files[64] = "";
    uint64_t ms = (cli_now_ns() - f->line->begun) / 1000000 + 1;
    uint64_t fetched = f->total->fetched + p->bytes, so_far = p->have + p->bytes, size = size_of_all(p);
    uint64_t per_second = fetched * 1000 / ms;
    if (p->count > 2)
        (void)snprintf(files, sizeof files, "%" PRIu64 "/%" PRIu64 " files  ", files_done(f, p), p->count - 2);
    if (size > so_far && per_second > 0)
        share_line_show(f->line, false, "%s%s of %s  %s/s  %s left", files, share_size(so_far, done),
                        share_size(size, all), share_size(per_second, rate),
                        share_time((size - so_far) / per_second, left));
    else
        share_line_show(f->line, false, "%s%s  %s/s", files, share_size(so_far, done), share_size(per_second, rate));
}

static seen_blob *see(fetch *f, const iroh_get_progress *p) {
    for (size_t i = 0; i < SEEN_MAX; i++) {
        if (f->seen[i].number == p->index + 1)
            return &f->seen[i];
    }
    seen_blob *s = &f->seen[f->seen_next++ % SEEN_MAX];
    *s = (seen_blob){.number = p->index + 1, .before = p->bytes};
    return s;
}

static void on_progress(void *user, const iroh_get_progress *p) {
    fetch *f = user;
    f->latest = *p;
    show(f, p);
    seen_blob *s = see(f, p);
    uint64_t now = cli_now_ns();
    if (!s->told && p->size > LARGE && p->bytes > s->before && now - f->synced >= SYNC_EVERY_NS) {
        // What the store knows of a large blob by now would else be lost if this process were killed within half a
        // second.
        s->told = true;
        f->synced = now;
        (void)iroh_store_sync(f->store);
    }
}

// --- Fetching

// Errors of a connection after which another one may do better. Who does not even answer has had time enough.
static bool may_try_again(const fetch *f, int error, bool connected) {
    if (!connected || f->from_count > 1)
        return false;
    return error == IROH_ERR_TIMEOUT || error == IROH_ERR_IDLE || error == IROH_ERR_TRANSPORT ||
           error == IROH_ERR_STATELESS || error == IROH_ERR_UNREACHABLE;
}

static void set_options(fetch *f, iroh_get_options *o, iroh_temp_tag **temp_tag) {
    iroh_get_options_default(o);
    o->cancel_fd = f->line->signals;
    o->progress = on_progress;
    o->user = f;
    o->sizes_of = f->line->shown ? SIZES_MAX + 1 : 0;  // and the names
    o->temp_tag = temp_tag;
    o->tag = f->options->tag;
    o->tag_len = f->options->tag != NULL ? strlen(f->options->tag) : 0;
    f->latest = (iroh_get_progress){0};
    memset(f->seen, 0, sizeof f->seen);
}

static const char *meaning(int error, bool connected) {
    if (!connected)
        return iroh_strerror(error);
    if (error == IROH_ERR_NOT_FOUND || error == IROH_ERR_FINISHED)
        return "the other side has not got all of it";
    if (error == IROH_ERR_ACCESS)
        return "the other side does not permit it, or the disk does not";
    if (error == IROH_ERR_PROTOCOL)
        return "the other side sends wrong data";
    if (error == IROH_ERR_TOO_LARGE)
        return "the other side claims an absurd size";
    return error == IROH_ERR_TIMEOUT ? "the other side is silent" : iroh_strerror(error);
}

// What each of several gave, and what was wrong with it.
static void tell_sources(const fetch *f, const iroh_download *d) {
    iroh_download_source v;
    char id[IROH_KEY_HEX_SIZE], size[SHARE_SIZE_MAX];
    share_line_clear(f->line);
    for (size_t i = 0; iroh_download_source_get(d, i, &v) == 0; i++) {
        iroh_public_key_to_hex(&v.id, id);
        cli_note("%.*s  %s%s%s", SHORT_ID, id, share_size(v.bytes, size), v.error != 0 ? "  " : "",
                 v.error != 0 ? meaning(v.error, true) : "");
    }
}

static int run_download(fetch *f, iroh_downloader *d, iroh_temp_tag **temp_tag) {
    iroh_download *download;
    iroh_get_options options;
    set_options(f, &options, temp_tag);
    int r = iroh_download_new(d, f->content, &download);
    for (size_t i = 0; i < f->from_count && r == 0; i++)
        r = iroh_download_add(download, f->from[i]);
    if (r == 0) {
        r = iroh_download_run(download, 0, &options);
        tell_sources(f, download);
    }
    iroh_download_free(download);
    return r;
}

// From several at once, which it tries again itself.
static int fetch_from_many(fetch *f, iroh_endpoint *ep, iroh_temp_tag **temp_tag) {
    iroh_downloader *d;
    iroh_downloader_options o;
    iroh_downloader_options_default(&o);
    o.connect_ms = CONNECT_MS;
    o.tries = TRIES;
    int r = iroh_downloader_new(ep, f->store, &o, &d);
    if (r == 0)
        r = run_download(f, d, temp_tag);
    iroh_downloader_free(d);
    return r;
}

static int fetch_once(fetch *f, iroh_endpoint *ep, iroh_temp_tag **temp_tag, bool *connected) {
    iroh_connection *c;
    iroh_get_options options;
    if (f->from_count > 1)
        return fetch_from_many(f, ep, temp_tag);
    set_options(f, &options, temp_tag);
    int r = iroh_endpoint_connect(ep, f->from[0], IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, CONNECT_MS, &c);
    *connected = r == 0;
    if (r != 0)
        return r;
    if (f->line->shown && f->total->fetched == 0)
        f->line->begun = cli_now_ns();  // the rate is about what follows
    if (f->content->format == IROH_BLOB_HASH_SEQ)
        share_line_show(f->line, true, "asking for sizes");
    r = iroh_blobs_get(c, f->store, f->content, &options);
    iroh_connection_free(c);
    return r;
}

// In a collection, all but the names.
static uint64_t count_files(const fetch *f) {
    iroh_blob_status root;
    if (f->content->format == IROH_BLOB_RAW)
        return 1;
    if (iroh_store_status(f->store, &f->content->hash, &root) != 0 || root.size < sizeof f->content->hash)
        return 0;
    return root.size / sizeof f->content->hash - 1;
}

static int fetch_all(fetch *f, iroh_endpoint *ep, iroh_temp_tag **temp_tag) {
    bool connected = true;
    int r = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        r = fetch_once(f, ep, temp_tag, &connected);
        if (f->total->fetched == 0)
            f->total->there = f->latest.have;
        if (f->latest.bytes > 0)
            tries = 0;
        f->total->fetched += f->latest.bytes;
        if (!may_try_again(f, r, connected))
            break;
    }
    share_line_clear(f->line);
    if (r == 0) {
        f->total->files = count_files(f);
        return EXIT_OK;
    }
    if (share_interrupted(f->line))
        return EXIT_INTERRUPTED;
    cli_error("%s: %s", connected ? "cannot fetch" : "cannot connect", meaning(r, connected));
    return EXIT_FAILED;
}

// It is all there: what the options ask for is to keep it.
static int keep(const fetch *f, iroh_temp_tag **temp_tag) {
    const char *tag = f->options->tag;
    int r = 0;
    if (tag != NULL)
        r = iroh_tag_set(f->store, tag, strlen(tag), f->content);
    if (r == 0 && temp_tag != NULL)
        r = iroh_temp_tag_new(f->store, f->content, temp_tag);
    return r == 0 ? EXIT_OK : cli_failed("cannot keep it", r);
}

int share_fetch(const cli_options *o, share_line *line, iroh_addr *const *from, size_t from_count,
                const iroh_content *content, iroh_store *store, iroh_temp_tag **temp_tag, share_total *total) {
    fetch f = {.options = o,
               .line = line,
               .total = total,
               .store = store,
               .content = content,
               .from = from,
               .from_count = from_count};
    *total = (share_total){0};
    int r = iroh_content_is_complete(store, content);
    if (r == 1)
        return keep(&f, temp_tag);
    if (r < 0)
        return cli_failed("cannot read the store", r);
    iroh_endpoint *ep = cli_endpoint(o, NULL, 0, true);
    if (ep == NULL)
        return EXIT_FAILED;
    share_line_show(line, true, "connecting");
    int status = fetch_all(&f, ep, temp_tag);
    (void)iroh_endpoint_close(ep, SHARE_CLOSE_MS);
    iroh_endpoint_free(ep);
    return status;
}

void share_report(const share_line *line, const share_total *total) {
    char fetched[SHARE_SIZE_MAX], rate[SHARE_SIZE_MAX], there[SHARE_SIZE_MAX], files[64] = "";
    uint64_t ms = (cli_now_ns() - line->begun) / 1000000 + 1;
    if (total->files > 0)
        (void)snprintf(files, sizeof files, "%" PRIu64 " file%s, ", total->files, total->files > 1 ? "s" : "");
    cli_note("received %s%s of data fetched in %" PRIu64 ".%" PRIu64 " s, %s/s; %s were here before", files,
             share_size(total->fetched, fetched), ms / 1000, ms % 1000 / 100,
             share_size(total->fetched * 1000 / ms, rate), share_size(total->there, there));
}
