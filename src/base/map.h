// Hash map from uint64_t to a non-null pointer: open addressing, linear probing with backward-shift deletion, so there
// are no tombstones and a table that shrinks in use shrinks in memory.
//
// Keys are mixed with a per-map secret (SipHash-style strength is the caller's: pass random `seed`s where strangers
// choose keys). Value type; `map_init` allocates nothing.
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct map_slot {
    uint64_t key;
    void *value;  // null: free
} map_slot;

typedef struct map {
    map_slot *slots;
    size_t capacity;  // 0 or a power of two
    size_t count;
    uint64_t seed[2];
} map;

void map_init(map *m, const uint64_t seed[static 2]);
void map_dispose(map *m);

void *map_get(const map *m, uint64_t key);  // null when absent

// Inserts or replaces. IROH_ERR_NOMEM leaves the map unchanged. `value` is not null.
int map_put(map *m, uint64_t key, void *value);

void *map_remove(map *m, uint64_t key);  // the value that was there, or null

// Iteration: *at starts at 0; returns the next value and stores its key, null at the end. No changes meanwhile.
void *map_next(const map *m, size_t *at, uint64_t *key);

#endif
