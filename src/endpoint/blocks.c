#include "endpoint/blocks.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "sys/udp.h"

struct block {
    block *next;  // in the list of spare ones
    blocks *owner;
    unsigned kept;  // parts that are kept
    uint8_t bytes[SYS_UDP_BATCH];
};

static block *add(blocks *b) {
    block *k = malloc(sizeof *k);
    if (k == NULL)
        return NULL;
    k->next = NULL;
    k->owner = b;
    k->kept = 0;
    b->count++;
    return k;
}

static void drop(blocks *b, block *k) {
    b->count--;
    free(k);
}

static void make_spare(blocks *b, block *k) {
    if (b->spare_count >= BLOCKS_SPARE) {
        drop(b, k);
        return;
    }
    k->next = b->spare;
    b->spare = k;
    b->spare_count++;
}

static block *take_spare(blocks *b) {
    block *k = b->spare;
    b->spare = k->next;
    b->spare_count--;
    return k;
}

static void keep(void *user) {
    blocks *b = user;
    b->current->kept++;
}

static void release(void *user, const void *bytes) {
    (void)bytes;
    block *k = user;
    if (--k->kept == 0 && k != k->owner->current)
        make_spare(k->owner, k);
}

int blocks_init(blocks *b) {
    *b = (blocks){.lender = {.keep = keep, .release = release, .user = b}};
    b->current = add(b);
    return b->current != NULL ? 0 : IROH_ERR_NOMEM;
}

void blocks_dispose(blocks *b) {
    while (b->spare != NULL)
        drop(b, take_spare(b));
    if (b->current != NULL)
        drop(b, b->current);
    b->current = NULL;
}

uint8_t *blocks_room(const blocks *b) {
    return b->current->bytes;
}

// Whatever happens to the current block, there has to be a next one.
const quic_lender *blocks_lender(blocks *b) {
    block *next = b->spare == NULL && b->count < BLOCKS_MAX ? add(b) : NULL;
    if (next != NULL)
        make_spare(b, next);
    b->lender.loan_user = b->current;
    return b->spare != NULL ? &b->lender : NULL;
}

void blocks_next(blocks *b) {
    if (b->current->kept > 0)
        b->current = take_spare(b);
}

void blocks_shrink(blocks *b) {
    if (b->spare != NULL)
        drop(b, take_spare(b));
}
