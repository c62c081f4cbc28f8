// What a peer may not say: frames of the extensions with wrong ids, in the wrong packets, before they are negotiated,
// and too many of them.
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

#include "base/clock.h"
#include "quic/conn_state.h"
#include "quic/endpoint_state.h"
#include "sim/forge.h"
#include "sim/transfer.h"

#define OPEN (-1)  // the connection goes on
#define FRAMES_MAX 1200

enum { CLIENT = 0, SERVER = 1, STRANGER = 2 };

typedef struct bench {
    sim_world w;
    sim_transfer t;
    uint64_t to_stranger;  // bytes that left for it
} bench;

// --- A connected pair

static bool never(sim_world *w) {
    (void)w;
    return false;
}

static quic_conn *conn_of(bench *b, size_t node) {
    list_link *head = &b->w.nodes[node].ep->conns;
    return list_empty(head) ? NULL : list_entry(head->prev, quic_conn, all_link);
}

static void run(bench *b, uint64_t ms) {
    (void)sim_run(&b->w, never, ms * NS_PER_MS);
    if (b->w.failure[0] != '\0')
        fail_msg("%s", b->w.failure);
}

static void watch(sim_world *w, sim_node *from, const addr *local, const addr *remote, const uint8_t *bytes,
                  size_t len) {
    (void)from, (void)local, (void)bytes;
    bench *b = w->watcher;
    if (addr_same_host(remote, &w->nodes[STRANGER].address))
        b->to_stranger += len;
}

static void build(bench *b, const quic_transport *transport) {
    // The stranger hears nothing, so that it does not answer with resets.
    const sim_link line = {.delay = 5 * NS_PER_MS}, deaf = {.loss = 10000};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    if (transport != NULL)
        config.transport = *transport;
    memset(b, 0, sizeof *b);
    sim_world_init(&b->w, 11);
    for (size_t i = 0; i <= STRANGER; i++)
        (void)sim_add_node(&b->w, &config);
    sim_set_link(&b->w, CLIENT, SERVER, &line);
    sim_set_link(&b->w, STRANGER, SERVER, &deaf);
    sim_echo_server(&b->w.nodes[SERVER]);
    b->w.watcher = b;
    b->w.tap = watch;
}

static bench *start(const quic_transport *transport) {
    bench *b = malloc(sizeof *b);
    assert_non_null(b);
    build(b, transport);
    sim_transfer_start(&b->t, &b->w.nodes[CLIENT], &b->w.nodes[SERVER], 1, 100, NULL, 0, false);
    run(b, 2000);
    assert_true(b->t.connected);
    return b;
}

static void end(bench *b) {
    sim_transfer_dispose(&b->t);
    sim_world_dispose(&b->w);
    free(b);
}

static size_t from_hex(const char *hex, uint8_t *out) {
    size_t len = 0;
    for (const char *p = hex; *p != '\0'; p++) {
        if (*p == ' ')
            continue;
        char two[3] = {p[0], p[1], '\0'};
        out[len++] = (uint8_t)strtoul(two, NULL, 16);
        p++;
    }
    return len;
}

// Returns the bytes of the datagram that came from `source` to the server.
static size_t say_from(bench *b, size_t source, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    size_t n = forge_own(conn_of(b, CLIENT), frames, len, b->w.now, packet);
    assert_true(n > 0);
    sim_inject(&b->w, source, SERVER, packet, n);
    run(b, 1);
    return n;
}

static void say(bench *b, size_t to, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    size_t n = forge_own(conn_of(b, 1 - to), frames, len, b->w.now, packet);
    assert_true(n > 0);
    sim_inject(&b->w, 1 - to, to, packet, n);
    run(b, 1);
}

// In a packet of the handshake, or of 0-RTT.
static void forge(bench *b, forge_level level, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    const forge_options o = {.level = level, .ahead = 20};
    size_t n = forge_packet(conn_of(b, SERVER), &o, frames, len, packet);
    assert_true(n > 0);
    sim_inject(&b->w, CLIENT, SERVER, packet, n);
    run(b, 1);
}

// The code with which the node closed; OPEN: it did not.
static int outcome(bench *b, size_t node) {
    const quic_conn *c = conn_of(b, node);
    if (c == NULL || c->close == NULL)
        return OPEN;
    return c->close->by_peer || c->close->application ? -2 : (int)c->close->code;
}

