// Encodings against those of the original, the vectors of the rules, and the definition itself.
#include "blobs/bao.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/bao_support.h"

static void check_encoding(const vectors *v) {
    uint64_t bounds[BOUNDS_MAX];
    uint8_t wanted[8192], hash[BLAKE3_LEN];
    blob b;
    ranges r;
    ranges_from_bounds(&r, bounds, vectors_bounds(v, "bounds", bounds));
    blob_make(&b, (size_t)vectors_u64(v, "size"));
    buffer out = encode(&b, &r, 1 << 18);
    if (vectors_is(v, "kind", "bytes")) {
        assert_int_equal(out.len, vectors_bytes(v, "bytes", wanted, sizeof wanted));
        assert_memory_equal(out.bytes, wanted, out.len);
    } else {
        bool items = vectors_is(v, "kind", "items");
        assert_int_equal(out.len, items ? vectors_u64(v, "bytes") + BAO_HEADER : vectors_u64(v, "len"));
        blake3_hash(out.bytes, out.len, hash);
        assert_int_equal(vectors_bytes(v, "hash", wanted, sizeof wanted), BLAKE3_LEN);
        assert_memory_equal(hash, wanted, BLAKE3_LEN);
    }
    free(out.bytes);
    blob_free(&b);
    ranges_dispose(&r);
}

static size_t check_encodings(const char *file) {
    vectors v;
    size_t count = 0;
    for (vectors_open(&v, file); vectors_next(&v);) {
        if (vectors_is(&v, "kind", "encoding") || vectors_is(&v, "kind", "items") || vectors_is(&v, "kind", "bytes")) {
            check_encoding(&v);
            count++;
        }
    }
    return count;
}

static void encodings_are_those_of_the_original(void **state) {
    (void)state;
    assert_int_equal(check_encodings("bao.txt"), 166);
}

static void encodings_are_those_of_the_rules(void **state) {
    (void)state;
    assert_int_equal(check_encodings("bao_rules.txt"), 33);
}

static void encodings_follow_the_definition_over_random_sets(void **state) {
    (void)state;
    uint64_t random = 4;
    for (int round = 0; round < 150; round++) {
        uint64_t bounds[BOUNDS_MAX];
        blob b;
        ranges r;
        blob_make(&b, (size_t)draw(&random, round % 2 == 0 ? 120000 : 20000));
        size_t count = draw_bounds(&random, bao_chunks(b.memory.size) + 4, bounds);
        ranges_from_bounds(&r, bounds, count);
        buffer wanted = reference_encode(&b, bounds, count);
        buffer out = encode(&b, &r, 1 + (size_t)draw(&random, 40000));
        assert_int_equal(out.len, wanted.len);
        assert_memory_equal(out.bytes, wanted.bytes, wanted.len);
        free(out.bytes);
        free(wanted.bytes);
        blob_free(&b);
        ranges_dispose(&r);
    }
}

static void the_room_of_a_call_does_not_matter(void **state) {
    (void)state;
    static const size_t rooms[] = {1, 7, 8, 63, 64, 65, 1023, 1024, 16383, 16384, 16385, 300000};
    static const uint64_t bounds[] = {0, 40, 43, 44, 60};
    blob b;
    ranges r;
    blob_make(&b, 100000);
    ranges_from_bounds(&r, bounds, 5);
    buffer wanted = encode(&b, &r, 1 << 20);
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        buffer out = encode(&b, &r, rooms[i]);
        assert_int_equal(out.len, wanted.len);
        assert_memory_equal(out.bytes, wanted.bytes, wanted.len);
        free(out.bytes);
    }
    free(wanted.bytes);
    blob_free(&b);
    ranges_dispose(&r);
}

