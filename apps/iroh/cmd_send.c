// iroh send: shares files and folders as a collection, as sendme does, until it is interrupted.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "share.h"

#define FOLDER_MAX 4096

typedef struct sender {
    share_line line;
    iroh_store *store;
    iroh_batch *batch;  // keeps everything
    iroh_collection *files;
    iroh_content content;
    uint64_t size;   // of all files, bytes
    uint64_t begun;  // of the file that is added: bytes of those before
    const char *name;
    int verbose;
} sender;

// --- Adding

static bool on_progress(void *user, const char *name, uint64_t done, uint64_t size) {
    sender *s = user;
    char text[SHARE_TEXT_MAX], so_far[SHARE_SIZE_MAX];
    if (done == 0 && s->verbose > 1)
        cli_note("%s", share_text(name, strlen(name), text));
    share_line_show(&s->line, false, "adding %zu: %s  %s", iroh_collection_count(s->files) + 1,
                    share_text(name, strlen(name), text), size > 0 ? share_size(done, so_far) : "");
    return !share_interrupted(&s->line);
}

static int failed(sender *s, const char *where, int error) {
    share_line_clear(&s->line);
    if (share_interrupted(&s->line))
        return EXIT_INTERRUPTED;
    char text[SHARE_TEXT_MAX];
    if (error == IROH_ERR_UTF8 || error == IROH_ERR_ARG)
        cli_error("%s: this name cannot be sent", share_text(where, strlen(where), text));
    else
        cli_error("cannot add %s: %s", where, iroh_strerror(error));
    return EXIT_FAILED;
}

static bool names_differ(const iroh_collection *c) {
    for (size_t i = 1; i < iroh_collection_count(c); i++) {
        size_t len, before_len;
        const char *name = iroh_collection_name(c, i, &len);
        const char *before = iroh_collection_name(c, i - 1, &before_len);
        char text[SHARE_TEXT_MAX];
        if (len != before_len || memcmp(name, before, len) != 0)
            continue;
        cli_error("two files would have the name %s", share_text(name, len, text));
        return false;
    }
    return true;
}

static int measure(sender *s) {
    for (size_t i = 0; i < iroh_collection_count(s->files); i++) {
        iroh_hash hash = iroh_collection_hash(s->files, i);
        iroh_blob_status status;
        int r = iroh_store_status(s->store, &hash, &status);
        if (r != 0)
            return cli_failed("cannot read the store", r);
        s->size += status.size;
    }
    return EXIT_OK;
}

static int add_all(sender *s, const cli_options *o) {
    char where[IROH_FOLDER_WHERE] = "";
    iroh_folder_options folder = {
        .mode = IROH_ADD_REFERENCE, .batch = s->batch, .progress = on_progress, .user = s, .where = where};
    for (size_t i = 0; i < o->arg_count; i++) {
        int r = iroh_collection_import(s->files, s->store, o->args[i], &folder);
        if (r != 0)
            return failed(s, where, r);
    }
    share_line_clear(&s->line);
    iroh_collection_sort(s->files);
    if (!names_differ(s->files))
        return EXIT_FAILED;
    iroh_add_options add = {.batch = s->batch};
    int r = iroh_collection_save(s->files, s->store, &add, &s->content.hash);
    s->content.format = IROH_BLOB_HASH_SEQ;
    return r == 0 ? measure(s) : cli_failed("cannot make the collection", r);
}

// --- Serving

static int on_event(void *user, const iroh_provider_event *e) {
    sender *s = user;
    char peer[IROH_KEY_HEX_SIZE], bytes[SHARE_SIZE_MAX];
    iroh_public_key_to_hex(&e->peer, peer);
    peer[10] = '\0';
    if (s->verbose > 0 && e->kind != IROH_PROVIDER_BLOB && e->kind != IROH_PROVIDER_PROGRESS) {
        static const char *const words[] = {"connected", "gone", "asks", "", "", "served", "failed"};
        cli_note("%s: %s %s", peer, words[e->kind], e->error != 0 ? iroh_strerror(e->error) : "");
    }
    if (e->kind == IROH_PROVIDER_BLOB || e->kind == IROH_PROVIDER_PROGRESS || e->kind == IROH_PROVIDER_DONE)
        share_line_show(&s->line, e->kind == IROH_PROVIDER_DONE, "%s: %llu/%zu  %s", peer, (unsigned long long)e->index,
                        iroh_collection_count(s->files) + 1, share_size(e->bytes, bytes));
    return 0;
}

typedef struct ticket_kind {
    const char *name;
    bool relay, ip;
} ticket_kind;

// As sendme calls them. A ticket of the id alone would need a look-up that there is not yet.
static const ticket_kind ticket_kinds[] = {
    {"relayandaddresses", true, true}, {"relay", true, false}, {"addresses", false, true}};

static const ticket_kind *find_kind(const char *name) {
    for (size_t i = 0; i < sizeof ticket_kinds / sizeof *ticket_kinds; i++) {
        if (name == NULL || strcasecmp(name, ticket_kinds[i].name) == 0)
            return &ticket_kinds[i];
    }
    cli_error("--ticket-type wants relay, addresses or relayandaddresses, not '%s'", name);
    return NULL;
}

