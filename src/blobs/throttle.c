#include "blobs/throttle.h"

#include "base/clock.h"

void throttle_init(throttle *t, uint64_t rate, uint64_t now) {
    uint64_t piece = rate / THROTTLE_PIECES;
    *t = (throttle){.piece = 0};
    if (rate == 0)
        return;
    if (piece < THROTTLE_PIECE_MIN)
        piece = THROTTLE_PIECE_MIN;
    t->piece = (size_t)(piece < THROTTLE_PIECE_MAX ? piece : THROTTLE_PIECE_MAX);
    bucket_init(&t->bucket, rate, t->piece, now);
}

size_t throttle_piece(const throttle *a, const throttle *b) {
    size_t x = a->piece > 0 ? a->piece : SIZE_MAX, y = b->piece > 0 ? b->piece : SIZE_MAX;
    return x < y ? x : y;
}

uint64_t throttle_reserve(throttle *t, size_t n, uint64_t now) {
    if (t->piece == 0)
        return now;
    bucket_charge(&t->bucket, 0, now);  // brings it up to date
    uint64_t due = bucket_ready_at(&t->bucket, 0);
    bucket_charge(&t->bucket, n, now);
    return time_max(due, now);
}
