// Watching blobs: a call at every change, and on top of it a descriptor that is readable while there is news.
#define _GNU_SOURCE 1  // pipe2

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blobs/store_os.h"
#include "blobs/store_state.h"

struct iroh_observer {
    store_blob *blob;
    store_watch *watch;
    int pipe[2];              // a byte in it while there is news
    atomic_bool news;         // the byte is there, or on its way
    bool told;                // once
    iroh_blob_status status;  // as told
    ranges have;
};

int store_watch_new(store_blob *b, void (*wake)(void *user), void *user, store_watch **out) {
    store_watch *w = calloc(1, sizeof *w);
    *out = w;
    if (w == NULL)
        return IROH_ERR_NOMEM;
    *w = (store_watch){.blob = b, .wake = wake, .user = user};
    pthread_mutex_lock(&b->store->lock);
    b->refs++;
    pthread_mutex_unlock(&b->store->lock);
    pthread_mutex_lock(&b->lock);
    list_push_back(&b->watches, &w->link);
    pthread_mutex_unlock(&b->lock);
    return 0;
}

void store_watch_free(store_watch *w) {
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->blob->lock);
    list_remove(&w->link);
    pthread_mutex_unlock(&w->blob->lock);
    store_blob_close(w->blob);
    free(w);
}

static void wake(void *user) {
    iroh_observer *o = user;
    if (atomic_exchange(&o->news, true))
        return;
    ssize_t n;
    do
        n = write(o->pipe[1], "", 1);
    while (n < 0 && errno == EINTR);
}

static int open_pipe(iroh_observer *o) {
    if (pipe2(o->pipe, O_CLOEXEC | O_NONBLOCK) == 0)
        return 0;
    o->pipe[0] = o->pipe[1] = -1;
    return store_os_error(errno);
}

int iroh_observer_new(iroh_store *s, const iroh_hash *hash, iroh_observer **out) {
    if (s == NULL || hash == NULL || out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    iroh_observer *o = calloc(1, sizeof *o);
    if (o == NULL)
        return IROH_ERR_NOMEM;
    atomic_init(&o->news, false);
    int r = open_pipe(o);
    if (r == 0)
        r = store_blob_open(s, hash, &o->blob);
    if (r == 0)
        r = store_watch_new(o->blob, wake, o, &o->watch);
    if (r != 0) {
        iroh_observer_free(o);
        return r;
    }
    wake(o);
    *out = o;
    return 0;
}

void iroh_observer_free(iroh_observer *o) {
    if (o == NULL)
        return;
    store_watch_free(o->watch);
    store_blob_close(o->blob);
    for (int i = 0; i < 2; i++)
        if (o->pipe[i] >= 0)
            close(o->pipe[i]);
    ranges_dispose(&o->have);
    free(o);
}

int iroh_observer_fd(const iroh_observer *o) {
    return o->pipe[0];
}

// Takes the byte out. A change from now on puts another one in.
static void quiet(iroh_observer *o) {
    char byte;
    while (read(o->pipe[0], &byte, 1) < 0 && errno == EINTR)
        continue;
    atomic_store(&o->news, false);
}

static bool is_same(const iroh_observer *o, const iroh_blob_status *status, const ranges *have) {
    size_t count = ranges_count(have);
    return o->told && o->status.state == status->state && o->status.size == status->size &&
           o->status.size_proven == status->size_proven && ranges_count(&o->have) == count &&
           (count == 0 || memcmp(ranges_items(&o->have), ranges_items(have), count * sizeof(range)) == 0);
}

static size_t boundaries(const iroh_observer *o, uint64_t *out, size_t room) {
    uint64_t chunks = bao_chunks(o->status.size);
    bool empty_blob = o->status.state == IROH_BLOB_COMPLETE && o->status.size == 0;
    size_t count = 0, ranges_left = ranges_count(&o->have);
    if (empty_blob && room > 0)
        out[0] = 0;
    for (size_t i = 0; i < ranges_left; i++) {
        const range *r = &ranges_items(&o->have)[i];
        if (count < room)
            out[count] = r->start;
        count++;
        // The last chunk has no end: nobody needs to know the size to say that all is there.
        if (r->end >= chunks)
            break;
        if (count < room)
            out[count] = r->end;
        count++;
    }
    return empty_blob ? 1 : count;
}

int iroh_observer_next(iroh_observer *o, iroh_blob_status *status, uint64_t *out, size_t room, size_t *count) {
    if (o == NULL || status == NULL || (out == NULL && room > 0))
        return IROH_ERR_ARG;
    ranges have = RANGES_INIT;
    quiet(o);
    int r = store_blob_state(o->blob, status, &have);
    bool news = r == 0 && !is_same(o, status, &have);
    if (r != 0 || !news) {
        ranges_dispose(&have);
        if (r != 0)
            wake(o);  // what could not be told stays to be told
        return r;
    }
    ranges_dispose(&o->have);
    o->have = have;
    o->status = *status;
    o->told = true;
    size_t n = boundaries(o, out, room);
    if (count != NULL)
        *count = n;
    return 1;
}
