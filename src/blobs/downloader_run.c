// The loop of a download: what is wanted, whom to ask, and the one wait for all of it.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader.h"
#include "blobs/getter.h"
#include "blobs/missing.h"
#include "blobs/store_os.h"

#define FIRST_ITEMS 16
#define ASK_AGAIN_MS 1000  // after which those who lack something are asked again; then twice as long each time
#define ITEM_CANCEL 0      // the first items, which may have no descriptor
#define ITEM_WAKE 1

// What is wanted

// Of the blob or the sequence itself: 1 when nothing is missing.
static int want_root(download_run *run) {
    const iroh_hash *hash = &run->download->content.hash;
    iroh_blob_status status;
    ranges wanted = RANGES_INIT;
    bool complete;
    int r = iroh_store_status(run->store, hash, &status);
    if (r == 0)
        r = getter_wanted(run->options, &wanted);
    if (r == 0)
        r = missing_chunks(run->store, hash, &wanted, &run->progress.have, &complete);
    size_t count = ranges_count(&wanted);
    if (r == 0)
        r = plan_want_chunks(&run->plan, 0, &wanted, status.size);
    ranges_dispose(&wanted);
    return r == 0 ? count == 0 : r;
}

static int want_children(download_run *run) {
    run->children = true;
    return plan_want_blobs(&run->plan, 1, run->sequence.count + 1);
}

// The sequence is there.
static int open_sequence(download_run *run) {
    int r = hash_seq_open(&run->sequence, run->store, &run->download->content.hash);
    if (r != 0)
        return r;
    run->progress.count = run->sequence.count + 1;
    if (run->sequence.count <= run->options->sizes_of) {
        r = sizes_begin(run);
        run->sizes.wanted = r == 0;
        if (r != 1)
            return r;
    }
    return want_children(run);
}

// When the plan is done: 1 when the download is too.
static int go_on(download_run *run) {
    if (run->children)
        return 1;
    uint64_t had = run->progress.have;
    int r = want_root(run);
    run->progress.have = had;
    if (r != 1)
        return r < 0 ? r : IROH_ERR_INTERNAL;  // what was given as complete is not
    return run->download->content.format == IROH_BLOB_RAW ? 1 : open_sequence(run);
}

// Providers

static int make_room(iroh_download *d) {
    if (d->count < d->room)
        return 0;
    size_t room = d->room > 0 ? 2 * d->room : 4;
    source **sources = realloc(d->sources, room * sizeof(source *));
    if (sources == NULL)
        return IROH_ERR_NOMEM;
    d->sources = sources;
    d->room = room;
    return 0;
}

static source *find(const iroh_download *d, const iroh_addr *a) {
    iroh_public_key id = iroh_addr_id(a);
    for (size_t i = 0; i < d->count; i++) {
        if (iroh_public_key_compare(&d->sources[i]->told.id, &id) == 0)
            return d->sources[i];
    }
    return NULL;
}

static int adopt_one(iroh_download *d, const iroh_addr *a) {
    source *v = find(d, a);
    if (v != NULL)
        return source_learn(v, a);
    int r = make_room(d);
    if (r == 0)
        r = source_new(a, &v);
    if (r != 0)
        return r;
    d->sources[d->count++] = v;
    return 0;
}

// Gives the plan those that it does not know yet; their numbers are their places in the list.
static int enlist(download_run *run) {
    const iroh_download *d = run->download;
    int r = 0;
    while (run->plan.count < d->count && r == 0) {
        source *v = d->sources[run->plan.count];
        v->item = SIZE_MAX;
        v->not_observable = v->told.given_up = v->asked = false;
        r = plan_provider_add(&run->plan, &v->number);
    }
    return r;
}

// The first of those that other threads have added; null: none.
static iroh_addr *first_added(iroh_download *d) {
    pthread_mutex_lock(&d->lock);
    iroh_addr *first = d->added_count > 0 ? d->added[0] : NULL;
    pthread_mutex_unlock(&d->lock);
    return first;
}

static void drop_first_added(iroh_download *d) {
    pthread_mutex_lock(&d->lock);
    iroh_addr_free(d->added[0]);
    d->added_count--;
    memmove(d->added, d->added + 1, d->added_count * sizeof(iroh_addr *));
    pthread_mutex_unlock(&d->lock);
}

