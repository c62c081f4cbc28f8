// Queues of DATAGRAM frames (RFC 9221), both bounded in bytes: each entry costs its payload plus DGRAM_OVERHEAD, so a
// flood of empty datagrams is bounded too.
//
// The entries lie one behind the other in a ring of bytes that grows with its use, so that a queue in steady use
// allocates nothing; a large ring is freed when the queue becomes empty.
#ifndef QUIC_DGRAMS_H
#define QUIC_DGRAMS_H

#include "quic/builder.h"

#define DGRAM_OVERHEAD 32
#define DGRAM_SEND_MAX (UINT64_C(1) << 20)
#define DGRAM_RECEIVE_MAX UINT64_C(1250000)

typedef struct quic_dgram_queue {
    uint8_t *ring;    // entries: length in 4 bytes, payload; both may wrap around
    size_t capacity;  // bytes of `ring`; 0 or a power of two
    size_t head;      // place of the oldest entry in `ring`
    size_t held;      // bytes of `ring` in use
    uint64_t used;    // bytes, overhead included
    uint64_t max;
    uint64_t dropped;  // entries, over the queue's life
} quic_dgram_queue;

void quic_dgrams_init(quic_dgram_queue *q, uint64_t max);
void quic_dgrams_dispose(quic_dgram_queue *q);  // leaves an empty queue of the same bound

// Appends a copy. `drop_oldest`: makes room by dropping, else IROH_ERR_AGAIN when full. IROH_ERR_TOO_LARGE: larger than
// the whole queue. IROH_ERR_NOMEM.
int quic_dgrams_push(quic_dgram_queue *q, const uint8_t *bytes, size_t len, bool drop_oldest);

bool quic_dgrams_empty(const quic_dgram_queue *q);
size_t quic_dgrams_first_len(const quic_dgram_queue *q);  // 0 when empty

// Copies the oldest out and removes it; its length, which may exceed `room`: then only `room` bytes were copied.
// IROH_ERR_AGAIN when empty.
int quic_dgrams_pop(quic_dgram_queue *q, uint8_t *out, size_t room);

// Moves as many as fit into the packet, always with length. Not noted: DATAGRAM is never repeated; sets
// SENT_ACK_ELICITING | SENT_IN_FLIGHT. An entry that can never fit (larger than `max_payload`) is dropped and counted.
// One that only this packet has no room for waits, and `full` is not set: something smaller may still go.
void quic_dgrams_write(quic_dgram_queue *q, quic_builder *b, size_t max_payload);

#endif