static void expect_not_amplified(const bench *b, uint64_t sent) {
    if (b->to_stranger > 3 * sent)
        fail_msg("%llu bytes for %llu", (unsigned long long)b->to_stranger, (unsigned long long)sent);
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
#define CID "08 c1c2c3c4c5c6c7c8 000102030405060708090a0b0c0d0e0f"
#define ID_2_32 "c000000100000000"  // 2^32, no path id

static const row rows[] = {
    // Not negotiated.
    {"PATH_ACK alone", ONE_PATH, BOTH, "3e 00 00 00 00 00", VIOLATION},
    {"PATH_ACK_ECN alone", ONE_PATH, BOTH, "3f 00 00 00 00 00 00 00 00", VIOLATION},
    {"PATH_ABANDON alone", ONE_PATH, BOTH, "7e75 01 3e", VIOLATION},
    {"PATH_STATUS_BACKUP alone", ONE_PATH, BOTH, "7e76 00 01", VIOLATION},
    {"PATH_STATUS_AVAILABLE alone", ONE_PATH, BOTH, "7e77 00 01", VIOLATION},
    {"PATH_NEW_CONNECTION_ID alone", ONE_PATH, BOTH, "7e78 01 00 00 " CID, VIOLATION},
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
    {"OBSERVED_ADDRESS asked for", OBSERVED, BOTH, "809f81a6 32 c0000201 0fa0", OPEN},
    // Wrong role.
    {"ADD_ADDRESS to a server", MULTIPATH, SERVER, "803d7f90 00 c0000201 0fa0", VIOLATION},
    {"ADD_ADDRESS v6 to a server", MULTIPATH, SERVER, "803d7f91 00 20010db8000000000000000000000001 0fa0", VIOLATION},
    {"REMOVE_ADDRESS to a server", MULTIPATH, SERVER, "803d7f94 00", VIOLATION},
    {"REACH_OUT to a client", MULTIPATH, CLIENT, "803d7f92 01 c0000201 0fa0", VIOLATION},
    {"REACH_OUT v6 to a client", MULTIPATH, CLIENT, "803d7f93 01 20010db8000000000000000000000001 0fa0", VIOLATION},
    {"REMOVE_ADDRESS of nothing", MULTIPATH, CLIENT, "803d7f94 21", OPEN},
    // Path ids beyond the limit.
    {"PATH_ABANDON of 8", MULTIPATH, BOTH, "7e75 08 3e", VIOLATION},
    {"PATH_STATUS of 8", MULTIPATH, BOTH, "7e77 08 01", VIOLATION},
    {"PATH_NEW_CONNECTION_ID of 8", MULTIPATH, BOTH, "7e78 08 00 00 " CID, VIOLATION},
    {"PATH_RETIRE_CONNECTION_ID of 8", MULTIPATH, BOTH, "7e79 08 00", VIOLATION},
    {"PATHS_BLOCKED at 8", MULTIPATH, BOTH, "7e7b 08", VIOLATION},
    {"PATHS_BLOCKED at 7", MULTIPATH, BOTH, "7e7b 07", OPEN},
    {"PATH_CIDS_BLOCKED of 8", MULTIPATH, BOTH, "7e7c 08 00", VIOLATION},
    {"PATH_ACK of 8", MULTIPATH, BOTH, "3e 08 00 00 00 00", VIOLATION},
    {"PATH_ACK of an unused path", MULTIPATH, BOTH, "3e 03 00 00 00 00", VIOLATION},
    // No path ids at all.
    {"PATH_ACK of 2^32", MULTIPATH, BOTH, "3e " ID_2_32 " 00 00 00 00", ENCODING},
    {"PATH_ABANDON of 2^32", MULTIPATH, BOTH, "7e75 " ID_2_32 " 3e", ENCODING},
    {"PATH_STATUS of 2^32", MULTIPATH, BOTH, "7e76 " ID_2_32 " 01", ENCODING},
    {"PATH_NEW_CONNECTION_ID of 2^32", MULTIPATH, BOTH, "7e78 " ID_2_32 " 00 00 " CID, ENCODING},
    {"PATH_RETIRE_CONNECTION_ID of 2^32", MULTIPATH, BOTH, "7e79 " ID_2_32 " 00", ENCODING},
    {"MAX_PATH_ID 2^32", MULTIPATH, BOTH, "7e7a " ID_2_32, ENCODING},
    {"MAX_PATH_ID 2^32 - 1", MULTIPATH, BOTH, "7e7a c0000000ffffffff", OPEN},
    {"MAX_PATH_ID 0", MULTIPATH, BOTH, "7e7a 00", OPEN},
    {"PATHS_BLOCKED at 2^32", MULTIPATH, BOTH, "7e7b " ID_2_32, ENCODING},
    {"PATH_CIDS_BLOCKED of 2^32", MULTIPATH, BOTH, "7e7c " ID_2_32 " 00", ENCODING},
    // Numbers that are out of range.
    {"PATH_ACK of an unsent number", MULTIPATH, BOTH, "3e 00 80100000 00 00 00", VIOLATION},
    {"ACK of an unsent number", MULTIPATH, BOTH, "02 80100000 00 00 00", VIOLATION},
    {"PATH_ACK that goes below 0", MULTIPATH, BOTH, "3e 00 05 00 00 06", ENCODING},
    {"PATH_CIDS_BLOCKED at the next", MULTIPATH, BOTH, "7e7c 01 05", OPEN},
    {"PATH_CIDS_BLOCKED beyond the next", MULTIPATH, BOTH, "7e7c 01 06", VIOLATION},
    {"a sixth connection id", MULTIPATH, BOTH, "7e78 01 05 00 " CID, QUIC_CONNECTION_ID_LIMIT_ERROR},
    {"retire prior to beyond the sequence", MULTIPATH, BOTH, "7e78 01 05 06 " CID, ENCODING},
    {"the same sequence with another id", MULTIPATH, BOTH, "7e78 01 01 00 " CID, VIOLATION},
    {"a connection id of 0 bytes", MULTIPATH, BOTH, "7e78 01 05 00 00 000102030405060708090a0b0c0d0e0f", ENCODING},
    {"a connection id of 21 bytes", MULTIPATH, BOTH,
     "7e78 01 05 00 15 000102030405060708090a0b0c0d0e0f1011121314 000102030405060708090a0b0c0d0e0f", ENCODING},
    {"RETIRE of an unissued id", MULTIPATH, BOTH, "7e79 01 05", VIOLATION},
    {"RETIRE_CONNECTION_ID of an unissued id", MULTIPATH, BOTH, "19 20", VIOLATION},
    {"ACK_FREQUENCY below the shortest delay", MULTIPATH, BOTH, "40af 00 02 43e7 01", VIOLATION},
    {"ACK_FREQUENCY with the shortest delay", MULTIPATH, BOTH, "40af 00 02 43e8 01", OPEN},
    {"a PATH_RESPONSE to nothing", MULTIPATH, BOTH, "1b 0102030405060708", OPEN},
    {"PATH_STATUS of a path that is not open", MULTIPATH, BOTH, "7e76 03 01", OPEN},
    {"PATH_ABANDON of a path that is not open", MULTIPATH, BOTH, "7e75 03 3e", OPEN},
    {"connection ids of both forms", MULTIPATH, BOTH, "7e79 00 01", OPEN},
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
    uint8_t frames[FRAMES_MAX];
    quic_transport t = transport_of(r->setting);
    bench *b = start(&t);
    say(b, to, frames, from_hex(r->frames, frames));
    int got = outcome(b, to);
    if (got != r->code)
        fail_msg("%s, to the %s: 0x%x instead of 0x%x", r->name, to == CLIENT ? "client" : "server", (unsigned)got,
                 (unsigned)r->code);
    if (r->code == OPEN) {
        run(b, 2000);
        assert_int_equal(outcome(b, 1 - to), OPEN);
    }
    end(b);
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
        uint8_t frames[FRAMES_MAX];
        size_t len = from_hex(rows[i].frames, frames);
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
    "7e78 01 00 00 " CID,
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
        uint8_t frames[FRAMES_MAX];
        bench *b = malloc(sizeof *b);
        assert_non_null(b);
        build(b, NULL);
        sim_transfer_start(&b->t, &b->w.nodes[CLIENT], &b->w.nodes[SERVER], 1, 100, NULL, 0, false);
        run(b, 7);  // the server has the first flight, its answer is on the way
        size_t len = from_hex(k < count ? only_1rtt[k] : also_application_data[k - count], frames);
        forge(b, handshake ? FORGE_HANDSHAKE : FORGE_INITIAL, frames, len);
        if (outcome(b, SERVER) != VIOLATION)
            fail_msg("%zu: 0x%x", k, (unsigned)outcome(b, SERVER));
        end(b);
    }
}

