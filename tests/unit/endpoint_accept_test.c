// Accepting: attempts one by one, limits, the choice of a protocol; resumption and 0-RTT.
#include <stdlib.h>

#include "endpoint_support.h"

static void attempts_are_decided_one_by_one(void **state) {
    (void)state;
    iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(OWN_THREAD);
    iroh_connection *c = NULL, *s = NULL;
    iroh_incoming *in = NULL;
    iroh_slice alpns[4];
    char remote[64], socket[64];
    assert_int_equal(iroh_endpoint_next_incoming(server, 0, &in), IROH_ERR_AGAIN);
    assert_int_equal(iroh_endpoint_next_incoming(server, 5, &in), IROH_ERR_TIMEOUT);
    assert_int_equal(iroh_endpoint_accept(server, IROH_WAIT_FOREVER, &s), IROH_ERR_ARG);

    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c), 0);
    assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
    assert_int_equal(iroh_incoming_refuse(in), 0);
    assert_int_equal(iroh_connection_handshake(c, LONG_MS), IROH_ERR_REFUSED);
    iroh_connection_free(c);

    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c), 0);
    assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
    assert_false(iroh_incoming_validated(in));
    assert_true(iroh_incoming_remote(in, remote, sizeof remote) > 0);
    assert_true(iroh_endpoint_socket(client, 0, socket, sizeof socket) > 0);
    assert_string_equal(remote, socket);
    assert_int_equal(iroh_incoming_remote(in, remote, 3), IROH_ERR_TOO_LARGE);
    assert_int_equal(iroh_incoming_alpns(in, alpns, 4), 1);
    assert_int_equal(alpns[0].len, 6);
    assert_memory_equal(alpns[0].data, TEST_ALPN, 6);
    assert_int_equal(iroh_incoming_retry(in), 0);
    assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
    assert_true(iroh_incoming_validated(in));
    assert_int_equal(iroh_incoming_retry(in), IROH_ERR_ARG);
    assert_int_equal(iroh_incoming_accept(in, &s), 0);
    assert_int_equal(iroh_connection_handshake(s, LONG_MS), 0);
    assert_int_equal(iroh_connection_handshake(c, LONG_MS), 0);
    iroh_connection_free(s);
    iroh_connection_free(c);

    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c), 0);
    assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
    assert_int_equal(iroh_incoming_ignore(in), 0);
    assert_int_equal(iroh_connection_handshake(c, 10), IROH_ERR_TIMEOUT);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

// Nothing else happens to the server meanwhile.
static void attempts_nobody_decides_on_expire(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.idle_timeout_ms = 300;
    iroh_endpoint *server = duo_bind(&config), *client = duo_default(OWN_THREAD);
    iroh_connection *c = NULL;
    iroh_pollitem item = {.endpoint = server, .events = IROH_POLL_ACCEPT_BI}, none = {.endpoint = server};
    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c), 0);
    assert_int_equal(iroh_poll(&item, 1, LONG_MS), 1);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    for (int ms = 0; iroh_poll(&item, 1, 0) == 1 && ms < LONG_MS; ms += 10)
        assert_int_equal(iroh_poll(&none, 1, 10), 0);
    assert_int_equal(iroh_poll(&item, 1, 0), 0);
    iroh_endpoint_free(server);
}

static void attempt_outlives_its_endpoint(void **state) {
    (void)state;
    iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(OWN_THREAD);
    iroh_connection *c = NULL, *s = NULL;
    iroh_incoming *in = NULL;
    char remote[64];
    iroh_slice alpns[1];
    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c), 0);
    assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
    iroh_endpoint_free(server);
    assert_int_equal(iroh_incoming_remote(in, remote, sizeof remote), IROH_ERR_CLOSED);
    assert_int_equal(iroh_incoming_alpns(in, alpns, 1), IROH_ERR_CLOSED);
    assert_int_equal(iroh_incoming_accept(in, &s), IROH_ERR_CLOSED);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
}

