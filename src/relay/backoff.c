#include "relay/backoff.h"

uint64_t relay_backoff_failed(relay_backoff *b, const entropy *random) {
    uint64_t wait = RELAY_BACKOFF_MIN;
    for (unsigned i = 0; i < b->failures && wait < RELAY_BACKOFF_MAX; i++)
        wait *= 2;
    b->failures++;
    wait = time_min(wait, RELAY_BACKOFF_MAX);
    return wait + entropy_below(random, wait);
}

uint64_t relay_backoff_lost(relay_backoff *b, const entropy *random) {
    b->failures = 0;
    return entropy_below(random, RELAY_RECONNECT_SPREAD);
}
