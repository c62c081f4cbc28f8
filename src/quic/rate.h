// Delivery rate of one path (draft-cheng-iccrg-delivery-rate-estimation, as kept in section 4.1 of draft-ietf-ccwg-bbr):
// how fast the path took what was sent, measured from one acknowledgement to one about a round trip later.
//
// Each packet carries a stamp of what had been delivered when it left. When it is acknowledged, the difference over the
// longer of the two intervals, of sending and of acknowledging, is a sample: neither a burst sent nor a batch of
// acknowledgements can make the path look faster than it is. Pure arithmetic; bytes and ns of the caller's clock.
#ifndef QUIC_RATE_H
#define QUIC_RATE_H

#include <stdbool.h>
#include <stdint.h>

// What was known when a packet was sent.
typedef struct quic_stamp {
    uint64_t delivered;       // bytes delivered until then
    uint64_t lost;            // bytes lost until then
    uint64_t delivered_time;  // ns: when the latest of the delivered was acknowledged
    uint64_t first_sent;      // ns: when the latest of the delivered had been sent
    uint64_t in_flight;       // bytes, this packet included
    bool app_limited;
} quic_stamp;

typedef struct quic_rate {
    uint64_t delivered;       // bytes, over the life of the path
    uint64_t lost;            // bytes
    uint64_t delivered_time;  // ns
    uint64_t first_sent;      // ns
    uint64_t app_limited;     // `delivered` up to which the application limits the rate, 0: it does not
} quic_rate;

typedef struct quic_rate_sample {
    bool valid;                // false: nothing was acknowledged that had a stamp; the rest is 0
    bool app_limited;          // the application limited the rate: the path may be faster
    uint64_t rate;             // bytes per second, 0: the interval was too short to tell
    uint64_t delivered;        // bytes delivered since the packet was sent
    uint64_t prior_delivered;  // bytes that had been delivered then
    uint64_t lost;             // bytes lost since then
    uint64_t in_flight;        // bytes in flight then, the packet included
    uint64_t rtt;              // ns since then
} quic_rate_sample;

// One lost packet.
typedef struct quic_rate_loss {
    uint64_t now, sent_time;  // ns
    uint64_t pn;
    uint64_t size;  // bytes
    const quic_stamp *stamp;
} quic_rate_loss;

// A packet that counts for congestion control was sent. `in_flight` bytes are on their way now, its own `bytes` included.
void quic_rate_sent(quic_rate *r, uint64_t now, uint64_t bytes, uint64_t in_flight);

// The stamp of the packet that quic_rate_sent was just called for.
quic_stamp quic_rate_stamp(const quic_rate *r, uint64_t in_flight);

// An acknowledgement brought `bytes`. `stamp` and `sent_time` are of the latest packet among them; null: it has none.
// A sample over less than `min_rtt` gives no rate.
quic_rate_sample quic_rate_acked(quic_rate *r, uint64_t now, uint64_t bytes, const quic_stamp *stamp,
                                 uint64_t sent_time, uint64_t min_rtt);

// There was room to send and nothing to be sent, with `in_flight` bytes on their way.
void quic_rate_app_limited(quic_rate *r, uint64_t in_flight);

#endif
