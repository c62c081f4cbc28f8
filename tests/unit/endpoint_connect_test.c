// Connecting: who gets through and with which error not, and what the end of a connection says.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "endpoint_support.h"

static void both_sides_know_each_other(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        char text[128], socket[128], alpn[16] = "";
        iroh_public_key id, expected;
        iroh_connection_stats stats;
        uint8_t ours[32], theirs[32];
        duo_open(&d, mode == OWN_THREAD);
        expected = iroh_endpoint_id(d.server);
        assert_int_equal(iroh_connection_remote_id(d.c, &id), 0);
        assert_int_equal(iroh_public_key_compare(&id, &expected), 0);
        expected = iroh_endpoint_id(d.client);
        assert_int_equal(iroh_connection_remote_id(d.s, &id), 0);
        assert_int_equal(iroh_public_key_compare(&id, &expected), 0);
        assert_int_equal(iroh_connection_alpn(d.s, alpn, sizeof alpn), 6);
        assert_string_equal(alpn, TEST_ALPN);
        assert_int_equal(iroh_connection_alpn(d.c, alpn, 5), IROH_ERR_TOO_LARGE);
        assert_true(iroh_connection_is_client(d.c));
        assert_false(iroh_connection_is_client(d.s));
        assert_true(iroh_connection_remote(d.s, text, sizeof text) > 0);
        assert_true(iroh_endpoint_socket(d.client, 0, socket, sizeof socket) > 0);
        assert_string_equal(text, socket);
        assert_int_equal(iroh_connection_export_keying_material(d.c, "L", 1, "ctx", 3, ours, 32), 0);
        assert_int_equal(iroh_connection_export_keying_material(d.s, "L", 1, "ctx", 3, theirs, 32), 0);
        assert_memory_equal(ours, theirs, 32);
        assert_int_equal(iroh_connection_stats_get(d.c, &stats), 0);
        assert_int_equal(stats.cipher_suite, IROH_AES_128_GCM);
        assert_true(stats.rtt_us > 0 && stats.packets_sent > 0 && stats.mtu >= 1200);
        assert_int_equal(iroh_connection_early(d.c), IROH_ERR_ARG);
        assert_false(iroh_connection_resumed(d.c));
        duo_free(&d);
    }
}

// Whatever address of a wildcard socket is dialled answers itself, in both families.
static void wildcard_sockets_answer_from_the_dialled_address(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.bind_count = 0;
    iroh_endpoint *server = duo_bind(&config);
    static const char *const hosts[] = {"127.0.0.1", "127.0.0.9", "[::1]"};
    duo_accept_all(server);
    for (int i = 0; i < 3; i++) {
        iroh_public_key id = iroh_endpoint_id(server);
        iroh_connection *c = NULL, *s = NULL;
        iroh_addr *a;
        char socket[64], address[96], remote[64];
        if (i == 2 && iroh_endpoint_socket_count(server) < 2)
            break;  // no IPv6 on this machine
        // A client that knows no other address of the server, and finds out nothing while it is not driven.
        config.own_thread = NO_THREAD;
        iroh_endpoint *client = duo_bind(&config);
        assert_true(iroh_endpoint_socket(server, i == 2, socket, sizeof socket) > 0);
        snprintf(address, sizeof address, "%s%s", hosts[i], strrchr(socket, ':'));
        assert_int_equal(iroh_addr_new(&id, &a), 0);
        assert_int_equal(iroh_addr_add_ip(a, address), 0);
        assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, LONG_MS, &c), 0);
        assert_true(iroh_connection_remote(c, remote, sizeof remote) > 0);
        assert_string_equal(remote, address);
        assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s), 0);
        assert_true(iroh_connection_remote(s, remote, sizeof remote) > 0);
        iroh_addr_free(a);
        iroh_connection_free(c);
        iroh_connection_free(s);
        iroh_endpoint_free(client);
    }
    iroh_endpoint_free(server);
}

static void *accept_in_thread(void *user) {
    iroh_endpoint *ep = user;
    iroh_connection *c = NULL;
    thread_check(iroh_endpoint_accept(ep, LONG_MS, &c) == 0, "accept");
    thread_check(iroh_connection_closed(c, LONG_MS) == 0, "closed");
    return c;
}

