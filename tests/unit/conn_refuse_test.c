// What a peer may not say: frames of the extensions with wrong ids, in the wrong packets, before they are negotiated.
//
// The other side's connection is made to say it in packets of its own, so that its books stay right and it can go on
// afterwards; packets of the handshake are forged (tests/sim/forge.h).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "linked_support.h"

// The client says it in a packet of the handshake, or of 0-RTT.
static void forge(linked *b, forge_level level, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    const forge_options o = {.level = level, .ahead = 20};
    size_t n = forge_packet(linked_conn(b, SERVER), &o, frames, len, packet);
    assert_true(n > 0);
    sim_inject(&b->w, CLIENT, SERVER, packet, n);
    linked_run(b, 1);
}

// --- The table

typedef enum setting { MULTIPATH, ONE_PATH, NO_NAT, OBSERVED } setting;

typedef struct row {
    const char *name;
    setting setting;
    int to;  // CLIENT, SERVER, -1: both
    const char *frames;
    int code;
} row;

#define VIOLATION QUIC_PROTOCOL_VIOLATION
#define ENCODING QUIC_FRAME_ENCODING_ERROR
#define BOTH (-1)
#define NEW_CID(head) (head " 08 c1c2c3c4c5c6c7c8 000102030405060708090a0b0c0d0e0f")
#define ID_2_32 "c000000100000000"  // 2^32, no path id

