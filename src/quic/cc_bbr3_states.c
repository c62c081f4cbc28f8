// The states of BBRv3 (draft-ietf-ccwg-bbr, section 5.3): Startup looks for the rate of the path exponentially, Drain
// empties the queue that this left, then a cycle of Down, Cruise, Refill and Up tries for more every now and then, and
// ProbeRTT lets the queue run empty when the shortest round trip has not been seen for a while.
//
// The draft wants waiting times spread at random so that flows do not probe in step. This needs no secrets: a generator
// that starts from the clock keeps a run in virtual time repeatable.
#include "quic/cc_bbr3.h"

#include "base/clock.h"

#define FULL_BW_GROWTH 1.25    // a rate that grows less within a round trip has stopped growing,
#define FULL_BW_ROUNDS 3       // after this many of them
#define STARTUP_LOSS_RANGES 6  // gaps in one round trip that end Startup
#define DRAIN_ROUNDS 3         // at most
#define PROBE_WAIT_MIN (2 * NS_PER_S)
#define PROBE_WAIT_SPREAD NS_PER_S
#define RENO_ROUNDS 63    // NewReno would have used a larger share by then
#define UP_ROUNDS_MAX 30  // doublings of the slope
#define PROBE_RTT_DURATION (200 * NS_PER_MS)

static const struct {
    double pacing, window;
} gains[] = {
    [BBR3_STARTUP] = {2.77, 2},  // 4 ln 2: the rate doubles each round trip
    [BBR3_DRAIN] = {0.5, 2},    [BBR3_DOWN] = {0.9, 2},   [BBR3_CRUISE] = {1, 2},
    [BBR3_REFILL] = {1, 2},     [BBR3_UP] = {1.25, 2.25}, [BBR3_PROBE_RTT] = {1, 0.5},
};

double bbr3_pacing_gain(const quic_bbr3 *b) {
    return gains[b->state].pacing;
}

double bbr3_window_gain(const quic_bbr3 *b) {
    return gains[b->state].window;
}

bool bbr3_in_probe_bw(const quic_bbr3 *b) {
    return b->state >= BBR3_DOWN && b->state <= BBR3_UP;
}

bool bbr3_accelerates(const quic_bbr3 *b) {
    return b->state == BBR3_STARTUP || b->state == BBR3_REFILL || b->state == BBR3_UP;
}

static void start_round(quic_bbr3 *b) {
    b->next_round_delivered = b->rate.delivered;
}

