// Buffers that are lent to streams: they come back from any thread, when the peer has what was in them, which may be after
// their owner is gone.
#ifndef BLOBS_BUFFERS_H
#define BLOBS_BUFFERS_H

#include <stddef.h>
#include <stdint.h>

#define BUFFERS_SPARE 8  // that are kept for the next who needs one, while others are out; else one

typedef struct buffers buffers;

// Of `size` bytes each. Null when out of memory.
buffers *buffers_new(size_t size);

// Ends it; what is out is freed when it comes back. Null is ignored.
void buffers_free(buffers *b);

// Null when out of memory.
uint8_t *buffers_take(buffers *b);
void buffers_give(buffers *b, uint8_t *buffer);  // null is ignored

// For iroh_stream_lend: `user` is the buffers.
void buffers_release(void *user, const void *data);

#endif
