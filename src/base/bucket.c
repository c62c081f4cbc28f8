#include "base/bucket.h"

#include "base/clock.h"

void bucket_init(bucket *b, uint64_t rate, uint64_t burst, uint64_t now) {
    *b = (bucket){
        .rate = rate < BUCKET_RATE_MAX ? rate : BUCKET_RATE_MAX,
        .burst = burst < BUCKET_BURST_MAX ? burst : BUCKET_BURST_MAX,
        .last = now,
    };
    b->level = (int64_t)b->burst;
}

// Units up to the brim: at most 2 * BUCKET_BURST_MAX, of which 10^9 times as many are still within 64 bits.
static uint64_t missing(const bucket *b) {
    return (uint64_t)((int64_t)b->burst - b->level);
}

static void refill(bucket *b, uint64_t now) {
    if (now <= b->last)
        return;
    uint64_t elapsed = now - b->last;
    b->last = now;
    if (b->rate == 0)
        return;
    // Beyond the time that fills it, more waiting changes nothing; stopping there also keeps the product in range.
    uint64_t full_after = missing(b) * NS_PER_S / b->rate + 1;
    uint64_t credit = b->credit + time_min(elapsed, full_after) * b->rate;
    uint64_t units = credit / NS_PER_S;
    b->credit = credit % NS_PER_S;
    if (units < missing(b)) {
        b->level += (int64_t)units;
    } else {
        b->level = (int64_t)b->burst;
        b->credit = 0;
    }
}

bool bucket_take(bucket *b, uint64_t n, uint64_t now) {
    refill(b, now);
    if (b->level < 0 || n > (uint64_t)b->level)
        return false;
    b->level -= (int64_t)n;
    return true;
}

void bucket_charge(bucket *b, uint64_t n, uint64_t now) {
    refill(b, now);
    uint64_t room = (uint64_t)(b->level + (int64_t)BUCKET_BURST_MAX);
    b->level -= (int64_t)(n < room ? n : room);
}

uint64_t bucket_ready_at(const bucket *b, uint64_t n) {
    if (b->level >= 0 && n <= (uint64_t)b->level)
        return b->last;
    if (n > b->burst || b->rate == 0)
        return TIME_NEVER;
    uint64_t wanted = (uint64_t)((int64_t)n - b->level) * NS_PER_S - b->credit;
    return time_add(b->last, wanted / b->rate + (wanted % b->rate != 0));
}
