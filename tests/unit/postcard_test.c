// Postcard against the vectors, and what it does with damaged input.
#include "base/postcard.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/vector_support.h"

static const struct {
    const char *name;
    int code;
} results[] = {
    {"IROH_OK", 0},
    {"IROH_ERR_RANGE", IROH_ERR_RANGE},
    {"IROH_ERR_TRUNCATED", IROH_ERR_TRUNCATED},
};

static int wanted_result(const vectors *v) {
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        if (vectors_is(v, "result", results[i].name))
            return results[i].code;
    }
    fail_msg("unknown result: %s", v->line);
    return 0;
}

static void assert_written(const writer *w, const uint8_t *bytes, size_t len) {
    assert_false(w->failed);
    assert_int_equal(writer_len(w), len);
    assert_memory_equal(w->start, bytes, len);
}

static void numbers_match_the_vectors_both_ways(void **state) {
    (void)state;
    vectors v;
    uint8_t bytes[16], room[16];
    vectors_open(&v, "postcard.txt");
    while (vectors_next(&v)) {
        bool sign = vectors_is(&v, "kind", "i64");
        if (!sign && !vectors_is(&v, "kind", "u64"))
            continue;
        uint64_t value = vectors_u64(&v, "value");
        size_t len = vectors_bytes(&v, "bytes", bytes, sizeof bytes);
        writer w = writer_of(room, sizeof room);
        postcard p = postcard_of(bytes, len);
        if (sign) {
            int64_t number = (int64_t)(vectors_u64(&v, "negative") ? 0 - value : value);
            postcard_write_i64(&w, number);
            assert_true(postcard_i64(&p) == number);
        } else {
            postcard_write_u64(&w, value);
            assert_true(postcard_u64(&p) == value);
            assert_int_equal(postcard_u64_size(value), len);
        }
        assert_written(&w, bytes, len);
        assert_int_equal(p.error, 0);
        assert_int_equal(reader_left(&p.in), 0);
    }
}

static uint64_t read_width(postcard *p, uint64_t bits) {
    return bits == 16 ? postcard_u16(p) : bits == 32 ? postcard_u32(p) : postcard_u64(p);
}

static void each_width_has_its_exact_limits(void **state) {
    (void)state;
    vectors v;
    uint8_t bytes[16];
    vectors_open(&v, "postcard.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "read"))
            continue;
        postcard p = postcard_of(bytes, vectors_bytes(&v, "bytes", bytes, sizeof bytes));
        uint64_t value = read_width(&p, vectors_u64(&v, "bits"));
        assert_int_equal(p.error, wanted_result(&v));
        assert_true(value == (p.error == 0 ? vectors_u64(&v, "value") : 0));
    }
}

static void socket_addresses_match_the_vectors_both_ways(void **state) {
    (void)state;
    vectors v;
    uint8_t bytes[32], room[32];
    char text[ADDR_TEXT_MAX];
    vectors_open(&v, "postcard.txt");
    while (vectors_next(&v)) {
        addr a;
        if (!vectors_is(&v, "kind", "socket"))
            continue;
        size_t text_len = vectors_text(&v, "text", text, sizeof text);
        size_t len = vectors_bytes(&v, "bytes", bytes, sizeof bytes);
        assert_int_equal(addr_parse(&a, text, text_len), 0);
        writer w = writer_of(room, sizeof room);
        postcard_write_socket_addr(&w, &a);
        assert_written(&w, bytes, len);
        postcard p = postcard_of(bytes, len);
        addr back = postcard_socket_addr(&p);
        assert_int_equal(p.error, 0);
        assert_true(addr_equal(&a, &back));
    }
}

static void the_scope_of_an_address_is_lost(void **state) {
    (void)state;
    static const uint8_t ip[16] = {0xfe, 0x80};
    uint8_t room[32];
    addr scoped = addr_ip6(ip, 7, 3), plain = addr_ip6(ip, 7, 0);
    writer w = writer_of(room, sizeof room);
    postcard_write_socket_addr(&w, &scoped);
    postcard p = postcard_of(room, writer_len(&w));
    addr back = postcard_socket_addr(&p);
    assert_true(addr_equal(&back, &plain));
}

