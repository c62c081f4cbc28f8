// Transport parameters: the printed vectors, every rule of decoding, grease, and what 0-RTT remembers.
#include "quic/params.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "unit/vector_support.h"

static void fill_counting(void *user, void *out, size_t len) {
    uint64_t *seed = user;
    uint8_t *bytes = out;
    for (size_t i = 0; i < len; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        bytes[i] = (uint8_t)(*seed >> 56);
    }
}

static int decode_hex(quic_params *p, quic_role sender, const char *hex) {
    uint8_t bytes[256];
    size_t len = hex_bytes(hex, strlen(hex), bytes, sizeof bytes);
    assert_true(len <= sizeof bytes);
    uint8_t *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, len);
    int r = quic_params_decode(p, sender, exact, len);
    free(exact);
    return r;
}

static void assert_refused(quic_role sender, const char *hex) {
    quic_params p;
    if (decode_hex(&p, sender, hex) != QUIC_TRANSPORT_PARAMETER_ERROR)
        fail_msg("accepted: %s", hex);
}

static void assert_accepted(quic_role sender, const char *hex) {
    quic_params p;
    if (decode_hex(&p, sender, hex) != 0)
        fail_msg("refused: %s", hex);
}

// What iroh's server sends.
static quic_params iroh_params(void) {
    quic_params p;
    quic_params_default(&p);
    p.max_idle_timeout_ms = 30000;
    p.max_udp_payload_size = 1472;
    p.initial_max_data = VARINT_MAX;
    p.initial_max_stream_data_bidi_local = p.initial_max_stream_data_bidi_remote = 1250000;
    p.initial_max_stream_data_uni = 1250000;
    p.initial_max_streams_bidi = p.initial_max_streams_uni = 100;
    p.active_connection_id_limit = 5;
    p.max_datagram_frame_size = 65535;
    p.has_max_path_id = p.has_min_ack_delay = p.has_nat_traversal = true;
    p.max_path_id = 7;
    p.min_ack_delay_us = 1000;
    p.nat_traversal = 32;
    p.has_initial_scid = p.has_original_dcid = p.has_reset_token = true;
    p.initial_scid = (quic_cid){8, {1, 2, 3, 4, 5, 6, 7, 8}};
    p.original_dcid = (quic_cid){20, {0xff, 0xee}};
    memset(p.reset_token, 0x5a, sizeof p.reset_token);
    return p;
}

// --- Vectors

typedef struct named_value {
    const char *name;
    size_t offset;
} named_value;

static const named_value values[] = {
    {"max_idle_timeout", offsetof(quic_params, max_idle_timeout_ms)},
    {"max_udp_payload_size", offsetof(quic_params, max_udp_payload_size)},
    {"initial_max_data", offsetof(quic_params, initial_max_data)},
    {"initial_max_stream_data_bidi_local", offsetof(quic_params, initial_max_stream_data_bidi_local)},
    {"initial_max_stream_data_bidi_remote", offsetof(quic_params, initial_max_stream_data_bidi_remote)},
    {"initial_max_stream_data_uni", offsetof(quic_params, initial_max_stream_data_uni)},
    {"initial_max_streams_bidi", offsetof(quic_params, initial_max_streams_bidi)},
    {"initial_max_streams_uni", offsetof(quic_params, initial_max_streams_uni)},
    {"active_connection_id_limit", offsetof(quic_params, active_connection_id_limit)},
    {"max_datagram_frame_size", offsetof(quic_params, max_datagram_frame_size)},
    {"max_path_id", offsetof(quic_params, max_path_id)},
    {"min_ack_delay", offsetof(quic_params, min_ack_delay_us)},
    {"address_discovery", offsetof(quic_params, address_discovery)},
};

static uint64_t value_of(const quic_params *p, const vectors *v) {
    if (vectors_is(v, "param", "nat_traversal"))
        return p->nat_traversal;
    if (vectors_is(v, "param", "grease_quic_bit"))
        return p->grease_quic_bit;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (vectors_is(v, "param", values[i].name))
            return *(const uint64_t *)((const uint8_t *)p + values[i].offset);
    }
    fail_msg("unknown: %s", v->line);
    return 0;
}

