#include "unit/sent_space.h"

#include "base/clock.h"

#define THRESHOLD (100 * NS_PER_MS)  // time threshold of all cases

// Sends one packet with a frame whose id is the packet's number + 1, if it elicits.
static uint64_t send_packet(space *s, uint64_t now, uint16_t size, int flags, uint32_t generation) {
    uint64_t pn = s->sent.next;
    bool frame = (flags & SENT_ACK_ELICITING) != 0 && (flags & SENT_MTU_PROBE) == 0;
    assert_int_equal(quic_sent_reserve(&s->sent), 0);
    quic_sent_add(&s->sent, now, size, (uint8_t)flags, generation, frame ? frame_of(s, NULL, pn + 1) : NULL);
    return pn;
}

static void send_many(space *s, size_t count, uint64_t now) {
    while (count-- > 0)
        (void)send_packet(s, now, 1000, DATA, 0);
}

static int acknowledge(space *s, uint64_t low, uint64_t high, quic_ack_result *result) {
    uint8_t room[ACK_ROOM];
    uint64_t r[1][2] = {{low, high}};
    quic_ack_frame ack = ack_of(r, 1, room);
    return quic_sent_ack(&s->sent, &ack, s->sent.generation, &s->frames, note_report, &s->acked, result);
}

static quic_loss_result detect(space *s, uint64_t now) {
    quic_loss_result result;
    const quic_loss_listener listener = {.frame = note_report, .user = &s->lost};
    quic_sent_detect_loss(&s->sent, now, THRESHOLD, s->sent.generation, &s->frames, &listener, &result);
    return result;
}

// --- Acknowledgements

static void acknowledged_frames_are_reported_once(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    for (uint64_t i = 0; i < 5; i++)
        (void)send_packet(s, 10 + i, (uint16_t)(1000 + i), DATA, 0);
    assert_int_equal(s->sent.in_flight, 5010);
    assert_int_equal(acknowledge(s, 1, 3, &r), 0);
    assert_int_equal(r.acked_packets, 3);
    assert_int_equal(r.acked_bytes, 3006);
    assert_true(r.acked_eliciting && r.largest_newly_acked && r.largest_eliciting);
    assert_int_equal(r.largest_time, 13);
    assert_int_equal(r.latest_time, 13);
    assert_int_equal(r.largest_size, 1003);
    assert_int_equal(r.largest_size_pn, 3);
    assert_int_equal(s->acked.count, 3);
    assert_int_equal(s->acked.sum_of_ids, 2 + 3 + 4);
    assert_int_equal(s->sent.in_flight, 2004);
    assert_int_equal(s->sent.eliciting, 2);
    assert_int_equal(acknowledge(s, 0, 3, &r), 0);
    assert_int_equal(r.acked_packets, 1);
    assert_false(r.largest_newly_acked);
    assert_int_equal(acknowledge(s, 0, 3, &r), 0);
    assert_int_equal(r.acked_packets, 0);
    assert_int_equal(s->acked.count, 4);
    space_free(s);
}

// The whole state of a space, ring included, as bytes to compare.
static uint8_t *snapshot(const quic_sent *s, size_t *len) {
    size_t ring = s->capacity * sizeof *s->ring;
    *len = sizeof *s + ring;
    uint8_t *copy = malloc(*len);
    memcpy(copy, s, sizeof *s);
    if (ring > 0)
        memcpy(copy + sizeof *s, s->ring, ring);
    return copy;
}

static void refused(space *s, uint64_t low, uint64_t high) {
    size_t before_len, after_len;
    quic_ack_result r;
    uint8_t *before = snapshot(&s->sent, &before_len);
    assert_int_equal(acknowledge(s, low, high, &r), QUIC_PROTOCOL_VIOLATION);
    uint8_t *after = snapshot(&s->sent, &after_len);
    assert_int_equal(before_len, after_len);
    assert_memory_equal(before, after, before_len);
    assert_int_equal(s->acked.count, 0);
    free(before);
    free(after);
}