static const row rows[] = {
    // Not negotiated.
    {"PATH_ACK alone", ONE_PATH, BOTH, "3e 00 00 00 00 00", VIOLATION},
    {"PATH_ACK_ECN alone", ONE_PATH, BOTH, "3f 00 00 00 00 00 00 00 00", VIOLATION},
    {"PATH_ABANDON alone", ONE_PATH, BOTH, "7e75 01 3e", VIOLATION},
    {"PATH_STATUS_BACKUP alone", ONE_PATH, BOTH, "7e76 00 01", VIOLATION},
    {"PATH_STATUS_AVAILABLE alone", ONE_PATH, BOTH, "7e77 00 01", VIOLATION},
    {"PATH_NEW_CONNECTION_ID alone", ONE_PATH, BOTH, NEW_CID("7e78 01 00 00"), VIOLATION},
    {"PATH_RETIRE_CONNECTION_ID alone", ONE_PATH, BOTH, "7e79 00 00", VIOLATION},
    {"MAX_PATH_ID alone", ONE_PATH, BOTH, "7e7a 08", VIOLATION},
    {"PATHS_BLOCKED alone", ONE_PATH, BOTH, "7e7b 00", VIOLATION},
    {"PATH_CIDS_BLOCKED alone", ONE_PATH, BOTH, "7e7c 01 00", VIOLATION},
    {"ADD_ADDRESS alone", ONE_PATH, CLIENT, "803d7f90 00 c0000201 0fa0", VIOLATION},
    {"REACH_OUT alone", ONE_PATH, SERVER, "803d7f92 01 c0000201 0fa0", VIOLATION},
    {"ADD_ADDRESS without NAT traversal", NO_NAT, CLIENT, "803d7f90 00 c0000201 0fa0", VIOLATION},
    {"REMOVE_ADDRESS without NAT traversal", NO_NAT, CLIENT, "803d7f94 00", VIOLATION},
    {"REACH_OUT without NAT traversal", NO_NAT, SERVER, "803d7f92 01 c0000201 0fa0", VIOLATION},
    {"OBSERVED_ADDRESS not asked for", MULTIPATH, BOTH, "809f81a6 00 c0000201 0fa0", VIOLATION},
    {"OBSERVED_ADDRESS asked for", OBSERVED, BOTH, "809f81a6 32 c0000201 0fa0", LINKED_OPEN},
    // Wrong role.
    {"ADD_ADDRESS to a server", MULTIPATH, SERVER, "803d7f90 00 c0000201 0fa0", VIOLATION},
    {"ADD_ADDRESS v6 to a server", MULTIPATH, SERVER, "803d7f91 00 20010db8000000000000000000000001 0fa0", VIOLATION},
    {"REMOVE_ADDRESS to a server", MULTIPATH, SERVER, "803d7f94 00", VIOLATION},
    {"REACH_OUT to a client", MULTIPATH, CLIENT, "803d7f92 01 c0000201 0fa0", VIOLATION},
    {"REACH_OUT v6 to a client", MULTIPATH, CLIENT, "803d7f93 01 20010db8000000000000000000000001 0fa0", VIOLATION},
    {"REMOVE_ADDRESS of nothing", MULTIPATH, CLIENT, "803d7f94 21", LINKED_OPEN},
    // Path ids beyond the limit.
    {"PATH_ABANDON of 8", MULTIPATH, BOTH, "7e75 08 3e", VIOLATION},
    {"PATH_STATUS of 8", MULTIPATH, BOTH, "7e77 08 01", VIOLATION},
    {"PATH_NEW_CONNECTION_ID of 8", MULTIPATH, BOTH, NEW_CID("7e78 08 00 00"), VIOLATION},
    {"PATH_RETIRE_CONNECTION_ID of 8", MULTIPATH, BOTH, "7e79 08 00", VIOLATION},
    {"PATHS_BLOCKED at 8", MULTIPATH, BOTH, "7e7b 08", VIOLATION},
    {"PATHS_BLOCKED at 7", MULTIPATH, BOTH, "7e7b 07", LINKED_OPEN},
    {"PATH_CIDS_BLOCKED of 8", MULTIPATH, BOTH, "7e7c 08 00", VIOLATION},
    {"PATH_ACK of 8", MULTIPATH, BOTH, "3e 08 00 00 00 00", VIOLATION},
    {"PATH_ACK of an unused path", MULTIPATH, BOTH, "3e 03 00 00 00 00", VIOLATION},
    // No path ids at all.
    {"PATH_ACK of 2^32", MULTIPATH, BOTH, "3e " ID_2_32 " 00 00 00 00", ENCODING},
    {"PATH_ABANDON of 2^32", MULTIPATH, BOTH, "7e75 " ID_2_32 " 3e", ENCODING},
    {"PATH_STATUS of 2^32", MULTIPATH, BOTH, "7e76 " ID_2_32 " 01", ENCODING},
    {"PATH_NEW_CONNECTION_ID of 2^32", MULTIPATH, BOTH, NEW_CID("7e78 " ID_2_32 " 00 00"), ENCODING},
    {"PATH_RETIRE_CONNECTION_ID of 2^32", MULTIPATH, BOTH, "7e79 " ID_2_32 " 00", ENCODING},
    {"MAX_PATH_ID 2^32", MULTIPATH, BOTH, "7e7a " ID_2_32, ENCODING},
    {"MAX_PATH_ID 2^32 - 1", MULTIPATH, BOTH, "7e7a c0000000ffffffff", LINKED_OPEN},
    {"MAX_PATH_ID 0", MULTIPATH, BOTH, "7e7a 00", LINKED_OPEN},
    {"PATHS_BLOCKED at 2^32", MULTIPATH, BOTH, "7e7b " ID_2_32, ENCODING},
    {"PATH_CIDS_BLOCKED of 2^32", MULTIPATH, BOTH, "7e7c " ID_2_32 " 00", ENCODING},
    // Numbers that are out of range.
    {"PATH_ACK of an unsent number", MULTIPATH, BOTH, "3e 00 80100000 00 00 00", VIOLATION},
    {"ACK of an unsent number", MULTIPATH, BOTH, "02 80100000 00 00 00", VIOLATION},
    {"PATH_ACK that goes below 0", MULTIPATH, BOTH, "3e 00 05 00 00 06", ENCODING},
    {"PATH_CIDS_BLOCKED at the next", MULTIPATH, BOTH, "7e7c 01 05", LINKED_OPEN},
    {"PATH_CIDS_BLOCKED beyond the next", MULTIPATH, BOTH, "7e7c 01 06", VIOLATION},
    {"a sixth connection id", MULTIPATH, BOTH, NEW_CID("7e78 01 05 00"), QUIC_CONNECTION_ID_LIMIT_ERROR},
    {"retire prior to beyond the sequence", MULTIPATH, BOTH, NEW_CID("7e78 01 05 06"), ENCODING},
    {"the same sequence with another id", MULTIPATH, BOTH, NEW_CID("7e78 01 01 00"), VIOLATION},
    {"a connection id of 0 bytes", MULTIPATH, BOTH, "7e78 01 05 00 00 000102030405060708090a0b0c0d0e0f", ENCODING},
    {"a connection id of 21 bytes", MULTIPATH, BOTH,
     "7e78 01 05 00 15 000102030405060708090a0b0c0d0e0f1011121314 000102030405060708090a0b0c0d0e0f", ENCODING},
    {"RETIRE of an unissued id", MULTIPATH, BOTH, "7e79 01 05", VIOLATION},
    {"RETIRE_CONNECTION_ID of an unissued id", MULTIPATH, BOTH, "19 20", VIOLATION},
    {"ACK_FREQUENCY below the shortest delay", MULTIPATH, BOTH, "40af 00 02 43e7 01", VIOLATION},
    {"ACK_FREQUENCY with the shortest delay", MULTIPATH, BOTH, "40af 00 02 43e8 01", LINKED_OPEN},
    {"a PATH_RESPONSE to nothing", MULTIPATH, BOTH, "1b 0102030405060708", LINKED_OPEN},
    {"PATH_STATUS of a path that is not open", MULTIPATH, BOTH, "7e76 03 01", LINKED_OPEN},
    {"PATH_ABANDON of a path that is not open", MULTIPATH, BOTH, "7e75 03 3e", LINKED_OPEN},
    {"HANDSHAKE_DONE to a server", MULTIPATH, SERVER, "1e", VIOLATION},
    {"NEW_TOKEN to a server", MULTIPATH, SERVER, "07 01 00", VIOLATION},
    {"NEW_TOKEN without a token", MULTIPATH, CLIENT, "07 00", ENCODING},
    {"an unknown frame", MULTIPATH, BOTH, "21", ENCODING},
};

