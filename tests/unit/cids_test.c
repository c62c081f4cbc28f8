#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "quic/cids.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

// The id and the token of a sequence.
static quic_cid id_of(uint64_t seq) {
    quic_cid cid = {.len = 8};
    for (size_t i = 0; i < 8; i++)
        cid.bytes[i] = (uint8_t)((seq + 1) * 0x9e37 >> (8 * (i % 4)) ^ i);
    memcpy(cid.bytes, &seq, sizeof(uint32_t));
    return cid;
}

static const uint8_t *token_of(uint64_t seq) {
    static uint8_t token[QUIC_RESET_TOKEN];
    memset(token, (int)(seq & 0xff), sizeof token);
    return token;
}

static int add(quic_peer_cids *c, uint64_t seq, uint64_t retire_prior_to, bool *changed) {
    quic_cid cid = id_of(seq);
    return quic_peer_cids_add(c, seq, retire_prior_to, &cid, token_of(seq), changed);
}

static quic_peer_cids fresh(void) {
    quic_peer_cids c;
    quic_cid first = id_of(0);
    quic_peer_cids_init(&c, &first);
    return c;
}

static uint64_t active_seq(const quic_peer_cids *c) {
    const quic_peer_cid *active = quic_peer_cids_active(c);
    quic_cid expected = id_of(active->seq);
    assert_true(active->used);
    assert_true(quic_cid_equal(&active->cid, &expected));
    if (active->has_token)
        assert_memory_equal(active->token, token_of(active->seq), QUIC_RESET_TOKEN);
    return active->seq;
}

static void expect_retired(quic_peer_cids *c, uint64_t seq) {
    uint64_t got;
    assert_true(quic_peer_cids_take_pending(c, &got));
    assert_int_equal(got, seq);
    quic_peer_cids_retire_acked(c);
}

// --- Ours

static void issued_ids_are_found_until_they_are_retired(void **state) {
    (void)state;
    quic_local_cids c;
    uint64_t seq;
    uint8_t out[QUIC_LOCAL_CID];
    quic_local_cids_init(&c);
    for (uint64_t i = 0; i < CIDS_LOCAL_MAX; i++) {
        assert_true(quic_local_cids_room(&c));
        assert_true(quic_local_cids_issue(&c, id_of(i).bytes, &seq));
        assert_int_equal(seq, i);
    }
    assert_false(quic_local_cids_room(&c));
    assert_false(quic_local_cids_issue(&c, id_of(99).bytes, &seq));
    assert_int_equal(quic_local_cids_active(&c), CIDS_LOCAL_MAX);
    assert_memory_equal(quic_local_cids_get(&c, 5)->bytes, id_of(5).bytes, QUIC_LOCAL_CID);
    assert_null(quic_local_cids_get(&c, CIDS_LOCAL_MAX));
    assert_true(quic_local_cids_retire(&c, 5, out));
    assert_memory_equal(out, id_of(5).bytes, QUIC_LOCAL_CID);
    assert_false(quic_local_cids_retire(&c, 5, out));
    assert_false(quic_local_cids_retire(&c, 77, out));
    assert_null(quic_local_cids_get(&c, 5));
    assert_int_equal(quic_local_cids_active(&c), CIDS_LOCAL_MAX - 1);
}

// Sequence 12 would take the place of sequence 0, which is still in use.
static void an_old_id_that_is_kept_blocks_new_ones(void **state) {
    (void)state;
    quic_local_cids c;
    uint64_t seq;
    uint8_t out[QUIC_LOCAL_CID];
    quic_local_cids_init(&c);
    for (uint64_t i = 0; i < CIDS_LOCAL_MAX; i++)
        assert_true(quic_local_cids_issue(&c, id_of(i).bytes, &seq));
    for (uint64_t i = 1; i < CIDS_LOCAL_MAX; i++)
        assert_true(quic_local_cids_retire(&c, i, out));
    assert_int_equal(quic_local_cids_active(&c), 1);
    assert_false(quic_local_cids_issue(&c, id_of(12).bytes, &seq));
    assert_memory_equal(quic_local_cids_get(&c, 0)->bytes, id_of(0).bytes, QUIC_LOCAL_CID);
    assert_true(quic_local_cids_retire(&c, 0, out));
    assert_true(quic_local_cids_issue(&c, id_of(12).bytes, &seq));
    assert_int_equal(seq, 12);
    assert_int_equal(c.base, 12);
}

