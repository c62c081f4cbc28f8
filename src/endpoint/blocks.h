// Memory for datagrams that arrive. Streams may keep what a datagram brought where it is instead of copying it: such a
// block comes back when everything in it was read, and others take its place meanwhile.
//
// Used with the endpoint's lock held. Only the bytes of blocks_room may be written to without it, by the one thread that
// receives.
#ifndef ENDPOINT_BLOCKS_H
#define ENDPOINT_BLOCKS_H

#include "quic/chunks.h"

#define BLOCKS_MAX 64    // of SYS_UDP_BATCH bytes each; when all but one are kept, streams copy
#define BLOCKS_SPARE 16  // that wait for being used again

typedef struct block block;

typedef struct blocks {
    block *current;
    block *spare;
    unsigned count, spare_count;  // `count` is of all, the current one among them
    quic_lender lender;
} blocks;

int blocks_init(blocks *b);  // IROH_ERR_NOMEM

// After everything that kept something. Once more does nothing.
void blocks_dispose(blocks *b);

// SYS_UDP_BATCH bytes, in which nothing is kept.
uint8_t *blocks_room(const blocks *b);

// For who may keep parts of blocks_room; null when nothing more may be kept. Then blocks_next, before anything else is
// written there.
const quic_lender *blocks_lender(blocks *b);
void blocks_next(blocks *b);

// Gives some of what is spare back to the system.
void blocks_shrink(blocks *b);

#endif
