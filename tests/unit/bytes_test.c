#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

// RFC 9000, appendix A.1.
static void varints_of_the_rfc(void **state) {
    (void)state;
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t size;
        bool minimal;
    } rows[] = {
        {UINT64_C(151288809941952652), "\xc2\x19\x7c\x5e\xff\x14\xe8\x8c", 8, true},
        {494878333, "\x9d\x7f\x3e\x7d", 4, true},
        {15293, "\x7b\xbd", 2, true},
        {37, "\x25", 1, true},
        {37, "\x40\x25", 2, false},
        {VARINT_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, true},
        {0, "\x00", 1, true},
        {0, "\xc0\x00\x00\x00\x00\x00\x00\x00", 8, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t room[VARINT_SIZE_MAX];
        reader r = reader_of(rows[i].bytes, rows[i].size);
        assert_int_equal(reader_varint(&r), rows[i].value);
        assert_false(r.failed);
        assert_int_equal(reader_left(&r), 0);
        writer w = writer_of(room, sizeof room);
        writer_varint_sized(&w, rows[i].value, rows[i].size);
        assert_int_equal(writer_len(&w), rows[i].size);
        assert_memory_equal(room, rows[i].bytes, rows[i].size);
        assert_int_equal(varint_size(rows[i].value) == rows[i].size, rows[i].minimal);
    }
}

static void varint_sizes_change_at_the_powers(void **state) {
    (void)state;
    static const unsigned bits[] = {6, 14, 30};
    static const size_t sizes[] = {1, 2, 4, 8};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(varint_size((UINT64_C(1) << bits[i]) - 1), sizes[i]);
        assert_int_equal(varint_size(UINT64_C(1) << bits[i]), sizes[i + 1]);
    }
}

static void values_too_large_for_their_varint_fail_the_writer(void **state) {
    (void)state;
    uint8_t room[16];
    writer w = writer_of(room, sizeof room);
    writer_varint(&w, VARINT_MAX + 1);
    assert_true(w.failed);
    assert_int_equal(writer_len(&w), 0);
    w = writer_of(room, sizeof room);
    writer_varint_sized(&w, 64, 1);
    assert_true(w.failed);
    writer_u8(&w, 1);
    assert_int_equal(writer_len(&w), 0);
}

static void a_failed_reader_yields_zeroes(void **state) {
    (void)state;
    static const uint8_t bytes[3] = {1, 2, 3};
    uint8_t out[2] = {9, 9};
    reader r = reader_of(bytes, sizeof bytes);
    assert_int_equal(reader_u16(&r), 0x0102);
    assert_int_equal(reader_u16(&r), 0);
    assert_true(r.failed);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_varint(&r), 0);
    assert_null(reader_bytes(&r, 1));
    reader_copy(&r, out, sizeof out);
    assert_int_equal(out[0] | out[1], 0);
    assert_int_equal(reader_left(&r), 0);
}

static void a_truncated_varint_fails(void **state) {
    (void)state;
    static const uint8_t bytes[8] = {0xc0, 0, 0, 0, 0, 0, 0, 1};
    for (size_t len = 0; len < sizeof bytes; len++) {
        reader r = reader_of(bytes, len);
        assert_int_equal(reader_varint(&r), 0);
        assert_true(r.failed);
    }
}

static void nothing_is_a_valid_input(void **state) {
    (void)state;
    reader r = reader_of(NULL, 0);
    assert_int_equal(reader_left(&r), 0);
    reader_copy(&r, NULL, 0);
    (void)reader_bytes(&r, 0);
    assert_false(r.failed);
    writer w = writer_of(NULL, 0);
    writer_bytes(&w, NULL, 0);
    assert_false(w.failed);
    writer_u8(&w, 0);
    assert_true(w.failed);
}

// --- Against a model: random fields, written and read back, with room or input that may be too short

#define FIELDS_MAX 20
#define BLOCK_MAX 30

typedef enum kind { U8, U16, U32, U64, VARINT, BLOCK, KINDS } kind;

