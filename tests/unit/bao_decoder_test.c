// What the decoder gives of good encodings in any pieces, and what it makes of bad ones.
#include "blobs/bao.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/bao_support.h"

#define BLOB 120000  // most bytes of a blob here

typedef struct decoded {
    int result;  // of the last call
    bao_fault fault;
    uint64_t where;
    size_t used;      // bytes taken
    uint64_t leaves;  // bytes of leaves
    bool proven;      // the last chunk came
    buffer parents;   // pairs of the outboard, in the order in which they came
} decoded;

static bao_decoder *decoder;

static int make_decoder(void **state) {
    (void)state;
    return bao_decoder_new(&decoder);
}

static int free_decoder(void **state) {
    (void)state;
    bao_decoder_free(decoder);
    return 0;
}

// Whatever is given belongs to the blob and comes in order. (With a wrong size, which nothing has proven yet, pairs
// are true but taken for those of other places.)
static void check_item(const blob *b, const bao_item *item, uint64_t *next) {
    uint64_t size;
    assert_true(bao_decoder_size(decoder, &size));
    if (!item->leaf && size != b->memory.size)
        return;
    uint8_t cv[2 * BLAKE3_LEN];
    uint64_t start = item->chunk * BAO_CHUNK, left = bao_chunks(b->memory.size) > 0 ? BAO_CHUNK : 0;
    if (item->leaf) {
        assert_true(item->chunk >= *next);
        *next = item->chunk + item->chunks;
        assert_true(start + item->len <= b->memory.size && item->len <= item->chunks * BAO_CHUNK);
        assert_true(item->len == 0 || memcmp(item->bytes, b->data + start, item->len) == 0);
        return;
    }
    assert_int_equal(item->len, BAO_PAIR);
    if (item->pair != BAO_NO_PAIR) {
        assert_memory_equal(item->bytes, b->outboard + item->pair * BAO_PAIR, BAO_PAIR);
        return;
    }
    while (left / BAO_CHUNK * 2 < item->chunks)
        left *= 2;
    uint64_t end =
        start + item->chunks * BAO_CHUNK < b->memory.size ? start + item->chunks * BAO_CHUNK : b->memory.size;
    reference_cv(item->chunk, b->data + start, (size_t)left, false, cv);
    reference_cv(item->chunk + left / BAO_CHUNK, b->data + start + left, (size_t)(end - start - left), false,
                 cv + BLAKE3_LEN);
    assert_memory_equal(item->bytes, cv, BAO_PAIR);
}

static void keep_parent(decoded *d, const bao_item *item) {
    if (item->leaf || item->pair == BAO_NO_PAIR)
        return;
    d->parents.bytes = realloc(d->parents.bytes, d->parents.len + BAO_PAIR);
    assert_non_null(d->parents.bytes);
    memcpy(d->parents.bytes + d->parents.len, item->bytes, BAO_PAIR);
    d->parents.len += BAO_PAIR;
}

// Decodes `in` as `wanted` of the blob, in pieces of 1..`most` bytes; each is a block of its own, for
// AddressSanitizer.
static decoded decode(const blob *b, const ranges *wanted, const uint8_t *in, size_t len, size_t most,
                      uint64_t *random) {
    decoded d = {.result = 0};
    uint64_t next = 0;
    bao_decoder_start(decoder, b->root, wanted);
    while (d.result == 0 && d.used < len) {
        const bao_item *items;
        size_t count, used, piece = 1 + (size_t)draw(random, most);
        piece = piece < len - d.used ? piece : len - d.used;
        uint8_t *copy = malloc(piece);
        assert_non_null(copy);
        memcpy(copy, in + d.used, piece);
        d.result = bao_decoder_read(decoder, copy, piece, &used, &items, &count);
        assert_true(used <= piece && count <= BAO_ITEMS && (used > 0 || count > 0 || d.result != 0));
        for (size_t i = 0; i < count; i++) {
            check_item(b, &items[i], &next);
            d.leaves += items[i].leaf ? items[i].len : 0;
            d.proven |= bao_item_ends(&items[i], b->memory.size);
            keep_parent(&d, &items[i]);
        }
        d.used += used;
        free(copy);
    }
    if (d.result == 0)
        d.result = bao_decoder_end(decoder);
    d.fault = bao_decoder_fault(decoder, &d.where);
    return d;
}