static void booleans_are_zero_or_one(void **state) {
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t byte = (uint8_t)i;
        postcard p = postcard_of(&byte, 1);
        assert_int_equal(postcard_bool(&p), i == 1);
        assert_int_equal(p.error, i < 2 ? 0 : IROH_ERR_SYNTAX);
    }
}

static void a_variant_must_be_known(void **state) {
    (void)state;
    for (uint8_t i = 0; i < 5; i++) {
        postcard p = postcard_of(&i, 1);
        assert_int_equal(postcard_variant(&p, 3), i < 3 ? i : 0);
        assert_int_equal(p.error, i < 3 ? 0 : IROH_ERR_UNSUPPORTED);
    }
}

static void texts_are_borrowed_and_must_be_utf8(void **state) {
    (void)state;
    static const uint8_t good[] = {3, 'a', 0xc3, 0xa9, 'x'}, bad[] = {2, 'a', 0xc3, 0xa9};
    size_t len;
    postcard p = postcard_of(good, sizeof good);
    const char *text = postcard_str(&p, &len);
    assert_ptr_equal(text, good + 1);
    assert_int_equal(len, 3);
    assert_int_equal(reader_left(&p.in), 1);
    p = postcard_of(bad, sizeof bad);
    assert_null(postcard_str(&p, &len));
    assert_int_equal(len, 0);
    assert_int_equal(p.error, IROH_ERR_UTF8);
    // The same bytes are a fine byte string.
    p = postcard_of(bad, sizeof bad);
    assert_ptr_equal(postcard_bytes(&p, &len), bad + 1);
    assert_int_equal(len, 2);
}

static void a_claimed_length_is_not_believed(void **state) {
    (void)state;
    static const uint8_t short_one[] = {4, 'a', 'b', 'c'};
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'};
    size_t len = 7;
    postcard p = postcard_of(short_one, sizeof short_one);
    assert_null(postcard_bytes(&p, &len));
    assert_int_equal(len, 0);
    assert_int_equal(p.error, IROH_ERR_TRUNCATED);
    p = postcard_of(huge, sizeof huge);
    assert_null(postcard_str(&p, &len));
    assert_int_equal(p.error, IROH_ERR_TRUNCATED);
}

static void the_first_failure_stands_and_ends_all_reading(void **state) {
    (void)state;
    static const uint8_t bytes[] = {2, 1, 1, 1};
    uint8_t raw[2] = {9, 9};
    size_t len;
    postcard p = postcard_of(bytes, sizeof bytes);
    assert_false(postcard_bool(&p));
    assert_int_equal(p.error, IROH_ERR_SYNTAX);
    assert_int_equal(postcard_u8(&p), 0);
    assert_int_equal(postcard_u64(&p), 0);
    assert_int_equal(postcard_i64(&p), 0);
    assert_null(postcard_bytes(&p, &len));
    assert_int_equal(postcard_socket_addr(&p).kind, ADDR_NONE);
    postcard_raw(&p, raw, sizeof raw);
    assert_int_equal(raw[0] + raw[1], 0);
    postcard_fail(&p, IROH_ERR_KEY);
    assert_int_equal(p.error, IROH_ERR_SYNTAX);
}

static void strings_are_written_with_their_length(void **state) {
    (void)state;
    static uint8_t data[200], room[256];
    writer w = writer_of(room, sizeof room);
    postcard_write_bytes(&w, data, sizeof data);
    assert_int_equal(writer_len(&w), 202);
    assert_int_equal(room[0], 0xc8);
    assert_int_equal(room[1], 0x01);
    w = writer_of(room, 201);
    postcard_write_bytes(&w, data, sizeof data);
    assert_true(w.failed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_match_the_vectors_both_ways),
        cmocka_unit_test(each_width_has_its_exact_limits),
        cmocka_unit_test(socket_addresses_match_the_vectors_both_ways),
        cmocka_unit_test(the_scope_of_an_address_is_lost),
        cmocka_unit_test(booleans_are_zero_or_one),
        cmocka_unit_test(a_variant_must_be_known),
        cmocka_unit_test(texts_are_borrowed_and_must_be_utf8),
        cmocka_unit_test(a_claimed_length_is_not_believed),
        cmocka_unit_test(the_first_failure_stands_and_ends_all_reading),
        cmocka_unit_test(strings_are_written_with_their_length),
    };
    return cmocka_run_group_tests_name("postcard", tests, NULL, NULL);
}
