// BBRv3 (draft-ietf-ccwg-bbr): a model of the path, from delivery rates and round-trip times, says how fast to send and
// how much may be in flight; losses bound the model instead of shrinking a window.
//
// Here are the events, the model and the control of rate, burst and window; the states are in cc_bbr3_states.c. The order
// of the steps on an acknowledgement is the draft's (section 5.2.3): each sees what the ones before it left.
#include "quic/cc_bbr3.h"

#include <stddef.h>

#include "base/clock.h"

#define PACING_MARGIN 0.99           // paces this much of the rate, so that queues drain
#define PROBE_RTT_GAIN 0.5           // of what the path holds, in flight during ProbeRTT
#define QUANTUM_NS NS_PER_MS         // a burst takes this long at the pacing rate,
#define QUANTUM_MAX UINT64_C(65536)  // and is at most this many bytes
#define QUANTUM_MIN_DATAGRAMS 2
#define UP_DATAGRAMS 2  // room for more in flight while probing
#define EXTRA_ROUNDS 5  // round trips for which each half of the filter remembers aggregation
#define MIN_RTT_WINDOW (10 * NS_PER_S)
#define PROBE_RTT_INTERVAL (5 * NS_PER_S)
#define NOMINAL_RTT NS_PER_MS  // before any is known

