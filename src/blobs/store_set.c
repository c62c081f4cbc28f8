#include "blobs/store_set.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#define FIRST_CAPACITY 64

void store_set_init(store_set *s, uint64_t seed) {
    *s = (store_set){.seed = seed};
}

void store_set_dispose(store_set *s) {
    free(s->slots);
    free(s->used);
    *s = (store_set){.seed = s->seed};
}

static uint64_t mixed(uint64_t v) {
    v = (v ^ v >> 32) * 0xd6e8feb86659fd93u;
    return v ^ v >> 32;
}

// The slot of the hash, or the free one where it belongs. There is always a free one.
static size_t find(const store_set *s, const uint8_t hash[32]) {
    uint64_t a, b;
    memcpy(&a, hash, 8);
    memcpy(&b, hash + 16, 8);
    size_t i = (size_t)mixed(mixed(a ^ s->seed) ^ b) & (s->capacity - 1);
    while (s->used[i] && memcmp(s->slots[i], hash, 32) != 0)
        i = (i + 1) & (s->capacity - 1);
    return i;
}

static int grow(store_set *s) {
    store_set larger = {.capacity = s->capacity > 0 ? 2 * s->capacity : FIRST_CAPACITY, .seed = s->seed};
    larger.slots = malloc(larger.capacity * sizeof *larger.slots);
    larger.used = calloc(larger.capacity, 1);
    if (larger.slots == NULL || larger.used == NULL) {
        store_set_dispose(&larger);
        return IROH_ERR_NOMEM;
    }
    for (size_t i = 0; i < s->capacity; i++) {
        if (!s->used[i])
            continue;
        size_t to = find(&larger, s->slots[i]);
        memcpy(larger.slots[to], s->slots[i], 32);
        larger.used[to] = 1;
    }
    larger.count = s->count;
    store_set_dispose(s);
    *s = larger;
    return 0;
}

int store_set_add(store_set *s, const uint8_t hash[32]) {
    if (store_set_has(s, hash))
        return 1;
    if (4 * (s->count + 1) > 3 * s->capacity) {
        int r = grow(s);
        if (r != 0)
            return r;
    }
    size_t i = find(s, hash);
    memcpy(s->slots[i], hash, 32);
    s->used[i] = 1;
    s->count++;
    return 0;
}

bool store_set_has(const store_set *s, const uint8_t hash[32]) {
    return s->capacity > 0 && s->used[find(s, hash)];
}