static void server_without_thread_is_driven_by_its_calls(void **state) {
    (void)state;
    iroh_endpoint *server = duo_default(NO_THREAD), *client = duo_default(NO_THREAD);
    iroh_addr *a = duo_addr(server);
    iroh_connection *c = NULL;
    iroh_close_info info;
    void *accepted;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, accept_in_thread, server), 0);
    assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, LONG_MS, &c), 0);
    assert_int_equal(iroh_connection_close(c, 99, "bye", 3), 0);
    pthread_join(thread, &accepted);
    assert_int_equal(iroh_connection_close_info(accepted, &info), 0);
    assert_int_equal(info.error, IROH_ERR_PEER_CLOSED);
    assert_int_equal(info.code, 99);
    iroh_addr_free(a);
    iroh_connection_free(accepted);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

static void close_carries_code_and_reason(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        static const char reason[] = "so long\0and thanks";
        duo d;
        iroh_close_info info;
        duo_open(&d, mode == OWN_THREAD);
        assert_int_equal(iroh_connection_close_info(d.c, &info), 0);
        assert_int_equal(info.error, 0);
        assert_int_equal(iroh_connection_closed(d.c, 0), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_closed(d.c, 5), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_close(d.s, UINT64_C(1) << 62, NULL, 0), IROH_ERR_ARG);
        assert_int_equal(iroh_connection_close(d.s, 1, NULL, 3), IROH_ERR_ARG);
        assert_int_equal(iroh_connection_close(d.s, (UINT64_C(1) << 62) - 1, reason, sizeof reason - 1), 0);
        assert_int_equal(iroh_connection_close(d.s, 5, "later", 5), 0);
        assert_int_equal(iroh_connection_closed(d.c, LONG_MS), 0);
        assert_int_equal(iroh_connection_close_info(d.c, &info), 0);
        assert_int_equal(info.error, IROH_ERR_PEER_CLOSED);
        assert_true(info.by_peer && info.application);
        assert_true(info.code == (UINT64_C(1) << 62) - 1);
        assert_int_equal(info.reason_len, sizeof reason - 1);
        assert_memory_equal(info.reason, reason, sizeof reason);
        assert_int_equal(iroh_connection_close_info(d.s, &info), 0);
        assert_int_equal(info.error, IROH_ERR_CLOSED);
        assert_true(!info.by_peer && info.application);
        duo_free(&d);
    }
}

static void long_reason_is_cut(void **state) {
    (void)state;
    duo d;
    char reason[3000];
    iroh_close_info info;
    memset(reason, 'r', sizeof reason);
    duo_open(&d, OWN_THREAD);
    assert_int_equal(iroh_connection_close(d.c, 1, reason, sizeof reason), 0);
    assert_int_equal(iroh_connection_closed(d.s, LONG_MS), 0);
    assert_int_equal(iroh_connection_close_info(d.s, &info), 0);
    assert_int_equal(info.reason_len, 1024);
    assert_int_equal(strlen(info.reason), 1024);
    duo_free(&d);
}

static void last_reference_closes(void **state) {
    (void)state;
    duo d;
    iroh_close_info info;
    duo_open(&d, OWN_THREAD);
    iroh_connection *again = iroh_connection_ref(d.c);
    assert_ptr_equal(again, d.c);
    iroh_connection_free(again);
    assert_int_equal(iroh_connection_closed(d.s, 50), IROH_ERR_TIMEOUT);
    iroh_connection_free(d.c);
    d.c = NULL;
    assert_int_equal(iroh_connection_closed(d.s, LONG_MS), 0);
    assert_int_equal(iroh_connection_close_info(d.s, &info), 0);
    assert_int_equal(info.error, IROH_ERR_PEER_CLOSED);
    assert_int_equal(info.code, 0);
    duo_free(&d);
}

static void endpoint_close_reaches_the_peer(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_close_info info;
        duo_open(&d, mode == OWN_THREAD);
        assert_int_equal(iroh_endpoint_close(d.client, LONG_MS), 0);
        assert_int_equal(iroh_connection_closed(d.s, LONG_MS), 0);
        assert_int_equal(iroh_connection_close_info(d.s, &info), 0);
        assert_int_equal(info.error, IROH_ERR_PEER_CLOSED);
        assert_true(info.application);
        duo_free(&d);
    }
}

