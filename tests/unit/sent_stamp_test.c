// Stamps beside sent packets: kept only where they are asked for, and found again at the acknowledgement or the loss.
#include "unit/sent_space.h"

#include "base/clock.h"

#define THRESHOLD (100 * NS_PER_MS)
#define PACKETS 1000  // several sizes of the ring

typedef struct losses {
    uint64_t count, last_pn, sum_of_stamps, bytes;
} losses;

static void note_loss(void *user, const quic_rate_loss *l) {
    losses *seen = user;
    assert_true(seen->count == 0 || l->pn > seen->last_pn);
    assert_int_equal(l->stamp->delivered, l->pn);
    assert_int_equal(l->sent_time, 1 + l->pn);
    seen->count++;
    seen->last_pn = l->pn;
    seen->bytes += l->size;
    seen->sum_of_stamps += l->stamp->delivered;
}

// Each packet is stamped with its own number and sent at 1 + number.
static void send_stamped(space *s, size_t count, int flags) {
    while (count-- > 0) {
        uint64_t pn = s->sent.next;
        assert_int_equal(quic_sent_reserve(&s->sent), 0);
        quic_sent_add(&s->sent, 1 + pn, 1000, (uint8_t)flags, s->sent.generation, NULL);
        if ((flags & SENT_IN_FLIGHT) != 0)
            *quic_sent_stamp(&s->sent) = (quic_stamp){.delivered = pn};
    }
}

static quic_ack_result acknowledge(space *s, uint64_t (*r)[2], size_t count) {
    uint8_t room[ACK_ROOM];
    quic_ack_result result;
    quic_ack_frame ack = ack_of(r, count, room);
    assert_int_equal(quic_sent_ack(&s->sent, &ack, s->sent.generation, &s->frames, NULL, NULL, &result), 0);
    return result;
}

static quic_loss_result detect(space *s, uint64_t now) {
    quic_loss_result result;
    const quic_loss_listener nobody = {0};
    quic_sent_detect_loss(&s->sent, now, THRESHOLD, s->sent.generation, &s->frames, &nobody, &result);
    return result;
}

static void without_asking_there_are_none(void **state) {
    (void)state;
    space *s = space_new();
    assert_null(quic_sent_stamp(&s->sent));
    assert_int_equal(quic_sent_reserve(&s->sent), 0);
    quic_sent_add(&s->sent, 1, 1000, DATA, 0, NULL);
    assert_null(quic_sent_stamp(&s->sent));
    assert_null(s->sent.stamps);
    quic_ack_result r = acknowledge(s, (uint64_t[][2]){{0, 0}}, 1);
    assert_int_equal(r.acked_bytes, 1000);
    assert_false(r.stamped);
    space_free(s);
}

static void the_latest_packet_acknowledged_gives_its_stamp(void **state) {
    (void)state;
    space *s = space_new();
    losses seen = {0};
    quic_sent_keep_stamps(&s->sent, note_loss, &seen);
    send_stamped(s, PACKETS, DATA);
    quic_ack_result r = acknowledge(s, (uint64_t[][2]){{900, 997}, {100, 200}}, 2);
    assert_true(r.stamped);
    assert_int_equal(r.stamp.delivered, 997);
    assert_int_equal(r.stamp_time, 998);
    r = acknowledge(s, (uint64_t[][2]){{700, 997}}, 1);
    assert_int_equal(r.stamp.delivered, 899);
    r = acknowledge(s, (uint64_t[][2]){{700, 997}}, 1);
    assert_false(r.stamped);
    space_free(s);
}

static void losses_are_reported_in_order_with_their_stamps(void **state) {
    (void)state;
    space *s = space_new();
    losses seen = {0};
    quic_sent_keep_stamps(&s->sent, note_loss, &seen);
    send_stamped(s, PACKETS, DATA);
    (void)acknowledge(s, (uint64_t[][2]){{500, 999}, {300, 399}}, 2);
    quic_loss_result lost = detect(s, 2000);
    assert_int_equal(lost.lost_bytes, 400 * 1000);
    assert_int_equal(seen.count, 400);
    assert_int_equal(seen.bytes, lost.lost_bytes);
    assert_int_equal(seen.last_pn, 499);
    assert_int_equal(seen.sum_of_stamps, 299 * 300 / 2 + (499 * 500 - 399 * 400) / 2);
    space_free(s);
}

static void what_does_not_count_gives_none(void **state) {
    (void)state;
    space *s = space_new();
    losses seen = {0};
    quic_sent_keep_stamps(&s->sent, note_loss, &seen);
    send_stamped(s, 1, 0);                      // an acknowledgement
    send_stamped(s, 1, DATA | SENT_MTU_PROBE);  // 1: to be lost
    send_stamped(s, 1, DATA);                   // 2: of an older generation below
    quic_sent_follow(&s->sent, 1);
    send_stamped(s, 5, DATA);
    quic_ack_result r = acknowledge(s, (uint64_t[][2]){{0, 0}}, 1);
    assert_false(r.stamped);
    r = acknowledge(s, (uint64_t[][2]){{2, 2}}, 1);
    assert_false(r.stamped);
    r = acknowledge(s, (uint64_t[][2]){{7, 7}}, 1);
    assert_int_equal(r.stamp.delivered, 7);
    (void)detect(s, 10);
    assert_int_equal(seen.count, 2);  // 3 and 4
    assert_int_equal(seen.sum_of_stamps, 7);
    space_free(s);
}

static void dropping_all_frees_them_and_more_can_be_sent(void **state) {
    (void)state;
    space *s = space_new();
    losses seen = {0};
    quic_sent_keep_stamps(&s->sent, note_loss, &seen);
    send_stamped(s, 50, DATA);
    quic_sent_drop_all(&s->sent, &s->frames, NULL, NULL);
    assert_null(s->sent.stamps);
    assert_int_equal(seen.count, 0);
    send_stamped(s, 50, DATA);
    quic_ack_result r = acknowledge(s, (uint64_t[][2]){{50, 99}}, 1);
    assert_int_equal(r.stamp.delivered, 99);
    space_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_asking_there_are_none),
        cmocka_unit_test(the_latest_packet_acknowledged_gives_its_stamp),
        cmocka_unit_test(losses_are_reported_in_order_with_their_stamps),
        cmocka_unit_test(what_does_not_count_gives_none),
        cmocka_unit_test(dropping_all_frees_them_and_more_can_be_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
