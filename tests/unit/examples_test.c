// The examples, run against each other as a reader of the documentation would.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/process_support.h"

static void client_gets_back_what_it_sent(void **state) {
    (void)state;
    process server, client;
    char ticket[1024], text[64];
    const char *const serve[] = {IROH_BIN_DIR "/echo_server", NULL};
    process_start(&server, serve, PROCESS_NULL, PROCESS_PIPE);
    size_t len = 0;
    // The ticket is one line.
    while (len < sizeof ticket - 1 && read(server.out, ticket + len, 1) == 1 && ticket[len] != '\n')
        len++;
    ticket[len] = '\0';
    assert_true(len > 0);
    for (int i = 0; i < 2; i++) {
        const char *const dial[] = {IROH_BIN_DIR "/echo_client", ticket, "hello, world", NULL};
        process_start(&client, dial, PROCESS_NULL, PROCESS_PIPE);
        assert_int_equal(process_read_all(client.out, text, sizeof text), 12);
        assert_memory_equal(text, "hello, world", 12);
        assert_int_equal(process_wait(&client), 0);
    }
    process_signal(&server, SIGTERM);
    assert_int_equal(process_wait(&server), 128 + SIGTERM);
}

static void client_says_what_is_wrong(void **state) {
    (void)state;
    process client;
    const char *const dial[] = {IROH_BIN_DIR "/echo_client", "endpointx", "hello", NULL};
    process_start(&client, dial, PROCESS_NULL, PROCESS_NULL);
    assert_int_equal(process_wait(&client), 1);
    assert_int_equal(strncmp(client.text, "echo_client: ", 13), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(client_gets_back_what_it_sent, process_kill_all),
        cmocka_unit_test_teardown(client_says_what_is_wrong, process_kill_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
