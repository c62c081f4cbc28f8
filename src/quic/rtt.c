#include "quic/rtt.h"

#include "base/clock.h"

void quic_rtt_init(quic_rtt *r, uint64_t initial) {
    *r = (quic_rtt){.latest = initial, .smoothed = initial, .variation = initial / 2, .min = initial};
}

static uint64_t distance(uint64_t a, uint64_t b) {
    return a > b ? a - b : b - a;
}

void quic_rtt_sample(quic_rtt *r, uint64_t sample, uint64_t ack_delay) {
    r->latest = sample;
    if (!r->sampled) {
        r->sampled = true;
        r->min = r->smoothed = sample;
        r->variation = sample / 2;
        return;
    }
    r->min = time_min(r->min, sample);
    // A delay that would bring the sample below the minimum cannot be true.
    uint64_t adjusted = sample - r->min >= ack_delay ? sample - ack_delay : sample;
    r->variation = (3 * r->variation + distance(r->smoothed, adjusted)) / 4;
    r->smoothed = (7 * r->smoothed + adjusted) / 8;
}

uint64_t quic_rtt_pto(const quic_rtt *r) {
    return r->smoothed + time_max(4 * r->variation, RTT_GRANULARITY);
}

uint64_t quic_rtt_loss_delay(const quic_rtt *r) {
    uint64_t longest = time_max(r->latest, r->smoothed);
    return time_max(longest + longest / 8, RTT_GRANULARITY);
}
