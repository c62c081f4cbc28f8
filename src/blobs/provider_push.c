// Taking what is pushed.
#include "blobs/provider.h"

#define SEQUENCE_MAX 33554432  // bytes
#define ROUNDS 4               // buffers that are read before others are served

static int take(provider_stream *s, const uint8_t *bytes, size_t len) {
    size_t used;
    int r = incoming_take(s->in, bytes, len, &used);
    const incoming_state *state = incoming_get(s->in);
    s->bytes += used;
    int told = r == 0 ? provider_tell_blob(s, state->blobs + 1, state->index, &state->hash, state->size) : 0;
    return told < 0 ? told : r;
}

static int finish(provider_stream *s, int r) {
    int synced = iroh_store_sync(s->connection->provider->store);
    return r == 0 || r == 1 ? (synced == 0 ? 1 : synced) : r;
}

static int push_some(provider_stream *s) {
    uint8_t *input = s->connection->provider->input;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t n = iroh_stream_read(s->handle, input, PROVIDER_BUFFER, 0);
        if (n < 0)
            return n == IROH_ERR_AGAIN ? 0 : (int)n;
        int r = n == 0 ? incoming_end(s->in) : take(s, input, (size_t)n);
        if (r != 0 || n == 0)
            return finish(s, r);
    }
    return 0;
}

int provider_push_start(provider_stream *s) {
    iroh_provider *p = s->connection->provider;
    incoming_limits limits = {.root = SEQUENCE_MAX, .blob = p->config.max_push};
    int r = incoming_new(p->store, &s->request, &limits, &s->in);
    if (r == 0)
        r = iroh_stream_finish(s->handle);  // nothing is answered
    // Pushers of the original do not even want to hear that.
    if (r == 0 || r == IROH_ERR_STOPPED)
        r = take(s, s->body + s->data, s->len - s->data);
    if (r != 0)
        return finish(s, r);
    s->step = push_some;
    return push_some(s);
}