static void numbers_never_sent_are_a_violation_and_change_nothing(void **state) {
    (void)state;
    space *s = space_new();
    refused(s, 0, 0);
    for (uint64_t i = 0; i < SENT_RING_MIN; i++)
        (void)send_packet(s, i, 1000, DATA, 0);
    refused(s, 0, SENT_RING_MIN);
    refused(s, 3, VARINT_MAX);
    space_free(s);
}

static void skipped_numbers_are_a_violation_and_change_nothing(void **state) {
    (void)state;
    space *s = space_new();
    uint8_t room[ACK_ROOM];
    quic_ack_result r;
    (void)send_packet(s, 1, 1000, DATA, 0);
    assert_int_equal(quic_sent_skip(&s->sent), 0);
    for (uint64_t i = 2; i < SENT_RING_MIN; i++)
        (void)send_packet(s, i, 1000, DATA, 0);
    assert_int_equal(quic_sent_skip(&s->sent), 0);
    (void)send_packet(s, 100, 1000, DATA, 0);
    refused(s, 1, 1);
    refused(s, 0, 5);
    refused(s, 0, SENT_RING_MIN + 1);
    refused(s, SENT_RING_MIN, SENT_RING_MIN + 1);
    uint64_t ranges[3][2] = {{SENT_RING_MIN + 1, SENT_RING_MIN + 1}, {2, SENT_RING_MIN - 1}, {0, 0}};
    quic_ack_frame ack = ack_of(ranges, 3, room);
    assert_int_equal(quic_sent_ack(&s->sent, &ack, 0, &s->frames, note_report, &s->acked, &r), 0);
    assert_int_equal(s->acked.count, SENT_RING_MIN);
    assert_int_equal(s->sent.base, s->sent.next);
    // The ring is empty by now; the latest skipped number is remembered all the same.
    assert_int_equal(acknowledge(s, 0, SENT_RING_MIN + 1, &r), QUIC_PROTOCOL_VIOLATION);
    assert_int_equal(acknowledge(s, SENT_RING_MIN + 1, SENT_RING_MIN + 1, &r), 0);
    space_free(s);
}

static void acknowledgement_only_packets_cost_nothing(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    (void)send_packet(s, 5, 40, 0, 0);
    (void)send_packet(s, 6, 1000, DATA, 0);
    (void)send_packet(s, 7, 41, 0, 0);
    assert_int_equal(s->sent.in_flight, 1000);
    assert_int_equal(s->sent.eliciting, 1);
    assert_int_equal(s->sent.last_eliciting_time, 6);
    assert_int_equal(acknowledge(s, 2, 2, &r), 0);
    assert_int_equal(r.acked_packets, 1);
    assert_int_equal(r.acked_bytes, 0);
    assert_false(r.acked_eliciting || r.largest_eliciting);
    assert_true(r.largest_newly_acked);
    // The first one is given up in silence; its late acknowledgement says nothing about spurious loss.
    quic_loss_result lost = detect(s, 5 + THRESHOLD);
    assert_int_equal(lost.lost_packets, 0);
    assert_int_equal(s->sent.loss_time, 6 + THRESHOLD);
    assert_int_equal(acknowledge(s, 0, 2, &r), 0);
    assert_int_equal(r.acked_packets, 1);
    assert_int_equal(r.spurious, 0);
    assert_int_equal(s->sent.in_flight, 0);
    space_free(s);
}

static void ect_and_application_limits_are_told(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    (void)send_packet(s, 1, 1000, DATA | SENT_ECT, 0);
    (void)send_packet(s, 2, 1000, DATA | SENT_ECT | SENT_APP_LIMITED, 0);
    (void)send_packet(s, 3, 1000, DATA, 0);
    assert_int_equal(acknowledge(s, 0, 1, &r), 0);
    assert_int_equal(r.acked_ect, 2);
    assert_true(r.app_limited);
    assert_int_equal(acknowledge(s, 0, 2, &r), 0);
    assert_int_equal(r.acked_ect, 0);
    assert_false(r.app_limited);
    space_free(s);
}

// --- Loss

