// Sent packets against a model that looks at every packet at every step.
#include "unit/sent_space.h"

#include "base/clock.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

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
    int expected;        // what the next reports say: ACKED or LOST
    uint64_t told;       // lost packets reported in this pass
    uint64_t last_told;  // the highest of them
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

static void model_packet_lost(void *user, const quic_sent_packet *p, uint64_t pn, bool by_time) {
    model *m = user;
    assert_true(pn < m->count);
    const model_packet *own = &m->packets[pn];
    assert_int_equal(own->fate, LOST);
    assert_true(m->told == 0 || pn > m->last_told);
    assert_int_equal(p->size, own->size);
    assert_int_equal(p->time, own->time);
    assert_int_equal(p->flags, own->flags);
    assert_int_equal(by_time, m->s->sent.largest_acked < pn + SENT_PACKET_THRESHOLD);
    m->told++;
    m->last_told = pn;
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
    const quic_loss_listener listener = {.packet = model_packet_lost, .frame = model_report, .user = m};
    m->told = 0;
    quic_sent_detect_loss(&m->s->sent, m->now, threshold, m->generation, &m->s->frames, &listener, &got);
    assert_int_equal(m->told, got.lost_packets);
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
        cmocka_unit_test(agrees_with_a_model_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
