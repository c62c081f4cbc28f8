// How often a client is read: at once when something comes, or at fixed intervals while much comes.
//
// A client that is watched costs a wake-up, a read and a write for each time that it sends, and often one more wake-up for
// its receiver; where datagrams come closely one behind the other that is most of what a relay does. So a client that
// has sent much for a while is not watched but read at an interval, the longest at which not too much gathers, and
// what came from all such clients goes out together. It is watched again when it sends little. Network cards moderate
// their interrupts in the same way. A batch of datagrams is one frame: it has been gathered already.
//
// This file decides; it neither reads nor waits, and the time is the caller's.
#ifndef RELAY_SERVER_PACE_H
#define RELAY_SERVER_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define PACE_WINDOW (64 * NS_PER_MS)   // over which a client is judged, at least
#define PACE_BEGIN (1400 * NS_PER_US)  // for each frame on average: faster clients are read at intervals,
#define PACE_END (3 * NS_PER_MS)       // and watched again when they are slower than this
#define PACE_BYTES 32768               // of one read: beyond, a shorter interval is chosen, or the client left watched

enum { PACE_WATCHED = 0, PACE_SLOWEST = 1, PACE_FASTEST = 4, PACES };

typedef struct pace {
    uint64_t since;   // ns, when the window began
    uint32_t reads;   // that brought a frame to its end, since then
    uint32_t frames;  // of datagrams
    uint32_t bytes;
    uint8_t at;  // PACE_*
} pace;

// Starts as watched, and again for a client that is not read for some other reason.
void pace_init(pace *p, uint64_t now);

// To be told of each read, also of those at an interval that found nothing: the frames of datagrams that ended in it, and
// all its bytes. True when p->at has changed.
bool pace_read(pace *p, uint32_t frames, size_t bytes, uint64_t now);

uint64_t pace_interval(int at);  // ns, from PACE_SLOWEST on

// When clients of this pace are to be read next: a multiple of the interval, so that paces meet.
uint64_t pace_next(int at, uint64_t now);

#endif
