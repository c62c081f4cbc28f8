// Pacing of one path (RFC 9002, section 7.7): a bucket that fills at 1.25 * window / smoothed RTT (or at the controller's
// own rate) and holds a burst of about 2 ms, at least 10 and at most 256 datagrams.
#ifndef QUIC_PACER_H
#define QUIC_PACER_H

#include <stdint.h>

typedef struct quic_pacer {
    uint64_t tokens;    // bytes that may go now
    uint64_t capacity;  // bytes
    uint64_t rate;      // bytes per second
    uint64_t last;      // ns of the latest refill
    uint64_t fraction;  // byte-nanoseconds carried over, < 1e9
} quic_pacer;

void quic_pacer_init(quic_pacer *p, uint64_t now, uint64_t mtu);

// Recomputes rate and capacity; call when window, RTT or MTU changed. `controller_rate` 0: derive from the window.
void quic_pacer_update(quic_pacer *p, uint64_t now, uint64_t window, uint64_t smoothed_rtt, uint64_t mtu,
                       uint64_t controller_rate);

// Bytes that may be sent at `now`; a whole datagram may always be started while it is > 0.
uint64_t quic_pacer_budget(quic_pacer *p, uint64_t now);

void quic_pacer_spend(quic_pacer *p, uint64_t bytes);  // never below 0

// When at least min(mtu, capacity) bytes may go again, ns. To batch, wait for several datagrams: `want` bytes.
uint64_t quic_pacer_ready_at(const quic_pacer *p, uint64_t want);

#endif
