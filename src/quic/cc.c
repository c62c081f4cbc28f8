// What all congestion controllers share: the table, the initial window, the limits.
#include "quic/cc.h"

#include <string.h>

#define INITIAL_DATAGRAMS 10
#define INITIAL_BYTES UINT64_C(14720)

static const quic_cc_ops *const controllers[] = {&quic_cc_newreno, &quic_cc_cubic, &quic_cc_bbr3};

const quic_cc_ops *quic_cc_by_name(const char *name) {
    for (size_t i = 0; i < sizeof controllers / sizeof *controllers; i++) {
        if (strcmp(controllers[i]->name, name) == 0)
            return controllers[i];
    }
    return NULL;
}

static uint64_t initial_window(uint64_t mss) {
    uint64_t least = QUIC_CC_WINDOW_MIN_DATAGRAMS * mss;
    uint64_t limit = least > INITIAL_BYTES ? least : INITIAL_BYTES;
    return INITIAL_DATAGRAMS * mss < limit ? INITIAL_DATAGRAMS * mss : limit;
}

void quic_cc_init(quic_cc *c, const quic_cc_ops *ops, uint64_t mss) {
    *c = (quic_cc){.ops = ops, .mss = mss, .window = initial_window(mss), .ssthresh = UINT64_MAX};
    ops->init(c);
}

void quic_cc_set_mss(quic_cc *c, uint64_t mss) {
    c->mss = mss;
    quic_cc_set_window(c, c->window);
}

void quic_cc_set_window(quic_cc *c, uint64_t window) {
    if (window > QUIC_CC_WINDOW_MAX)
        window = QUIC_CC_WINDOW_MAX;
    c->window = window > quic_cc_window_min(c) ? window : quic_cc_window_min(c);
}

uint64_t quic_cc_slow_start(quic_cc *c, uint64_t acked) {
    if (c->window >= c->ssthresh)
        return acked;
    uint64_t room = c->ssthresh - c->window;
    uint64_t growth = acked < room ? acked : room;
    // Saturates: the sum of both stays far below 64 bits because a window does.
    quic_cc_set_window(c, c->window + (growth < QUIC_CC_WINDOW_MAX ? growth : QUIC_CC_WINDOW_MAX));
    return acked - growth;
}
