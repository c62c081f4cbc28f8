#include "blobs/store_outboard.h"

#include <stdlib.h>
#include <string.h>

#define AHEAD 64  // pairs before the first of a window that may still come: no tree is deeper

void store_outboard_start(store_outboard *o, store_backend *backend, uint64_t size) {
    *o = (store_outboard){.backend = backend, .size = size};
}

void store_outboard_dispose(store_outboard *o) {
    free(o->bytes);
    free(o->window);
    store_file_unref(o->file);
    *o = (store_outboard){.backend = NULL};
}

static bool is_small(const store_outboard *o) {
    return o->size != BAO_SIZE_UNKNOWN && bao_outboard_size(o->size) <= STORE_INLINE_MAX;
}

// The window

static bool holds(const store_outboard *o, uint64_t i) {
    return (o->held[i / 64] >> i % 64 & 1) != 0;
}

static int flush(store_outboard *o) {
    int r = 0;
    uint64_t i = 0;
    while (i < STORE_WINDOW_PAIRS && r == 0) {
        uint64_t end = i;
        while (end < STORE_WINDOW_PAIRS && holds(o, end))
            end++;
        if (end > i)
            r = store_file_write_bytes(o->file, (o->base + i) * BAO_PAIR, o->window[i], (size_t)(end - i) * BAO_PAIR);
        i = end + 1;
    }
    memset(o->held, 0, sizeof o->held);
    return r;
}

static int open_window(store_outboard *o) {
    if (o->window == NULL && (o->window = malloc(STORE_WINDOW_PAIRS * sizeof *o->window)) == NULL)
        return IROH_ERR_NOMEM;
    return o->file != NULL ? 0 : o->backend->ops->temporary(o->backend, &o->file);
}

// A pair outside the window moves it, when it lies ahead, or is written at once: one of the few of large subtrees.
static int put_in_window(store_outboard *o, uint64_t index, const uint8_t pair[BAO_PAIR]) {
    int r = open_window(o);
    if (r != 0)
        return r;
    if (index < o->base)
        return store_file_write_bytes(o->file, index * BAO_PAIR, pair, BAO_PAIR);
    if (index - o->base >= STORE_WINDOW_PAIRS) {
        r = flush(o);
        o->base = index > AHEAD ? index - AHEAD : 0;
    }
    uint64_t i = index - o->base;
    memcpy(o->window[i], pair, BAO_PAIR);
    o->held[i / 64] |= UINT64_C(1) << i % 64;
    return r;
}

// Small ones, and those of unknown size

static int put_small(store_outboard *o, uint64_t index, const uint8_t pair[BAO_PAIR]) {
    if (o->bytes == NULL) {
        o->len = (size_t)bao_outboard_size(o->size);
        o->bytes = malloc(o->len);
    }
    if (o->bytes == NULL)
        return IROH_ERR_NOMEM;
    memcpy(o->bytes + index * BAO_PAIR, pair, BAO_PAIR);
    return 0;
}

static int take(void *user, uint64_t pre, uint64_t post, const uint8_t pair[BAO_PAIR]) {
    store_outboard *o = user;
    if (o->size == BAO_SIZE_UNKNOWN)
        return put_in_window(o, post, pair);
    return is_small(o) ? put_small(o, pre, pair) : put_in_window(o, pre, pair);
}

bao_sink store_outboard_sink(store_outboard *o) {
    return (bao_sink){.user = o, .pair = take};
}

// From post-order to pre-order

static int move_pairs(store_outboard *o, store_file *from) {
    uint64_t count = bao_outboard_size(o->size) / BAO_PAIR;
    int r = 0;
    for (uint64_t pre = 0; pre < count && r == 0; pre++) {
        uint8_t pair[BAO_PAIR];
        r = store_file_read(from, bao_pre_to_post(o->size, pre) * BAO_PAIR, pair, BAO_PAIR);
        if (r == 0)
            r = take(o, pre, 0, pair);
    }
    return r;
}

static int sort_pairs(store_outboard *o, uint64_t size) {
    store_file *post = o->file;
    o->file = NULL;
    o->size = size;
    o->base = 0;
    int r = post != NULL ? move_pairs(o, post) : 0;
    store_file_unref(post);
    return r;
}

int store_outboard_finish(store_outboard *o, uint64_t size) {
    int r = o->file != NULL ? flush(o) : 0;
    if (r == 0 && o->size == BAO_SIZE_UNKNOWN) {
        r = sort_pairs(o, size);
        if (r == 0 && o->file != NULL)
            r = flush(o);
    }
    free(o->window);
    o->window = NULL;
    return r;
}
