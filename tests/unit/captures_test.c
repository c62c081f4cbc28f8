// Real iroh traffic, packet by packet: everything that our decoders find in it is what a decoder written independently
// found (tests/captures/*.expected), and encoding what was decoded gives the captured bytes again.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "unit/replay_text_support.h"

#define PACKET_MAX 2048
#define FRAME_TYPES_MAX 64

typedef struct expected {
    uint8_t *text;
    char *at;  // the next line
    size_t line;
    const char *name;
} expected;

// What is seen in all captures together.
typedef struct totals {
    uint64_t types[FRAME_TYPES_MAX];  // rows of the frame table that appeared
    size_t type_count;
} totals;

static void expect(expected *e, const char *line) {
    size_t len = strcspn(e->at, "\n");
    e->line++;
    if (strlen(line) != len || memcmp(line, e->at, len) != 0)
        fail_msg("%s:%zu\n got  %s\n want %.*s", e->name, e->line, line, (int)len, e->at);
    e->at += len + (e->at[len] == '\n' ? 1 : 0);
}

// --- Encoding again

static quic_cid cid_of(const uint8_t *bytes, size_t len) {
    quic_cid cid = {.len = (uint8_t)len};
    if (len > 0)
        memcpy(cid.bytes, bytes, len);
    return cid;
}

// Writes the header anew; returns its length. The Length field of iroh takes 2 bytes, as ours.
static size_t write_header(const replay_packet *p, uint8_t *out, size_t *pn_offset) {
    const quic_packet *h = &p->header;
    quic_cid dcid = cid_of(h->dcid, h->dcid_len), scid = cid_of(h->scid, h->scid_len);
    uint64_t truncated = p->pn & ((UINT64_C(1) << (8 * p->pn_size)) - 1);
    uint8_t first = h->bytes[0];
    writer w = writer_of(out, PACKET_MAX);
    if (h->type == QUIC_1RTT) {
        *pn_offset =
            quic_packet_write_short(&w, &dcid, (first & 0x20) != 0, (first & 0x04) != 0, truncated, p->pn_size);
    } else {
        *pn_offset = quic_packet_write_long(&w, h->type, &dcid, &scid, h->token, h->token_len, truncated, p->pn_size);
        quic_packet_set_length(out, *pn_offset, h->len);
    }
    if ((first & 0x40) == 0)
        out[0] = (uint8_t)(out[0] & ~0x40);
    return writer_len(&w);
}

// Header and protection from the opened packet: the bytes as they were captured.
static void check_sealed_again(const replay_packet *p, const uint8_t *captured) {
    uint8_t packet[PACKET_MAX];
    size_t pn_offset;
    assert_true(p->header.len <= sizeof packet);
    size_t header_len = write_header(p, packet, &pn_offset);
    assert_int_equal(pn_offset, p->header.pn_offset);
    assert_memory_equal(packet, p->header.bytes, header_len);
    memcpy(packet + header_len, p->plain, p->plain_len);
    int len = quic_packet_seal(p->keys, p->hp, packet, pn_offset, p->pn_size, p->plain_len, p->path, p->pn);
    assert_int_equal(len, p->header.len);
    assert_memory_equal(packet, captured, p->header.len);
}

// iroh writes every number in its shortest form, and so do we.
static void check_encoded_again(const quic_frame *f, const uint8_t *start, size_t size) {
    uint8_t bytes[PACKET_MAX];
    writer w = writer_of(bytes, sizeof bytes);
    quic_frame_encode(&w, f);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), size);
    assert_memory_equal(bytes, start, size);
}

static void check_params_again(const replay_conn *c, replay_dir dir) {
    uint8_t bytes[QUIC_PARAMS_MAX];
    quic_params again;
    quic_role sender = dir == REPLAY_C2S ? QUIC_CLIENT : QUIC_SERVER;
    int len = quic_params_encode(&c->params[dir], sender, NULL, bytes, sizeof bytes);
    assert_true(len > 0);
    assert_int_equal(quic_params_decode(&again, sender, bytes, (size_t)len), 0);
    assert_memory_equal(&again, &c->params[dir], sizeof again);
}

// --- Packets

static bool seen_type(const totals *t, uint64_t type) {
    for (size_t i = 0; i < t->type_count; i++) {
        if (t->types[i] == type)
            return true;
    }
    return false;
}