// Takes what other threads have added. What there is no memory for stays where it is, for the next run.
static int adopt(download_run *run) {
    iroh_download *d = run->download;
    iroh_addr *a;
    char bytes[64];
    int r = 0;
    while (read(d->wake[0], bytes, sizeof bytes) > 0)
        continue;
    while (r == 0 && (a = first_added(d)) != NULL) {
        r = adopt_one(d, a);
        if (r == 0)
            drop_first_added(d);
    }
    return r == 0 ? enlist(run) : r;
}

// Waiting

static size_t put_item(download_run *run, iroh_pollitem item) {
    run->items[run->item_count] = item;
    return run->item_count++;
}

static void add_transfer(download_run *run, transfer *t) {
    iroh_pollitem item = {.stream = t->stream, .fd = -1, .events = t->events};
    if (t->stream == NULL)
        item.connection = t->source->connection;
    t->item = put_item(run, item);
}

static void add_source(download_run *run, source *v) {
    v->item = SIZE_MAX;
    if (run->plan.providers[v->number]->state == PLAN_DIALS)
        v->item = put_item(run, (iroh_pollitem){.connection = v->connection, .fd = -1, .events = IROH_POLL_CONNECTED});
    else if (v->observer != NULL && run->now >= v->news_due)
        v->item = put_item(
            run,
            (iroh_pollitem){.stream = iroh_remote_observer_stream(v->observer), .fd = -1, .events = IROH_POLL_READ});
    for (list_link *l = v->transfers.next; l != &v->transfers; l = l->next)
        add_transfer(run, list_entry(l, transfer, link));
}

static int make_items(download_run *run) {
    const iroh_download *d = run->download;
    size_t most = 2 + d->count * (1 + PLAN_SPANS) + 1;  // the last: for sizes
    if (most > run->item_room) {
        size_t room = most > FIRST_ITEMS ? 2 * most : FIRST_ITEMS;
        iroh_pollitem *items = realloc(run->items, room * sizeof *items);
        if (items == NULL)
            return IROH_ERR_NOMEM;
        run->items = items;
        run->item_room = room;
    }
    run->item_count = 0;
    int cancel = run->options->cancel_fd;
    // Without something to cancel it, the other descriptor stands in its place.
    (void)put_item(run, (iroh_pollitem){.fd = cancel >= 0 ? cancel : d->wake[0], .events = IROH_POLL_READ});
    (void)put_item(run, (iroh_pollitem){.fd = d->wake[0], .events = IROH_POLL_READ});
    for (size_t i = 0; i < d->count; i++)
        add_source(run, d->sources[i]);
    return 0;
}

static uint64_t stall_due(const download_run *run, const source *v) {
    uint64_t due = TIME_NEVER;
    for (const list_link *l = v->transfers.next; l != &v->transfers && run->options->stall_ms >= 0; l = l->next) {
        const transfer *t = list_entry(l, transfer, link);
        due = time_min(due, time_add(t->heard, (uint64_t)run->options->stall_ms * NS_PER_MS));
    }
    return due;
}

