// `iroh send`, `iroh receive` and `iroh blob` as their users meet them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <signal.h>

#include "unit/process_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define HELLO_HASH "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"

typedef struct place {
    char dir[64];
} place;

static int place_make(void **state) {
    place *p = malloc(sizeof *p);
    assert_non_null(p);
    strcpy(p->dir, "/tmp/cli-blobs-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

static int place_remove(void **state) {
    place *p = *state;
    char command[128];
    (void)process_kill_all(NULL);
    (void)snprintf(command, sizeof command, "rm -rf %s", p->dir);
    int r = system(command);
    free(p);
    return r;
}

static const char *path_in(const place *p, const char *name, char out[static 256]) {
    (void)snprintf(out, 256, "%s/%s", p->dir, name);
    return out;
}

static void write_file(const place *p, const char *name, const char *text) {
    char path[256];
    FILE *f = fopen(path_in(p, name, path), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void assert_file(const place *p, const char *name, const char *text) {
    char path[256], got[64] = "";
    FILE *f = fopen(path_in(p, name, path), "r");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof got - 1, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, n);
}

// Runs to the end: the status; standard output is in `out`.
static int run(process *p, const char *const words[], char *out, size_t room) {
    process_start(p, words, PROCESS_NULL, PROCESS_PIPE);
    out[process_read_all(p->out, out, room - 1)] = '\0';
    return process_wait(p);
}

// A sender, and its ticket.
static void start_sender(process *p, const char *path, char ticket[static 512]) {
    const char *const words[] = {IROH, "send", "--bind", "127.0.0.1:0", "--direct-only", path, NULL};
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
    (void)snprintf(ticket, 512, "%s", process_word(p, "iroh receive "));
}

static void a_folder_is_sent_and_received(void **state) {
    const place *pl = *state;
    char source[256], target[256], ticket[512], out[256];
    process sender, receiver;
    assert_int_equal(mkdir(path_in(pl, "tree", source), 0700), 0);
    write_file(pl, "tree/a", "first");
    write_file(pl, "tree/b", "second");
    start_sender(&sender, source, ticket);
    const char *const words[] = {IROH,   "receive", "--bind", "127.0.0.1:0", "--to", path_in(pl, "out", target),
                                 ticket, NULL};
    assert_int_equal(run(&receiver, words, out, sizeof out), 0);
    assert_string_equal(out, "");
    assert_non_null(strstr(receiver.text, "received 2 files"));
    assert_file(pl, "out/tree/a", "first");
    assert_file(pl, "out/tree/b", "second");
    // Nothing but the files stays, neither here nor there.
    assert_int_equal(rmdir(target), -1);
    assert_int_equal(unlink(path_in(pl, "out/tree/a", source)), 0);
    assert_int_equal(unlink(path_in(pl, "out/tree/b", source)), 0);
    assert_int_equal(rmdir(path_in(pl, "out/tree", source)), 0);
    assert_int_equal(rmdir(target), 0);
    process_signal(&sender, SIGINT);
    assert_int_equal(process_wait(&sender), 0);
}

static void another_file_is_not_overwritten(void **state) {
    const place *pl = *state;
    char source[256], target[256], ticket[512], out[256];
    process sender, receiver;
    write_file(pl, "a", "theirs");
    assert_int_equal(mkdir(path_in(pl, "out", target), 0700), 0);
    write_file(pl, "out/a", "mine");
    start_sender(&sender, path_in(pl, "a", source), ticket);
    const char *const words[] = {IROH, "receive", "--bind", "127.0.0.1:0", "--to", target, ticket, NULL};
    assert_int_equal(run(&receiver, words, out, sizeof out), 1);
    assert_non_null(strstr(receiver.text, "a is there already"));
    assert_file(pl, "out/a", "mine");
    // With the other file away, the same command needs nobody to go on.
    process_signal(&sender, SIGINT);
    assert_int_equal(process_wait(&sender), 0);
    assert_int_equal(unlink(path_in(pl, "out/a", source)), 0);
    assert_int_equal(run(&receiver, words, out, sizeof out), 0);
    assert_file(pl, "out/a", "theirs");
}

static void what_cannot_be_sent_is_told(void **state) {
    const place *pl = *state;
    char missing[256], out[256];
    process p;
    const char *const nothing[] = {IROH, "send", NULL};
    assert_int_equal(run(&p, nothing, out, sizeof out), 2);
    const char *const words[] = {IROH, "send", path_in(pl, "missing", missing), NULL};
    assert_int_equal(run(&p, words, out, sizeof out), 1);
    assert_non_null(strstr(p.text, "missing"));
    assert_string_equal(out, "");
    const char *const ticket[] = {IROH, "receive", "endpointaaaa", NULL};
    assert_int_equal(run(&p, ticket, out, sizeof out), 1);
    assert_non_null(strstr(p.text, "not a ticket of blobs"));
}

static void a_store_keeps_blobs(void **state) {
    const place *pl = *state;
    char file[256], store[256], copy[256], out[1024];
    process p;
    write_file(pl, "hello", "hello");
    (void)path_in(pl, "store", store);
    const char *const add[] = {IROH, "blob", "add", "--store", store, path_in(pl, "hello", file), NULL};
    assert_int_equal(run(&p, add, out, sizeof out), 0);
    assert_int_equal(strncmp(out, HELLO_HASH, strlen(HELLO_HASH)), 0);
    const char *const list[] = {IROH, "blob", "list", "--store", store, NULL};
    assert_int_equal(run(&p, list, out, sizeof out), 0);
    assert_string_equal(out, HELLO_HASH "  5\n");
    const char *const export[] = {
        IROH, "blob", "export", "--store", store, HELLO_HASH, "--to", path_in(pl, "copy", copy), NULL};
    assert_int_equal(run(&p, export, out, sizeof out), 0);
    assert_file(pl, "copy", "hello");
    assert_int_equal(run(&p, export, out, sizeof out), 1);  // it is there already
    const char *const collect[] = {IROH, "blob", "gc", "--store", store, NULL};
    assert_int_equal(run(&p, collect, out, sizeof out), 0);
    assert_string_equal(out, "1 kept, 0 removed\n");
}

static void tags_keep_what_they_name(void **state) {
    const place *pl = *state;
    char file[256], store[256], out[1024];
    process p;
    write_file(pl, "hello", "hello");
    (void)path_in(pl, "store", store);
    const char *const add[] = {IROH, "blob", "add", "--store", store, "--tag", "one", path_in(pl, "hello", file), NULL};
    assert_int_equal(run(&p, add, out, sizeof out), 0);
    const char *const rename[] = {IROH, "blob", "tag", "rename", "--store", store, "one", "tw\\o\n", NULL};
    assert_int_equal(run(&p, rename, out, sizeof out), 0);
    assert_int_equal(run(&p, rename, out, sizeof out), 1);
    assert_non_null(strstr(p.text, "there is no tag one"));
    const char *const set[] = {IROH, "blob", "tag", "add", "--store", store, "tree", "s" HELLO_HASH, NULL};
    assert_int_equal(run(&p, set, out, sizeof out), 0);
    // In order of their bytes, with what could confuse a reader escaped.
    const char *const list[] = {IROH, "blob", "tag", "list", "--store", store, NULL};
    assert_int_equal(run(&p, list, out, sizeof out), 0);
    assert_string_equal(out, "s" HELLO_HASH "  tree\n" HELLO_HASH "   tw\\x5co\\x0a\n");
    const char *const some[] = {IROH, "blob", "tag", "list", "tr", "--store", store, NULL};
    assert_int_equal(run(&p, some, out, sizeof out), 0);
    assert_string_equal(out, "s" HELLO_HASH "  tree\n");
    const char *const remove[] = {IROH, "blob", "tag", "remove", "--store", store, "tree", "tw\\o\n", NULL};
    assert_int_equal(run(&p, remove, out, sizeof out), 0);
    assert_int_equal(run(&p, remove, out, sizeof out), 1);
    const char *const collect[] = {IROH, "blob", "gc", "--store", store, NULL};
    assert_int_equal(run(&p, collect, out, sizeof out), 0);
    assert_string_equal(out, "0 kept, 1 removed\n");
    const char *const wrong[] = {IROH, "blob", "tag", "add", "--store", store, "name", "nohash", NULL};
    assert_int_equal(run(&p, wrong, out, sizeof out), 1);
    assert_non_null(strstr(p.text, "not a hash"));
    const char *const nonsense[] = {IROH, "blob", "tag", "paint", "--store", store, NULL};
    assert_int_equal(run(&p, nonsense, out, sizeof out), 2);
}

static void a_folder_goes_through_a_store(void **state) {
    const place *pl = *state;
    char source[256], store[256], target[256], out[1024], hash[80];
    process p;
    assert_int_equal(mkdir(path_in(pl, "tree", source), 0700), 0);
    write_file(pl, "tree/a", "first");
    write_file(pl, "tree/b", "second");
    (void)path_in(pl, "store", store);
    const char *const add[] = {IROH, "blob", "add", "--store", store, "--tag", "tree", source, NULL};
    assert_int_equal(run(&p, add, out, sizeof out), 0);
    assert_int_equal(sscanf(out, "%79s", hash), 1);
    assert_int_equal(hash[0], 's');
    // The names, the collection, and what it names: all that the tag keeps.
    const char *const collect[] = {IROH, "blob", "gc", "--store", store, NULL};
    assert_int_equal(run(&p, collect, out, sizeof out), 0);
    assert_string_equal(out, "4 kept, 0 removed\n");
    const char *const export[] = {IROH, "blob", "export", "--store", store, hash, "--to", path_in(pl, "out", target),
                                  NULL};
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(run(&p, export, out, sizeof out), 0);
    assert_file(pl, "out/tree/b", "second");
    const char *const verify[] = {IROH, "blob", "verify", "--store", store, NULL};
    assert_int_equal(run(&p, verify, out, sizeof out), 0);
    assert_non_null(strstr(out, "4 blobs, "));
    assert_non_null(strstr(out, " 0 damaged, 0 repaired"));
}

static void blobs_are_fetched_into_a_store(void **state) {
    const place *pl = *state;
    char file[256], store[256], ticket[512], out[1024], twice[1024];
    process sender, p;
    write_file(pl, "hello", "hello");
    start_sender(&sender, path_in(pl, "hello", file), ticket);
    const char *const get[] = {IROH,    "blob", "get",  "--bind", "127.0.0.1:0", "--store", path_in(pl, "store", store),
                               "--tag", "mine", ticket, NULL};
    assert_int_equal(run(&p, get, out, sizeof out), 0);
    assert_int_equal(out[0], 's');
    assert_non_null(strstr(p.text, "received 1 file, "));
    process_signal(&sender, SIGINT);
    assert_int_equal(process_wait(&sender), 0);
    // It is there, so that nobody is needed.
    assert_int_equal(run(&p, get, twice, sizeof twice), 0);
    assert_string_equal(out, twice);
    const char *const list[] = {IROH, "blob", "tag", "list", "--store", store, NULL};
    assert_int_equal(run(&p, list, out, sizeof out), 0);
    assert_non_null(strstr(out, "  mine\n"));
}

static void tickets_have_what_is_wanted(void **state) {
    const place *pl = *state;
    char file[256], out[1024];
    process p;
    write_file(pl, "hello", "hello");
    (void)path_in(pl, "hello", file);
    const char *const send[] = {IROH,        "send", "--bind", "127.0.0.1:0", "--direct-only", "--ticket-type",
                                "Addresses", file,   NULL};
    process_start(&p, send, PROCESS_NULL, PROCESS_NULL);
    char ticket[512];
    (void)snprintf(ticket, sizeof ticket, "%s", process_word(&p, "iroh receive "));
    process_signal(&p, SIGINT);
    assert_int_equal(process_wait(&p), 0);
    const char *const explain[] = {IROH, "ticket", ticket, NULL};
    assert_int_equal(run(&p, explain, out, sizeof out), 0);
    assert_non_null(strstr(out, "ip      127.0.0.1:"));
    assert_null(strstr(out, "relay"));
    const char *const none[] = {IROH, "send", "--direct-only", "--ticket-type", "relay", file, NULL};
    assert_int_equal(run(&p, none, out, sizeof out), 1);
    assert_non_null(strstr(p.text, "no address of the kind"));
    const char *const wrong[] = {IROH, "send", "--ticket-type", "id", file, NULL};
    assert_int_equal(run(&p, wrong, out, sizeof out), 2);
}

// The picture, with its corner where it belongs; or why there is none.
static void a_ticket_is_shown_as_a_picture(void **state) {
    const place *pl = *state;
    char file[256];
    process p;
    write_file(pl, "hello", "hello");
    const char *const send[] = {
        IROH, "send", "--bind", "127.0.0.1:0", "--direct-only", "--qr", path_in(pl, "hello", file), NULL};
    process_start(&p, send, PROCESS_NULL, PROCESS_NULL);
    (void)process_word(&p, "iroh receive ");
    process_signal(&p, SIGINT);
    if (process_wait(&p) == 0)
        assert_non_null(strstr(p.text, "\u2588\n\u2588\u2588 \u2584\u2584\u2584\u2584\u2584 \u2588"));
    else
        assert_non_null(strstr(p.text, "built without QR codes"));
}

static void every_command_has_help(void **state) {
    static const char *const names[] = {"send", "receive", "blob"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char out[4096];
        process p;
        const char *const words[] = {IROH, names[i], "--help", NULL};
        assert_int_equal(run(&p, words, out, sizeof out), 0);
        assert_non_null(strstr(out, names[i]));
        assert_int_equal(p.text_len, 0);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_is_sent_and_received, place_make, place_remove),
        cmocka_unit_test_setup_teardown(another_file_is_not_overwritten, place_make, place_remove),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent_is_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_store_keeps_blobs, place_make, place_remove),
        cmocka_unit_test_setup_teardown(tags_keep_what_they_name, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_folder_goes_through_a_store, place_make, place_remove),
        cmocka_unit_test_setup_teardown(blobs_are_fetched_into_a_store, place_make, place_remove),
        cmocka_unit_test_setup_teardown(tickets_have_what_is_wanted, place_make, place_remove),
        cmocka_unit_test_setup_teardown(a_ticket_is_shown_as_a_picture, place_make, place_remove),
        cmocka_unit_test(every_command_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