static void good_encodings_decode_in_any_pieces(void **state) {
    (void)state;
    uint64_t random = 6;
    for (int round = 0; round < 200; round++) {
        uint64_t bounds[BOUNDS_MAX], size;
        blob b;
        ranges r;
        blob_make(&b, (size_t)draw(&random, round % 2 == 0 ? BLOB : 20000));
        size_t count = draw_bounds(&random, bao_chunks(b.memory.size) + 4, bounds);
        ranges_from_bounds(&r, bounds, count);
        buffer in = encode(&b, &r, 1 << 18);
        size_t most = (size_t)1 << draw(&random, 19);
        decoded d = decode(&b, &r, in.bytes, in.len, most, &random);
        assert_int_equal(d.result, 1);
        assert_int_equal(d.used, in.len);
        assert_int_equal(bao_decoder_end(decoder), 0);
        assert_true(bao_decoder_size(decoder, &size) && size == b.memory.size);
        free(d.parents.bytes);
        free(in.bytes);
        blob_free(&b);
        ranges_dispose(&r);
    }
}

static void whole_encodings_hold_the_outboard(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 1024, 16384, 16385, 32769, 100000, 1 << 20};
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        blob b;
        ranges all = everything();
        blob_make(&b, sizes[i]);
        buffer in = encode(&b, &all, 1 << 18);
        decoded d = decode(&b, &all, in.bytes, in.len, 1 << 19, &random);
        assert_true(d.result == 1 && d.proven);
        assert_int_equal(d.leaves, sizes[i]);
        assert_int_equal(d.parents.len, b.memory.outboard_size);
        if (d.parents.len > 0)
            assert_memory_equal(d.parents.bytes, b.outboard, d.parents.len);
        free(d.parents.bytes);
        free(in.bytes);
        blob_free(&b);
    }
}

static void bytes_after_the_end_are_left(void **state) {
    (void)state;
    blob b;
    uint64_t random = 8;
    ranges all = everything();
    blob_make(&b, 40000);
    buffer in = encode(&b, &all, 1 << 18);
    uint8_t *more = calloc(1, in.len + 100);
    assert_non_null(more);
    memcpy(more, in.bytes, in.len);
    decoded d = decode(&b, &all, more, in.len + 100, 1 << 18, &random);
    assert_true(d.result == 1 && d.used == in.len);
    free(d.parents.bytes);
    free(more);
    free(in.bytes);
    blob_free(&b);
}

static void every_changed_bit_is_seen(void **state) {
    (void)state;
    static const uint64_t bounds[] = {0, 17, 35, 36};
    uint64_t random = 9;
    blob b;
    ranges r;
    blob_make(&b, 38000);
    ranges_from_bounds(&r, bounds, 4);
    buffer in = encode(&b, &r, 1 << 18);
    for (size_t at = 0; at < in.len; at += 1 + (size_t)draw(&random, at < 1000 ? 8 : 200)) {
        uint8_t bit = (uint8_t)(1 << draw(&random, 8));
        in.bytes[at] ^= bit;
        decoded d = decode(&b, &r, in.bytes, in.len, 1 << draw(&random, 17), &random);
        in.bytes[at] ^= bit;
        // A size that leaves the wanted chunks where they are is seen only with the last chunk, which is not wanted.
        bool unproven = at < BAO_HEADER && !d.proven && d.result != IROH_ERR_PROTOCOL;
        assert_true(unproven || (d.result == IROH_ERR_PROTOCOL && d.fault != BAO_FINE));
        free(d.parents.bytes);
    }
    free(in.bytes);
    blob_free(&b);
    ranges_dispose(&r);
}

static void every_cut_is_told_by_where_it_is(void **state) {
    (void)state;
    // P1 P0 L0 L1 L2: a pair at 8 and at 72, leaves of 1024 from 136 on.
    static const struct {
        size_t len;
        bao_fault fault;
        uint64_t where;
    } rows[] = {
        {0, BAO_SIZE_NOT_FOUND, 0},
        {7, BAO_SIZE_NOT_FOUND, 0},
        {8, BAO_PARENT_NOT_FOUND, 1},
        {9, BAO_CUT, 1},
        {72, BAO_PARENT_NOT_FOUND, 0},
        {136, BAO_LEAF_NOT_FOUND, 0},
        {137, BAO_CUT, 0},
    };
    uint64_t random = 10;
    static const uint64_t bounds[] = {0, 1, 2};
    blob b;
    ranges r;
    blob_make(&b, 3000);
    ranges_from_bounds(&r, bounds, 3);
    buffer in = encode(&b, &r, 1 << 18);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        decoded d = decode(&b, &r, in.bytes, rows[i].len, 1000, &random);
        assert_int_equal(d.result, IROH_ERR_FINISHED);
        assert_int_equal(d.fault, rows[i].fault);
        assert_int_equal(d.where, rows[i].where);
        free(d.parents.bytes);
    }
    free(in.bytes);
    blob_free(&b);
    ranges_dispose(&r);
}