static void vectors_decode_and_encode(void **state) {
    (void)state;
    vectors v;
    vectors_open(&v, "quic_params.txt");
    while (vectors_next(&v)) {
        uint8_t bytes[32], out[QUIC_PARAMS_MAX];
        size_t len = vectors_bytes(&v, "bytes", bytes, sizeof bytes);
        quic_params p;
        assert_int_equal(quic_params_decode(&p, QUIC_CLIENT, bytes, len), 0);
        assert_int_equal(value_of(&p, &v), vectors_u64(&v, "value"));
        assert_int_equal(quic_params_encode(&p, QUIC_CLIENT, NULL, out, sizeof out), len);
        assert_memory_equal(out, bytes, len);
    }
}

static void captured_client_hello_parameters_are_read(void **state) {
    (void)state;
    quic_params p;
    assert_int_equal(decode_hex(&p, QUIC_CLIENT,
                                "01048000753009024064c0000000ff04de1b0243e80504801312d0c0003d7f911204010120030245c006"
                                "04801312d00704801312d00408ffffffffffffffff08024064cf33f74192cb4d5f0488c591ff3e01070f"
                                "08e828a3ed2539947a20048000ffff0e0105"),
                     0);
    assert_int_equal(p.max_idle_timeout_ms, 30000);
    assert_int_equal(p.initial_max_data, VARINT_MAX);
    assert_int_equal(p.max_datagram_frame_size, 65535);
    assert_true(p.has_max_path_id && p.has_min_ack_delay && p.has_nat_traversal && p.has_initial_scid);
    assert_false(p.has_address_discovery || p.has_reset_token || p.grease_quic_bit);
    assert_int_equal(p.nat_traversal, 32);
    assert_int_equal(p.initial_scid.len, 8);
    assert_int_equal(p.initial_scid.bytes[0], 0xe8);
    assert_int_equal(p.ack_delay_exponent, 3);
    assert_int_equal(p.max_ack_delay_ms, 25);
}

// --- Encoding

static void defaults_need_no_bytes(void **state) {
    (void)state;
    quic_params p;
    uint8_t out[8];
    quic_params_default(&p);
    assert_int_equal(quic_params_encode(&p, QUIC_SERVER, NULL, out, 0), 0);
    assert_int_equal(p.active_connection_id_limit, 2);
    assert_int_equal(p.max_udp_payload_size, 65527);
}

static void shuffled_parameters_decode_to_the_same(void **state) {
    (void)state;
    uint64_t seed = 3;
    entropy random = {fill_counting, &seed};
    quic_params p = iroh_params(), got;
    uint8_t first[QUIC_PARAMS_MAX], out[QUIC_PARAMS_MAX];
    int plain = quic_params_encode(&p, QUIC_SERVER, NULL, first, sizeof first);
    assert_true(plain > 0);
    bool moved = false, short_noise = false, long_noise = false;
    for (int i = 0; i < 500; i++) {
        int len = quic_params_encode(&p, QUIC_SERVER, &random, out, sizeof out);
        // Exactly one reserved parameter: an id of 1 to 8 bytes, a length byte, 0 to 15 bytes.
        assert_in_range(len, plain + 2, plain + 8 + 1 + 15);
        short_noise |= len < plain + 8 + 1 + 4;
        long_noise |= len > plain + 8 + 1 + 11;
        moved |= memcmp(out, first, 8) != 0;
        assert_int_equal(quic_params_decode(&got, QUIC_SERVER, out, (size_t)len), 0);
        assert_memory_equal(&got, &p, sizeof p);
    }
    assert_true(moved && short_noise && long_noise);
}

