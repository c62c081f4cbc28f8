// Hex: every byte both ways, and everything else refused.
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_byte_has_its_two_digits(void **state) {
    (void)state;
    static const char digits[] = "0123456789abcdef";
    for (unsigned v = 0; v < 256; v++) {
        uint8_t byte = (uint8_t)v, back;
        char text[2];
        hex_encode(&byte, 1, text);
        assert_int_equal(text[0], digits[v >> 4]);
        assert_int_equal(text[1], digits[v & 15]);
        assert_true(hex_decode(text, 2, &back));
        assert_int_equal(back, v);
    }
}

static void only_digits_and_lower_case_letters_are_read(void **state) {
    (void)state;
    uint8_t out;
    for (unsigned c = 0; c < 256; c++) {
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        const char high[2] = {(char)c, '0'}, low[2] = {'0', (char)c};
        assert_int_equal(hex_decode(high, 2, &out), digit);
        assert_int_equal(hex_decode(low, 2, &out), digit);
    }
}

static void one_bad_digit_anywhere_is_noticed(void **state) {
    (void)state;
    char text[64];
    uint8_t out[32];
    memset(text, 'a', sizeof text);
    assert_true(hex_decode(text, sizeof text, out));
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = 'A';
        assert_false(hex_decode(text, sizeof text, out));
        text[i] = 'a';
    }
}

static void odd_lengths_are_refused_and_nothing_is_fine(void **state) {
    (void)state;
    uint8_t out[2];
    assert_false(hex_decode("0", 1, out));
    assert_false(hex_decode("000", 3, out));
    assert_true(hex_decode("", 0, out));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_has_its_two_digits),
        cmocka_unit_test(only_digits_and_lower_case_letters_are_read),
        cmocka_unit_test(one_bad_digit_anywhere_is_noticed),
        cmocka_unit_test(odd_lengths_are_refused_and_nothing_is_fine),
    };
    return cmocka_run_group_tests_name("hex", tests, NULL, NULL);
}
