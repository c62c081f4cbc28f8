// Frames: the printed vectors, every row of the table under truncation, random round trips, and each refusal.
#include "quic/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "unit/vector_support.h"

#define SOME_DATA 40

static uint64_t next_random(uint64_t *seed) {
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return *seed >> 16;
}

// Varints of all sizes alike.
static uint64_t random_varint(uint64_t *seed) {
    static const unsigned bits[] = {6, 14, 30, 62};
    uint64_t high = next_random(seed) << 32;
    return (high ^ next_random(seed)) & ((UINT64_C(1) << bits[next_random(seed) % 4]) - 1);
}

static addr text_addr(const char *text) {
    addr a;
    assert_int_equal(addr_parse(&a, text, strlen(text)), 0);
    return a;
}

// --- Vectors

typedef struct named_frame {
    const char *name;
    quic_frame frame;
    const char *address;
} named_frame;

static const uint8_t range_bytes[] = {0x01, 0x05};

static const named_frame vector_frames[] = {
    {"path_ack", {.type = FRAME_PATH_ACK, .ack = {.path = 1, .largest = 10, .delay = 5, .first_range = 10}}},
    {"path_ack_ranges",
     {.type = FRAME_PATH_ACK,
      .ack = {.path = 2,
              .largest = 100,
              .delay = 1000,
              .first_range = 2,
              .range_count = 1,
              .ranges = range_bytes,
              .ranges_len = 2}}},
    {"path_ack_ecn",
     {.type = FRAME_PATH_ACK_ECN,
      .ack = {.path = 1, .largest = 10, .delay = 0, .first_range = 10, .ecn = true, .ect0 = 11}}},
    {"path_abandon", {.type = FRAME_PATH_ABANDON, .path_abandon = {1, 0x3e}}},
    {"path_abandon_unstable", {.type = FRAME_PATH_ABANDON, .path_abandon = {1, 0x3e76}}},
    {"path_status_backup", {.type = FRAME_PATH_STATUS_BACKUP, .path_status = {2, 1}}},
    {"path_status_available", {.type = FRAME_PATH_STATUS_AVAILABLE, .path_status = {0, 2}}},
    {"path_new_connection_id",
     {.type = FRAME_PATH_NEW_CONNECTION_ID,
      .new_cid = {.path = 1,
                  .cid = {8, {0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8}},
                  .token = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}}},
    {"path_retire_connection_id", {.type = FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {1, 0}}},
    {"max_path_id", {.type = FRAME_MAX_PATH_ID, .path_limit = {8}}},
    {"paths_blocked", {.type = FRAME_PATHS_BLOCKED, .path_limit = {7}}},
    {"path_cids_blocked", {.type = FRAME_PATH_CIDS_BLOCKED, .path_status = {1, 0}}},
    {"observed_address_v4", {.type = FRAME_OBSERVED_ADDRESS_V4, .address = {.seq = 0}}, "192.0.2.1:4433"},
    {"observed_address_v6", {.type = FRAME_OBSERVED_ADDRESS_V6, .address = {.seq = 1}}, "[2001:db8::1]:4433"},
    {"add_address_v4", {.type = FRAME_ADD_ADDRESS_V4, .address = {.seq = 0}}, "192.0.2.1:51296"},
    {"add_address_v6", {.type = FRAME_ADD_ADDRESS_V6, .address = {.seq = 1}}, "[2001:db8::1]:47722"},
    {"reach_out_v4", {.type = FRAME_REACH_OUT_V4, .address = {.seq = 1}}, "198.51.100.7:47236"},
    {"reach_out_v6", {.type = FRAME_REACH_OUT_V6, .address = {.seq = 2}}, "[2001:db8::2]:1"},
    {"remove_address", {.type = FRAME_REMOVE_ADDRESS, .address = {.seq = 5}}},
    {"ack_frequency", {.type = FRAME_ACK_FREQUENCY, .ack_frequency = {0, 10, 25000, 2}}},
    {"immediate_ack", {.type = FRAME_IMMEDIATE_ACK}},
    {"datagram", {.type = FRAME_DATAGRAM_LEN, .datagram = {(const uint8_t *)"hello", 5, true}}},
    {"connection_close",
     {.type = FRAME_CONNECTION_CLOSE, .close = {QUIC_PROTOCOL_VIOLATION, 0x3e, (const uint8_t *)"bad", 3}}},
    {"close_reply", {.type = FRAME_CONNECTION_CLOSE}},
    {"application_close", {.type = FRAME_APPLICATION_CLOSE}},
    {"captured_add_address_v4", {.type = FRAME_ADD_ADDRESS_V4, .address = {.seq = 0}}, "127.0.0.1:51296"},
    {"captured_add_address_v6", {.type = FRAME_ADD_ADDRESS_V6, .address = {.seq = 1}}, "[::1]:47722"},
    {"captured_reach_out_v4", {.type = FRAME_REACH_OUT_V4, .address = {.seq = 1}}, "127.0.0.1:47236"},
    {"captured_path_ack", {.type = FRAME_PATH_ACK, .ack = {.largest = 8, .delay = 2, .first_range = 8}}},
};

