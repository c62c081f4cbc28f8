// The suite table: published vectors of each AEAD in both directions, forgeries, and header protection masks.
#include "crypto/aead.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/vector_support.h"

static const uint16_t ids[] = {0x1301, 0x1302, 0x1303};
#define IDS (sizeof ids / sizeof ids[0])

static void sealed_and_opened_match_published_vectors(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "aead.txt");
    while (vectors_next(&v)) {
        uint8_t key[32], nonce[AEAD_NONCE], aad[64], plain[256], sealed[256], data[256];
        const aead_suite *suite = aead_suite_by_id((uint16_t)vectors_u64(&v, "suite"));
        assert_int_equal(vectors_bytes(&v, "key", key, sizeof key), suite->key_len);
        assert_int_equal(vectors_bytes(&v, "nonce", nonce, sizeof nonce), AEAD_NONCE);
        size_t aad_len = vectors_bytes(&v, "aad", aad, sizeof aad);
        size_t len = vectors_bytes(&v, "plain", plain, sizeof plain);
        assert_int_equal(vectors_bytes(&v, "sealed", sealed, sizeof sealed), len + AEAD_TAG);
        aead *a = suite->aead_new(key);
        assert_non_null(a);
        memcpy(data, plain, len);
        assert_int_equal(suite->seal(a, nonce, aad, aad_len, data, len), 0);
        assert_memory_equal(data, sealed, len + AEAD_TAG);
        assert_int_equal(suite->open(a, nonce, aad, aad_len, data, len + AEAD_TAG), 0);
        assert_memory_equal(data, plain, len);
        suite->aead_free(a);
    }
}

// Exact heap blocks let AddressSanitizer see a byte too many, at every length around the block sizes.
static void seal_and_open_are_inverse_in_place_at_every_length(void **state) {
    (void)state;
    static const uint8_t key[AEAD_KEY_MAX] = {7}, nonce[AEAD_NONCE] = {9}, aad[] = {1, 2, 3};
    for (size_t s = 0; s < IDS; s++) {
        const aead_suite *suite = aead_suite_by_id(ids[s]);
        aead *a = suite->aead_new(key);
        for (size_t len = 0; len < 1500; len += len < 300 ? 1 : 97) {
            uint8_t *data = malloc(len + AEAD_TAG);
            memset(data, (int)(len & 0xff), len);
            assert_int_equal(suite->seal(a, nonce, aad, sizeof aad, data, len), 0);
            assert_int_equal(suite->open(a, nonce, aad, sizeof aad, data, len + AEAD_TAG), 0);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(data[i], len & 0xff);
            free(data);
        }
        suite->aead_free(a);
    }
}

static int open_changed(const aead_suite *suite, aead *a, size_t nonce_at, size_t aad_at, size_t data_at) {
    uint8_t nonce[AEAD_NONCE + 1] = {0}, aad[8 + 1] = {0}, data[32 + AEAD_TAG + 1] = {0};
    assert_int_equal(suite->seal(a, nonce, aad, 8, data, 32), 0);
    nonce[nonce_at] ^= 1;
    aad[aad_at] ^= 0x80;
    data[data_at] ^= 1;
    return suite->open(a, nonce, aad, 8, data, 32 + AEAD_TAG);
}

static void any_changed_bit_is_refused(void **state) {
    (void)state;
    static const uint8_t key[AEAD_KEY_MAX] = {5};
    for (size_t s = 0; s < IDS; s++) {
        const aead_suite *suite = aead_suite_by_id(ids[s]);
        aead *a = suite->aead_new(key);
        assert_int_equal(open_changed(suite, a, AEAD_NONCE, 8, 32 + AEAD_TAG), 0);
        for (size_t i = 0; i < AEAD_NONCE; i++)
            assert_int_equal(open_changed(suite, a, i, 8, 32 + AEAD_TAG), IROH_ERR_CRYPTO);
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(open_changed(suite, a, AEAD_NONCE, i, 32 + AEAD_TAG), IROH_ERR_CRYPTO);
        for (size_t i = 0; i < 32 + AEAD_TAG; i++)
            assert_int_equal(open_changed(suite, a, AEAD_NONCE, 8, i), IROH_ERR_CRYPTO);
        suite->aead_free(a);
    }
}

// Each packet of the vectors shows its mask: the protected packet number against the plain one.
static void check_mask(const vectors *v, const aead_suite *suite, const uint8_t *hp) {
    uint8_t header[64], packet[1500], mask[HP_MASK];
    size_t header_len = vectors_bytes(v, "header", header, sizeof header);
    size_t pn_size = (size_t)vectors_u64(v, "pn_size");
    (void)vectors_bytes(v, "packet", packet, sizeof packet);
    size_t at = header_len - pn_size;
    hp_key *k = suite->hp_new(hp);
    assert_non_null(k);
    suite->hp_mask(k, packet + at + 4, mask);
    suite->hp_free(k);
    uint8_t bits = (header[0] & 0x80) != 0 ? 0x0f : 0x1f;
    assert_int_equal((header[0] ^ packet[0]) & bits, mask[0] & bits);
    for (size_t i = 0; i < pn_size; i++)
        assert_int_equal(header[at + i] ^ packet[at + i], mask[1 + i]);
}

