#include "quic/recvbuf.h"

#include <string.h>

#include <iroh/error.h>

void quic_recvbuf_init(quic_recvbuf *b) {
    *b = (quic_recvbuf){.ahead = RANGES_INIT};
}

static void free_chunks(quic_recvbuf *b) {
    quic_chunk_give(b->chunks, b->first);
    b->first = b->last = NULL;
}

void quic_recvbuf_dispose(quic_recvbuf *b) {
    free_chunks(b);
    ranges_dispose(&b->ahead);
    b->ready = b->highest = b->read;
}

// --- Chunks

static uint64_t chunk_end(const quic_chunk *c) {
    return c->base + c->room;
}

// In-order data into an empty or just filled buffer starts small; everything else lies on a grid of full chunks, so that
// no pattern of offsets makes many small ones.
static quic_chunk *add_chunk(quic_recvbuf *b, quic_chunk *before, uint64_t at, size_t len) {
    quic_chunk *after = before != NULL ? before->next : b->first;
    uint64_t low = before != NULL ? chunk_end(before) : b->read;
    uint64_t base = at - (at - low) % CHUNK_LARGE_ROOM;
    uint64_t room = after != NULL ? after->base - base : UINT64_MAX;
    unsigned size = CHUNK_LARGE;
    if (after != NULL && room < CHUNK_LARGE_ROOM)
        size = quic_chunk_fit((size_t)room);
    else if (after == NULL && at == low && at == b->ready)
        size = quic_chunk_fit(len);
    if (after == NULL && before != NULL && size <= before->size && size < CHUNK_LARGE)
        size = before->size < CHUNK_LARGE ? before->size + 1U : CHUNK_LARGE;
    quic_chunk *c = quic_chunk_take(b->chunks, size);
    if (c == NULL)
        return NULL;
    c->base = base;
    if (c->room > room)
        c->room = (uint32_t)room;
    c->next = after;
    if (before != NULL)
        before->next = c;
    else
        b->first = c;
    if (after == NULL)
        b->last = c;
    return c;
}

// The chunk of offset `at`, made if there is none; null when out of memory. `len` bytes are about to go there.
static quic_chunk *chunk_at(quic_recvbuf *b, uint64_t at, size_t len) {
    quic_chunk *c = NULL;
    if (b->last != NULL && at >= b->last->base) {
        c = b->last;
    } else {
        for (quic_chunk *next = b->first; next != NULL && next->base <= at; next = next->next)
            c = next;
    }
    if (c != NULL && at < chunk_end(c))
        return c;
    return add_chunk(b, c, at, len);
}

static int store(quic_recvbuf *b, uint64_t at, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        quic_chunk *c = chunk_at(b, at, len);
        if (c == NULL)
            return IROH_ERR_NOMEM;
        size_t n = (size_t)(chunk_end(c) - at);
        if (n > len)
            n = len;
        memcpy(c->data + (at - c->base), bytes, n);
        at += n;
        bytes += n;
        len -= n;
    }
    return 0;
}

// --- Inserting

// Stores those of [at, end) that are not there yet.
static int store_missing(quic_recvbuf *b, uint64_t at, uint64_t end, const uint8_t *bytes) {
    const range *r = ranges_items(&b->ahead);
    size_t count = ranges_count(&b->ahead);
    size_t i = count > 0 && r[count - 1].end <= at ? count : 0;
    for (; i < count && at < end && r[i].start < end; i++) {
        if (r[i].end <= at)
            continue;
        if (at < r[i].start) {
            int e = store(b, at, bytes, (size_t)(r[i].start - at));
            if (e != 0)
                return e;
        }
        if (r[i].end >= end)
            return 0;
        bytes += r[i].end - at;
        at = r[i].end;
    }
    return store(b, at, bytes, (size_t)(end - at));
}

// A window that is large lets many datagrams go missing at once, and each leaves a piece behind it.
static uint64_t pieces_max(const quic_recvbuf *b, uint64_t end) {
    uint64_t span = (end > b->highest ? end : b->highest) - b->ready;
    uint64_t by_span = span / RECVBUF_PIECE_SPAN;
    return by_span > RECVBUF_PIECES_MAX ? by_span : RECVBUF_PIECES_MAX;
}