static quic_frame named(const vectors *v) {
    for (size_t i = 0; i < sizeof vector_frames / sizeof vector_frames[0]; i++) {
        if (!vectors_is(v, "frame", vector_frames[i].name))
            continue;
        quic_frame f = vector_frames[i].frame;
        if (vector_frames[i].address != NULL)
            f.address.address = text_addr(vector_frames[i].address);
        return f;
    }
    fail_msg("no frame for: %s", v->line);
    return (quic_frame){0};
}

static void assert_encodes(const quic_frame *f, const uint8_t *bytes, size_t len) {
    uint8_t out[512];
    writer w = writer_of(out, sizeof out);
    quic_frame_encode(&w, f);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), len);
    assert_memory_equal(out, bytes, len);
}

static void vectors_decode_and_encode(void **state) {
    (void)state;
    vectors v;
    size_t count = 0;
    vectors_open(&v, "quic_frames.txt");
    for (; vectors_next(&v); count++) {
        uint8_t bytes[64];
        size_t len = vectors_bytes(&v, "bytes", bytes, sizeof bytes);
        quic_frame wanted = named(&v), f;
        const quic_frame_info *info;
        assert_encodes(&wanted, bytes, len);
        reader r = reader_of(bytes, len);
        assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
        assert_int_equal(reader_left(&r), 0);
        assert_int_equal(f.type, wanted.type);
        assert_ptr_equal(info, quic_frame_info_of(f.type));
        assert_encodes(&f, bytes, len);
    }
    assert_int_equal(count, sizeof vector_frames / sizeof vector_frames[0]);
}

// --- The table

static void table_finds_its_own_rows(void **state) {
    (void)state;
    size_t count;
    const quic_frame_info *rows = quic_frame_table(&count);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(quic_frame_info_of(rows[i].type), &rows[i]);
        assert_true(rows[i].allowed != 0 && rows[i].name[0] != '\0');
    }
    for (uint64_t type = FRAME_STREAM; type < FRAME_STREAM + 8; type++)
        assert_int_equal(quic_frame_info_of(type)->type, FRAME_STREAM);
}

static void unknown_types_are_refused(void **state) {
    (void)state;
    static const uint64_t types[] = {0x20,   0x21,   0x2f,     0x32,     0x3d,     0x40,     0xae,    0xb0,
                                     0x3e74, 0x3e7d, 0x3d7f8f, 0x3d7f95, 0x9f81a5, 0x9f81a8, 0x15228, VARINT_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint8_t bytes[16] = {0};
        writer w = writer_of(bytes, sizeof bytes);
        writer_varint(&w, types[i]);
        reader r = reader_of(bytes, sizeof bytes);
        quic_frame f;
        const quic_frame_info *info;
        assert_int_equal(quic_frame_decode(&r, &f, &info), QUIC_FRAME_ENCODING_ERROR);
        assert_int_equal(f.type, types[i]);
        assert_null(quic_frame_info_of(types[i]));
        f = (quic_frame){.type = types[i]};
        quic_frame_encode(&w, &f);
        assert_true(w.failed);
    }
}

static void types_with_a_longer_varint_than_needed_are_refused(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x40, 0x01};  // PING in two bytes
    reader r = reader_of(bytes, sizeof bytes);
    quic_frame f;
    const quic_frame_info *info;
    assert_int_equal(quic_frame_decode(&r, &f, &info), QUIC_FRAME_ENCODING_ERROR);
    assert_int_equal(f.type, FRAME_PING);
}

