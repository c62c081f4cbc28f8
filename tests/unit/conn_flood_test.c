// Too much of what a peer may say: what is kept stays bounded, and nobody gets more than he may.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "linked_support.h"
#include "quic/endpoint_state.h"

#define VIOLATION QUIC_PROTOCOL_VIOLATION

static void expect_not_amplified(const linked *b, uint64_t sent) {
    if (b->to_stranger > 3 * sent)
        fail_msg("%llu bytes for %llu", (unsigned long long)b->to_stranger, (unsigned long long)sent);
}

static size_t put(uint8_t *frames, const quic_frame *f, size_t copies) {
    writer w = writer_of(frames, LINKED_FRAMES_MAX);
    for (size_t i = 0; i < copies; i++)
        quic_frame_encode(&w, f);
    assert_false(w.failed);
    return writer_len(&w);
}

static void challenges_on_the_path_leave_little_behind(void **state) {
    (void)state;
    quic_frame f = {.type = FRAME_PATH_CHALLENGE, .path_data = {.data = {1}}};
    uint8_t frames[LINKED_FRAMES_MAX];
    linked *b = linked_start(NULL);
    size_t len = put(frames, &f, 100);
    quic_conn *s = linked_conn(b, SERVER);
    uint64_t before = s->path->bytes_out;
    for (size_t i = 0; i < 200; i++)
        linked_say(b, CLIENT, frames, len);
    assert_int_equal(linked_outcome(b, SERVER), LINKED_OPEN);
    assert_true(s->path->response_count <= PATH_RESPONSES);
    // One padded answer to each datagram, and acknowledgements.
    assert_true(s->path->bytes_out - before <= 200 * 1400);
    linked_free(b);
}

// From an address that proves nothing: no more than three times what comes, however many challenges are in it.
static void challenges_from_elsewhere_are_not_amplified(void **state) {
    (void)state;
    static const size_t copies[] = {1, 2, 10, 100};
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) {
        quic_frame f = {.type = FRAME_PATH_CHALLENGE, .path_data = {.data = {1}}};
        uint8_t frames[LINKED_FRAMES_MAX];
        linked *b = linked_start(NULL);
        size_t len = put(frames, &f, copies[i]);
        uint64_t sent = 0;
        for (size_t k = 0; k < 100; k++) {
            sent += linked_say_from(b, STRANGER, CLIENT, frames, len);
            expect_not_amplified(b, sent);
            assert_true(linked_conn(b, SERVER)->off_path_count <= CONN_OFF_PATH_MAX);
        }
        assert_true(b->to_stranger > 0);
        assert_int_equal(linked_outcome(b, SERVER), LINKED_OPEN);
        linked_free(b);
    }
}

// A packet that moves a path from an address that proves nothing.
static void a_move_is_not_amplified(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 40, 300, 1100};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint8_t frames[LINKED_FRAMES_MAX] = {FRAME_PING};
        linked *b = linked_start(NULL);
        uint64_t sent = 0;
        for (size_t k = 0; k < 20; k++) {
            sent += linked_say_from(b, STRANGER, CLIENT, frames, sizes[i]);
            linked_run(b, 300);
            expect_not_amplified(b, sent);
        }
        // It is challenged, even if it said little.
        assert_true(b->to_stranger > 0);
        linked_free(b);
    }
}

static void addresses_are_stored_up_to_the_limit(void **state) {
    (void)state;
    uint8_t frames[LINKED_FRAMES_MAX];
    linked *b = linked_start(NULL);
    for (uint64_t i = 0; i < 2000; i++) {
        quic_frame f = {.type = FRAME_ADD_ADDRESS_V4};
        f.address.seq = i;
        f.address.address = addr_ip4((uint8_t[4]){192, 0, (uint8_t)(i >> 8), (uint8_t)i}, 7);
        linked_say(b, SERVER, frames, put(frames, &f, 1));
    }
    assert_int_equal(linked_outcome(b, CLIENT), LINKED_OPEN);
    assert_int_equal(quic_conn_candidates(b->t.conn, NULL, 0), 32);
    assert_true(b->t.conn->path_event_count <= CONN_PATH_EVENTS_MAX);
    linked_free(b);
}

