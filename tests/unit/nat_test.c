// The state of NAT traversal by itself: rounds, probes and their times, limits, lost frames, both roles.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "quic/nat.h"

#define LIMIT 32
#define NOW (5 * NS_PER_S)

static void fill(void *user, void *out, size_t len) {
    uint64_t *rng = user;
    for (size_t i = 0; i < len; i++) {
        *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)out)[i] = (uint8_t)(*rng >> 33);
    }
}

static uint64_t random_state = 1;
static const entropy source = {.fill = fill, .user = &random_state};

static addr ip(unsigned n) {
    return addr_ip4((const uint8_t[]){192, 0, (uint8_t)(n >> 8), (uint8_t)n}, 4000);
}

static addr ip6(uint8_t n) {
    return addr_ip6((const uint8_t[16]){0x20, 0x01, 0x0d, 0xb8, [15] = n}, 4000, 0);
}

static quic_nat *nat(quic_role role) {
    quic_nat *n = quic_nat_new(role, LIMIT, LIMIT);
    assert_non_null(n);
    return n;
}

static int give(quic_nat *n, uint64_t type, uint64_t seq, const addr *a) {
    quic_frame f = {.type = type, .address = {.seq = seq}};
    if (a != NULL)
        f.address.address = *a;
    return quic_nat_on_frame(n, &f, NOW);
}

static int add_address(quic_nat *n, uint64_t seq, unsigned number) {
    addr a = ip(number);
    return give(n, FRAME_ADD_ADDRESS_V4, seq, &a);
}

static int reach_out(quic_nat *n, uint64_t round, unsigned number) {
    addr a = ip(number);
    return give(n, FRAME_REACH_OUT_V4, round, &a);
}

static quic_sent_frame expect_frame(quic_nat *n, uint64_t type, uint64_t seq, const addr *a) {
    quic_frame f;
    quic_sent_frame note;
    assert_true(quic_nat_next_frame(n, &f, &note));
    assert_int_equal(f.type, type);
    assert_int_equal(f.address.seq, seq);
    if (a != NULL)
        assert_true(addr_equal(&f.address.address, a));
    quic_nat_frame_sent(n, &note);
    return note;
}

static void expect_no_frame(quic_nat *n) {
    quic_frame f;
    quic_sent_frame note;
    assert_false(quic_nat_next_frame(n, &f, &note));
}

static void expect_probe(quic_nat *n, uint64_t now, unsigned number, uint8_t data[static 8]) {
    addr to, wanted = ip(number);
    assert_true(quic_nat_next_probe(n, now, &source, &to, data));
    assert_true(addr_equal(&to, &wanted));
}

static void expect_no_probe(quic_nat *n, uint64_t now) {
    addr to;
    uint8_t data[8];
    assert_false(quic_nat_next_probe(n, now, &source, &to, data));
}

// --- Own candidates

static void a_server_numbers_its_candidates_and_tells_them_at_once(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_SERVER);
    addr a = ip(1), b = ip6(2);
    assert_int_equal(quic_nat_add(n, &a), 0);
    assert_int_equal(quic_nat_add(n, &b), 0);
    assert_int_equal(quic_nat_add(n, &a), 0);
    expect_frame(n, FRAME_ADD_ADDRESS_V4, 0, &a);
    expect_frame(n, FRAME_ADD_ADDRESS_V6, 1, &b);
    expect_no_frame(n);
    assert_int_equal(quic_nat_own(n, NULL, 0), 2);
    // A number is never used again.
    assert_int_equal(quic_nat_remove(n, &a), 0);
    expect_frame(n, FRAME_REMOVE_ADDRESS, 0, NULL);
    assert_int_equal(quic_nat_add(n, &a), 0);
    expect_frame(n, FRAME_ADD_ADDRESS_V4, 2, &a);
    assert_int_equal(quic_nat_remove(n, &(addr){0}), IROH_ERR_NOT_FOUND);
    quic_nat_free(n);
    quic_nat_free(NULL);
}