static void frames_of_extensions_are_refused_in_early_data(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof only_1rtt / sizeof *only_1rtt; k++) {
        uint8_t frames[FRAMES_MAX];
        bench *b = start(NULL);
        assert_non_null(b->t.session);
        sim_transfer first = b->t;
        sim_transfer_close(&b->t);
        run(b, 5000);
        sim_transfer_start(&b->t, &b->w.nodes[CLIENT], &b->w.nodes[SERVER], 1, 100, first.session, first.session_len,
                           true);
        run(b, 7);
        forge(b, FORGE_0RTT, frames, from_hex(only_1rtt[k], frames));
        if (outcome(b, SERVER) != VIOLATION)
            fail_msg("%zu: 0x%x", k, (unsigned)outcome(b, SERVER));
        sim_transfer_dispose(&first);
        end(b);
    }
}

// --- Ids that are gone

static void frames_about_an_abandoned_path_are_ignored(void **state) {
    (void)state;
    static const char *const late[] = {
        "3e 01 00 00 00 00", "7e75 01 3e", "7e76 01 09",         "7e77 01 0a",
        "7e79 01 00",        "7e7c 01 00", "7e78 01 05 00 " CID, "7e78 01 09 09 " CID,
    };
    for (size_t to = CLIENT; to <= SERVER; to++) {
        bench *b = start(NULL);
        uint32_t id = 0;
        addr other = b->w.nodes[SERVER].address;
        assert_int_equal(quic_conn_open_path(b->t.conn, &other, &(addr){0}, PATH_BACKUP, b->w.now, &id), 0);
        assert_int_equal(id, 0);  // the same addresses: the path that is there
        other.port++;
        assert_int_equal(quic_conn_open_path(b->t.conn, &other, &(addr){0}, PATH_BACKUP, b->w.now, &id), 0);
        run(b, 100);
        assert_int_equal(quic_conn_close_path(b->t.conn, id, PATH_CODE_APPLICATION, b->w.now), 0);
        run(b, 6000);
        assert_null(quic_conn_path(b->t.conn, id));
        assert_true(quic_conn_id_gone(conn_of(b, SERVER), id));
        size_t entries = conn_of(b, to)->cids_count;
        for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
            uint8_t frames[FRAMES_MAX];
            say(b, to, frames, from_hex(late[i], frames));
            if (outcome(b, to) != OPEN)
                fail_msg("%s: 0x%x", late[i], (unsigned)outcome(b, to));
        }
        assert_int_equal(conn_of(b, to)->cids_count, entries);
        assert_null(quic_conn_cids(conn_of(b, to), id));
        end(b);
    }
}

