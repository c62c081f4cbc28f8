// A resolver that takes its time must hold up nobody. The test stands in for the system's.
#include "sys/stream.h"

#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#include <iroh/error.h>

#include "base/clock.h"

#define PATIENCE_MS 20000  // of the resolver; then it gives up waiting for its release
#define STEP_US 1000

static atomic_int asked, released, gave_up, done;

// libcurl's call comes here, since a program's own definitions go before those of libraries.
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **out) {
    (void)name;
    (void)service;
    (void)hints;
    (void)out;
    atomic_store(&asked, 1);
    int steps = PATIENCE_MS;
    while (!atomic_load(&released) && steps-- > 0)
        usleep(STEP_US);
    if (!atomic_load(&released))
        atomic_store(&gave_up, 1);
    atomic_store(&done, 1);
    return EAI_AGAIN;
}

static void turn(sys_loop *l, sys_streams *g) {
    sys_streams_prepare(g);
    sys_loop_set_deadline(l, sys_streams_deadline(g));
    assert_int_equal(sys_loop_run(l, 1), 0);
    sys_streams_process(g);
}

static void closing_does_not_wait_for_the_resolver(void **state) {
    (void)state;
    sys_loop *l;
    sys_streams *g;
    sys_stream *s;
    // Older ones always wait.
    if (curl_version_info(CURLVERSION_NOW)->version_num < 0x075700)
        skip();
    assert_int_equal(sys_loop_new(&l), 0);
    assert_int_equal(sys_streams_new(l, &(sys_streams_config){0}, &g), 0);
    assert_int_equal(sys_stream_open(g, 0, "slow.example", 12, 80, &s), 0);
    while (!atomic_load(&asked) && sys_stream_state(s) == IROH_ERR_AGAIN)
        turn(l, g);
    assert_int_equal(sys_stream_state(s), IROH_ERR_AGAIN);
    sys_stream_close(s);
    sys_streams_free(g);
    sys_loop_free(l);
    assert_false(atomic_load(&gave_up));
    assert_false(atomic_load(&done));
    atomic_store(&released, 1);
    while (!atomic_load(&done))
        usleep(STEP_US);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(closing_does_not_wait_for_the_resolver)};
    return cmocka_run_group_tests_name("sys_stream_slow", tests, NULL, NULL);
}