// The part of an address that goes into the ticket.
static int reduce(const iroh_addr *all, const ticket_kind *kind, iroh_addr **out) {
    const iroh_public_key id = iroh_addr_id(all);
    char text[CLI_TICKET_MAX];
    int r = iroh_addr_new(&id, out);
    for (size_t i = 0; i < iroh_addr_count(all) && r == 0; i++) {
        int what = iroh_addr_kind(all, i);
        r = iroh_addr_text(all, i, text, sizeof text);
        if (r >= 0 && what == IROH_ADDR_RELAY && kind->relay)
            r = iroh_addr_add_relay(*out, text);
        else if (r >= 0 && what == IROH_ADDR_IP && kind->ip)
            r = iroh_addr_add_ip(*out, text);
        r = r > 0 ? 0 : r;
    }
    return r;
}

// 0 with the ticket, or an error; one without addresses is IROH_ERR_NOT_FOUND.
static int make_ticket(const sender *s, const char *all, const ticket_kind *kind, char out[static SHARE_TICKET_MAX]) {
    iroh_addr *addr, *part = NULL;
    int r = iroh_ticket_parse(all, &addr);
    if (r != 0)
        return r;
    r = reduce(addr, kind, &part);
    if (r == 0 && iroh_addr_count(part) == 0)
        r = IROH_ERR_NOT_FOUND;
    if (r == 0)
        r = iroh_blob_ticket_format(part, &s->content, out, SHARE_TICKET_MAX);
    iroh_addr_free(part);
    iroh_addr_free(addr);
    return r < 0 ? r : 0;
}

static bool announce(const sender *s, iroh_endpoint *ep, const cli_options *o) {
    char ticket[CLI_TICKET_MAX], text[SHARE_TICKET_MAX], size[SHARE_SIZE_MAX], hash[IROH_HASH_HEX_SIZE];
    const ticket_kind *kind = find_kind(o->ticket_type);
    if (kind == NULL || !cli_ticket(ep, o, ticket))
        return false;
    int r = make_ticket(s, ticket, kind, text);
    if (r == IROH_ERR_NOT_FOUND)
        cli_error("there is no address of the kind that --ticket-type wants");
    else if (r != 0)
        (void)cli_failed("cannot make a ticket", r);
    if (r != 0)
        return false;
    size_t count = iroh_collection_count(s->files);
    iroh_hash_to_hex(&s->content.hash, hash);
    cli_note("%zu file%s, %s, hash %s\nto get %s, use\niroh receive %s", count, count == 1 ? "" : "s",
             share_size(s->size, size), hash, count == 1 ? "it" : "them", text);
    printf("%s\n", text);
    return fflush(stdout) == 0 && (!o->qr || share_qr(text));
}

static int serve(sender *s, const cli_options *o) {
    static const iroh_slice alpn = {IROH_BLOBS_ALPN, sizeof IROH_BLOBS_ALPN - 1};
    iroh_provider_config config;
    iroh_provider *provider = NULL;
    iroh_provider_config_default(&config);
    config.event = on_event;
    config.user = s;
    iroh_endpoint *ep = cli_endpoint(o, &alpn, 1, true);
    if (ep == NULL)
        return EXIT_FAILED;
    int status = EXIT_FAILED, r = iroh_provider_new(s->store, &config, &provider);
    if (r != 0)
        (void)cli_failed("cannot serve", r);
    else if (announce(s, ep, o) && (r = iroh_provider_run(provider, ep, s->line.signals, IROH_WAIT_FOREVER)) == 0)
        status = EXIT_OK;
    share_line_clear(&s->line);
    if (r != 0)
        (void)cli_failed("cannot serve any more", r);
    iroh_provider_free(provider);
    (void)iroh_endpoint_close(ep, SHARE_CLOSE_MS);
    iroh_endpoint_free(ep);
    return status;
}

// --- The store, in a folder of its own

static bool make_folder(char out[static FOLDER_MAX]) {
    const char *tmp = getenv("TMPDIR");
    if (tmp == NULL || tmp[0] == '\0')
        tmp = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
    int n = snprintf(out, FOLDER_MAX, "%s/iroh-send-XXXXXX", tmp);
    if (n > 0 && n < FOLDER_MAX && mkdtemp(out) != NULL)
        return true;
    cli_error("cannot make a folder in %s: %s", tmp, strerror(errno));
    return false;
}

static int send_all(sender *s, const cli_options *o) {
    int r = iroh_batch_new(s->store, &s->batch);
    if (r == 0)
        r = iroh_collection_new(&s->files);
    if (r != 0)
        return cli_failed("cannot start", r);
    int status = add_all(s, o);
    return status == EXIT_OK ? serve(s, o) : status;
}

int cmd_send(const cli_options *o) {
    char folder[FOLDER_MAX];
    if (o->arg_count == 0) {
        cli_error("send wants the files or folders to send");
        return EXIT_USAGE;
    }
    if (find_kind(o->ticket_type) == NULL)
        return EXIT_USAGE;
    if (!make_folder(folder))
        return EXIT_FAILED;
    sender s = {.verbose = o->verbose};
    share_line_start(&s.line, o);
    s.store = share_store(folder);
    int status = s.store != NULL ? send_all(&s, o) : EXIT_FAILED;
    iroh_collection_free(s.files);
    iroh_batch_free(s.batch);
    iroh_store_free(s.store);
    share_remove_folder(folder);
    return status;
}
