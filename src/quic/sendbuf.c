#include "quic/sendbuf.h"

#include <string.h>

#include <iroh/error.h>

void quic_sendbuf_init(quic_sendbuf *b) {
    *b = (quic_sendbuf){.acked = RANGES_INIT, .lost = RANGES_INIT};
}

static void drop_all(quic_sendbuf *b) {
    quic_chunk_give(b->chunks, b->first);
    b->first = b->last = b->cursor = NULL;
    ranges_dispose(&b->acked);
    ranges_dispose(&b->lost);
}

void quic_sendbuf_dispose(quic_sendbuf *b) {
    drop_all(b);
    b->start = b->end = b->unsent;
}

void quic_sendbuf_discard(quic_sendbuf *b) {
    quic_sendbuf_dispose(b);
}

// --- Writing

// Each chunk is larger than the one before, until they are full-sized: few bytes take little, many take few chunks.
static unsigned next_size(const quic_chunk *before, size_t len) {
    unsigned size = quic_chunk_fit(len);
    if (before != NULL && size <= before->size)
        size = before->size < CHUNK_LARGE ? before->size + 1U : CHUNK_LARGE;
    return size;
}

// Chunks for `len` bytes from offset `base` on, as a chain; null when out of memory.
static quic_chunk *make_chain(quic_sendbuf *b, uint64_t base, size_t len) {
    quic_chunk *chain = NULL, *tail = b->last;
    for (size_t done = 0; done < len;) {
        quic_chunk *c = quic_chunk_take(b->chunks, next_size(tail, len - done));
        if (c == NULL) {
            quic_chunk_give(b->chunks, chain);
            return NULL;
        }
        c->base = base + done;
        if (chain == NULL)
            chain = c;
        else
            tail->next = c;
        tail = c;
        done += c->room;
    }
    return chain;
}

static size_t fill(quic_chunk *c, const uint8_t *bytes, size_t len) {
    size_t n = c->room - c->used;
    if (n > len)
        n = len;
    memcpy(c->data + c->used, bytes, n);
    c->used += (uint32_t)n;
    return n;
}

int quic_sendbuf_write(quic_sendbuf *b, const void *bytes, size_t len) {
    if (len == 0)
        return 0;
    size_t tail = b->last != NULL ? b->last->room - b->last->used : 0;
    quic_chunk *chain = NULL;
    if (len > tail) {
        chain = make_chain(b, b->end + tail, len - tail);
        if (chain == NULL)
            return IROH_ERR_NOMEM;
    }
    const uint8_t *p = bytes;
    size_t left = len;
    if (tail > 0) {
        size_t n = fill(b->last, p, left);
        p += n;
        left -= n;
    }
    if (b->last != NULL)
        b->last->next = chain;
    else
        b->first = chain;
    for (quic_chunk *c = chain; c != NULL; c = c->next) {
        size_t n = fill(c, p, left);
        p += n;
        left -= n;
        b->last = c;
    }
    b->end += len;
    return 0;
}

int quic_sendbuf_lend(quic_sendbuf *b, const quic_loan *loan, uint32_t len) {
    quic_chunk *c = quic_chunk_lend(b->chunks, loan, len);
    if (c == NULL)
        return IROH_ERR_NOMEM;
    c->base = b->end;
    if (b->last != NULL)
        b->last->next = c;
    else
        b->first = c;
    b->last = c;
    b->end += len;
    return 0;
}

// --- Sending

size_t quic_sendbuf_next(const quic_sendbuf *b, size_t max, uint64_t limit, uint64_t *offset) {
    uint64_t from = b->unsent, to = b->end < limit ? b->end : limit;
    if (ranges_count(&b->lost) > 0) {
        from = ranges_items(&b->lost)->start;
        to = ranges_items(&b->lost)->end;
    }
    *offset = from;
    if (from >= to)
        return 0;
    return to - from < max ? (size_t)(to - from) : max;
}

