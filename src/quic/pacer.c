#include "quic/pacer.h"

#include "base/clock.h"

#define BURST_NS (2 * NS_PER_MS)
#define RATE_MIN UINT64_C(1)
#define RATE_MAX (UINT64_C(1) << 40)    // bytes per second
#define WINDOW_MAX (UINT64_C(1) << 33)  // bytes: keeps 1.25e9 * window within 64 bits
#define START_RATE UINT64_C(45000)      // 1.25 * 12000 bytes over the initial 333 ms
#define WINDOW_BURSTS 4                 // bursts that a window is sent in, at least
#define CAPACITY_BURSTS 2               // half a full bucket is left for a timer that fires late

static uint64_t clamp(uint64_t v, uint64_t min, uint64_t max) {
    if (v < min)
        return min;
    return v < max ? v : max;
}

static void refill(quic_pacer *p, uint64_t now) {
    if (now <= p->last)
        return;
    uint64_t elapsed = now - p->last;
    p->last = now;
    // More waiting than fills it from empty changes nothing; stopping there also keeps the product in range.
    elapsed = time_min(elapsed, p->capacity * NS_PER_S / p->rate + 1);
    uint64_t gained = p->fraction + elapsed * p->rate;
    p->tokens += gained / NS_PER_S;
    p->fraction = gained % NS_PER_S;
    if (p->tokens >= p->capacity) {
        p->tokens = p->capacity;
        p->fraction = 0;
    }
}

void quic_pacer_init(quic_pacer *p, uint64_t now, uint64_t mtu) {
    *p = (quic_pacer){
        .capacity = PACER_BURST_MIN * mtu,
        .tokens = PACER_BURST_MIN * mtu,
        .rate = START_RATE,
        .last = now,
        .mtu = mtu,
        .burst = mtu,
    };
}

static uint64_t window_rate(uint64_t window, uint64_t smoothed_rtt) {
    uint64_t rtt = time_max(smoothed_rtt, 1);
    return clamp(window, 1, WINDOW_MAX) * (NS_PER_S + NS_PER_S / 4) / rtt;
}

void quic_pacer_update(quic_pacer *p, uint64_t now, uint64_t window, uint64_t smoothed_rtt, uint64_t mtu,
                       uint64_t controller_rate, uint64_t quantum) {
    refill(p, now);
    uint64_t rate = controller_rate != 0 ? controller_rate : window_rate(window, smoothed_rtt);
    p->rate = clamp(rate, RATE_MIN, RATE_MAX);
    p->mtu = mtu;
    uint64_t most = PACER_BURST_MAX * mtu;
    uint64_t least =
        quantum != 0 ? clamp(CAPACITY_BURSTS * quantum, CAPACITY_BURSTS * mtu, most) : PACER_BURST_MIN * mtu;
    p->capacity = clamp(p->rate / (NS_PER_S / BURST_NS), least, most);
    p->burst = clamp(quantum != 0 ? quantum : window / WINDOW_BURSTS, mtu, p->capacity / CAPACITY_BURSTS);
    p->tokens = time_min(p->tokens, p->capacity);
}

uint64_t quic_pacer_budget(quic_pacer *p, uint64_t now) {
    refill(p, now);
    if (p->tokens < p->mtu)
        p->dry = true;
    else if (p->tokens >= p->burst)
        p->dry = false;
    return p->dry ? 0 : p->tokens;
}

void quic_pacer_spend(quic_pacer *p, uint64_t bytes) {
    p->tokens = bytes < p->tokens ? p->tokens - bytes : 0;
}

uint64_t quic_pacer_ready_at(const quic_pacer *p) {
    uint64_t want = p->dry ? p->burst : p->mtu;
    if (p->tokens >= want)
        return p->last;
    uint64_t missing = (want - p->tokens) * NS_PER_S - p->fraction;
    return time_add(p->last, (missing + p->rate - 1) / p->rate);
}
