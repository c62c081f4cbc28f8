// Packet headers against RFC 9001 appendix A, the captured Version Negotiation, and at every truncation.
#include "quic/packet.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/vector_support.h"

static quic_cid cid_of(const char *hex) {
    quic_cid c;
    size_t len = hex_bytes(hex, strlen(hex), c.bytes, sizeof c.bytes);
    assert_true(len <= QUIC_CID_MAX);
    c.len = (uint8_t)len;
    return c;
}

static void assert_cid(const uint8_t *bytes, size_t len, const char *hex) {
    quic_cid c = cid_of(hex);
    assert_int_equal(len, c.len);
    assert_memory_equal(bytes, c.bytes, len);
}

// A copy of exact size, so that a read past the end is seen.
static uint8_t *exact(const uint8_t *bytes, size_t len) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    return copy;
}

static void long_header_is_written_and_parsed_back(void **state) {
    (void)state;
    static const quic_packet_type types[] = {QUIC_INITIAL, QUIC_0RTT, QUIC_HANDSHAKE};
    static const uint8_t token[] = {1, 2, 3};
    quic_cid dcid = cid_of("8394c8f03e515708"), scid = cid_of("0102030405");
    for (size_t i = 0; i < 3; i++) {
        uint8_t bytes[128] = {0};
        writer w = writer_of(bytes, sizeof bytes);
        size_t token_len = types[i] == QUIC_INITIAL ? sizeof token : 0;
        size_t at = quic_packet_write_long(&w, types[i], &dcid, &scid, token, token_len, 0x12345, 3);
        assert_true(at > 0);
        assert_int_equal(at + 3, writer_len(&w));
        quic_packet_set_length(bytes, at, 100);
        quic_packet p;
        assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), 0);
        assert_int_equal(p.type, types[i]);
        assert_int_equal(p.version, QUIC_VERSION_1);
        assert_int_equal(p.len, 100);
        assert_int_equal(p.pn_offset, at);
        assert_int_equal(p.token_len, token_len);
        assert_cid(p.dcid, p.dcid_len, "8394c8f03e515708");
        assert_cid(p.scid, p.scid_len, "0102030405");
        assert_int_equal(bytes[0] & 0x0f, 2);
        assert_memory_equal(bytes + at, "\x01\x23\x45", 3);
        for (size_t room = 0; room < at + 3; room++) {
            w = writer_of(bytes, room);
            assert_int_equal(quic_packet_write_long(&w, types[i], &dcid, &scid, token, token_len, 0x12345, 3), 0);
        }
    }
}

static void short_header_is_written_and_parsed_back(void **state) {
    (void)state;
    quic_cid dcid = cid_of("c1c2c3c4c5c6c7c8");
    uint8_t bytes[64] = {0};
    writer w = writer_of(bytes, sizeof bytes);
    assert_int_equal(quic_packet_write_short(&w, &dcid, true, true, 0xd431, 2), 9);
    assert_memory_equal(bytes, "\x65\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xd4\x31", 11);
    quic_packet p;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), 0);
    assert_int_equal(p.type, QUIC_1RTT);
    assert_int_equal(p.len, sizeof bytes);
    assert_int_equal(p.pn_offset, 9);
    assert_cid(p.dcid, p.dcid_len, "c1c2c3c4c5c6c7c8");
    assert_int_equal(quic_packet_parse(bytes, 8, &p), IROH_ERR_SYNTAX);
    bytes[0] &= 0xbf;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), IROH_ERR_SYNTAX);
}

static void truncated_headers_are_refused(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "rfc9001.txt");
    while (vectors_next(&v)) {
        uint8_t bytes[1500];
        if (!vectors_is(&v, "kind", "initial"))
            continue;
        size_t len = vectors_bytes(&v, "packet", bytes, sizeof bytes);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *copy = exact(bytes, cut);
            quic_packet p;
            assert_int_equal(quic_packet_parse(copy, cut, &p), IROH_ERR_SYNTAX);
            free(copy);
        }
    }
}

