#include "relay/pinger.h"

#include <string.h>

void relay_pinger_init(relay_pinger *p) {
    *p = (relay_pinger){0};
}

void relay_pinger_sent(relay_pinger *p, const entropy *random, uint64_t now) {
    entropy_fill(random, p->data, sizeof p->data);
    p->waiting = true;
    p->sent = now;
}

bool relay_pinger_pong(relay_pinger *p, const uint8_t data[static RELAY_PING], uint64_t now) {
    if (!p->waiting || memcmp(p->data, data, sizeof p->data) != 0)
        return false;
    p->waiting = false;
    // 0 stands for unknown; a round trip takes at least an instant, and a clock that went back says nothing.
    p->rtt = now > p->sent ? now - p->sent : 1;
    return true;
}

uint64_t relay_pinger_deadline(const relay_pinger *p) {
    if (!p->waiting)
        return TIME_NEVER;
    uint64_t wait = RELAY_PONG_MAX;
    if (p->rtt > 0 && p->rtt < RELAY_PONG_MAX / 3)
        wait = time_max(3 * p->rtt, RELAY_PONG_MIN);
    return time_add(p->sent, wait);
}
