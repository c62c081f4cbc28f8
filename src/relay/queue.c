#include "relay/queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "web/websocket.h"

// --- The store

void relay_blocks_init(relay_blocks *b, size_t max) {
    *b = (relay_blocks){.max = max};
}

void relay_blocks_dispose(relay_blocks *b) {
    assert(b->in_use == 0);
    while (b->free != NULL) {
        relay_block *block = b->free;
        b->free = block->next;
        free(block);
    }
    b->free_count = 0;
}

static relay_block *take_free(relay_blocks *b) {
    relay_block *block = b->free;
    if (block != NULL) {
        b->free = block->next;
        b->free_count--;
    } else {
        block = malloc(sizeof *block);
    }
    if (block != NULL)
        b->in_use++;
    return block;
}

static void give(relay_blocks *b, relay_block *block) {
    b->in_use--;
    if (b->free_count == RELAY_BLOCKS_KEPT) {
        free(block);
        return;
    }
    block->next = b->free;
    b->free = block;
    b->free_count++;
}

static void give_all(relay_blocks *b, relay_block *first) {
    while (first != NULL) {
        relay_block *next = first->next;
        give(b, first);
        first = next;
    }
}

// --- Filling

void relay_queue_init(relay_queue *q, relay_blocks *store) {
    *q = (relay_queue){.store = store};
}

static relay_lane *lane_of(relay_queue *q, bool bulk) {
    return bulk ? &q->bulk : &q->urgent;
}

static bool within(const relay_lane *lane, size_t len, const relay_queue_limits *limits) {
    bool fits = len <= limits->bytes && lane->bytes <= limits->bytes - len;
    return lane->messages < limits->messages && (fits || lane->messages == 0);
}

static relay_block *block_init(relay_block *block, bool bulk) {
    block->next = NULL;
    block->start = block->end = RELAY_BLOCK_HEAD;
    block->messages = block->size = 0;
    block->bulk = bulk;
    block->goes_on = false;
    return block;
}

// A chain of blocks for `len` bytes; IROH_ERR_LIMIT, IROH_ERR_NOMEM.
static int make_chain(relay_blocks *store, bool bulk, size_t len, relay_block **first, relay_block **last) {
    size_t count = (len + RELAY_BLOCK_ROOM - 1) / RELAY_BLOCK_ROOM;
    *first = *last = NULL;
    if (count > store->max || store->in_use > store->max - count)
        return IROH_ERR_LIMIT;
    for (; count > 0; count--) {
        relay_block *block = take_free(store);
        if (block == NULL) {
            give_all(store, *first);
            return IROH_ERR_NOMEM;
        }
        block_init(block, bulk)->next = *first;
        block->goes_on = *first != NULL;
        *first = block;
        *last = *last != NULL ? *last : block;
    }
    return 0;
}

static size_t room_in(const relay_block *block) {
    return block == NULL ? 0 : RELAY_BLOCK_HEAD + RELAY_BLOCK_ROOM - block->end;
}

int relay_queue_begin(relay_queue *q, bool bulk, size_t len, const relay_queue_limits *limits, relay_queue_put *out) {
    relay_lane *lane = lane_of(q, bulk);
    // What is urgent must not be cut, or it would have to be finished before bulk that is cut.
    if (len == 0 || (!bulk && len > RELAY_BLOCK_ROOM) || !within(lane, len, limits))
        return IROH_ERR_LIMIT;
    relay_block *at = lane->last;
    if (room_in(at) < len) {
        relay_block *last;
        int r = make_chain(q->store, bulk, len, &at, &last);
        if (r != 0)
            return r;
        if (lane->last != NULL)
            lane->last->next = at;
        else
            lane->first = at;
        lane->last = last;
    }
    lane->last->messages++;
    lane->messages++;
    lane->bytes += (uint32_t)len;
    *out = (relay_queue_put){.lane = lane, .at = at, .left = len};
    return 0;
}

void relay_queue_add(relay_queue_put *p, const uint8_t *bytes, size_t len, const uint8_t *mask, size_t offset) {
    assert(len <= p->left);
    while (len > 0) {
        size_t room = room_in(p->at), n = len < room ? len : room;
        uint8_t *out = p->at->bytes + p->at->end;
        if (mask != NULL)
            ws_mask(out, bytes, n, mask, offset);
        else
            memcpy(out, bytes, n);
        p->at->end += (uint32_t)n;
        p->left -= n;
        bytes += n;
        offset += n;
        len -= n;
        if (len > 0)
            p->at = p->at->next;
    }
}

int relay_queue_push(relay_queue *q, bool bulk, const uint8_t *bytes, size_t len, const relay_queue_limits *limits) {
    relay_queue_put put;
    int r = relay_queue_begin(q, bulk, len, limits, &put);
    if (r == 0)
        relay_queue_add(&put, bytes, len, NULL, 0);
    return r;
}

// --- Emptying

static void clear_lane(relay_queue *q, relay_lane *lane) {
    for (relay_block *block = lane->first; block != NULL; block = block->next) {
        lane->messages -= block->messages;
        lane->bytes -= block->end - block->start;
    }
    give_all(q->store, lane->first);
    lane->first = lane->last = NULL;
}

void relay_queue_clear(relay_queue *q) {
    clear_lane(q, &q->bulk);
    clear_lane(q, &q->urgent);
    q->split = false;
}

void relay_queue_clear_bulk(relay_queue *q) {
    assert(!q->split);
    clear_lane(q, &q->bulk);
}

static relay_lane *next_lane(relay_queue *q) {
    if (q->split)
        return &q->bulk;
    if (q->urgent.first != NULL)
        return &q->urgent;
    return q->bulk.first != NULL && !q->hold ? &q->bulk : NULL;
}

bool relay_queue_pending(const relay_queue *q) {
    return q->split || q->urgent.first != NULL || (q->bulk.first != NULL && !q->hold);
}

relay_block *relay_queue_take(relay_queue *q) {
    relay_lane *lane = next_lane(q);
    if (lane == NULL)
        return NULL;
    relay_block *block = lane->first;
    lane->first = block->next;
    if (lane->first == NULL)
        lane->last = NULL;
    block->next = NULL;
    block->size = block->end - block->start;
    q->split = block->goes_on;
    return block;
}

void relay_queue_done(relay_queue *q, relay_block *block) {
    relay_lane *lane = lane_of(q, block->bulk);
    lane->messages -= block->messages;
    lane->bytes -= block->size;
    give(q->store, block);
}

relay_block *relay_queue_blank(relay_queue *q) {
    relay_block *block;
    return make_chain(q->store, false, RELAY_BLOCK_ROOM, &block, &block) == 0 ? block : NULL;
}
