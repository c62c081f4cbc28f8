// Which of the paths to a peer is the best: direct before relayed, then the shorter round trip, with a preference for
// IPv6 and for leaving things as they are.
#ifndef NET_PATH_CHOICE_H
#define NET_PATH_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"

#define PATH_CHOICE_IP6_BONUS (3 * NS_PER_MS)  // an IPv6 path may be slower by this
#define PATH_CHOICE_GAIN_MIN (5 * NS_PER_MS)   // what a change to a path of the same kind must win

// A path as far as its choice goes.
typedef struct path_ends {
    addr remote;
    addr local;  // ADDR_NONE: any
} path_ends;

typedef struct path_candidate {
    path_ends ends;
    uint64_t rtt;  // ns, smoothed
} path_candidate;

// The same remote address, and the same local host as far as both are known.
bool path_ends_equal(const path_ends *a, const path_ends *b);

// The number of the candidate to use; -1 to keep `current`, which may be null: then only without candidates.
int path_choose(const path_candidate *candidates, size_t count, const path_ends *current);

#endif