static void free_alone_reaches_the_peer(void **state) {
    (void)state;
    duo d;
    duo_open(&d, NO_THREAD);
    iroh_endpoint_free(d.client);
    d.client = NULL;
    assert_int_equal(iroh_connection_closed(d.s, LONG_MS), 0);
    duo_free(&d);
}

static void wrong_key_and_wrong_protocol_fail(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(mode == OWN_THREAD);
        iroh_connection *c = NULL;
        iroh_secret_key other;
        iroh_public_key wrong;
        iroh_addr *a;
        char socket[64];
        duo_accept_all(server);
        iroh_secret_key_generate(&other);
        iroh_secret_key_public(&other, &wrong);
        assert_int_equal(iroh_addr_new(&wrong, &a), 0);
        assert_true(iroh_endpoint_socket(server, 0, socket, sizeof socket) > 0);
        assert_int_equal(iroh_addr_add_ip(a, socket), 0);
        assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, LONG_MS, &c), IROH_ERR_HANDSHAKE);
        assert_null(c);
        iroh_addr_free(a);
        assert_int_equal(duo_dial(client, server, "other/0", NULL, LONG_MS, &c), IROH_ERR_HANDSHAKE);
        assert_null(c);
        assert_int_equal(iroh_endpoint_accept(server, 50, &c), IROH_ERR_TIMEOUT);
        iroh_endpoint_free(client);
        iroh_endpoint_free(server);
    }
}

static void arguments_of_connect_are_checked(void **state) {
    (void)state;
    iroh_endpoint *ep = duo_default(OWN_THREAD), *other = duo_default(OWN_THREAD);
    iroh_public_key id = iroh_endpoint_id(other);
    iroh_connection *c = NULL;
    iroh_addr *a;
    char name[256] = "x";
    assert_int_equal(duo_dial(ep, ep, TEST_ALPN, NULL, LONG_MS, &c), IROH_ERR_SELF);
    assert_int_equal(duo_dial(ep, other, "", NULL, LONG_MS, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_endpoint_connect(ep, a, TEST_ALPN, 6, NULL, LONG_MS, &c), IROH_ERR_NO_ADDRESS);
    assert_int_equal(iroh_addr_add_ip(a, "127.0.0.1:0"), 0);
    assert_int_equal(iroh_addr_add_ip(a, "0.0.0.0:77"), 0);
    assert_int_equal(iroh_addr_add_ip(a, "[::1]:77"), 0);  // this endpoint has no IPv6 socket
    assert_int_equal(iroh_endpoint_connect(ep, a, TEST_ALPN, 6, NULL, LONG_MS, &c), IROH_ERR_NO_ADDRESS);
    assert_int_equal(iroh_endpoint_connect(ep, a, name, sizeof name, NULL, LONG_MS, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_connect(ep, NULL, TEST_ALPN, 6, NULL, LONG_MS, &c), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_connect(ep, a, TEST_ALPN, 6, NULL, LONG_MS, NULL), IROH_ERR_ARG);
    const iroh_slice bad[] = {{NULL, 1}};
    iroh_connect_options options;
    iroh_connect_options_default(&options);
    options.more_alpns = bad;
    options.more_alpn_count = 1;
    assert_int_equal(iroh_endpoint_connect(ep, a, TEST_ALPN, 6, &options, LONG_MS, &c), IROH_ERR_ARG);
    iroh_addr_free(a);
    iroh_endpoint_free(ep);
    iroh_endpoint_free(other);
}

static void silence_ends_in_the_callers_timeout(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        // The server never says who accepts, so the attempt waits there.
        iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(mode == OWN_THREAD);
        iroh_connection *c = NULL;
        assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 30, &c), IROH_ERR_TIMEOUT);
        assert_null(c);
        // Nobody waits for a peer that never said anything.
        assert_int_equal(iroh_endpoint_close(client, 0), 0);
        iroh_endpoint_free(client);
        iroh_endpoint_free(server);
    }
}

static void silence_ends_in_the_idle_timeout(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.idle_timeout_ms = 200;
    iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_bind(&config);
    iroh_connection *c = NULL;
    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, LONG_MS, &c), IROH_ERR_IDLE);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

