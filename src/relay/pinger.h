// One outstanding ping at a time: its random data, the deadline of its pong, and the round trip that was last measured.
#ifndef RELAY_PINGER_H
#define RELAY_PINGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/entropy.h"
#include "relay/frame.h"

#define RELAY_PONG_MIN (500 * NS_PER_MS)
#define RELAY_PONG_MAX (5 * NS_PER_S)  // also before the first round trip is known

typedef struct relay_pinger {
    uint8_t data[RELAY_PING];
    bool waiting;
    uint64_t sent;  // ns
    uint64_t rtt;   // ns; 0: not known
} relay_pinger;

// Forgets everything.
void relay_pinger_init(relay_pinger *p);

// Draws new data, which replace those of an outstanding ping, and starts its deadline.
void relay_pinger_sent(relay_pinger *p, const entropy *random, uint64_t now);

// True when these are the data of the outstanding ping; a late or unknown pong changes nothing.
bool relay_pinger_pong(relay_pinger *p, const uint8_t data[static RELAY_PING], uint64_t now);

// When the pong is overdue: sent + three round trips within the bounds; TIME_NEVER when none is outstanding.
uint64_t relay_pinger_deadline(const relay_pinger *p);

#endif