static void endpoint_without_protocols_refuses(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.alpn_count = 0;
    iroh_endpoint *server = duo_bind(&config), *client = duo_default(OWN_THREAD);
    iroh_connection *c = NULL;
    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, LONG_MS, &c), IROH_ERR_REFUSED);
    const iroh_slice names[] = {{"late/1", 6}};
    assert_int_equal(iroh_endpoint_set_alpns(server, names, 1), 0);
    duo_accept_all(server);
    assert_int_equal(duo_dial(client, server, "late/1", NULL, LONG_MS, &c), 0);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

static void server_prefers_among_the_offered_protocols(void **state) {
    (void)state;
    static const iroh_slice ours[] = {{"b", 1}, {"a", 1}};
    static const iroh_slice more[] = {{"b", 1}, {"c", 1}};
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.alpns = ours;
    config.alpn_count = 2;
    iroh_endpoint *server = duo_bind(&config), *client = duo_default(OWN_THREAD);
    iroh_connect_options options;
    iroh_connect_options_default(&options);
    options.more_alpns = more;
    options.more_alpn_count = 2;
    iroh_connection *c = NULL;
    char alpn[4] = "";
    duo_accept_all(server);
    assert_int_equal(duo_dial(client, server, "a", &options, LONG_MS, &c), 0);
    assert_int_equal(iroh_connection_alpn(c, alpn, sizeof alpn), 1);
    assert_string_equal(alpn, "b");
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

static void at_most_max_incoming_wait_for_accept(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.max_incoming = 2;
    iroh_endpoint *server = duo_bind(&config), *client = duo_default(OWN_THREAD);
    iroh_connection *c[3] = {0}, *s[3] = {0};
    duo_accept_all(server);
    for (int i = 0; i < 2; i++)
        c[i] = duo_connect(client, server);
    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &c[2]), 0);
    assert_int_equal(iroh_connection_handshake(c[2], 50), IROH_ERR_TIMEOUT);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s[0]), 0);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s[1]), 0);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s[2]), 0);
    assert_int_equal(iroh_connection_handshake(c[2], LONG_MS), 0);
    for (int i = 0; i < 3; i++) {
        iroh_connection_free(c[i]);
        iroh_connection_free(s[i]);
    }
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

// A stream from the server that came to its end has brought tickets and tokens along.
static void hear(iroh_connection *c, iroh_connection *s) {
    iroh_stream *out = NULL, *in = NULL;
    uint8_t byte = 1;
    assert_int_equal(iroh_connection_open_uni(s, LONG_MS, &out), 0);
    assert_int_equal(iroh_stream_write_all(out, &byte, 1, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_finish(out), 0);
    assert_int_equal(iroh_connection_accept_uni(c, LONG_MS, &in), 0);
    assert_int_equal(iroh_stream_read_exact(in, &byte, 1, LONG_MS, NULL), 0);
    iroh_stream_free(out);
    iroh_stream_free(in);
}

// A connection from which the client learned how to resume.
static void meet_once(iroh_endpoint *server, iroh_endpoint *client) {
    iroh_connection *c = duo_connect(client, server), *s = NULL;
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s), 0);
    hear(c, s);
    assert_false(iroh_connection_resumed(c));
    iroh_connection_free(c);
    iroh_connection_free(s);
}

// One attempt with protocol `alpn`, let in; both ends of it. Returns whether the server believed the address at once.
static bool let_in(iroh_endpoint *server, iroh_endpoint *client, const char *alpn, iroh_connection **c,
                   iroh_connection **s) {
    iroh_incoming *in = NULL;
    assert_int_equal(duo_dial(client, server, alpn, NULL, 0, c), 0);
    assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
    bool validated = iroh_incoming_validated(in);
    assert_int_equal(iroh_incoming_accept(in, s), 0);
    assert_int_equal(iroh_connection_handshake(*c, LONG_MS), 0);
    assert_int_equal(iroh_connection_handshake(*s, LONG_MS), 0);
    return validated;
}

