// The program `iroh` as its users meet it: processes, files, sockets, exit statuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/process_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define LOOPBACK "--bind", "127.0.0.1:0"
#define WORDS(...) ((const char *const[]){IROH, __VA_ARGS__, NULL})

static char folder[64];

static const char *path_of(const char *name) {
    static char paths[4][160];
    static size_t next;
    char *out = paths[next++ % 4];
    (void)snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static int make_folder(void **state) {
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(folder, sizeof folder, "/tmp/iroh-cli-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
    static const char *const names[] = {"a.key", "bad.key", "loose.key", NULL};
    (void)process_kill_all(state);
    for (size_t i = 0; names[i] != NULL; i++)
        (void)unlink(path_of(names[i]));
    return rmdir(folder);
}

// --- One command that ends by itself

typedef struct outcome {
    int status;
    char out[8192];
    char err[8192];
} outcome;

static void run(outcome *o, const char *const words[]) {
    process p;
    process_start(&p, words, PROCESS_NULL, PROCESS_PIPE);
    o->out[process_read_all(p.out, o->out, sizeof o->out - 1)] = '\0';
    o->status = process_wait(&p);
    (void)snprintf(o->err, sizeof o->err, "%s", p.text);
}

static size_t lines_of(const char *text) {
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

// Nothing on standard output, one line on standard error that has `word`, and a status that says so.
static void must_fail(const char *word, const char *const words[]) {
    outcome o;
    run(&o, words);
    assert_true(o.status == 1 || o.status == 2);
    assert_string_equal(o.out, "");
    assert_int_equal(lines_of(o.err), 1);
    if (strstr(o.err, word) == NULL)
        fail_msg("no '%s' in: %s", word, o.err);
}

static json_t *json_of(const char *text) {
    json_error_t error;
    json_t *j = json_loads(text, 0, &error);
    if (j == NULL)
        fail_msg("not JSON (%s): %s", error.text, text);
    return j;
}

// --- Identity

static void id_makes_a_private_key_file_and_keeps_it(void **state) {
    (void)state;
    outcome first, second, other;
    struct stat st;
    run(&first, WORDS("id", "--key", path_of("a.key")));
    assert_int_equal(first.status, 0);
    assert_int_equal(strlen(first.out), 65);
    assert_int_equal(stat(path_of("a.key"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    run(&second, WORDS("id", "--key", path_of("a.key")));
    assert_string_equal(first.out, second.out);
    run(&other, WORDS("id"));
    assert_int_equal(other.status, 0);
    assert_string_not_equal(first.out, other.out);
}

static void id_follows_the_environment(void **state) {
    (void)state;
    outcome o;
    // The public key of this seed is the first vector of RFC 8032, section 7.1.
    assert_int_equal(setenv("IROH_SECRET", "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", 1), 0);
    run(&o, WORDS("id", "--json"));
    assert_int_equal(unsetenv("IROH_SECRET"), 0);
    assert_int_equal(o.status, 0);
    json_t *j = json_of(o.out);
    assert_string_equal(json_string_value(json_object_get(j, "id")),
                        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    json_decref(j);
}

static void bad_secrets_are_refused(void **state) {
    (void)state;
    FILE *f = fopen(path_of("bad.key"), "we");
    assert_non_null(f);
    (void)fputs("not a key\n", f);
    assert_int_equal(fclose(f), 0);
    must_fail("bad.key", WORDS("id", "--key", path_of("bad.key")));
    must_fail("/nowhere/", WORDS("id", "--key", "/nowhere/at/all.key"));
    must_fail("bad.key", WORDS("pipe", "listen", LOOPBACK, "--key", path_of("bad.key")));
    assert_int_equal(setenv("IROH_SECRET", "zz", 1), 0);
    must_fail("IROH_SECRET", WORDS("id"));
    assert_int_equal(unsetenv("IROH_SECRET"), 0);
}

// --- Wrong use

static void wrong_words_are_named(void **state) {
    (void)state;
    must_fail("'frobnicate'", WORDS("frobnicate"));
    must_fail("'--frobnicate'", WORDS("id", "--frobnicate"));
    must_fail("--key", WORDS("id", "--key"));
    must_fail("'pipe sing'", WORDS("pipe", "sing"));
    must_fail("--host", WORDS("pipe", "listen-tcp"));
    must_fail("--socket-path", WORDS("pipe", "listen-unix"));
    must_fail("ticket", WORDS("pipe", "connect"));
    must_fail("--custom-alpn", WORDS("pipe", "listen", LOOPBACK, "--custom-alpn", "utf8:"));
    must_fail("--custom-alpn", WORDS("pipe", "listen", LOOPBACK, "--custom-alpn", "abc"));
    must_fail("'everything'", WORDS("perf", "run", "x", "--only", "everything"));
}

static void bad_tickets_are_refused(void **state) {
    (void)state;
    static const char *const tickets[] = {
        "hello",
        "endpoint",
        "endpointaaaa",
        "endpoint!!!!",
        "endpointacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmaqacbuhi5dqhixs6zdfojyc43lffyxqcad7aa",
        "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6",
    };
    for (size_t i = 0; i < sizeof tickets / sizeof *tickets; i++) {
        must_fail("ticket", WORDS("pipe", "connect", tickets[i], LOOPBACK));
        must_fail("ticket", WORDS("ping", tickets[i], LOOPBACK));
        must_fail("ticket", WORDS("perf", "run", tickets[i], LOOPBACK));
    }
}

static void bad_relays_are_refused(void **state) {
    (void)state;
    must_fail("'ftp://127.0.0.1/'", WORDS("pipe", "listen", LOOPBACK, "--relay", "ftp://127.0.0.1/"));
    must_fail("'127.0.0.1:80'", WORDS("ping", "serve", LOOPBACK, "--relay", "127.0.0.1:80"));
    must_fail("http://", WORDS("pipe", "listen", LOOPBACK, "--relay", "http://"));
    must_fail("--relay none", WORDS("id", "--relay", "none", "--relay", "default"));
    must_fail("--direct-only", WORDS("perf", "serve", LOOPBACK, "--direct-only", "--relay", "http://127.0.0.1:1/"));
    must_fail("--relay-only", WORDS("perf", "serve", "--direct-only", "--relay-only"));
    must_fail("--relay URL", WORDS("perf", "serve", "--relay-only"));
    must_fail("--relay", WORDS("ping", "serve", "--relay"));
    must_fail("'nonsense'", WORDS("ping", "serve", LOOPBACK, "--proxy", "nonsense"));
    must_fail("/nowhere/ca.pem", WORDS("pipe", "listen", LOOPBACK, "--ca-file", "/nowhere/ca.pem"));
    must_fail("'vegas'", WORDS("pipe", "listen", LOOPBACK, "--congestion", "vegas"));
    const char *nine[2 + 2 * 9 + 1] = {IROH, "id"};
    for (size_t i = 2; i < 2 + 2 * 9; i += 2) {
        nine[i] = "--relay";
        nine[i + 1] = "http://127.0.0.1:1/";
    }
    must_fail("8 times", nine);
}

static void help_names_every_command(void **state) {
    (void)state;
    static const char *const commands[] = {"id",   "ticket",     "pipe listen", "pipe connect", "pipe listen-tcp",
                                           "ping", "perf serve", "perf run",    "perf idle",    "--relay"};
    outcome o;
    run(&o, WORDS("--help"));
    assert_int_equal(o.status, 0);
    assert_string_equal(o.err, "");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strstr(o.out, commands[i]) == NULL)
            fail_msg("no '%s' in: %s", commands[i], o.out);
}

static void bad_addresses_are_refused(void **state) {
    (void)state;
    must_fail("127.0.0.1", WORDS("pipe", "listen", "--bind", "127.0.0.1"));
    must_fail("300.0.0.1:0", WORDS("perf", "serve", "--bind", "300.0.0.1:0"));
    must_fail("203.0.113.77:0", WORDS("ping", "serve", "--bind", "203.0.113.77:0"));  // not this machine's
    must_fail("'127.0.0.1'", WORDS("pipe", "listen-tcp", LOOPBACK, "--host", "127.0.0.1"));
    must_fail("/nowhere/socket",
              WORDS("pipe", "connect-unix", LOOPBACK, "--socket-path", "/nowhere/socket",
                    "endpointacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmaqacbuhi5dqhixs6zdfo"
                    "jyc43lffyxqcad7aaaadaai"));
}

// --- Ping and perf

static void start_server(process *p, char ticket[static 4096], const char *const words[], const char *mark) {
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
    (void)snprintf(ticket, 4096, "%s", process_word(p, mark));
}

static void end_server(process *p) {
    process_signal(p, SIGTERM);
    assert_int_equal(process_wait(p), 0);
}

static void ping_counts_its_answers(void **state) {
    (void)state;
    process server;
    char ticket[4096];
    outcome o;
    start_server(&server, ticket, WORDS("ping", "serve", LOOPBACK), "iroh ping ");
    run(&o, WORDS("ping", ticket, LOOPBACK, "--count", "3", "--interval", "1", "--json"));
    assert_int_equal(o.status, 0);
    json_t *j = json_of(o.out);
    assert_int_equal(json_integer_value(json_object_get(j, "answered")), 3);
    assert_int_equal(json_array_size(json_object_get(j, "rtt_us")), 3);
    assert_non_null(strstr(json_string_value(json_object_get(j, "remote")), "127.0.0.1:"));
    json_decref(j);
    run(&o, WORDS("ping", ticket, LOOPBACK, "--count", "2", "--interval", "1"));
    assert_int_equal(o.status, 0);
    assert_int_equal(lines_of(o.out), 3);
    end_server(&server);
}

static void perf_measures_everything(void **state) {
    (void)state;
    static const char *const keys[] = {
        "upload_bytes_per_s",
        "download_bytes_per_s",
        "requests_per_s",
        "requests_per_s_1",
        "requests_per_s_64",
        "rtt_us",
        "rtt_min_us",
        "handshakes_per_s",
        "handshake_cpu_us",
        "cpu_s_per_gb_send",
        "cpu_s_per_gb_receive",
        "upload_cpu_s_per_gb_send",
        "upload_cpu_s_per_gb_receive",
        "download_cpu_s_per_gb_send",
        "download_cpu_s_per_gb_receive",
    };
    process server;
    char ticket[4096];
    outcome o;
    start_server(&server, ticket, WORDS("perf", "serve", LOOPBACK), "iroh perf run ");
    run(&o, WORDS("perf", "run", ticket, LOOPBACK, "--seconds", "0", "--bytes", "5000000", "--json"));
    assert_string_equal(o.err, "");
    assert_int_equal(o.status, 0);
    json_t *j = json_of(o.out);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(j, keys[i]);
        if (!json_is_number(value) || json_number_value(value) <= 0)
            fail_msg("%s is missing or zero in: %s", keys[i], o.out);
    }
    json_decref(j);
    run(&o, WORDS("perf", "run", ticket, LOOPBACK, "--only", "download", "--bytes", "1", "--json"));
    assert_int_equal(o.status, 0);
    j = json_of(o.out);
    assert_null(json_object_get(j, "upload_bytes_per_s"));
    assert_non_null(json_object_get(j, "download_bytes_per_s"));
    json_decref(j);
    end_server(&server);
}

static void perf_counts_idle_connections(void **state) {
    (void)state;
    process server;
    char ticket[4096];
    outcome o;
    start_server(&server, ticket, WORDS("perf", "serve", LOOPBACK), "iroh perf run ");
    run(&o, WORDS("perf", "idle", "20", ticket, LOOPBACK, "--seconds", "0", "--json"));
    assert_string_equal(o.err, "");
    assert_int_equal(o.status, 0);
    json_t *j = json_of(o.out);
    assert_int_equal(json_integer_value(json_object_get(j, "count")), 20);
    assert_true(json_number_value(json_object_get(j, "server_private_before")) > 0);
    json_decref(j);
    end_server(&server);
}

static void nobody_home_is_an_error(void **state) {
    (void)state;
    process server;
    char ticket[4096];
    start_server(&server, ticket, WORDS("ping", "serve", LOOPBACK), "iroh ping ");
    // The peer is there, but speaks another protocol.
    must_fail("cannot connect", WORDS("pipe", "connect", ticket, LOOPBACK));
    must_fail("cannot connect", WORDS("perf", "run", ticket, LOOPBACK));
    end_server(&server);
}

static void relay_options_must_agree(void **state) {
    (void)state;
    must_fail("--direct-only", WORDS("pipe", "listen", "--direct-only", "--relay-only"));
    must_fail("--direct-only", WORDS("pipe", "listen", "--direct-only", "--relay", "http://127.0.0.1:1/"));
    must_fail("none", WORDS("ping", "serve", "--relay", "none", "--relay-only"));
    must_fail("none", WORDS("ping", "serve", "--relay", "http://127.0.0.1:1/", "--relay", "none"));
    must_fail("--relay", WORDS("id", "--relay"));
    must_fail("no url", WORDS("ping", "serve", LOOPBACK, "--relay", "no url"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(id_makes_a_private_key_file_and_keeps_it, process_kill_all),
        cmocka_unit_test_teardown(id_follows_the_environment, process_kill_all),
        cmocka_unit_test_teardown(bad_secrets_are_refused, process_kill_all),
        cmocka_unit_test_teardown(wrong_words_are_named, process_kill_all),
        cmocka_unit_test_teardown(bad_tickets_are_refused, process_kill_all),
        cmocka_unit_test_teardown(bad_relays_are_refused, process_kill_all),
        cmocka_unit_test_teardown(help_names_every_command, process_kill_all),
        cmocka_unit_test_teardown(bad_addresses_are_refused, process_kill_all),
        cmocka_unit_test_teardown(ping_counts_its_answers, process_kill_all),
        cmocka_unit_test_teardown(perf_measures_everything, process_kill_all),
        cmocka_unit_test_teardown(perf_counts_idle_connections, process_kill_all),
        cmocka_unit_test_teardown(nobody_home_is_an_error, process_kill_all),
        cmocka_unit_test(relay_options_must_agree),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
