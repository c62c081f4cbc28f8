// Answering get and get many.
#include <stdlib.h>

#include "blobs/provider.h"

#define LEND_MIN 131072  // bytes; fewer are copied, so that they do not hold a whole buffer

// Hands the buffer over, as iroh_stream_lend.
static int lend(provider_stream *s) {
    int r = iroh_stream_lend(s->handle, s->buffer, s->end, buffers_release, s->connection->provider->buffers, 0);
    if (r != 0)
        return r;
    s->bytes += s->end;
    s->buffer = NULL;
    s->start = s->end = 0;
    return 0;
}

int provider_flush(provider_stream *s) {
    if (s->lends && s->start == 0 && s->end >= LEND_MIN) {
        int r = lend(s);
        return r == IROH_ERR_AGAIN ? 0 : r == 0 ? 1 : r;
    }
    while (s->start < s->end) {
        int64_t n = iroh_stream_write(s->handle, s->buffer + s->start, s->end - s->start, 0);
        if (n == IROH_ERR_AGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        s->start += (size_t)n;
        s->bytes += (uint64_t)n;
    }
    s->start = s->end = 0;
    return 1;
}

static int tell(provider_stream *s) {
    const outgoing_state *state = outgoing_get(s->out);
    return state->blobs > 0 ? provider_tell_blob(s, state->blobs, state->index, &state->hash, state->size) : 0;
}

// One buffer at a time: others want to be served too.
static int send_some(provider_stream *s) {
    int r = provider_flush_in_time(s);
    if (r != 1)
        return r;
    if (s->last != 0)
        return s->last;
    if (s->buffer == NULL)
        s->buffer = buffers_take(s->connection->provider->buffers);
    if (s->buffer == NULL)
        return IROH_ERR_NOMEM;
    s->last = outgoing_write(s->out, s->buffer, PROVIDER_BUFFER, &s->end);
    r = tell(s);
    if (r > 0)
        provider_delay(s, r);
    if (r >= 0)
        r = provider_flush_in_time(s);
    return r == 1 ? s->last : r;
}

int provider_send_start(provider_stream *s) {
    s->lends = true;
    int r = outgoing_new(s->connection->provider->store, &s->request, &s->out);
    if (r != 0)
        return r;
    s->step = send_some;
    s->events = IROH_POLL_WRITE;
    return send_some(s);
}
