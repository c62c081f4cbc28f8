// Items of observed blobs: the size and the boundaries of what is there, or of what changed.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/proto.h"

void proto_have_dispose(proto_have *h) {
    free(h->at);
    *h = (proto_have){0};
}

int proto_have_resize(proto_have *h, size_t count) {
    if (count > h->room) {
        size_t room = h->room * 2 > count ? h->room * 2 : count;
        uint64_t *at = realloc(h->at, room * sizeof *at);
        if (at == NULL)
            return IROH_ERR_NOMEM;
        h->at = at;
        h->room = room;
    }
    h->count = count;
    return 0;
}

int proto_have_read(const uint8_t *item, size_t len, proto_have *out) {
    postcard p = postcard_of(item, len);
    out->size = postcard_u64(&p);
    uint64_t count = postcard_u64(&p);
    if (count > reader_left(&p.in))
        postcard_fail(&p, IROH_ERR_TRUNCATED);
    if (p.error != 0)
        return p.error;
    int r = proto_have_resize(out, (size_t)count);
    for (size_t i = 0; i < out->count && r == 0; i++) {
        out->at[i] = postcard_u64(&p);
        if (p.error == 0 && i > 0 && out->at[i] <= out->at[i - 1])
            postcard_fail(&p, IROH_ERR_SYNTAX);
        r = p.error;
    }
    return r;
}

static size_t item_size(const proto_have *h) {
    size_t size = postcard_u64_size(h->size) + postcard_u64_size(h->count);
    for (size_t i = 0; i < h->count; i++)
        size += postcard_u64_size(h->at[i]);
    return size;
}

size_t proto_have_size(const proto_have *h) {
    size_t size = item_size(h);
    return postcard_u64_size(size) + size;
}

void proto_have_write(writer *w, const proto_have *h) {
    postcard_write_u64(w, item_size(h));
    postcard_write_u64(w, h->size);
    postcard_write_u64(w, h->count);
    for (size_t i = 0; i < h->count; i++)
        postcard_write_u64(w, h->at[i]);
}

// Whoever knows of chunks further on knows the size better.
static uint64_t better_size(const proto_have *a, const proto_have *b) {
    uint64_t end_a = a->count % 2 == 1 ? UINT64_MAX : a->count > 0 ? a->at[a->count - 1] : 0;
    uint64_t end_b = b->count % 2 == 1 ? UINT64_MAX : b->count > 0 ? b->at[b->count - 1] : 0;
    if (end_a != end_b)
        return end_a > end_b ? a->size : b->size;
    return a->size > b->size ? a->size : b->size;
}

// Goes through both lists of boundaries and keeps those where the combination of the two sets changes.
static int combine(const proto_have *a, const proto_have *b, bool exclusive, proto_have *out) {
    size_t i = 0, j = 0, n = 0;
    bool in_a = false, in_b = false, in = false;
    int r = proto_have_resize(out, a->count + b->count);
    if (r != 0)
        return r;
    while (i < a->count || j < b->count) {
        bool from_a = j == b->count || (i < a->count && a->at[i] <= b->at[j]);
        bool from_b = i == a->count || (j < b->count && b->at[j] <= a->at[i]);
        uint64_t at = from_a ? a->at[i] : b->at[j];
        in_a ^= from_a;
        in_b ^= from_b;
        i += from_a;
        j += from_b;
        bool now = exclusive ? in_a != in_b : in_a || in_b;
        if (now != in)
            out->at[n++] = at;
        in = now;
    }
    out->count = n;
    return 0;
}

int proto_have_difference(const proto_have *a, const proto_have *b, proto_have *out) {
    out->size = better_size(a, b);
    return combine(a, b, true, out);
}

int proto_have_merge(proto_have *h, const proto_have *more) {
    proto_have both = {.size = better_size(h, more)};
    int r = combine(h, more, false, &both);
    if (r == 0 && both.count > PROTO_MESSAGE_MAX)
        r = IROH_ERR_TOO_LARGE;
    if (r != 0) {
        proto_have_dispose(&both);
        return r;
    }
    proto_have_dispose(h);
    *h = both;
    return 0;
}