static void rows_say_where_frames_may_stand(void **state) {
    (void)state;
    assert_int_equal(quic_frame_info_of(FRAME_APPLICATION_CLOSE)->allowed, FRAME_IN_1RTT);
    assert_int_equal(quic_frame_info_of(FRAME_CRYPTO)->allowed & FRAME_IN_0RTT, 0);
    assert_int_equal(quic_frame_info_of(FRAME_ACK)->allowed & FRAME_IN_0RTT, 0);
    assert_int_equal(quic_frame_info_of(FRAME_STREAM)->allowed, FRAME_IN_0RTT | FRAME_IN_1RTT);
    assert_int_equal(quic_frame_info_of(FRAME_RETIRE_CONNECTION_ID)->allowed, FRAME_IN_1RTT);
    assert_int_equal(quic_frame_info_of(FRAME_PATH_RESPONSE)->allowed, FRAME_IN_1RTT);
    assert_false(quic_frame_info_of(FRAME_PATH_ACK)->ack_eliciting);
    assert_false(quic_frame_info_of(FRAME_CONNECTION_CLOSE)->ack_eliciting);
    assert_true(quic_frame_info_of(FRAME_PATH_CHALLENGE)->probing);
    assert_true(quic_frame_info_of(FRAME_OBSERVED_ADDRESS_V6)->probing);
    assert_false(quic_frame_info_of(FRAME_PING)->probing);
}

// --- Random frames

static size_t random_ranges(uint64_t *seed, quic_ack_frame *a, uint8_t *room, size_t len) {
    writer w = writer_of(room, len);
    a->largest = random_varint(seed);
    a->first_range = next_random(seed) % (a->largest + 1);
    uint64_t low = a->largest - a->first_range;
    while (low >= 4 && a->range_count < 3) {
        uint64_t gap = next_random(seed) % (low / 2), left = low - gap - 2, length = next_random(seed) % (left + 1);
        writer_varint(&w, gap);
        writer_varint(&w, length);
        low = left - length;
        a->range_count++;
    }
    a->ranges = room;
    a->ranges_len = writer_len(&w);
    return writer_len(&w);
}

static addr random_addr(uint64_t *seed, uint64_t type) {
    uint8_t ip[16];
    for (size_t i = 0; i < sizeof ip; i++)
        ip[i] = (uint8_t)next_random(seed);
    uint16_t port = (uint16_t)next_random(seed);
    // Every other IPv6 frame carries a mapped address.
    return (type & 1) != 0 && (port & 1) != 0 ? addr_ip6(ip, port, 0) : addr_ip4(ip, port);
}

