#include "relay_server/pace.h"

// The intervals, each with the most frames that may gather in it: more would not be much cheaper, but later.
static const struct {
    uint64_t interval;  // ns
    uint32_t frames;
} paces[PACES] = {
    [PACE_SLOWEST] = {2000 * NS_PER_US, 4},
    {1500 * NS_PER_US, 6},
    {1000 * NS_PER_US, 10},
    [PACE_FASTEST] = {500 * NS_PER_US, UINT32_MAX},
};

void pace_init(pace *p, uint64_t now) {
    *p = (pace){.since = now, .at = PACE_WATCHED};
}

uint64_t pace_interval(int at) {
    return paces[at].interval;
}

uint64_t pace_next(int at, uint64_t now) {
    return time_add(now - now % paces[at].interval, paces[at].interval);
}

// Whether too much gathers at this pace, if as much comes as came in `elapsed`.
static bool gathers_too_much(const pace *p, int at, uint64_t elapsed) {
    uint64_t interval = paces[at].interval;
    return p->frames * interval > elapsed * paces[at].frames || p->bytes * interval > elapsed * PACE_BYTES;
}

static uint8_t interval_for(const pace *p, uint64_t elapsed) {
    uint8_t at = PACE_SLOWEST;
    while (at < PACE_FASTEST && gathers_too_much(p, at, elapsed))
        at++;
    return at;
}

static uint8_t judge(const pace *p, uint64_t elapsed) {
    bool watched = p->at == PACE_WATCHED;
    bool fast = p->frames * (watched ? PACE_BEGIN : PACE_END) >= elapsed;
    bool large = watched && p->bytes >= (uint64_t)p->reads * PACE_BYTES;
    return fast && !large ? interval_for(p, elapsed) : PACE_WATCHED;
}

bool pace_read(pace *p, uint32_t frames, size_t bytes, uint64_t now) {
    uint8_t before = p->at;
    uint64_t elapsed = now - p->since;
    p->reads += frames > 0;
    p->frames += frames;
    p->bytes += (uint32_t)bytes;
    if (elapsed >= PACE_WINDOW) {
        uint8_t at = judge(p, elapsed);
        pace_init(p, now);
        p->at = at;
    }
    return p->at != before;
}
