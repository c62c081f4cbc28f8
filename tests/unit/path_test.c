#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/path.h"

#define NOW (3 * NS_PER_S)
#define SKIP_WIDTH_MIN 64

static void fill(void *user, void *out, size_t len) {
    uint64_t *rng = user;
    for (size_t i = 0; i < len; i++) {
        *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)out)[i] = (uint8_t)(*rng >> 33);
    }
}

static uint64_t random_state = 1;
static const entropy source = {.fill = fill, .user = &random_state};

static const quic_path_config config = {
    .congestion = &quic_cc_cubic, .initial_rtt = RTT_INITIAL, .mtu_max = MTUD_MAX_DEFAULT, .limited = true};

static addr ip4(uint8_t last, uint16_t port) {
    return addr_ip4((const uint8_t[]){192, 0, 2, last}, port);
}

static quic_path_cids ids;  // of the path under test: there is one at a time

static quic_path *path_with(const quic_path_config *with) {
    addr remote = ip4(1, 1000), local = ip4(9, 9);
    quic_cid first = {.len = 8};
    ids = (quic_path_cids){.id = 3};
    quic_peer_cids_init(&ids.peer, &first);
    quic_path *p = quic_path_new(&ids, &remote, &local, with, &source, NOW);
    assert_non_null(p);
    assert_ptr_equal(ids.path, p);
    assert_int_equal(p->id, 3);
    return p;
}

static quic_path *path(void) {
    return path_with(&config);
}

static void free_path(quic_path *p) {
    pool frames;
    pool_init(&frames, sizeof(quic_sent_frame), 8, 1);
    quic_path_free(p, &frames);
    pool_dispose(&frames);
}

static void a_new_path_is_unproven_and_starts_small(void **state) {
    (void)state;
    quic_path *p = path();
    assert_false(p->validated);
    assert_int_equal(quic_path_credit(p), 0);
    assert_int_equal(p->mtud.current, MTUD_MIN);
    assert_int_equal(p->cc.window, 12000);
    assert_int_equal(quic_pacer_budget(&p->pacer, NOW), 12000);
    assert_int_equal(p->challenge_at, TIME_NEVER);
    assert_int_equal(p->skip_at, QUIC_PN_NONE);
    free_path(p);
    quic_path_free(NULL, NULL);
}

static void three_times_what_came_may_be_sent_until_it_is_proven(void **state) {
    (void)state;
    quic_path *p = path();
    p->received = 1200;
    assert_int_equal(quic_path_credit(p), 3600);
    p->sent = 3000;
    assert_int_equal(quic_path_credit(p), 600);
    p->sent = 4000;
    assert_int_equal(quic_path_credit(p), 0);
    p->validated = true;
    assert_int_equal(quic_path_credit(p), UINT64_MAX);
    free_path(p);
}

static void a_client_may_send_at_once(void **state) {
    (void)state;
    quic_path_config unlimited = config;
    unlimited.limited = false;
    quic_path *p = path_with(&unlimited);
    assert_false(p->validated);
    assert_int_equal(quic_path_credit(p), UINT64_MAX);
    free_path(p);
}

static void challenges_are_repeated_ever_more_slowly(void **state) {
    (void)state;
    static const uint64_t waits_ms[] = {999, 1998, 2000, 2000};
    quic_path *p = path();
    uint8_t data[2][8];
    p->challenge_wanted = true;
    for (size_t i = 0; i < 300; i++) {
        quic_path_challenge(p, &source, NOW, data[i % 2]);
        assert_int_equal(p->challenge_at, NOW + waits_ms[i < 3 ? i : 3] * NS_PER_MS);
        assert_false(p->challenge_wanted);
        if (i > 0)
            assert_memory_not_equal(data[0], data[1], 8);
    }
    free_path(p);
}

static void an_answer_to_any_of_the_latest_challenges_proves_the_path(void **state) {
    (void)state;
    for (size_t which = 0; which < PATH_CHALLENGES + 2; which++) {
        quic_path *p = path();
        uint8_t data[PATH_CHALLENGES + 2][8], wrong[8];
        for (size_t i = 0; i < PATH_CHALLENGES + 2; i++)
            quic_path_challenge(p, &source, NOW, data[i]);
        memcpy(wrong, data[which], 8);
        wrong[7] ^= 1;
        assert_false(quic_path_responded(p, wrong, NOW));
        // Two more than are remembered: the first two are forgotten.
        assert_int_equal(quic_path_responded(p, data[which], NOW), which >= 2);
        assert_int_equal(p->validated, which >= 2);
        if (p->validated) {
            assert_int_equal(p->challenge_at, TIME_NEVER);
            assert_false(quic_path_responded(p, data[which], NOW));
        }
        free_path(p);
    }
}

static void the_time_of_the_answer_is_the_first_estimate(void **state) {
    (void)state;
    uint8_t data[8];
    quic_path *p = path();
    quic_path_challenge(p, &source, NOW, data);
    assert_true(quic_path_responded(p, data, NOW + 20 * NS_PER_MS));
    assert_int_equal(p->rtt.smoothed, 20 * NS_PER_MS);
    assert_false(p->rtt.sampled);
    // A measured one stays.
    quic_rtt_sample(&p->rtt, NS_PER_MS, 0);
    quic_path_challenge(p, &source, NOW, data);
    assert_true(quic_path_responded(p, data, NOW + 20 * NS_PER_MS));
    assert_int_equal(p->rtt.smoothed, NS_PER_MS);
    free_path(p);
}