// A valid frame of the row's type; `data` is SOME_DATA bytes, `ranges` has room for the ranges of an ACK.
static quic_frame random_frame(uint64_t *seed, uint64_t type, const uint8_t *data, uint8_t *ranges) {
    quic_frame f = {.type = type};
    size_t len = next_random(seed) % (SOME_DATA + 1);
    uint64_t a = random_varint(seed), b = random_varint(seed), c = random_varint(seed);
    uint64_t path = a & UINT32_MAX, offset = a > SOME_DATA ? a - SOME_DATA : 0;
    switch (type) {
    case FRAME_PADDING:
        f.padding.len = 1 + len;
        break;
    case FRAME_ACK:
    case FRAME_ACK_ECN:
    case FRAME_PATH_ACK:
    case FRAME_PATH_ACK_ECN:
        f.ack.path = type >= FRAME_PATH_ACK ? path : 0;
        f.ack.delay = b;
        (void)random_ranges(seed, &f.ack, ranges, 64);
        f.ack.ecn = (type & 1) != 0;
        f.ack.ect0 = f.ack.ecn ? c : 0;
        f.ack.ce = f.ack.ecn ? a : 0;
        break;
    case FRAME_RESET_STREAM:
        f.reset_stream.id = a, f.reset_stream.code = b, f.reset_stream.final_size = c;
        break;
    case FRAME_STOP_SENDING:
        f.stop_sending.id = a, f.stop_sending.code = b;
        break;
    case FRAME_CRYPTO:
        f.crypto.offset = offset, f.crypto.data = data, f.crypto.len = len;
        break;
    case FRAME_NEW_TOKEN:
        f.new_token.token = data, f.new_token.len = len > 0 ? len : 1;
        break;
    case FRAME_STREAM:
        f.stream.id = b, f.stream.offset = offset, f.stream.data = data, f.stream.len = len;
        f.stream.fin = (c & 1) != 0, f.stream.has_len = (c & 2) != 0;
        break;
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
        f.limit.value = a >> 2;
        break;
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED:
        f.limit.id = b;
        f.limit.value = a;
        break;
    case FRAME_MAX_DATA:
    case FRAME_DATA_BLOCKED:
        f.limit.value = a;
        break;
    case FRAME_NEW_CONNECTION_ID:
    case FRAME_PATH_NEW_CONNECTION_ID:
        f.new_cid.path = type == FRAME_PATH_NEW_CONNECTION_ID ? path : 0;
        f.new_cid.seq = b, f.new_cid.retire_prior_to = c % (b + 1);
        f.new_cid.cid.len = (uint8_t)(1 + len % QUIC_CID_MAX);
        memcpy(f.new_cid.cid.bytes, data, f.new_cid.cid.len);
        memcpy(f.new_cid.token, data + 8, QUIC_RESET_TOKEN);
        break;
    case FRAME_RETIRE_CONNECTION_ID:
    case FRAME_PATH_RETIRE_CONNECTION_ID:
        f.retire_cid.path = type == FRAME_PATH_RETIRE_CONNECTION_ID ? path : 0;
        f.retire_cid.seq = b;
        break;
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
        memcpy(f.path_data.data, data, 8);
        break;
    case FRAME_CONNECTION_CLOSE:
    case FRAME_APPLICATION_CLOSE:
        f.close.code = a, f.close.frame_type = type == FRAME_CONNECTION_CLOSE ? b : 0;
        f.close.reason = data, f.close.reason_len = len;
        break;
    case FRAME_DATAGRAM:
    case FRAME_DATAGRAM_LEN:
        f.datagram.data = data, f.datagram.len = len, f.datagram.has_len = type == FRAME_DATAGRAM_LEN;
        break;
    case FRAME_ACK_FREQUENCY:
        f.ack_frequency.seq = a, f.ack_frequency.threshold = b, f.ack_frequency.max_ack_delay_us = c;
        break;
    case FRAME_PATH_ABANDON:
        f.path_abandon.path = path, f.path_abandon.code = b;
        break;
    case FRAME_PATH_STATUS_BACKUP:
    case FRAME_PATH_STATUS_AVAILABLE:
    case FRAME_PATH_CIDS_BLOCKED:
        f.path_status.path = path, f.path_status.seq = b;
        break;
    case FRAME_MAX_PATH_ID:
    case FRAME_PATHS_BLOCKED:
        f.path_limit.path = path;
        break;
    case FRAME_REMOVE_ADDRESS:
        f.address.seq = a;
        break;
    case FRAME_ADD_ADDRESS_V4:
    case FRAME_ADD_ADDRESS_V6:
    case FRAME_REACH_OUT_V4:
    case FRAME_REACH_OUT_V6:
    case FRAME_OBSERVED_ADDRESS_V4:
    case FRAME_OBSERVED_ADDRESS_V6:
        f.address.seq = a, f.address.address = random_addr(seed, type);
        break;
    default:
        break;
    }
    return f;
}

// Whether the frame runs to the end of the packet, so that a shorter input is another valid frame.
static bool fills_the_packet(const quic_frame *f) {
    return f->type == FRAME_PADDING || (f->type == FRAME_DATAGRAM && !f->datagram.has_len) ||
           ((f->type & ~UINT64_C(7)) == FRAME_STREAM && !f->stream.has_len);
}

