// What an insert leaves that found no memory for its second chunk does not count, however the bytes come again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "nomem_support.h"
#include "quic/recvbuf.h"

#define MORE (CHUNK_LARGE_ROOM + 1)  // than one chunk holds

static uint8_t first[MORE], second[MORE], out[MORE];

static void end_loan(void *user, const void *bytes) {
    (void)bytes;
    (*(int *)user)++;
}

static void start(quic_recvbuf *b) {
    memset(first, 1, sizeof first);
    memset(second, 2, sizeof second);
    quic_recvbuf_init(b);
    nomem_arm_here(1);
    assert_int_equal(quic_recvbuf_insert(b, 0, first, sizeof first), IROH_ERR_NOMEM);
    assert_true(nomem_disarm());
    assert_non_null(b->first);
    assert_int_equal(quic_recvbuf_readable(b), 0);
}

static void copied_bytes_can_come_again(void **state) {
    (void)state;
    quic_recvbuf b;
    start(&b);
    assert_int_equal(quic_recvbuf_insert(&b, 0, second, sizeof second), 0);
    assert_int_equal(quic_recvbuf_read(&b, out, sizeof out), sizeof out);
    assert_memory_equal(out, second, sizeof out);
    quic_recvbuf_dispose(&b);
}

static void lent_bytes_can_come_again(void **state) {
    (void)state;
    quic_recvbuf b;
    int ended = 0;
    const quic_loan loan = {.bytes = second, .release = end_loan, .user = &ended};
    start(&b);
    assert_int_equal(quic_recvbuf_insert_lent(&b, 0, &loan, sizeof second), 1);
    assert_int_equal(quic_recvbuf_read(&b, out, sizeof out), sizeof out);
    assert_memory_equal(out, second, sizeof out);
    assert_int_equal(ended, 1);
    quic_recvbuf_dispose(&b);
}

static void without_memory_for_a_loan_the_bytes_do_not_count(void **state) {
    (void)state;
    quic_recvbuf b;
    int ended = 0;
    const quic_loan loan = {.bytes = second, .release = end_loan, .user = &ended};
    quic_recvbuf_init(&b);
    nomem_arm_here(0);
    // The loan finds none; its copy does.
    assert_int_equal(quic_recvbuf_insert_lent(&b, 0, &loan, RECVBUF_LEND_MIN), 0);
    assert_true(nomem_disarm());
    assert_int_equal(quic_recvbuf_read(&b, out, sizeof out), RECVBUF_LEND_MIN);
    assert_memory_equal(out, second, RECVBUF_LEND_MIN);
    assert_int_equal(ended, 0);
    quic_recvbuf_dispose(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copied_bytes_can_come_again),
        cmocka_unit_test(lent_bytes_can_come_again),
        cmocka_unit_test(without_memory_for_a_loan_the_bytes_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
