// A set of endpoint ids: whom a client has sent to, to be told when it goes. Bounded: notices are advice, so whoever does
// not fit is not told.
#ifndef RELAY_PEERS_H
#define RELAY_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/frame.h"

#define RELAY_PEERS_MAX 4096

typedef struct relay_peers {
    uint8_t (*slots)[RELAY_ID];  // open addressing; a slot of zeroes is free
    uint32_t count, room;        // room: 0 or a power of two
    uint64_t seed;               // secret, so that nobody can make ids meet in one slot
} relay_peers;

void relay_peers_init(relay_peers *p, uint64_t seed);
void relay_peers_dispose(relay_peers *p);

// True when it is in the set now; false when it did not fit (bound or memory). The id of zeroes, of small order and so
// nobody's, never does.
bool relay_peers_add(relay_peers *p, const uint8_t id[static RELAY_ID]);

// Iteration: *at starts at 0; null at the end.
const uint8_t *relay_peers_next(const relay_peers *p, size_t *at);

#endif
