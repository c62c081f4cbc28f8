// Binding, closing and freeing endpoints; what settings are refused; what an endpoint says about itself; its files.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "endpoint_support.h"

static void defaults_bind_both_families(void **state) {
    (void)state;
    iroh_endpoint_config config;
    char text[128];
    iroh_endpoint_config_default(&config);
    iroh_endpoint *ep = duo_bind(&config);
    assert_in_range(iroh_endpoint_socket_count(ep), 1, 2);
    assert_true(iroh_endpoint_socket(ep, 0, text, sizeof text) > 8);
    assert_int_equal(strncmp(text, "0.0.0.0:", 8), 0);
    assert_int_not_equal(atoi(text + 8), 0);
    if (iroh_endpoint_socket_count(ep) == 2) {
        assert_true(iroh_endpoint_socket(ep, 1, text, sizeof text) > 5);
        assert_int_equal(strncmp(text, "[::]:", 5), 0);
    }
    iroh_addr *a = duo_addr(ep);
    assert_true(iroh_addr_count(a) > 0);
    for (size_t i = 0; i < iroh_addr_count(a); i++) {
        assert_int_equal(iroh_addr_kind(a, i), IROH_ADDR_IP);
        assert_true(iroh_addr_text(a, i, text, sizeof text) > 0);
        assert_null(strstr(text, "0.0.0.0"));
        assert_null(strstr(text, "[::]"));
        assert_null(strstr(text, "[fe80"));
    }
    iroh_addr_free(a);
    iroh_endpoint_free(ep);
}

static void bound_address_is_the_only_one(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    iroh_endpoint *ep = duo_bind(&config);
    iroh_addr *a = duo_addr(ep);
    char socket[64], text[64];
    assert_int_equal(iroh_endpoint_socket_count(ep), 1);
    assert_true(iroh_endpoint_socket(ep, 0, socket, sizeof socket) > 0);
    assert_int_equal(iroh_addr_count(a), 1);
    assert_true(iroh_addr_text(a, 0, text, sizeof text) > 0);
    assert_string_equal(text, socket);
    iroh_public_key id = iroh_endpoint_id(ep), named = iroh_addr_id(a);
    assert_int_equal(iroh_public_key_compare(&id, &named), 0);
    assert_int_equal(iroh_endpoint_socket(ep, 0, socket, 9), IROH_ERR_TOO_LARGE);
    assert_int_equal(iroh_endpoint_socket(ep, 1, socket, sizeof socket), IROH_ERR_RANGE);
    assert_int_equal(iroh_endpoint_socket(ep, -1, socket, sizeof socket), IROH_ERR_RANGE);
    iroh_addr_free(a);
    iroh_endpoint_free(ep);
}

static void key_is_kept_or_fresh(void **state) {
    (void)state;
    iroh_endpoint_config config;
    iroh_secret_key key = {{7}}, got;
    iroh_public_key id, expected;
    duo_config(&config, NO_THREAD);
    iroh_endpoint *fresh = duo_bind(&config);
    config.secret_key = &key;
    iroh_endpoint *ep = duo_bind(&config);
    iroh_secret_key_public(&key, &expected);
    id = iroh_endpoint_id(ep);
    got = iroh_endpoint_secret_key(ep);
    assert_int_equal(iroh_public_key_compare(&id, &expected), 0);
    assert_memory_equal(got.bytes, key.bytes, 32);
    id = iroh_endpoint_id(fresh);
    assert_int_not_equal(iroh_public_key_compare(&id, &expected), 0);
    iroh_endpoint_free(ep);
    iroh_endpoint_free(fresh);
}

typedef void (*spoiler)(iroh_endpoint_config *);

static void empty_alpn(iroh_endpoint_config *c) {
    static const iroh_slice bad[] = {{"", 0}};
    c->alpns = bad;
}

static void long_alpn(iroh_endpoint_config *c) {
    static const char name[256];
    static const iroh_slice bad[] = {{name, 256}};
    c->alpns = bad;
}

static void null_alpns(iroh_endpoint_config *c) {
    c->alpns = NULL;
}

static void too_many_alpns(iroh_endpoint_config *c) {
    c->alpn_count = 100000;
}

static void small_mtu(iroh_endpoint_config *c) {
    c->mtu_max = 1199;
}

static void large_mtu(iroh_endpoint_config *c) {
    c->mtu_max = 65528;
}

static void unknown_congestion(iroh_endpoint_config *c) {
    c->congestion = "vegas";
}

static void unknown_suite(iroh_endpoint_config *c) {
    static const uint16_t bad[] = {0x1304};
    c->cipher_suites = bad;
    c->cipher_suite_count = 1;
}

static void null_suites(iroh_endpoint_config *c) {
    c->cipher_suite_count = 1;
}

