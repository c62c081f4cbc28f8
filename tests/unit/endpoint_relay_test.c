// Endpoints that meet through a relay, which is our own and runs in the same process.
#include <iroh/relay.h>

#include <stdio.h>
#include <stdlib.h>

#include "endpoint_support.h"

#define STEP_MS 10
#define TOKEN "open sesame"

typedef struct place {
    iroh_relay *relay;
    char url[64];
} place;

// On `port`, 0: any. `token` null: for everyone.
static void place_open(place *p, int port, const char *token) {
    iroh_relay_config config;
    char address[32];
    iroh_relay_config_default(&config);
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", port);
    config.http_bind = address;
    config.threads = 1;
    config.access = token != NULL ? IROH_RELAY_TOKENS : IROH_RELAY_EVERYONE;
    config.tokens = &token;
    config.token_count = token != NULL;
    assert_int_equal(iroh_relay_start(&config, &p->relay), 0);
    (void)snprintf(p->url, sizeof p->url, "http://%s/", iroh_relay_http_address(p->relay));
}

// An endpoint whose home is this relay; `only`: it has no other way.
static iroh_endpoint *dweller(const place *p, bool own_thread, bool only) {
    iroh_endpoint_config config;
    const char *relays[] = {p->url};
    duo_config(&config, own_thread);
    config.relays = relays;
    config.relay_count = 1;
    config.relay_only = only;
    return duo_bind(&config);
}

static iroh_addr *behind(const place *p, iroh_endpoint *ep) {
    iroh_public_key id = iroh_endpoint_id(ep);
    iroh_addr *a;
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_addr_add_relay(a, p->url), 0);
    return a;
}

// A connection that begins with nothing but the relay's URL and the peer's id.
static void meet(const place *p, iroh_endpoint *server, iroh_endpoint *client, iroh_connection **s,
                 iroh_connection **c) {
    iroh_addr *a = behind(p, server);
    assert_int_equal(iroh_endpoint_wait_online(server, LONG_MS), 0);
    duo_accept_all(server);
    assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, strlen(TEST_ALPN), NULL, LONG_MS, c), 0);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, s), 0);
    iroh_addr_free(a);
}

