#include "base/map.h"

#include <stdlib.h>

#include <iroh/error.h>

#define MAP_MIN 8

static uint64_t mix(const map *m, uint64_t key) {
    uint64_t x = key ^ m->seed[0];
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ (x >> 32) ^ m->seed[1]) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

void map_init(map *m, const uint64_t seed[static 2]) {
    *m = (map){.seed = {seed[0], seed[1]}};
}

void map_dispose(map *m) {
    free(m->slots);
    m->slots = NULL;
    m->capacity = m->count = 0;
}

// The slot of `key`, or the free one where it would go.
static map_slot *find(const map *m, uint64_t key) {
    size_t i = (size_t)mix(m, key) & (m->capacity - 1);
    while (m->slots[i].value != NULL && m->slots[i].key != key)
        i = (i + 1) & (m->capacity - 1);
    return &m->slots[i];
}

void *map_get(const map *m, uint64_t key) {
    return m->count == 0 ? NULL : find(m, key)->value;
}

static int resize(map *m, size_t capacity) {
    map_slot *slots = calloc(capacity, sizeof *slots);
    if (slots == NULL)
        return IROH_ERR_NOMEM;
    map old = *m;
    m->slots = slots;
    m->capacity = capacity;
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.slots[i].value != NULL)
            *find(m, old.slots[i].key) = old.slots[i];
    }
    free(old.slots);
    return 0;
}

int map_put(map *m, uint64_t key, void *value) {
    if ((m->count + 1) * 4 > m->capacity * 3) {
        int r = resize(m, m->capacity == 0 ? MAP_MIN : 2 * m->capacity);
        if (r != 0)
            return r;
    }
    map_slot *s = find(m, key);
    m->count += s->value == NULL;
    *s = (map_slot){.key = key, .value = value};
    return 0;
}

// Closes the gap at `hole` so that every probe sequence stays unbroken.
static void shift_back(map *m, size_t hole) {
    size_t mask = m->capacity - 1;
    for (size_t i = (hole + 1) & mask; m->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = (size_t)mix(m, m->slots[i].key) & mask;
        if (((i - home) & mask) < ((i - hole) & mask))
            continue;
        m->slots[hole] = m->slots[i];
        hole = i;
    }
    m->slots[hole].value = NULL;
}

void *map_remove(map *m, uint64_t key) {
    if (m->count == 0)
        return NULL;
    map_slot *s = find(m, key);
    void *value = s->value;
    if (value == NULL)
        return NULL;
    shift_back(m, (size_t)(s - m->slots));
    m->count--;
    if (m->count == 0)
        map_dispose(m);
    else if (m->capacity > MAP_MIN && m->count * 8 < m->capacity)
        (void)resize(m, m->capacity / 2);  // staying large is fine too
    return value;
}

void *map_next(const map *m, size_t *at, uint64_t *key) {
    while (*at < m->capacity) {
        const map_slot *s = &m->slots[(*at)++];
        if (s->value == NULL)
            continue;
        *key = s->key;
        return s->value;
    }
    return NULL;
}
