// Congestion controllers behind one table (RFC 9002 section 7, RFC 9438). State is a value inside the path; no
// allocation. Windows are bytes.
#ifndef QUIC_CC_H
#define QUIC_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "quic/rtt.h"

typedef struct quic_cc quic_cc;

typedef struct quic_cc_ack {
    uint64_t now;         // ns
    uint64_t bytes;       // newly acknowledged, in flight before
    uint64_t sent_time;   // latest sending time among them
    uint64_t in_flight;   // after the acknowledgement
    bool app_limited;     // the window was not used up: do not grow
    const quic_rtt *rtt;  // after the sample
} quic_cc_ack;

typedef struct quic_cc_loss {
    uint64_t now;
    uint64_t bytes;
    uint64_t sent_time;  // of the latest lost packet (or the packet that was CE marked)
    uint64_t in_flight;
    bool persistent;  // persistent congestion (RFC 9002, section 7.6)
    bool ecn;         // congestion experienced instead of loss
} quic_cc_loss;

typedef struct quic_cc_ops {
    const char *name;  // "newreno", "cubic"
    void (*init)(quic_cc *c);
    void (*on_sent)(quic_cc *c, uint64_t now, uint64_t bytes, uint64_t in_flight);  // may be null
    void (*on_ack)(quic_cc *c, const quic_cc_ack *a);
    void (*on_loss)(quic_cc *c, const quic_cc_loss *l);
    void (*on_spurious)(quic_cc *c);  // the latest loss event was none; may be null
} quic_cc_ops;

struct quic_cc {
    const quic_cc_ops *ops;
    uint64_t window;  // bytes that may be in flight
    uint64_t mss;     // bytes of a full datagram now
    uint64_t ssthresh;
    uint64_t recovery_start;  // ns: packets sent at or before it start no new event; 0: never
    uint64_t pacing_rate;     // bytes per second, 0: let the pacer derive it from the window
    uint64_t events;          // congestion events, for statistics
    union {
        struct {
            uint64_t acked;  // bytes since the last increase
        } newreno;
        struct {
            double w_max, k, w_est;  // bytes, seconds, bytes
            uint64_t epoch;          // ns, 0: not in an epoch
            uint64_t acked;          // bytes of credit not yet turned into window
            double w_last_max;
            uint64_t undo_window, undo_ssthresh;  // state before the latest event
            double undo_w_max;
        } cubic;
        uint64_t room[24];  // for controllers to come
    } state;
};

extern const quic_cc_ops quic_cc_newreno;
extern const quic_cc_ops quic_cc_cubic;

// `mss`: datagram size; the window starts at min(10 * mss, max(2 * mss, 14720)) (RFC 9002, section 7.2).
void quic_cc_init(quic_cc *c, const quic_cc_ops *ops, uint64_t mss);
void quic_cc_set_mss(quic_cc *c, uint64_t mss);  // after MTU discovery; the window never falls below 2 * mss

const quic_cc_ops *quic_cc_by_name(const char *name);  // null: unknown

#endif
