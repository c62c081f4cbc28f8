#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quic/sendbuf.h"

static uint8_t byte_at(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0x9e3779b97f4a7c15)) >> 33);
}

static void write_more(quic_sendbuf *b, size_t len) {
    uint8_t *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(b->end + i);
    assert_int_equal(quic_sendbuf_write(b, bytes, len), 0);
    free(bytes);
}

static int loans;  // that are out

static void end_loan(void *user, const void *bytes) {
    assert_ptr_equal(user, &loans);
    loans--;
    free((void *)(uintptr_t)bytes);
}

static void lend_more(quic_sendbuf *b, size_t len) {
    uint8_t *bytes = malloc(len);
    quic_loan loan = {.bytes = bytes, .release = end_loan, .user = &loans};
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(b->end + i);
    assert_int_equal(quic_sendbuf_lend(b, &loan, (uint32_t)len), 0);
    loans++;
}

// Takes the next span, checks its bytes and marks it sent.
static size_t send_some(quic_sendbuf *b, size_t max, uint64_t limit, uint64_t *offset) {
    size_t len = quic_sendbuf_next(b, max, limit, offset);
    uint8_t *out = malloc(len + 1);
    quic_sendbuf_copy(b, *offset, out, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(out[i], byte_at(*offset + i));
    free(out);
    quic_sendbuf_sent(b, *offset, len);
    return len;
}

static void sends_what_was_written_within_the_limit(void **state) {
    (void)state;
    quic_sendbuf b;
    uint64_t offset;
    quic_sendbuf_init(&b);
    write_more(&b, 1000);
    assert_int_equal(send_some(&b, 300, UINT64_MAX, &offset), 300);
    assert_int_equal(offset, 0);
    assert_int_equal(send_some(&b, 300, 400, &offset), 100);
    assert_int_equal(offset, 300);
    assert_false(quic_sendbuf_pending(&b, 400));
    assert_true(quic_sendbuf_pending(&b, 401));
    assert_int_equal(send_some(&b, 5000, 400, &offset), 0);
    assert_int_equal(send_some(&b, 5000, 2000, &offset), 600);
    assert_false(quic_sendbuf_pending(&b, UINT64_MAX));
    quic_sendbuf_dispose(&b);
}

static void lost_bytes_go_before_new_ones(void **state) {
    (void)state;
    quic_sendbuf b;
    uint64_t offset;
    quic_sendbuf_init(&b);
    write_more(&b, 1000);
    for (int i = 0; i < 5; i++)
        assert_int_equal(send_some(&b, 100, 1000, &offset), 100);
    quic_sendbuf_lost(&b, 300, 100);
    quic_sendbuf_lost(&b, 100, 100);
    assert_true(quic_sendbuf_pending(&b, 0));
    assert_int_equal(send_some(&b, 1000, 1000, &offset), 100);
    assert_int_equal(offset, 100);
    assert_int_equal(send_some(&b, 60, 1000, &offset), 60);
    assert_int_equal(offset, 300);
    assert_int_equal(send_some(&b, 1000, 1000, &offset), 40);
    assert_int_equal(offset, 360);
    assert_int_equal(send_some(&b, 1000, 1000, &offset), 500);
    assert_int_equal(offset, 500);
    quic_sendbuf_dispose(&b);
}

static void what_arrived_after_all_is_not_sent_again(void **state) {
    (void)state;
    quic_sendbuf b;
    uint64_t offset;
    quic_sendbuf_init(&b);
    write_more(&b, 1000);
    send_some(&b, 1000, 1000, &offset);
    quic_sendbuf_acked(&b, 400, 200);
    quic_sendbuf_lost(&b, 300, 500);
    quic_sendbuf_acked(&b, 650, 50);
    static const uint64_t expected[][2] = {{300, 100}, {600, 50}, {700, 100}};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(send_some(&b, 1000, 1000, &offset), expected[i][1]);
        assert_int_equal(offset, expected[i][0]);
    }
    assert_false(quic_sendbuf_pending(&b, UINT64_MAX));
    quic_sendbuf_dispose(&b);
}

