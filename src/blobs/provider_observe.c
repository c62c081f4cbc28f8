// Answering observe: the state, and then what changes.
#include <stdlib.h>
#include <string.h>

#include "blobs/provider.h"

#define COUNT_GUESS 16  // boundaries

// The current state into s->told: 1 when it is another than before.
static int look(provider_stream *s) {
    iroh_blob_status status;
    size_t count = 0;
    int r = proto_have_resize(&s->told, COUNT_GUESS);
    if (r != 0)
        return r;
    r = iroh_observer_next(s->observer, &status, s->told.at, s->told.room, &count);
    if (r != 1)
        return r;
    s->told.size = status.size;
    if (count <= s->told.room) {
        s->told.count = count;
        return 1;
    }
    // What did not fit is told only once; another look gets all of it. Should it have changed meanwhile, so much the better.
    iroh_observer *again;
    r = iroh_observer_new(s->connection->provider->store, (const iroh_hash *)(const void *)s->request.hashes, &again);
    if (r != 0)
        return r;
    iroh_observer_free(s->observer);
    s->observer = again;
    s->fd = iroh_observer_fd(again);
    r = proto_have_resize(&s->told, count * 2);
    return r == 0 ? look(s) : r;
}

static int put_item(provider_stream *s, const proto_have *item) {
    size_t size = proto_have_size(item);
    if (size > PROTO_MESSAGE_MAX)
        return IROH_ERR_TOO_LARGE;
    free(s->buffer);
    s->buffer = malloc(size);
    if (s->buffer == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(s->buffer, size);
    proto_have_write(&w, item);
    s->start = 0;
    s->end = size;
    return 0;
}

// The first item has all of it, later ones what differs.
static int tell_news(provider_stream *s) {
    proto_have difference = {0};
    int r = s->blobs == 0 ? put_item(s, &s->told) : proto_have_difference(&s->known, &s->told, &difference);
    if (r == 0 && s->blobs > 0)
        r = put_item(s, &difference);
    proto_have_dispose(&difference);
    proto_have known = s->known;
    s->known = s->told;
    s->told = known;
    s->blobs = 1;
    return r;
}

static int observe_some(provider_stream *s) {
    int r = provider_flush(s);
    while (r == 1 && (r = look(s)) == 1) {
        r = tell_news(s);
        if (r == 0)
            r = provider_flush(s);
    }
    uint64_t code;
    if (r == IROH_ERR_STOPPED || (r == 0 && iroh_stream_stop_code(s->handle, &code) == 0))
        return 1;
    // While there is nothing to send, what is waited for besides news is the other side's leaving.
    s->events = s->start < s->end ? IROH_POLL_WRITE : IROH_POLL_FINISHED;
    return r;
}

int provider_observe_start(provider_stream *s) {
    int r = iroh_observer_new(s->connection->provider->store, (const iroh_hash *)(const void *)s->request.hashes,
                              &s->observer);
    if (r != 0)
        return r;
    s->fd = iroh_observer_fd(s->observer);
    s->step = observe_some;
    return observe_some(s);
}