// PATH_ABANDON is answered whether or not there is such a path, and makes room for another id once.
static void abandoning_an_unopened_path_is_answered_once(void **state) {
    (void)state;
    uint8_t frames[8];
    size_t len = from_hex("7e75 03 3e", frames);
    bench *b = start(NULL);
    quic_conn *s = conn_of(b, SERVER);
    say(b, SERVER, frames, len);
    assert_int_equal(s->mp->local_max, 8);
    assert_int_equal(s->mp->abandon_count, 1);
    assert_int_equal(s->mp->abandons[0].code, 0x3e);
    assert_false(s->mp->abandons[0].wanted);  // it has left
    say(b, SERVER, frames, len);
    assert_int_equal(s->mp->local_max, 8);
    run(b, 1000);
    assert_int_equal(s->mp->abandon_count, 0);
    assert_int_equal(b->t.conn->mp->peer_max, 8);
    end(b);
}

// --- Floods

static size_t put(uint8_t *frames, const quic_frame *f, size_t copies) {
    writer w = writer_of(frames, FRAMES_MAX);
    for (size_t i = 0; i < copies; i++)
        quic_frame_encode(&w, f);
    assert_false(w.failed);
    return writer_len(&w);
}

static void challenges_on_the_path_leave_little_behind(void **state) {
    (void)state;
    quic_frame f = {.type = FRAME_PATH_CHALLENGE, .path_data = {.data = {1}}};
    uint8_t frames[FRAMES_MAX];
    bench *b = start(NULL);
    size_t len = put(frames, &f, 100);
    quic_conn *s = conn_of(b, SERVER);
    uint64_t before = s->path->bytes_out;
    for (size_t i = 0; i < 200; i++)
        say(b, SERVER, frames, len);
    assert_int_equal(outcome(b, SERVER), OPEN);
    assert_true(s->path->response_count <= PATH_RESPONSES);
    // One padded answer to each datagram, and acknowledgements.
    assert_true(s->path->bytes_out - before <= 200 * 1400);
    end(b);
}

