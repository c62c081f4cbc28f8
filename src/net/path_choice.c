#include "net/path_choice.h"

bool path_ends_equal(const path_ends *a, const path_ends *b) {
    return addr_equal(&a->remote, &b->remote) &&
           (a->local.kind == ADDR_NONE || b->local.kind == ADDR_NONE || addr_same_host(&a->local, &b->local));
}

static int tier(const path_candidate *c) {
    return c->ends.remote.kind == ADDR_RELAY;
}

// Lower is better. The bonus of IPv6 is a malus of all others, so that no time is negative.
static uint64_t cost(const path_candidate *c) {
    return c->ends.remote.kind == ADDR_IP6 ? c->rtt : time_add(c->rtt, PATH_CHOICE_IP6_BONUS);
}

static bool better(const path_candidate *a, const path_candidate *b) {
    return tier(a) != tier(b) ? tier(a) < tier(b) : cost(a) < cost(b);
}

int path_choose(const path_candidate *candidates, size_t count, const path_ends *current) {
    int best = -1, now = -1;
    for (size_t i = 0; i < count; i++) {
        if (best < 0 || better(&candidates[i], &candidates[best]))
            best = (int)i;
        if (current != NULL && path_ends_equal(&candidates[i].ends, current) &&
            (now < 0 || better(&candidates[i], &candidates[now])))
            now = (int)i;
    }
    if (best < 0 || now < 0 || tier(&candidates[now]) != tier(&candidates[best]))
        return best;
    return time_add(cost(&candidates[best]), PATH_CHOICE_GAIN_MIN) <= cost(&candidates[now]) ? best : -1;
}
