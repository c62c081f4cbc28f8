// Keys as callers of the library see them: texts, parsing, comparing.
#include <iroh/id.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/vector_support.h"

static int wanted_result(const vectors *v) {
    static const int codes[] = {IROH_OK, IROH_ERR_SYNTAX, IROH_ERR_LENGTH, IROH_ERR_KEY};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (vectors_is(v, "result", iroh_error_name(codes[i])))
            return codes[i];
    }
    fail_msg("unknown result: %s", v->line);
    return 0;
}

static iroh_public_key key_of(const char *hex) {
    iroh_public_key key;
    assert_int_equal(iroh_public_key_from_text(&key, hex), 0);
    return key;
}

static void a_key_has_three_texts(void **state) {
    (void)state;
    vectors v;
    char wanted[80], out[80];
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "text"))
            continue;
        (void)vectors_text(&v, "hex", wanted, sizeof wanted);
        iroh_public_key key = key_of(wanted), back;
        iroh_public_key_to_hex(&key, out);
        assert_string_equal(out, wanted);
        if (vectors_has(&v, "base32")) {
            (void)vectors_text(&v, "base32", wanted, sizeof wanted);
            iroh_public_key_to_base32(&key, out);
            assert_string_equal(out, wanted);
            assert_int_equal(iroh_public_key_from_text(&back, out), 0);
            assert_memory_equal(&back, &key, sizeof key);
        }
        if (vectors_has(&v, "z32")) {
            (void)vectors_text(&v, "z32", wanted, sizeof wanted);
            iroh_public_key_to_z32(&key, out);
            assert_string_equal(out, wanted);
            assert_int_equal(iroh_public_key_from_z32(&back, out), 0);
            assert_memory_equal(&back, &key, sizeof key);
        }
    }
}

static void the_parsers_match_the_vectors(void **state) {
    (void)state;
    vectors v;
    char text[128];
    iroh_public_key wanted = key_of("ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6"), out, untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        bool z32 = vectors_is(&v, "kind", "z32");
        if (!z32 && !vectors_is(&v, "kind", "parse"))
            continue;
        (void)vectors_text(&v, "text", text, sizeof text);
        out = untouched;
        int r = z32 ? iroh_public_key_from_z32(&out, text) : iroh_public_key_from_text(&out, text);
        if (r != wanted_result(&v))
            fail_msg("%s: %s", v.line, iroh_error_name(r));
        assert_memory_equal(&out, r == 0 ? &wanted : &untouched, sizeof out);
    }
}

static void a_secret_key_has_the_same_texts_and_no_point_to_be(void **state) {
    (void)state;
    vectors v;
    char text[128];
    iroh_secret_key out, untouched;
    memset(&untouched, 0x5a, sizeof untouched);
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "parse"))
            continue;
        (void)vectors_text(&v, "text", text, sizeof text);
        int wanted = wanted_result(&v);
        out = untouched;
        assert_int_equal(iroh_secret_key_from_text(&out, text), wanted == IROH_ERR_KEY ? 0 : wanted);
        assert_int_equal(memcmp(&out, &untouched, sizeof out) == 0, wanted != 0 && wanted != IROH_ERR_KEY);
    }
}

static void ids_are_kept_as_they_came(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        uint8_t bytes[32];
        iroh_public_key out, untouched;
        if (!vectors_is(&v, "kind", "id"))
            continue;
        (void)vectors_bytes(&v, "bytes", bytes, sizeof bytes);
        memset(&untouched, 0x5a, sizeof untouched);
        out = untouched;
        bool accepted = vectors_u64(&v, "accepted");
        assert_int_equal(iroh_public_key_from_bytes(&out, bytes), accepted ? 0 : IROH_ERR_KEY);
        assert_memory_equal(out.bytes, accepted ? bytes : untouched.bytes, sizeof bytes);
    }
}

static void a_generated_key_signs_what_its_public_key_verifies(void **state) {
    (void)state;
    iroh_secret_key secret, other, back;
    iroh_public_key key;
    iroh_signature signature;
    char hex[IROH_KEY_HEX_SIZE];
    iroh_secret_key_generate(&secret);
    iroh_secret_key_generate(&other);
    assert_memory_not_equal(&secret, &other, sizeof secret);
    iroh_secret_key_to_hex(&secret, hex);
    assert_int_equal(iroh_secret_key_from_text(&back, hex), 0);
    assert_memory_equal(&secret, &back, sizeof secret);
    iroh_secret_key_public(&secret, &key);
    iroh_secret_key_sign(&secret, "hello", 5, &signature);
    assert_int_equal(iroh_public_key_verify(&key, "hello", 5, &signature), 0);
    assert_int_equal(iroh_public_key_verify(&key, "hullo", 5, &signature), IROH_ERR_SIGNATURE);
    iroh_secret_key_sign(&secret, NULL, 0, &signature);
    assert_int_equal(iroh_public_key_verify(&key, NULL, 0, &signature), 0);
}

static void keys_are_ordered_by_their_bytes(void **state) {
    (void)state;
    iroh_public_key a = {{0}}, b = {{0}};
    assert_int_equal(iroh_public_key_compare(&a, &b), 0);
    b.bytes[31] = 1;
    assert_true(iroh_public_key_compare(&a, &b) < 0);
    a.bytes[0] = 0x80;
    b.bytes[0] = 0x7f;
    assert_true(iroh_public_key_compare(&a, &b) > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_three_texts),
        cmocka_unit_test(the_parsers_match_the_vectors),
        cmocka_unit_test(a_secret_key_has_the_same_texts_and_no_point_to_be),
        cmocka_unit_test(ids_are_kept_as_they_came),
        cmocka_unit_test(a_generated_key_signs_what_its_public_key_verifies),
        cmocka_unit_test(keys_are_ordered_by_their_bytes),
    };
    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
