#include "quic/chunks.h"

#include <stdlib.h>
#include <string.h>

// With its header a chunk of the first two sizes is a power of two, which allocators like.
static const uint32_t rooms[CHUNK_SIZES] = {256 - sizeof(quic_chunk), 2048 - sizeof(quic_chunk), CHUNK_LARGE_ROOM};

// Spare chunks kept while others are in use: what one burst of acknowledgements or one read frees.
static const uint32_t spares_busy[CHUNK_SIZES] = {16, 16, 16};
// And while none is: a reader that keeps up empties its buffers with every batch of packets.
static const uint32_t spares_idle[CHUNK_SIZES] = {2, 2, 4};

void quic_chunks_init(quic_chunks *store) {
    *store = (quic_chunks){.keep = true};
}

static void shrink(quic_chunks *store, unsigned size, uint32_t count) {
    while (store->spare_count[size] > count) {
        quic_chunk *c = store->spare[size];
        store->spare[size] = c->next;
        store->spare_count[size]--;
        free(c);
    }
}

void quic_chunks_trim(quic_chunks *store) {
    for (unsigned i = 0; i < CHUNK_SIZES; i++)
        shrink(store, i, 0);
}

unsigned quic_chunk_fit(size_t len) {
    if (len <= rooms[CHUNK_SMALL])
        return CHUNK_SMALL;
    return len <= rooms[CHUNK_MEDIUM] ? CHUNK_MEDIUM : CHUNK_LARGE;
}

quic_chunk *quic_chunk_take(quic_chunks *store, unsigned size) {
    quic_chunk *c;
    if (store != NULL && store->spare[size] != NULL) {
        c = store->spare[size];
        store->spare[size] = c->next;
        store->spare_count[size]--;
    } else {
        c = malloc(sizeof *c + rooms[size]);
        if (c == NULL)
            return NULL;
    }
    c->next = NULL;
    c->base = 0;
    c->room = rooms[size];
    c->used = 0;
    c->size = (uint8_t)size;
    if (store != NULL)
        store->in_use++;
    return c;
}

quic_chunk *quic_chunk_lend(quic_chunks *store, const quic_loan *loan, uint32_t len) {
    quic_chunk *c = malloc(sizeof *c + sizeof *loan);
    if (c == NULL)
        return NULL;
    *c = (quic_chunk){.room = len, .used = len, .size = CHUNK_LENT};
    memcpy(c->data, loan, sizeof *loan);
    if (store != NULL)
        store->in_use++;
    return c;
}

static void end_loan(const quic_chunk *c) {
    quic_loan loan;
    memcpy(&loan, c->data, sizeof loan);
    loan.release(loan.user, loan.bytes);
}

static void give_one(quic_chunks *store, quic_chunk *c) {
    bool lent = c->size == CHUNK_LENT;
    if (lent)
        end_loan(c);
    if (store != NULL)
        store->in_use--;
    if (lent || store == NULL || !store->keep || store->spare_count[c->size] >= spares_busy[c->size]) {
        free(c);
        return;
    }
    c->next = store->spare[c->size];
    store->spare[c->size] = c;
    store->spare_count[c->size]++;
}

void quic_chunk_give(quic_chunks *store, quic_chunk *c) {
    while (c != NULL) {
        quic_chunk *next = c->next;
        give_one(store, c);
        c = next;
    }
    for (unsigned i = 0; store != NULL && store->in_use == 0 && i < CHUNK_SIZES; i++)
        shrink(store, i, spares_idle[i]);
}
