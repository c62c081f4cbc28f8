#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "quic/recvbuf.h"

static uint8_t byte_at(uint64_t offset) {
    return (uint8_t)((offset * UINT64_C(0x9e3779b97f4a7c15)) >> 33);
}

static int insert(quic_recvbuf *b, uint64_t offset, size_t len) {
    uint8_t *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(offset + i);
    int r = quic_recvbuf_insert(b, offset, bytes, len);
    free(bytes);
    return r;
}

static int loans;

static void end_loan(void *user, const void *bytes) {
    assert_ptr_equal(user, &loans);
    free((void *)(uintptr_t)bytes);
    loans--;
}

// As insert, but the buffer may keep the bytes: 1 when it does.
static int insert_lent(quic_recvbuf *b, uint64_t offset, size_t len) {
    uint8_t *bytes = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_at(offset + i);
    const quic_loan loan = {.bytes = bytes, .release = end_loan, .user = &loans};
    int r = quic_recvbuf_insert_lent(b, offset, &loan, len);
    if (r == 1)
        loans++;
    else
        free(bytes);
    return r;
}

static size_t read_some(quic_recvbuf *b, size_t max) {
    uint8_t *out = malloc(max + 1);
    uint64_t from = b->read;
    size_t n = quic_recvbuf_read(b, out, max);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(out[i], byte_at(from + i));
    assert_int_equal(b->read, from + n);
    free(out);
    return n;
}

static size_t bytes_of_memory(const quic_recvbuf *b) {
    static const size_t sizes[CHUNK_SIZES] = {256, 2048, CHUNK_LARGE_ROOM + 32};
    size_t sum = 0;
    for (const quic_chunk *c = b->first; c != NULL; c = c->next) {
        sum += c->size == CHUNK_LENT ? c->room : sizes[c->size];
        if (c->next != NULL)
            assert_true(c->base + c->room <= c->next->base);
        else
            assert_ptr_equal(b->last, c);
    }
    return sum;
}

static void in_order_bytes_come_out_in_order(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(insert(&b, i * 1400, 1400), 0);
    assert_int_equal(quic_recvbuf_readable(&b), 140000);
    assert_int_equal(ranges_count(&b.ahead), 0);
    while (read_some(&b, 999) > 0) {}
    assert_int_equal(b.read, 140000);
    assert_null(b.first);
    quic_recvbuf_dispose(&b);
}

static void gaps_hold_back_what_follows(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    assert_int_equal(insert(&b, 50000, 1000), 0);
    assert_int_equal(insert(&b, 100, 100), 0);
    assert_int_equal(b.highest, 51000);
    assert_int_equal(read_some(&b, 100), 0);
    assert_int_equal(insert(&b, 0, 100), 0);
    assert_int_equal(quic_recvbuf_readable(&b), 200);
    assert_int_equal(insert(&b, 150, 49900), 0);
    assert_int_equal(quic_recvbuf_readable(&b), 51000);
    assert_int_equal(read_some(&b, 60000), 51000);
    assert_null(b.first);
    quic_recvbuf_dispose(&b);
}

static void first_copy_of_a_byte_wins(void **state) {
    (void)state;
    quic_recvbuf b;
    uint8_t out[20];
    quic_recvbuf_init(&b);
    assert_int_equal(quic_recvbuf_insert(&b, 5, (const uint8_t *)"BBBBB", 5), 0);
    assert_int_equal(quic_recvbuf_insert(&b, 12, (const uint8_t *)"CC", 2), 0);
    assert_int_equal(quic_recvbuf_insert(&b, 3, (const uint8_t *)"dddddddddddd", 12), 0);
    assert_int_equal(quic_recvbuf_insert(&b, 0, (const uint8_t *)"aaaaaaaa", 8), 0);
    assert_int_equal(quic_recvbuf_insert(&b, 0, (const uint8_t *)"zzzzzzzzzzzzzzzz", 16), 0);
    assert_int_equal(quic_recvbuf_read(&b, out, sizeof out), 16);
    assert_memory_equal(out, "aaaddBBBBBddCCdz", 16);
    quic_recvbuf_dispose(&b);
}

static void duplicates_of_what_was_read_are_ignored(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    assert_int_equal(insert(&b, 0, 1000), 0);
    assert_int_equal(read_some(&b, 500), 500);
    assert_int_equal(insert(&b, 0, 400), 0);
    assert_int_equal(insert(&b, 300, 1000), 0);
    assert_int_equal(read_some(&b, 2000), 800);
    assert_int_equal(insert(&b, 0, 1300), 0);
    assert_null(b.first);
    quic_recvbuf_dispose(&b);
}

