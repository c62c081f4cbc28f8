// Packet protection against RFC 9001 appendix A and the vectors with path ids, byte for byte in both directions.
#include "quic/protect.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quic/packet.h"
#include "unit/vector_support.h"

// Seals what the vector says, compares, and opens it again.
static void check_packet(const vectors *v, const quic_keys *k, uint32_t path) {
    uint8_t wanted[1500], packet[1500], header[64], plain[1500];
    size_t wanted_len = vectors_bytes(v, "packet", wanted, sizeof wanted);
    size_t header_len = vectors_bytes(v, "header", header, sizeof header);
    size_t plain_len = vectors_bytes(v, "plain", plain, sizeof plain);
    size_t pn_size = (size_t)vectors_u64(v, "pn_size");
    uint64_t pn = vectors_u64(v, "pn");
    memcpy(packet, header, header_len);
    memcpy(packet + header_len, plain, plain_len);
    size_t at = header_len - pn_size;
    assert_int_equal(quic_packet_seal(k, k->hp, packet, at, pn_size, plain_len, path, pn), wanted_len);
    assert_memory_equal(packet, wanted, wanted_len);

    uint64_t truncated;
    assert_int_equal(quic_packet_unprotect(k->hp, packet, wanted_len, at, &truncated), pn_size);
    assert_memory_equal(packet, header, header_len);
    assert_int_equal(truncated, pn & ((UINT64_C(1) << (8 * pn_size)) - 1));
    assert_int_equal(quic_packet_open(k, packet, wanted_len, at, pn_size, path, pn), plain_len);
    assert_memory_equal(packet + header_len, plain, plain_len);
}

static void initial_keys_and_packets_match_rfc_9001(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "rfc9001.txt");
    while (vectors_next(&v)) {
        bool packet = vectors_is(&v, "kind", "initial");
        if (!packet && !vectors_is(&v, "kind", "keys"))
            continue;
        quic_cid dcid;
        dcid.len = (uint8_t)vectors_bytes(&v, "dcid", dcid.bytes, sizeof dcid.bytes);
        quic_keys client, server;
        assert_int_equal(quic_keys_initial(&dcid, &client, &server), 0);
        const quic_keys *k = vectors_is(&v, "side", "client") ? &client : &server;
        assert_true(quic_keys_present(k));
        if (packet) {
            check_packet(&v, k, 0);
        } else {
            uint8_t iv[AEAD_NONCE];
            assert_int_equal(vectors_bytes(&v, "iv", iv, sizeof iv), AEAD_NONCE);
            assert_memory_equal(k->iv, iv, AEAD_NONCE);
        }
        quic_keys_dispose(&client);
        quic_keys_dispose(&server);
        assert_false(quic_keys_present(&client));
    }
}

static void chacha20_short_header_matches_rfc_9001(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "rfc9001.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "short"))
            continue;
        uint8_t secret[AEAD_HASH_MAX];
        (void)vectors_bytes(&v, "secret", secret, sizeof secret);
        quic_keys k;
        assert_int_equal(quic_keys_init(&k, aead_suite_by_id((uint16_t)vectors_u64(&v, "suite")), secret), 0);
        check_packet(&v, &k, 0);
        quic_keys_dispose(&k);
    }
}

static void counting_secret(uint8_t secret[static AEAD_HASH_MAX]) {
    for (size_t i = 0; i < AEAD_HASH_MAX; i++)
        secret[i] = (uint8_t)i;
}

static void path_id_goes_into_the_nonce(void **state) {
    (void)state;
    uint8_t secret[AEAD_HASH_MAX];
    counting_secret(secret);
    vectors v;
    vectors_open(&v, "quic_protect.txt");
    while (vectors_next(&v)) {
        if (vectors_is(&v, "kind", "updated"))
            continue;
        quic_keys k;
        assert_int_equal(quic_keys_init(&k, aead_suite_by_id((uint16_t)vectors_u64(&v, "suite")), secret), 0);
        if (vectors_is(&v, "kind", "keys")) {
            uint8_t iv[AEAD_NONCE];
            assert_int_equal(vectors_bytes(&v, "iv", iv, sizeof iv), AEAD_NONCE);
            assert_memory_equal(k.iv, iv, AEAD_NONCE);
        } else {
            check_packet(&v, &k, (uint32_t)vectors_u64(&v, "path"));
        }
        quic_keys_dispose(&k);
    }
}

static void changed_bytes_do_not_open(void **state) {
    (void)state;
    uint8_t secret[AEAD_HASH_MAX], packet[64], copy[64];
    counting_secret(secret);
    quic_keys k;
    assert_int_equal(quic_keys_init(&k, aead_suite_by_id(0x1301), secret), 0);
    memset(packet, 0x01, sizeof packet);
    packet[0] = 0x41;
    int len = quic_packet_seal(&k, k.hp, packet, 9, 2, 20, 1, 0x0101);
    assert_int_equal(len, 9 + 2 + 20 + AEAD_TAG);
    for (size_t i = 0; i < (size_t)len; i++) {
        uint64_t truncated;
        memcpy(copy, packet, sizeof copy);
        copy[i] ^= 0x01;
        int pn_size = quic_packet_unprotect(k.hp, copy, (size_t)len, 9, &truncated);
        assert_in_range(pn_size, 1, 4);
        assert_int_equal(quic_packet_open(&k, copy, (size_t)len, 9, (size_t)pn_size, 1, truncated), IROH_ERR_CRYPTO);
    }
    uint64_t truncated;
    memcpy(copy, packet, sizeof copy);
    assert_int_equal(quic_packet_unprotect(k.hp, copy, (size_t)len, 9, &truncated), 2);
    assert_int_equal(quic_packet_open(&k, copy, (size_t)len, 9, 2, 2, truncated), IROH_ERR_CRYPTO);
    quic_keys_dispose(&k);
}

static void packets_too_short_for_a_sample_are_refused(void **state) {
    (void)state;
    uint8_t secret[AEAD_HASH_MAX];
    counting_secret(secret);
    quic_keys k;
    assert_int_equal(quic_keys_init(&k, aead_suite_by_id(0x1303), secret), 0);
    for (size_t len = 9; len < 9 + 4 + HP_SAMPLE; len++) {
        uint8_t *packet = calloc(1, len);
        uint64_t truncated;
        assert_non_null(packet);
        assert_int_equal(quic_packet_unprotect(k.hp, packet, len, 9, &truncated), IROH_ERR_SYNTAX);
        free(packet);
    }
    quic_keys_dispose(&k);
}

static void disposing_absent_keys_is_harmless(void **state) {
    (void)state;
    quic_keys k = {0};
    quic_keys_dispose(&k);
    assert_false(quic_keys_present(&k));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(initial_keys_and_packets_match_rfc_9001),
        cmocka_unit_test(chacha20_short_header_matches_rfc_9001),
        cmocka_unit_test(path_id_goes_into_the_nonce),
        cmocka_unit_test(changed_bytes_do_not_open),
        cmocka_unit_test(packets_too_short_for_a_sample_are_refused),
        cmocka_unit_test(disposing_absent_keys_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
