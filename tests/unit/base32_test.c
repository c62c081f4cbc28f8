// Both base32 alphabets: the RFC's vectors, round trips of every length, and every way to be wrong.
#include "base/base32.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void encoding_matches_rfc_4648(void **state) {
    (void)state;
    // Section 10, without the padding and in lower case.
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "my"},
                                          {"fo", "mzxq"},
                                          {"foo", "mzxw6"},
                                          {"foob", "mzxw6yq"},
                                          {"fooba", "mzxw6ytb"},
                                          {"foobar", "mzxw6ytboi"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[16];
        size_t len = strlen(rows[i][0]);
        assert_int_equal(base32_text_size(len), strlen(rows[i][1]));
        base32_encode(BASE32_RFC4648, rows[i][0], len, text);
        assert_memory_equal(text, rows[i][1], strlen(rows[i][1]));
    }
}

// The examples of the z-base-32 specification that are whole bytes.
static void z_base_32_has_its_own_alphabet(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0xf0, 0xbf, 0xc7};
    char text[8];
    base32_encode(BASE32_Z, bytes, sizeof bytes, text);
    assert_memory_equal(text, "6n9hq", 5);
    base32_encode(BASE32_Z, "\xd4\x7a\x04", 3, text);
    assert_memory_equal(text, "4t7ye", 5);
}

static void bytes_of_every_length_come_back(void **state) {
    (void)state;
    uint8_t bytes[70], back[70];
    char text[112];
    for (size_t len = 0; len <= sizeof bytes; len++) {
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)(i * 101 + len * 37);
        for (int kind = BASE32_RFC4648; kind <= BASE32_Z; kind++) {
            base32_encode((base32_kind)kind, bytes, len, text);
            size_t text_len = base32_text_size(len);
            assert_int_equal(base32_bytes_size(text_len), len);
            assert_int_equal(base32_decode((base32_kind)kind, text, text_len, back), 0);
            assert_memory_equal(back, bytes, len);
        }
    }
}

static void only_the_alphabet_is_read(void **state) {
    (void)state;
    for (int kind = BASE32_RFC4648; kind <= BASE32_Z; kind++) {
        int accepted = 0;
        for (unsigned c = 0; c < 256; c++) {
            uint8_t out[5];
            char text[8];
            memset(text, kind == BASE32_Z ? 'y' : 'a', sizeof text);
            text[5] = (char)c;
            int r = base32_decode((base32_kind)kind, text, sizeof text, out);
            assert_true(r == 0 || r == IROH_ERR_SYNTAX);
            accepted += r == 0;
        }
        // The RFC's 26 letters count twice.
        assert_int_equal(accepted, kind == BASE32_Z ? 32 : 32 + 26);
    }
}

static void impossible_lengths_are_refused(void **state) {
    (void)state;
    static const bool possible[8] = {true, false, true, false, true, true, false, true};
    uint8_t out[15];
    char text[24];
    memset(text, 'a', sizeof text);
    for (size_t len = 0; len < sizeof text; len++)
        assert_int_equal(base32_decode(BASE32_RFC4648, text, len, out), possible[len % 8] ? 0 : IROH_ERR_LENGTH);
}

static void bits_past_the_end_are_refused(void **state) {
    (void)state;
    // Unused bits by the length of the text.
    static const unsigned unused[8] = {[2] = 2, [4] = 4, [5] = 1, [7] = 3};
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (size_t len = 2; len < 8; len++) {
        char text[8];
        uint8_t out[5];
        memset(text, 'a', sizeof text);
        for (unsigned v = 0; unused[len] > 0 && v < 32; v++) {
            text[len - 1] = alphabet[v];
            bool clean = v % (1U << unused[len]) == 0;
            assert_int_equal(base32_decode(BASE32_RFC4648, text, len, out), clean ? 0 : IROH_ERR_SYNTAX);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoding_matches_rfc_4648),       cmocka_unit_test(z_base_32_has_its_own_alphabet),
        cmocka_unit_test(bytes_of_every_length_come_back), cmocka_unit_test(only_the_alphabet_is_read),
        cmocka_unit_test(impossible_lengths_are_refused),  cmocka_unit_test(bits_past_the_end_are_refused),
    };
    return cmocka_run_group_tests_name("base32", tests, NULL, NULL);
}