// A session is for one protocol, a token for all.
static void address_token_serves_another_protocol(void **state) {
    (void)state;
    static const iroh_slice alpns[] = {{"a", 1}, {"b", 1}};
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.alpns = alpns;
    config.alpn_count = 2;
    iroh_endpoint *server = duo_bind(&config), *client = duo_default(OWN_THREAD);
    iroh_connection *c = NULL, *s = NULL;
    assert_false(let_in(server, client, "a", &c, &s));
    hear(c, s);
    iroh_connection_free(c);
    iroh_connection_free(s);
    assert_true(let_in(server, client, "b", &c, &s));
    assert_false(iroh_connection_resumed(c));
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

static void early_data_arrives_with_the_first_flight(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(mode == OWN_THREAD);
        iroh_connect_options options;
        iroh_connection *c = NULL, *s = NULL;
        iroh_stream *out = NULL, *in = NULL;
        char got[5];
        duo_accept_all(server);
        meet_once(server, client);
        iroh_connect_options_default(&options);
        options.early = true;
        assert_int_equal(duo_dial(client, server, TEST_ALPN, &options, LONG_MS, &c), 0);
        if (mode == NO_THREAD)  // nothing has driven it yet
            assert_int_equal(iroh_connection_early(c), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_open_bi(c, 0, &out), 0);
        assert_int_equal(iroh_stream_write_all(out, "early", 5, 0, NULL), 0);
        assert_int_equal(iroh_stream_finish(out), 0);
        assert_int_equal(iroh_connection_handshake(c, LONG_MS), 0);
        assert_int_equal(iroh_connection_early(c), 1);
        assert_true(iroh_connection_resumed(c));
        assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s), 0);
        assert_int_equal(iroh_connection_accept_bi(s, LONG_MS, &in), 0);
        assert_int_equal(iroh_stream_read_exact(in, got, 5, LONG_MS, NULL), 0);
        assert_memory_equal(got, "early", 5);
        iroh_stream_free(out);
        iroh_stream_free(in);
        iroh_connection_free(c);
        iroh_connection_free(s);
        iroh_endpoint_free(client);
        iroh_endpoint_free(server);
    }
}

static void early_data_for_a_server_that_forgot_is_rejected(void **state) {
    (void)state;
    iroh_endpoint_config config;
    iroh_secret_key key;
    iroh_secret_key_generate(&key);
    duo_config(&config, OWN_THREAD);
    config.secret_key = &key;
    iroh_endpoint *server = duo_bind(&config), *client = duo_default(NO_THREAD);
    iroh_connect_options options;
    iroh_connection *c = NULL;
    iroh_stream *out = NULL, *again = NULL;
    uint8_t byte;
    duo_accept_all(server);
    meet_once(server, client);
    iroh_endpoint_free(server);
    server = duo_bind(&config);
    duo_accept_all(server);
    iroh_connect_options_default(&options);
    options.early = true;
    assert_int_equal(duo_dial(client, server, TEST_ALPN, &options, LONG_MS, &c), 0);
    assert_int_equal(iroh_connection_open_bi(c, 0, &out), 0);
    assert_int_equal(iroh_stream_write_all(out, "early", 5, 0, NULL), 0);
    assert_int_equal(iroh_connection_handshake(c, LONG_MS), 0);
    assert_int_equal(iroh_connection_early(c), 0);
    assert_int_equal(iroh_stream_write(out, "x", 1, LONG_MS), IROH_ERR_REJECTED_0RTT);
    assert_int_equal(iroh_stream_read(out, &byte, 1, LONG_MS), IROH_ERR_REJECTED_0RTT);
    assert_int_equal(iroh_stream_wait_finished(out, LONG_MS), IROH_ERR_REJECTED_0RTT);
    assert_int_equal(iroh_connection_open_bi(c, LONG_MS, &again), 0);
    assert_int_equal(iroh_stream_write_all(again, "late", 4, LONG_MS, NULL), 0);
    iroh_stream_free(out);
    iroh_stream_free(again);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attempts_are_decided_one_by_one),
        cmocka_unit_test(attempts_nobody_decides_on_expire),
        cmocka_unit_test(attempt_outlives_its_endpoint),
        cmocka_unit_test(endpoint_without_protocols_refuses),
        cmocka_unit_test(server_prefers_among_the_offered_protocols),
        cmocka_unit_test(at_most_max_incoming_wait_for_accept),
        cmocka_unit_test(address_token_serves_another_protocol),
        cmocka_unit_test(early_data_arrives_with_the_first_flight),
        cmocka_unit_test(early_data_for_a_server_that_forgot_is_rejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