static void a_client_tells_its_candidates_only_in_a_round(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    addr a = ip(1), b = ip6(2);
    assert_int_equal(quic_nat_add(n, &a), 0);
    assert_int_equal(quic_nat_add(n, &b), 0);
    expect_no_frame(n);
    assert_int_equal(quic_nat_start_round(n, NOW), 0);
    expect_frame(n, FRAME_REACH_OUT_V4, 1, &a);
    expect_frame(n, FRAME_REACH_OUT_V6, 1, &b);
    expect_no_frame(n);
    // Removing one says nothing.
    assert_int_equal(quic_nat_remove(n, &a), 0);
    expect_no_frame(n);
    assert_int_equal(quic_nat_start_round(n, NOW), 0);
    expect_frame(n, FRAME_REACH_OUT_V6, 2, &b);
    expect_no_frame(n);
    quic_nat_free(n);
}

static void no_more_candidates_than_the_peer_takes(void **state) {
    (void)state;
    for (int role = 0; role < 2; role++) {
        quic_nat *n = quic_nat_new(role == 0 ? QUIC_CLIENT : QUIC_SERVER, LIMIT, 3);
        for (unsigned i = 0; i < 3; i++) {
            addr a = ip(i);
            assert_int_equal(quic_nat_add(n, &a), 0);
        }
        addr last = ip(9), first = ip(0);
        assert_int_equal(quic_nat_add(n, &last), IROH_ERR_LIMIT);
        assert_int_equal(quic_nat_remove(n, &first), 0);
        assert_int_equal(quic_nat_add(n, &last), 0);
        quic_nat_free(n);
    }
}

// However often an application changes its mind: what waits stays bounded.
static void changes_without_an_answer_come_to_an_end(void **state) {
    (void)state;
    quic_nat *n = quic_nat_new(QUIC_SERVER, LIMIT, 4);
    int r = 0;
    for (unsigned i = 0; i < 100 && r == 0; i++) {
        addr a = ip(i);
        r = quic_nat_add(n, &a);
        if (r == 0)
            assert_int_equal(quic_nat_remove(n, &a), 0);
    }
    assert_int_equal(r, IROH_ERR_LIMIT);
    // The peer acknowledges: there is room again.
    quic_sent_frame note = expect_frame(n, FRAME_REMOVE_ADDRESS, 0, NULL);
    quic_nat_frame_acked(n, &note);
    addr a = ip(200);
    assert_int_equal(quic_nat_add(n, &a), 0);
    quic_nat_free(n);
}

// --- Lost frames

static void lost_frames_are_repeated_while_they_are_true(void **state) {
    (void)state;
    quic_nat *s = nat(QUIC_SERVER), *c = nat(QUIC_CLIENT);
    addr a = ip(1);
    assert_int_equal(quic_nat_add(s, &a), 0);
    quic_sent_frame add = expect_frame(s, FRAME_ADD_ADDRESS_V4, 0, &a);
    quic_nat_frame_lost(s, &add);
    add = expect_frame(s, FRAME_ADD_ADDRESS_V4, 0, &a);
    assert_int_equal(quic_nat_remove(s, &a), 0);
    quic_nat_frame_lost(s, &add);
    quic_sent_frame gone = expect_frame(s, FRAME_REMOVE_ADDRESS, 0, NULL);
    expect_no_frame(s);
    quic_nat_frame_lost(s, &gone);
    gone = expect_frame(s, FRAME_REMOVE_ADDRESS, 0, NULL);
    quic_nat_frame_acked(s, &gone);
    quic_nat_frame_lost(s, &gone);
    expect_no_frame(s);
    // A REACH_OUT of an earlier round is of no use any more.
    assert_int_equal(quic_nat_add(c, &a), 0);
    assert_int_equal(quic_nat_start_round(c, NOW), 0);
    quic_sent_frame old = expect_frame(c, FRAME_REACH_OUT_V4, 1, &a);
    quic_nat_frame_lost(c, &old);
    expect_frame(c, FRAME_REACH_OUT_V4, 1, &a);
    assert_int_equal(quic_nat_start_round(c, NOW), 0);
    expect_frame(c, FRAME_REACH_OUT_V4, 2, &a);
    quic_nat_frame_lost(c, &old);
    expect_no_frame(c);
    quic_nat_free(s);
    quic_nat_free(c);
}

