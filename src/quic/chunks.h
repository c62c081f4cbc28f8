// Memory of stream buffers: chunks of three sizes, so that a few bytes cost little and many bytes cost few pieces.
//
// A store keeps a few spare chunks of each size for one connection, so that a busy stream allocates nothing; when no
// chunk is in use it keeps fewer, and none after quic_chunks_trim. Buffers without a store (a null pointer) use malloc
// and free.
#ifndef QUIC_CHUNKS_H
#define QUIC_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNK_SMALL = 0, CHUNK_MEDIUM = 1, CHUNK_LARGE = 2, CHUNK_SIZES = 3, CHUNK_LENT = 3 };

#define CHUNK_LARGE_ROOM 16384  // bytes of data in the largest chunk

typedef struct quic_chunk {
    struct quic_chunk *next;
    uint64_t base;   // stream offset of data[0]
    uint32_t room;   // bytes that the owner may use, at most those of its size
    uint32_t used;   // bytes in use; the owner's
    uint8_t size;    // CHUNK_SMALL..CHUNK_LARGE, or CHUNK_LENT
    uint8_t pad[7];  // data starts at a multiple of 16
    uint8_t data[];
} quic_chunk;

// Bytes of somebody else, who hears when they are not needed any more.
typedef struct quic_loan {
    const uint8_t *bytes;
    void (*release)(void *user, const void *bytes);
    void *user;
} quic_loan;

// Whoever has received bytes and can let others keep some of them: `keep` comes first, then a loan with `release` and
// `loan_user`.
typedef struct quic_lender {
    void (*keep)(void *user);
    void (*release)(void *loan_user, const void *bytes);
    void *user, *loan_user;
} quic_lender;

typedef struct quic_chunks {
    quic_chunk *spare[CHUNK_SIZES];
    uint32_t spare_count[CHUNK_SIZES];
    uint32_t in_use;  // chunks taken and not given back
    bool keep;        // false: every chunk goes to free at once, which shows sanitizers who uses it too long
} quic_chunks;

void quic_chunks_init(quic_chunks *store);

// Frees all spare chunks; those in use stay valid.
void quic_chunks_trim(quic_chunks *store);

// The smallest size that holds `len` bytes, CHUNK_LARGE for everything larger.
unsigned quic_chunk_fit(size_t len);

// An empty chunk with next null, base 0, used 0 and the full room of `size`; null when out of memory.
quic_chunk *quic_chunk_take(quic_chunks *store, unsigned size);

// A chunk whose bytes are lent: full, and for reading only. Null when out of memory.
quic_chunk *quic_chunk_lend(quic_chunks *store, const quic_loan *loan, uint32_t len);

static inline const uint8_t *quic_chunk_bytes(const quic_chunk *c) {
    return c->size == CHUNK_LENT ? ((const quic_loan *)(const void *)c->data)->bytes : c->data;
}

// Gives a chunk and all that follow it back, and loans to their owners; null is ignored.
void quic_chunk_give(quic_chunks *store, quic_chunk *c);

#endif