static quic_bbr3 *of(quic_cc *c) {
    return &c->state.bbr3;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t part(double share, uint64_t of_what) {
    return (uint64_t)(share * (double)of_what);
}

// --- What the model says

uint64_t bbr3_max_bw(const quic_bbr3 *b) {
    return larger(b->bw_filter[0], b->bw_filter[1]);
}

uint64_t bbr3_min_window(const quic_cc *c) {
    return BBR3_MIN_DATAGRAMS * c->mss;
}

uint64_t bbr3_bdp(const quic_cc *c, uint64_t bw, double gain) {
    const quic_bbr3 *b = &c->state.bbr3;
    if (b->min_rtt == BBR3_NONE)
        return b->initial_window;
    double bdp = gain * (double)bw * (double)b->min_rtt / (double)NS_PER_S;
    return bdp < (double)QUIC_CC_WINDOW_MAX ? (uint64_t)bdp : QUIC_CC_WINDOW_MAX;
}

static uint64_t with_bursts(const quic_cc *c, uint64_t inflight) {
    inflight = larger(inflight, c->send_quantum);
    inflight = larger(inflight, bbr3_min_window(c));
    return c->state.bbr3.state == BBR3_UP ? inflight + UP_DATAGRAMS * c->mss : inflight;
}

uint64_t bbr3_inflight(const quic_cc *c, uint64_t bw, double gain) {
    return with_bursts(c, bbr3_bdp(c, bw, gain));
}

uint64_t bbr3_target_inflight(const quic_cc *c) {
    return smaller(bbr3_bdp(c, c->state.bbr3.bw, 1), c->window);
}

uint64_t bbr3_inflight_with_headroom(const quic_cc *c) {
    uint64_t limit = c->state.bbr3.inflight_longterm;
    if (limit == BBR3_NONE)
        return BBR3_NONE;
    // Whole datagrams: only those can be sent, and of a limit of eight a part of one would cost a whole one.
    uint64_t headroom = larger(part(BBR3_HEADROOM, limit) / c->mss, 1) * c->mss;
    return larger(limit > headroom ? limit - headroom : 0, bbr3_min_window(c));
}

uint64_t bbr3_probe_rtt_window(const quic_cc *c) {
    return larger(bbr3_bdp(c, c->state.bbr3.bw, PROBE_RTT_GAIN), bbr3_min_window(c));
}

void bbr3_reset_short_term(quic_bbr3 *b) {
    b->bw_shortterm = b->inflight_shortterm = BBR3_NONE;
}

void bbr3_reset_congestion(quic_bbr3 *b) {
    b->loss_in_round = false;
    b->bw_latest = b->inflight_latest = 0;
}

void bbr3_save_window(quic_cc *c) {
    quic_bbr3 *b = of(c);
    bool reduced = b->in_recovery || b->state == BBR3_PROBE_RTT;
    b->prior_window = reduced ? larger(b->prior_window, c->window) : c->window;
}

void bbr3_restore_window(quic_cc *c) {
    quic_cc_set_window(c, larger(c->window, of(c)->prior_window));
}

// --- Updating it

static void update_round(quic_bbr3 *b, const quic_rate_sample *s) {
    b->round_start = s->prior_delivered >= b->next_round_delivered;
    if (!b->round_start)
        return;
    b->next_round_delivered = b->rate.delivered;
    b->round_count++;
    b->rounds_since_probe_up++;
    b->cwnd_limited_before = b->cwnd_limited;
    b->cwnd_limited = false;
}

static void update_max_bw(quic_bbr3 *b, const quic_rate_sample *s) {
    if (s->rate > 0 && (s->rate >= bbr3_max_bw(b) || !s->app_limited))
        b->bw_filter[1] = larger(b->bw_filter[1], s->rate);
}

static void update_latest(quic_bbr3 *b, const quic_rate_sample *s) {
    b->bw_latest = larger(b->bw_latest, s->rate);
    b->inflight_latest = larger(b->inflight_latest, s->delivered);
    b->loss_round_start = s->prior_delivered >= b->loss_round_delivered;
    if (b->loss_round_start)
        b->loss_round_delivered = b->rate.delivered;
}

static void advance_latest(quic_bbr3 *b, const quic_rate_sample *s) {
    if (!b->loss_round_start)
        return;
    b->bw_latest = s->rate;
    b->inflight_latest = s->delivered;
}

// A round trip with losses: what was delivered in it is what the path bears now.
static void adapt_lower_bounds(quic_cc *c) {
    quic_bbr3 *b = of(c);
    if (bbr3_accelerates(b) || !b->loss_in_round)
        return;
    if (b->bw_shortterm == BBR3_NONE)
        b->bw_shortterm = bbr3_max_bw(b);
    if (b->inflight_shortterm == BBR3_NONE)
        b->inflight_shortterm = c->window;
    b->bw_shortterm = larger(b->bw_latest, part(BBR3_BETA, b->bw_shortterm));
    b->inflight_shortterm = larger(b->inflight_latest, part(BBR3_BETA, b->inflight_shortterm));
}

static void update_congestion(quic_cc *c, const quic_rate_sample *s) {
    quic_bbr3 *b = of(c);
    update_round(b, s);
    update_max_bw(b, s);
    if (!b->loss_round_start)
        return;
    adapt_lower_bounds(c);
    b->loss_in_round = false;
}

// How much more comes in at once than the rate explains: the window must cover the silence before it.
static void update_aggregation(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = of(c);
    double expected = (double)b->bw * (double)(k->now - smaller(b->extra_start, k->now)) / (double)NS_PER_S;
    if ((double)b->extra_delivered <= expected) {
        b->extra_delivered = 0;
        b->extra_start = k->now;
        expected = 0;
    }
    b->extra_delivered += k->acked;
    uint64_t extra = smaller((uint64_t)((double)b->extra_delivered - expected), c->window);
    if (b->round_count - b->extra_round >= (b->full_bw_reached ? EXTRA_ROUNDS : 1)) {
        b->extra_round = b->round_count;
        b->extra_filter[0] = b->extra_filter[1];
        b->extra_filter[1] = 0;
    }
    b->extra_filter[1] = larger(b->extra_filter[1], extra);
}

static void update_min_rtt(quic_bbr3 *b, const bbr3_ack *k) {
    b->probe_rtt_expired = k->now > b->probe_rtt_min_stamp + PROBE_RTT_INTERVAL;
    if (k->sample.rtt < b->probe_rtt_min_delay || b->probe_rtt_expired) {
        b->probe_rtt_min_delay = k->sample.rtt;
        b->probe_rtt_min_stamp = k->now;
    }
    if (b->probe_rtt_min_delay < b->min_rtt || k->now > b->min_rtt_stamp + MIN_RTT_WINDOW) {
        b->min_rtt = b->probe_rtt_min_delay;
        b->min_rtt_stamp = b->probe_rtt_min_stamp;
    }
}

static void update_model(quic_cc *c, const bbr3_ack *k) {
    quic_bbr3 *b = of(c);
    update_latest(b, &k->sample);
    update_congestion(c, &k->sample);
    update_aggregation(c, k);
    bbr3_advance(c, k);
    update_min_rtt(b, k);
    bbr3_advance_probe_rtt(c, k);
    advance_latest(b, &k->sample);
    b->bw = smaller(bbr3_max_bw(b), b->bw_shortterm);
}

// --- Rate, burst, window

// Bursts grow with the rate, and the window covers one.
static void set_quantum(quic_cc *c) {
    uint64_t quantum = smaller(c->pacing_rate / (NS_PER_S / QUANTUM_NS), QUANTUM_MAX);
    c->send_quantum = larger(quantum, QUANTUM_MIN_DATAGRAMS * c->mss);
}

void bbr3_set_pacing_rate(quic_cc *c, double gain) {
    const quic_bbr3 *b = of(c);
    uint64_t rate = part(gain * PACING_MARGIN, b->bw);
    if (rate > 0 && (b->full_bw_reached || rate > c->pacing_rate))
        c->pacing_rate = rate;
}

// Before any delivery is measured: the initial window in a round trip, as Startup would.
static void start_pacing(quic_cc *c, uint64_t rtt) {
    double window_rate = (double)of(c)->initial_window * (double)NS_PER_S / (double)larger(rtt, 1);
    c->pacing_rate = (uint64_t)(bbr3_pacing_gain(of(c)) * window_rate);
    set_quantum(c);
}

// The most that the model lets be in flight.
static uint64_t window_cap(const quic_cc *c) {
    const quic_bbr3 *b = &c->state.bbr3;
    uint64_t cap = BBR3_NONE;
    if (b->state == BBR3_PROBE_RTT || b->state == BBR3_CRUISE)
        cap = bbr3_inflight_with_headroom(c);
    else if (bbr3_in_probe_bw(b))
        cap = b->inflight_longterm;
    cap = smaller(cap, b->inflight_shortterm);
    return larger(cap, bbr3_min_window(c));
}

static void set_window(quic_cc *c, uint64_t acked) {
    const quic_bbr3 *b = of(c);
    uint64_t extra = larger(b->extra_filter[0], b->extra_filter[1]);
    uint64_t most = with_bursts(c, bbr3_bdp(c, b->bw, bbr3_window_gain(b)) + extra);
    uint64_t window = c->window;
    if (b->full_bw_reached)
        window = smaller(window + acked, most);
    else if (window < most || b->rate.delivered < b->initial_window)
        window += acked;
    window = larger(window, bbr3_min_window(c));
    if (b->state == BBR3_PROBE_RTT)
        window = smaller(window, bbr3_probe_rtt_window(c));
    quic_cc_set_window(c, smaller(window, window_cap(c)));
}

// --- Events

static void bbr3_init(quic_cc *c) {
    quic_bbr3 *b = of(c);
    *b = (quic_bbr3){
        .initial_window = c->window,
        .min_rtt = BBR3_NONE,
        .probe_rtt_min_delay = BBR3_NONE,
        .inflight_longterm = BBR3_NONE,
        .probe_up_acked_per_inc = BBR3_NONE,
        .undo_state = BBR3_STATES,
    };
    bbr3_reset_short_term(b);
    bbr3_enter_startup(b);
    start_pacing(c, NOMINAL_RTT);
}

static void start_clocks(quic_bbr3 *b, uint64_t now) {
    b->started = true;
    b->random = now;
    b->extra_start = b->min_rtt_stamp = b->probe_rtt_min_stamp = now;
}

static void restart_from_idle(quic_cc *c, uint64_t now) {
    quic_bbr3 *b = of(c);
    b->idle_restart = true;
    b->extra_start = now;
    if (bbr3_in_probe_bw(b))
        bbr3_set_pacing_rate(c, 1);
    else if (b->state == BBR3_PROBE_RTT)
        bbr3_check_probe_rtt_done(c, now);
}

static void bbr3_on_sent(quic_cc *c, uint64_t now, uint64_t bytes, uint64_t in_flight) {
    quic_bbr3 *b = of(c);
    if (!b->started)
        start_clocks(b, now);
    if (in_flight <= bytes && b->rate.app_limited != 0)
        restart_from_idle(c, now);
    quic_rate_sent(&b->rate, now, bytes, in_flight);
    b->cwnd_limited |= in_flight + c->mss > c->window;
}

static quic_stamp bbr3_stamp(quic_cc *c, uint64_t in_flight) {
    return quic_rate_stamp(&of(c)->rate, in_flight);
}

static void bbr3_on_app_limited(quic_cc *c, uint64_t in_flight) {
    quic_rate_app_limited(&of(c)->rate, in_flight);
}

// A packet that was sent after the event began has arrived.
static void leave_recovery(quic_cc *c, uint64_t sent_time) {
    if (!of(c)->in_recovery || quic_cc_in_recovery(c, sent_time))
        return;
    of(c)->in_recovery = false;
    bbr3_restore_window(c);
}

static void bbr3_on_ack(quic_cc *c, const quic_cc_ack *a) {
    quic_bbr3 *b = of(c);
    bbr3_ack k = {.now = a->now, .acked = a->bytes, .in_flight = a->in_flight};
    k.sample = quic_rate_acked(&b->rate, a->now, a->bytes, a->stamp, a->stamp_time, a->rtt->min);
    if (!b->paced && a->rtt->sampled) {
        b->paced = true;
        start_pacing(c, a->rtt->smoothed);
    }
    leave_recovery(c, a->sent_time);
    if (k.sample.valid)
        update_model(c, &k);
    bbr3_set_pacing_rate(c, bbr3_pacing_gain(b));
    set_quantum(c);
    set_window(c, a->bytes);
}

static void enter_recovery(quic_cc *c, uint64_t now) {
    quic_bbr3 *b = of(c);
    c->events++;
    c->recovery_start = now;
    bbr3_save_window(c);
    b->in_recovery = true;
    b->undo_valid = true;
    b->undo_state = BBR3_STATES;
    b->undo_bw_shortterm = b->bw_shortterm;
    b->undo_inflight_shortterm = b->inflight_shortterm;
    b->undo_inflight_longterm = b->inflight_longterm;
}

static void note_loss(quic_cc *c, uint64_t now, uint64_t sent_time) {
    quic_bbr3 *b = of(c);
    if (!quic_cc_in_recovery(c, sent_time))
        enter_recovery(c, now);
    if (!b->loss_in_round)
        b->loss_round_delivered = b->rate.delivered;
    b->loss_in_round = true;
}

// How much was in flight when losses crossed the threshold, which may have been in the middle of a burst.
static uint64_t inflight_at_loss(const quic_rate_sample *s, uint64_t size) {
    double before = (double)s->in_flight - (double)size;
    double lost_before = (double)s->lost - (double)size;
    double more = (BBR3_LOSS_THRESH * before - lost_before) / (1 - BBR3_LOSS_THRESH);
    return before + more > 0 ? (uint64_t)(before + more) : 0;
}

static void bbr3_on_packet_lost(quic_cc *c, const quic_rate_loss *l) {
    quic_bbr3 *b = of(c);
    b->rate.lost += l->size;
    note_loss(c, l->now, l->sent_time);
    b->loss_ranges += l->pn != b->loss_pn;
    b->loss_pn = l->pn + 1;
    if (!b->bw_probe_sample)
        return;
    quic_rate_sample s = {
        .app_limited = l->stamp->app_limited,
        .in_flight = l->stamp->in_flight,
        .lost = b->rate.lost - l->stamp->lost,
    };
    if (!bbr3_inflight_too_high(&s))
        return;
    s.in_flight = inflight_at_loss(&s, l->size);
    bbr3_probe_too_high(c, l->now, &s);
}

// A mark is a loss without a lost packet, which no late arrival undoes.
static void mark(quic_cc *c, const quic_cc_loss *l) {
    quic_bbr3 *b = of(c);
    note_loss(c, l->now, l->sent_time);
    b->undo_valid = false;
    quic_rate_sample s = {.in_flight = l->in_flight};
    if (b->state == BBR3_STARTUP)
        bbr3_startup_too_high(c);
    else if (b->bw_probe_sample)
        bbr3_probe_too_high(c, l->now, &s);
}

static void bbr3_on_loss(quic_cc *c, const quic_cc_loss *l) {
    quic_bbr3 *b = of(c);
    if (l->ecn)
        mark(c, l);
    else
        note_loss(c, l->now, l->sent_time);
    if (!l->persistent)
        return;
    // Probes alone had been heard of: start over from what is in flight, and trust the model again once it arrives.
    bbr3_save_window(c);
    b->in_recovery = true;
    b->undo_valid = false;
    c->recovery_start = l->now;
    quic_cc_set_window(c, l->in_flight + c->mss);
}

static void bbr3_on_spurious(quic_cc *c) {
    quic_bbr3 *b = of(c);
    if (!b->undo_valid)
        return;
    b->undo_valid = false;
    bbr3_restore_window(c);
    b->loss_in_round = false;
    bbr3_reset_full_bw(b, 0);
    b->bw_shortterm = larger(b->bw_shortterm, b->undo_bw_shortterm);
    b->inflight_shortterm = larger(b->inflight_shortterm, b->undo_inflight_shortterm);
    b->inflight_longterm = larger(b->inflight_longterm, b->undo_inflight_longterm);
    bbr3_state back = b->undo_state;
    b->undo_state = BBR3_STATES;
    if (back == BBR3_STARTUP && b->state != BBR3_STARTUP) {
        b->full_bw_reached = false;
        if (b->state != BBR3_PROBE_RTT)
            bbr3_enter_startup(b);
    } else if (back == BBR3_UP && b->state != BBR3_UP && b->state != BBR3_PROBE_RTT) {
        bbr3_start_refill(b);
    }
}

const quic_cc_ops quic_cc_bbr3 = {
    .name = "bbr3",
    .init = bbr3_init,
    .on_sent = bbr3_on_sent,
    .on_ack = bbr3_on_ack,
    .on_loss = bbr3_on_loss,
    .on_spurious = bbr3_on_spurious,
    .stamp = bbr3_stamp,
    .on_packet_lost = bbr3_on_packet_lost,
    .on_app_limited = bbr3_on_app_limited,
};