static void coalesced_packets_are_split(void **state) {
    (void)state;
    quic_cid dcid = cid_of("8394c8f03e515708"), scid = cid_of("");
    uint8_t bytes[200];
    memset(bytes, 0x40, sizeof bytes);
    writer w = writer_of(bytes, sizeof bytes);
    size_t at = quic_packet_write_long(&w, QUIC_INITIAL, &dcid, &scid, NULL, 0, 0, 1);
    quic_packet_set_length(bytes, at, 60);
    writer second = writer_of(bytes + 60, sizeof bytes - 60);
    at = quic_packet_write_long(&second, QUIC_HANDSHAKE, &dcid, &scid, NULL, 0, 0, 1);
    quic_packet_set_length(bytes + 60, at, 70);
    quic_packet p;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), 0);
    assert_int_equal(p.len, 60);
    assert_int_equal(quic_packet_parse(bytes + 60, sizeof bytes - 60, &p), 0);
    assert_int_equal(p.type, QUIC_HANDSHAKE);
    assert_int_equal(p.len, 70);
    assert_int_equal(quic_packet_parse(bytes + 130, sizeof bytes - 130, &p), 0);
    assert_int_equal(p.type, QUIC_1RTT);
    assert_int_equal(p.len, 70);
}

static void connection_ids_over_20_bytes_are_refused_in_version_1_only(void **state) {
    (void)state;
    uint8_t bytes[64] = {0xc0, 0, 0, 0, 1, 21};
    quic_packet p;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), IROH_ERR_SYNTAX);
    bytes[4] = 9;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), IROH_ERR_UNSUPPORTED);
    assert_int_equal(p.version, 9);
    assert_int_equal(p.dcid_len, 21);
    assert_int_equal(p.scid_len, 0);
    bytes[5] = 60;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), IROH_ERR_SYNTAX);
}

static void unknown_version_is_answered_with_a_list(void **state) {
    (void)state;
    uint8_t bytes[40] = {0x80, 0x0b, 0xad, 0xca, 0xfe, 8,   'A', 'B', 'C', 'D',
                         'E',  'F',  'G',  'H',  4,    'w', 'x', 'y', 'z'};
    quic_packet p;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), IROH_ERR_UNSUPPORTED);
    uint8_t out[64];
    size_t len = quic_packet_write_version_negotiation(out, sizeof out, &p, 0x0b);
    uint8_t wanted[64];
    static const char hex[] = "cb00000000047778797a0841424344454647480a1a2a3a00000001";
    assert_int_equal(len, hex_bytes(hex, strlen(hex), wanted, sizeof wanted));
    assert_memory_equal(out, wanted, len);
    for (size_t room = 0; room < len; room++)
        assert_int_equal(quic_packet_write_version_negotiation(out, room, &p, 0x0b), 0);
    assert_int_equal(quic_packet_write_version_negotiation(out, sizeof out, &p, 0x0b), len);
    assert_int_equal(quic_packet_parse(out, len, &p), 0);
    assert_int_equal(p.type, QUIC_VERSION_NEGOTIATION);
    assert_true(quic_packet_lists_version(&p, QUIC_VERSION_1));
    assert_true(quic_packet_lists_version(&p, 0x0a1a2a3a));
    assert_false(quic_packet_lists_version(&p, 0xff00001d));
    assert_int_equal(quic_packet_parse(out, len - 1, &p), IROH_ERR_SYNTAX);
}

static void reserved_version_differs_from_the_clients(void **state) {
    (void)state;
    uint8_t bytes[16] = {0x80, 0x0a, 0x1a, 0x2a, 0x3a, 0, 0};
    quic_packet p;
    assert_int_equal(quic_packet_parse(bytes, sizeof bytes, &p), IROH_ERR_UNSUPPORTED);
    uint8_t out[64];
    size_t len = quic_packet_write_version_negotiation(out, sizeof out, &p, 0);
    assert_int_equal(quic_packet_parse(out, len, &p), 0);
    assert_true(quic_packet_lists_version(&p, 0x0a1a2a4a));
    assert_false(quic_packet_lists_version(&p, 0x0a1a2a3a));
}

static void captured_version_negotiation_is_read(void **state) {
    (void)state;
    static const char hex[] = "cb00000000047778797a0841424344454647480a1a2a3a00000001ff00001dff00001eff00001fff000020"
                              "ff000021ff000022";
    uint8_t bytes[64];
    size_t len = hex_bytes(hex, strlen(hex), bytes, sizeof bytes);
    quic_packet p;
    assert_int_equal(quic_packet_parse(bytes, len, &p), 0);
    assert_int_equal(p.type, QUIC_VERSION_NEGOTIATION);
    assert_cid(p.dcid, p.dcid_len, "7778797a");
    assert_cid(p.scid, p.scid_len, "4142434445464748");
    assert_true(quic_packet_lists_version(&p, 0xff000022));
    assert_false(quic_packet_lists_version(&p, 2));
}

