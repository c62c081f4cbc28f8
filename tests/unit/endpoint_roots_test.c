// Reading the roots of certificates beside the loop.
#include "endpoint/roots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "certificate_support.h"

#define LONG_MS 20000

static sys_loop *loop;

static int set_up(void **state) {
    (void)state;
    return sys_loop_new(&loop);
}

static int tear_down(void **state) {
    (void)state;
    sys_loop_free(loop);
    return 0;
}

// The loop is woken once they are there.
static int await(roots_reader *r, web_roots **out) {
    int result;
    while ((result = roots_result(r, out)) == IROH_ERR_AGAIN)
        assert_int_equal(sys_loop_run(loop, LONG_MS), 0);
    return result;
}

static int read_all(const char *ca_file, web_roots **out) {
    roots_reader *r;
    assert_int_equal(roots_read(loop, ca_file, &r), 0);
    int result = await(r, out);
    roots_reader_free(r);
    return result;
}

static void roots_of_a_file_are_the_callers(void **state) {
    (void)state;
    const test_certificate *c = test_certificate_get();
    char path[] = "/tmp/iroh-roots-XXXXXX";
    web_roots *a, *b;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, c->chain, strlen(c->chain)), strlen(c->chain));
    (void)close(fd);
    assert_int_equal(read_all(path, &a), 0);
    assert_int_equal(read_all(path, &b), 0);
    assert_ptr_not_equal(a, b);
    web_roots_unref(a);
    web_roots_unref(b);
    (void)unlink(path);
    assert_int_equal(read_all(path, &a), IROH_ERR_NOT_FOUND);
}

static void roots_of_the_system_are_read_once(void **state) {
    (void)state;
    enum { READERS = 8 };
    roots_reader *readers[READERS];
    web_roots *roots[READERS], *later;
    if (read_all(NULL, &later) == IROH_ERR_NOT_FOUND) {
        print_message("this machine has no roots\n");
        skip();
    }
    for (int i = 0; i < READERS; i++)
        assert_int_equal(roots_read(loop, NULL, &readers[i]), 0);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(await(readers[i], &roots[i]), 0);
        assert_ptr_equal(roots[i], later);
        roots_reader_free(readers[i]);
        web_roots_unref(roots[i]);
    }
    web_roots_unref(later);
}

static void reader_may_be_given_up(void **state) {
    (void)state;
    roots_reader *r;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(roots_read(loop, i % 2 == 0 ? NULL : "/nonexistent/file", &r), 0);
        roots_reader_free(r);
    }
    roots_reader_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_of_a_file_are_the_callers),
        cmocka_unit_test(roots_of_the_system_are_read_once),
        cmocka_unit_test(reader_may_be_given_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