static void huge_window(iroh_endpoint_config *c) {
    c->stream_window = UINT64_C(1) << 62;
}

static void huge_timeout(iroh_endpoint_config *c) {
    c->idle_timeout_ms = UINT64_MAX;
}

static void no_send_buffer(iroh_endpoint_config *c) {
    c->send_buffer = 0;
}

static void too_many_sockets(iroh_endpoint_config *c) {
    c->bind_count = 17;
}

static void null_bind(iroh_endpoint_config *c) {
    static const char *const bad[] = {NULL};
    c->bind = bad;
}

static void impossible_settings_are_refused(void **state) {
    (void)state;
    static const spoiler spoilers[] = {
        empty_alpn,    long_alpn,   null_alpns,  too_many_alpns, small_mtu,      large_mtu,        unknown_congestion,
        unknown_suite, null_suites, huge_window, huge_timeout,   no_send_buffer, too_many_sockets, null_bind,
    };
    for (size_t i = 0; i < sizeof spoilers / sizeof *spoilers; i++) {
        iroh_endpoint_config config;
        iroh_endpoint *ep = (iroh_endpoint *)(uintptr_t)1;
        duo_config(&config, OWN_THREAD);
        spoilers[i](&config);
        assert_int_equal(iroh_endpoint_bind(&config, &ep), IROH_ERR_ARG);
        assert_null(ep);
    }
}

static void addresses_that_cannot_be_bound(void **state) {
    (void)state;
    static const char *const words[] = {"localhost", "127.0.0.1", "127.0.0.1:x", "", "[::1]", "127.0.0.1:65536"};
    iroh_endpoint_config config;
    iroh_endpoint *ep = NULL;
    duo_config(&config, OWN_THREAD);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        config.bind = &words[i];
        assert_int_equal(iroh_endpoint_bind(&config, &ep), IROH_ERR_SYNTAX);
    }
    duo_config(&config, OWN_THREAD);
    iroh_endpoint *first = duo_bind(&config);
    char taken[64];
    assert_true(iroh_endpoint_socket(first, 0, taken, sizeof taken) > 0);
    const char *const again[] = {"127.0.0.1:0", taken};
    config.bind = again;
    config.bind_count = 2;
    assert_int_equal(iroh_endpoint_bind(&config, &ep), IROH_ERR_BIND);
    static const char *const foreign[] = {"192.0.2.1:0"};
    config.bind = foreign;
    config.bind_count = 1;
    assert_int_equal(iroh_endpoint_bind(&config, &ep), IROH_ERR_BIND);
    iroh_endpoint_free(first);
}