static void timeout_zero_gives_a_connection_that_still_connects(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(mode == OWN_THREAD);
        iroh_connection *c = NULL;
        iroh_stream *s = NULL;
        char alpn[16];
        assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c), 0);
        assert_int_equal(iroh_connection_handshake(c, 0), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_handshake(c, 20), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_open_bi(c, 0, &s), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_alpn(c, alpn, sizeof alpn), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_export_keying_material(c, "L", 1, NULL, 0, alpn, 8), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_max_datagram(c), IROH_ERR_UNSUPPORTED);
        duo_accept_all(server);
        assert_int_equal(iroh_connection_handshake(c, LONG_MS), 0);
        assert_int_equal(iroh_connection_handshake(c, 0), 0);
        iroh_connection_free(c);
        iroh_endpoint_free(client);
        iroh_endpoint_free(server);
    }
}

static void chosen_cipher_suite_is_used(void **state) {
    (void)state;
    static const uint16_t suites[] = {IROH_CHACHA20_POLY1305, IROH_AES_256_GCM, IROH_AES_128_GCM};
    static const char *const controllers[] = {"newreno", "cubic", "bbr3"};
    for (size_t i = 0; i < 3; i++) {
        iroh_endpoint_config server, client;
        iroh_connection_stats stats;
        duo d;
        duo_config(&server, OWN_THREAD);
        duo_config(&client, OWN_THREAD);
        client.cipher_suites = &suites[i];
        client.cipher_suite_count = 1;
        client.congestion = controllers[i];
        duo_open_with(&d, &server, &client);
        assert_int_equal(iroh_connection_stats_get(d.s, &stats), 0);
        assert_int_equal(stats.cipher_suite, suites[i]);
        duo_free(&d);
    }
}

static void keys_can_be_updated(void **state) {
    (void)state;
    duo d;
    iroh_stream *cs, *ss;
    iroh_connection_stats stats;
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "before", &cs, &ss);
    char got[5];
    // What the server sends now comes after its confirmation of the handshake.
    assert_int_equal(iroh_stream_write_all(ss, "reply", 5, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_read_exact(cs, got, 5, LONG_MS, NULL), 0);
    assert_int_equal(iroh_connection_update_keys(d.c), 0);
    assert_int_equal(iroh_stream_write_all(cs, "after", 5, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_read_exact(ss, got, 5, LONG_MS, NULL), 0);
    assert_int_equal(iroh_connection_stats_get(d.s, &stats), 0);
    assert_int_equal(stats.key_updates, 1);
    iroh_stream_free(cs);
    iroh_stream_free(ss);
    duo_free(&d);
}

static void many_connections_at_once(void **state) {
    (void)state;
    enum { COUNT = 50 };
    iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(NO_THREAD);
    iroh_connection *c[COUNT], *s;
    duo_accept_all(server);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c[i]), 0);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(iroh_connection_handshake(c[i], LONG_MS), 0);
    for (int i = 0; i < COUNT; i++) {
        // What the client has still to send does not leave by itself.
        int r = IROH_ERR_TIMEOUT;
        for (int ms = 0; r == IROH_ERR_TIMEOUT && ms < LONG_MS; ms++) {
            assert_int_equal(iroh_endpoint_process(client), 0);
            r = iroh_endpoint_accept(server, 1, &s);
        }
        assert_int_equal(r, 0);
        iroh_connection_free(s);
    }
    for (int i = 0; i < COUNT; i++)
        iroh_connection_free(c[i]);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_know_each_other),
        cmocka_unit_test(wildcard_sockets_answer_from_the_dialled_address),
        cmocka_unit_test(server_without_thread_is_driven_by_its_calls),
        cmocka_unit_test(close_carries_code_and_reason),
        cmocka_unit_test(long_reason_is_cut),
        cmocka_unit_test(last_reference_closes),
        cmocka_unit_test(endpoint_close_reaches_the_peer),
        cmocka_unit_test(free_alone_reaches_the_peer),
        cmocka_unit_test(wrong_key_and_wrong_protocol_fail),
        cmocka_unit_test(arguments_of_connect_are_checked),
        cmocka_unit_test(silence_ends_in_the_callers_timeout),
        cmocka_unit_test(silence_ends_in_the_idle_timeout),
        cmocka_unit_test(timeout_zero_gives_a_connection_that_still_connects),
        cmocka_unit_test(chosen_cipher_suite_is_used),
        cmocka_unit_test(keys_can_be_updated),
        cmocka_unit_test(many_connections_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