static void local_ids_agree_with_a_model(void **state) {
    (void)state;
    static bool active[3000];
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t rng = seed, issued = 0, base = 0, seq;
        uint8_t out[QUIC_LOCAL_CID];
        quic_local_cids c;
        quic_local_cids_init(&c);
        memset(active, 0, sizeof active);
        for (int step = 0; step < 1000; step++) {
            if (draw(&rng, 2) == 0) {
                bool room = issued - base < CIDS_LOCAL_MAX;
                assert_int_equal(quic_local_cids_issue(&c, id_of(issued).bytes, &seq), room);
                if (room)
                    active[issued++] = true;
            } else {
                uint64_t which = draw(&rng, issued + 2);
                assert_int_equal(quic_local_cids_retire(&c, which, out), active[which]);
                if (active[which])
                    assert_memory_equal(out, id_of(which).bytes, QUIC_LOCAL_CID);
                active[which] = false;
                while (base < issued && !active[base])
                    base++;
            }
            size_t count = 0;
            for (uint64_t i = 0; i < issued; i++) {
                count += active[i];
                assert_int_equal(quic_local_cids_get(&c, i) != NULL, active[i]);
            }
            assert_int_equal(quic_local_cids_active(&c), count);
        }
    }
}

// --- The peer's

static void the_first_id_changes_and_gets_its_token(void **state) {
    (void)state;
    quic_peer_cids c;
    quic_cid chosen = {.len = 20, .bytes = {1, 2, 3}}, named = id_of(0);
    quic_peer_cids_init(&c, &chosen);
    assert_true(quic_cid_equal(&quic_peer_cids_active(&c)->cid, &chosen));
    quic_peer_cids_replace_first(&c, &named);
    assert_int_equal(active_seq(&c), 0);
    assert_false(quic_peer_cids_active(&c)->has_token);
    quic_peer_cids_set_token(&c, token_of(0));
    assert_true(quic_peer_cids_active(&c)->has_token);
    assert_int_equal(active_seq(&c), 0);
}

static void rotation_takes_the_lowest_and_retires_the_old(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    uint64_t seq;
    assert_false(quic_peer_cids_rotate(&c));
    assert_int_equal(add(&c, 2, 0, &changed), 0);
    assert_false(changed);
    assert_int_equal(add(&c, 1, 0, &changed), 0);
    assert_int_equal(active_seq(&c), 0);
    assert_true(quic_peer_cids_rotate(&c));
    assert_int_equal(active_seq(&c), 1);
    assert_true(quic_peer_cids_rotate(&c));
    assert_int_equal(active_seq(&c), 2);
    assert_false(quic_peer_cids_rotate(&c));
    expect_retired(&c, 0);
    expect_retired(&c, 1);
    assert_false(quic_peer_cids_take_pending(&c, &seq));
}

static void more_than_the_limit_is_an_error(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    for (uint64_t seq = 1; seq < CIDS_PEER_MAX; seq++)
        assert_int_equal(add(&c, seq, 0, &changed), 0);
    quic_peer_cids copy = c;
    assert_int_equal(add(&copy, CIDS_PEER_MAX, 0, &changed), QUIC_CONNECTION_ID_LIMIT_ERROR);
    // One that retires another in the same breath is within it.
    assert_int_equal(add(&c, CIDS_PEER_MAX, 1, &changed), 0);
    assert_true(changed);
    assert_int_equal(active_seq(&c), 1);
    expect_retired(&c, 0);
}