typedef struct field {
    kind kind;
    uint64_t value;
    uint8_t block[BLOCK_MAX];
    size_t len;
} field;

static field random_field(uint64_t *rng) {
    static const size_t sizes[] = {1, 2, 4, 8};
    field f = {.kind = (kind)draw(rng, KINDS)};
    f.value = (draw(rng, UINT32_MAX) << 32 | draw(rng, UINT32_MAX)) >> draw(rng, 64);
    if (f.kind <= U64) {
        f.len = sizes[f.kind];
        f.value &= UINT64_MAX >> (64 - 8 * f.len);
    } else if (f.kind == VARINT) {
        f.value &= VARINT_MAX;
        f.len = f.value < 64 ? 1 : f.value < 16384 ? 2 : f.value < 1073741824 ? 4 : 8;
    } else {
        f.len = (size_t)draw(rng, BLOCK_MAX);
        for (size_t i = 0; i < f.len; i++)
            f.block[i] = (uint8_t)draw(rng, 256);
    }
    return f;
}

static void write_field(writer *w, const field *f) {
    if (f->kind == BLOCK)
        writer_bytes(w, f->block, f->len);
    else if (f->kind == VARINT)
        writer_varint(w, f->value);
    else
        writer_be(w, f->value, f->len);
}

static void read_field(reader *r, const field *f, bool whole) {
    uint8_t out[BLOCK_MAX] = {0};
    static const uint8_t zero[BLOCK_MAX] = {0};
    uint64_t value = 0;
    switch (f->kind) {
    case U8:
        value = reader_u8(r);
        break;
    case U16:
        value = reader_u16(r);
        break;
    case U32:
        value = reader_u32(r);
        break;
    case U64:
        value = reader_u64(r);
        break;
    case VARINT:
        value = reader_varint(r);
        break;
    default:
        reader_copy(r, out, f->len);
        assert_memory_equal(out, whole ? f->block : zero, f->len);
        return;
    }
    assert_int_equal(value, whole ? f->value : 0);
}

static void one_model(uint64_t seed) {
    field fields[FIELDS_MAX];
    uint64_t rng = seed;
    size_t count = 1 + (size_t)draw(&rng, FIELDS_MAX), total = 0, written = 0, readable = 0;
    for (size_t i = 0; i < count; i++) {
        fields[i] = random_field(&rng);
        total += fields[i].len;
    }
    size_t room = draw(&rng, 2) == 0 ? total : (size_t)draw(&rng, total + 1);
    uint8_t *bytes = malloc(room + 1);
    writer w = writer_of(bytes, room);
    bool fits = true;
    for (size_t i = 0; i < count; i++) {
        fits &= fields[i].len <= room - written;
        if (fits)
            written += fields[i].len;
        write_field(&w, &fields[i]);
        assert_int_equal(w.failed, !fits);
        assert_int_equal(writer_len(&w), written);
    }
    // The input is an exact copy, so that a read past its end is seen.
    size_t len = draw(&rng, 2) == 0 ? written : (size_t)draw(&rng, written + 1);
    uint8_t *input = malloc(len > 0 ? len : 1);
    memcpy(input, bytes, len);
    reader r = reader_of(input, len);
    bool whole = true;
    for (size_t i = 0; i < count; i++) {
        whole &= fields[i].len <= len - readable;
        if (whole)
            readable += fields[i].len;
        read_field(&r, &fields[i], whole || fields[i].len == 0);
        assert_int_equal(r.failed, !whole);
        assert_int_equal(reader_left(&r), whole ? len - readable : 0);
    }
    free(input);
    free(bytes);
}

static void agrees_with_a_model_over_random_fields(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++)
        one_model(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_of_the_rfc),
        cmocka_unit_test(varint_sizes_change_at_the_powers),
        cmocka_unit_test(values_too_large_for_their_varint_fail_the_writer),
        cmocka_unit_test(a_failed_reader_yields_zeroes),
        cmocka_unit_test(a_truncated_varint_fails),
        cmocka_unit_test(nothing_is_a_valid_input),
        cmocka_unit_test(agrees_with_a_model_over_random_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