static void acknowledged_front_is_freed_and_empty_owns_nothing(void **state) {
    (void)state;
    quic_sendbuf b;
    quic_chunks chunks;
    uint64_t offset;
    quic_chunks_init(&chunks);
    quic_sendbuf_init(&b);
    b.chunks = &chunks;
    write_more(&b, 100000);
    uint32_t all = chunks.in_use;
    while (send_some(&b, 1000, UINT64_MAX, &offset) > 0) {}
    quic_sendbuf_acked(&b, 50000, 50000);
    assert_int_equal(quic_sendbuf_held(&b), 100000);
    assert_int_equal(chunks.in_use, all);
    quic_sendbuf_acked(&b, 0, 40000);
    assert_int_equal(quic_sendbuf_held(&b), 60000);
    assert_true(chunks.in_use < all);
    quic_sendbuf_acked(&b, 40000, 10000);
    assert_true(quic_sendbuf_all_acked(&b));
    assert_int_equal(chunks.in_use, 0);
    assert_null(b.first);
    quic_chunks_trim(&chunks);
    quic_sendbuf_dispose(&b);
}

static void few_bytes_take_a_small_chunk(void **state) {
    (void)state;
    quic_sendbuf b;
    quic_sendbuf_init(&b);
    write_more(&b, 64);
    assert_int_equal(b.first->size, CHUNK_SMALL);
    write_more(&b, 1400);
    assert_int_equal(b.last->size, CHUNK_MEDIUM);
    write_more(&b, 1400);
    assert_int_equal(b.last->size, CHUNK_LARGE);
    quic_sendbuf_dispose(&b);
}

static void reports_outside_of_what_was_sent_are_ignored(void **state) {
    (void)state;
    quic_sendbuf b;
    uint64_t offset;
    quic_sendbuf_init(&b);
    write_more(&b, 1000);
    send_some(&b, 500, 1000, &offset);
    quic_sendbuf_acked(&b, 500, 500);
    quic_sendbuf_lost(&b, 500, 500);
    assert_int_equal(quic_sendbuf_held(&b), 1000);
    assert_int_equal(quic_sendbuf_next(&b, 1000, 1000, &offset), 500);
    assert_int_equal(offset, 500);
    quic_sendbuf_acked(&b, 0, 500);
    quic_sendbuf_lost(&b, 0, 500);
    assert_int_equal(quic_sendbuf_next(&b, 1000, 1000, &offset), 500);
    assert_int_equal(offset, 500);
    quic_sendbuf_dispose(&b);
}

static void discard_ends_the_buffer_where_sending_stopped(void **state) {
    (void)state;
    quic_sendbuf b;
    uint64_t offset;
    quic_sendbuf_init(&b);
    write_more(&b, 1000);
    send_some(&b, 300, 1000, &offset);
    quic_sendbuf_lost(&b, 0, 100);
    quic_sendbuf_discard(&b);
    assert_int_equal(b.end, 300);
    assert_int_equal(b.unsent, 300);
    assert_int_equal(quic_sendbuf_held(&b), 0);
    assert_false(quic_sendbuf_pending(&b, UINT64_MAX));
    quic_sendbuf_acked(&b, 0, 300);
    quic_sendbuf_lost(&b, 0, 300);
    assert_false(quic_sendbuf_pending(&b, UINT64_MAX));
    quic_sendbuf_dispose(&b);
}

static void lent_bytes_go_back_when_nobody_needs_them(void **state) {
    (void)state;
    quic_sendbuf b;
    quic_chunks chunks;
    uint64_t offset;
    quic_chunks_init(&chunks);
    quic_sendbuf_init(&b);
    b.chunks = &chunks;
    write_more(&b, 100);
    lend_more(&b, 50000);
    lend_more(&b, 1);
    write_more(&b, 100);
    lend_more(&b, 30000);
    assert_int_equal(quic_sendbuf_held(&b), 80201);
    while (send_some(&b, 1000, UINT64_MAX, &offset) > 0) {}
    quic_sendbuf_acked(&b, 100, 49999);
    assert_int_equal(loans, 3);
    quic_sendbuf_acked(&b, 0, 100);
    assert_int_equal(loans, 3);
    quic_sendbuf_acked(&b, 50099, 1);
    assert_int_equal(loans, 2);
    quic_sendbuf_lost(&b, 50100, 101);
    assert_int_equal(send_some(&b, 1000, UINT64_MAX, &offset), 101);
    assert_int_equal(offset, 50100);
    quic_sendbuf_acked(&b, 50100, 101);
    assert_int_equal(loans, 1);
    quic_sendbuf_discard(&b);
    assert_int_equal(loans, 0);
    assert_int_equal(chunks.in_use, 0);
    lend_more(&b, 10);
    quic_sendbuf_dispose(&b);
    assert_int_equal(loans, 0);
    quic_chunks_trim(&chunks);
}