static void echo(iroh_connection *c, iroh_connection *s, size_t size) {
    uint8_t *sent = malloc(size), *got = calloc(1, size);
    iroh_stream *out, *in;
    for (size_t i = 0; i < size; i++)
        sent[i] = (uint8_t)(i * 7 + (i >> 8));
    assert_int_equal(iroh_connection_open_uni(c, LONG_MS, &out), 0);
    assert_int_equal(iroh_stream_write_all(out, sent, size, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_finish(out), 0);
    assert_int_equal(iroh_connection_accept_uni(s, LONG_MS, &in), 0);
    assert_int_equal(iroh_stream_read_exact(in, got, size, LONG_MS, NULL), 0);
    assert_memory_equal(sent, got, size);
    iroh_stream_free(out);
    iroh_stream_free(in);
    free(sent);
    free(got);
}

// The path that data takes.
static iroh_path selected(const iroh_connection *c) {
    iroh_path paths[16];
    int count = iroh_connection_paths(c, paths, 16), at = -1;
    assert_in_range(count, 1, 16);
    for (int i = 0; i < count; i++) {
        if (paths[i].selected) {
            assert_int_equal(at, -1);
            at = i;
        }
    }
    assert_in_range(at, 0, count - 1);
    return paths[at];
}

static void wait_for_direct(iroh_connection *c) {
    for (int ms = 0; selected(c).relay && ms < LONG_MS; ms += STEP_MS)
        assert_int_equal(iroh_connection_closed(c, STEP_MS), IROH_ERR_TIMEOUT);
    assert_false(selected(c).relay);
}

// --- Cases

static void endpoints_without_sockets_meet(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint *server = dweller(&p, OWN_THREAD, true), *client = dweller(&p, NO_THREAD, true);
    iroh_connection *s, *c;
    iroh_endpoint_stats stats;
    char remote[IROH_PATH_TEXT];
    assert_int_equal(iroh_endpoint_socket_count(server), 0);
    meet(&p, server, client, &s, &c);
    echo(s, c, 200000);
    assert_true(selected(c).relay && selected(s).relay);
    assert_string_equal(selected(c).remote, p.url);
    assert_true(selected(s).validated && selected(s).rtt_us > 0 && selected(s).bytes_sent > 200000);
    assert_int_equal(iroh_connection_remote(s, remote, sizeof remote), strlen(p.url));
    assert_string_equal(remote, p.url);
    assert_int_equal(iroh_endpoint_stats_get(server, &stats), 0);
    assert_true(stats.relay_bytes_sent > 200000 && stats.relay_datagrams_sent > 100);
    assert_true(stats.relay_datagrams_received > 0);
    assert_int_equal(stats.datagrams_sent, 0);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(p.relay);
}

static void relay_gives_way_to_a_direct_path(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint *server = dweller(&p, OWN_THREAD, false), *client = dweller(&p, OWN_THREAD, false);
    iroh_connection *s, *c;
    char socket[64];
    meet(&p, server, client, &s, &c);
    wait_for_direct(c);
    wait_for_direct(s);
    assert_true(iroh_endpoint_socket(server, 0, socket, sizeof socket) > 0);
    assert_string_equal(selected(c).remote, socket);
    echo(c, s, 100000);
    // The relay stays, for the day when the direct path fails.
    iroh_path paths[16];
    int count = iroh_connection_paths(c, paths, 16), relayed = 0;
    for (int i = 0; i < count; i++)
        relayed += paths[i].relay && paths[i].backup;
    assert_int_equal(relayed, 1);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(p.relay);
}

// A peer may be dialled over its relay by somebody who has none.
static void dialling_over_a_relay_needs_no_home(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.relay_only = true;
    iroh_endpoint *server = dweller(&p, OWN_THREAD, true), *client = duo_bind(&config);
    iroh_connection *s, *c;
    assert_int_equal(iroh_endpoint_wait_online(client, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_home_relay(client, NULL, 0, NULL), IROH_ERR_NOT_FOUND);
    meet(&p, server, client, &s, &c);
    echo(s, c, 1000);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(p.relay);
}

static void connection_outlives_its_relay(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint *server = dweller(&p, OWN_THREAD, true), *client = dweller(&p, OWN_THREAD, true);
    iroh_connection *s, *c;
    int port;
    meet(&p, server, client, &s, &c);
    echo(c, s, 1000);
    assert_int_equal(sscanf(p.url, "http://127.0.0.1:%d/", &port), 1);
    iroh_relay_stop(p.relay);
    place_open(&p, port, NULL);
    echo(c, s, 50000);
    assert_int_equal(iroh_endpoint_wait_online(server, LONG_MS), 0);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(p.relay);
}

static void refusal_is_told_in_the_words_of_the_relay(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, TOKEN);
    iroh_endpoint *stranger = dweller(&p, OWN_THREAD, true);
    iroh_relay_status status = {0};
    char url[64];
    for (int ms = 0; !status.denied && ms < LONG_MS; ms += STEP_MS) {
        assert_int_equal(iroh_endpoint_wait_online(stranger, STEP_MS), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_endpoint_home_relay(stranger, url, sizeof url, &status), strlen(p.url));
    }
    assert_string_equal(url, p.url);
    assert_true(status.denied);
    assert_false(status.connected);
    assert_true(strlen(status.reason) > 0);
    assert_int_equal(iroh_endpoint_home_relay(stranger, url, strlen(p.url), &status), IROH_ERR_TOO_LARGE);
    iroh_endpoint_free(stranger);

    iroh_endpoint_config config;
    const char *relays[] = {p.url};
    duo_config(&config, OWN_THREAD);
    config.relays = relays;
    config.relay_count = 1;
    config.relay_token = TOKEN;
    iroh_endpoint *friend = duo_bind(&config);
    assert_int_equal(iroh_endpoint_wait_online(friend, LONG_MS), 0);
    assert_true(iroh_endpoint_home_relay(friend, NULL, 0, &status) > 0);
    assert_true(status.connected && !status.denied && status.error == 0);
    iroh_endpoint_free(friend);
    iroh_relay_stop(p.relay);
}

static void address_names_the_home_relay(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint *both = dweller(&p, OWN_THREAD, false), *relayed = dweller(&p, OWN_THREAD, true);
    iroh_addr *a = duo_addr(both), *expected = behind(&p, both), *b = duo_addr(relayed), *only = behind(&p, relayed);
    char socket[64];
    assert_true(iroh_endpoint_socket(both, 0, socket, sizeof socket) > 0);
    assert_int_equal(iroh_addr_add_ip(expected, socket), 0);
    assert_true(iroh_addr_equal(a, expected));
    assert_true(iroh_addr_equal(b, only));
    iroh_addr_free(a);
    iroh_addr_free(b);
    iroh_addr_free(expected);
    iroh_addr_free(only);
    iroh_endpoint_free(both);
    iroh_endpoint_free(relayed);
    iroh_relay_stop(p.relay);
}

static void direct_only_endpoints_leave_relays_alone(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.direct_only = true;
    iroh_endpoint *server = dweller(&p, OWN_THREAD, true), *client = duo_bind(&config);
    iroh_connection *c;
    iroh_addr *a = behind(&p, server);
    assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, strlen(TEST_ALPN), NULL, 0, &c), IROH_ERR_NO_ADDRESS);
    assert_null(c);
    iroh_addr_free(a);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(p.relay);
}

