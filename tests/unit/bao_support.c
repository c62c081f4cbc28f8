#include "unit/bao_support.h"

#include <stdlib.h>
#include <string.h>

static void need(bool holds) {
    if (!holds)
        abort();
}

void blob_make(blob *b, size_t size) {
    size_t outboard_size = (size_t)bao_outboard_size(size);
    b->data = pattern_new(size);
    b->outboard = malloc(outboard_size + 1);
    need(b->outboard != NULL && bao_outboard(b->data, size, b->outboard, b->root) == 0);
    b->memory = (bao_memory){.data = b->data, .size = size, .outboard = b->outboard, .outboard_size = outboard_size};
    b->source = bao_memory_source(&b->memory);
}

void blob_free(blob *b) {
    free(b->data);
    free(b->outboard);
}

buffer encode(const blob *b, const ranges *wanted, size_t room) {
    size_t all = (size_t)bao_encoded_size(b->memory.size, wanted), n;
    buffer out = {.bytes = malloc(all + room)};
    bao_encoder *e = NULL;
    int more;
    need(out.bytes != NULL && bao_encoder_new(&e) == 0);
    need(bao_encoder_start(e, b->root, b->memory.size, wanted, &b->source) == 0);
    do {
        more = bao_encoder_write(e, out.bytes + out.len, room, &n);
        out.len += n;
        need(more >= 0 && (n > 0 || more > 0) && out.len <= all);
    } while (more == 0);
    need(out.len == all);
    bao_encoder_free(e);
    return out;
}

typedef struct reference {
    const blob *b;
    const uint64_t *bounds;
    size_t count;
    uint64_t last;  // chunk
    buffer out;
} reference;

static bool in_bounds(const reference *r, uint64_t chunk) {
    size_t before = 0;
    while (before < r->count && r->bounds[before] <= chunk)
        before++;
    return before % 2 == 1;
}

// The effective set: what lies in the blob, and the last chunk for anything beyond it.
static bool is_wanted(const reference *r, uint64_t chunk) {
    bool beyond = r->count % 2 == 1;
    for (size_t i = 0; i + 1 < r->count; i += 2)
        beyond |= r->bounds[i + 1] - 1 > r->last;
    return in_bounds(r, chunk) || (chunk == r->last && beyond);
}

static void emit(reference *r, const void *bytes, size_t len) {
    memcpy(r->out.bytes + r->out.len, bytes, len);
    r->out.len += len;
}

static void emit_subtree(reference *r, uint64_t chunk, size_t len) {
    const uint8_t *data = r->b->data + chunk * BAO_CHUNK;
    uint64_t chunks = len > 0 ? (len + BAO_CHUNK - 1) / BAO_CHUNK : 1, found = 0;
    for (uint64_t i = 0; i < chunks; i++)
        found += is_wanted(r, chunk + i);
    if (found == 0)
        return;
    if (len <= BAO_CHUNK || (len <= BAO_GROUP && found == chunks)) {
        emit(r, data, len);
        return;
    }
    uint8_t cv[BLAKE3_LEN];
    size_t left = (size_t)reference_left(len);
    reference_cv(chunk, data, left, false, cv);
    emit(r, cv, sizeof cv);
    reference_cv(chunk + left / BAO_CHUNK, data + left, len - left, false, cv);
    emit(r, cv, sizeof cv);
    emit_subtree(r, chunk, left);
    emit_subtree(r, chunk + left / BAO_CHUNK, len - left);
}

buffer reference_encode(const blob *b, const uint64_t *bounds, size_t count) {
    uint64_t size = b->memory.size, chunks = bao_chunks(size);
    // A pair for each chunk at most.
    size_t room = BAO_HEADER + b->memory.size + (size_t)(chunks + 1) * BAO_PAIR;
    reference r = {.b = b, .bounds = bounds, .count = count, .last = chunks > 0 ? chunks - 1 : 0};
    uint8_t header[BAO_HEADER];
    for (size_t i = 0; i < BAO_HEADER; i++)
        header[i] = (uint8_t)(size >> (8 * i));
    r.out.bytes = malloc(room);
    need(r.out.bytes != NULL);
    emit(&r, header, sizeof header);
    emit_subtree(&r, 0, b->memory.size);
    return r.out;
}

void ranges_from_bounds(ranges *r, const uint64_t *bounds, size_t count) {
    *r = RANGES_INIT;
    for (size_t i = 0; i < count; i += 2) {
        uint64_t start = bounds[i] < BAO_LAST ? bounds[i] : BAO_LAST;
        need(ranges_add(r, start, i + 1 < count ? bounds[i + 1] : BAO_END) == 0);
    }
}

ranges everything(void) {
    static const uint64_t zero;
    ranges r;
    ranges_from_bounds(&r, &zero, 1);
    return r;
}

size_t vectors_bounds(const vectors *v, const char *name, uint64_t bounds[static BOUNDS_MAX]) {
    uint8_t bytes[8 * BOUNDS_MAX];
    size_t count = vectors_bytes(v, name, bytes, sizeof bytes) / 8;
    for (size_t i = 0; i < count; i++) {
        bounds[i] = 0;
        for (size_t j = 0; j < 8; j++)
            bounds[i] = bounds[i] << 8 | bytes[8 * i + j];
    }
    return count;
}

size_t draw_bounds(uint64_t *random, uint64_t most, uint64_t bounds[static BOUNDS_MAX]) {
    size_t count = 0, wanted = 1 + (size_t)draw(random, 8);
    // Ascending by steps, so that there may be fewer than wanted.
    for (uint64_t at = draw(random, most); count < wanted && at < most; at += 1 + draw(random, most / 3 + 2))
        bounds[count++] = at;
    return count;
}
