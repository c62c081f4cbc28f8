// Observing what another endpoint has.
#include <stdlib.h>
#include <string.h>

#include "blobs/getter.h"

#define FIRST_ROOM 4096  // bytes

struct iroh_remote_observer {
    iroh_stream *stream;
    proto_have have;
    proto_news news;
    uint8_t *bytes;     // received: items and a part of one
    size_t start, len;  // what of them is not read yet
    size_t room;
    int end;  // error after which there is no more
};

int iroh_remote_observer_new(iroh_connection *c, const iroh_hash *hash, int timeout_ms, iroh_remote_observer **out) {
    if (c == NULL || hash == NULL || out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    iroh_remote_observer *o = calloc(1, sizeof *o);
    if (o == NULL)
        return IROH_ERR_NOMEM;
    iroh_get_options options;
    iroh_get_options_default(&options);
    options.stall_ms = timeout_ms;
    getter g = {.connection = c, .options = &options};
    proto_request request = {.type = PROTO_OBSERVE, .hashes = hash->bytes, .count = 1};
    int r = getter_open(&g, &request, &o->stream);
    if (r != 0) {
        free(o);
        return r;
    }
    *out = o;
    return 0;
}

void iroh_remote_observer_free(iroh_remote_observer *o) {
    if (o == NULL)
        return;
    iroh_stream_free(o->stream);
    proto_have_dispose(&o->have);
    proto_news_dispose(&o->news);
    free(o->bytes);
    free(o);
}

// Takes one item out of what was received: 1, or 0 when it is not all there.
static int take_item(iroh_remote_observer *o) {
    proto_have item = {0};
    postcard p = postcard_of(o->bytes + o->start, o->len - o->start);
    uint64_t len = postcard_u64(&p);
    if (p.error == IROH_ERR_TRUNCATED)
        return 0;
    if (p.error != 0 || len > PROTO_MESSAGE_MAX)
        return IROH_ERR_PROTOCOL;
    if (reader_left(&p.in) < len)
        return 0;
    int r = proto_have_read(p.in.p, (size_t)len, &item);
    if (r == 0)
        r = proto_news_add(&o->news, &item);
    proto_have_dispose(&item);
    if (r != 0)
        return r == IROH_ERR_NOMEM ? r : IROH_ERR_PROTOCOL;
    o->start = (size_t)(p.in.p - o->bytes) + (size_t)len;
    return 1;
}

// Takes all items that are there, since one that tells of little costs as much to merge as one that tells of much: 1 when
// there were any. What is wrong with a later one is found the next time.
static int take_items(iroh_remote_observer *o) {
    int r = take_item(o);
    if (r != 1)
        return r;
    while (r == 1)
        r = take_item(o);
    r = proto_news_merge(&o->news, &o->have);
    return r == 0 ? 1 : r == IROH_ERR_NOMEM ? r : IROH_ERR_PROTOCOL;
}

static int make_room(iroh_remote_observer *o) {
    if (o->start > 0) {
        memmove(o->bytes, o->bytes + o->start, o->len - o->start);
        o->len -= o->start;
        o->start = 0;
    }
    if (o->len < o->room)
        return 0;
    size_t room = o->room > 0 ? o->room * 2 : FIRST_ROOM;
    uint8_t *bytes = realloc(o->bytes, room);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    o->bytes = bytes;
    o->room = room;
    return 0;
}

// A reset with "internal" is how some providers say that there will be no more news.
static int ended(const iroh_remote_observer *o, int64_t n) {
    uint64_t code;
    if (n == IROH_ERR_RESET && iroh_stream_reset_code(o->stream, &code) == 0)
        return code == PROTO_INTERNAL ? IROH_ERR_FINISHED : getter_refusal(code);
    return n == 0 ? IROH_ERR_FINISHED : (int)n;
}

static int next_item(iroh_remote_observer *o, int timeout_ms) {
    for (;;) {
        int r = o->start < o->len ? take_items(o) : 0;
        if (r == 0)
            r = make_room(o);
        if (r != 0)
            return r;
        int64_t n = iroh_stream_read(o->stream, o->bytes + o->len, o->room - o->len, timeout_ms);
        if (n <= 0)
            return ended(o, n);
        o->len += (size_t)n;
    }
}

static bool is_complete(const proto_have *h) {
    return h->count == 1 && h->at[0] == 0;
}

int iroh_remote_observer_next(iroh_remote_observer *o, int timeout_ms, uint64_t *size, uint64_t *out, size_t room,
                              size_t *count, bool *complete) {
    if (o == NULL || (out == NULL && room > 0))
        return IROH_ERR_ARG;
    int r = o->end != 0 ? o->end : next_item(o, timeout_ms);
    if (r != 1) {
        if (r != IROH_ERR_TIMEOUT && r != IROH_ERR_AGAIN)
            o->end = r;
        return r;
    }
    for (size_t i = 0; i < o->have.count && i < room; i++)
        out[i] = o->have.at[i];
    if (size != NULL)
        *size = o->have.size;
    if (count != NULL)
        *count = o->have.count;
    if (complete != NULL)
        *complete = is_complete(&o->have);
    return 0;
}

iroh_stream *iroh_remote_observer_stream(iroh_remote_observer *o) {
    return o != NULL ? o->stream : NULL;
}

const proto_have *getter_observed(const iroh_remote_observer *o) {
    return &o->have;
}