static void retry_is_written_and_checked(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "rfc9001.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "retry"))
            continue;
        quic_cid odcid, dcid = {0}, scid;
        odcid.len = (uint8_t)vectors_bytes(&v, "dcid", odcid.bytes, sizeof odcid.bytes);
        scid.len = (uint8_t)vectors_bytes(&v, "scid", scid.bytes, sizeof scid.bytes);
        uint8_t token[16], wanted[64], out[64];
        size_t token_len = vectors_bytes(&v, "token", token, sizeof token);
        size_t wanted_len = vectors_bytes(&v, "packet", wanted, sizeof wanted);
        uint8_t random = (uint8_t)vectors_u64(&v, "random");
        for (size_t room = 0; room < wanted_len; room++)
            assert_int_equal(quic_packet_write_retry(out, room, &dcid, &scid, &odcid, token, token_len, random), 0);
        size_t len = quic_packet_write_retry(out, wanted_len, &dcid, &scid, &odcid, token, token_len, random);
        assert_int_equal(len, wanted_len);
        assert_memory_equal(out, wanted, len);
        quic_packet p;
        assert_int_equal(quic_packet_parse(out, len, &p), 0);
        assert_int_equal(p.type, QUIC_RETRY);
        assert_int_equal(p.token_len, token_len);
        assert_memory_equal(p.token, token, token_len);
        assert_true(quic_packet_retry_valid(&p, &odcid));
        assert_false(quic_packet_retry_valid(&p, &scid));
        out[len - 1] ^= 1;
        assert_false(quic_packet_retry_valid(&p, &odcid));
    }
}

static void packet_number_sizes_follow_rfc_9000_a2(void **state) {
    (void)state;
    assert_int_equal(quic_pn_size(0xac5c02, 0xabe8b3), 2);
    assert_int_equal(quic_pn_size(0xace8fe, 0xabe8b3), 3);
    assert_int_equal(quic_pn_size(0, QUIC_PN_NONE), 1);
    assert_int_equal(quic_pn_size(126, QUIC_PN_NONE), 1);
    assert_int_equal(quic_pn_size(127, QUIC_PN_NONE), 2);
    assert_int_equal(quic_pn_size(127, 0), 1);
    assert_int_equal(quic_pn_size(128, 0), 2);
    assert_int_equal(quic_pn_size(0x7fff, 0), 2);
    assert_int_equal(quic_pn_size(0x8000, 0), 3);
    assert_int_equal(quic_pn_size(UINT64_C(1) << 40, 0), 4);
}

static void packet_numbers_are_expanded_as_in_rfc_9000_a3(void **state) {
    (void)state;
    assert_int_equal(quic_pn_decode(0x9b32, 2, 0xa82f30ea), 0xa82f9b32);
    assert_int_equal(quic_pn_decode(0, 1, QUIC_PN_NONE), 0);
    assert_int_equal(quic_pn_decode(200, 1, QUIC_PN_NONE), 200);
    assert_int_equal(quic_pn_decode(0, 1, 255), 256);
    assert_int_equal(quic_pn_decode(0xff, 1, 256), 255);
    assert_int_equal(quic_pn_decode(0xffffffff, 4, VARINT_MAX - 1), VARINT_MAX);
}

static void every_size_survives_reordering_within_its_window(void **state) {
    (void)state;
    uint64_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t acked = (seed >> 8) % (UINT64_C(1) << (8 + seed % 40));
        uint64_t pn = acked + 1 + (seed >> 20) % (UINT64_C(1) << (1 + (seed >> 3) % 28));
        size_t size = quic_pn_size(pn, acked);
        uint64_t truncated = pn & ((UINT64_C(1) << (8 * size)) - 1);
        // The receiver has seen the acknowledged one at least, and at most the one before this or some after it.
        assert_int_equal(quic_pn_decode(truncated, size, acked), pn);
        assert_int_equal(quic_pn_decode(truncated, size, pn - 1), pn);
        assert_int_equal(quic_pn_decode(truncated, size, pn + (pn - acked) / 2), pn);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_header_is_written_and_parsed_back),
        cmocka_unit_test(short_header_is_written_and_parsed_back),
        cmocka_unit_test(truncated_headers_are_refused),
        cmocka_unit_test(coalesced_packets_are_split),
        cmocka_unit_test(connection_ids_over_20_bytes_are_refused_in_version_1_only),
        cmocka_unit_test(unknown_version_is_answered_with_a_list),
        cmocka_unit_test(reserved_version_differs_from_the_clients),
        cmocka_unit_test(captured_version_negotiation_is_read),
        cmocka_unit_test(retry_is_written_and_checked),
        cmocka_unit_test(packet_number_sizes_follow_rfc_9000_a2),
        cmocka_unit_test(packet_numbers_are_expanded_as_in_rfc_9000_a3),
        cmocka_unit_test(every_size_survives_reordering_within_its_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
