// HKDF and HMAC against the vectors of their RFCs, and the label form through keys of RFC 9001.
#include "crypto/hkdf.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aead.h"
#include "unit/vector_support.h"

static void extract_and_expand_match_rfc_5869(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "hkdf.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "hkdf"))
            continue;
        uint8_t ikm[128], salt[128], info[128], wanted[128], prk[AEAD_HASH_MAX], okm[128];
        size_t hash = (size_t)vectors_u64(&v, "hash");
        size_t ikm_len = vectors_bytes(&v, "ikm", ikm, sizeof ikm);
        size_t salt_len = vectors_bytes(&v, "salt", salt, sizeof salt);
        size_t info_len = vectors_bytes(&v, "info", info, sizeof info);
        hkdf_extract(hash, salt, salt_len, ikm, ikm_len, prk);
        assert_int_equal(vectors_bytes(&v, "prk", wanted, sizeof wanted), hash);
        assert_memory_equal(prk, wanted, hash);
        size_t okm_len = vectors_bytes(&v, "okm", wanted, sizeof wanted);
        hkdf_expand(hash, prk, hash, info, info_len, okm, okm_len);
        assert_memory_equal(okm, wanted, okm_len);
    }
}

static void hmac_matches_rfc_4231(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "hkdf.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "hmac"))
            continue;
        uint8_t key[256], data[256], wanted[32], mac[32];
        size_t key_len = vectors_bytes(&v, "key", key, sizeof key);
        size_t len = vectors_bytes(&v, "data", data, sizeof data);
        assert_int_equal(vectors_bytes(&v, "mac", wanted, sizeof wanted), sizeof wanted);
        hmac_sha256(key, key_len, data, len, mac);
        assert_memory_equal(mac, wanted, sizeof mac);
    }
}

static void check_label(const vectors *v, const aead_suite *suite, const uint8_t *secret, const char *label,
                        const char *word) {
    uint8_t wanted[64], out[64];
    size_t len = vectors_bytes(v, word, wanted, sizeof wanted);
    hkdf_expand_label(suite->hash_len, secret, label, NULL, 0, out, len);
    assert_memory_equal(out, wanted, len);
}

static void labels_give_the_quic_keys_of_every_suite(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "quic_protect.txt");
    uint8_t first[AEAD_HASH_MAX], second[AEAD_HASH_MAX];
    for (size_t i = 0; i < sizeof first; i++)
        first[i] = (uint8_t)i;
    while (vectors_next(&v)) {
        const aead_suite *suite = aead_suite_by_id((uint16_t)vectors_u64(&v, "suite"));
        bool updated = vectors_is(&v, "kind", "updated");
        if (!updated && !vectors_is(&v, "kind", "keys"))
            continue;
        hkdf_expand_label(suite->hash_len, first, "quic ku", NULL, 0, second, suite->hash_len);
        const uint8_t *secret = updated ? second : first;
        check_label(&v, suite, secret, "quic key", "key");
        check_label(&v, suite, secret, "quic iv", "iv");
        if (!updated)
            check_label(&v, suite, secret, "quic hp", "hp");
    }
}

static void export_refuses_what_the_encoding_cannot_hold(void **state) {
    (void)state;
    static const uint8_t secret[AEAD_HASH_MAX];
    static uint8_t out[256 * AEAD_HASH_MAX];
    char label[251];
    memset(label, 'x', sizeof label);
    assert_int_equal(hkdf_tls_export(32, secret, label, 249, NULL, 0, out, 255 * 32), 0);
    assert_int_equal(hkdf_tls_export(48, secret, label, 249, NULL, 0, out, 255 * 48), 0);
    assert_int_equal(hkdf_tls_export(32, secret, label, 250, NULL, 0, out, 32), IROH_ERR_RANGE);
    assert_int_equal(hkdf_tls_export(32, secret, label, 1, NULL, 0, out, 255 * 32 + 1), IROH_ERR_RANGE);
    assert_int_equal(hkdf_tls_export(48, secret, label, 1, NULL, 0, out, 255 * 48 + 1), IROH_ERR_RANGE);
}

static void export_depends_on_label_and_context(void **state) {
    (void)state;
    static const uint8_t secret[AEAD_HASH_MAX];
    uint8_t a[32], b[32], c[32], d[32];
    assert_int_equal(hkdf_tls_export(32, secret, "one", 3, NULL, 0, a, sizeof a), 0);
    assert_int_equal(hkdf_tls_export(32, secret, "two", 3, NULL, 0, b, sizeof b), 0);
    assert_int_equal(hkdf_tls_export(32, secret, "one", 3, (const uint8_t *)"x", 1, c, sizeof c), 0);
    assert_int_equal(hkdf_tls_export(32, secret, "one", 3, (const uint8_t *)"", 0, d, sizeof d), 0);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_equal(a, d, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extract_and_expand_match_rfc_5869),
        cmocka_unit_test(hmac_matches_rfc_4231),
        cmocka_unit_test(labels_give_the_quic_keys_of_every_suite),
        cmocka_unit_test(export_refuses_what_the_encoding_cannot_hold),
        cmocka_unit_test(export_depends_on_label_and_context),
    };
    return cmocka_run_group_tests_name("hkdf", tests, NULL, NULL);
}
