// Pacing of one path (RFC 9002, section 7.7): a bucket that fills at 1.25 * window / smoothed RTT (or at the controller's
// own rate) and holds a burst of about 2 ms, at least 10 (or what the controller asks for) and at most
// 256 datagrams.
//
// Once it has run dry it stays shut until a burst has gathered again: many small sendings would cost more than they
// smooth, and batches for the kernel stay large. Pure arithmetic; a clock that jumps backwards adds nothing.
#ifndef QUIC_PACER_H
#define QUIC_PACER_H

#include <stdbool.h>
#include <stdint.h>

#define PACER_BURST_MIN 10   // datagrams that an idle path may send at once
#define PACER_BURST_MAX 256  // and at any rate

typedef struct quic_pacer {
    uint64_t tokens;    // bytes that may go now
    uint64_t capacity;  // bytes
    uint64_t rate;      // bytes per second, > 0
    uint64_t last;      // ns of the latest refill
    uint64_t fraction;  // byte-nanoseconds carried over, < 1e9
    uint64_t mtu;       // bytes
    uint64_t burst;     // bytes to gather before sending goes on after the bucket ran dry
    bool dry;           // gathering
} quic_pacer;

// Full, with the smallest capacity and a rate that quic_pacer_update is to replace. `mtu` 1..65535.
void quic_pacer_init(quic_pacer *p, uint64_t now, uint64_t mtu);

// Recomputes rate and capacity; call when window, RTT or MTU changed. `controller_rate` (bytes per second) 0: derive from
// the window. Bursts are at most a quarter of the window and half the capacity, but at least one datagram.
// `quantum` (bytes) is the burst that the controller wants instead, and the least capacity is twice that; 0: as above.
void quic_pacer_update(quic_pacer *p, uint64_t now, uint64_t window, uint64_t smoothed_rtt, uint64_t mtu,
                       uint64_t controller_rate, uint64_t quantum);

// Bytes that may be sent at `now`: 0 or at least `mtu`.
uint64_t quic_pacer_budget(quic_pacer *p, uint64_t now);

void quic_pacer_spend(quic_pacer *p, uint64_t bytes);  // never below 0

// When the budget is not 0 any more, ns on the caller's clock; not later than `last` when it is not 0 already.
uint64_t quic_pacer_ready_at(const quic_pacer *p);

#endif
