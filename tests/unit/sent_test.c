#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/sent.h"

#define ACK_ROOM 4096
#define THRESHOLD (100 * NS_PER_MS)  // time threshold of the hand-written cases
#define DATA (SENT_ACK_ELICITING | SENT_IN_FLIGHT)

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

// --- A space under test, and what it reports

typedef struct reports {
    uint64_t count;
    uint64_t last_pn;
    uint64_t sum_of_ids;
} reports;

typedef struct space {
    quic_sent sent;
    pool frames;
    reports acked, lost;
} space;

static void note_report(void *user, const quic_sent_frame *f, uint64_t pn) {
    reports *r = user;
    r->count++;
    r->last_pn = pn;
    r->sum_of_ids += f->id;
}

static space *space_new(void) {
    space *s = calloc(1, sizeof *s);
    quic_sent_init(&s->sent);
    pool_init(&s->frames, sizeof(quic_sent_frame), 16, POOL_MALLOC);
    return s;
}

// Asserts that every frame came back.
static void space_free(space *s) {
    quic_sent_dispose(&s->sent, &s->frames);
    assert_int_equal(s->frames.in_use, 0);
    pool_dispose(&s->frames);
    free(s);
}

static quic_sent_frame *frame_of(space *s, quic_sent_frame *next, uint64_t id) {
    quic_sent_frame *f = pool_take(&s->frames);
    *f = (quic_sent_frame){.next = next, .type = FRAME_STREAM, .id = id};
    return f;
}

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

// An ACK frame for the ranges, given as inclusive {low, high} from the highest down; `room` holds their encoding.
static quic_ack_frame ack_of(uint64_t (*r)[2], size_t count, uint8_t room[static ACK_ROOM]) {
    writer w = writer_of(room, ACK_ROOM);
    for (size_t i = 1; i < count; i++) {
        writer_varint(&w, r[i - 1][0] - r[i][1] - 2);
        writer_varint(&w, r[i][1] - r[i][0]);
    }
    assert_false(w.failed);
    return (quic_ack_frame){
        .largest = r[0][1],
        .first_range = r[0][1] - r[0][0],
        .range_count = count - 1,
        .ranges = room,
        .ranges_len = writer_len(&w),
    };
}

static int acknowledge(space *s, uint64_t low, uint64_t high, quic_ack_result *result) {
    uint8_t room[ACK_ROOM];
    uint64_t r[1][2] = {{low, high}};
    quic_ack_frame ack = ack_of(r, 1, room);
    return quic_sent_ack(&s->sent, &ack, s->sent.generation, &s->frames, note_report, &s->acked, result);
}