// From an address that proves nothing: no more than three times what comes, however many challenges are in it.
static void challenges_from_elsewhere_are_not_amplified(void **state) {
    (void)state;
    static const size_t copies[] = {1, 2, 10, 100};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        quic_frame f = {.type = FRAME_PATH_CHALLENGE, .path_data = {.data = {1}}};
        uint8_t frames[FRAMES_MAX];
        bench *b = start(NULL);
        size_t len = put(frames, &f, copies[i]);
        uint64_t sent = 0;
        for (size_t k = 0; k < 100; k++) {
            sent += say_from(b, STRANGER, frames, len);
            expect_not_amplified(b, sent);
            assert_true(conn_of(b, SERVER)->off_path_count <= CONN_OFF_PATH_MAX);
        }
        assert_true(b->to_stranger > 0);
        assert_int_equal(outcome(b, SERVER), OPEN);
        end(b);
    }
}

// A packet that moves a path from an address that proves nothing.
static void a_move_is_not_amplified(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 40, 300, 1100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t frames[FRAMES_MAX] = {FRAME_PING};
        bench *b = start(NULL);
        uint64_t sent = 0;
        for (size_t k = 0; k < 20; k++) {
            sent += say_from(b, STRANGER, frames, sizes[i]);
            run(b, 300);
            expect_not_amplified(b, sent);
        }
        // It is challenged, even if it said little.
        assert_true(b->to_stranger > 0);
        end(b);
    }
}

static void addresses_are_stored_up_to_the_limit(void **state) {
    (void)state;
    uint8_t frames[FRAMES_MAX];
    bench *b = start(NULL);
    for (uint64_t i = 0; i < 2000; i++) {
        quic_frame f = {.type = FRAME_ADD_ADDRESS_V4};
        f.address.seq = i;
        f.address.address = addr_ip4((uint8_t[4]){192, 0, (uint8_t)(i >> 8), (uint8_t)i}, 7);
        say(b, CLIENT, frames, put(frames, &f, 1));
    }
    assert_int_equal(outcome(b, CLIENT), OPEN);
    assert_int_equal(quic_conn_candidates(b->t.conn, NULL, 0), 32);
    assert_true(b->t.conn->path_event_count <= CONN_PATH_EVENTS_MAX);
    end(b);
}

static void the_33rd_address_of_a_round_ends_the_connection(void **state) {
    (void)state;
    uint8_t frames[FRAMES_MAX];
    bench *b = start(NULL);
    for (uint8_t i = 0; i <= 32; i++) {
        assert_int_equal(outcome(b, SERVER), OPEN);
        quic_frame f = {.type = FRAME_REACH_OUT_V4};
        f.address.seq = 1;
        f.address.address = addr_ip4((uint8_t[4]){192, 0, 2, i}, 7);
        say(b, SERVER, frames, put(frames, &f, 1));
    }
    assert_int_equal(outcome(b, SERVER), VIOLATION);
    end(b);
}

// Rounds as fast as they can be asked for: what leaves for the addresses stays below three times what comes.
static void rounds_are_not_amplified(void **state) {
    (void)state;
    uint8_t frames[FRAMES_MAX];
    bench *b = start(NULL);
    uint64_t sent = 0;
    for (uint64_t i = 0; i < 50; i++) {
        writer w = writer_of(frames, sizeof frames);
        for (uint64_t k = 0; k < 80; k++) {
            quic_frame f = {.type = FRAME_REACH_OUT_V4};
            f.address.seq = i * 100 + k + 1;
            f.address.address = b->w.nodes[STRANGER].address;
            f.address.address.port = (uint16_t)(k + 1);
            quic_frame_encode(&w, &f);
        }
        sent += say_from(b, CLIENT, frames, writer_len(&w));
        assert_true(conn_of(b, SERVER)->off_path_count <= CONN_OFF_PATH_MAX);
        expect_not_amplified(b, sent);
    }
    assert_int_equal(outcome(b, SERVER), OPEN);
    end(b);
}