static void null_is_an_error_everywhere(void **state) {
    (void)state;
    iroh_endpoint_config config;
    iroh_endpoint *ep = NULL;
    iroh_connection *c = NULL;
    iroh_incoming *in = NULL;
    iroh_addr *a = NULL;
    iroh_endpoint_stats stats;
    iroh_endpoint_config_default(NULL);
    duo_config(&config, OWN_THREAD);
    assert_int_equal(iroh_endpoint_bind(NULL, &ep), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_bind(&config, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_close(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_addr(NULL, &a), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_socket_count(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_stats_get(NULL, &stats), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_set_alpns(NULL, NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_process(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_fd(NULL), -1);
    assert_int_equal(iroh_endpoint_accept(NULL, 0, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_next_incoming(NULL, 0, &in), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_connect(NULL, NULL, "x", 1, NULL, 0, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_incoming_accept(NULL, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_incoming_refuse(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_incoming_retry(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_incoming_ignore(NULL), IROH_ERR_ARG);
    iroh_endpoint_free(NULL);
}

static void close_is_idempotent_and_final(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint_config config;
        iroh_connection *c = NULL;
        iroh_incoming *in = NULL;
        duo_config(&config, mode == OWN_THREAD);
        iroh_endpoint *ep = duo_bind(&config), *other = duo_bind(&config);
        iroh_addr *a = duo_addr(other);
        assert_int_equal(iroh_endpoint_close(ep, LONG_MS), 0);
        assert_int_equal(iroh_endpoint_close(ep, 0), 0);
        assert_int_equal(iroh_endpoint_accept(ep, IROH_WAIT_FOREVER, &c), IROH_ERR_CLOSED);
        assert_int_equal(iroh_endpoint_next_incoming(ep, IROH_WAIT_FOREVER, &in), IROH_ERR_CLOSED);
        assert_int_equal(iroh_endpoint_connect(ep, a, "x", 1, NULL, LONG_MS, &c), IROH_ERR_CLOSED);
        iroh_addr_free(a);
        iroh_endpoint_free(ep);
        iroh_endpoint_free(other);
    }
}

static void process_is_for_endpoints_without_a_thread(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    iroh_endpoint *own = duo_bind(&config);
    config.own_thread = false;
    iroh_endpoint *ours = duo_bind(&config);
    assert_int_equal(iroh_endpoint_process(own), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_fd(own), -1);
    assert_int_equal(iroh_endpoint_process(ours), 0);
    assert_true(iroh_endpoint_fd(ours) >= 0);
    iroh_endpoint_free(own);
    iroh_endpoint_free(ours);
}

static void stats_count_both_ways(void **state) {
    (void)state;
    duo d;
    iroh_endpoint_stats s;
    duo_open(&d, OWN_THREAD);
    assert_int_equal(iroh_endpoint_stats_get(d.server, &s), 0);
    assert_true(s.datagrams_received > 0 && s.bytes_received >= 1200);
    assert_true(s.datagrams_sent > 0 && s.send_calls > 0 && s.receive_calls > 0);
    assert_int_equal(s.connections, 1);
    assert_int_equal(s.handshakes, 1);
    duo_free(&d);
}

static long count_lines(const char *path, const char *word) {
    char line[1024];
    long n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL)
        n += strstr(line, word) != NULL;
    fclose(f);
    return n;
}

static void keylog_and_qlog_files_are_written(void **state) {
    (void)state;
    char folder[] = "/tmp/iroh-diary-XXXXXX", keys[64], path[512];
    assert_non_null(mkdtemp(folder));
    snprintf(keys, sizeof keys, "%s/keys", folder);
    setenv("SSLKEYLOGFILE", keys, 1);
    iroh_endpoint_config server, client;
    duo_config(&server, OWN_THREAD);
    duo_config(&client, NO_THREAD);
    server.qlog_dir = folder;
    client.keylog = true;
    duo d;
    duo_open_with(&d, &server, &client);
    duo_free(&d);
    unsetenv("SSLKEYLOGFILE");
    assert_int_equal(count_lines(keys, "CLIENT_TRAFFIC_SECRET_0 "), 1);
    assert_int_equal(count_lines(keys, "SERVER_HANDSHAKE_TRAFFIC_SECRET "), 1);
    struct stat st;
    assert_int_equal(stat(keys, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    unlink(keys);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    int logs = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strstr(e->d_name, "_server.sqlog") == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        assert_true(count_lines(path, "packet_received") > 0);
        unlink(path);
        logs++;
    }
    closedir(dir);
    assert_int_equal(logs, 1);
    assert_int_equal(rmdir(folder), 0);
}

static void keylog_that_cannot_be_opened_is_an_error(void **state) {
    (void)state;
    iroh_endpoint_config config;
    iroh_endpoint *ep = NULL;
    duo_config(&config, OWN_THREAD);
    config.keylog = true;
    setenv("SSLKEYLOGFILE", "/nowhere/at/all", 1);
    assert_int_equal(iroh_endpoint_bind(&config, &ep), IROH_ERR_IO);
    unsetenv("SSLKEYLOGFILE");
}

static void handles_outlive_their_endpoint(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs, *ss;
        iroh_close_info info;
        uint8_t byte = 0;
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "hello", &cs, &ss);
        iroh_endpoint_free(d.client);
        assert_int_equal(iroh_stream_read(cs, &byte, 1, IROH_WAIT_FOREVER), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_write(cs, &byte, 1, IROH_WAIT_FOREVER), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_finish(cs), IROH_ERR_CLOSED);
        assert_int_equal(iroh_connection_closed(d.c, IROH_WAIT_FOREVER), 0);
        assert_int_equal(iroh_connection_close_info(d.c, &info), 0);
        assert_int_equal(info.error, IROH_ERR_CLOSED);
        assert_int_equal(iroh_connection_close(d.c, 1, NULL, 0), 0);
        iroh_connection_free(d.c);
        iroh_stream_free(cs);
        iroh_endpoint_free(d.server);
        iroh_connection_free(d.s);
        iroh_stream_free(ss);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_bind_both_families),
        cmocka_unit_test(bound_address_is_the_only_one),
        cmocka_unit_test(key_is_kept_or_fresh),
        cmocka_unit_test(impossible_settings_are_refused),
        cmocka_unit_test(addresses_that_cannot_be_bound),
        cmocka_unit_test(null_is_an_error_everywhere),
        cmocka_unit_test(close_is_idempotent_and_final),
        cmocka_unit_test(process_is_for_endpoints_without_a_thread),
        cmocka_unit_test(stats_count_both_ways),
        cmocka_unit_test(keylog_and_qlog_files_are_written),
        cmocka_unit_test(keylog_that_cannot_be_opened_is_an_error),
        cmocka_unit_test(handles_outlive_their_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
