// Congestion controllers behind one table (RFC 9002 section 7, RFC 9438, draft-ietf-ccwg-bbr). State is a value inside
// the path; no allocation. Windows are bytes.
#ifndef QUIC_CC_H
#define QUIC_CC_H

#include <stdbool.h>
#include <stdint.h>

#include "quic/bbr3.h"
#include "quic/rate.h"
#include "quic/rtt.h"

#define QUIC_CC_WINDOW_MAX (UINT64_C(1) << 32)  // bytes: 100 Gbit/s over 300 ms, and products with ns stay in range
#define QUIC_CC_WINDOW_MIN_DATAGRAMS 2

typedef struct quic_cc quic_cc;

typedef struct quic_cc_ack {
    uint64_t now;             // ns
    uint64_t bytes;           // newly acknowledged, in flight before
    uint64_t sent_time;       // latest sending time among them
    uint64_t in_flight;       // after the acknowledgement
    bool app_limited;         // the window was not used up: do not grow
    const quic_rtt *rtt;      // after the sample
    const quic_stamp *stamp;  // of the latest packet among them, null: the controller wants none, or there is none
    uint64_t stamp_time;      // when that one was sent
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
    const char *name;  // "newreno", "cubic", "bbr3"
    void (*init)(quic_cc *c);
    void (*on_sent)(quic_cc *c, uint64_t now, uint64_t bytes, uint64_t in_flight);  // may be null; in_flight: after it
    void (*on_ack)(quic_cc *c, const quic_cc_ack *a);
    void (*on_loss)(quic_cc *c, const quic_cc_loss *l);
    void (*on_spurious)(quic_cc *c);  // everything lost in the latest event has arrived after all; may be null
    // For controllers that measure delivery rates; all null for the others, who then pay nothing for them.
    quic_stamp (*stamp)(quic_cc *c, uint64_t in_flight);          // of the packet of the latest on_sent
    void (*on_packet_lost)(quic_cc *c, const quic_rate_loss *l);  // each packet of the next on_loss
    void (*on_app_limited)(quic_cc *c, uint64_t in_flight);       // there was room, but nothing to send
} quic_cc_ops;

// A stretch of CUBIC's growth between two congestion events.
typedef struct quic_cubic_curve {
    double w_max;    // bytes: window before the latest reduction (less after fast convergence), 0: none yet
    double prior;    // bytes: window before the latest reduction, whatever convergence made of w_max
    double origin;   // bytes: plateau of the running epoch
    double k;        // seconds from the epoch's start to the plateau
    double w_est;    // bytes: what NewReno would have by now
    uint64_t epoch;  // ns: start of congestion avoidance, moved on while the application limits; 0: not in it
} quic_cubic_curve;

struct quic_cc {
    const quic_cc_ops *ops;
    uint64_t window;  // bytes that may be in flight
    uint64_t mss;     // bytes of a full datagram now
    uint64_t ssthresh;
    uint64_t recovery_start;  // ns: packets sent at or before it start no new event; 0: never
    uint64_t pacing_rate;     // bytes per second, 0: let the pacer derive it from the window
    uint64_t send_quantum;    // bytes of a burst, 0: let the pacer derive it
    uint64_t events;          // congestion events, for statistics
    union {
        struct {
            uint64_t acked;  // bytes since the last increase
        } newreno;
        struct {
            quic_cubic_curve curve;
            uint64_t counted;  // ns: up to here time has been accounted for in the epoch
            double credit;     // bytes of growth that are not a whole byte yet, < 1
            struct {           // state before the latest event
                bool valid;
                quic_cubic_curve curve;
                uint64_t window, ssthresh, recovery_start;
            } undo;
        } cubic;
        quic_bbr3 bbr3;
    } state;
};

extern const quic_cc_ops quic_cc_newreno;
extern const quic_cc_ops quic_cc_cubic;
extern const quic_cc_ops quic_cc_bbr3;

// `mss`: datagram size; the window starts at min(10 * mss, max(2 * mss, 14720)) (RFC 9002, section 7.2).
void quic_cc_init(quic_cc *c, const quic_cc_ops *ops, uint64_t mss);
void quic_cc_set_mss(quic_cc *c, uint64_t mss);  // after MTU discovery; the window never falls below 2 * mss

const quic_cc_ops *quic_cc_by_name(const char *name);  // null: unknown

// --- For controllers

static inline uint64_t quic_cc_window_min(const quic_cc *c) {
    return QUIC_CC_WINDOW_MIN_DATAGRAMS * c->mss;
}

// Whether a packet sent then belongs to the congestion event that is being recovered from (RFC 9002, section 7.3.2).
static inline bool quic_cc_in_recovery(const quic_cc *c, uint64_t sent_time) {
    return c->recovery_start != 0 && sent_time <= c->recovery_start;
}

void quic_cc_set_window(quic_cc *c, uint64_t window);  // within 2 * mss and QUIC_CC_WINDOW_MAX

// Slow start: grows by what was acknowledged, up to ssthresh. Returns the acknowledged bytes beyond it.
uint64_t quic_cc_slow_start(quic_cc *c, uint64_t acked);

#endif
