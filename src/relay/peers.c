#include "relay/peers.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_MIN 8  // slots

static const uint8_t nobody[RELAY_ID];

void relay_peers_init(relay_peers *p, uint64_t seed) {
    *p = (relay_peers){.seed = seed};
}

void relay_peers_dispose(relay_peers *p) {
    free(p->slots);
    relay_peers_init(p, p->seed);
}

static uint64_t hash_of(const relay_peers *p, const uint8_t *id) {
    uint64_t words[4], h = p->seed;
    memcpy(words, id, sizeof words);
    for (size_t i = 0; i < 4; i++) {
        h = (h ^ words[i]) * UINT64_C(0xd6e8feb86659fd93);
        h ^= h >> 32;
    }
    return h;
}

// The slot of `id`, or the free one where it would go.
static uint8_t *find(const relay_peers *p, const uint8_t *id) {
    size_t i = (size_t)hash_of(p, id) & (p->room - 1);
    while (memcmp(p->slots[i], id, RELAY_ID) != 0 && memcmp(p->slots[i], nobody, RELAY_ID) != 0)
        i = (i + 1) & (p->room - 1);
    return p->slots[i];
}

static bool grow(relay_peers *p) {
    relay_peers old = *p;
    p->room = old.room == 0 ? PEERS_MIN : 2 * old.room;
    p->slots = calloc(p->room, RELAY_ID);
    if (p->slots == NULL) {
        *p = old;
        return false;
    }
    size_t at = 0;
    for (const uint8_t *id; (id = relay_peers_next(&old, &at)) != NULL;)
        memcpy(find(p, id), id, RELAY_ID);
    free(old.slots);
    return true;
}

bool relay_peers_add(relay_peers *p, const uint8_t id[static RELAY_ID]) {
    if (memcmp(id, nobody, RELAY_ID) == 0)
        return false;
    if (p->room > 0 && memcmp(find(p, id), id, RELAY_ID) == 0)
        return true;
    if (p->count == RELAY_PEERS_MAX || ((p->count + 1) * 4 > p->room * 3 && !grow(p)))
        return false;
    memcpy(find(p, id), id, RELAY_ID);
    p->count++;
    return true;
}

const uint8_t *relay_peers_next(const relay_peers *p, size_t *at) {
    while (*at < p->room) {
        const uint8_t *id = p->slots[(*at)++];
        if (memcmp(id, nobody, RELAY_ID) != 0)
            return id;
    }
    return NULL;
}