static void client_never_sends_what_only_servers_may(void **state) {
    (void)state;
    quic_params p = iroh_params(), got;
    uint8_t out[QUIC_PARAMS_MAX];
    p.has_retry_scid = true;
    int len = quic_params_encode(&p, QUIC_CLIENT, NULL, out, sizeof out);
    assert_int_equal(quic_params_decode(&got, QUIC_CLIENT, out, (size_t)len), 0);
    assert_false(got.has_original_dcid || got.has_reset_token || got.has_retry_scid);
    assert_true(got.has_initial_scid);
}

static void longest_encoding_fits_its_bound(void **state) {
    (void)state;
    uint64_t seed = 5;
    entropy random = {fill_counting, &seed};
    quic_params p = iroh_params();
    p.max_idle_timeout_ms = p.max_udp_payload_size = p.active_connection_id_limit = VARINT_MAX;
    p.initial_max_stream_data_bidi_local = p.initial_max_stream_data_bidi_remote = VARINT_MAX;
    p.initial_max_stream_data_uni = p.max_datagram_frame_size = p.min_ack_delay_us = VARINT_MAX;
    p.initial_max_streams_bidi = p.initial_max_streams_uni = UINT64_C(1) << 60;
    p.ack_delay_exponent = 20;
    p.max_ack_delay_ms = 16383;
    p.max_path_id = UINT32_MAX;
    p.has_address_discovery = p.has_retry_scid = p.disable_active_migration = p.grease_quic_bit = true;
    p.initial_scid.len = p.retry_scid.len = p.original_dcid.len = QUIC_CID_MAX;
    uint8_t out[QUIC_PARAMS_MAX];
    for (int i = 0; i < 200; i++)
        assert_true(quic_params_encode(&p, QUIC_SERVER, &random, out, sizeof out) > 0);
    for (size_t room = 0; room < 200; room++)
        assert_int_equal(quic_params_encode(&p, QUIC_SERVER, &random, out, room), IROH_ERR_LENGTH);
}

// --- Rules of decoding

static void duplicates_are_refused(void **state) {
    (void)state;
    assert_refused(QUIC_CLIENT, "010480007530010480007530");
    assert_refused(QUIC_CLIENT, "6ab2006ab200");
    assert_refused(QUIC_CLIENT, "c0000000ff04de1b0243e8c0000000ff04de1b0243e8");
}

static void integers_must_fill_their_length(void **state) {
    (void)state;
    assert_refused(QUIC_CLIENT, "0102"
                                "05"
                                "05");
    assert_refused(QUIC_CLIENT, "0101"
                                "80");
    assert_refused(QUIC_CLIENT, "0100");
    assert_refused(QUIC_CLIENT, "2003"
                                "4064"
                                "00");
    assert_accepted(QUIC_CLIENT, "0102"
                                 "4005");  // a longer varint than needed
}

static void unknown_parameters_are_skipped(void **state) {
    (void)state;
    assert_accepted(QUIC_CLIENT, "1b00"
                                 "3a0401020304"
                                 "7fff0100"
                                 "010480007530");
    assert_accepted(QUIC_CLIENT, "1b00"
                                 "1b00");
    assert_accepted(QUIC_CLIENT, "");
}

static void limits_of_values_are_held(void **state) {
    (void)state;
    assert_accepted(QUIC_CLIENT, "0a0114");
    assert_refused(QUIC_CLIENT, "0a0115");
    assert_accepted(QUIC_CLIENT, "0b027fff");
    assert_refused(QUIC_CLIENT, "0b0480004000");
    assert_accepted(QUIC_CLIENT, "0e0102");
    assert_refused(QUIC_CLIENT, "0e0101");
    assert_accepted(QUIC_CLIENT, "030244b0");
    assert_refused(QUIC_CLIENT, "030244af");
    assert_accepted(QUIC_CLIENT, "0808d000000000000000");
    assert_refused(QUIC_CLIENT, "0808d000000000000001");
    assert_refused(QUIC_CLIENT, "0908d000000000000001");
    assert_accepted(QUIC_CLIENT, "3e08c0000000ffffffff");
    assert_refused(QUIC_CLIENT, "3e08c000000100000000");
    assert_accepted(QUIC_CLIENT, "c00000009f81a1760102");
    assert_refused(QUIC_CLIENT, "c00000009f81a1760103");
}