static void three_later_numbers_make_a_loss(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    send_many(s, 6, 50);
    assert_int_equal(acknowledge(s, 4, 4, &r), 0);
    quic_loss_result lost = detect(s, 60);
    assert_int_equal(lost.lost_packets, 2);
    assert_int_equal(lost.lost_bytes, 2000);
    assert_int_equal(lost.largest_lost_time, 50);
    assert_int_equal(lost.largest_lost_size, 1000);
    assert_int_equal(lost.largest_lost_pn, 1);
    assert_int_equal(s->lost.count, 2);
    assert_int_equal(s->lost.sum_of_ids, 1 + 2);
    assert_int_equal(s->sent.in_flight, 3000);
    assert_int_equal(s->sent.loss_time, 50 + THRESHOLD);
    space_free(s);
}

static void time_makes_a_loss_of_what_is_older_than_the_largest_acknowledged(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    assert_int_equal(detect(s, 1000).lost_packets, 0);
    assert_int_equal(s->sent.loss_time, TIME_NEVER);
    (void)send_packet(s, 10, 1000, DATA, 0);
    (void)send_packet(s, 20, 1000, DATA, 0);
    (void)send_packet(s, 30, 1000, DATA, 0);
    (void)send_packet(s, 40, 1000, DATA, 0);
    assert_int_equal(acknowledge(s, 2, 2, &r), 0);
    assert_int_equal(detect(s, 10 + THRESHOLD - 1).lost_packets, 0);
    assert_int_equal(s->sent.loss_time, 10 + THRESHOLD);
    assert_int_equal(detect(s, 10 + THRESHOLD).lost_packets, 1);
    assert_int_equal(s->sent.loss_time, 20 + THRESHOLD);
    assert_int_equal(detect(s, 20 + THRESHOLD).lost_packets, 1);
    assert_int_equal(s->sent.loss_time, TIME_NEVER);
    assert_int_equal(detect(s, 10 * THRESHOLD).lost_packets, 0);
    assert_int_equal(s->sent.eliciting, 1);
    space_free(s);
}

static void late_acknowledgement_of_a_lost_packet_is_spurious_loss(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    send_many(s, 10, 50);
    assert_int_equal(acknowledge(s, 5, 5, &r), 0);
    assert_int_equal(detect(s, 60).lost_packets, 3);
    uint64_t in_flight = s->sent.in_flight;
    assert_int_equal(acknowledge(s, 0, 1, &r), 0);
    assert_int_equal(r.spurious, 2);
    assert_int_equal(r.acked_packets, 0);
    assert_int_equal(r.acked_bytes, 0);
    assert_int_equal(s->sent.in_flight, in_flight);
    assert_int_equal(s->acked.count, 1);
    assert_int_equal(s->sent.largest_acked, 5);
    assert_int_equal(acknowledge(s, 0, 1, &r), 0);
    assert_int_equal(r.spurious, 0);
    // The third one is too old by the time it is acknowledged.
    assert_int_equal(detect(s, 51 + SENT_LOST_DELAYS * THRESHOLD).lost_packets, 2);
    assert_int_equal(acknowledge(s, 2, 2, &r), 0);
    assert_int_equal(r.spurious, 0);
    space_free(s);
}

static void lost_mtu_probe_says_nothing_about_congestion(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    (void)send_packet(s, 1, 1452, DATA | SENT_MTU_PROBE, 0);
    send_many(s, 3, 2);
    assert_int_equal(s->sent.in_flight, 4452);
    assert_int_equal(acknowledge(s, 1, 3, &r), 0);
    assert_int_equal(r.mtu_probe, 0);
    quic_loss_result lost = detect(s, 5);
    assert_int_equal(lost.lost_packets, 1);
    assert_int_equal(lost.lost_bytes, 0);
    assert_int_equal(lost.mtu_probe, 1452);
    assert_int_equal(lost.largest_lost_size, 0);
    assert_int_equal(s->sent.in_flight, 0);
    uint64_t pn = send_packet(s, 9, 1326, DATA | SENT_MTU_PROBE, 0);
    assert_int_equal(acknowledge(s, pn, pn, &r), 0);
    assert_int_equal(r.mtu_probe, 1326);
    space_free(s);
}

