#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/acks.h"
#include "quic/frame.h"

#define DELAY (25 * NS_PER_MS)
#define EXPONENT 3

static const quic_ack_policy usual = {.threshold = 1, .reordering = 1, .max_delay = DELAY};
static const quic_ack_policy patient = {.threshold = 100000, .reordering = 0, .max_delay = DELAY};

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static void receive_many(quic_acks *a, uint64_t low, uint64_t high, uint64_t now, const quic_ack_policy *policy) {
    for (uint64_t pn = low; pn <= high; pn++)
        assert_int_equal(quic_acks_receive(a, pn, true, QUIC_ECN_NONE, now, policy), 0);
}

static size_t write_ack(quic_acks *a, uint8_t *room, size_t len, uint64_t now) {
    writer w = writer_of(room, len);
    bool written = quic_acks_write(a, &w, now, EXPONENT, false, 0);
    assert_false(w.failed);
    assert_int_equal(written, writer_len(&w) > 0);
    return writer_len(&w);
}

static quic_frame decode(const uint8_t *bytes, size_t len) {
    quic_frame f;
    const quic_frame_info *info;
    reader r = reader_of(bytes, len);
    assert_int_equal(quic_frame_decode(&r, &f, &info), 0);
    assert_int_equal(reader_left(&r), 0);
    return f;
}

// --- When

static void second_packet_is_acknowledged_at_once_and_the_first_in_time(void **state) {
    (void)state;
    quic_acks a;
    quic_acks_init(&a);
    assert_false(quic_acks_pending(&a, UINT64_MAX - 1));
    receive_many(&a, 0, 0, 100, &usual);
    assert_int_equal(a.deadline, 100 + DELAY);
    assert_false(quic_acks_pending(&a, 100 + DELAY - 1));
    assert_true(quic_acks_pending(&a, 100 + DELAY));
    assert_true(quic_acks_useful(&a));
    receive_many(&a, 1, 1, 200, &usual);
    assert_true(quic_acks_pending(&a, 200));
    uint8_t room[100];
    assert_true(write_ack(&a, room, sizeof room, 200) > 0);
    assert_false(quic_acks_pending(&a, UINT64_MAX - 1));
    assert_false(quic_acks_useful(&a));
    assert_int_equal(a.deadline, TIME_NEVER);
    quic_acks_dispose(&a);
}

static void packets_that_do_not_elicit_are_only_told_along_the_way(void **state) {
    (void)state;
    quic_acks a;
    quic_acks_init(&a);
    for (uint64_t pn = 0; pn <= ACKS_OTHERS_MAX; pn++) {
        assert_false(quic_acks_useful(&a));
        assert_int_equal(quic_acks_receive(&a, 2 * pn, false, QUIC_ECN_CE, 1, &usual), 0);
    }
    assert_true(quic_acks_useful(&a));
    assert_false(quic_acks_pending(&a, UINT64_MAX - 1));
    assert_int_equal(a.deadline, TIME_NEVER);
    quic_acks_dispose(&a);
}

static void gaps_late_packets_and_marks_are_acknowledged_at_once(void **state) {
    (void)state;
    static const quic_ack_policy by_order = {.threshold = 100, .reordering = 1, .max_delay = DELAY};
    quic_acks a;
    uint8_t room[100];
    quic_acks_init(&a);
    receive_many(&a, 0, 3, 10, &by_order);
    assert_int_equal(a.deadline, 10 + DELAY);
    receive_many(&a, 5, 5, 11, &by_order);
    assert_int_equal(a.deadline, 0);
    assert_true(write_ack(&a, room, sizeof room, 11) > 0);
    receive_many(&a, 6, 6, 12, &by_order);
    assert_int_equal(a.deadline, 12 + DELAY);
    receive_many(&a, 4, 4, 13, &by_order);
    assert_int_equal(a.deadline, 0);
    assert_true(write_ack(&a, room, sizeof room, 13) > 0);
    assert_int_equal(quic_acks_receive(&a, 7, true, QUIC_ECN_CE, 14, &by_order), 0);
    assert_int_equal(a.deadline, 0);
    assert_true(write_ack(&a, room, sizeof room, 14) > 0);
    // A packet that does not elicit fills its number, so the next one follows without a gap.
    assert_int_equal(quic_acks_receive(&a, 8, false, QUIC_ECN_NONE, 15, &by_order), 0);
    receive_many(&a, 9, 9, 16, &by_order);
    assert_int_equal(a.deadline, 16 + DELAY);
    quic_acks_dispose(&a);
}