static void min_ack_delay_is_at_most_max_ack_delay(void **state) {
    (void)state;
    assert_accepted(QUIC_CLIENT, "c0000000ff04de1b04800061a8");  // 25 000 us, the default maximum
    assert_refused(QUIC_CLIENT, "c0000000ff04de1b04800061a9");
    assert_accepted(QUIC_CLIENT, "c0000000ff04de1b04800061a9"
                                 "0b011a");  // the order does not matter
    assert_refused(QUIC_CLIENT, "0b0100"
                                "c0000000ff04de1b0101");
}

static void nat_traversal_is_one_byte_and_not_zero(void **state) {
    (void)state;
    assert_accepted(QUIC_CLIENT, "c0003d7f9112040101ff");
    assert_refused(QUIC_CLIENT, "c0003d7f911204010100");
    assert_refused(QUIC_CLIENT, "c0003d7f911204010240ff");
    assert_refused(QUIC_CLIENT, "c0003d7f9112040100");
}

static void server_only_parameters_are_refused_from_clients(void **state) {
    (void)state;
    static const char *const hex[] = {
        "000401020304",
        "0210000102030405060708090a0b0c0d0e0f",
        "100401020304",
        "0d2a"
        "c0000201"
        "1151"
        "00000000000000000000000000000000"
        "0000"
        "01aa"
        "000102030405060708090a0b0c0d0e0f",
    };
    for (size_t i = 0; i < sizeof hex / sizeof hex[0]; i++) {
        assert_refused(QUIC_CLIENT, hex[i]);
        assert_accepted(QUIC_SERVER, hex[i]);
    }
}

static void preferred_address_needs_an_id_and_an_address(void **state) {
    (void)state;
    quic_params p;
    assert_int_equal(decode_hex(&p, QUIC_SERVER,
                                "0d2a"
                                "00000000"
                                "0000"
                                "20010db8000000000000000000000001"
                                "1151"
                                "01aa"
                                "000102030405060708090a0b0c0d0e0f"),
                     0);
    assert_true(p.has_preferred_address);
    assert_int_equal(p.preferred_cid.len, 1);
    assert_int_equal(p.preferred_token[15], 15);
    assert_refused(QUIC_SERVER, "0d2a"
                                "00000000"
                                "1151"
                                "00000000000000000000000000000000"
                                "1151"
                                "01aa"
                                "000102030405060708090a0b0c0d0e0f");
    assert_refused(QUIC_SERVER, "0d29"
                                "c0000201"
                                "1151"
                                "00000000000000000000000000000000"
                                "0000"
                                "00"
                                "000102030405060708090a0b0c0d0e0f");
    assert_refused(QUIC_SERVER, "0d2a"
                                "c0000201"
                                "1151"
                                "00000000000000000000000000000000"
                                "0000"
                                "02aa"
                                "000102030405060708090a0b0c0d0e0f");
}

static void lengths_of_bytes_are_checked(void **state) {
    (void)state;
    assert_refused(QUIC_SERVER, "020f000102030405060708090a0b0c0d0e");
    assert_refused(QUIC_SERVER, "0211000102030405060708090a0b0c0d0e0f10");
    assert_refused(QUIC_CLIENT, "0f15000102030405060708090a0b0c0d0e0f1011121314");
    assert_accepted(QUIC_CLIENT, "0f14000102030405060708090a0b0c0d0e0f10111213");
    assert_accepted(QUIC_CLIENT, "0f00");
    assert_refused(QUIC_CLIENT, "0c0100");
    assert_refused(QUIC_CLIENT, "6ab20100");
}

static void truncation_is_refused_everywhere_but_between_parameters(void **state) {
    (void)state;
    quic_params p = iroh_params(), got;
    uint8_t out[QUIC_PARAMS_MAX];
    size_t len = (size_t)quic_params_encode(&p, QUIC_SERVER, NULL, out, sizeof out), ends = 0;
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *copy = malloc(cut > 0 ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, out, cut);
        ends += quic_params_decode(&got, QUIC_SERVER, copy, cut) == 0;
        free(copy);
    }
    assert_int_equal(ends, 16);  // as many as there are parameters, the empty input counted
}

