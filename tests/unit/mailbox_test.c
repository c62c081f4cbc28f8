// Mailboxes: letters arrive once, those of a sender in order, and none is slept through.
#include "relay_server/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <uv.h>

#define PATIENCE_MS 20000

static sys_loop *loop;
static mailbox box;

static int set_up(void **state) {
    (void)state;
    assert_int_equal(sys_loop_new(&loop), 0);
    mailbox_init(&box, loop);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    assert_null(mailbox_take(&box));
    sys_loop_free(loop);
    return 0;
}

static void letters_come_oldest_first_and_once(void **state) {
    (void)state;
    letter letters[3] = {{.kind = 1}, {.kind = 2}, {.kind = 3}};
    assert_null(mailbox_take(&box));
    for (int i = 0; i < 3; i++)
        mailbox_push(&box, &letters[i]);
    const letter *at = mailbox_take(&box);
    for (int i = 0; i < 3; i++, at = at->next)
        assert_ptr_equal(at, &letters[i]);
    assert_null(at);
    assert_null(mailbox_take(&box));
    mailbox_push(&box, &letters[1]);  // may be used again
    at = mailbox_take(&box);
    assert_ptr_equal(at, &letters[1]);
    assert_null(at->next);
}

static void nobody_sleeps_on_a_letter(void **state) {
    (void)state;
    letter one = {.kind = 1}, two = {.kind = 2};
    mailbox_push(&box, &one);
    assert_false(mailbox_sleep(&box));
    assert_ptr_equal(mailbox_take(&box), &one);
    assert_true(mailbox_sleep(&box));
    mailbox_push(&box, &two);  // wakes the loop, which would wait for ever
    assert_int_equal(sys_loop_run(loop, -1), 0);
    mailbox_awake(&box);
    assert_ptr_equal(mailbox_take(&box), &two);
}

// --- Many senders

enum { SENDERS = 4, EACH = 20000 };

typedef struct numbered {
    letter letter;
    uint32_t sender, number;
} numbered;

static void send_all(void *user) {
    numbered *mine = user;
    for (uint32_t i = 0; i < EACH; i++)
        mailbox_push(&box, &mine[i].letter);
}

static void letters_of_many_threads_all_arrive_in_order(void **state) {
    (void)state;
    uv_thread_t threads[SENDERS];
    uint32_t next[SENDERS] = {0};
    numbered *all = calloc((size_t)SENDERS * EACH, sizeof *all);
    assert_non_null(all);
    for (uint32_t s = 0; s < SENDERS; s++) {
        for (uint32_t i = 0; i < EACH; i++)
            all[s * EACH + i] = (numbered){.sender = s, .number = i};
        assert_int_equal(uv_thread_create(&threads[s], send_all, &all[s * EACH]), 0);
    }
    for (size_t got = 0; got < (size_t)SENDERS * EACH;) {
        // Long enough that a letter without a wake-up makes the test fail, not slow.
        if (mailbox_sleep(&box))
            assert_int_equal(sys_loop_run(loop, PATIENCE_MS), 0);
        mailbox_awake(&box);
        const letter *at = mailbox_take(&box);
        for (; at != NULL; at = at->next, got++) {
            const numbered *n = (const numbered *)at;
            assert_int_equal(n->number, next[n->sender]++);
        }
    }
    for (uint32_t s = 0; s < SENDERS; s++)
        assert_int_equal(uv_thread_join(&threads[s]), 0);
    free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(letters_come_oldest_first_and_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_sleeps_on_a_letter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(letters_of_many_threads_all_arrive_in_order, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