static void packets_of_an_older_generation_do_not_count(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    send_many(s, 3, 10);
    (void)send_packet(s, 10, 1400, DATA | SENT_MTU_PROBE, 0);
    quic_sent_follow(&s->sent, 1);
    assert_int_equal(s->sent.in_flight, 0);
    assert_int_equal(s->sent.eliciting, 4);
    (void)send_packet(s, 20, 500, DATA, 1);
    (void)send_packet(s, 21, 501, DATA, 1);
    assert_int_equal(s->sent.in_flight, 1001);
    assert_int_equal(acknowledge(s, 3, 3, &r), 0);
    assert_int_equal(r.acked_packets, 1);
    assert_true(r.acked_eliciting);
    assert_int_equal(r.acked_bytes, 0);
    assert_int_equal(r.mtu_probe, 0);
    assert_int_equal(r.largest_size, 0);
    assert_false(r.largest_newly_acked);
    quic_loss_result lost = detect(s, 30);
    assert_int_equal(lost.lost_packets, 1);
    assert_int_equal(lost.lost_bytes, 0);
    assert_int_equal(s->lost.count, 1);
    assert_int_equal(acknowledge(s, 4, 4, &r), 0);
    assert_int_equal(r.acked_bytes, 500);
    assert_true(r.largest_newly_acked);
    assert_int_equal(s->sent.in_flight, 501);
    space_free(s);
}

static void persistent_span_ends_at_an_acknowledged_packet(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    for (uint64_t i = 1; i <= 12; i++)
        (void)send_packet(s, 10 * i, 1000, i == 6 ? 0 : DATA, 0);
    assert_int_equal(acknowledge(s, 3, 3, &r), 0);
    assert_int_equal(acknowledge(s, 11, 11, &r), 0);
    // Lost: 0-2 at 10..30, then 4-8 at 50..90 among which is an acknowledgement-only packet; 9 and 10 may still come.
    quic_loss_result lost = detect(s, 121);
    assert_int_equal(lost.lost_packets, 7);
    assert_int_equal(lost.first_lost_time, 50);
    assert_int_equal(lost.last_lost_time, 90);
    assert_int_equal(lost.largest_lost_time, 90);
    space_free(s);
}

// --- Probes and endings

static void probe_takes_the_frames_of_the_oldest_and_leaves_the_packet(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    (void)send_packet(s, 1, 40, 0, 0);
    (void)send_packet(s, 2, 1452, DATA | SENT_MTU_PROBE, 0);
    send_many(s, 2, 3);
    assert_true(quic_sent_probe_oldest(&s->sent, &s->frames, note_report, &s->lost));
    assert_int_equal(s->lost.last_pn, 2);
    assert_true(quic_sent_probe_oldest(&s->sent, &s->frames, note_report, &s->lost));
    assert_int_equal(s->lost.last_pn, 3);
    assert_false(quic_sent_probe_oldest(&s->sent, &s->frames, note_report, &s->lost));
    assert_int_equal(s->lost.count, 2);
    assert_int_equal(s->sent.eliciting, 3);
    assert_int_equal(acknowledge(s, 0, 3, &r), 0);
    assert_int_equal(r.acked_packets, 4);
    assert_int_equal(s->acked.count, 0);
    assert_int_equal(s->sent.in_flight, 0);
    space_free(s);
}

static void dropping_all_reports_all_and_starts_empty(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    send_many(s, 40, 3);
    assert_int_equal(acknowledge(s, 10, 19, &r), 0);
    quic_sent_drop_all(&s->sent, &s->frames, note_report, &s->lost);
    assert_int_equal(s->lost.count, 30);
    assert_int_equal(s->frames.in_use, 0);
    assert_null(s->sent.ring);
    assert_int_equal(s->sent.in_flight, 0);
    assert_int_equal(s->sent.eliciting, 0);
    assert_int_equal(s->sent.loss_time, TIME_NEVER);
    assert_int_equal(send_packet(s, 4, 1000, DATA, 0), 40);
    assert_int_equal(acknowledge(s, 0, 40, &r), 0);
    assert_int_equal(r.acked_packets, 1);
    quic_sent_drop_all(&s->sent, &s->frames, NULL, NULL);
    space_free(s);
}

