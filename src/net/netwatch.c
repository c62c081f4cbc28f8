#include "net/netwatch.h"

void netwatch_init(netwatch *w, uint64_t now, uint64_t wall) {
    *w = (netwatch){.news_at = TIME_NEVER, .look_at = TIME_NEVER, .next_at = TIME_NEVER, .ahead = wall - now};
}

void netwatch_rest(netwatch *w, bool rest, uint64_t now) {
    if (rest)
        w->next_at = TIME_NEVER;
    else if (w->next_at == TIME_NEVER)
        w->next_at = time_add(now, NETWATCH_INTERVAL);
}

void netwatch_on_news(netwatch *w, uint64_t now) {
    if (w->news_at != TIME_NEVER)
        return;
    w->news_at = now;
    w->look_at = time_add(now, NETWATCH_PAUSE);
}

uint64_t netwatch_deadline(const netwatch *w) {
    return time_min(w->look_at, w->next_at);
}

bool netwatch_wants_look(netwatch *w, bool more, uint64_t now) {
    if (netwatch_deadline(w) > now)
        return false;
    if (more && w->news_at == TIME_NEVER)
        w->news_at = now;
    if (!more || now >= time_add(w->news_at, NETWATCH_BUSY_MAX))
        return true;
    w->look_at = time_add(now, NETWATCH_PAUSE);
    if (w->next_at <= now)
        w->next_at = time_add(now, NETWATCH_INTERVAL);
    return false;
}

static bool was_asleep(netwatch *w, uint64_t now, uint64_t wall) {
    uint64_t gained = wall - now - w->ahead;
    w->ahead += gained;
    // A wall clock that was set back gained nothing.
    return gained >= NETWATCH_ASLEEP && gained < TIME_NEVER / 2;
}

static void note(netwatch *w, int change, uint64_t now) {
    if (change == NETWATCH_NOTHING)
        return;
    if (w->pending == NETWATCH_NOTHING) {
        w->since = now;
        w->step = NETWATCH_ROUTE_FIRST;
    }
    w->pending = change > w->pending ? change : w->pending;
}

int netwatch_looked(netwatch *w, int change, bool way_out, uint64_t now, uint64_t wall) {
    w->news_at = w->look_at = TIME_NEVER;
    if (w->next_at != TIME_NEVER)
        w->next_at = time_add(now, NETWATCH_INTERVAL);
    if (was_asleep(w, now, wall) && change == NETWATCH_NOTHING)
        change = NETWATCH_MINOR;
    note(w, change, now);
    int told = w->pending;
    if (told == NETWATCH_NOTHING)
        return told;
    if (way_out || now >= time_add(w->since, NETWATCH_ROUTE_MAX)) {
        w->pending = NETWATCH_NOTHING;
        return told;
    }
    w->look_at = time_min(time_add(now, w->step), time_add(w->since, NETWATCH_ROUTE_MAX));
    w->step = time_min(2 * w->step, NETWATCH_ROUTE_STEP);
    return NETWATCH_NOTHING;
}
