// Round-trip time estimate of one path (RFC 9002, section 5). Samples are times between two events of our own clock and
// stay far below 2^60 ns, so nothing here can overflow.
#ifndef QUIC_RTT_H
#define QUIC_RTT_H

#include <stdbool.h>
#include <stdint.h>

#define RTT_INITIAL (UINT64_C(333) * 1000000)  // ns
#define RTT_GRANULARITY UINT64_C(1000000)      // ns

typedef struct quic_rtt {
    uint64_t latest, smoothed, variation, min;  // ns
    bool sampled;
} quic_rtt;

// Until the first sample all estimates are `initial` ns, and the variation half of it.
void quic_rtt_init(quic_rtt *r, uint64_t initial);

// `sample`: ns from sending the largest packet to its acknowledgement; `ack_delay`: ns that the peer says it waited,
// already limited by its max_ack_delay (after the handshake is confirmed). A delay that would bring the sample below the
// smallest one seen is ignored.
void quic_rtt_sample(quic_rtt *r, uint64_t sample, uint64_t ack_delay);

// smoothed + max(4 * variation, granularity), without max_ack_delay.
uint64_t quic_rtt_pto(const quic_rtt *r);

// 9/8 of max(latest, smoothed), at least the granularity.
uint64_t quic_rtt_loss_delay(const quic_rtt *r);

#endif
