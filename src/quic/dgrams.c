#include "quic/dgrams.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#define RING_MIN 256
#define RING_KEEP 2048  // a ring up to this many bytes stays when the queue is empty
#define LENGTH_SIZE sizeof(uint32_t)

void quic_dgrams_init(quic_dgram_queue *q, uint64_t max) {
    *q = (quic_dgram_queue){.max = max};
}

void quic_dgrams_dispose(quic_dgram_queue *q) {
    free(q->ring);
    *q = (quic_dgram_queue){.max = q->max, .dropped = q->dropped};
}

// --- The ring

static void put(quic_dgram_queue *q, const void *bytes, size_t len) {
    size_t at = (q->head + q->held) & (q->capacity - 1);
    size_t first = len < q->capacity - at ? len : q->capacity - at;
    if (first > 0)
        memcpy(q->ring + at, bytes, first);
    if (len > first)
        memcpy(q->ring, (const uint8_t *)bytes + first, len - first);
    q->held += len;
}

// Copies from `skip` bytes behind the head.
static void peek(const quic_dgram_queue *q, size_t skip, void *out, size_t len) {
    size_t at = (q->head + skip) & (q->capacity - 1);
    size_t first = len < q->capacity - at ? len : q->capacity - at;
    if (first > 0)
        memcpy(out, q->ring + at, first);
    if (len > first)
        memcpy((uint8_t *)out + first, q->ring, len - first);
}

static int reserve(quic_dgram_queue *q, size_t len) {
    size_t capacity = q->capacity > 0 ? q->capacity : RING_MIN;
    while (capacity - q->held < len)
        capacity *= 2;
    if (capacity == q->capacity)
        return 0;
    uint8_t *ring = malloc(capacity);
    if (ring == NULL)
        return IROH_ERR_NOMEM;
    if (q->held > 0)
        peek(q, 0, ring, q->held);
    free(q->ring);
    q->ring = ring;
    q->capacity = capacity;
    q->head = 0;
    return 0;
}

static void remove_first(quic_dgram_queue *q) {
    size_t len = quic_dgrams_first_len(q);
    q->head = (q->head + LENGTH_SIZE + len) & (q->capacity - 1);
    q->held -= LENGTH_SIZE + len;
    q->used -= len + DGRAM_OVERHEAD;
    if (q->held == 0 && q->capacity > RING_KEEP)
        quic_dgrams_dispose(q);
}

// --- The queue

bool quic_dgrams_empty(const quic_dgram_queue *q) {
    return q->held == 0;
}

size_t quic_dgrams_first_len(const quic_dgram_queue *q) {
    uint32_t len = 0;
    if (q->held > 0)
        peek(q, 0, &len, sizeof len);
    return len;
}

int quic_dgrams_push(quic_dgram_queue *q, const uint8_t *bytes, size_t len, bool drop_oldest) {
    if (len > UINT32_MAX || len + DGRAM_OVERHEAD > q->max)
        return IROH_ERR_TOO_LARGE;
    if (q->used + len + DGRAM_OVERHEAD > q->max && !drop_oldest)
        return IROH_ERR_AGAIN;
    while (q->used + len + DGRAM_OVERHEAD > q->max) {
        remove_first(q);
        q->dropped++;
    }
    int r = reserve(q, LENGTH_SIZE + len);
    if (r != 0)
        return r;
    uint32_t length = (uint32_t)len;
    put(q, &length, sizeof length);
    put(q, bytes, len);
    q->used += len + DGRAM_OVERHEAD;
    return 0;
}

int quic_dgrams_pop(quic_dgram_queue *q, uint8_t *out, size_t room) {
    if (q->held == 0)
        return IROH_ERR_AGAIN;
    size_t len = quic_dgrams_first_len(q);
    peek(q, LENGTH_SIZE, out, len < room ? len : room);
    remove_first(q);
    return (int)len;
}

void quic_dgrams_write(quic_dgram_queue *q, quic_builder *b, size_t max_payload) {
    while (!b->full && q->held > 0) {
        size_t len = quic_dgrams_first_len(q);
        if (len > max_payload) {
            remove_first(q);
            q->dropped++;
            continue;
        }
        if (writer_left(&b->w) < 1 + varint_size(len) + len)
            return;
        writer_u8(&b->w, FRAME_DATAGRAM_LEN);
        writer_varint(&b->w, len);
        (void)quic_dgrams_pop(q, writer_room(&b->w, len), len);
        b->flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
    }
}
