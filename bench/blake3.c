// Bytes a second through BLAKE3 on one thread: hashes of some sizes with each variant that this machine runs, and
// then bao with the best one: outboards, encoding and decoding (verification) of a whole blob and of single groups.
// CPU time, so that a busy machine does not count. One line each: min and median of the rounds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "crypto/blake3_rows.h"

#define ROUNDS 15
#define ROUND_BYTES (64 << 20)
#define BLOB (16 << 20)
#define PIECE (256 << 10)  // bytes in one call of bao

typedef struct world {
    uint8_t *data, *outboard, *encoded, *out;
    size_t encoded_len;
    uint8_t root[BLAKE3_LEN];
    ranges all;
    bao_memory memory;
    bao_source source;
    bao_encoder *encoder;
    bao_decoder *decoder;
    bao_builder *builder;
    size_t piece;
} world;

static void fail(const char *what) {
    fprintf(stderr, "blake3: %s\n", what);
    exit(1);
}

static double cpu_now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * (double)NS_PER_S + (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// `pass` works on `bytes` bytes.
static void measure(world *w, const char *what, size_t bytes, void (*pass)(world *w, size_t bytes)) {
    double rates[ROUNDS];
    size_t passes = bytes < ROUND_BYTES ? ROUND_BYTES / bytes : 1;
    for (int i = 0; i < ROUNDS; i++) {
        double start = cpu_now();
        for (size_t p = 0; p < passes; p++)
            pass(w, bytes);
        rates[i] = (double)(bytes * passes) / (cpu_now() - start);
    }
    qsort(rates, ROUNDS, sizeof *rates, ascending);
    printf("blake3: %s: min %.2f GB/s, median %.2f GB/s\n", what, rates[0], rates[ROUNDS / 2]);
}

static void pass_hash(world *w, size_t bytes) {
    blake3_hash(w->data, bytes, w->out);
}

static void pass_build(world *w, size_t bytes) {
    const bao_sink none = {.pair = NULL};
    bao_builder_start(w->builder, bytes, &none);
    if (bao_builder_add(w->builder, w->data, bytes, NULL) != 0 || bao_builder_finish(w->builder, w->root, NULL) != 0)
        fail("build");
}

static void pass_encode(world *w, size_t bytes) {
    size_t len;
    int result;
    if (bao_encoder_start(w->encoder, w->root, bytes, &w->all, &w->source) != 0)
        fail("encode");
    while ((result = bao_encoder_write(w->encoder, w->out, w->piece, &len)) == 0)
        ;
    if (result != 1)
        fail("encode");
}

static void pass_decode(world *w, size_t bytes) {
    size_t at = 0, used, count;
    int result = 0;
    (void)bytes;
    bao_decoder_start(w->decoder, w->root, &w->all);
    while (result == 0) {
        const bao_item *items;
        size_t left = w->encoded_len - at;
        result =
            bao_decoder_read(w->decoder, w->encoded + at, left < w->piece ? left : w->piece, &used, &items, &count);
        at += used;
    }
    if (result != 1)
        fail("decode");
}

static void make_world(world *w) {
    size_t outboard_size = (size_t)bao_outboard_size(BLOB), room = BLOB + outboard_size + BAO_HEADER, n = 0;
    *w = (world){.data = malloc(BLOB), .outboard = malloc(outboard_size), .encoded = malloc(room), .out = malloc(room)};
    if (w->data == NULL || w->outboard == NULL || w->encoded == NULL || w->out == NULL)
        fail("out of memory");
    for (size_t i = 0; i < BLOB; i++)
        w->data[i] = (uint8_t)(i % 251);
    w->memory = (bao_memory){w->data, BLOB, w->outboard, outboard_size};
    w->source = bao_memory_source(&w->memory);
    ranges all = RANGES_INIT;
    if (ranges_add(&all, 0, BAO_END) != 0 || bao_outboard(w->data, BLOB, w->outboard, w->root) != 0 ||
        bao_encoder_new(&w->encoder) != 0 || bao_decoder_new(&w->decoder) != 0 || bao_builder_new(&w->builder) != 0)
        fail("out of memory");
    w->all = all;
    if (bao_encoder_start(w->encoder, w->root, BLOB, &w->all, &w->source) != 0)
        fail("out of memory");
    int result;
    while ((result = bao_encoder_write(w->encoder, w->encoded + w->encoded_len, room - w->encoded_len, &n)) == 0)
        w->encoded_len += n;
    w->encoded_len += n;
    if (result != 1)
        fail("encode");
}

static void free_world(world *w) {
    bao_encoder_free(w->encoder);
    bao_decoder_free(w->decoder);
    bao_builder_free(w->builder);
    free(w->data);
    free(w->outboard);
    free(w->encoded);
    free(w->out);
}

static void measure_hashes(world *w, const blake3_variant *v) {
    static const size_t lengths[] = {64, 1024, 2048, 4096, 8192, 16384, 65536, 1 << 20, BLOB};
    blake3_use(v);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char what[64];
        (void)snprintf(what, sizeof what, "%s, hash of %zu bytes", v->name, lengths[i]);
        measure(w, what, lengths[i], pass_hash);
    }
}

int main(void) {
    world w;
    const blake3_variant *best = blake3_best();
    make_world(&w);
    for (size_t i = 0; i < blake3_variant_count; i++)
        if (blake3_variants[i].usable())
            measure_hashes(&w, &blake3_variants[i]);
    blake3_use(best);
    measure(&w, "outboard of 16 MiB", BLOB, pass_build);
    for (w.piece = 16 << 10; w.piece <= PIECE; w.piece *= 4) {
        char what[64];
        (void)snprintf(what, sizeof what, "encoding of 16 MiB, %zu KiB a call", w.piece >> 10);
        measure(&w, what, BLOB, pass_encode);
        (void)snprintf(what, sizeof what, "decoding of 16 MiB, %zu KiB a call", w.piece >> 10);
        measure(&w, what, BLOB, pass_decode);
    }
    free_world(&w);
    return 0;
}