static void note_type(totals *t, uint64_t type) {
    if (seen_type(t, type))
        return;
    assert_true(t->type_count < FRAME_TYPES_MAX);
    t->types[t->type_count++] = type;
}

static void check_frames(totals *t, expected *e, replay *r, const replay_packet *p) {
    char text[REPLAY_TEXT_MAX];
    bool params = false;
    reader in = reader_of(p->plain, p->plain_len);
    while (reader_left(&in) > 0) {
        quic_frame f = {0};
        const quic_frame_info *info;
        const uint8_t *start = in.p;
        assert_int_equal(quic_frame_decode(&in, &f, &info), 0);
        assert_true((info->allowed & 1U << p->header.type) != 0);
        size_t size = (size_t)(in.p - start);
        replay_frame_text(&f, info, size, text);
        expect(e, text);
        check_encoded_again(&f, start, size);
        note_type(t, info->type);
        params = replay_frame(r, p, &f) || params;
    }
    if (params) {
        replay_params_text(p->conn, p->dir, text);
        expect(e, text);
        check_params_again(p->conn, p->dir);
    }
}

static void check_retry(const replay_packet *p) {
    const quic_packet *h = &p->header;
    quic_cid dcid = cid_of(h->dcid, h->dcid_len), scid = cid_of(h->scid, h->scid_len);
    uint8_t bytes[PACKET_MAX];
    assert_true(quic_packet_retry_valid(h, &p->conn->original_dcid));
    assert_false(quic_packet_retry_valid(h, &scid));
    assert_int_equal(quic_packet_write_retry(bytes, sizeof bytes, &dcid, &scid, &p->conn->original_dcid, h->token,
                                             h->token_len, h->bytes[0]),
                     h->len);
    assert_memory_equal(bytes, h->bytes, h->len);
    for (size_t i = 0; i < h->len; i++) {
        h->bytes[i] ^= 0x01;
        assert_false(quic_packet_retry_valid(h, &p->conn->original_dcid));
        h->bytes[i] ^= 0x01;
    }
}

static void check_fixed_bit(const replay_packet *p) {
    bool refused = p->kind == REPLAY_OPENED && (p->header.bytes[0] & 0x40) == 0;
    assert_int_equal(p->parsed, refused ? IROH_ERR_SYNTAX : 0);
}

static void check_datagram(totals *t, expected *e, replay *r, size_t number, uint8_t *bytes, size_t len) {
    char text[REPLAY_TEXT_MAX];
    for (size_t at = 0; at < len;) {
        replay_packet p;
        uint8_t captured[PACKET_MAX];
        assert_true(len - at <= sizeof captured);
        memcpy(captured, bytes + at, len - at);
        size_t size = replay_next(r, bytes + at, len - at, &p);
        replay_packet_text(&p, number, at, text);
        expect(e, text);
        if (p.kind == REPLAY_OPENED) {
            check_fixed_bit(&p);
            check_sealed_again(&p, captured);
            check_frames(t, e, r, &p);
        } else if (p.kind == REPLAY_CONTROL && p.header.type == QUIC_RETRY) {
            check_retry(&p);
        }
        at += size;
    }
}

static void check_capture(totals *t, const char *pcap, const char *base) {
    char name[128];
    capture c;
    static replay r;
    expected e = {.name = base};
    capture_open(&c, pcap);
    (void)snprintf(name, sizeof name, "%s.keys", base);
    replay_init(&r, name);
    (void)snprintf(name, sizeof name, "%s.expected", base);
    (void)capture_read_file(name, &e.text);
    e.at = (char *)e.text;
    uint8_t *bytes;
    size_t len;
    for (size_t number = 0; capture_next(&c, &bytes, &len); number++)
        check_datagram(t, &e, &r, number, bytes, len);
    assert_string_equal(e.at, "");
    replay_dispose(&r);
    capture_close(&c);
    free(e.text);
}

static totals all;

static void check_plain(const char *base) {
    char pcap[128];
    (void)snprintf(pcap, sizeof pcap, "%s.pcap", base);
    check_capture(&all, pcap, base);
}

// The QUIC datagrams of a connection that is partly relayed, taken out of the relay's frames.
static void check_relayed(const char *base) {
    char pcap[128];
    (void)snprintf(pcap, sizeof pcap, "%s.quic.pcap", base);
    check_capture(&all, pcap, base);
}