static int note_ahead(quic_recvbuf *b, uint64_t at, uint64_t end) {
    int e = ranges_add(&b->ahead, at, end);
    if (e != 0)
        return e;
    if (ranges_count(&b->ahead) <= pieces_max(b, end))
        return 0;
    // It touches no other, or there would not be more than before: it goes without splitting.
    (void)ranges_remove(&b->ahead, at, end);
    return IROH_ERR_LIMIT;
}

static void advance(quic_recvbuf *b, uint64_t end) {
    b->ready = end;
    while (ranges_count(&b->ahead) > 0 && ranges_items(&b->ahead)->start <= b->ready) {
        if (ranges_items(&b->ahead)->end > b->ready)
            b->ready = ranges_items(&b->ahead)->end;
        ranges_drop_first(&b->ahead);
    }
}

int quic_recvbuf_insert(quic_recvbuf *b, uint64_t offset, const uint8_t *bytes, size_t len) {
    uint64_t end = offset + len;
    if (end > b->ready && len > 0) {
        uint64_t at = offset > b->ready ? offset : b->ready;
        int e = store_missing(b, at, end, bytes + (at - offset));
        if (e == 0 && at > b->ready)
            e = note_ahead(b, at, end);
        else if (e == 0)
            advance(b, end);
        if (e != 0)
            return e;
    }
    if (end > b->highest)
        b->highest = end;
    return 0;
}

// Chunks that nothing was noted in: an insert that failed left them.
static void drop_empty(quic_recvbuf *b) {
    quic_chunk *keep = NULL;
    if (b->last == NULL || b->last->base < b->ready)
        return;
    for (quic_chunk *c = b->first; c != NULL && c->base < b->ready; c = c->next)
        keep = c;
    quic_chunk_give(b->chunks, keep != NULL ? keep->next : b->first);
    b->last = keep;
    if (keep != NULL)
        keep->next = NULL;
    else
        b->first = NULL;
}

// Behind everything that is there, whose room ends where the bytes begin.
static int append_lent(quic_recvbuf *b, const quic_loan *loan, uint32_t len) {
    quic_chunk *c = quic_chunk_lend(b->chunks, loan, len);
    if (c == NULL)
        return IROH_ERR_NOMEM;
    drop_empty(b);
    c->base = b->ready;
    if (b->last != NULL) {
        b->last->room = (uint32_t)(b->ready - b->last->base);
        b->last->next = c;
    } else {
        b->first = c;
    }
    b->last = c;
    return 0;
}

int quic_recvbuf_insert_lent(quic_recvbuf *b, uint64_t offset, const quic_loan *loan, size_t len) {
    bool next = offset == b->ready && offset == b->highest;
    if (!next || len < RECVBUF_LEND_MIN || len > UINT32_MAX || append_lent(b, loan, (uint32_t)len) != 0)
        return quic_recvbuf_insert(b, offset, loan->bytes, len);
    b->ready = b->highest = offset + len;
    return 1;
}

// --- Reading

const uint8_t *quic_recvbuf_peek(const quic_recvbuf *b, size_t *len) {
    *len = 0;
    if (b->read == b->ready)
        return NULL;
    const quic_chunk *c = b->first;
    uint64_t end = chunk_end(c) < b->ready ? chunk_end(c) : b->ready;
    *len = (size_t)(end - b->read);
    return quic_chunk_bytes(c) + (b->read - c->base);
}

void quic_recvbuf_consume(quic_recvbuf *b, size_t len) {
    b->read += len;
    if (b->read == b->ready && ranges_count(&b->ahead) == 0) {
        free_chunks(b);
        return;
    }
    while (b->first != NULL && chunk_end(b->first) <= b->read) {
        quic_chunk *c = b->first;
        b->first = c->next;
        if (b->first == NULL)
            b->last = NULL;
        c->next = NULL;
        quic_chunk_give(b->chunks, c);
    }
}

size_t quic_recvbuf_read(quic_recvbuf *b, void *out, size_t len) {
    uint8_t *to = out;
    size_t done = 0, n;
    const uint8_t *from;
    while (done < len && (from = quic_recvbuf_peek(b, &n)) != NULL) {
        if (n > len - done)
            n = len - done;
        memcpy(to + done, from, n);
        done += n;
        quic_recvbuf_consume(b, n);
    }
    return done;
}

void quic_recvbuf_discard(quic_recvbuf *b) {
    free_chunks(b);
    ranges_dispose(&b->ahead);
    b->read = b->ready = b->highest;
}
