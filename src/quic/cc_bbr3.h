// What the two halves of BBRv3 share: cc_bbr3.c keeps the model of the path and derives rate and window from it,
// cc_bbr3_states.c decides what to try next.
#ifndef QUIC_CC_BBR3_H
#define QUIC_CC_BBR3_H

#include "quic/cc.h"

#define BBR3_BETA 0.7          // what one round trip with losses leaves at least
#define BBR3_LOSS_THRESH 0.02  // share of a round trip's packets that may be lost in a probe
#define BBR3_HEADROOM 0.15     // share of the long-term limit to leave to others
#define BBR3_MIN_DATAGRAMS 4   // in flight, so that delayed acknowledgements do not stall the path

// One acknowledgement.
typedef struct bbr3_ack {
    uint64_t now;
    uint64_t acked;      // bytes
    uint64_t in_flight;  // after it
    quic_rate_sample sample;
} bbr3_ack;

// --- The model (cc_bbr3.c)

uint64_t bbr3_max_bw(const quic_bbr3 *b);
uint64_t bbr3_min_window(const quic_cc *c);

// `gain` times what the path holds at `bw`.
uint64_t bbr3_bdp(const quic_cc *c, uint64_t bw, double gain);

// The same with what sending in bursts needs on top.
uint64_t bbr3_inflight(const quic_cc *c, uint64_t bw, double gain);

uint64_t bbr3_target_inflight(const quic_cc *c);
uint64_t bbr3_inflight_with_headroom(const quic_cc *c);
uint64_t bbr3_probe_rtt_window(const quic_cc *c);
void bbr3_set_pacing_rate(quic_cc *c, double gain);
void bbr3_save_window(quic_cc *c);
void bbr3_restore_window(quic_cc *c);
void bbr3_reset_short_term(quic_bbr3 *b);
void bbr3_reset_congestion(quic_bbr3 *b);

// --- The states (cc_bbr3_states.c)

double bbr3_pacing_gain(const quic_bbr3 *b);
double bbr3_window_gain(const quic_bbr3 *b);

bool bbr3_in_probe_bw(const quic_bbr3 *b);
bool bbr3_accelerates(const quic_bbr3 *b);  // Startup, Refill and Up: losses there are the probe's

void bbr3_enter_startup(quic_bbr3 *b);
void bbr3_reset_full_bw(quic_bbr3 *b, uint64_t baseline);

// Moves on after the model has taken an acknowledgement in: all but ProbeRTT, and, with the shortest round trip updated
// too, into ProbeRTT and out of it.
void bbr3_advance(quic_cc *c, const bbr3_ack *k);
void bbr3_advance_probe_rtt(quic_cc *c, const bbr3_ack *k);

bool bbr3_inflight_too_high(const quic_rate_sample *s);

// The probe that the sample is from was too much.
void bbr3_probe_too_high(quic_cc *c, uint64_t now, const quic_rate_sample *s);

// Losses (or a mark) say that Startup has filled the path.
void bbr3_startup_too_high(quic_cc *c);

void bbr3_check_probe_rtt_done(quic_cc *c, uint64_t now);
void bbr3_start_refill(quic_bbr3 *b);

#endif