// --- 0-RTT

static void remembered_parameters_leave_out_what_is_of_one_connection(void **state) {
    (void)state;
    quic_params p = iroh_params(), kept;
    p.ack_delay_exponent = 5;
    p.max_ack_delay_ms = 100;
    p.has_preferred_address = p.has_retry_scid = true;
    quic_params_remembered(&p, &kept);
    assert_false(kept.has_initial_scid || kept.has_original_dcid || kept.has_retry_scid || kept.has_reset_token);
    assert_false(kept.has_preferred_address || kept.has_min_ack_delay || kept.has_max_path_id);
    assert_int_equal(kept.ack_delay_exponent, 3);
    assert_int_equal(kept.max_ack_delay_ms, 25);
    assert_int_equal(kept.initial_max_data, p.initial_max_data);
    assert_true(kept.has_nat_traversal);
    uint8_t out[QUIC_PARAMS_MAX];
    quic_params got;
    int len = quic_params_encode(&kept, QUIC_SERVER, NULL, out, sizeof out);
    assert_int_equal(quic_params_decode(&got, QUIC_SERVER, out, (size_t)len), 0);
    assert_memory_equal(&got, &kept, sizeof got);
}

static void promises_may_grow_but_not_shrink(void **state) {
    (void)state;
    static const size_t limits[] = {
        offsetof(quic_params, active_connection_id_limit),
        offsetof(quic_params, initial_max_data),
        offsetof(quic_params, initial_max_stream_data_bidi_local),
        offsetof(quic_params, initial_max_stream_data_bidi_remote),
        offsetof(quic_params, initial_max_stream_data_uni),
        offsetof(quic_params, initial_max_streams_bidi),
        offsetof(quic_params, initial_max_streams_uni),
        offsetof(quic_params, max_datagram_frame_size),
    };
    quic_params old = iroh_params(), fresh = old;
    assert_true(quic_params_keep_promises(&fresh, &old));
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        uint64_t *value = (uint64_t *)(void *)((uint8_t *)&fresh + limits[i]);
        *value += 1;
        assert_true(quic_params_keep_promises(&fresh, &old));
        *value -= 2;
        assert_false(quic_params_keep_promises(&fresh, &old));
        *value += 1;
    }
    fresh.nat_traversal = 33;
    assert_false(quic_params_keep_promises(&fresh, &old));
    fresh = old;
    fresh.has_address_discovery = true;
    assert_false(quic_params_keep_promises(&fresh, &old));
    fresh = old;
    fresh.grease_quic_bit = true;
    assert_true(quic_params_keep_promises(&fresh, &old));
    assert_false(quic_params_keep_promises(&old, &fresh));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_decode_and_encode),
        cmocka_unit_test(captured_client_hello_parameters_are_read),
        cmocka_unit_test(defaults_need_no_bytes),
        cmocka_unit_test(shuffled_parameters_decode_to_the_same),
        cmocka_unit_test(client_never_sends_what_only_servers_may),
        cmocka_unit_test(longest_encoding_fits_its_bound),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(integers_must_fill_their_length),
        cmocka_unit_test(unknown_parameters_are_skipped),
        cmocka_unit_test(limits_of_values_are_held),
        cmocka_unit_test(min_ack_delay_is_at_most_max_ack_delay),
        cmocka_unit_test(nat_traversal_is_one_byte_and_not_zero),
        cmocka_unit_test(server_only_parameters_are_refused_from_clients),
        cmocka_unit_test(preferred_address_needs_an_id_and_an_address),
        cmocka_unit_test(lengths_of_bytes_are_checked),
        cmocka_unit_test(truncation_is_refused_everywhere_but_between_parameters),
        cmocka_unit_test(remembered_parameters_leave_out_what_is_of_one_connection),
        cmocka_unit_test(promises_may_grow_but_not_shrink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
