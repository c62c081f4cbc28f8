// Ed25519 against the vectors of the original: who is a key, and what is a signature.
#include "crypto/ed25519.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/vector_support.h"

static void seeds_have_their_public_keys(void **state) {
    (void)state;
    vectors v;
    uint8_t seed[32], wanted[32], out[32];
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "seed"))
            continue;
        assert_int_equal(vectors_bytes(&v, "seed", seed, sizeof seed), 32);
        assert_int_equal(vectors_bytes(&v, "public", wanted, sizeof wanted), 32);
        ed25519_public(seed, out);
        assert_memory_equal(out, wanted, 32);
        assert_true(ed25519_is_point(out));
    }
}

static void every_form_that_decompresses_is_a_point(void **state) {
    (void)state;
    vectors v;
    uint8_t bytes[32];
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "id"))
            continue;
        assert_int_equal(vectors_bytes(&v, "bytes", bytes, sizeof bytes), 32);
        assert_int_equal(ed25519_is_point(bytes), vectors_u64(&v, "accepted"));
    }
}

// Both signs of y = 0 to 18 are the same points as those of y + p, which is the last that 255 bits can hold.
static void y_is_reduced_and_the_sign_is_free(void **state) {
    (void)state;
    int points = 0;
    for (unsigned y = 0; y < 19; y++) {
        uint8_t low[32] = {(uint8_t)y}, high[32];
        memset(high, 0xff, sizeof high);
        high[0] = (uint8_t)(0xed + y);
        high[31] = 0x7f;
        bool point = ed25519_is_point(low);
        assert_int_equal(ed25519_is_point(high), point);
        low[31] |= 0x80;
        high[31] |= 0x80;
        assert_int_equal(ed25519_is_point(low), point);
        assert_int_equal(ed25519_is_point(high), point);
        points += point;
    }
    assert_in_range(points, 5, 14);
}

static void signatures_verify_as_the_vectors_say(void **state) {
    (void)state;
    vectors v;
    uint8_t key[32], message[64], signature[64], seed[32], out[64];
    vectors_open(&v, "signatures.txt");
    while (vectors_next(&v)) {
        assert_int_equal(vectors_bytes(&v, "key", key, sizeof key), 32);
        assert_int_equal(vectors_bytes(&v, "signature", signature, sizeof signature), 64);
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        assert_int_equal(ed25519_verify(key, message, len, signature), vectors_u64(&v, "valid"));
        if (!vectors_has(&v, "seed"))
            continue;
        assert_int_equal(vectors_bytes(&v, "seed", seed, sizeof seed), 32);
        ed25519_sign(seed, len > 0 ? message : NULL, len, out);
        assert_memory_equal(out, signature, 64);
        assert_true(ed25519_verify(key, len > 0 ? message : NULL, len, out));
    }
}

static void every_bit_of_key_message_and_signature_counts(void **state) {
    (void)state;
    static const uint8_t seed[32] = {7};
    uint8_t key[32], message[5] = "hello", signature[64];
    ed25519_public(seed, key);
    ed25519_sign(seed, message, sizeof message, signature);
    const struct {
        uint8_t *bytes;
        size_t len;
    } parts[] = {{key, sizeof key}, {message, sizeof message}, {signature, sizeof signature}};
    for (size_t part = 0; part < 3; part++) {
        for (size_t bit = 0; bit < parts[part].len * 8; bit++) {
            uint8_t mask = (uint8_t)(1U << bit % 8);
            parts[part].bytes[bit / 8] ^= mask;
            assert_false(ed25519_verify(key, message, sizeof message, signature));
            parts[part].bytes[bit / 8] ^= mask;
        }
    }
    assert_true(ed25519_verify(key, message, sizeof message, signature));
    assert_false(ed25519_verify(key, message, sizeof message - 1, signature));
}

// The honest choices of S and R for keys of small order, of which some pass the bare equation whatever the message.
static void keys_of_small_order_verify_nothing(void **state) {
    (void)state;
    vectors v;
    uint8_t key[32], signature[64];
    vectors_open(&v, "keys.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "id") || !vectors_u64(&v, "accepted"))
            continue;
        (void)vectors_bytes(&v, "bytes", key, sizeof key);
        for (uint8_t message = 0; message < 64; message++) {
            memset(signature, 0, sizeof signature);
            signature[0] = 1;
            assert_false(ed25519_verify(key, &message, 1, signature));
            memcpy(signature, key, 32);
            assert_false(ed25519_verify(key, &message, 1, signature));
        }
    }
}

static void fresh_seeds_differ(void **state) {
    (void)state;
    uint8_t a[32], b[32];
    ed25519_generate(a);
    ed25519_generate(b);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seeds_have_their_public_keys),
        cmocka_unit_test(every_form_that_decompresses_is_a_point),
        cmocka_unit_test(y_is_reduced_and_the_sign_is_free),
        cmocka_unit_test(signatures_verify_as_the_vectors_say),
        cmocka_unit_test(every_bit_of_key_message_and_signature_counts),
        cmocka_unit_test(keys_of_small_order_verify_nothing),
        cmocka_unit_test(fresh_seeds_differ),
    };
    return cmocka_run_group_tests_name("ed25519", tests, NULL, NULL);
}
