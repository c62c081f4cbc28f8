#include "quic/rate.h"

#include <stddef.h>

#include "base/clock.h"

void quic_rate_sent(quic_rate *r, uint64_t now, uint64_t bytes, uint64_t in_flight) {
    // After silence there is no acknowledgement to measure from: the interval begins here.
    if (in_flight <= bytes)
        r->first_sent = r->delivered_time = now;
}

quic_stamp quic_rate_stamp(const quic_rate *r, uint64_t in_flight) {
    return (quic_stamp){
        .delivered = r->delivered,
        .lost = r->lost,
        .delivered_time = r->delivered_time,
        .first_sent = r->first_sent,
        .in_flight = in_flight,
        .app_limited = r->app_limited != 0,
    };
}

static uint64_t since(uint64_t now, uint64_t then) {
    return now > then ? now - then : 0;
}

quic_rate_sample quic_rate_acked(quic_rate *r, uint64_t now, uint64_t bytes, const quic_stamp *stamp,
                                 uint64_t sent_time, uint64_t min_rtt) {
    r->delivered += bytes;
    r->delivered_time = now;
    if (r->app_limited != 0 && r->delivered > r->app_limited)
        r->app_limited = 0;
    if (stamp == NULL)
        return (quic_rate_sample){.valid = false};
    // An old packet that comes late does not move the start of the next interval back.
    r->first_sent = time_max(r->first_sent, sent_time);
    quic_rate_sample s = {
        .valid = true,
        .app_limited = stamp->app_limited,
        .delivered = r->delivered - stamp->delivered,
        .prior_delivered = stamp->delivered,
        .lost = r->lost - stamp->lost,
        .in_flight = stamp->in_flight,
        .rtt = since(now, sent_time),
    };
    uint64_t interval = time_max(since(sent_time, stamp->first_sent), since(now, stamp->delivered_time));
    if (interval >= min_rtt && interval > 0)
        s.rate = (uint64_t)((double)s.delivered * (double)NS_PER_S / (double)interval);
    return s;
}

void quic_rate_app_limited(quic_rate *r, uint64_t in_flight) {
    r->app_limited = time_max(r->delivered + in_flight, 1);
}
