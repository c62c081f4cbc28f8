// When to dial a relay again: 10 ms, doubling to 16 s, each stretched by up to itself; and soon after a connection that
// had worked, but not for all clients of a relay at the same instant.
#ifndef RELAY_BACKOFF_H
#define RELAY_BACKOFF_H

#include <stdint.h>

#include "base/clock.h"
#include "base/entropy.h"

#define RELAY_BACKOFF_MIN (10 * NS_PER_MS)
#define RELAY_BACKOFF_MAX (16 * NS_PER_S)
#define RELAY_RECONNECT_SPREAD (100 * NS_PER_MS)  // of clients whose working connection broke

typedef struct relay_backoff {
    unsigned failures;  // in a row
} relay_backoff;

// The wait after a failed attempt, ns.
uint64_t relay_backoff_failed(relay_backoff *b, const entropy *random);

// The wait after the loss of a connection that had worked, ns; the next failure starts from the beginning.
uint64_t relay_backoff_lost(relay_backoff *b, const entropy *random);

#endif