// --- Against a model: one state for each byte.

enum { UNSENT, FLYING, LOST, ACKED };

#define MODEL_MAX 60000

typedef struct model {
    uint8_t state[MODEL_MAX];
    struct {
        uint64_t offset;
        size_t len;
    } packets[256];
    size_t packet_count;
    uint64_t rng;
} model;

static uint64_t draw(model *m, uint64_t bound) {
    m->rng = m->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (m->rng >> 33) % bound;
}

static void model_send(model *m, quic_sendbuf *b) {
    uint64_t offset;
    size_t len = send_some(b, 1 + draw(m, 3000), UINT64_MAX, &offset);
    uint64_t lowest = 0;
    while (lowest < b->end && m->state[lowest] != LOST)
        lowest++;
    if (lowest == b->end) {
        lowest = 0;
        while (lowest < b->end && m->state[lowest] != UNSENT)
            lowest++;
    }
    assert_true(len > 0 ? offset == lowest : lowest == b->end);
    uint8_t was = m->state[offset];
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(m->state[offset + i], was);
        m->state[offset + i] = FLYING;
    }
    if (len == 0)
        return;
    m->packets[m->packet_count].offset = offset;
    m->packets[m->packet_count++].len = len;
}

// One packet is acknowledged or lost, and now and then only reported lost while it still flies.
static void model_settle(model *m, quic_sendbuf *b) {
    if (m->packet_count == 0)
        return;
    size_t i = draw(m, m->packet_count);
    uint64_t offset = m->packets[i].offset;
    size_t len = m->packets[i].len;
    bool acked = draw(m, 3) > 0;
    if (acked)
        quic_sendbuf_acked(b, offset, len);
    else
        quic_sendbuf_lost(b, offset, len);
    for (size_t j = 0; j < len; j++) {
        if (acked)
            m->state[offset + j] = ACKED;
        else if (m->state[offset + j] != ACKED)
            m->state[offset + j] = LOST;
    }
    if (acked || draw(m, 2) == 0)
        m->packets[i] = m->packets[--m->packet_count];
}

static void model_check(const model *m, const quic_sendbuf *b) {
    uint64_t start = 0;
    while (start < b->end && m->state[start] == ACKED)
        start++;
    assert_int_equal(b->start, start);
    bool pending = false;
    for (uint64_t i = start; i < b->end; i++)
        pending |= m->state[i] == LOST || m->state[i] == UNSENT;
    assert_int_equal(quic_sendbuf_pending(b, UINT64_MAX), pending);
}

static void agrees_with_a_model_over_random_schedules(void **state) {
    (void)state;
    model *m = malloc(sizeof *m);
    for (uint64_t seed = 1; seed <= 300; seed++) {
        quic_sendbuf b;
        *m = (model){.rng = seed};
        quic_sendbuf_init(&b);
        for (int step = 0; step < 200; step++) {
            uint64_t what = draw(m, 4);
            if (what == 0 && b.end < MODEL_MAX - 20000 && draw(m, 3) == 0)
                lend_more(&b, 1 + draw(m, 20000));
            else if (what == 0 && b.end < MODEL_MAX - 20000)
                write_more(&b, draw(m, draw(m, 2) == 0 ? 200 : 20000));
            else if (what == 1 && m->packet_count < 255)
                model_send(m, &b);
            else
                model_settle(m, &b);
            if (step % 10 == 0)
                model_check(m, &b);
        }
        model_check(m, &b);
        quic_sendbuf_dispose(&b);
        assert_int_equal(loans, 0);
    }
    free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_was_written_within_the_limit),
        cmocka_unit_test(lost_bytes_go_before_new_ones),
        cmocka_unit_test(what_arrived_after_all_is_not_sent_again),
        cmocka_unit_test(acknowledged_front_is_freed_and_empty_owns_nothing),
        cmocka_unit_test(few_bytes_take_a_small_chunk),
        cmocka_unit_test(reports_outside_of_what_was_sent_are_ignored),
        cmocka_unit_test(discard_ends_the_buffer_where_sending_stopped),
        cmocka_unit_test(lent_bytes_go_back_when_nobody_needs_them),
        cmocka_unit_test(agrees_with_a_model_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
