// Decoder: items are collected from the input as long as they lie in it whole, checked together and given out where
// they lie. Only an item that a piece of input ends in is copied: it comes first in the call that completes it.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/bao.h"
#include "blobs/bao_proof.h"

struct bao_decoder {
    const ranges *wanted;
    bao_walk walk;
    bao_proof proof;
    bao_fault fault;
    uint64_t where;  // of the fault
    uint64_t size;   // once the header is there
    bool has_item;   // `item` is what comes next; false at the end of the encoding
    bao_item item;
    size_t header_len;
    size_t carry_len;  // bytes of `item` in `carry`
    bao_item items[BAO_ITEMS];
    uint8_t root[BLAKE3_LEN];
    uint8_t header[BAO_HEADER];
    uint8_t carry[BAO_GROUP];
};

int bao_decoder_new(bao_decoder **out) {
    *out = malloc(sizeof **out);
    return *out != NULL ? 0 : IROH_ERR_NOMEM;
}

void bao_decoder_free(bao_decoder *d) {
    free(d);
}

void bao_decoder_start(bao_decoder *d, const uint8_t root[static BLAKE3_LEN], const ranges *wanted) {
    d->wanted = wanted;
    d->fault = BAO_FINE;
    d->where = 0;
    d->has_item = false;
    d->header_len = 0;
    d->carry_len = 0;
    memcpy(d->root, root, BLAKE3_LEN);
}

bool bao_decoder_size(const bao_decoder *d, uint64_t *size) {
    if (d->header_len < BAO_HEADER)
        return false;
    *size = d->size;
    return true;
}

bao_fault bao_decoder_fault(const bao_decoder *d, uint64_t *where) {
    if (where != NULL)
        *where = d->where;
    return d->fault;
}

static void fail(bao_decoder *d, bao_fault fault, uint64_t where) {
    d->fault = fault;
    d->where = where;
}

static void fail_at(bao_decoder *d, const bao_item *item, bao_fault parent, bao_fault leaf) {
    fail(d, item->leaf ? leaf : parent, item->leaf ? item->chunk : bao_node(item->chunk, item->chunks));
}

static void next_item(bao_decoder *d) {
    d->has_item = bao_walk_next(&d->walk, &d->item);
}

static bool size_possible(const bao_decoder *d) {
    uint8_t empty[BLAKE3_LEN];
    blake3_hash(NULL, 0, empty);
    return d->size <= BAO_SIZE_MAX && (d->size > 0 || memcmp(d->root, empty, BLAKE3_LEN) == 0);
}

// Takes what is there of the size; true when it is complete.
static bool take_header(bao_decoder *d, const uint8_t *in, size_t len, size_t *used) {
    size_t n = BAO_HEADER - d->header_len;
    n = n < len ? n : len;
    if (n > 0)
        memcpy(d->header + d->header_len, in, n);
    d->header_len += n;
    *used = n;
    if (d->header_len < BAO_HEADER)
        return false;
    d->size = 0;
    for (size_t i = BAO_HEADER; i-- > 0;)
        d->size = d->size << 8 | d->header[i];
    if (!size_possible(d)) {
        fail(d, BAO_SIZE_REFUSED, 0);
        return false;
    }
    bao_walk_start(&d->walk, d->size, d->wanted);
    bao_proof_start(&d->proof, d->root);
    next_item(d);
    return true;
}

static bool fill_carry(bao_decoder *d, const uint8_t *in, size_t len, size_t *used) {
    size_t n = d->item.len - d->carry_len;
    n = n < len ? n : len;
    if (n > 0)
        memcpy(d->carry + d->carry_len, in, n);
    d->carry_len += n;
    *used += n;
    return d->carry_len == d->item.len;
}

// Collects the items that `in` completes, as many as are checked at once; their number.
static size_t collect(bao_decoder *d, const uint8_t *in, size_t len, size_t *used) {
    size_t count = 0, leaves = 0;
    while (d->has_item && count < BAO_ITEMS && leaves < BAO_LEAVES) {
        size_t left = len - *used;
        if (d->carry_len > 0 || left < d->item.len || left == 0) {
            // `carry` belongs to the first item of a call only.
            if (count > 0 || !fill_carry(d, in + *used, left, used))
                break;
            d->item.bytes = d->carry;
            d->carry_len = 0;
        } else {
            d->item.bytes = in + *used;
            *used += d->item.len;
        }
        leaves += d->item.leaf;
        d->items[count++] = d->item;
        next_item(d);
    }
    return count;
}

int bao_decoder_read(bao_decoder *d, const uint8_t *in, size_t len, size_t *used, const bao_item **items,
                     size_t *count) {
    *used = *count = 0;
    *items = d->items;
    if (d->fault != BAO_FINE)
        return IROH_ERR_PROTOCOL;
    if (d->header_len < BAO_HEADER && !take_header(d, in, len, used))
        return d->fault != BAO_FINE ? IROH_ERR_PROTOCOL : 0;
    size_t n = collect(d, in, len, used);
    *count = bao_proof_check(&d->proof, d->items, n);
    if (*count < n) {
        fail_at(d, &d->items[*count], BAO_PARENT_MISMATCH, BAO_LEAF_MISMATCH);
        return IROH_ERR_PROTOCOL;
    }
    return d->has_item ? 0 : 1;
}

int bao_decoder_end(bao_decoder *d) {
    if (d->fault != BAO_FINE)
        return IROH_ERR_PROTOCOL;
    if (d->header_len == BAO_HEADER && !d->has_item)
        return 0;
    if (d->header_len < BAO_HEADER)
        fail(d, BAO_SIZE_NOT_FOUND, 0);
    else if (d->carry_len > 0)
        fail_at(d, &d->item, BAO_CUT, BAO_CUT);
    else
        fail_at(d, &d->item, BAO_PARENT_NOT_FOUND, BAO_LEAF_NOT_FOUND);
    return IROH_ERR_FINISHED;
}