// The example of the ack frequency draft for a threshold of 3: what an ACK let the peer find lost is not told again.
static void reordering_threshold_waits_for_gaps_of_its_size(void **state) {
    (void)state;
    static const quic_ack_policy by_three = {.threshold = 100, .reordering = 3, .max_delay = DELAY};
    quic_acks a;
    uint8_t room[100];
    quic_acks_init(&a);
    receive_many(&a, 0, 1, 10, &by_three);
    receive_many(&a, 3, 4, 10, &by_three);
    assert_int_equal(a.deadline, 10 + DELAY);
    receive_many(&a, 5, 5, 10, &by_three);
    assert_int_equal(a.deadline, 0);
    assert_true(write_ack(&a, room, sizeof room, 10) > 0);
    receive_many(&a, 8, 8, 20, &by_three);
    assert_int_equal(a.deadline, 20 + DELAY);
    receive_many(&a, 9, 9, 20, &by_three);
    assert_int_equal(a.deadline, 0);
    assert_true(write_ack(&a, room, sizeof room, 20) > 0);
    receive_many(&a, 10, 10, 30, &by_three);
    assert_int_equal(a.deadline, 0);
    quic_acks_dispose(&a);
}

static void reordering_of_zero_is_ignored(void **state) {
    (void)state;
    quic_acks a;
    quic_acks_init(&a);
    receive_many(&a, 10, 10, 5, &patient);
    receive_many(&a, 1, 3, 6, &patient);
    receive_many(&a, 50, 50, 7, &patient);
    assert_int_equal(a.deadline, 5 + DELAY);
    quic_acks_dispose(&a);
}

static void forced_acknowledgement_waits_for_something_to_say(void **state) {
    (void)state;
    quic_acks a;
    uint8_t room[100];
    quic_acks_init(&a);
    quic_acks_force(&a);
    assert_false(quic_acks_pending(&a, 1));
    assert_int_equal(write_ack(&a, room, sizeof room, 1), 0);
    receive_many(&a, 0, 0, 1, &usual);
    assert_true(quic_acks_pending(&a, 1));
    assert_true(write_ack(&a, room, sizeof room, 1) > 0);
    quic_acks_force(&a);
    assert_true(quic_acks_pending(&a, 2));
    assert_true(quic_acks_useful(&a));
    quic_acks_dispose(&a);
}

// --- What

