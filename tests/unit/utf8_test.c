// UTF-8: every code point in its one form, and nothing else.
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Writes the `size`-byte form of a number, whether it may have it or not.
static void form(uint32_t v, size_t size, uint8_t *out) {
    static const uint8_t marks[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = size; i-- > 1; v >>= 6)
        out[i] = (uint8_t)(0x80 | (v & 0x3f));
    out[0] = (uint8_t)(marks[size] | v);
}

static size_t needed(uint32_t v) {
    return v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
}

static void every_number_is_valid_in_its_shortest_form_only(void **state) {
    (void)state;
    static const uint32_t limits[] = {0, 0x80, 0x800, 0x10000, 0x200000};
    uint8_t text[4];
    for (size_t size = 1; size <= 4; size++) {
        for (uint32_t v = 0; v < limits[size]; v++) {
            bool surrogate = v >= 0xd800 && v < 0xe000;
            form(v, size, text);
            if (utf8_valid(text, size) != (needed(v) == size && !surrogate && v <= 0x10ffff))
                fail_msg("U+%04X in %zu bytes", (unsigned)v, size);
        }
    }
}

static void cut_and_stray_bytes_are_refused(void **state) {
    (void)state;
    static const char *const whole[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x92\xa9"};
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(whole[i]);
        char text[16];
        assert_true(utf8_valid(whole[i], len));
        for (size_t cut = 1; cut < len; cut++) {
            assert_false(utf8_valid(whole[i], cut));
            assert_false(utf8_valid(whole[i] + cut, len - cut));
            // A character in place of the rest.
            memcpy(text, whole[i], cut);
            memset(text + cut, 'x', len);
            assert_false(utf8_valid(text, cut + len));
        }
    }
    for (unsigned c = 0x80; c < 0x100; c++) {
        const char text[3] = {'a', (char)c, 'b'};
        assert_false(utf8_valid(text, sizeof text));
    }
}

static void a_zero_byte_is_a_character_and_nothing_is_valid(void **state) {
    (void)state;
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid(NULL, 0));
}

static void a_cut_falls_between_characters(void **state) {
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x92\xa9z";
    static const size_t wanted[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t room = 0; room < sizeof wanted / sizeof *wanted; room++)
        assert_int_equal(utf8_cut(text, sizeof text - 1, room), wanted[room]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_is_valid_in_its_shortest_form_only),
        cmocka_unit_test(cut_and_stray_bytes_are_refused),
        cmocka_unit_test(a_zero_byte_is_a_character_and_nothing_is_valid),
        cmocka_unit_test(a_cut_falls_between_characters),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