// Each asks for the retirement of all before it: the answers that wait are bounded.
static void new_connection_ids_that_retire_others_come_to_an_end(void **state) {
    (void)state;
    for (size_t to = CLIENT; to <= SERVER; to++) {
        uint8_t frames[FRAMES_MAX];
        bench *b = start(NULL);
        writer w = writer_of(frames, sizeof frames);
        for (uint64_t i = 0; i < 30; i++) {
            quic_frame f = {.type = FRAME_PATH_NEW_CONNECTION_ID};
            f.new_cid.path = 2;
            f.new_cid.seq = f.new_cid.retire_prior_to = 10 + i;
            f.new_cid.cid.len = 8;
            f.new_cid.cid.bytes[0] = (uint8_t)i;
            f.new_cid.token[0] = (uint8_t)i;
            quic_frame_encode(&w, &f);
        }
        assert_false(w.failed);
        say(b, to, frames, writer_len(&w));
        assert_int_equal(outcome(b, to), QUIC_CONNECTION_ID_LIMIT_ERROR);
        end(b);
    }
}

static void retiring_without_end_is_served_within_bounds(void **state) {
    (void)state;
    uint8_t frames[FRAMES_MAX];
    bench *b = start(NULL);
    quic_conn *s = conn_of(b, SERVER);
    const quic_path_cids *e = quic_conn_cids(s, 4);
    // The client's own books know nothing of it: it must not hear of the ids that are issued instead.
    b->w.links[sim_end(&b->w.nodes[SERVER], 0)][sim_end(&b->w.nodes[CLIENT], 0)].loss = 10000;
    for (uint64_t i = 0; i < 500; i++) {
        quic_frame f = {.type = FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {.path = 4, .seq = e->local.base}};
        say(b, SERVER, frames, put(frames, &f, 1));
        assert_int_equal(outcome(b, SERVER), OPEN);
        assert_true(quic_local_cids_active(&e->local) <= CIDS_LOCAL_MAX);
    }
    assert_true(b->w.nodes[SERVER].ep->cids.count <= 16 * CIDS_LOCAL_MAX);
    end(b);
}

static void path_limits_and_abandons_without_end_stay_within_bounds(void **state) {
    (void)state;
    uint8_t frames[FRAMES_MAX];
    bench *b = start(NULL);
    quic_conn *s = conn_of(b, SERVER);
    for (uint32_t i = 0; i < 1000; i++) {
        quic_frame f = {.type = FRAME_MAX_PATH_ID, .path_limit = {.path = 1000 + i}};
        say(b, SERVER, frames, put(frames, &f, 1));
        f = (quic_frame){.type = FRAME_PATH_ABANDON, .path_abandon = {.path = 1 + i, .code = i}};
        say(b, SERVER, frames, put(frames, &f, 1));
        assert_true(s->cids_count <= CONN_PATHS_MAX);
        assert_true(s->mp->abandon_count <= CONN_ABANDONS_MAX);
        assert_true(b->w.nodes[SERVER].ep->cids.count <= CONN_PATHS_MAX * CIDS_LOCAL_MAX);
        if (outcome(b, SERVER) != OPEN)
            break;
    }
    assert_int_equal(outcome(b, SERVER), OPEN);
    end(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_that_are_wrong_are_answered_with_their_code),
        cmocka_unit_test(frames_that_are_cut_are_encoding_errors),
        cmocka_unit_test(frames_of_extensions_belong_into_1rtt_packets),
        cmocka_unit_test(frames_of_extensions_are_refused_in_early_data),
        cmocka_unit_test(frames_about_an_abandoned_path_are_ignored),
        cmocka_unit_test(abandoning_an_unopened_path_is_answered_once),
        cmocka_unit_test(challenges_on_the_path_leave_little_behind),
        cmocka_unit_test(challenges_from_elsewhere_are_not_amplified),
        cmocka_unit_test(a_move_is_not_amplified),
        cmocka_unit_test(addresses_are_stored_up_to_the_limit),
        cmocka_unit_test(the_33rd_address_of_a_round_ends_the_connection),
        cmocka_unit_test(rounds_are_not_amplified),
        cmocka_unit_test(new_connection_ids_that_retire_others_come_to_an_end),
        cmocka_unit_test(retiring_without_end_is_served_within_bounds),
        cmocka_unit_test(path_limits_and_abandons_without_end_stay_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
