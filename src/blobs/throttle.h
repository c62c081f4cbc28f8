// Limits on the bytes that a provider sends: turns for who wants to send, at a rate.
//
// Who wants to send reserves some bytes and is told when they may go. Reservations queue up one behind the other, so that
// everybody who sends gets his turn, however many turns others wait for. Pure arithmetic over the caller's clock.
#ifndef BLOBS_THROTTLE_H
#define BLOBS_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/bucket.h"

typedef struct throttle {
    bucket bucket;  // in debt by what is reserved
    size_t piece;   // bytes of one turn; 0: no limit
} throttle;

#define THROTTLE_PIECES 50         // turns a second,
#define THROTTLE_PIECE_MIN 1024    // but no smaller ones
#define THROTTLE_PIECE_MAX 262144  // and no larger ones, bytes

// `rate`: bytes per second, at most BUCKET_RATE_MAX; 0: no limit.
void throttle_init(throttle *t, uint64_t rate, uint64_t now);

// Bytes of one turn under both limits; SIZE_MAX without any.
size_t throttle_piece(const throttle *a, const throttle *b);

// Reserves `n` bytes: when they may be sent, ns; `now` if at once.
uint64_t throttle_reserve(throttle *t, size_t n, uint64_t now);

#endif