static quic_transport transport_of(setting s) {
    quic_transport t;
    quic_transport_default(&t);
    if (s == ONE_PATH)
        t.paths = 0;
    if (s == NO_NAT)
        t.nat_candidates = 0;
    t.send_observed = t.receive_observed = s == OBSERVED;
    return t;
}

static void check_row(const row *r, size_t to) {
    uint8_t frames[LINKED_FRAMES_MAX];
    quic_transport t = transport_of(r->setting);
    linked *b = linked_start(&t);
    linked_say(b, 1 - to, frames, linked_hex(r->frames, frames));
    int got = linked_outcome(b, to);
    if (got != r->code)
        fail_msg("%s, to the %s: 0x%x instead of 0x%x", r->name, to == CLIENT ? "client" : "server", (unsigned)got,
                 (unsigned)r->code);
    if (r->code == LINKED_OPEN) {
        linked_run(b, 2000);
        if (linked_outcome(b, to) != LINKED_OPEN || linked_outcome(b, 1 - to) != LINKED_OPEN)
            fail_msg("%s: does not go on", r->name);
    }
    linked_free(b);
}

static void frames_that_are_wrong_are_answered_with_their_code(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t to = CLIENT; to <= SERVER; to++) {
            if (rows[i].to == BOTH || (size_t)rows[i].to == to)
                check_row(&rows[i], to);
        }
    }
}

// Every cut of every frame above is an encoding error, unless what is left is a frame by chance.
static void frames_that_are_cut_are_encoding_errors(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t frames[LINKED_FRAMES_MAX];
        size_t len = linked_hex(rows[i].frames, frames);
        for (size_t cut = 1; cut < len; cut++) {
            reader in = reader_of(frames, cut);
            quic_frame f;
            const quic_frame_info *info;
            if (quic_frame_decode(&in, &f, &info) == 0 && reader_left(&in) == 0)
                fail_msg("%s: %zu of %zu bytes are a frame", rows[i].name, cut, len);
        }
    }
}

// --- In the wrong packets

static const char *const only_1rtt[] = {
    "1f",
    "40af 00 02 43e8 01",
    "3e 00 00 00 00 00",
    "3f 00 00 00 00 00 00 00 00",
    "7e75 01 3e",
    "7e76 00 01",
    "7e77 00 01",
    NEW_CID("7e78 01 00 00"),
    "7e79 00 00",
    "7e7a 08",
    "7e7b 00",
    "7e7c 01 00",
    "803d7f90 00 c0000201 0fa0",
    "803d7f91 00 20010db8000000000000000000000001 0fa0",
    "803d7f92 01 c0000201 0fa0",
    "803d7f93 01 20010db8000000000000000000000001 0fa0",
    "803d7f94 00",
    "809f81a6 00 c0000201 0fa0",
    "809f81a7 00 20010db8000000000000000000000001 0fa0",
};

static void frames_of_extensions_belong_into_1rtt_packets(void **state) {
    (void)state;
    static const char *const also_application_data[] = {"1d 00 00", "1a 0102030405060708", "30 00", "08 00", "1e"};
    size_t count = sizeof only_1rtt / sizeof *only_1rtt, more = sizeof also_application_data / sizeof(char *);
    for (size_t i = 0; i < 2 * (count + more); i++) {
        bool handshake = i >= count + more;
        size_t k = i % (count + more);
        uint8_t frames[LINKED_FRAMES_MAX];
        linked *b = linked_new(NULL);
        linked_dial(b, NULL, 0);
        linked_run(b, 7);  // the server has the first flight, its answer is on the way
        size_t len = linked_hex(k < count ? only_1rtt[k] : also_application_data[k - count], frames);
        forge(b, handshake ? FORGE_HANDSHAKE : FORGE_INITIAL, frames, len);
        if (linked_outcome(b, SERVER) != VIOLATION)
            fail_msg("%zu: 0x%x", k, (unsigned)linked_outcome(b, SERVER));
        linked_free(b);
    }
}