static int try_bind(const char *relay, bool direct_only, bool relay_only, const char *token) {
    iroh_endpoint_config config;
    iroh_endpoint *ep;
    duo_config(&config, OWN_THREAD);
    config.relays = &relay;
    config.relay_count = relay != NULL;
    config.direct_only = direct_only;
    config.relay_only = relay_only;
    config.relay_token = token;
    int r = iroh_endpoint_bind(&config, &ep);
    iroh_endpoint_free(ep);
    return r;
}

static void settings_must_make_sense(void **state) {
    (void)state;
    assert_int_equal(try_bind(NULL, true, true, NULL), IROH_ERR_ARG);
    assert_int_equal(try_bind("http://127.0.0.1:1/", true, false, NULL), IROH_ERR_ARG);
    assert_int_equal(try_bind("no url", false, false, NULL), IROH_ERR_SYNTAX);
    assert_int_equal(try_bind("http://127.0.0.1:1/", false, false, "two\nlines"), IROH_ERR_ARG);
    assert_int_equal(try_bind("http://127.0.0.1:1/", false, true, "one line"), 0);
}

// Whoever waits for a relay that does not answer is told when the endpoint is closed.
static void closing_ends_the_wait(void **state) {
    (void)state;
    place nowhere = {.url = "http://127.0.0.1:1/"};
    iroh_endpoint *ep = dweller(&nowhere, OWN_THREAD, true);
    iroh_relay_status status = {0};
    assert_int_equal(iroh_endpoint_wait_online(ep, 0), IROH_ERR_AGAIN);
    for (int ms = 0; status.error == 0 && ms < LONG_MS; ms += STEP_MS) {
        assert_int_equal(iroh_endpoint_wait_online(ep, STEP_MS), IROH_ERR_TIMEOUT);
        assert_true(iroh_endpoint_home_relay(ep, NULL, 0, &status) > 0);
    }
    assert_int_equal(status.error, IROH_ERR_REFUSED);
    assert_int_equal(iroh_endpoint_close(ep, LONG_MS), 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), IROH_ERR_CLOSED);
    iroh_endpoint_free(ep);
}

static void changed_networks_are_survived(void **state) {
    (void)state;
    place p;
    place_open(&p, 0, NULL);
    iroh_endpoint *server = dweller(&p, OWN_THREAD, false), *client = dweller(&p, OWN_THREAD, false);
    iroh_connection *s, *c;
    meet(&p, server, client, &s, &c);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(iroh_endpoint_network_change(client), 0);
        assert_int_equal(iroh_endpoint_network_change(server), 0);
        echo(c, s, 10000);
        echo(s, c, 10000);
    }
    wait_for_direct(c);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(p.relay);
}

static void null_handles_are_refused(void **state) {
    (void)state;
    iroh_path path;
    assert_int_equal(iroh_endpoint_wait_online(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_home_relay(NULL, NULL, 0, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_network_change(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_paths(NULL, &path, 1), IROH_ERR_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_without_sockets_meet),
        cmocka_unit_test(relay_gives_way_to_a_direct_path),
        cmocka_unit_test(dialling_over_a_relay_needs_no_home),
        cmocka_unit_test(connection_outlives_its_relay),
        cmocka_unit_test(refusal_is_told_in_the_words_of_the_relay),
        cmocka_unit_test(address_names_the_home_relay),
        cmocka_unit_test(direct_only_endpoints_leave_relays_alone),
        cmocka_unit_test(settings_must_make_sense),
        cmocka_unit_test(closing_ends_the_wait),
        cmocka_unit_test(changed_networks_are_survived),
        cmocka_unit_test(null_handles_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
