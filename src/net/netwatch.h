// When to look at the machine's network, and when to say that it changed.
//
// News of the system come in bursts, so the network is looked at once they have paused, or have gone on for long. A
// change is told when there is a way to the Internet again, since trying paths before only fails; but not later than
// after five seconds, since there are networks without one. Several changes meanwhile are one; the major one counts.
//
// Every fifteen seconds the network is looked at in any case, and the clocks are compared: if the wall clock went on
// without the monotonic one, the machine was asleep, which is a minor change.
//
// Pure state, over clocks that are passed in.
#ifndef NET_NETWATCH_H
#define NET_NETWATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define NETWATCH_PAUSE (250 * NS_PER_MS)        // without news
#define NETWATCH_BUSY_MAX (2 * NS_PER_S)        // of news without a pause
#define NETWATCH_INTERVAL (15 * NS_PER_S)       // between looks that nothing calls for
#define NETWATCH_ASLEEP (7 * NS_PER_S)          // that the wall clock gains between two looks
#define NETWATCH_ROUTE_FIRST (100 * NS_PER_MS)  // then doubling
#define NETWATCH_ROUTE_STEP (1 * NS_PER_S)      // at most
#define NETWATCH_ROUTE_MAX (5 * NS_PER_S)       // in all

enum { NETWATCH_NOTHING = 0, NETWATCH_MINOR, NETWATCH_MAJOR };

typedef struct netwatch {
    uint64_t news_at;  // ns: the first of the present news; TIME_NEVER: none
    uint64_t look_at;  // ns: because of news, or for a way out
    uint64_t next_at;  // ns: the look that nothing calls for; TIME_NEVER: resting
    uint64_t ahead;    // ns: what the wall clock is ahead of the monotonic one, modulo 2^64
    int pending;       // a change that waits to be told
    uint64_t since;    // ns: when it began to wait
    uint64_t step;     // ns: the wait for a way out
} netwatch;

void netwatch_init(netwatch *w, uint64_t now, uint64_t wall);

// Whether looks that nothing calls for are made: without anybody who needs the network they need not be.
void netwatch_rest(netwatch *w, bool rest, uint64_t now);

void netwatch_on_news(netwatch *w, uint64_t now);
uint64_t netwatch_deadline(const netwatch *w);

// At the deadline: whether to look now. `more`: there were further news since the latest call.
bool netwatch_wants_look(netwatch *w, bool more, uint64_t now);

// After a look: `change` since the look before (NETWATCH_*), and whether there is a way out. What to tell now.
int netwatch_looked(netwatch *w, int change, bool way_out, uint64_t now, uint64_t wall);

#endif
