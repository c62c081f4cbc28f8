// A set of hashes: open addressing over bytes that are random already, as far as nobody grinds them; a seed takes care of
// those who do.
#ifndef BLOBS_STORE_SET_H
#define BLOBS_STORE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct store_set {
    uint8_t (*slots)[32];
    uint8_t *used;    // a byte for each slot
    size_t capacity;  // 0 or a power of two
    size_t count;
    uint64_t seed;
} store_set;

void store_set_init(store_set *s, uint64_t seed);
void store_set_dispose(store_set *s);
int store_set_add(store_set *s, const uint8_t hash[32]);  // 1 when it was there, 0, or IROH_ERR_NOMEM
bool store_set_has(const store_set *s, const uint8_t hash[32]);

#endif