static void contradictions_are_errors(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    quic_cid one = id_of(1), two = id_of(2);
    assert_int_equal(add(&c, 3, 4, &changed), QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(add(&c, 1, 0, &changed), 0);
    assert_int_equal(quic_peer_cids_add(&c, 1, 0, &two, token_of(1), &changed), QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(quic_peer_cids_add(&c, 1, 0, &one, token_of(2), &changed), QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(quic_peer_cids_add(&c, 2, 0, &one, token_of(2), &changed), QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(add(&c, 1, 0, &changed), 0);
    assert_int_equal(add(&c, 2, 0, &changed), 0);
}

static void retire_prior_to_moves_the_active_id(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    uint64_t seq;
    for (uint64_t i = 1; i < CIDS_PEER_MAX; i++)
        assert_int_equal(add(&c, i, 0, &changed), 0);
    assert_int_equal(add(&c, 7, 3, &changed), 0);
    assert_true(changed);
    assert_int_equal(active_seq(&c), 3);
    for (uint64_t i = 0; i < 3; i++)
        expect_retired(&c, i);
    // Late ones below it go back at once, but only once.
    assert_int_equal(add(&c, 6, 5, &changed), 0);
    assert_true(changed);
    assert_int_equal(active_seq(&c), 6);
    expect_retired(&c, 3);
    expect_retired(&c, 4);
    assert_int_equal(add(&c, 4, 0, &changed), 0);
    assert_false(quic_peer_cids_take_pending(&c, &seq));
    // An older frame does not take the limit back.
    assert_int_equal(add(&c, 8, 2, &changed), 0);
    assert_int_equal(c.retire_prior_to, 5);
}

static void an_id_that_comes_after_its_retirement_is_given_back(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    uint64_t seq;
    assert_int_equal(add(&c, 5, 5, &changed), 0);
    expect_retired(&c, 0);
    assert_int_equal(active_seq(&c), 5);
    assert_int_equal(add(&c, 2, 0, &changed), 0);
    assert_false(changed);
    expect_retired(&c, 2);
    assert_int_equal(add(&c, 2, 0, &changed), 0);
    assert_false(quic_peer_cids_take_pending(&c, &seq));
    assert_false(quic_peer_cids_rotate(&c));
}

static void a_repeated_frame_does_not_bring_a_retired_id_back(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    assert_int_equal(add(&c, 1, 0, &changed), 0);
    assert_int_equal(add(&c, 2, 0, &changed), 0);
    assert_true(quic_peer_cids_rotate(&c));
    assert_true(quic_peer_cids_rotate(&c));
    assert_int_equal(add(&c, 1, 0, &changed), 0);
    assert_false(quic_peer_cids_rotate(&c));
}

static void a_repetition_cannot_retire_everything(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    assert_int_equal(add(&c, 5, 0, &changed), 0);
    assert_true(quic_peer_cids_rotate(&c));
    assert_int_equal(add(&c, 3, 0, &changed), 0);
    assert_true(quic_peer_cids_rotate(&c));
    assert_int_equal(active_seq(&c), 3);
    // The frame of 5, which is retired, now wants all others retired as well.
    assert_int_equal(add(&c, 5, 5, &changed), QUIC_PROTOCOL_VIOLATION);
}

static void retirements_are_bounded_and_repeated_until_acknowledged(void **state) {
    (void)state;
    quic_peer_cids c = fresh();
    bool changed;
    uint64_t seq = 0, taken[CIDS_RETIRE_MAX];
    for (uint64_t i = 1; i <= CIDS_RETIRE_MAX; i++)
        assert_int_equal(add(&c, i, i, &changed), 0);
    quic_peer_cids full = c;
    assert_int_equal(add(&full, CIDS_RETIRE_MAX + 1, CIDS_RETIRE_MAX + 1, &changed), QUIC_CONNECTION_ID_LIMIT_ERROR);
    for (uint64_t i = 0; i < CIDS_RETIRE_MAX; i++)
        assert_true(quic_peer_cids_take_pending(&c, &taken[i]));
    assert_false(quic_peer_cids_take_pending(&c, &seq));
    // On their way they count as well.
    full = c;
    assert_int_equal(add(&full, CIDS_RETIRE_MAX + 1, CIDS_RETIRE_MAX + 1, &changed), QUIC_CONNECTION_ID_LIMIT_ERROR);
    full = c;
    assert_int_equal(add(&full, CIDS_RETIRE_MAX + 1, 0, &changed), 0);
    assert_false(quic_peer_cids_rotate(&full));
    // All lost: all wait again.
    for (uint64_t i = 0; i < CIDS_RETIRE_MAX; i++)
        quic_peer_cids_retire_again(&c, taken[i]);
    for (uint64_t i = 0; i < CIDS_RETIRE_MAX; i++)
        expect_retired(&c, i);
    assert_int_equal(add(&c, CIDS_RETIRE_MAX + 1, CIDS_RETIRE_MAX + 1, &changed), 0);
}

// A peer that keeps to the rules, over a network that loses, repeats and reorders: every id that it issued is either
// still ours to use or its retirement was asked for exactly once, and it never sees an error.
#define MODEL_IDS 300

typedef struct model {
    quic_peer_cids c;
    uint64_t rng, next, prior_to;
    bool arrived[MODEL_IDS], retired[MODEL_IDS];
} model;

static size_t model_active(const model *m) {
    size_t n = 0;
    for (uint64_t i = m->prior_to; i < m->next; i++)
        n += !m->retired[i];
    return n;
}

static void model_deliver(model *m, uint64_t seq, uint64_t prior_to) {
    bool changed;
    uint64_t before = active_seq(&m->c);
    assert_int_equal(add(&m->c, seq, prior_to, &changed), 0);
    m->arrived[seq] = true;
    assert_int_equal(changed, active_seq(&m->c) != before);
    assert_true(active_seq(&m->c) >= m->c.retire_prior_to);
    assert_true(m->arrived[active_seq(&m->c)]);
}

static void model_retirements(model *m) {
    uint64_t seq;
    while (quic_peer_cids_take_pending(&m->c, &seq)) {
        if (draw(&m->rng, 4) == 0) {
            quic_peer_cids_retire_again(&m->c, seq);
            continue;
        }
        assert_true(m->arrived[seq]);
        assert_false(m->retired[seq]);
        m->retired[seq] = true;
        quic_peer_cids_retire_acked(&m->c);
    }
}

static void model_step(model *m) {
    switch (draw(&m->rng, 5)) {
    case 0:
        (void)quic_peer_cids_rotate(&m->c);
        break;
    case 1:
        if (m->next > 1)  // any of the recent ones again
            model_deliver(m, m->next - 1 - draw(&m->rng, m->next < 20 ? m->next - 1 : 20), 0);
        break;
    case 2:
        model_retirements(m);
        break;
    default:
        if (m->next == MODEL_IDS)
            break;
        if (model_active(m) < CIDS_PEER_MAX) {
            m->next++;
            if (draw(&m->rng, 3) != 0)
                model_deliver(m, m->next - 1, m->prior_to);
        } else {
            m->prior_to += 1 + draw(&m->rng, m->next - m->prior_to);
            if (model_active(m) == CIDS_PEER_MAX)
                break;
            m->next++;
            model_deliver(m, m->next - 1, m->prior_to);
        }
    }
}

static void a_lawful_peer_never_sees_an_error(void **state) {
    (void)state;
    static model m;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        m = (model){.c = fresh(), .rng = seed, .next = 1};
        m.arrived[0] = true;
        for (int step = 0; step < 1500; step++)
            model_step(&m);
        for (int i = 0; i < 20; i++)
            model_retirements(&m);
        size_t held = 0;
        for (size_t i = 0; i < CIDS_PEER_MAX; i++) {
            held += m.c.items[i].used;
            assert_false(m.c.items[i].used && m.retired[m.c.items[i].seq]);
        }
        size_t expected = 0;
        for (uint64_t i = 0; i < m.next; i++)
            expected += m.arrived[i] && !m.retired[i];
        assert_int_equal(held, expected);
    }
}

static void any_peer_leaves_a_usable_queue(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t rng = seed, seq;
        quic_peer_cids c = fresh();
        bool changed;
        for (int step = 0; step < 100; step++) {
            uint64_t range = draw(&rng, 4) == 0 ? 1000 : 20;
            uint64_t s = draw(&rng, 10) == 0 ? VARINT_MAX - draw(&rng, 3) : draw(&rng, range);
            if (add(&c, s, draw(&rng, 3) == 0 ? s - draw(&rng, s + 1) : 0, &changed) != 0)
                break;
            if (draw(&rng, 3) == 0)
                (void)quic_peer_cids_rotate(&c);
            if (draw(&rng, 3) == 0 && quic_peer_cids_take_pending(&c, &seq))
                quic_peer_cids_retire_acked(&c);
            (void)active_seq(&c);
            assert_true(c.pending_count + c.retiring <= CIDS_RETIRE_MAX);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issued_ids_are_found_until_they_are_retired),
        cmocka_unit_test(an_old_id_that_is_kept_blocks_new_ones),
        cmocka_unit_test(local_ids_agree_with_a_model),
        cmocka_unit_test(the_first_id_changes_and_gets_its_token),
        cmocka_unit_test(rotation_takes_the_lowest_and_retires_the_old),
        cmocka_unit_test(more_than_the_limit_is_an_error),
        cmocka_unit_test(contradictions_are_errors),
        cmocka_unit_test(retire_prior_to_moves_the_active_id),
        cmocka_unit_test(an_id_that_comes_after_its_retirement_is_given_back),
        cmocka_unit_test(a_repeated_frame_does_not_bring_a_retired_id_back),
        cmocka_unit_test(a_repetition_cannot_retire_everything),
        cmocka_unit_test(retirements_are_bounded_and_repeated_until_acknowledged),
        cmocka_unit_test(a_lawful_peer_never_sees_an_error),
        cmocka_unit_test(any_peer_leaves_a_usable_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
