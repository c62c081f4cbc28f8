// What BBRv3 knows about a path: the state of cc_bbr3.c as a value, so that it fits into quic_cc. Rates are bytes per
// second, times ns, amounts bytes; BBR3_NONE stands for the draft's Infinity.
#ifndef QUIC_BBR3_H
#define QUIC_BBR3_H

#include "quic/rate.h"

#define BBR3_NONE UINT64_MAX

typedef enum bbr3_state {
    BBR3_STARTUP,
    BBR3_DRAIN,
    BBR3_DOWN,  // this one to BBR3_UP are the draft's ProbeBW
    BBR3_CRUISE,
    BBR3_REFILL,
    BBR3_UP,
    BBR3_PROBE_RTT,
    BBR3_STATES,  // none of them
} bbr3_state;

// What the acknowledgements that arrive now tell about.
typedef enum bbr3_acks {
    BBR3_ACKS_INIT,            // no probe for bandwidth
    BBR3_ACKS_REFILLING,       // the pipe is being filled
    BBR3_ACKS_PROBE_STARTING,  // more is being sent, not yet acknowledged
    BBR3_ACKS_PROBE_FEEDBACK,  // what was sent in the probe
    BBR3_ACKS_PROBE_STOPPING,  // still that, while no more of it is sent
} bbr3_acks;

typedef struct quic_bbr3 {
    quic_rate rate;
    bbr3_state state;
    bbr3_acks acks;
    bool started;  // the clocks below run
    bool paced;    // the first round-trip time has set the pacing rate
    bool full_bw_reached, full_bw_now;
    bool round_start;  // this acknowledgement begins a round trip
    bool loss_round_start;
    bool loss_in_round;
    bool bw_probe_sample;  // acknowledgements come from a probe for bandwidth that has not been found too high yet
    bool prev_probe_too_high, prev_probe_precautionary;
    bool cwnd_limited, cwnd_limited_before;  // the window was used up in this round trip, in the one before
    bool idle_restart;
    bool probe_rtt_expired, probe_rtt_round_done;
    bool in_recovery;
    bool undo_valid;
    uint8_t full_bw_count;
    uint8_t probe_up_rounds;
    uint64_t random;
    uint64_t initial_window;
    uint64_t prior_window;  // latest one not reduced by recovery or ProbeRTT
    // Round trips.
    uint64_t round_count, next_round_delivered, rounds_since_probe_up, drain_start_round;
    // Long-term model.
    uint64_t bw_filter[2];  // highest samples of the previous and of the running cycle
    uint64_t inflight_longterm;
    uint64_t full_bw;
    uint64_t min_rtt, min_rtt_stamp;
    // Short-term model.
    uint64_t bw;  // the rate to work with: min of both models
    uint64_t bw_shortterm, inflight_shortterm;
    uint64_t bw_latest, inflight_latest, loss_round_delivered;
    uint64_t loss_ranges, loss_pn;  // gaps of lost packets in this round trip, and one past the latest of them
    // Aggregated acknowledgements.
    uint64_t extra_filter[2], extra_round, extra_start, extra_delivered;
    // Probes.
    uint64_t probe_up_acked, probe_up_acked_per_inc;
    uint64_t cycle_stamp, bw_probe_wait;
    uint64_t probe_rtt_min_delay, probe_rtt_min_stamp, probe_rtt_done_stamp;
    // What a spurious loss event puts back.
    bbr3_state undo_state;
    uint64_t undo_bw_shortterm, undo_inflight_shortterm, undo_inflight_longterm;
} quic_bbr3;

#endif