static quic_loss_result detect(space *s, uint64_t now) {
    quic_loss_result result;
    quic_sent_detect_loss(&s->sent, now, THRESHOLD, s->sent.generation, &s->frames, note_report, &s->lost, &result);
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

// --- Against a model that looks at every packet at every step

#define MODEL_PACKETS 2000

typedef enum fate { FLYING, ACKED, LOST, LEFT_OUT } fate;

typedef struct model_packet {
    fate fate;
    uint64_t time;
    uint16_t size;
    int flags;
    uint32_t generation;
    int frames;  // not yet reported
} model_packet;

typedef struct model {
    space *s;
    model_packet packets[MODEL_PACKETS];
    uint64_t count;
    uint64_t largest_acked;
    uint32_t generation;
    uint64_t now;
    uint64_t rng;
    int expected;  // what the next reports say: ACKED or LOST
} model;

static void model_report(void *user, const quic_sent_frame *f, uint64_t pn) {
    model *m = user;
    model_packet *p = &m->packets[pn];
    assert_true(pn < m->count);
    assert_int_equal(f->id, pn);
    assert_true(p->frames > 0);
    assert_int_equal(p->fate, m->expected);
    p->frames--;
}

static void model_send(model *m) {
    if (m->count == MODEL_PACKETS)
        return;
    model_packet *p = &m->packets[m->count];
    quic_sent *s = &m->s->sent;
    if (draw(&m->rng, 20) == 0) {
        *p = (model_packet){.fate = LEFT_OUT};
        assert_int_equal(quic_sent_skip(s), 0);
        m->count++;
        return;
    }
    static const int kinds[] = {DATA, DATA, DATA | SENT_ECT, DATA | SENT_MTU_PROBE, SENT_IN_FLIGHT, SENT_ACK_ELICITING,
                                0,    0};
    *p = (model_packet){
        .fate = FLYING,
        .time = m->now,
        .size = (uint16_t)(20 + draw(&m->rng, 1400)),
        .flags = kinds[draw(&m->rng, sizeof kinds / sizeof *kinds)],
        .generation = m->generation,
    };
    quic_sent_frame *chain = NULL;
    if ((p->flags & SENT_ACK_ELICITING) != 0)
        p->frames = (int)draw(&m->rng, 4);
    for (int i = 0; i < p->frames; i++)
        chain = frame_of(m->s, chain, m->count);
    assert_int_equal(quic_sent_reserve(s), 0);
    quic_sent_add(s, m->now, p->size, (uint8_t)p->flags, m->generation, chain);
    m->count++;
}

static bool model_counts(const model *m, const model_packet *p) {
    return p->generation == m->generation && (p->flags & SENT_IN_FLIGHT) != 0;
}

static bool model_matters(const model_packet *p) {
    return (p->flags & (SENT_IN_FLIGHT | SENT_ACK_ELICITING)) != 0;
}

// What quic_sent_ack should say of [low, high], which is marked as acknowledged.
static void model_ack_range(model *m, uint64_t low, uint64_t high, uint64_t largest, quic_ack_result *r) {
    for (uint64_t pn = high + 1; pn-- > low;) {
        model_packet *p = &m->packets[pn];
        // Whether a loss is remembered is a matter of memory, which other cases look at.
        if (p->fate == LOST)
            r->spurious += pn >= m->s->sent.base && model_matters(p);
        if (p->fate == FLYING) {
            r->latest_time = r->acked_packets++ == 0 ? p->time : r->latest_time;
            r->acked_bytes += model_counts(m, p) ? p->size : 0;
            r->acked_eliciting |= (p->flags & SENT_ACK_ELICITING) != 0;
            if (p->generation == m->generation) {
                r->acked_ect += (p->flags & SENT_ECT) != 0;
                r->mtu_probe = (p->flags & SENT_MTU_PROBE) != 0 && p->size > r->mtu_probe ? p->size : r->mtu_probe;
                r->largest_size_pn = p->size > r->largest_size ? pn : r->largest_size_pn;
                r->largest_size = p->size > r->largest_size ? p->size : r->largest_size;
                r->largest_newly_acked |= pn == largest;
            }
        }
        p->fate = ACKED;
    }
}

// Whether the number may be acknowledged without complaint.
static bool model_blameless(const model *m, uint64_t pn) {
    return pn < m->count && m->packets[pn].fate != LEFT_OUT;
}

// The complaint is certain for numbers in the ring and the latest skipped one.
static bool model_caught(const model *m, uint64_t pn) {
    if (pn >= m->count)
        return true;
    bool latest = true;
    for (uint64_t later = pn + 1; later < m->count; later++)
        latest &= m->packets[later].fate != LEFT_OUT;
    return m->packets[pn].fate == LEFT_OUT && (latest || pn >= m->s->sent.base);
}

// Random ranges from the highest down; mostly honest ones.
static size_t model_ranges(model *m, uint64_t (*ranges)[2], size_t max) {
    bool liar = draw(&m->rng, 30) == 0;
    size_t n = 0;
    uint64_t top = m->count - 1 - draw(&m->rng, m->count < 30 ? m->count : 30) + (liar ? draw(&m->rng, 40) : 0);
    for (uint64_t pn = top + 1; pn-- > 0 && n < max;) {
        if ((!liar && !model_blameless(m, pn)) || draw(&m->rng, 12) == 0)
            continue;
        ranges[n][0] = ranges[n][1] = pn;
        while (ranges[n][0] > 0 && (liar || model_blameless(m, ranges[n][0] - 1)) && draw(&m->rng, 12) != 0)
            ranges[n][0]--;
        pn = ranges[n][0];
        n++;
        if (pn > 0)
            pn--;
    }
    return n;
}

static void model_ack(model *m) {
    uint64_t ranges[20][2];
    uint8_t room[ACK_ROOM];
    if (m->count == 0)
        return;
    size_t n = model_ranges(m, ranges, 1 + draw(&m->rng, 20));
    if (n == 0)
        return;
    quic_ack_frame ack = ack_of(ranges, n, room);
    quic_ack_result expected = {0}, got;
    bool caught = false, blameless = true;
    for (size_t i = 0; i < n; i++) {
        for (uint64_t pn = ranges[i][0]; pn <= ranges[i][1]; pn++) {
            caught |= model_caught(m, pn);
            blameless &= model_blameless(m, pn);
        }
    }
    if (!caught && !blameless)
        return;  // a forgotten skip: allowed to pass, but not worth a model
    if (!caught) {
        for (size_t i = 0; i < n; i++)
            model_ack_range(m, ranges[i][0], ranges[i][1], ack.largest, &expected);
        if (m->largest_acked == QUIC_PN_NONE || ack.largest > m->largest_acked)
            m->largest_acked = ack.largest;
    }
    m->expected = ACKED;
    int error = quic_sent_ack(&m->s->sent, &ack, m->generation, &m->s->frames, model_report, m, &got);
    assert_int_equal(error, caught ? QUIC_PROTOCOL_VIOLATION : 0);
    assert_int_equal(got.acked_packets, expected.acked_packets);
    assert_int_equal(got.acked_bytes, expected.acked_bytes);
    assert_int_equal(got.acked_ect, expected.acked_ect);
    assert_int_equal(got.acked_eliciting, expected.acked_eliciting);
    assert_int_equal(got.largest_newly_acked, expected.largest_newly_acked);
    assert_int_equal(got.latest_time, expected.latest_time);
    assert_int_equal(got.spurious, expected.spurious);
    assert_int_equal(got.mtu_probe, expected.mtu_probe);
    assert_int_equal(got.largest_size, expected.largest_size);
    assert_int_equal(got.largest_size_pn, expected.largest_size_pn);
}

static void model_detect(model *m) {
    quic_loss_result expected = {0}, got;
    uint64_t loss_time = TIME_NEVER, threshold = 20 + draw(&m->rng, 50);
    bool stretch = false;
    uint64_t since = 0, span = 0;
    for (uint64_t pn = 0; m->largest_acked != QUIC_PN_NONE && pn < m->largest_acked; pn++) {
        model_packet *p = &m->packets[pn];
        stretch &= p->fate != ACKED;
        if (p->fate != FLYING)
            continue;
        if (m->largest_acked - pn < SENT_PACKET_THRESHOLD && p->time + threshold > m->now) {
            if (model_matters(p) && p->time + threshold < loss_time)
                loss_time = p->time + threshold;
            continue;
        }
        p->fate = LOST;
        expected.lost_packets += model_matters(p);
        if (!model_counts(m, p))
            continue;
        if ((p->flags & SENT_MTU_PROBE) != 0) {
            expected.mtu_probe = p->size > expected.mtu_probe ? p->size : expected.mtu_probe;
            continue;
        }
        expected.lost_bytes += p->size;
        expected.largest_lost_time = p->time;
        if ((p->flags & SENT_ACK_ELICITING) == 0)
            continue;
        since = stretch ? since : p->time;
        stretch = true;
        span = p->time - since > span ? p->time - since : span;
    }
    m->expected = LOST;
    quic_sent_detect_loss(&m->s->sent, m->now, threshold, m->generation, &m->s->frames, model_report, m, &got);
    assert_int_equal(got.lost_packets, expected.lost_packets);
    assert_int_equal(got.lost_bytes, expected.lost_bytes);
    assert_int_equal(got.largest_lost_time, expected.largest_lost_time);
    assert_int_equal(got.mtu_probe, expected.mtu_probe);
    assert_int_equal(got.last_lost_time - got.first_lost_time, span);
    assert_int_equal(m->s->sent.loss_time, loss_time);
}

static void model_probe(model *m) {
    uint64_t oldest = QUIC_PN_NONE;
    for (uint64_t pn = m->count; pn-- > 0;) {
        if (m->packets[pn].fate == FLYING && m->packets[pn].frames > 0)
            oldest = pn;
    }
    m->expected = FLYING;
    bool found = quic_sent_probe_oldest(&m->s->sent, &m->s->frames, model_report, m);
    assert_int_equal(found, oldest != QUIC_PN_NONE);
    if (found)
        assert_int_equal(m->packets[oldest].frames, 0);
}

static void model_check(const model *m) {
    const quic_sent *s = &m->s->sent;
    uint64_t eliciting = 0, in_flight = 0, frames = 0;
    for (uint64_t pn = 0; pn < m->count; pn++) {
        const model_packet *p = &m->packets[pn];
        frames += (uint64_t)p->frames;
        if (p->fate != FLYING) {
            assert_int_equal(p->frames, 0);
            continue;
        }
        assert_true(pn >= s->base && pn >= s->first);
        eliciting += (p->flags & SENT_ACK_ELICITING) != 0;
        in_flight += model_counts(m, p) ? p->size : 0;
    }
    assert_int_equal(s->next, m->count);
    assert_int_equal(s->largest_acked, m->largest_acked);
    assert_int_equal(s->eliciting, eliciting);
    assert_int_equal(s->in_flight, in_flight);
    assert_int_equal(m->s->frames.in_use, frames);
    assert_true(s->next - s->base <= s->capacity);
}

static void one_model(uint64_t seed, model *m) {
    *m = (model){.s = space_new(), .largest_acked = QUIC_PN_NONE, .rng = seed, .now = 1};
    uint64_t busy = 1 + draw(&m->rng, 6);
    while (m->count < MODEL_PACKETS) {
        m->now += draw(&m->rng, 8);
        for (uint64_t n = draw(&m->rng, 4 * busy); n > 0; n--)
            model_send(m);
        if (draw(&m->rng, 2) == 0) {
            model_ack(m);
            model_detect(m);
        }
        if (draw(&m->rng, 10) == 0)
            model_detect(m);
        if (draw(&m->rng, 40) == 0)
            model_probe(m);
        if (draw(&m->rng, 100) == 0)
            quic_sent_follow(&m->s->sent, ++m->generation);
        if (draw(&m->rng, 8) == 0)
            model_check(m);
    }
    model_check(m);
    space_free(m->s);
}

static void agrees_with_a_model_over_random_schedules(void **state) {
    (void)state;
    model *m = malloc(sizeof *m);
    for (uint64_t seed = 1; seed <= 300; seed++)
        one_model(seed, m);
    free(m);
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
        cmocka_unit_test(agrees_with_a_model_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