// --- Frames of the peer

static void each_role_takes_the_frames_of_the_other(void **state) {
    (void)state;
    static const uint64_t of_server[] = {FRAME_ADD_ADDRESS_V4, FRAME_ADD_ADDRESS_V6, FRAME_REMOVE_ADDRESS};
    static const uint64_t of_client[] = {FRAME_REACH_OUT_V4, FRAME_REACH_OUT_V6};
    quic_nat *s = nat(QUIC_SERVER), *c = nat(QUIC_CLIENT);
    addr a = ip(1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(give(s, of_server[i], 1, &a), QUIC_PROTOCOL_VIOLATION);
        assert_int_equal(give(c, of_server[i], 1, &a), 0);
    }
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(give(c, of_client[i], 1, &a), QUIC_PROTOCOL_VIOLATION);
        assert_int_equal(give(s, of_client[i], 1, &a), 0);
    }
    assert_int_equal(quic_nat_start_round(s, NOW), IROH_ERR_ARG);
    quic_nat_free(s);
    quic_nat_free(c);
}

static void a_client_keeps_what_the_server_has(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    addr known[LIMIT];
    assert_int_equal(add_address(n, 0, 1), 0);
    assert_int_equal(add_address(n, 1, 2), 0);
    assert_int_equal(add_address(n, 0, 1), 0);
    assert_int_equal(quic_nat_peers(n, known, LIMIT), 2);
    // The same number with another address: the new one counts.
    assert_int_equal(add_address(n, 0, 3), 0);
    assert_int_equal(quic_nat_peers(n, known, LIMIT), 2);
    addr third = ip(3);
    assert_true(addr_equal(&known[0], &third) || addr_equal(&known[1], &third));
    assert_int_equal(give(n, FRAME_REMOVE_ADDRESS, 7, NULL), 0);
    assert_int_equal(give(n, FRAME_REMOVE_ADDRESS, 0, NULL), 0);
    assert_int_equal(give(n, FRAME_REMOVE_ADDRESS, 1, NULL), 0);
    assert_int_equal(quic_nat_peers(n, NULL, 0), 0);
    quic_nat_free(n);
}

static void a_client_ignores_more_than_it_stores(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(add_address(n, i, i), 0);
    assert_int_equal(quic_nat_peers(n, NULL, 0), LIMIT);
    quic_nat_free(n);
}

static void the_33rd_address_of_a_round_is_a_violation(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_SERVER);
    for (unsigned i = 0; i < LIMIT; i++)
        assert_int_equal(reach_out(n, 1, i), 0);
    assert_int_equal(reach_out(n, 1, 5), 0);   // a repetition
    assert_int_equal(reach_out(n, 0, 77), 0);  // an old round
    assert_int_equal(reach_out(n, 1, 77), QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(reach_out(n, 2, 77), 0);  // a new one
    assert_int_equal(quic_nat_peers(n, NULL, 0), 1);
    quic_nat_free(n);
}

// --- Probes

static void probes_are_repeated_nine_times_at_growing_intervals(void **state) {
    (void)state;
    static const uint64_t delays_us[] = {33300, 33300, 66600, 133200, 266400, 532800, 1065600, 2000000};
    for (int role = 0; role < 2; role++) {
        quic_nat *n = nat(role == 0 ? QUIC_CLIENT : QUIC_SERVER);
        if (role == 0) {
            assert_int_equal(add_address(n, 0, 1), 0);
            expect_no_probe(n, NOW);
            assert_int_equal(quic_nat_deadline(n), TIME_NEVER);
            assert_int_equal(quic_nat_start_round(n, NOW), 0);
        } else {
            assert_int_equal(reach_out(n, 1, 1), 0);
        }
        uint64_t at = NOW;
        uint8_t data[NAT_TRIES][8];
        for (size_t i = 0; i < NAT_TRIES; i++) {
            assert_int_equal(quic_nat_deadline(n), at);
            expect_no_probe(n, at - 1);
            expect_probe(n, at, 1, data[i]);
            expect_no_probe(n, at);
            for (size_t k = 0; k < i; k++)
                assert_memory_not_equal(data[k], data[i], 8);
            at += i + 1 < NAT_TRIES ? delays_us[i] * NS_PER_US : 0;
        }
        assert_int_equal(quic_nat_deadline(n), TIME_NEVER);
        expect_no_probe(n, TIME_NEVER - 1);
        // Any of them may still be answered.
        addr from = ip(1);
        assert_true(quic_nat_responded(n, data[0], &from));
        quic_nat_free(n);
    }
}

