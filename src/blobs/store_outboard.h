// An outboard as it comes from a bao_builder, brought into pre-order: in memory while it is small, else in a temporary
// file of the store. Memory is bounded whatever the size of the blob.
#ifndef BLOBS_STORE_OUTBOARD_H
#define BLOBS_STORE_OUTBOARD_H

#include "blobs/bao.h"
#include "blobs/store_backend.h"

#define STORE_WINDOW_PAIRS 2048  // a multiple of 64; a subtree of 1024 groups fits with what lies around it

typedef struct store_outboard {
    store_backend *backend;
    uint64_t size;   // of the blob, BAO_SIZE_UNKNOWN until the end of a stream
    uint8_t *bytes;  // the outboard while it is small, `len` bytes
    size_t len;
    store_file *file;  // else
    // Pairs come in post-order. With the size known they lie near each other in pre-order, and gather here before they
    // are written; without it they are appended in post-order and sorted at the end.
    uint64_t base;  // index of the first pair of the window
    uint64_t held[STORE_WINDOW_PAIRS / 64];
    uint8_t (*window)[BAO_PAIR];
} store_outboard;

// Nothing is allocated before it is needed.
void store_outboard_start(store_outboard *o, store_backend *backend, uint64_t size);
void store_outboard_dispose(store_outboard *o);
bao_sink store_outboard_sink(store_outboard *o);

// All pairs are there, of a blob of `size` bytes: the outboard is in `bytes` or in `file`.
int store_outboard_finish(store_outboard *o, uint64_t size);

#endif