void quic_sendbuf_copy(quic_sendbuf *b, uint64_t offset, uint8_t *out, size_t len) {
    if (len == 0)
        return;
    quic_chunk *c = b->cursor != NULL && b->cursor->base <= offset ? b->cursor : b->first;
    while (offset >= c->base + c->used)
        c = c->next;
    for (;;) {
        size_t at = (size_t)(offset - c->base);
        size_t n = c->used - at < len ? c->used - at : len;
        memcpy(out, quic_chunk_bytes(c) + at, n);
        len -= n;
        if (len == 0)
            break;
        out += n;
        offset += n;
        c = c->next;
    }
    // A retransmission from far behind leaves the cursor where new data goes on.
    if (b->cursor == NULL || c->base > b->cursor->base)
        b->cursor = c;
}

void quic_sendbuf_sent(quic_sendbuf *b, uint64_t offset, size_t len) {
    if (len == 0)
        return;
    // Taken from the front of the set, so that nothing is split and no memory needed.
    if (offset < b->unsent)
        (void)ranges_remove(&b->lost, offset, offset + len);
    else
        b->unsent = offset + len;
}

// --- What became of it

// Cuts [*from, *to) to what was sent and is held; false when nothing is left.
static bool clip(const quic_sendbuf *b, uint64_t *from, uint64_t *to) {
    if (*from < b->start)
        *from = b->start;
    if (*to > b->unsent)
        *to = b->unsent;
    return *from < *to;
}

static void free_front(quic_sendbuf *b) {
    while (b->first != NULL && b->first->base + b->first->used <= b->start) {
        quic_chunk *c = b->first;
        b->first = c->next;
        if (b->cursor == c)
            b->cursor = NULL;
        if (b->last == c)
            b->last = NULL;
        c->next = NULL;
        quic_chunk_give(b->chunks, c);
    }
}

static void advance(quic_sendbuf *b, uint64_t to) {
    b->start = to;
    while (ranges_count(&b->acked) > 0 && ranges_items(&b->acked)->start <= b->start) {
        if (ranges_items(&b->acked)->end > b->start)
            b->start = ranges_items(&b->acked)->end;
        ranges_drop_first(&b->acked);
    }
    free_front(b);
}

void quic_sendbuf_acked(quic_sendbuf *b, uint64_t offset, size_t len) {
    uint64_t from = offset, to = offset + len;
    if (!clip(b, &from, &to))
        return;
    if (from == b->start) {
        advance(b, to);
        // Never splits: everything below `start` goes.
        if (ranges_count(&b->lost) > 0)
            (void)ranges_remove(&b->lost, 0, b->start);
        return;
    }
    if (ranges_add(&b->acked, from, to) != 0) {
        // Not remembered, so it must be acknowledged once more.
        quic_sendbuf_lost(b, from, (size_t)(to - from));
        return;
    }
    // Without memory for the split the peer gets these bytes twice.
    if (ranges_count(&b->lost) > 0)
        (void)ranges_remove(&b->lost, from, to);
}

// Adding to a full set needs memory; joining the new range with a neighbour does not, and only sends more than needed.
static void add_lost(quic_sendbuf *b, uint64_t from, uint64_t to) {
    if (ranges_add(&b->lost, from, to) == 0)
        return;
    const range *r = ranges_items(&b->lost);
    size_t i = 0;
    while (i + 1 < ranges_count(&b->lost) && r[i].end < from)
        i++;
    if (r[i].start < from)
        from = r[i].start;
    if (r[i].end > to)
        to = r[i].end;
    (void)ranges_add(&b->lost, from, to);
}

void quic_sendbuf_lost(quic_sendbuf *b, uint64_t offset, size_t len) {
    uint64_t from = offset, to = offset + len;
    if (!clip(b, &from, &to))
        return;
    // Only what no other packet has brought across.
    const range *r = ranges_items(&b->acked);
    for (size_t i = 0; i < ranges_count(&b->acked) && from < to && r[i].start < to; i++) {
        if (r[i].end <= from)
            continue;
        if (from < r[i].start)
            add_lost(b, from, r[i].start);
        from = r[i].end;
    }
    if (from < to)
        add_lost(b, from, to);
}