// Encodes until the end or an error, which it returns (1 for the end); `out` gets the bytes.
static int encode_damaged(const blob *b, const ranges *wanted, buffer *out, bao_fault *fault, uint64_t *where) {
    bao_encoder *e;
    int result;
    out->len = 0;
    out->bytes = malloc((size_t)bao_encoded_size(b->memory.size, wanted));
    assert_non_null(out->bytes);
    assert_int_equal(bao_encoder_new(&e), 0);
    assert_int_equal(bao_encoder_start(e, b->root, b->memory.size, wanted, &b->source), 0);
    do {
        size_t n, room = (size_t)bao_encoded_size(b->memory.size, wanted) - out->len;
        result = bao_encoder_write(e, out->bytes + out->len, room, &n);
        out->len += n;
    } while (result == 0);
    // An error stays, and writes nothing more.
    size_t n;
    assert_int_equal(bao_encoder_write(e, out->bytes, 1, &n), result);
    assert_int_equal(n, 0);
    *fault = bao_encoder_fault(e, where);
    bao_encoder_free(e);
    return result;
}

static void damage_ends_the_encoding_before_it_goes_out(void **state) {
    (void)state;
    static const uint64_t bounds[] = {3, 4, 20, 70};
    uint64_t random = 5, where;
    blob b;
    ranges r;
    bao_fault fault;
    buffer out;
    blob_make(&b, 100000);
    ranges_from_bounds(&r, bounds, 4);
    buffer good = encode(&b, &r, 1 << 20);
    for (int round = 0; round < 200; round++) {
        bool pair = round % 4 == 0;
        uint8_t *damaged = pair ? b.outboard : b.data;
        size_t at = (size_t)draw(&random, pair ? b.memory.outboard_size : b.memory.size);
        uint8_t before = damaged[at];
        damaged[at] ^= (uint8_t)(1 << draw(&random, 8));
        int result = encode_damaged(&b, &r, &out, &fault, &where);
        assert_true(result == 1 || result == IROH_ERR_CRYPTO);
        assert_true(result == 1 ? out.len == good.len : out.len < good.len);
        assert_memory_equal(out.bytes, good.bytes, out.len);
        uint64_t group = at / BAO_GROUP;
        // Groups 0..4 are touched, by whole or in part; whatever is changed in them is seen.
        if (!pair)
            assert_int_equal(result == 1, group > 4);
        if (!pair && result < 0)
            assert_true(fault == BAO_LEAF_MISMATCH && where / BAO_GROUP_CHUNKS == group);
        if (pair && result < 0)
            assert_true(fault == BAO_PARENT_MISMATCH || fault == BAO_LEAF_MISMATCH);
        free(out.bytes);
        damaged[at] = before;
    }
    free(good.bytes);
    blob_free(&b);
    ranges_dispose(&r);
}

static void a_wrong_size_or_root_is_seen(void **state) {
    (void)state;
    blob b;
    buffer out;
    bao_fault fault;
    ranges all = everything();
    blob_make(&b, 5000);
    b.memory.size--;
    assert_int_equal(encode_damaged(&b, &all, &out, &fault, NULL), IROH_ERR_CRYPTO);
    assert_int_equal(out.len, BAO_HEADER);
    free(out.bytes);
    b.memory.size++;
    b.root[31] ^= 1;
    assert_int_equal(encode_damaged(&b, &all, &out, &fault, NULL), IROH_ERR_CRYPTO);
    assert_int_equal(fault, BAO_LEAF_MISMATCH);
    free(out.bytes);
    bao_encoder *e;
    assert_int_equal(bao_encoder_new(&e), 0);
    assert_int_equal(bao_encoder_start(e, b.root, (uint64_t)BAO_SIZE_MAX + 1, &all, &b.source), IROH_ERR_RANGE);
    bao_encoder_free(e);
    blob_free(&b);
}

// A source that is not ready every other time, and has no more data from `end` on.
typedef struct moody {
    const blob *b;
    uint64_t end;
    size_t calls, runs;
} moody;