static void writes_as(bool multipath, uint32_t path, quic_acks *a, uint64_t delay_us, const char *hex) {
    uint8_t room[64];
    char text[2 * sizeof room + 1] = "";
    writer w = writer_of(room, sizeof room);
    assert_true(quic_acks_write(a, &w, a->largest_time + delay_us * NS_PER_US, 0, multipath, path));
    for (size_t i = 0; i < writer_len(&w); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", room[i]);
    assert_string_equal(text, hex);
    quic_acks_dispose(a);
}

static void frames_are_the_published_ones(void **state) {
    (void)state;
    quic_acks a;
    quic_acks_init(&a);
    receive_many(&a, 0, 10, 1, &patient);
    writes_as(true, 1, &a, 5, "3e010a05000a");
    quic_acks_init(&a);
    receive_many(&a, 90, 95, 1, &patient);
    receive_many(&a, 98, 100, 1, &patient);
    writes_as(true, 2, &a, 1000, "3e02406443e801020105");
    quic_acks_init(&a);
    for (uint64_t pn = 0; pn <= 10; pn++)
        assert_int_equal(quic_acks_receive(&a, pn, true, QUIC_ECN_ECT0, 1, &patient), 0);
    writes_as(true, 1, &a, 0, "3f010a00000a0b0000");
    quic_acks_init(&a);
    receive_many(&a, 0, 8, 1, &patient);
    writes_as(false, 0, &a, 2, "0208020008");
}

static void delay_counts_from_the_largest_and_is_scaled(void **state) {
    (void)state;
    quic_acks a;
    uint8_t room[100];
    quic_acks_init(&a);
    receive_many(&a, 5, 5, 1000 * NS_PER_US, &patient);
    receive_many(&a, 4, 4, 9000 * NS_PER_US, &patient);
    quic_frame f = decode(room, write_ack(&a, room, sizeof room, 17016 * NS_PER_US));
    assert_int_equal(f.ack.delay, 16016 >> EXPONENT);
    f = decode(room, write_ack(&a, room, sizeof room, 10));
    assert_int_equal(f.ack.delay, 0);
    quic_acks_dispose(&a);
}

static void nothing_is_written_without_room_for_one_range(void **state) {
    (void)state;
    quic_acks a;
    uint8_t room[100];
    quic_acks_init(&a);
    receive_many(&a, 0, 0, 1, &usual);
    receive_many(&a, 2, 2, 1, &usual);
    assert_int_equal(write_ack(&a, room, 4, 1), 0);
    assert_true(quic_acks_pending(&a, 1));
    assert_int_equal(a.ack_largest_sent, QUIC_PN_NONE);
    assert_int_equal(write_ack(&a, room, 5, 1), 5);
    assert_int_equal(decode(room, 5).ack.range_count, 0);
    assert_int_equal(write_ack(&a, room, 6, 1), 5);
    assert_int_equal(write_ack(&a, room, 7, 1), 7);
    assert_int_equal(decode(room, 7).ack.range_count, 1);
    assert_int_equal(a.ack_largest_sent, 2);
    writer broken = writer_of(room, sizeof room);
    broken.failed = true;
    assert_false(quic_acks_write(&a, &broken, 1, EXPONENT, false, 0));
    quic_acks_dispose(&a);
}

// --- Memory

static void oldest_ranges_are_forgotten_and_count_as_received(void **state) {
    (void)state;
    quic_acks a;
    uint8_t room[1000];
    quic_acks_init(&a);
    for (uint64_t i = 0; i < 1000; i++)
        receive_many(&a, 2 * i, 2 * i, 1, &usual);
    assert_int_equal(ranges_count(&a.received), ACKS_RANGES_MAX);
    uint64_t oldest = 2 * (1000 - ACKS_RANGES_MAX);
    assert_true(quic_acks_is_duplicate(&a, 1));
    assert_true(quic_acks_is_duplicate(&a, oldest - 2));
    assert_false(quic_acks_is_duplicate(&a, oldest - 1));
    assert_true(quic_acks_is_duplicate(&a, oldest));
    assert_false(quic_acks_is_duplicate(&a, oldest + 1));
    quic_frame f = decode(room, write_ack(&a, room, sizeof room, 1));
    assert_int_equal(f.ack.range_count, ACKS_RANGES_MAX - 1);
    quic_acks_dispose(&a);
}

static void confirmed_ranges_are_not_repeated(void **state) {
    (void)state;
    quic_acks a;
    uint8_t room[1000];
    quic_acks_init(&a);
    quic_acks_confirmed(&a, 3);
    receive_many(&a, 0, 4, 1, &usual);
    receive_many(&a, 6, 10, 1, &usual);
    quic_acks_confirmed(&a, 8);
    assert_true(quic_acks_is_duplicate(&a, 5));
    quic_frame f = decode(room, write_ack(&a, room, sizeof room, 1));
    assert_int_equal(f.ack.largest, 10);
    assert_int_equal(f.ack.first_range, 1);
    assert_int_equal(f.ack.range_count, 0);
    quic_acks_confirmed(&a, 10);
    quic_acks_confirmed(&a, 4);
    f = decode(room, write_ack(&a, room, sizeof room, 1));
    assert_int_equal(f.ack.largest, 10);
    assert_int_equal(f.ack.first_range, 0);
    assert_false(quic_acks_is_duplicate(&a, 11));
    quic_acks_dispose(&a);
}

// --- Against a model: a flag for each number

#define MODEL_NUMBERS 1000

typedef struct model {
    bool have[MODEL_NUMBERS];
    uint64_t floor, largest, largest_time, largest_eliciting, sent_largest;  // UINT64_MAX: none
    uint64_t eliciting, deadline, ecn[4];
} model;

typedef struct span {
    uint64_t low, high;
} span;

// The ranges that are remembered, from the highest down.
static size_t model_spans(const model *m, span *out) {
    size_t n = 0;
    for (uint64_t pn = MODEL_NUMBERS; pn-- > m->floor;) {
        if (!m->have[pn])
            continue;
        if (n > 0 && out[n - 1].low == pn + 1)
            out[n - 1].low = pn;
        else
            out[n++] = (span){pn, pn};
    }
    return n;
}

static bool model_missing(const model *m, uint64_t pn) {
    return pn >= m->floor && !m->have[pn];
}

static bool model_out_of_order(const model *m, uint64_t pn, uint32_t threshold, uint64_t before) {
    bool any = false;
    if (threshold == 0)
        return false;
    if (threshold == 1) {
        for (uint64_t i = before == UINT64_MAX ? 0 : before + 1; i < pn; i++)
            any |= model_missing(m, i);
        return any || (before != UINT64_MAX && pn < before);
    }
    for (uint64_t i = 0; i + threshold <= m->largest_eliciting; i++)
        any |= model_missing(m, i) && (m->sent_largest == UINT64_MAX || i + threshold > m->sent_largest);
    return any;
}

static void model_receive(model *m, uint64_t pn, bool eliciting, uint8_t ecn, uint64_t now,
                          const quic_ack_policy *policy) {
    static span spans[MODEL_NUMBERS];
    m->have[pn] = true;
    m->ecn[ecn]++;
    if (m->largest == UINT64_MAX || pn > m->largest) {
        m->largest = pn;
        m->largest_time = now;
    }
    size_t n = model_spans(m, spans);
    if (n > ACKS_RANGES_MAX)
        m->floor = spans[n - 1].high + 1;
    if (!eliciting)
        return;
    m->eliciting++;
    uint64_t before = m->largest_eliciting;
    if (before == UINT64_MAX || pn > before)
        m->largest_eliciting = pn;
    if (m->eliciting > policy->threshold || ecn == QUIC_ECN_CE || model_out_of_order(m, pn, policy->reordering, before))
        m->deadline = 0;
    else if (now + policy->max_delay < m->deadline)
        m->deadline = now + policy->max_delay;
}

// The frame with the newest `count` ranges, by the general encoder. 0 when it does not fit.
static size_t model_encode(const model *m, const span *spans, size_t count, uint8_t *room, size_t len, uint64_t now,
                           uint32_t path) {
    uint8_t pairs[2 * VARINT_SIZE_MAX * MODEL_NUMBERS];
    writer p = writer_of(pairs, sizeof pairs), w = writer_of(room, len);
    for (size_t i = 1; i < count; i++) {
        writer_varint(&p, spans[i - 1].low - spans[i].high - 2);
        writer_varint(&p, spans[i].high - spans[i].low);
    }
    quic_frame f = {.type = path > 0 ? FRAME_PATH_ACK : FRAME_ACK};
    f.ack = (quic_ack_frame){
        .path = path,
        .largest = spans[0].high,
        .delay = (now - m->largest_time) / 1000 / (1 << EXPONENT),
        .first_range = spans[0].high - spans[0].low,
        .range_count = count - 1,
        .ranges = pairs,
        .ranges_len = writer_len(&p),
        .ecn = m->ecn[1] + m->ecn[2] + m->ecn[3] > 0,
        .ect0 = m->ecn[QUIC_ECN_ECT0],
        .ect1 = m->ecn[QUIC_ECN_ECT1],
        .ce = m->ecn[QUIC_ECN_CE],
    };
    quic_frame_encode(&w, &f);
    return w.failed ? 0 : writer_len(&w);
}

static void model_write(model *m, quic_acks *a, uint64_t now, size_t len, uint32_t path) {
    static span spans[MODEL_NUMBERS];
    uint8_t expected[1200], got[1200];
    writer w = writer_of(got, len);
    size_t n = model_spans(m, spans), expected_len = 0;
    for (size_t count = n; count > 0 && expected_len == 0; count--)
        expected_len = model_encode(m, spans, count, expected, len, now, path);
    assert_int_equal(quic_acks_write(a, &w, now, EXPONENT, path > 0, path), expected_len > 0);
    assert_int_equal(writer_len(&w), expected_len);
    assert_memory_equal(got, expected, expected_len);
    if (expected_len == 0)
        return;
    m->eliciting = 0;
    m->deadline = TIME_NEVER;
    m->sent_largest = m->largest;
}

static void model_confirm(model *m, quic_acks *a, uint64_t largest) {
    quic_acks_confirmed(a, largest);
    uint64_t floor = largest + 1 < m->largest ? largest + 1 : m->largest;
    if (m->largest != UINT64_MAX && floor > m->floor)
        m->floor = floor;
}

static void one_model(uint64_t seed) {
    static model m;
    quic_acks a;
    uint64_t rng = seed, now = 1, top = 0;
    m = (model){
        .largest = UINT64_MAX, .largest_eliciting = UINT64_MAX, .sent_largest = UINT64_MAX, .deadline = TIME_NEVER};
    quic_ack_policy policy = {
        .threshold = (uint32_t)draw(&rng, 5), .reordering = (uint32_t)draw(&rng, 5), .max_delay = draw(&rng, 3000)};
    uint64_t loss = draw(&rng, 10), ecn = draw(&rng, 2), back = 1 + draw(&rng, 60);
    quic_acks_init(&a);
    for (int step = 0; step < 1500; step++) {
        now += 1000 * draw(&rng, 300);
        top += draw(&rng, 10) < loss ? draw(&rng, 3) : 1;
        uint64_t pn = draw(&rng, 4) == 0 && top > back ? top - draw(&rng, back) : top;
        if (pn >= MODEL_NUMBERS)
            break;
        assert_int_equal(quic_acks_is_duplicate(&a, pn), pn < m.floor || m.have[pn]);
        if (!quic_acks_is_duplicate(&a, pn)) {
            bool eliciting = draw(&rng, 5) != 0;
            uint8_t mark = ecn == 0 ? QUIC_ECN_NONE : (uint8_t)draw(&rng, 4);
            assert_int_equal(quic_acks_receive(&a, pn, eliciting, mark, now, &policy), 0);
            model_receive(&m, pn, eliciting, mark, now, &policy);
        }
        assert_int_equal(a.deadline, m.deadline);
        if (draw(&rng, 4) == 0 && m.largest != UINT64_MAX)
            model_write(&m, &a, now, draw(&rng, 2) == 0 ? draw(&rng, 60) : 1200, (uint32_t)draw(&rng, 3) * 100);
        if (draw(&rng, 30) == 0)
            model_confirm(&m, &a, top > 40 ? top - draw(&rng, 41) : 0);
    }
    quic_acks_dispose(&a);
}

static void agrees_with_a_model_over_random_arrivals(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_model(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_packet_is_acknowledged_at_once_and_the_first_in_time),
        cmocka_unit_test(packets_that_do_not_elicit_are_only_told_along_the_way),
        cmocka_unit_test(gaps_late_packets_and_marks_are_acknowledged_at_once),
        cmocka_unit_test(reordering_threshold_waits_for_gaps_of_its_size),
        cmocka_unit_test(reordering_of_zero_is_ignored),
        cmocka_unit_test(forced_acknowledgement_waits_for_something_to_say),
        cmocka_unit_test(frames_are_the_published_ones),
        cmocka_unit_test(delay_counts_from_the_largest_and_is_scaled),
        cmocka_unit_test(nothing_is_written_without_room_for_one_range),
        cmocka_unit_test(oldest_ranges_are_forgotten_and_count_as_received),
        cmocka_unit_test(confirmed_ranges_are_not_repeated),
        cmocka_unit_test(agrees_with_a_model_over_random_arrivals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