static int wait_ms(const download_run *run, uint64_t due) {
    for (size_t i = 0; i < run->download->count; i++) {
        const source *v = run->download->sources[i];
        if (run->plan.providers[v->number]->state == PLAN_DIALS)
            due = time_min(due, v->dial_due);
        if (v->observer != NULL && (v->more_news || run->now < v->news_due))
            due = time_min(due, time_max(v->news_due, run->now));
        due = time_min(due, stall_due(run, v));
    }
    if (due == TIME_NEVER)
        return -1;
    uint64_t ms = due > run->now ? (due - run->now + NS_PER_MS - 1) / NS_PER_MS : 0;
    return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static int wait_for_news(download_run *run, uint64_t due) {
    int r = make_items(run);
    if (r == 0)
        r = iroh_poll(run->items, run->item_count, wait_ms(run, due));
    run->now = store_os_now();
    if (r < 0)
        return r;
    if (run->options->cancel_fd >= 0 && run->items[ITEM_CANCEL].revents != 0)
        return IROH_ERR_CLOSED;
    return run->items[ITEM_WAKE].revents != 0 ? adopt(run) : 0;
}

// The loop

// Nobody can give what is missing: 0 to wait for somebody who can, until *due at most. Now and then all are asked again.
static int stuck(download_run *run, int error, int patience_ms, uint64_t *due) {
    if (run->stuck == TIME_NEVER || run->stuck_bytes != run->progress.bytes) {
        run->stuck = run->now;
        run->stuck_bytes = run->progress.bytes;
        run->ask_wait = ASK_AGAIN_MS * NS_PER_MS;
        run->ask_due = time_add(run->now, run->ask_wait);
    }
    uint64_t end = patience_ms < 0 ? TIME_NEVER : time_add(run->stuck, (uint64_t)patience_ms * NS_PER_MS);
    if (run->now >= end)
        return error;
    if (run->now >= run->ask_due) {
        plan_ask_again(&run->plan);
        run->ask_wait = time_min(2 * run->ask_wait, PLAN_BACKOFF_MAX_MS * NS_PER_MS);
        run->ask_due = time_add(run->now, run->ask_wait);
        *due = run->now;
    }
    *due = time_min(*due, time_min(end, run->ask_due));
    return 0;
}

// Before the children are wanted.
static int learn_sizes(download_run *run) {
    uint64_t due;
    int r = sizes_turn(run, &due);
    if (r == 0)
        return wait_for_news(run, due);
    run->sizes.wanted = false;
    return r == 1 ? want_children(run) : r;
}

// 1 when all is there.
static int turn(download_run *run, int patience_ms) {
    const iroh_download *d = run->download;
    uint64_t due;
    int r = 0;
    for (size_t i = 0; i < d->count && r == 0; i++)
        r = source_turn(run, d->sources[i]);
    if (r != 0)
        return r;
    if (run->sizes.wanted)
        return learn_sizes(run);
    r = plan_status(&run->plan, run->now, &due);
    if (r == 1)
        return go_on(run);
    if (r < 0 && r != IROH_ERR_NOMEM)
        r = stuck(run, r, patience_ms, &due);
    return r == 0 ? wait_for_news(run, due) : r;
}

static void leave(download_run *run) {
    const iroh_download *d = run->download;
    for (size_t i = 0; i < d->count; i++) {
        source *v = d->sources[i];
        while (!list_empty(&v->transfers))
            (void)transfer_drop(run, list_entry(v->transfers.next, transfer, link));
        v->told.given_up = i < run->plan.count && run->plan.providers[i]->state == PLAN_OUT;
        source_detach(run, v, false);
    }
}

static int begin(download_run *run) {
    int r = adopt(run);
    run->buffer = malloc(DOWNLOADER_BUFFER);
    return r == 0 && run->buffer == NULL ? IROH_ERR_NOMEM : r;
}

static int fetch(download_run *run, int patience_ms) {
    const iroh_content *content = &run->download->content;
    run->progress.count = 1;
    // What is there needs nobody.
    int r = content->format == IROH_BLOB_HASH_SEQ ? iroh_content_is_complete(run->store, content) : 0;
    if (r != 0)
        return r == 1 ? 0 : r;
    r = want_root(run);
    if (r == 1)
        r = content->format == IROH_BLOB_RAW ? 1 : open_sequence(run);
    if (r == 0)
        r = begin(run);
    while (r == 0)
        r = turn(run, patience_ms);
    if (r == 1 && run->buffer != NULL)  // something had to be fetched
        download_report(run);
    leave(run);
    return r == 1 ? 0 : r;
}

int download_fetch(iroh_download *d, int patience_ms, const iroh_get_options *o) {
    download_run run = {.download = d,
                        .store = d->owner->store,
                        .options = o,
                        .sequence = HASH_SEQ_INIT,
                        .sizes = {.until = TIME_NEVER},
                        .finished = RANGES_INIT,
                        .looked = RANGES_INIT,
                        .before = RANGES_INIT,
                        .stuck = TIME_NEVER,
                        .now = store_os_now()};
    plan_init(&run.plan, d->owner->options.tries);
    int r = fetch(&run, patience_ms);
    hash_seq_close(&run.sequence);
    plan_dispose(&run.plan);
    ranges_dispose(&run.finished);
    ranges_dispose(&run.looked);
    ranges_dispose(&run.before);
    free(run.items);
    free(run.buffer);
    return r;
}