static void an_answer_counts_from_the_probed_address_only(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    uint8_t first[8], second[8];
    assert_int_equal(add_address(n, 0, 1), 0);
    assert_int_equal(add_address(n, 1, 2), 0);
    assert_int_equal(quic_nat_start_round(n, NOW), 0);
    expect_probe(n, NOW, 1, first);
    expect_probe(n, NOW, 2, second);
    addr one = ip(1), two = ip(2), other_port = ip(1), to;
    other_port.port++;
    size_t at = 0;
    assert_false(quic_nat_responded(n, first, &two));
    assert_false(quic_nat_responded(n, first, &other_port));
    assert_false(quic_nat_responded(n, (const uint8_t[8]){1}, &one));
    assert_false(quic_nat_next_open(n, &at, &to));
    assert_true(quic_nat_responded(n, first, &one));
    assert_false(quic_nat_responded(n, first, &one));
    at = 0;
    assert_true(quic_nat_next_open(n, &at, &to));
    assert_true(addr_equal(&to, &one));
    assert_false(quic_nat_next_open(n, &at, &to));
    // It is probed no more; the other one is.
    uint8_t again[8];
    expect_probe(n, NOW + NAT_INTERVAL, 2, again);
    expect_no_probe(n, NOW + NAT_INTERVAL);
    quic_nat_opened(n, &one);
    at = 0;
    assert_false(quic_nat_next_open(n, &at, &to));
    quic_nat_free(n);
}

static void a_proven_address_is_opened_by_clients_only(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_SERVER);
    uint8_t data[8];
    assert_int_equal(reach_out(n, 1, 1), 0);
    expect_probe(n, NOW, 1, data);
    addr one = ip(1), to;
    size_t at = 0;
    assert_true(quic_nat_responded(n, data, &one));
    assert_false(quic_nat_next_open(n, &at, &to));
    expect_no_probe(n, NOW + NS_PER_S);
    assert_int_equal(quic_nat_deadline(n), TIME_NEVER);
    quic_nat_free(n);
}

static void a_new_round_forgets_the_old_one(void **state) {
    (void)state;
    quic_nat *c = nat(QUIC_CLIENT), *s = nat(QUIC_SERVER);
    uint8_t old[8], fresh[8];
    addr one = ip(1);
    assert_int_equal(add_address(c, 0, 1), 0);
    assert_int_equal(quic_nat_start_round(c, NOW), 0);
    expect_probe(c, NOW, 1, old);
    assert_int_equal(quic_nat_start_round(c, NOW + 1), 0);
    assert_false(quic_nat_responded(c, old, &one));
    expect_probe(c, NOW + 1, 1, fresh);
    assert_true(quic_nat_responded(c, fresh, &one));
    // What was proven and waits for a path is not proven again.
    assert_int_equal(quic_nat_start_round(c, NOW + 2), 0);
    expect_no_probe(c, NOW + 2);
    quic_nat_opened(c, &one);
    assert_int_equal(quic_nat_start_round(c, NOW + 3), 0);
    expect_probe(c, NOW + 3, 1, fresh);
    // A server takes the addresses of the new round instead of the old ones.
    assert_int_equal(reach_out(s, 1, 1), 0);
    expect_probe(s, NOW, 1, old);
    assert_int_equal(reach_out(s, 4, 2), 0);
    expect_probe(s, NOW, 2, fresh);
    expect_no_probe(s, NOW + NS_PER_S / 100);
    assert_false(quic_nat_responded(s, old, &one));
    assert_int_equal(reach_out(s, 3, 3), 0);
    assert_int_equal(quic_nat_peers(s, NULL, 0), 1);
    quic_nat_free(c);
    quic_nat_free(s);
}