static int moody_pair(void *user, uint64_t index, uint8_t out[BAO_PAIR]) {
    moody *m = user;
    return m->calls++ % 2 == 0 ? IROH_ERR_AGAIN : m->b->source.pair(m->b->source.user, index, out);
}

static int moody_data(void *user, uint64_t offset, uint8_t *out, size_t len) {
    moody *m = user;
    if (m->calls++ % 2 == 0)
        return IROH_ERR_AGAIN;
    if (offset + len > m->end)
        return IROH_ERR_NOT_FOUND;
    return m->b->source.data(m->b->source.user, offset, out, len);
}

static int moody_parts(void *user, uint64_t offset, const bao_place *parts, size_t count) {
    moody *m = user;
    int r = m->runs++ % 3 == 0 ? IROH_ERR_AGAIN : 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = offset + parts[i].len > m->end ? IROH_ERR_NOT_FOUND : 0;
        if (r == 0)
            r = m->b->source.data(m->b->source.user, offset, parts[i].out, parts[i].len);
        offset += parts[i].len;
    }
    return r;
}

static void a_source_may_be_late_or_lack_data(void **state) {
    (void)state;
    static const uint64_t bounds[] = {0, 17, 33, 97};
    blob b;
    ranges r;
    bao_encoder *e;
    blob_make(&b, 100000);
    ranges_from_bounds(&r, bounds, 4);
    buffer good = encode(&b, &r, 1 << 20);
    uint8_t *out = malloc(good.len);
    assert_non_null(out);
    assert_int_equal(bao_encoder_new(&e), 0);
    for (int kind = 0; kind < 4; kind++) {
        int lacking = kind % 2;
        moody m = {.b = &b, .end = lacking != 0 ? 70000 : 100000};
        const bao_source source = {
            .user = &m, .pair = moody_pair, .data = moody_data, .parts = kind < 2 ? NULL : moody_parts};
        size_t len = 0, n;
        int result;
        assert_int_equal(bao_encoder_start(e, b.root, 100000, &r, &source), 0);
        do {
            result = bao_encoder_write(e, out + len, good.len - len, &n);
            len += n;
        } while (result == 0 || result == IROH_ERR_AGAIN);
        assert_int_equal(result, lacking != 0 ? IROH_ERR_NOT_FOUND : 1);
        assert_true(lacking != 0 ? len < good.len && len > 45000 : len == good.len);
        assert_memory_equal(out, good.bytes, len);
    }
    bao_encoder_free(e);
    free(out);
    free(good.bytes);
    blob_free(&b);
    ranges_dispose(&r);
}

static void trusted_data_is_taken_as_it_is_and_pairs_are_not(void **state) {
    (void)state;
    uint64_t where;
    blob b;
    buffer out;
    bao_fault fault;
    blob_make(&b, 100000);
    ranges all = everything();
    b.source.data_trusted = true;
    b.data[50000] ^= 1;
    assert_int_equal(encode_damaged(&b, &all, &out, &fault, &where), 1);
    free(out.bytes);
    b.outboard[BAO_PAIR] ^= 1;
    assert_int_equal(encode_damaged(&b, &all, &out, &fault, &where), IROH_ERR_CRYPTO);
    assert_int_equal(fault, BAO_PARENT_MISMATCH);
    free(out.bytes);
    ranges_dispose(&all);
    blob_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_are_those_of_the_original),
        cmocka_unit_test(encodings_are_those_of_the_rules),
        cmocka_unit_test(encodings_follow_the_definition_over_random_sets),
        cmocka_unit_test(the_room_of_a_call_does_not_matter),
        cmocka_unit_test(damage_ends_the_encoding_before_it_goes_out),
        cmocka_unit_test(trusted_data_is_taken_as_it_is_and_pairs_are_not),
        cmocka_unit_test(a_wrong_size_or_root_is_seen),
        cmocka_unit_test(a_source_may_be_late_or_lack_data),
    };
    return cmocka_run_group_tests_name("bao_encoder", tests, NULL, NULL);
}