static void what_verifies_before_an_error_is_kept(void **state) {
    (void)state;
    uint64_t random = 11;
    blob b;
    ranges all = everything();
    blob_make(&b, 100000);
    buffer in = encode(&b, &all, 1 << 18);
    // The last byte of the blob: all groups but the last come first, even in one piece.
    in.bytes[in.len - 1] ^= 1;
    decoded d = decode(&b, &all, in.bytes, in.len, 1, &random);
    assert_int_equal(d.leaves, 6 * BAO_GROUP);
    free(d.parents.bytes);
    bao_decoder_start(decoder, b.root, &all);
    const bao_item *items;
    size_t used, count;
    assert_int_equal(bao_decoder_read(decoder, in.bytes, in.len, &used, &items, &count), IROH_ERR_PROTOCOL);
    assert_int_equal(count, 12);
    assert_int_equal(bao_decoder_fault(decoder, &d.where), BAO_LEAF_MISMATCH);
    assert_int_equal(d.where, 96);
    assert_int_equal(bao_decoder_read(decoder, in.bytes, in.len, &used, &items, &count), IROH_ERR_PROTOCOL);
    assert_int_equal(used + count, 0);
    free(in.bytes);
    blob_free(&b);
}

// Claims a size in front of the bytes of a blob of 5000.
static decoded claim(uint64_t size, const uint64_t *bounds, size_t count) {
    uint64_t random = 12;
    blob b;
    ranges r;
    blob_make(&b, 5000);
    ranges_from_bounds(&r, bounds, count);
    buffer in = encode(&b, &r, 1 << 18);
    for (size_t i = 0; i < BAO_HEADER; i++)
        in.bytes[i] = (uint8_t)(size >> (8 * i));
    decoded d = decode(&b, &r, in.bytes, in.len, 1 << 18, &random);
    free(d.parents.bytes);
    free(in.bytes);
    blob_free(&b);
    ranges_dispose(&r);
    return d;
}

static void wrong_sizes_are_refused_at_the_last_chunk_at_the_latest(void **state) {
    (void)state;
    static const uint64_t all = 0, last = UINT64_MAX;
    static const uint64_t sizes[] = {1, 1024, 4096, 4999, 5001, 5121, 16385, 1 << 20, BAO_SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        decoded d = claim(sizes[i], &all, 1);
        assert_true(d.result < 0 && d.leaves == 0);
        d = claim(sizes[i], &last, 1);
        assert_true(d.result < 0 && d.leaves == 0);
    }
    assert_int_equal(claim(0, &all, 1).fault, BAO_SIZE_REFUSED);
    assert_int_equal(claim((uint64_t)BAO_SIZE_MAX + 1, &all, 1).fault, BAO_SIZE_REFUSED);
    assert_int_equal(claim(UINT64_MAX, &last, 1).fault, BAO_SIZE_REFUSED);
}

static void a_decoder_starts_again_after_anything(void **state) {
    (void)state;
    uint64_t random = 13;
    blob b;
    ranges all = everything();
    blob_make(&b, 50000);
    buffer in = encode(&b, &all, 1 << 18);
    for (size_t cut = 0; cut < in.len; cut += 3001) {
        decoded d = decode(&b, &all, in.bytes, cut, 5000, &random);
        assert_int_equal(d.result, IROH_ERR_FINISHED);
        free(d.parents.bytes);
        d = decode(&b, &all, in.bytes, in.len, 50000, &random);
        assert_true(d.result == 1 && d.leaves == 50000);
        free(d.parents.bytes);
    }
    free(in.bytes);
    blob_free(&b);
}

static void nothing_wanted_is_complete_with_the_size(void **state) {
    (void)state;
    uint64_t random = 14;
    blob b;
    ranges none = RANGES_INIT;
    blob_make(&b, 50000);
    buffer in = encode(&b, &none, 100);
    assert_int_equal(in.len, BAO_HEADER);
    decoded d = decode(&b, &none, in.bytes, in.len, 3, &random);
    assert_true(d.result == 1 && d.leaves == 0);
    free(in.bytes);
    blob_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_encodings_decode_in_any_pieces),
        cmocka_unit_test(whole_encodings_hold_the_outboard),
        cmocka_unit_test(bytes_after_the_end_are_left),
        cmocka_unit_test(every_changed_bit_is_seen),
        cmocka_unit_test(every_cut_is_told_by_where_it_is),
        cmocka_unit_test(what_verifies_before_an_error_is_kept),
        cmocka_unit_test(wrong_sizes_are_refused_at_the_last_chunk_at_the_latest),
        cmocka_unit_test(a_decoder_starts_again_after_anything),
        cmocka_unit_test(nothing_wanted_is_complete_with_the_size),
    };
    return cmocka_run_group_tests_name("bao_decoder", tests, make_decoder, free_decoder);
}
