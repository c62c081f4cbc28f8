// Bytes that were written to a stream (or to CRYPTO) and are not yet acknowledged, with what of them must be sent
// (again).
//
// Chunks of up to SENDBUF_CHUNK bytes in a queue; the front is freed as acknowledgements come, and an empty buffer
// owns no memory. Retransmissions go before new data. A span handed out for sending counts as sent at once.
#ifndef QUIC_SENDBUF_H
#define QUIC_SENDBUF_H

#include "base/ranges.h"
#include "quic/chunks.h"

#define SENDBUF_CHUNK CHUNK_LARGE_ROOM  // bytes of a full chunk; the first ones of a stream are smaller

typedef struct quic_sendbuf {
    quic_chunk *first, *last;
    quic_chunk *cursor;   // the furthest chunk that was copied from, or null; saves the walk
    quic_chunks *chunks;  // where chunks come from, may be null; set after quic_sendbuf_init
    uint64_t start;       // offset of the first byte still held
    uint64_t end;         // offset after the last byte written
    uint64_t unsent;      // offset of the first byte never sent
    ranges acked;         // acknowledged, within (start, unsent)
    ranges lost;          // to be sent again, within [start, unsent)
} quic_sendbuf;

void quic_sendbuf_init(quic_sendbuf *b);
void quic_sendbuf_dispose(quic_sendbuf *b);

// Appends a copy. 0 or IROH_ERR_NOMEM with nothing appended.
int quic_sendbuf_write(quic_sendbuf *b, const void *bytes, size_t len);

// Appends bytes without copying them: they stay as they are until `loan->release` is called, when all were acknowledged
// or dropped. 0 or IROH_ERR_NOMEM with nothing appended, and nothing released.
int quic_sendbuf_lend(quic_sendbuf *b, const quic_loan *loan, uint32_t len);

// The next span to send: at most `max` bytes, lost ones first, new ones never beyond offset `limit` (flow control).
// Returns its length (0: nothing) and its offset; copy it out with quic_sendbuf_copy, then say quic_sendbuf_sent. Less
// of it may be sent than was offered.
size_t quic_sendbuf_next(const quic_sendbuf *b, size_t max, uint64_t limit, uint64_t *offset);
void quic_sendbuf_copy(quic_sendbuf *b, uint64_t offset, uint8_t *out, size_t len);
void quic_sendbuf_sent(quic_sendbuf *b, uint64_t offset, size_t len);

// Bytes outside of what was sent and is held are ignored. Memory failure inside is handled by keeping the bytes and
// sending them again (acked), or by sending more than needed (lost).
void quic_sendbuf_acked(quic_sendbuf *b, uint64_t offset, size_t len);
void quic_sendbuf_lost(quic_sendbuf *b, uint64_t offset, size_t len);

// Drops everything held; the buffer ends where sending stopped.
void quic_sendbuf_discard(quic_sendbuf *b);

// Bytes held in memory (written and not acknowledged).
static inline uint64_t quic_sendbuf_held(const quic_sendbuf *b) {
    return b->end - b->start;
}

static inline bool quic_sendbuf_all_acked(const quic_sendbuf *b) {
    return b->start == b->end;
}

// True when something within `limit` waits to be sent.
static inline bool quic_sendbuf_pending(const quic_sendbuf *b, uint64_t limit) {
    return ranges_count(&b->lost) > 0 || b->unsent < (b->end < limit ? b->end : limit);
}

#endif
