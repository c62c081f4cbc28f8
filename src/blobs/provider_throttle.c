// Sending within the limits: a stream reserves a piece, waits for its time without holding up others, and sends it.
#include "base/clock.h"
#include "blobs/provider.h"
#include "blobs/store_os.h"

static bool is_limited(const provider_stream *s) {
    return s->wait_until != 0 ||
           throttle_piece(&s->connection->throttle, &s->connection->provider->throttle) != SIZE_MAX;
}

static void reserve(provider_stream *s, uint64_t now) {
    throttle *mine = &s->connection->throttle, *all = &s->connection->provider->throttle;
    size_t piece = throttle_piece(mine, all), left = s->end - s->start;
    s->granted = left < piece ? left : piece;
    s->wait_until = time_max(s->wait_until, throttle_reserve(mine, s->granted, now));
    s->wait_until = time_max(s->wait_until, throttle_reserve(all, s->granted, now));
}

static int send_granted(provider_stream *s) {
    while (s->granted > 0 && s->start < s->end) {
        size_t len = s->granted < s->end - s->start ? s->granted : s->end - s->start;
        int64_t n = iroh_stream_write(s->handle, s->buffer + s->start, len, 0);
        if (n == IROH_ERR_AGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        s->start += (size_t)n;
        s->granted -= (size_t)n;
        s->bytes += (uint64_t)n;
    }
    s->granted = 0;
    return 1;
}

void provider_delay(provider_stream *s, int ms) {
    s->wait_until = time_max(s->wait_until, store_os_now() + (uint64_t)ms * NS_PER_MS);
}

int provider_flush_in_time(provider_stream *s) {
    s->events = IROH_POLL_WRITE;
    if (!is_limited(s))
        return provider_flush(s);
    uint64_t now = store_os_now();
    while (s->start < s->end) {
        if (s->granted == 0)
            reserve(s, now);
        if (s->wait_until > now) {
            s->events = 0;
            return 0;
        }
        s->wait_until = 0;
        int r = send_granted(s);
        if (r != 1)
            return r;
    }
    s->start = s->end = 0;
    return 1;
}
