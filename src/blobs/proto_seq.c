// Sets of chunks and rows of them: differences of boundaries, and run lengths over indices.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/bao.h"
#include "blobs/proto.h"

#define VARINT_ROOM 10  // bytes of the longest varint in postcard
#define FIRST_ROOM 64   // bytes

// Sets

static void add_range(postcard *p, ranges *out, uint64_t start, uint64_t end) {
    // The last number has no room for an end behind it; it means the last chunk, as the one before it does.
    if (start > BAO_LAST)
        start = BAO_LAST;
    if (out != NULL && ranges_add(out, start, end) != 0)
        postcard_fail(p, IROH_ERR_NOMEM);
}

void proto_set_read(postcard *p, ranges *out) {
    uint64_t count = postcard_u64(p), at = 0, start = 0;
    if (count > reader_left(&p->in))
        postcard_fail(p, IROH_ERR_TRUNCATED);
    for (uint64_t i = 0; i < count && p->error == 0; i++) {
        uint64_t width = postcard_u64(p);
        if (p->error != 0)
            return;
        if (width == 0 && i > 0)
            postcard_fail(p, IROH_ERR_SYNTAX);
        else if (width > UINT64_MAX - at)
            postcard_fail(p, IROH_ERR_RANGE);
        at += width;
        if (i % 2 == 0)
            start = at;
        else if (p->error == 0)
            add_range(p, out, start, at);
    }
    if (count % 2 == 1 && p->error == 0)
        add_range(p, out, start, BAO_END);
}

// Calls for each number of the encoding; returns how many bytes they take, and writes them if `w` is there.
static size_t put(writer *w, uint64_t v) {
    if (w != NULL)
        postcard_write_u64(w, v);
    return postcard_u64_size(v);
}

static size_t encode_set(writer *w, const ranges *set) {
    size_t count = ranges_count(set);
    const range *items = ranges_items(set);
    bool open = count > 0 && items[count - 1].end == BAO_END;
    size_t size = put(w, 2 * (uint64_t)count - (open ? 1 : 0));
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t start = open && i + 1 == count && items[i].start == BAO_LAST ? UINT64_MAX : items[i].start;
        size += put(w, start - at);
        at = items[i].end;
        if (at != BAO_END)
            size += put(w, at - start);
    }
    return size;
}

void proto_set_write(writer *w, const ranges *set) {
    (void)encode_set(w, set);
}

size_t proto_set_size(const ranges *set) {
    return encode_set(NULL, set);
}

// Rows

void proto_seq_read(postcard *p, proto_seq *out) {
    const uint8_t *start = p->in.p, *previous = NULL;
    size_t previous_size = 0;
    uint64_t count = postcard_u64(p), index = 0;
    if (count > reader_left(&p->in) / 2)  // an entry takes two bytes or more
        postcard_fail(p, IROH_ERR_TRUNCATED);
    for (uint64_t i = 0; i < count && p->error == 0; i++) {
        uint64_t delta = postcard_u64(p);
        if (delta == 0 && i > 0)
            postcard_fail(p, IROH_ERR_SYNTAX);
        if (delta > UINT64_MAX - index)
            postcard_fail(p, IROH_ERR_RANGE);
        index += delta;
        const uint8_t *set = p->in.p;
        proto_set_read(p, NULL);
        if (p->error != 0)
            break;
        size_t size = (size_t)(p->in.p - set);
        bool same = previous == NULL ? set[0] == 0 : size == previous_size && memcmp(set, previous, size) == 0;
        if (same)
            postcard_fail(p, IROH_ERR_SYNTAX);
        previous = set;
        previous_size = size;
    }
    *out = p->error == 0 ? (proto_seq){start, (size_t)(p->in.p - start)} : (proto_seq){NULL, 0};
}

bool proto_seq_is_blob(const proto_seq *q) {
    postcard p = postcard_of(q->bytes, q->len);
    if (postcard_u64(&p) != 2 || postcard_u64(&p) != 0)
        return false;
    proto_set_read(&p, NULL);
    return postcard_u64(&p) == 1 && postcard_u64(&p) == 0 && p.error == 0;
}

void proto_walk_start(proto_walk *w, const proto_seq *q) {
    *w = (proto_walk){.in = postcard_of(q->bytes, q->len), .set = RANGES_INIT};
    w->left = postcard_u64(&w->in);
    w->until = w->left > 0 ? postcard_u64(&w->in) : UINT64_MAX;
}

void proto_walk_dispose(proto_walk *w) {
    ranges_dispose(&w->set);
}

static int next_entry(proto_walk *w) {
    ranges_clear(&w->set);
    proto_set_read(&w->in, &w->set);
    w->left--;
    w->until = w->left > 0 ? w->until + postcard_u64(&w->in) : UINT64_MAX;
    return w->in.error;
}

int proto_walk_next(proto_walk *w, uint64_t *index) {
    for (;;) {
        if (w->at < w->until && ranges_count(&w->set) > 0) {
            *index = w->at++;
            return 1;
        }
        if (w->left == 0)
            return 0;
        w->at = w->until;
        int r = next_entry(w);
        if (r != 0)
            return r;
    }
}

// Building

static int reserve(proto_builder *b, size_t more) {
    if (b->room - b->len >= more && b->room > 0)
        return 0;
    size_t room = b->room > 0 ? b->room : FIRST_ROOM;
    while (room - b->len < more)
        room *= 2;
    uint8_t *bytes = realloc(b->bytes, room);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    b->bytes = bytes;
    b->room = room;
    return 0;
}

static bool is_previous(const proto_builder *b, const uint8_t *set, size_t size) {
    if (b->count == 0)
        return set[0] == 0;
    return size == b->previous_size && memcmp(set, b->bytes + b->previous, size) == 0;
}

int proto_builder_add(proto_builder *b, uint64_t index, const ranges *set) {
    size_t size = proto_set_size(set);
    int r = reserve(b, (size_t)(b->len == 0 ? VARINT_ROOM : 0) + VARINT_ROOM + size);
    if (r != 0)
        return r;
    if (b->len == 0)
        b->len = VARINT_ROOM;
    writer w = writer_of(b->bytes + b->len, b->room - b->len);
    postcard_write_u64(&w, index - b->index);
    size_t head = writer_len(&w);
    proto_set_write(&w, set);
    if (is_previous(b, b->bytes + b->len + head, size))
        return 0;
    b->previous = b->len + head;
    b->previous_size = size;
    b->len += head + size;
    b->index = index;
    b->count++;
    return 0;
}

size_t proto_builder_size(const proto_builder *b) {
    size_t entries = b->len > 0 ? b->len - VARINT_ROOM : 0;
    return postcard_u64_size(b->count) + entries;
}

int proto_builder_seq(proto_builder *b, proto_seq *out) {
    int r = reserve(b, b->len == 0 ? VARINT_ROOM : 0);
    if (r != 0)
        return r;
    if (b->len == 0)
        b->len = VARINT_ROOM;
    size_t size = postcard_u64_size(b->count);
    uint8_t *start = b->bytes + VARINT_ROOM - size;
    writer w = writer_of(start, size);
    postcard_write_u64(&w, b->count);
    *out = (proto_seq){start, proto_builder_size(b)};
    return 0;
}

void proto_builder_dispose(proto_builder *b) {
    free(b->bytes);
    *b = PROTO_BUILDER_INIT;
}
