// Reassembly of a stream (or of CRYPTO): bytes come in any order, more than once, and go out in order.
//
// The offset space is cut into chunks that do not overlap. Every byte is copied straight to its place, or stays where it
// is if it was lent and came in order: nothing is ever moved or merged. Memory is at most the span between the read offset
// and the highest one, plus a chunk, however the pieces fall; what a loan keeps beyond its bytes is for the lender to
// limit. What came ahead of a gap is noted as a set of ranges, at most RECVBUF_PIECES_MAX, so that many tiny gapped frames
// cost neither memory nor time; without gaps that set is empty. Overlapping data does not change bytes already received;
// the first copy wins.
#ifndef QUIC_RECVBUF_H
#define QUIC_RECVBUF_H

#include "base/ranges.h"
#include "quic/chunks.h"

#define RECVBUF_PIECES_MAX 1024  // or, when that is more,
#define RECVBUF_PIECE_SPAN 1024  // one for each so many bytes from the first gap to the highest byte received
#define RECVBUF_LEND_MIN 4096    // bytes; fewer are cheaper to copy than to keep track of

typedef struct quic_recvbuf {
    quic_chunk *first, *last;  // sorted by base, disjoint
    quic_chunks *chunks;       // where chunks come from, may be null; set after quic_recvbuf_init
    uint64_t read;             // offset of the next byte to hand out
    uint64_t ready;            // everything below it was received, >= read
    uint64_t highest;          // one past the highest byte received
    ranges ahead;              // received beyond the gap at `ready`
} quic_recvbuf;

void quic_recvbuf_init(quic_recvbuf *b);
void quic_recvbuf_dispose(quic_recvbuf *b);

// Stores bytes. 0, IROH_ERR_NOMEM, or IROH_ERR_LIMIT when more pieces than that would remain ahead of gaps;
// then it is as if they had not come. No bytes at an offset still raise `highest`.
int quic_recvbuf_insert(quic_recvbuf *b, uint64_t offset, const uint8_t *bytes, size_t len);

// The same without copying, if the bytes come next and are many: 1, and they stay as they are until `loan->release` is
// called. 0: they were copied, or are not needed. Errors as from quic_recvbuf_insert; then nothing is kept either.
int quic_recvbuf_insert_lent(quic_recvbuf *b, uint64_t offset, const quic_loan *loan, size_t len);

// Bytes that can be read in order now (all of them, over chunks).
static inline size_t quic_recvbuf_readable(const quic_recvbuf *b) {
    return (size_t)(b->ready - b->read);
}

// Copies up to `len` in-order bytes out and forgets them. Returns their number.
size_t quic_recvbuf_read(quic_recvbuf *b, void *out, size_t len);

// The first contiguous in-order span without copying; null when nothing is readable. Consumed by quic_recvbuf_consume,
// at most as many as are readable.
const uint8_t *quic_recvbuf_peek(const quic_recvbuf *b, size_t *len);
void quic_recvbuf_consume(quic_recvbuf *b, size_t len);

// Drops everything held; bytes count as read up to `highest`.
void quic_recvbuf_discard(quic_recvbuf *b);

#endif