static void masks_match_the_packets_of_every_suite(void **state) {
    (void)state;
    uint8_t hp[IDS][AEAD_KEY_MAX] = {{0}};
    vectors v;
    vectors_open(&v, "quic_protect.txt");
    while (vectors_next(&v)) {
        size_t s = (size_t)vectors_u64(&v, "suite") - ids[0];
        if (vectors_is(&v, "kind", "keys"))
            (void)vectors_bytes(&v, "hp", hp[s], AEAD_KEY_MAX);
        else if (vectors_is(&v, "kind", "packet"))
            check_mask(&v, aead_suite_by_id(ids[s]), hp[s]);
    }
}

static void mask_of_chacha20_matches_rfc_9001(void **state) {
    (void)state;
    uint8_t hp[AEAD_KEY_MAX];
    vectors v;
    vectors_open(&v, "rfc9001.txt");
    bool seen = false;
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "short"))
            continue;
        (void)vectors_bytes(&v, "hp", hp, sizeof hp);
        check_mask(&v, aead_suite_by_id(0x1303), hp);
        seen = true;
    }
    assert_true(seen);
}

static uint64_t draw(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void draw_bytes(uint64_t *state, uint8_t *out, size_t len) {
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)draw(state);
}

// Whatever this processor's rows are made of, they give the bytes of the libraries.
static void rows_agree_with_the_libraries(void **state) {
    (void)state;
    uint64_t rng = 1;
    for (int i = 0; i < 6000; i++) {
        uint16_t id = ids[(size_t)i % IDS];
        const aead_suite *own = aead_suite_by_id(id), *library = aead_suite_library(id);
        uint8_t key[AEAD_KEY_MAX], nonce[AEAD_NONCE], aad[70], a[2000 + AEAD_TAG], b[2000 + AEAD_TAG];
        uint8_t mask_a[HP_MASK], mask_b[HP_MASK];
        size_t len = i < 1200 ? (size_t)i : (size_t)draw(&rng) % 2000, aad_len = (size_t)draw(&rng) % sizeof aad;
        draw_bytes(&rng, key, sizeof key);
        draw_bytes(&rng, nonce, sizeof nonce);
        draw_bytes(&rng, aad, sizeof aad);
        draw_bytes(&rng, a, len);
        memcpy(b, a, len);
        aead *ka = own->aead_new(key), *kb = library->aead_new(key);
        assert_int_equal(own->seal(ka, nonce, aad, aad_len, a, len), 0);
        assert_int_equal(library->seal(kb, nonce, aad, aad_len, b, len), 0);
        assert_memory_equal(a, b, len + AEAD_TAG);
        assert_int_equal(library->open(kb, nonce, aad, aad_len, a, len + AEAD_TAG), 0);
        assert_int_equal(own->open(ka, nonce, aad, aad_len, b, len + AEAD_TAG), 0);
        assert_memory_equal(a, b, len);
        own->aead_free(ka);
        library->aead_free(kb);
        hp_key *ha = own->hp_new(key), *hb = library->hp_new(key);
        own->hp_mask(ha, aad, mask_a);
        library->hp_mask(hb, aad, mask_b);
        assert_memory_equal(mask_a, mask_b, HP_MASK);
        own->hp_free(ha);
        library->hp_free(hb);
    }
}

static void table_knows_three_suites_with_the_limits_of_rfc_9001(void **state) {
    (void)state;
    for (size_t s = 0; s < IDS; s++)
        assert_int_equal(aead_suite_by_id(ids[s])->id, ids[s]);
    assert_null(aead_suite_by_id(0x1304));
    assert_null(aead_suite_by_id(0));
    assert_int_equal(aead_suite_by_id(0x1301)->confidentiality_limit, UINT64_C(1) << 23);
    assert_int_equal(aead_suite_by_id(0x1302)->integrity_limit, UINT64_C(1) << 52);
    assert_int_equal(aead_suite_by_id(0x1303)->integrity_limit, UINT64_C(1) << 36);
}

static void free_ignores_null(void **state) {
    (void)state;
    for (size_t s = 0; s < IDS; s++) {
        aead_suite_by_id(ids[s])->aead_free(NULL);
        aead_suite_by_id(ids[s])->hp_free(NULL);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealed_and_opened_match_published_vectors),
        cmocka_unit_test(seal_and_open_are_inverse_in_place_at_every_length),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(masks_match_the_packets_of_every_suite),
        cmocka_unit_test(mask_of_chacha20_matches_rfc_9001),
        cmocka_unit_test(rows_agree_with_the_libraries),
        cmocka_unit_test(table_knows_three_suites_with_the_limits_of_rfc_9001),
        cmocka_unit_test(free_ignores_null),
    };
    return cmocka_run_group_tests_name("aead", tests, NULL, NULL);
}
