// `iroh receive` with several tickets: the same from several senders.
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/process_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define FILE_SIZE 5000000

static char dir[64], source[128], other[128], out_dir[128];

static void write_file(const char *path, size_t size, unsigned seed) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < size; i++) {
        seed = seed * 1664525 + 1013904223;
        assert_int_not_equal(fputc((int)(seed >> 24), f), EOF);
    }
    assert_int_equal(fclose(f), 0);
}

static int place_make(void **state) {
    (void)state;
    strcpy(dir, "/tmp/cli-many-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(source, sizeof source, "%s/data", dir);
    (void)snprintf(other, sizeof other, "%s/other", dir);
    (void)snprintf(out_dir, sizeof out_dir, "%s/out", dir);
    write_file(source, FILE_SIZE, 1);
    write_file(other, 100, 2);
    return 0;
}

static int place_remove(void **state) {
    char command[128];
    (void)process_kill_all(state);
    (void)snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void start_sender(process *p, const char *path, char ticket[static 512]) {
    const char *const words[] = {IROH, "send", "--bind", "127.0.0.1:0", "--direct-only", path, NULL};
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
    (void)snprintf(ticket, 512, "%s", process_word(p, "iroh receive "));
}

static int receive(process *p, const char *first, const char *second) {
    const char *const words[] = {IROH, "receive", "--bind", "127.0.0.1:0", "--to", out_dir, first, second, NULL};
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
    return process_wait(p);
}

static void assert_received(void) {
    char command[512];
    (void)snprintf(command, sizeof command, "cmp %s %s/data", source, out_dir);
    assert_int_equal(system(command), 0);
    (void)snprintf(command, sizeof command, "rm -r %s", out_dir);
    assert_int_equal(system(command), 0);
}

static void two_senders_of_the_same(void **state) {
    (void)state;
    char tickets[2][512];
    process senders[2], receiver;
    for (int i = 0; i < 2; i++)
        start_sender(&senders[i], source, tickets[i]);
    assert_int_equal(receive(&receiver, tickets[0], tickets[1]), 0);
    assert_received();
    // One is enough when the other has gone.
    process_signal(&senders[0], SIGKILL);
    assert_int_equal(process_wait(&senders[0]), 128 + SIGKILL);
    assert_int_equal(receive(&receiver, tickets[0], tickets[1]), 0);
    assert_received();
}

static void tickets_of_different_things_are_refused(void **state) {
    (void)state;
    char tickets[2][512];
    process senders[2], receiver;
    start_sender(&senders[0], source, tickets[0]);
    start_sender(&senders[1], other, tickets[1]);
    assert_int_equal(receive(&receiver, tickets[0], tickets[1]), 2);
    assert_non_null(strstr(receiver.text, "different contents"));
    assert_int_equal(receive(&receiver, tickets[0], "blobnonsense"), 1);
    assert_non_null(strstr(receiver.text, "not a ticket of blobs"));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_senders_of_the_same, place_make, place_remove),
        cmocka_unit_test_setup_teardown(tickets_of_different_things_are_refused, place_make, place_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
