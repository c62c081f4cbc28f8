// Reassembly of a stream (or of CRYPTO): bytes come in any order, more than once, and go out in order.
//
// In-order data, the usual case, is appended to the last chunk; gaps are kept as sorted pieces, merged when they touch.
// Bounded twice: by flow control in bytes, and by RECVBUF_PIECES_MAX separate pieces, so that many tiny gapped frames
// cannot eat memory. Overlapping data must not change bytes already received; the first copy wins.
#ifndef QUIC_RECVBUF_H
#define QUIC_RECVBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECVBUF_PIECES_MAX 1024

typedef struct quic_recvbuf {
    struct recvbuf_chunk *first, *last;  // sorted by offset, disjoint
    uint64_t read;     // offset of the next byte to hand out
    uint64_t highest;  // one past the highest byte received
    uint32_t pieces;   // chunks now
} quic_recvbuf;

void quic_recvbuf_init(quic_recvbuf *b);
void quic_recvbuf_dispose(quic_recvbuf *b);

// Stores bytes. 0, IROH_ERR_NOMEM, or IROH_ERR_LIMIT when more than RECVBUF_PIECES_MAX pieces would remain.
int quic_recvbuf_insert(quic_recvbuf *b, uint64_t offset, const uint8_t *bytes, size_t len);

// Bytes that can be read in order now (all of them, over chunks).
size_t quic_recvbuf_readable(const quic_recvbuf *b);

// Copies up to `len` in-order bytes out and forgets them. Returns their number.
size_t quic_recvbuf_read(quic_recvbuf *b, void *out, size_t len);

// The first contiguous in-order span without copying; null when nothing is readable. Consumed by quic_recvbuf_consume.
const uint8_t *quic_recvbuf_peek(const quic_recvbuf *b, size_t *len);
void quic_recvbuf_consume(quic_recvbuf *b, size_t len);

// Drops everything held; bytes count as read up to `highest`.
void quic_recvbuf_discard(quic_recvbuf *b);

#endif
