// Proofs of a client's id against the printed vectors, and every way in which they do not hold.
#include "relay/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "crypto/ed25519.h"
#include "crypto/hkdf.h"
#include "unit/vector_support.h"

static uint8_t seed[32], id[RELAY_ID];

static int set_keys(void **state) {
    (void)state;
    memset(seed, 0x2a, sizeof seed);
    ed25519_public(seed, id);
    return 0;
}

static void challenges_are_answered_as_printed(void **state) {
    (void)state;
    vectors v;
    uint8_t challenge[RELAY_CHALLENGE], wanted[64], message[32], signature[RELAY_SIGNATURE];
    int count = 0;
    vectors_open(&v, "relay_auth.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "challenge"))
            continue;
        assert_int_equal(vectors_bytes(&v, "challenge", challenge, sizeof challenge), sizeof challenge);
        assert_int_equal(vectors_bytes(&v, "message", wanted, sizeof wanted), 32);
        relay_challenge_message(challenge, message);
        assert_memory_equal(message, wanted, 32);
        assert_int_equal(vectors_bytes(&v, "signature", wanted, sizeof wanted), 64);
        relay_challenge_sign(seed, challenge, signature);
        assert_memory_equal(signature, wanted, 64);
        assert_true(relay_challenge_verify(id, challenge, signature));
        challenge[15] ^= 1;
        assert_false(relay_challenge_verify(id, challenge, signature));
        challenge[15] ^= 1;
        signature[0] ^= 1;
        assert_false(relay_challenge_verify(id, challenge, signature));
        count++;
    }
    assert_int_equal(count, 3);
}

static void keying_material_has_the_label_and_the_id(void **state) {
    (void)state;
    vectors v;
    uint8_t secret[48], wanted[RELAY_EXPORT], out[RELAY_EXPORT];
    int count = 0;
    vectors_open(&v, "relay_auth.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "export"))
            continue;
        size_t len = vectors_bytes(&v, "secret", secret, sizeof secret);
        assert_int_equal(vectors_bytes(&v, "exported", wanted, sizeof wanted), sizeof wanted);
        assert_int_equal(hkdf_tls_export(len, secret, RELAY_EXPORT_LABEL, strlen(RELAY_EXPORT_LABEL), id, sizeof id,
                                         out, sizeof out),
                         0);
        assert_memory_equal(out, wanted, sizeof wanted);
        count++;
    }
    assert_int_equal(count, 2);
}

static void claims_are_as_printed(void **state) {
    (void)state;
    vectors v;
    uint8_t exported[RELAY_EXPORT], wanted[RELAY_SIGNATURE];
    char field[256], text[RELAY_CLAIM_LEN];
    int count = 0;
    vectors_open(&v, "relay_auth.txt");
    while (vectors_next(&v)) {
        relay_claim claim, back;
        if (!vectors_is(&v, "kind", "claim"))
            continue;
        assert_int_equal(vectors_bytes(&v, "exported", exported, sizeof exported), sizeof exported);
        assert_int_equal(vectors_bytes(&v, "signature", wanted, sizeof wanted), sizeof wanted);
        assert_int_equal(vectors_text(&v, "field", field, sizeof field), RELAY_CLAIM_LEN);
        relay_claim_make(seed, exported, &claim);
        assert_memory_equal(claim.signature, wanted, sizeof wanted);
        relay_claim_encode(&claim, text);
        assert_memory_equal(text, field, RELAY_CLAIM_LEN);
        assert_int_equal(relay_claim_decode(field, RELAY_CLAIM_LEN, &back), 0);
        assert_memory_equal(back.id, id, sizeof id);
        assert_true(relay_claim_verify(&back, exported));
        for (size_t i = 0; i < RELAY_EXPORT; i++) {
            exported[i] ^= 0x80;
            assert_false(relay_claim_verify(&back, exported));
            exported[i] ^= 0x80;
        }
        back.signature[40] ^= 1;
        assert_false(relay_claim_verify(&back, exported));
        count++;
    }
    assert_int_equal(count, 3);
}

static void fields_that_do_not_decode_are_refused(void **state) {
    (void)state;
    vectors v;
    char field[256];
    int count = 0;
    vectors_open(&v, "relay_auth.txt");
    while (vectors_next(&v)) {
        relay_claim claim;
        if (!vectors_is(&v, "kind", "bad"))
            continue;
        size_t len = vectors_text(&v, "field", field, sizeof field);
        assert_true(vectors_is(&v, "error", iroh_error_name(relay_claim_decode(field, len, &claim))));
        count++;
    }
    assert_int_equal(count, 8);
}

static void bytes_after_a_claim_are_ignored(void **state) {
    (void)state;
    uint8_t exported[RELAY_EXPORT] = {1};
    char text[RELAY_CLAIM_LEN + 9];
    relay_claim claim, back;
    relay_claim_make(seed, exported, &claim);
    relay_claim_encode(&claim, text);
    memset(text + RELAY_CLAIM_LEN, 'A', 9);
    assert_int_equal(relay_claim_decode(text, sizeof text, &back), 0);
    assert_memory_equal(&back, &claim, sizeof claim);
    char *long_text = malloc(1 << 20);
    assert_non_null(long_text);
    memset(long_text, 'A', 1 << 20);
    assert_int_equal(relay_claim_decode(long_text, 1 << 20, &back), IROH_ERR_SYNTAX);
    free(long_text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(challenges_are_answered_as_printed),
        cmocka_unit_test(keying_material_has_the_label_and_the_id),
        cmocka_unit_test(claims_are_as_printed),
        cmocka_unit_test(fields_that_do_not_decode_are_refused),
        cmocka_unit_test(bytes_after_a_claim_are_ignored),
    };
    return cmocka_run_group_tests(tests, set_keys, NULL);
}