static void assert_truncation_fails(const quic_frame *f, const uint8_t *bytes, size_t len) {
    for (size_t cut = 0; cut < len && !fills_the_packet(f); cut++) {
        uint8_t *copy = malloc(cut > 0 ? cut : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        reader r = reader_of(copy, cut);
        quic_frame out;
        const quic_frame_info *info;
        assert_int_equal(quic_frame_decode(&r, &out, &info), QUIC_FRAME_ENCODING_ERROR);
        free(copy);
        uint8_t room[512];
        writer w = writer_of(room, cut);
        quic_frame_encode(&w, f);
        assert_true(w.failed);
    }
}

static void every_row_survives_the_round_trip_and_truncation(void **state) {
    (void)state;
    uint64_t seed = 7;
    uint8_t data[SOME_DATA], bytes[512], ranges[64];
    size_t count;
    const quic_frame_info *rows = quic_frame_table(&count);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i + 1);
    for (size_t i = 0; i < count * 300; i++) {
        quic_frame f = random_frame(&seed, rows[i % count].type, data, ranges), out;
        writer w = writer_of(bytes, sizeof bytes);
        quic_frame_encode(&w, &f);
        assert_false(w.failed);
        size_t len = writer_len(&w);
        const quic_frame_info *info;
        reader r = reader_of(bytes, len);
        assert_int_equal(quic_frame_decode(&r, &out, &info), 0);
        assert_int_equal(reader_left(&r), 0);
        assert_ptr_equal(info, &rows[i % count]);
        assert_encodes(&out, bytes, len);
        if (i < count * 20)
            assert_truncation_fails(&out, bytes, len);
    }
}

static void noise_never_reads_outside(void **state) {
    (void)state;
    uint64_t seed = 11;
    for (int i = 0; i < 200000; i++) {
        size_t len = next_random(&seed) % 48;
        uint8_t bytes[48];
        for (size_t k = 0; k < len; k++)
            bytes[k] = (uint8_t)next_random(&seed);
        reader r = reader_of(bytes, len);
        quic_frame f;
        const quic_frame_info *info;
        while (reader_left(&r) > 0 && quic_frame_decode(&r, &f, &info) == 0)
            assert_non_null(info);
    }
}

// --- Values that cannot be

static void assert_decodes(const char *hex, bool ok) {
    uint8_t bytes[128];
    size_t len = hex_bytes(hex, strlen(hex), bytes, sizeof bytes);
    assert_true(len <= sizeof bytes);
    reader r = reader_of(bytes, len);
    quic_frame f;
    const quic_frame_info *info;
    int wanted = ok ? 0 : QUIC_FRAME_ENCODING_ERROR;
    if (quic_frame_decode(&r, &f, &info) != wanted)
        fail_msg("%s", hex);
}

static void path_ids_have_32_bits(void **state) {
    (void)state;
    assert_decodes("7e7ac0000000ffffffff", true);
    assert_decodes("7e7ac000000100000000", false);
    assert_decodes("7e7bc000000100000000", false);
    assert_decodes("7e75c00000010000000000", false);
    assert_decodes("7e76c00000010000000000", false);
    assert_decodes("7e79c00000010000000000", false);
    assert_decodes("7e7cc00000010000000000", false);
    assert_decodes("3ec0000001000000000a05000a", false);
    assert_decodes("7e78c0000001000000000000"
                   "01aa"
                   "000102030405060708090a0b0c0d0e0f",
                   false);
}

static void stream_limits_end_at_2_to_the_60(void **state) {
    (void)state;
    static const char *const types[] = {"12", "13", "16", "17"};
    for (size_t i = 0; i < 4; i++) {
        char hex[32];
        (void)snprintf(hex, sizeof hex, "%sd000000000000000", types[i]);
        assert_decodes(hex, true);
        (void)snprintf(hex, sizeof hex, "%sd000000000000001", types[i]);
        assert_decodes(hex, false);
    }
    assert_decodes("10ffffffffffffffff", true);
}

static void offsets_end_at_2_to_the_62(void **state) {
    (void)state;
    assert_decodes("06fffffffffffffffe0155", true);
    assert_decodes("06ffffffffffffffff0155", false);
    assert_decodes("06ffffffffffffffff00", true);
    assert_decodes("0e00ffffffffffffffff0155", false);
    assert_decodes("0c00ffffffffffffffff55", false);
    assert_decodes("0c00ffffffffffffffff", true);
}

static void ack_ranges_below_zero_are_refused(void **state) {
    (void)state;
    assert_decodes("0205000005", true);
    assert_decodes("0205000006", false);
    assert_decodes("02050001020000", true);             // 3..5, then 1
    assert_decodes("02050001020001", true);             // 3..5, then 0..1
    assert_decodes("02050001020002", false);            // would reach -1
    assert_decodes("02050001020100", true);             // 0
    assert_decodes("02050001020200", false);            // gap below 0
    assert_decodes("020500ffffffffffffffff02", false);  // a count that nothing follows
}