// --- Memory

static void ring_grows_with_the_flight_and_shrinks_when_idle(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    assert_int_equal(acknowledge(s, 0, 0, &r), QUIC_PROTOCOL_VIOLATION);
    send_many(s, 5000, 3);
    assert_int_equal(s->sent.capacity, 8192);
    assert_true(quic_sent_full(&s->sent, 5000));
    assert_false(quic_sent_full(&s->sent, 5001));
    assert_int_equal(acknowledge(s, 0, 4989, &r), 0);
    assert_int_equal(r.acked_packets, 4990);
    assert_int_equal(s->sent.capacity, SENT_RING_KEEP);
    assert_int_equal(acknowledge(s, 0, 4999, &r), 0);
    assert_int_equal(r.acked_packets, 10);
    assert_int_equal(s->acked.sum_of_ids, UINT64_C(5000) * 5001 / 2);
    space_free(s);
}

static void steady_flight_needs_no_more_memory(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    send_many(s, 100, 1);
    const quic_sent_packet *ring = s->sent.ring;
    for (uint64_t i = 0; i < 10000; i++) {
        assert_int_equal(acknowledge(s, i, i, &r), 0);
        send_many(s, 1, 1);
        assert_ptr_equal(s->sent.ring, ring);
    }
    space_free(s);
}

// Neither the oldest packet nor any tenth is ever acknowledged, and so fast that no time passes.
static void memory_is_bounded_when_the_oldest_is_never_acknowledged(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    for (uint64_t i = 0; i < 100000; i++) {
        (void)send_packet(s, i, 1000, DATA, 0);
        (void)send_packet(s, i, 40, 0, 0);
        uint64_t acked = i - 6;  // others are on their way
        if (i < 6 || acked % 10 == 0)
            continue;
        assert_int_equal(acknowledge(s, 2 * acked, 2 * acked + 1, &r), 0);
        (void)detect(s, i);
        assert_true(s->sent.next - s->sent.base <= SENT_LOST_SPAN + 20);
    }
    assert_int_equal(s->frames.in_use, s->sent.eliciting);
    space_free(s);
}

static void lost_packets_are_forgotten_when_nothing_is_on_its_way(void **state) {
    (void)state;
    space *s = space_new();
    quic_ack_result r;
    send_many(s, 1000, 1);
    assert_int_equal(acknowledge(s, 500, 999, &r), 0);
    assert_int_equal(detect(s, 2).lost_packets, 500);
    assert_int_equal(s->sent.base, s->sent.next);
    assert_int_equal(s->sent.capacity, SENT_RING_KEEP);
    space_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_frames_are_reported_once),
        cmocka_unit_test(numbers_never_sent_are_a_violation_and_change_nothing),
        cmocka_unit_test(skipped_numbers_are_a_violation_and_change_nothing),
        cmocka_unit_test(acknowledgement_only_packets_cost_nothing),
        cmocka_unit_test(ect_and_application_limits_are_told),
        cmocka_unit_test(three_later_numbers_make_a_loss),
        cmocka_unit_test(time_makes_a_loss_of_what_is_older_than_the_largest_acknowledged),
        cmocka_unit_test(late_acknowledgement_of_a_lost_packet_is_spurious_loss),
        cmocka_unit_test(lost_mtu_probe_says_nothing_about_congestion),
        cmocka_unit_test(packets_of_an_older_generation_do_not_count),
        cmocka_unit_test(persistent_span_ends_at_an_acknowledged_packet),
        cmocka_unit_test(probe_takes_the_frames_of_the_oldest_and_leaves_the_packet),
        cmocka_unit_test(dropping_all_reports_all_and_starts_empty),
        cmocka_unit_test(ring_grows_with_the_flight_and_shrinks_when_idle),
        cmocka_unit_test(steady_flight_needs_no_more_memory),
        cmocka_unit_test(memory_is_bounded_when_the_oldest_is_never_acknowledged),
        cmocka_unit_test(lost_packets_are_forgotten_when_nothing_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