#define PLAIN(name)                                                                                                    \
    static void name##_is_read_to_the_byte(void **state) {                                                             \
        (void)state;                                                                                                   \
        check_plain(#name);                                                                                            \
    }
#define RELAYED(name)                                                                                                  \
    static void name##_is_read_to_the_byte(void **state) {                                                             \
        (void)state;                                                                                                   \
        check_relayed(#name);                                                                                          \
    }

PLAIN(direct_echo)
PLAIN(cross_102_client_141_server)
PLAIN(cross_141_client_102_server)
PLAIN(suite_aes128)
PLAIN(suite_chacha20)
PLAIN(zero_rtt)
PLAIN(retry)
PLAIN(new_token)
PLAIN(streams_datagrams)
PLAIN(observed_ackfreq)
PLAIN(bulk)
PLAIN(qad)
PLAIN(qad_endpoint)
PLAIN(fail_no_alpn)
PLAIN(fail_refused)
PLAIN(fail_wrong_key)
PLAIN(version_negotiation_reset)
RELAYED(relay_to_direct)
RELAYED(path_abandon)
RELAYED(path_failover)

// Our answer to the captured packet of an unknown version says what iroh's answer says.
static void version_negotiation_answers_like_iroh(void **state) {
    (void)state;
    capture c;
    uint8_t *bytes, answer[64];
    size_t len, answer_len = 0;
    bool compared = false;
    capture_open(&c, "version_negotiation_reset.pcap");
    while (capture_next(&c, &bytes, &len)) {
        quic_packet p;
        int n = quic_packet_parse(bytes, len, &p);
        if (n == IROH_ERR_UNSUPPORTED) {
            answer_len = quic_packet_write_version_negotiation(answer, sizeof answer, &p, 0);
        } else if (n == 0 && p.type == QUIC_VERSION_NEGOTIATION) {
            quic_packet ours;
            assert_int_equal(quic_packet_parse(answer, answer_len, &ours), 0);
            assert_int_equal(ours.dcid_len, p.dcid_len);
            assert_memory_equal(ours.dcid, p.dcid, p.dcid_len);
            assert_int_equal(ours.scid_len, p.scid_len);
            assert_memory_equal(ours.scid, p.scid, p.scid_len);
            assert_true(quic_packet_lists_version(&p, QUIC_VERSION_1));
            assert_true(quic_packet_lists_version(&ours, QUIC_VERSION_1));
            assert_false(quic_packet_lists_version(&p, 2));
            compared = true;
        }
    }
    assert_true(compared);
    capture_close(&c);
}

// Every row of the frame table is in some capture but for these, which tests/captures/README.md names too.
static void captures_show_every_other_frame(void **state) {
    (void)state;
    static const uint64_t missing[] = {
        FRAME_MAX_DATA,
        FRAME_MAX_STREAMS_UNI,
        FRAME_DATA_BLOCKED,
        FRAME_STREAM_DATA_BLOCKED,
        FRAME_STREAMS_BLOCKED_UNI,
        FRAME_DATAGRAM,
        FRAME_PATHS_BLOCKED,
        FRAME_PATH_CIDS_BLOCKED,
    };
    size_t count;
    const quic_frame_info *rows = quic_frame_table(&count);
    for (size_t i = 0; i < count; i++) {
        bool listed = false;
        for (size_t k = 0; k < sizeof missing / sizeof missing[0]; k++)
            listed = listed || missing[k] == rows[i].type;
        if (seen_type(&all, rows[i].type) == listed)
            fail_msg("%s 0x%llx", rows[i].name, (unsigned long long)rows[i].type);
    }
}

#define TEST(name) cmocka_unit_test(name##_is_read_to_the_byte)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(direct_echo),
        TEST(cross_102_client_141_server),
        TEST(cross_141_client_102_server),
        TEST(suite_aes128),
        TEST(suite_chacha20),
        TEST(zero_rtt),
        TEST(retry),
        TEST(new_token),
        TEST(streams_datagrams),
        TEST(observed_ackfreq),
        TEST(bulk),
        TEST(qad),
        TEST(qad_endpoint),
        TEST(fail_no_alpn),
        TEST(fail_refused),
        TEST(fail_wrong_key),
        TEST(version_negotiation_reset),
        TEST(relay_to_direct),
        TEST(path_abandon),
        TEST(path_failover),
        cmocka_unit_test(version_negotiation_answers_like_iroh),
        cmocka_unit_test(captures_show_every_other_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