static void frames_of_extensions_are_refused_in_early_data(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof only_1rtt / sizeof *only_1rtt; k++) {
        uint8_t frames[LINKED_FRAMES_MAX];
        linked *b = linked_start(NULL);
        assert_non_null(b->t.session);
        sim_transfer first = b->t;
        sim_transfer_close(&b->t);
        linked_run(b, 5000);
        linked_dial(b, first.session, first.session_len);
        linked_run(b, 7);
        size_t len = linked_hex(only_1rtt[k], frames);
        forge(b, FORGE_0RTT, frames, len);
        // Reports of observed addresses, the last two, are passed over: noq sends them there.
        int wanted = frames[0] == 0x80 && frames[1] == 0x9f ? LINKED_OPEN : VIOLATION;
        if (linked_outcome(b, SERVER) != wanted)
            fail_msg("%zu: 0x%x", k, (unsigned)linked_outcome(b, SERVER));
        sim_transfer_dispose(&first);
        linked_free(b);
    }
}

// --- Ids that are gone

static void frames_about_an_abandoned_path_are_ignored(void **state) {
    (void)state;
    static const char *const late[] = {
        "3e 01 00 00 00 00",
        "7e75 01 3e",
        "7e76 01 09",
        "7e77 01 0a",
        "7e79 01 00",
        "7e7c 01 00",
        NEW_CID("7e78 01 05 00"),
        NEW_CID("7e78 01 09 09"),
    };
    for (size_t to = CLIENT; to <= SERVER; to++) {
        linked *b = linked_start(NULL);
        uint32_t id = 0;
        addr other = b->w.nodes[SERVER].address;
        assert_int_equal(quic_conn_open_path(b->t.conn, &other, &(addr){0}, PATH_BACKUP, b->w.now, &id), 0);
        assert_int_equal(id, 0);  // the same addresses: the path that is there
        other.port++;
        assert_int_equal(quic_conn_open_path(b->t.conn, &other, &(addr){0}, PATH_BACKUP, b->w.now, &id), 0);
        linked_run(b, 100);
        assert_int_equal(quic_conn_close_path(b->t.conn, id, PATH_CODE_APPLICATION, b->w.now), 0);
        linked_run(b, 6000);
        assert_null(quic_conn_path(b->t.conn, id));
        assert_true(quic_conn_id_gone(linked_conn(b, SERVER), id));
        size_t entries = linked_conn(b, to)->cids_count;
        for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
            uint8_t frames[LINKED_FRAMES_MAX];
            linked_say(b, 1 - to, frames, linked_hex(late[i], frames));
            if (linked_outcome(b, to) != LINKED_OPEN)
                fail_msg("%s: 0x%x", late[i], (unsigned)linked_outcome(b, to));
        }
        assert_int_equal(linked_conn(b, to)->cids_count, entries);
        assert_null(quic_conn_cids(linked_conn(b, to), id));
        linked_free(b);
    }
}

// PATH_ABANDON is answered whether or not there is such a path, and makes room for another id once.
static void abandoning_an_unopened_path_is_answered_once(void **state) {
    (void)state;
    uint8_t frames[LINKED_FRAMES_MAX];
    size_t len = linked_hex("7e75 03 3e", frames);
    linked *b = linked_start(NULL);
    quic_conn *s = linked_conn(b, SERVER);
    linked_say(b, CLIENT, frames, len);
    assert_int_equal(s->mp->local_max, 8);
    assert_int_equal(s->mp->abandon_count, 1);
    assert_int_equal(s->mp->abandons[0].code, 0x3e);
    assert_false(s->mp->abandons[0].wanted);  // it has left
    linked_say(b, CLIENT, frames, len);
    assert_int_equal(s->mp->local_max, 8);
    linked_run(b, 1000);
    assert_int_equal(s->mp->abandon_count, 0);
    assert_int_equal(b->t.conn->mp->peer_max, 8);
    linked_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_are_wrong_are_answered_with_their_code),
        cmocka_unit_test(frames_that_are_cut_are_encoding_errors),
        cmocka_unit_test(frames_of_extensions_belong_into_1rtt_packets),
        cmocka_unit_test(frames_of_extensions_are_refused_in_early_data),
        cmocka_unit_test(frames_about_an_abandoned_path_are_ignored),
        cmocka_unit_test(abandoning_an_unopened_path_is_answered_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
