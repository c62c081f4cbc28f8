// CUBIC (RFC 9438): after a congestion event the window returns to where it was along a cubic curve of time, slows down
// there, and then looks for more; never slower than NewReno would.
//
// Time stands still for the curve while the application, not the network, limits the rate. A congestion event is undone
// when everything that it was about turns out to have arrived.
#include "quic/cc.h"

#include <stddef.h>

#include "base/clock.h"

#define CUBIC_C 0.4        // datagrams per second cubed
#define CUBIC_BETA 0.7     // what an event leaves of the window
#define CUBIC_STEP 1.5     // the curve may ask for this many times the window at most, within a round trip
#define CUBE_ROOT_STEPS 6  // of Newton's method: from within a factor of 1.3 to the precision of a double

static const double reno_alpha = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA);  // RFC 9438, section 4.3

// Of x >= 0. Powers of 8 are taken out, so that Newton's method starts in [1, 8).
static double cube_root(double x) {
    double scale = 1;
    if (!(x > 0))
        return 0;
    for (; x >= 8; x /= 8)
        scale *= 2;
    for (; x < 1; x *= 8)
        scale /= 2;
    double y = 1 + (x - 1) / 7;
    for (int i = 0; i < CUBE_ROOT_STEPS; i++)
        y = (2 * y + x / (y * y)) / 3;
    return y * scale;
}

static double seconds(uint64_t ns) {
    return (double)ns / (double)NS_PER_S;
}

static double curve_at(const quic_cc *c, double t) {
    double d = t - c->state.cubic.curve.k;
    return CUBIC_C * (double)c->mss * d * d * d + c->state.cubic.curve.origin;
}

static void cubic_init(quic_cc *c) {
    c->state.cubic.counted = 0;
    c->state.cubic.credit = 0;
    c->state.cubic.curve = (quic_cubic_curve){.w_max = 0};
    c->state.cubic.undo.valid = false;
}

static void begin_epoch(quic_cc *c, uint64_t now) {
    quic_cubic_curve *v = &c->state.cubic.curve;
    double window = (double)c->window;
    v->epoch = time_max(now, 1);
    v->w_est = window;
    v->origin = v->w_max > window ? v->w_max : window;
    v->k = cube_root((v->origin - window) / (CUBIC_C * (double)c->mss));
}

// The time since the last call was the application's: the epoch does not see it.
static void skip_time(quic_cc *c, uint64_t now) {
    if (now <= c->state.cubic.counted)
        return;
    if (c->state.cubic.curve.epoch != 0)
        c->state.cubic.curve.epoch += now - c->state.cubic.counted;
    c->state.cubic.counted = now;
}

static void cubic_on_sent(quic_cc *c, uint64_t now, uint64_t bytes, uint64_t in_flight) {
    if (in_flight <= bytes)
        skip_time(c, now);
}

// What `acked` bytes add to the window, in bytes (RFC 9438, sections 4.2 to 4.5).
static double growth(const quic_cc *c, double t, double rtt, uint64_t acked) {
    double window = (double)c->window, estimate = c->state.cubic.curve.w_est;
    if (curve_at(c, t) < estimate)
        return estimate > window ? estimate - window : 0;
    double target = curve_at(c, t + rtt);
    if (target <= window)
        return 0;
    if (target > CUBIC_STEP * window)
        target = CUBIC_STEP * window;
    return (target - window) / window * (double)acked;
}

static void avoid_congestion(quic_cc *c, const quic_cc_ack *a, uint64_t acked) {
    quic_cubic_curve *v = &c->state.cubic.curve;
    if (v->epoch == 0)
        begin_epoch(c, a->now);
    double alpha = v->w_est < v->prior ? reno_alpha : 1;
    v->w_est += alpha * (double)c->mss * (double)acked / (double)c->window;
    if (v->w_est > (double)QUIC_CC_WINDOW_MAX)
        v->w_est = (double)QUIC_CC_WINDOW_MAX;
    double t = a->now > v->epoch ? seconds(a->now - v->epoch) : 0;
    double sum = c->state.cubic.credit + growth(c, t, seconds(a->rtt->smoothed), acked);
    if (sum > (double)QUIC_CC_WINDOW_MAX)
        sum = (double)QUIC_CC_WINDOW_MAX;
    uint64_t whole = (uint64_t)sum;
    c->state.cubic.credit = sum - (double)whole;
    quic_cc_set_window(c, c->window + whole);
}

static void cubic_on_ack(quic_cc *c, const quic_cc_ack *a) {
    if (a->app_limited) {
        skip_time(c, a->now);
        return;
    }
    c->state.cubic.counted = time_max(c->state.cubic.counted, a->now);
    if (quic_cc_in_recovery(c, a->sent_time))
        return;
    uint64_t left = quic_cc_slow_start(c, a->bytes);
    if (left > 0)
        avoid_congestion(c, a, left);
}

static void remember(quic_cc *c, bool undoable) {
    c->state.cubic.undo.valid = undoable;
    c->state.cubic.undo.curve = c->state.cubic.curve;
    c->state.cubic.undo.window = c->window;
    c->state.cubic.undo.ssthresh = c->ssthresh;
    c->state.cubic.undo.recovery_start = c->recovery_start;
}

static void reduce(quic_cc *c, uint64_t now) {
    quic_cubic_curve *v = &c->state.cubic.curve;
    double window = (double)c->window;
    // Fast convergence: a window that did not get back to where it was makes room for others (RFC 9438, section 4.7).
    v->w_max = window < v->w_max ? window * (1 + CUBIC_BETA) / 2 : window;
    v->prior = window;
    v->epoch = 0;
    c->state.cubic.credit = 0;
    c->events++;
    c->recovery_start = now;
    quic_cc_set_window(c, (uint64_t)(window * CUBIC_BETA));
    c->ssthresh = c->window;
}

static void cubic_on_loss(quic_cc *c, const quic_cc_loss *l) {
    if (!quic_cc_in_recovery(c, l->sent_time)) {
        // A mark is no loss that could turn out to be none.
        remember(c, !l->ecn);
        reduce(c, l->now);
    }
    if (l->persistent) {
        quic_cc_set_window(c, 0);
        c->recovery_start = 0;
        c->state.cubic.curve.epoch = 0;
        c->state.cubic.undo.valid = false;
    }
}

static void cubic_on_spurious(quic_cc *c) {
    if (!c->state.cubic.undo.valid)
        return;
    c->state.cubic.undo.valid = false;
    c->state.cubic.curve = c->state.cubic.undo.curve;
    c->ssthresh = c->state.cubic.undo.ssthresh;
    c->recovery_start = c->state.cubic.undo.recovery_start;
    if (c->window < c->state.cubic.undo.window)
        quic_cc_set_window(c, c->state.cubic.undo.window);
}

const quic_cc_ops quic_cc_cubic = {
    .name = "cubic",
    .init = cubic_init,
    .on_sent = cubic_on_sent,
    .on_ack = cubic_on_ack,
    .on_loss = cubic_on_loss,
    .on_spurious = cubic_on_spurious,
};