static void another_port_leaves_the_estimates(void **state) {
    (void)state;
    quic_path *p = path();
    uint8_t data[8];
    addr old = p->remote, port = ip4(1, 2000), local = ip4(8, 8);
    p->validated = true;
    quic_cc_set_window(&p->cc, 99999);
    quic_rtt_sample(&p->rtt, NS_PER_MS, 0);
    quic_path_challenge(p, &source, NOW, data);
    quic_path_move(p, &port, &local, &config, &source, NOW);
    assert_false(p->validated);
    assert_true(p->challenge_wanted);
    assert_true(addr_equal(&p->remote, &port));
    assert_true(addr_equal(&p->local, &local));
    assert_true(addr_equal(&p->previous_remote, &old));
    assert_int_equal(p->cc.window, 99999);
    assert_int_equal(p->generation, 0);
    assert_int_equal(p->rtt.smoothed, NS_PER_MS);
    // An answer to a challenge for the old address says nothing about the new one.
    assert_false(quic_path_responded(p, data, NOW));
    free_path(p);
}

static void another_host_starts_anew(void **state) {
    (void)state;
    quic_path *p = path();
    addr old = p->remote, host = ip4(2, 1000), third = ip4(3, 1000), local = ip4(9, 9);
    p->validated = true;
    p->received = 5000;
    p->sent = 700;
    p->event_lost = 5;
    p->app_limited = true;
    quic_cc_set_window(&p->cc, 99999);
    quic_rtt_sample(&p->rtt, NS_PER_MS, 0);
    p->cc.events = 3;
    quic_path_move(p, &host, &local, &config, &source, NOW);
    assert_int_equal(p->generation, 1);
    assert_int_equal(p->cc.window, 12000);
    assert_int_equal(p->cc.events, 3);
    assert_int_equal(p->rtt.smoothed, RTT_INITIAL);
    assert_false(p->rtt.sampled);
    assert_int_equal(p->event_lost, 0);
    assert_int_equal(quic_path_credit(p), 0);
    // From an address that was never proven there is no way back to it, only to the one before.
    quic_path_move(p, &third, &local, &config, &source, NOW);
    assert_int_equal(p->generation, 2);
    assert_true(addr_equal(&p->previous_remote, &old));
    free_path(p);
}

static void the_oldest_response_is_forgotten(void **state) {
    (void)state;
    quic_path *p = path();
    for (uint8_t i = 0; i < PATH_RESPONSES + 3; i++) {
        uint8_t data[8] = {i};
        quic_path_queue_response(p, data);
    }
    assert_int_equal(p->response_count, PATH_RESPONSES);
    for (uint8_t i = 0; i < PATH_RESPONSES; i++)
        assert_int_equal(p->responses[i][0], i + 3);
    free_path(p);
}

static void skipped_numbers_lie_ahead_and_get_rarer(void **state) {
    (void)state;
    quic_path *p = path();
    for (uint64_t next = 0; next < 10000000; next = next + next / 7 + 1) {
        p->data.sent.next = next;
        bool differ = false;
        uint64_t first = 0;
        for (int i = 0; i < 50; i++) {
            quic_path_choose_skip(p, &source);
            assert_true(p->skip_at >= next);
            assert_true(p->skip_at < (next < SKIP_WIDTH_MIN ? SKIP_WIDTH_MIN : 4 * next));
            differ |= i > 0 && p->skip_at != first;
            first = p->skip_at;
        }
        assert_true(differ || next == SKIP_WIDTH_MIN - 1);
    }
    p->data.sent.next = 0;  // nothing was sent
    free_path(p);
}

static void a_path_that_is_to_skip_chooses_at_once(void **state) {
    (void)state;
    quic_path_config skipping = config;
    skipping.skip_packet_numbers = true;
    for (int i = 0; i < 100; i++) {
        quic_path *p = path_with(&skipping);
        assert_in_range(p->skip_at, 0, SKIP_WIDTH_MIN - 1);
        free_path(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_path_is_unproven_and_starts_small),
        cmocka_unit_test(three_times_what_came_may_be_sent_until_it_is_proven),
        cmocka_unit_test(a_client_may_send_at_once),
        cmocka_unit_test(challenges_are_repeated_ever_more_slowly),
        cmocka_unit_test(an_answer_to_any_of_the_latest_challenges_proves_the_path),
        cmocka_unit_test(the_time_of_the_answer_is_the_first_estimate),
        cmocka_unit_test(another_port_leaves_the_estimates),
        cmocka_unit_test(another_host_starts_anew),
        cmocka_unit_test(the_oldest_response_is_forgotten),
        cmocka_unit_test(skipped_numbers_lie_ahead_and_get_rarer),
        cmocka_unit_test(a_path_that_is_to_skip_chooses_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