static void connection_id_frames_are_checked(void **state) {
    (void)state;
    assert_decodes("18010000"
                   "000102030405060708090a0b0c0d0e0f",
                   false);
    assert_decodes("18010115"
                   "000102030405060708090a0b0c0d0e0f101112131415"
                   "000102030405060708090a0b0c0d0e0f",
                   false);
    assert_decodes("18010101aa"
                   "000102030405060708090a0b0c0d0e0f",
                   true);
    assert_decodes("18010201aa"
                   "000102030405060708090a0b0c0d0e0f",
                   false);
}

static void empty_tokens_are_refused(void **state) {
    (void)state;
    assert_decodes("0700", false);
    assert_decodes("0701aa", true);
}

static void padding_is_one_frame_a_run(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0, 0, 0, 1, 0, 0};
    reader r = reader_of(bytes, sizeof bytes);
    quic_frame f;
    const quic_frame_info *info;
    assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
    assert_int_equal(f.padding.len, 3);
    assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
    assert_int_equal(f.type, FRAME_PING);
    assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
    assert_int_equal(f.padding.len, 2);
    assert_int_equal(reader_left(&r), 0);
}

static void ack_ranges_are_walked_from_the_top(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0x02, 100 - 64 + 0, 0, 2, 2, 1, 5, 0, 0};  // 34..36, 26..31, 24
    static const uint64_t wanted[][2] = {{34, 36}, {26, 31}, {24, 24}};
    reader r = reader_of(bytes, sizeof bytes);
    quic_frame f;
    const quic_frame_info *info;
    assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
    quic_ack_iter at = {0};
    uint64_t low, high;
    for (size_t i = 0; i < 3; i++) {
        assert_true(quic_ack_next(&f.ack, &at, &low, &high));
        assert_int_equal(low, wanted[i][0]);
        assert_int_equal(high, wanted[i][1]);
    }
    assert_false(quic_ack_next(&f.ack, &at, &low, &high));
}

static void mapped_addresses_become_ip4_and_keep_their_bytes(void **state) {
    (void)state;
    static const char hex[] = "809f81a70000000000000000000000ffffc00002011151";
    uint8_t bytes[64];
    size_t len = hex_bytes(hex, strlen(hex), bytes, sizeof bytes);
    reader r = reader_of(bytes, len);
    quic_frame f;
    const quic_frame_info *info;
    assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
    addr wanted = text_addr("192.0.2.1:4433");
    assert_true(addr_equal(&f.address.address, &wanted));
    assert_encodes(&f, bytes, len);
}

static void addresses_of_the_wrong_family_are_not_written(void **state) {
    (void)state;
    uint8_t bytes[64];
    writer w = writer_of(bytes, sizeof bytes);
    quic_frame f = {.type = FRAME_ADD_ADDRESS_V4, .address = {.address = text_addr("[2001:db8::1]:1")}};
    quic_frame_encode(&w, &f);
    assert_true(w.failed);
    w = writer_of(bytes, sizeof bytes);
    f.address.address = (addr){.kind = ADDR_RELAY};
    quic_frame_encode(&w, &f);
    assert_true(w.failed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_decode_and_encode),
        cmocka_unit_test(table_finds_its_own_rows),
        cmocka_unit_test(unknown_types_are_refused),
        cmocka_unit_test(types_with_a_longer_varint_than_needed_are_refused),
        cmocka_unit_test(rows_say_where_frames_may_stand),
        cmocka_unit_test(every_row_survives_the_round_trip_and_truncation),
        cmocka_unit_test(noise_never_reads_outside),
        cmocka_unit_test(path_ids_have_32_bits),
        cmocka_unit_test(stream_limits_end_at_2_to_the_60),
        cmocka_unit_test(offsets_end_at_2_to_the_62),
        cmocka_unit_test(ack_ranges_below_zero_are_refused),
        cmocka_unit_test(connection_id_frames_are_checked),
        cmocka_unit_test(empty_tokens_are_refused),
        cmocka_unit_test(padding_is_one_frame_a_run),
        cmocka_unit_test(ack_ranges_are_walked_from_the_top),
        cmocka_unit_test(mapped_addresses_become_ip4_and_keep_their_bytes),
        cmocka_unit_test(addresses_of_the_wrong_family_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