static void too_many_pieces_are_refused_and_touching_ones_are_not(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    for (uint64_t i = 0; i < RECVBUF_PIECES_MAX; i++)
        assert_int_equal(insert(&b, 10 + 2 * i, 1), 0);
    assert_int_equal(insert(&b, 100000, 1), IROH_ERR_LIMIT);
    assert_int_equal(insert(&b, 5, 1), IROH_ERR_LIMIT);
    assert_int_equal(ranges_count(&b.ahead), RECVBUF_PIECES_MAX);
    assert_int_equal(b.highest, 10 + 2 * RECVBUF_PIECES_MAX - 1);
    assert_int_equal(insert(&b, 11, 1), 0);
    assert_int_equal(ranges_count(&b.ahead), RECVBUF_PIECES_MAX - 1);
    assert_int_equal(insert(&b, 0, 10 + 2 * RECVBUF_PIECES_MAX), 0);
    assert_int_equal(read_some(&b, 5000), 10 + 2 * RECVBUF_PIECES_MAX);
    quic_recvbuf_dispose(&b);
}

// Every second datagram of a large window is missing: no reason to give up.
static void a_large_window_may_have_more_gaps(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    uint64_t pieces = 3 * RECVBUF_PIECES_MAX;
    for (uint64_t i = 0; i < pieces; i++)
        assert_int_equal(insert(&b, (2 * i + 1) * RECVBUF_PIECE_SPAN, RECVBUF_PIECE_SPAN), 0);
    assert_int_equal(ranges_count(&b.ahead), pieces);
    // As many small ones in between are too many.
    uint64_t i = 0;
    while (i < pieces && insert(&b, 2 * i * RECVBUF_PIECE_SPAN + RECVBUF_PIECE_SPAN / 4, 1) == 0 &&
           insert(&b, 2 * i * RECVBUF_PIECE_SPAN + RECVBUF_PIECE_SPAN / 2, 1) == 0)
        i++;
    assert_true(i < pieces);
    assert_int_equal(ranges_count(&b.ahead), 2 * pieces);
    quic_recvbuf_dispose(&b);
}

// Whatever the pattern, memory stays within the span of offsets plus two chunks.
static void scattered_bytes_do_not_cost_more_than_their_span(void **state) {
    (void)state;
    static const uint64_t steps[] = {2, 250, 1999, CHUNK_LARGE_ROOM, CHUNK_LARGE_ROOM + 1, 3 * CHUNK_LARGE_ROOM - 1};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        for (int direction = 0; direction < 2; direction++) {
            quic_recvbuf b;
            quic_recvbuf_init(&b);
            for (uint64_t k = 0; k < 100; k++)
                assert_int_equal(insert(&b, 1 + steps[i] * (direction == 0 ? k : 99 - k), 1), 0);
            assert_true(bytes_of_memory(&b) <= b.highest - b.read + 2 * CHUNK_LARGE_ROOM + 100 * sizeof(quic_chunk));
            quic_recvbuf_dispose(&b);
        }
    }
}

static void few_bytes_take_a_small_chunk(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    assert_int_equal(insert(&b, 0, 64), 0);
    assert_int_equal(bytes_of_memory(&b), 256);
    assert_int_equal(read_some(&b, 64), 64);
    assert_int_equal(bytes_of_memory(&b), 0);
    assert_int_equal(insert(&b, 64, 1400), 0);
    assert_int_equal(bytes_of_memory(&b), 2048);
    quic_recvbuf_dispose(&b);
}

static void peek_gives_the_bytes_that_consume_takes(void **state) {
    (void)state;
    quic_recvbuf b;
    size_t len;
    quic_recvbuf_init(&b);
    assert_null(quic_recvbuf_peek(&b, &len));
    assert_int_equal(insert(&b, 0, 5000), 0);
    assert_int_equal(insert(&b, 5000, 5000), 0);
    while (b.read < 10000) {
        const uint8_t *p = quic_recvbuf_peek(&b, &len);
        assert_non_null(p);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(p[i], byte_at(b.read + i));
        quic_recvbuf_consume(&b, len > 1 ? len / 2 : 1);
    }
    assert_null(quic_recvbuf_peek(&b, &len));
    assert_int_equal(len, 0);
    quic_recvbuf_dispose(&b);
}

