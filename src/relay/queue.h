// What waits to be written to one peer: WebSocket messages in blocks.
//
// Two lanes: bulk (datagrams), bounded in messages and bytes with the newest dropped, and urgent (pongs, notices), which
// overtakes bulk between two messages. Both lie in blocks of about a TLS record, taken from a shared store when the first
// byte comes and given back after the last is written, so that an idle peer costs no block. A block has room in front and
// behind, so that the shell can make a TLS record of it in place. A message longer than a block goes on in the next
// blocks, and nothing overtakes it there.
#ifndef RELAY_QUEUE_H
#define RELAY_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RELAY_BLOCK_HEAD 16     // free bytes in front of the content
#define RELAY_BLOCK_ROOM 16000  // bytes of content
#define RELAY_BLOCK_TAIL 32     // free bytes behind
#define RELAY_BLOCKS_KEPT 256   // free blocks that a store holds on to: 4 MB

typedef struct relay_block {
    struct relay_block *next;
    uint32_t start, end;  // the content in bytes[]; the shell may change both once it has taken the block
    uint32_t messages;    // that end in it
    uint32_t size;        // content when it was taken
    bool bulk;
    bool goes_on;  // its last message continues in the next block
    uint8_t bytes[RELAY_BLOCK_HEAD + RELAY_BLOCK_ROOM + RELAY_BLOCK_TAIL];
} relay_block;

// Blocks for all queues of one thread.
typedef struct relay_blocks {
    relay_block *free;
    size_t free_count;
    size_t in_use;
    size_t max;  // in use at once; beyond it messages are dropped
} relay_blocks;

void relay_blocks_init(relay_blocks *b, size_t max);
void relay_blocks_dispose(relay_blocks *b);  // all blocks are back (asserted)

typedef struct relay_lane {
    relay_block *first, *last;
    uint32_t messages;  // queued or taken, not yet done
    uint32_t bytes;
} relay_lane;

typedef struct relay_queue {
    relay_blocks *store;
    relay_lane bulk, urgent;
    bool split;  // the last block taken ended inside a message, so bulk must follow
    bool hold;   // bulk is not given out (the connection is not ready for it)
} relay_queue;

// Bounds of the lanes; a message that is larger than `bytes` but alone still goes in.
typedef struct relay_queue_limits {
    uint32_t messages;
    uint32_t bytes;
} relay_queue_limits;

void relay_queue_init(relay_queue *q, relay_blocks *store);
void relay_queue_clear(relay_queue *q);       // gives back all blocks but those that were taken
void relay_queue_clear_bulk(relay_queue *q);  // those of bulk; not in the middle of a message (asserted)

// A message in pieces: begin asks for room for all of it, then put copies pieces of it in. 0, IROH_ERR_LIMIT or
// IROH_ERR_NOMEM, and then nothing is queued.
typedef struct relay_queue_put {
    relay_lane *lane;
    relay_block *at;
    size_t left;
} relay_queue_put;

int relay_queue_begin(relay_queue *q, bool bulk, size_t len, const relay_queue_limits *limits, relay_queue_put *out);
void relay_queue_add(relay_queue_put *p, const uint8_t *bytes, size_t len, const uint8_t *mask, size_t offset);

// The whole message from one slice.
int relay_queue_push(relay_queue *q, bool bulk, const uint8_t *bytes, size_t len, const relay_queue_limits *limits);

bool relay_queue_pending(const relay_queue *q);  // a block can be taken

// The next block to write, which is the caller's until it is done with it; null: nothing to write. Several may be taken,
// and must be done in the same order.
relay_block *relay_queue_take(relay_queue *q);
void relay_queue_done(relay_queue *q, relay_block *block);

// An empty block for what the shell has to say by itself; also to be done, in any order. Null when there is none left.
relay_block *relay_queue_blank(relay_queue *q);

#endif
