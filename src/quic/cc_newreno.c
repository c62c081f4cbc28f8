// NewReno (RFC 9002, section 7 and appendix B): one datagram more per round trip, half the window on a congestion event.
#include "quic/cc.h"

#define REDUCTION_DIVISOR 2

static void newreno_init(quic_cc *c) {
    c->state.newreno.acked = 0;
}

static void newreno_on_ack(quic_cc *c, const quic_cc_ack *a) {
    if (a->app_limited || quic_cc_in_recovery(c, a->sent_time))
        return;
    uint64_t left = quic_cc_slow_start(c, a->bytes);
    if (left == 0)
        return;
    // Counting bytes against the window grows it evenly, however rarely acknowledgements come.
    c->state.newreno.acked += left;
    while (c->state.newreno.acked >= c->window) {
        c->state.newreno.acked -= c->window;
        quic_cc_set_window(c, c->window + c->mss);
    }
}

static void reduce(quic_cc *c, uint64_t now) {
    c->events++;
    c->recovery_start = now;
    quic_cc_set_window(c, c->window / REDUCTION_DIVISOR);
    c->ssthresh = c->window;
    c->state.newreno.acked = 0;
}

static void newreno_on_loss(quic_cc *c, const quic_cc_loss *l) {
    if (!quic_cc_in_recovery(c, l->sent_time))
        reduce(c, l->now);
    if (l->persistent) {
        quic_cc_set_window(c, 0);
        c->recovery_start = 0;
        c->state.newreno.acked = 0;
    }
}

const quic_cc_ops quic_cc_newreno = {
    .name = "newreno",
    .init = newreno_init,
    .on_ack = newreno_on_ack,
    .on_loss = newreno_on_loss,
};