static uint64_t draw(quic_bbr3 *b, uint64_t bound) {
    // splitmix64
    uint64_t z = (b->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

// --- Startup and Drain

void bbr3_enter_startup(quic_bbr3 *b) {
    b->state = BBR3_STARTUP;
}

void bbr3_reset_full_bw(quic_bbr3 *b, uint64_t baseline) {
    b->full_bw = baseline;
    b->full_bw_count = 0;
    b->full_bw_now = false;
}

static void check_full_bw(quic_bbr3 *b, const quic_rate_sample *s) {
    if (b->full_bw_now || !b->round_start || s->app_limited)
        return;
    if ((double)s->rate >= FULL_BW_GROWTH * (double)b->full_bw) {
        bbr3_reset_full_bw(b, s->rate);
        return;
    }
    b->full_bw_now = ++b->full_bw_count >= FULL_BW_ROUNDS;
    b->full_bw_reached |= b->full_bw_now;
}

static void enter_drain(quic_bbr3 *b) {
    b->state = BBR3_DRAIN;
    b->drain_start_round = b->round_count;
}

void bbr3_startup_too_high(quic_cc *c) {
    quic_bbr3 *b = &c->state.bbr3;
    b->undo_state = BBR3_STARTUP;
    b->full_bw_reached = true;
    uint64_t bdp = bbr3_bdp(c, bbr3_max_bw(b), 1);
    b->inflight_longterm = bdp > b->inflight_latest ? bdp : b->inflight_latest;
    enter_drain(b);
}

static void check_startup_loss(quic_cc *c, const quic_rate_sample *s) {
    quic_bbr3 *b = &c->state.bbr3;
    if (!b->loss_round_start)
        return;
    if (b->state == BBR3_STARTUP && b->loss_ranges >= STARTUP_LOSS_RANGES && bbr3_inflight_too_high(s))
        bbr3_startup_too_high(c);
    b->loss_ranges = 0;
}

// --- The cycle of ProbeBW

static void start_down(quic_bbr3 *b, uint64_t now) {
    bbr3_reset_congestion(b);
    b->probe_up_acked_per_inc = BBR3_NONE;
    b->rounds_since_probe_up = draw(b, 2);
    b->bw_probe_wait = PROBE_WAIT_MIN + draw(b, PROBE_WAIT_SPREAD);
    b->cycle_stamp = now;
    b->acks = BBR3_ACKS_PROBE_STOPPING;
    start_round(b);
    b->state = BBR3_DOWN;
}

void bbr3_start_refill(quic_bbr3 *b) {
    bbr3_reset_short_term(b);
    b->probe_up_rounds = 0;
    b->probe_up_acked = 0;
    b->prev_probe_precautionary = false;
    b->acks = BBR3_ACKS_REFILLING;
    start_round(b);
    b->state = BBR3_REFILL;
}

// The limit grows by 1, 2, 4... datagrams in one round trip after the other.
static void raise_slope(quic_cc *c) {
    quic_bbr3 *b = &c->state.bbr3;
    uint64_t per_inc = c->window >> b->probe_up_rounds;
    if (b->probe_up_rounds < UP_ROUNDS_MAX)
        b->probe_up_rounds++;
    b->probe_up_acked_per_inc = per_inc > c->mss ? per_inc : c->mss;
}

static void start_up(quic_cc *c, const quic_rate_sample *s) {
    quic_bbr3 *b = &c->state.bbr3;
    b->bw_probe_sample = true;
    b->acks = BBR3_ACKS_PROBE_STARTING;
    start_round(b);
    bbr3_reset_full_bw(b, s->rate);
    b->state = BBR3_UP;
    raise_slope(c);
}

// Whether the long-term limit, rather than the path, holds the flow back.
static bool limited_by_longterm(const quic_cc *c) {
    const quic_bbr3 *b = &c->state.bbr3;
    return (b->cwnd_limited || b->cwnd_limited_before) && c->window >= b->inflight_longterm;
}

static void raise_longterm(quic_cc *c, uint64_t acked) {
    quic_bbr3 *b = &c->state.bbr3;
    if (!limited_by_longterm(c))
        return;
    b->probe_up_acked += acked;
    if (b->probe_up_acked >= b->probe_up_acked_per_inc) {
        uint64_t steps = b->probe_up_acked / b->probe_up_acked_per_inc;
        b->probe_up_acked -= steps * b->probe_up_acked_per_inc;
        b->inflight_longterm += steps * c->mss;
    }
    if (b->round_start)
        raise_slope(c);
}

bool bbr3_inflight_too_high(const quic_rate_sample *s) {
    return (double)s->lost > BBR3_LOSS_THRESH * (double)s->in_flight;
}

void bbr3_probe_too_high(quic_cc *c, uint64_t now, const quic_rate_sample *s) {
    quic_bbr3 *b = &c->state.bbr3;
    b->prev_probe_too_high = true;
    b->bw_probe_sample = false;
    uint64_t least = (uint64_t)(BBR3_BETA * (double)bbr3_target_inflight(c));
    if (!s->app_limited)
        b->inflight_longterm = s->in_flight > least ? s->in_flight : least;
    if (b->state != BBR3_UP)
        return;
    b->undo_state = BBR3_UP;
    start_down(b, now);
}

static void advance_bw_filter(quic_bbr3 *b) {
    // A cycle without a sample does not make an older one forgotten.
    if (b->bw_filter[1] == 0)
        return;
    b->bw_filter[0] = b->bw_filter[1];
    b->bw_filter[1] = 0;
}

// The last acknowledgements of a probe are in. True: it went so well, having been broken off early, that the next one
// begins at once.
static bool end_of_probe(quic_bbr3 *b, const quic_rate_sample *s) {
    b->bw_probe_sample = false;
    b->acks = BBR3_ACKS_INIT;
    if (!bbr3_in_probe_bw(b))
        return false;
    if (!s->app_limited)
        advance_bw_filter(b);
    if (!b->prev_probe_precautionary || b->prev_probe_too_high)
        return false;
    bbr3_start_refill(b);
    return true;
}

static bool adapt_long_term(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = &c->state.bbr3;
    if (b->round_start && b->acks == BBR3_ACKS_PROBE_STARTING)
        b->acks = BBR3_ACKS_PROBE_FEEDBACK;
    else if (b->round_start && b->acks == BBR3_ACKS_PROBE_STOPPING && end_of_probe(b, &k->sample))
        return true;
    if (bbr3_inflight_too_high(&k->sample) || b->inflight_longterm == BBR3_NONE)
        return false;
    if (k->sample.in_flight > b->inflight_longterm)
        b->inflight_longterm = k->sample.in_flight;
    if (b->state == BBR3_UP)
        raise_longterm(c, k->acked);
    return false;
}

static bool time_to_probe(const quic_cc *c, uint64_t now) {
    const quic_bbr3 *b = &c->state.bbr3;
    if (now > b->cycle_stamp + b->bw_probe_wait)
        return true;
    // Of a path that holds next to nothing NewReno would use all at once: its smallest window is what counts.
    uint64_t target = bbr3_target_inflight(c), least = bbr3_min_window(c);
    uint64_t rounds = (target > least ? target : least) / c->mss;
    return b->rounds_since_probe_up >= (rounds < RENO_ROUNDS ? rounds : RENO_ROUNDS);
}

static bool time_to_cruise(const quic_cc *c, uint64_t in_flight) {
    return in_flight <= bbr3_inflight_with_headroom(c) && in_flight <= bbr3_inflight(c, bbr3_max_bw(&c->state.bbr3), 1);
}

static bool time_to_go_down(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = &c->state.bbr3;
    if (b->prev_probe_too_high && k->in_flight >= b->inflight_longterm) {
        b->prev_probe_precautionary = true;
        return true;
    }
    if (!limited_by_longterm(c))
        return b->full_bw_now;
    bbr3_reset_full_bw(b, k->sample.rate);
    return false;
}

static void advance_cycle(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = &c->state.bbr3;
    if (!b->full_bw_reached || adapt_long_term(c, k))
        return;
    switch (b->state) {
    case BBR3_DOWN:
    case BBR3_CRUISE:
        if (time_to_probe(c, k->now))
            bbr3_start_refill(b);
        else if (b->state == BBR3_DOWN && time_to_cruise(c, k->in_flight))
            b->state = BBR3_CRUISE;
        break;
    case BBR3_REFILL:
        if (b->round_start)
            start_up(c, &k->sample);
        break;
    case BBR3_UP:
        if (time_to_go_down(c, k)) {
            b->prev_probe_too_high = false;
            start_down(b, k->now);
        }
        break;
    default:
        break;
    }
}

// --- ProbeRTT

static void exit_probe_rtt(quic_bbr3 *b, uint64_t now) {
    bbr3_reset_short_term(b);
    if (!b->full_bw_reached) {
        bbr3_enter_startup(b);
        return;
    }
    // What is in flight is below what the path holds already, so there is nothing to drain.
    start_down(b, now);
    b->state = BBR3_CRUISE;
}

void bbr3_check_probe_rtt_done(quic_cc *c, uint64_t now) {
    quic_bbr3 *b = &c->state.bbr3;
    if (b->probe_rtt_done_stamp == 0 || now <= b->probe_rtt_done_stamp)
        return;
    b->probe_rtt_min_stamp = now;
    bbr3_restore_window(c);
    exit_probe_rtt(b, now);
}

static void enter_probe_rtt(quic_cc *c) {
    quic_bbr3 *b = &c->state.bbr3;
    bbr3_save_window(c);
    b->state = BBR3_PROBE_RTT;
    b->probe_rtt_done_stamp = 0;
    b->acks = BBR3_ACKS_PROBE_STOPPING;
    start_round(b);
}

static void handle_probe_rtt(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = &c->state.bbr3;
    // The samples of this time say nothing about the path's rate.
    quic_rate_app_limited(&b->rate, k->in_flight);
    if (b->probe_rtt_done_stamp == 0) {
        if (k->in_flight > bbr3_probe_rtt_window(c))
            return;
        b->probe_rtt_done_stamp = k->now + PROBE_RTT_DURATION;
        b->probe_rtt_round_done = false;
        start_round(b);
        return;
    }
    b->probe_rtt_round_done |= b->round_start;
    if (b->probe_rtt_round_done)
        bbr3_check_probe_rtt_done(c, k->now);
}

void bbr3_advance_probe_rtt(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = &c->state.bbr3;
    if (b->state != BBR3_PROBE_RTT && b->probe_rtt_expired && !b->idle_restart)
        enter_probe_rtt(c);
    if (b->state == BBR3_PROBE_RTT)
        handle_probe_rtt(c, k);
    if (k->sample.delivered > 0)
        b->idle_restart = false;
}

void bbr3_advance(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = &c->state.bbr3;
    check_full_bw(b, &k->sample);
    check_startup_loss(c, &k->sample);
    if (b->state == BBR3_STARTUP && b->full_bw_reached)
        enter_drain(b);
    if (b->state == BBR3_DRAIN &&
        (k->in_flight <= bbr3_inflight(c, b->bw, 1) || b->round_count > b->drain_start_round + DRAIN_ROUNDS))
        start_down(b, k->now);
    advance_cycle(c, k);
}
