#include "blobs_world.h"

#include <stdlib.h>
#include <string.h>

#define PERIOD 251

const size_t world_sizes[WORLD_SIZES] = {0, 1, 1024, 1025, 16384, 16385, 100000, 1048576};
const uint64_t world_partial[WORLD_PARTIAL_BOUNDS] = {0, 512, 1024, 1040};
const size_t world_broken[WORLD_BROKEN_COUNT] = {WORLD_BROKEN_FIRST, WORLD_ABSENT_SIZE, 16385};
const size_t world_pushed[WORLD_PUSHED_COUNT] = {40000, 7, 1000001};

uint8_t *world_pattern(size_t size) {
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        abort();
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i % PERIOD);
    return bytes;
}

iroh_hash world_hash(size_t size) {
    uint8_t *bytes = world_pattern(size);
    iroh_hash hash;
    iroh_hash_of(bytes, size, &hash);
    free(bytes);
    return hash;
}

int world_add(iroh_store *s, size_t size, iroh_hash *out) {
    uint8_t *bytes = world_pattern(size);
    int r = iroh_store_add_bytes(s, bytes, size, NULL, out);
    free(bytes);
    return r;
}

int world_add_sequence(iroh_store *s, const size_t *sizes, size_t count, iroh_hash *out) {
    iroh_hash hashes[WORLD_SIZES];
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    for (size_t i = 0; i < count && i < WORLD_SIZES; i++)
        hashes[i] = world_hash(sizes[i]);
    return iroh_store_add_bytes(s, hashes, count * sizeof *hashes, &o, out);
}

// Children that nobody has are the hashes of their numbers, little-endian.
int world_add_long(iroh_store *s, iroh_hash *out) {
    iroh_hash *hashes = malloc(WORLD_LONG_COUNT * sizeof *hashes);
    if (hashes == NULL)
        abort();
    for (size_t i = 0; i < WORLD_LONG_COUNT; i++) {
        uint8_t number[8] = {(uint8_t)i, (uint8_t)(i >> 8)};
        iroh_hash_of(number, sizeof number, &hashes[i]);
    }
    hashes[WORLD_LONG_PRESENT] = world_hash(16385);
    int r = iroh_store_add_bytes(s, hashes, WORLD_LONG_COUNT * sizeof *hashes, NULL, out);
    free(hashes);
    return r;
}

int world_fill(iroh_store *s, iroh_hash *out) {
    iroh_hash hash;
    int r = world_add(s, WORLD_BROKEN_FIRST, &hash);
    for (size_t i = 0; i < WORLD_SIZES && r == 0; i++)
        r = world_add(s, world_sizes[i], &hash);
    if (r == 0)
        r = world_add_sequence(s, world_broken, WORLD_BROKEN_COUNT, &hash);
    return r == 0 ? world_add_sequence(s, world_sizes, WORLD_SIZES, out) : r;
}

int world_fill_whole(iroh_store *s) {
    iroh_hash hash;
    int r = world_add(s, WORLD_PARTIAL_SIZE, &hash);
    return r == 0 ? world_add_long(s, &hash) : r;
}

static int fetch_part(iroh_store *s, iroh_connection *c, iroh_hash hash, const uint64_t *chunks, size_t count) {
    iroh_content content = {hash, IROH_BLOB_RAW};
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.chunks = chunks;
    o.chunk_count = count;
    return iroh_blobs_get(c, s, &content, &o);
}

int world_fill_parts(iroh_store *s, iroh_connection *c) {
    static const uint64_t beginning[] = {0, WORLD_LONG_CHUNKS};
    iroh_store *whole;
    iroh_hash hash;
    int r = iroh_store_memory(NULL, &whole);
    if (r != 0)
        return r;
    r = world_add_long(whole, &hash);
    iroh_store_free(whole);
    if (r == 0)
        r = fetch_part(s, c, hash, beginning, 2);
    return r == 0 ? fetch_part(s, c, world_hash(WORLD_PARTIAL_SIZE), world_partial, WORLD_PARTIAL_BOUNDS) : r;
}
