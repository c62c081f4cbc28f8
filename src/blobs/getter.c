#include "blobs/getter.h"

#include <stdlib.h>

#define BUFFER 262144  // bytes read at once
#define STALL_MS 30000
#define SEQUENCE_MAX 33554432  // bytes; as the original's program

void iroh_get_options_default(iroh_get_options *o) {
    *o =
        (iroh_get_options){.stall_ms = STALL_MS, .cancel_fd = -1, .max_size = UINT64_MAX, .max_sequence = SEQUENCE_MAX};
}

int getter_init(getter *g, iroh_connection *c, iroh_store *s, const iroh_get_options *o) {
    static const iroh_get_options standard = {
        .stall_ms = STALL_MS, .cancel_fd = -1, .max_size = UINT64_MAX, .max_sequence = SEQUENCE_MAX};
    *g = (getter){.connection = c, .store = s, .options = o != NULL ? o : &standard};
    if (c == NULL || s == NULL)
        return IROH_ERR_ARG;
    g->buffer = malloc(BUFFER);
    return g->buffer != NULL ? 0 : IROH_ERR_NOMEM;
}

void getter_dispose(getter *g) {
    free(g->buffer);
    g->buffer = NULL;
}

int getter_refusal(uint64_t code) {
    if (code == PROTO_PERMISSION)
        return IROH_ERR_ACCESS;
    if (code == PROTO_LIMIT)
        return IROH_ERR_LIMIT;
    return code == PROTO_INTERNAL ? IROH_ERR_NOT_FOUND : IROH_ERR_RESET;
}

int getter_explain(iroh_connection *c, iroh_stream *s, int error) {
    uint64_t code;
    iroh_close_info info;
    if (error == IROH_ERR_RESET && iroh_stream_reset_code(s, &code) == 0)
        return getter_refusal(code);
    if (error == IROH_ERR_PEER_CLOSED && iroh_connection_close_info(c, &info) == 0 && info.application &&
        (info.code == PROTO_PERMISSION || info.code == PROTO_LIMIT))
        return getter_refusal(info.code);
    return error;
}

int getter_open(getter *g, const proto_request *request, iroh_stream **out) {
    size_t size = proto_request_size(request);
    *out = NULL;
    if (size > PROTO_MESSAGE_MAX)
        return IROH_ERR_TOO_LARGE;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(bytes, size);
    proto_request_write(&w, request);
    iroh_stream *s = NULL;
    int r = iroh_connection_open_bi(g->connection, g->options->stall_ms, &s);
    if (r == 0)
        r = iroh_stream_write_all(s, bytes, size, g->options->stall_ms, NULL);
    free(bytes);
    // A provider that refuses may stop reading before it says why.
    if (r == IROH_ERR_STOPPED)
        r = 0;
    else if (r == 0 && request->type != PROTO_PUSH)
        r = iroh_stream_finish(s);
    if (r != 0) {
        r = getter_explain(g->connection, s, r);
        iroh_stream_free(s);
        return r;
    }
    *out = s;
    return 0;
}

static int wait_for_more(const getter *g, iroh_stream *s) {
    iroh_pollitem items[2] = {{.stream = s, .fd = -1, .events = IROH_POLL_READ},
                              {.fd = g->options->cancel_fd, .events = IROH_POLL_READ}};
    int r = iroh_poll(items, 2, g->options->stall_ms);
    if (r == 0)
        return IROH_ERR_TIMEOUT;
    if (r > 0 && items[1].revents != 0)
        return IROH_ERR_CLOSED;
    return r < 0 ? r : 0;
}

static int64_t read_some(const getter *g, iroh_stream *s) {
    if (g->options->cancel_fd < 0)
        return iroh_stream_read(s, g->buffer, BUFFER, g->options->stall_ms);
    for (;;) {
        int64_t n = iroh_stream_read(s, g->buffer, BUFFER, 0);
        if (n != IROH_ERR_AGAIN)
            return n;
        int r = wait_for_more(g, s);
        if (r != 0)
            return r;
    }
}

static void report(getter *g, const incoming *in, const iroh_get_progress *before) {
    const incoming_state *state = incoming_get(in);
    g->progress.bytes = before->bytes + state->bytes;
    g->progress.blobs = before->blobs + state->blobs;
    g->progress.index = state->index;
    g->progress.size = state->size;
    if (g->options->progress != NULL)
        g->options->progress(g->options->user, &g->progress);
}

static int receive(getter *g, iroh_stream *s, incoming *in) {
    iroh_get_progress before = g->progress;
    for (;;) {
        size_t used;
        int64_t n = read_some(g, s);
        if (n < 0)
            return getter_explain(g->connection, s, (int)n);
        if (n == 0)
            return incoming_end(in);
        int r = incoming_take(in, g->buffer, (size_t)n, &used);
        report(g, in, &before);
        // What comes after the end of the answer is of no interest.
        if (r != 0)
            return r == 1 ? 0 : r;
    }
}

int getter_run(getter *g, const proto_request *request, const incoming_limits *limits) {
    incoming *in;
    iroh_stream *s;
    int r = incoming_new(g->store, request, limits, &in);
    if (r != 0)
        return r;
    r = getter_open(g, request, &s);
    if (r == 0) {
        r = receive(g, s, in);
        iroh_stream_free(s);
    }
    incoming_free(in);
    return r;
}
