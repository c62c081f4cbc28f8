// Pushing: the sending side of a transfer that the receiver did not ask for.
#include <stdlib.h>
#include <string.h>

#include "blobs/getter.h"
#include "blobs/outgoing.h"

#define BUFFER 262144  // bytes, as much as the getter's

// The code with which it was stopped; or, where that says nothing, with which the other side ended its own half. The
// original stops reading, without a code, where it has all that it was to get, and may do so before it has seen the end.
static int why_stopped(const getter *g, iroh_stream *s, bool all_sent) {
    uint64_t code = 0;
    uint8_t byte;
    if (iroh_stream_stop_code(s, &code) == 0 && code != 0)
        return code == PROTO_INTERNAL ? IROH_ERR_STOPPED : getter_refusal(code);
    int64_t n = iroh_stream_read(s, &byte, 1, g->options->stall_ms);
    if (n == 0 && all_sent)
        return 0;
    if (n == IROH_ERR_RESET && iroh_stream_reset_code(s, &code) == 0 && code != PROTO_INTERNAL)
        return getter_refusal(code);
    return IROH_ERR_STOPPED;
}

static int send_all(getter *g, iroh_stream *s, outgoing *out) {
    int r = 0, last = 0;
    while (r == 0 && last == 0) {
        size_t len;
        last = outgoing_write(out, g->buffer, BUFFER, &len);
        r = iroh_stream_write_all(s, g->buffer, len, g->options->stall_ms, NULL);
        g->progress.bytes += len;
        g->progress.blobs = outgoing_get(out)->blobs;
        if (g->options->progress != NULL)
            g->options->progress(g->options->user, &g->progress);
    }
    bool all_sent = r == 0;
    if (r == 0 && last < 0)
        return last;
    if (r == 0)
        r = iroh_stream_finish(s);
    if (r == 0)
        r = iroh_stream_wait_finished(s, g->options->stall_ms);
    return r == IROH_ERR_STOPPED ? why_stopped(g, s, all_sent) : r;
}

static int push(getter *g, const iroh_content *content) {
    ranges all = RANGES_INIT, none = RANGES_INIT;
    proto_builder b = PROTO_BUILDER_INIT;
    proto_request request = {.type = PROTO_PUSH, .hashes = content->hash.bytes, .count = 1};
    outgoing *out = NULL;
    iroh_stream *s = NULL;
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = proto_builder_add(&b, 0, &all);
    if (r == 0 && content->format == IROH_BLOB_RAW)
        r = proto_builder_add(&b, 1, &none);
    if (r == 0)
        r = proto_builder_seq(&b, &request.seq);
    if (r == 0)
        r = outgoing_new(g->store, &request, &out);
    if (r == 0)
        r = getter_open(g, &request, &s);
    if (r == 0)
        r = send_all(g, s, out);
    if (r != 0 && s != NULL)
        (void)iroh_stream_reset(s, PROTO_INTERNAL);
    iroh_stream_free(s);
    outgoing_free(out);
    proto_builder_dispose(&b);
    ranges_dispose(&all);
    return r;
}

int iroh_blobs_push(iroh_connection *c, iroh_store *s, const iroh_content *content, const iroh_get_options *o) {
    getter g;
    if (s == NULL || content == NULL || (content->format != IROH_BLOB_RAW && content->format != IROH_BLOB_HASH_SEQ))
        return IROH_ERR_ARG;
    int r = iroh_content_is_complete(s, content);
    if (r != 1)
        return r == 0 ? IROH_ERR_NOT_FOUND : r;
    r = getter_init(&g, c, s, o);
    if (r == 0)
        r = push(&g, content);
    getter_dispose(&g);
    return r;
}