static void an_address_that_comes_late_joins_the_round_at_its_next_tick(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    uint8_t data[8];
    assert_int_equal(add_address(n, 0, 1), 0);
    assert_int_equal(quic_nat_start_round(n, NOW), 0);
    expect_probe(n, NOW, 1, data);
    assert_int_equal(add_address(n, 1, 2), 0);
    expect_no_probe(n, NOW + NAT_INTERVAL - 1);
    expect_probe(n, NOW + NAT_INTERVAL, 1, data);
    expect_probe(n, NOW + NAT_INTERVAL, 2, data);
    quic_nat_free(n);
}

// --- Challenges that go along with an answer

static void a_client_challenges_whoever_probes_it(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    addr seen = ip(50), to;
    uint8_t data[8], again[8];
    size_t at = 0;
    assert_true(quic_nat_bundle(n, &seen, &source, data));
    assert_true(quic_nat_bundle(n, &seen, &source, again));
    assert_memory_not_equal(data, again, 8);
    // Never repeated by itself, and no candidate of the server.
    assert_int_equal(quic_nat_deadline(n), TIME_NEVER);
    assert_int_equal(quic_nat_peers(n, NULL, 0), 0);
    assert_true(quic_nat_responded(n, data, &seen));
    assert_true(quic_nat_next_open(n, &at, &to));
    assert_true(addr_equal(&to, &seen));
    assert_false(quic_nat_bundle(n, &seen, &source, data));
    // Should the server name it later, it becomes a candidate.
    assert_int_equal(give(n, FRAME_ADD_ADDRESS_V4, 0, &seen), 0);
    assert_int_equal(quic_nat_peers(n, NULL, 0), 1);
    quic_nat_free(n);
}

static void probers_without_number_take_no_memory(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_CLIENT);
    uint8_t data[8];
    unsigned taken = 0;
    for (unsigned i = 0; i < 1000; i++) {
        addr a = ip(i);
        taken += quic_nat_bundle(n, &a, &source, data);
    }
    assert_int_equal(taken, 2 * LIMIT);
    // A round forgets those that did not answer.
    assert_int_equal(quic_nat_start_round(n, NOW), 0);
    addr a = ip(2000);
    assert_true(quic_nat_bundle(n, &a, &source, data));
    quic_nat_free(n);
}

static void a_server_bundles_nothing(void **state) {
    (void)state;
    quic_nat *n = nat(QUIC_SERVER);
    addr a = ip(1);
    uint8_t data[8];
    assert_false(quic_nat_bundle(n, &a, &source, data));
    quic_nat_free(n);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_numbers_its_candidates_and_tells_them_at_once),
        cmocka_unit_test(a_client_tells_its_candidates_only_in_a_round),
        cmocka_unit_test(no_more_candidates_than_the_peer_takes),
        cmocka_unit_test(changes_without_an_answer_come_to_an_end),
        cmocka_unit_test(lost_frames_are_repeated_while_they_are_true),
        cmocka_unit_test(each_role_takes_the_frames_of_the_other),
        cmocka_unit_test(a_client_keeps_what_the_server_has),
        cmocka_unit_test(a_client_ignores_more_than_it_stores),
        cmocka_unit_test(the_33rd_address_of_a_round_is_a_violation),
        cmocka_unit_test(probes_are_repeated_nine_times_at_growing_intervals),
        cmocka_unit_test(an_answer_counts_from_the_probed_address_only),
        cmocka_unit_test(a_proven_address_is_opened_by_clients_only),
        cmocka_unit_test(a_new_round_forgets_the_old_one),
        cmocka_unit_test(an_address_that_comes_late_joins_the_round_at_its_next_tick),
        cmocka_unit_test(a_client_challenges_whoever_probes_it),
        cmocka_unit_test(probers_without_number_take_no_memory),
        cmocka_unit_test(a_server_bundles_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