static void discard_counts_everything_as_read(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    assert_int_equal(insert(&b, 0, 100), 0);
    assert_int_equal(insert(&b, 1000, 100), 0);
    assert_int_equal(quic_recvbuf_insert(&b, 2000, NULL, 0), 0);
    quic_recvbuf_discard(&b);
    assert_int_equal(b.read, 2000);
    assert_int_equal(quic_recvbuf_readable(&b), 0);
    assert_null(b.first);
    assert_int_equal(insert(&b, 500, 100), 0);
    assert_int_equal(quic_recvbuf_readable(&b), 0);
    assert_int_equal(insert(&b, 1990, 20), 0);
    assert_int_equal(read_some(&b, 100), 10);
    quic_recvbuf_dispose(&b);
}

static void many_bytes_in_order_stay_where_they_are(void **state) {
    (void)state;
    quic_recvbuf b;
    quic_recvbuf_init(&b);
    assert_int_equal(insert_lent(&b, 0, RECVBUF_LEND_MIN), 1);
    assert_int_equal(insert_lent(&b, RECVBUF_LEND_MIN, RECVBUF_LEND_MIN - 1), 0);  // few
    assert_int_equal(insert_lent(&b, b.ready, 9000), 1);
    assert_int_equal(insert_lent(&b, b.ready - 1, 9000), 0);  // one of them is there
    assert_int_equal(insert_lent(&b, b.ready + 1, 9000), 0);  // not the next
    assert_int_equal(insert_lent(&b, b.ready, 5000), 0);      // the others came before
    assert_int_equal(loans, 2);
    assert_int_equal(read_some(&b, RECVBUF_LEND_MIN - 1), RECVBUF_LEND_MIN - 1);
    assert_int_equal(loans, 2);
    assert_int_equal(read_some(&b, 1), 1);
    assert_int_equal(loans, 1);
    quic_recvbuf_discard(&b);
    assert_int_equal(loans, 0);
    assert_int_equal(insert_lent(&b, b.ready, 5000), 1);
    quic_recvbuf_dispose(&b);
    assert_int_equal(loans, 0);
}

// --- Against a model: one flag for each byte.

#define MODEL_MAX 100000

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static void one_schedule(uint64_t seed, bool *have) {
    quic_recvbuf b;
    uint64_t rng = seed, ready = 0;
    memset(have, 0, MODEL_MAX);
    quic_recvbuf_init(&b);
    uint64_t spread = 1 + draw(&rng, MODEL_MAX - 1);
    for (int step = 0; step < 150; step++) {
        uint64_t offset = draw(&rng, 3) == 0 ? ready : ready / 2 + draw(&rng, spread);
        size_t len = draw(&rng, draw(&rng, 4) == 0 ? 20000 : 1500);
        int (*add)(quic_recvbuf *, uint64_t, size_t) = draw(&rng, 2) == 0 ? insert : insert_lent;
        if (offset < MODEL_MAX && len <= MODEL_MAX - offset && add(&b, offset, len) >= 0)
            memset(have + offset, 1, len);
        while (ready < MODEL_MAX && have[ready])
            ready++;
        assert_int_equal(b.ready, ready);
        assert_true(bytes_of_memory(&b) <= b.highest - b.read + 4 * CHUNK_LARGE_ROOM);
        if (draw(&rng, 3) == 0)
            (void)read_some(&b, draw(&rng, 30000));
    }
    assert_int_equal(insert(&b, 0, MODEL_MAX), 0);
    (void)read_some(&b, MODEL_MAX);
    assert_int_equal(b.read, MODEL_MAX);
    assert_null(b.first);
    assert_int_equal(loans, 0);
    quic_recvbuf_dispose(&b);
}

static void agrees_with_a_model_over_random_schedules(void **state) {
    (void)state;
    bool *have = malloc(MODEL_MAX);
    for (uint64_t seed = 1; seed <= 500; seed++)
        one_schedule(seed, have);
    free(have);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_bytes_come_out_in_order),
        cmocka_unit_test(gaps_hold_back_what_follows),
        cmocka_unit_test(first_copy_of_a_byte_wins),
        cmocka_unit_test(duplicates_of_what_was_read_are_ignored),
        cmocka_unit_test(too_many_pieces_are_refused_and_touching_ones_are_not),
        cmocka_unit_test(a_large_window_may_have_more_gaps),
        cmocka_unit_test(scattered_bytes_do_not_cost_more_than_their_span),
        cmocka_unit_test(few_bytes_take_a_small_chunk),
        cmocka_unit_test(peek_gives_the_bytes_that_consume_takes),
        cmocka_unit_test(discard_counts_everything_as_read),
        cmocka_unit_test(many_bytes_in_order_stay_where_they_are),
        cmocka_unit_test(agrees_with_a_model_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
