// `iroh net` as its users meet it, with a relay of our own.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/relay.h>
#include <jansson.h>
#include <signal.h>
#include <unistd.h>

#include "unit/certificate_support.h"
#include "unit/process_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define LOOPBACK "--bind", "127.0.0.1:0"
#define WORDS(...) ((const char *const[]){IROH, "net", LOOPBACK, __VA_ARGS__, NULL})

static char chain_path[] = "/tmp/iroh-net-crt-XXXXXX", key_path[] = "/tmp/iroh-net-key-XXXXXX";
static iroh_relay *relay;
static char url[64], quic_port[8];

static void write_file(char *path, const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static int start(void **state) {
    iroh_relay_config config;
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    write_file(chain_path, test_certificate_get()->chain);
    write_file(key_path, test_certificate_get()->key);
    iroh_relay_config_default(&config);
    config.http_bind = config.https_bind = config.quic_bind = "127.0.0.1:0";
    config.certificate_path = chain_path;
    config.key_path = key_path;
    config.threads = 1;
    if (iroh_relay_start(&config, &relay) != 0)
        return -1;
    (void)snprintf(url, sizeof url, "https://localhost%s/", strrchr(iroh_relay_https_address(relay), ':'));
    (void)snprintf(quic_port, sizeof quic_port, "%s", strrchr(iroh_relay_quic_address(relay), ':') + 1);
    return 0;
}

static int stop(void **state) {
    (void)process_kill_all(state);
    iroh_relay_stop(relay);
    (void)unlink(chain_path);
    (void)unlink(key_path);
    return 0;
}

typedef struct outcome {
    int status;
    char out[8192], err[8192];
} outcome;

static void run(outcome *o, const char *const words[]) {
    process p;
    process_start(&p, words, PROCESS_NULL, PROCESS_PIPE);
    o->out[process_read_all(p.out, o->out, sizeof o->out - 1)] = '\0';
    o->status = process_wait(&p);
    (void)snprintf(o->err, sizeof o->err, "%s", p.text);
}

static void must_have(const char *text, const char *word) {
    if (strstr(text, word) == NULL)
        fail_msg("no '%s' in: %s", word, text);
}

static void must_fail(const char *word, const char *const words[]) {
    outcome o;
    run(&o, words);
    assert_true(o.status == 1 || o.status == 2);
    assert_string_equal(o.out, "");
    must_have(o.err, word);
}

static void people_read_what_was_found(void **state) {
    outcome o;
    (void)state;
    run(&o, WORDS("--relay", url, "--relay-quic", quic_port, "--ca-file", chain_path));
    assert_int_equal(o.status, 0);
    assert_string_equal(o.err, "");
    must_have(o.out, "UDP over IPv4    works; seen from outside as 127.0.0.1:");
    must_have(o.out, "UDP over IPv6    no answer\n");
    must_have(o.out, "QUIC over IPv4 ");
    must_have(o.out, url);
    assert_null(strstr(o.out, "(not connected)"));
}

static void programs_read_json(void **state) {
    outcome o;
    json_error_t error;
    (void)state;
    run(&o, WORDS("--json", "--relay", url, "--relay-quic", "none", "--ca-file", chain_path));
    assert_int_equal(o.status, 0);
    json_t *j = json_loads(o.out, 0, &error);
    assert_non_null(j);
    assert_true(json_is_false(json_object_get(j, "udp_v4")));
    assert_true(json_is_null(json_object_get(j, "global_v4")));
    assert_true(json_is_null(json_object_get(j, "mapping_varies_v4")));
    assert_true(json_is_true(json_object_get(j, "online")));
    assert_string_equal(json_string_value(json_object_get(j, "home_relay")), url);
    const json_t *first = json_array_get(json_object_get(j, "relays"), 0);
    assert_true(json_integer_value(json_object_get(first, "https_us")) > 0);
    assert_true(json_is_null(json_object_get(first, "quic_v4_us")));
    json_decref(j);
}

static void wrong_use_is_said(void **state) {
    (void)state;
    must_fail("takes no arguments", WORDS("ticket"));
    must_fail("must be some", WORDS("--direct-only"));
    must_fail("must be some", WORDS("--relay", "none"));
    must_fail("--relay-quic wants", WORDS("--relay", url, "--relay-quic", "0"));
    must_fail("--relay-quic wants", WORDS("--relay", url, "--relay-quic", "65536"));
    must_fail("--relay-quic wants", WORDS("--relay", url, "--relay-quic", "many"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(people_read_what_was_found),
        cmocka_unit_test(programs_read_json),
        cmocka_unit_test(wrong_use_is_said),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