static void the_33rd_address_of_a_round_ends_the_connection(void **state) {
    (void)state;
    uint8_t frames[LINKED_FRAMES_MAX];
    linked *b = linked_start(NULL);
    for (uint8_t i = 0; i <= 32; i++) {
        assert_int_equal(linked_outcome(b, SERVER), LINKED_OPEN);
        quic_frame f = {.type = FRAME_REACH_OUT_V4};
        f.address.seq = 1;
        f.address.address = addr_ip4((uint8_t[4]){192, 0, 2, i}, 7);
        linked_say(b, CLIENT, frames, put(frames, &f, 1));
    }
    assert_int_equal(linked_outcome(b, SERVER), VIOLATION);
    linked_free(b);
}

// Rounds as fast as they can be asked for: what leaves for the addresses stays below three times what comes.
static void rounds_are_not_amplified(void **state) {
    (void)state;
    uint8_t frames[LINKED_FRAMES_MAX];
    linked *b = linked_start(NULL);
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
        sent += linked_say(b, CLIENT, frames, writer_len(&w));
        assert_true(linked_conn(b, SERVER)->off_path_count <= CONN_OFF_PATH_MAX);
        expect_not_amplified(b, sent);
    }
    assert_int_equal(linked_outcome(b, SERVER), LINKED_OPEN);
    linked_free(b);
}

// Each asks for the retirement of all before it: the answers that wait are bounded.
static void new_connection_ids_that_retire_others_come_to_an_end(void **state) {
    (void)state;
    for (size_t to = CLIENT; to <= SERVER; to++) {
        uint8_t frames[LINKED_FRAMES_MAX];
        linked *b = linked_start(NULL);
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
        linked_say(b, 1 - to, frames, writer_len(&w));
        assert_int_equal(linked_outcome(b, to), QUIC_CONNECTION_ID_LIMIT_ERROR);
        linked_free(b);
    }
}

static void retiring_without_end_is_served_within_bounds(void **state) {
    (void)state;
    uint8_t frames[LINKED_FRAMES_MAX];
    linked *b = linked_start(NULL);
    quic_conn *s = linked_conn(b, SERVER);
    const quic_path_cids *e = quic_conn_cids(s, 4);
    // The client's own books know nothing of it: it must not hear of the ids that are issued instead.
    b->w.links[sim_end(&b->w.nodes[SERVER], 0)][sim_end(&b->w.nodes[CLIENT], 0)].loss = 10000;
    for (uint64_t i = 0; i < 500; i++) {
        quic_frame f = {.type = FRAME_PATH_RETIRE_CONNECTION_ID, .retire_cid = {.path = 4, .seq = e->local.base}};
        linked_say(b, CLIENT, frames, put(frames, &f, 1));
        assert_int_equal(linked_outcome(b, SERVER), LINKED_OPEN);
        assert_true(quic_local_cids_active(&e->local) <= CIDS_LOCAL_MAX);
    }
    assert_true(b->w.nodes[SERVER].ep->cids.count <= 16 * CIDS_LOCAL_MAX);
    linked_free(b);
}

static void path_limits_and_abandons_without_end_stay_within_bounds(void **state) {
    (void)state;
    uint8_t frames[LINKED_FRAMES_MAX];
    linked *b = linked_start(NULL);
    quic_conn *s = linked_conn(b, SERVER);
    for (uint32_t i = 0; i < 1000; i++) {
        quic_frame f = {.type = FRAME_MAX_PATH_ID, .path_limit = {.path = 1000 + i}};
        linked_say(b, CLIENT, frames, put(frames, &f, 1));
        f = (quic_frame){.type = FRAME_PATH_ABANDON, .path_abandon = {.path = 1 + i, .code = i}};
        linked_say(b, CLIENT, frames, put(frames, &f, 1));
        assert_true(s->cids_count <= CONN_PATHS_MAX);
        assert_true(s->mp->abandon_count <= CONN_ABANDONS_MAX);
        assert_true(b->w.nodes[SERVER].ep->cids.count <= CONN_PATHS_MAX * CIDS_LOCAL_MAX);
        if (linked_outcome(b, SERVER) != LINKED_OPEN)
            break;
    }
    assert_int_equal(linked_outcome(b, SERVER), LINKED_OPEN);
    linked_free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
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
