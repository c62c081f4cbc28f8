// Following the paths of a connection: what the program is told of them, in which order, and what it misses.
#include <stdio.h>

#include "endpoint_support.h"
#include "unit/relay_live_support.h"

#define STEP_MS 10

static void home_of(char out[static 64], const iroh_relay *r) {
    (void)snprintf(out, 64, "http://%s/", iroh_relay_http_address(r));
}

static iroh_endpoint *dweller(const char *home, bool own_thread) {
    iroh_endpoint_config config;
    duo_config(&config, own_thread);
    config.relays = &home;
    config.relay_count = 1;
    return duo_bind(&config);
}

// A connection that knows of no way but the relay at first.
static void meet(const char *home, iroh_endpoint *server, iroh_endpoint *client, iroh_connection **s,
                 iroh_connection **c) {
    iroh_public_key id = iroh_endpoint_id(server);
    iroh_addr *a;
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_addr_add_relay(a, home), 0);
    assert_int_equal(iroh_endpoint_wait_online(server, LONG_MS), 0);
    duo_accept_all(server);
    assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, strlen(TEST_ALPN), NULL, LONG_MS, c), 0);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, s), 0);
    iroh_addr_free(a);
}

static iroh_path_event expect(iroh_connection *c, int kind) {
    iroh_path_event e;
    assert_int_equal(iroh_connection_path_event(c, LONG_MS, &e), 0);
    assert_int_equal(e.kind, kind);
    assert_int_equal(e.missed, 0);
    return e;
}

// --- Cases

static void first_call_tells_what_is_there(bool thread) {
    duo d;
    iroh_path_event e;
    iroh_path path;
    duo_open(&d, thread);
    e = expect(d.c, IROH_PATH_OPENED);
    assert_int_equal(iroh_connection_paths(d.c, &path, 1), 1);
    assert_int_equal(e.path.id, path.id);
    assert_string_equal(e.path.remote, path.remote);
    assert_true(e.path.validated && !e.path.relay && e.path.bytes_sent > 0 && e.path.rtt_us > 0);
    e = expect(d.c, IROH_PATH_SELECTED);
    assert_int_equal(e.path.id, path.id);
    assert_true(e.path.selected);
    assert_int_equal(iroh_connection_path_event(d.c, 0, &e), IROH_ERR_AGAIN);
    assert_int_equal(iroh_connection_path_event(d.c, STEP_MS, &e), IROH_ERR_TIMEOUT);
    // The other end is told its own.
    (void)expect(d.s, IROH_PATH_OPENED);
    (void)expect(d.s, IROH_PATH_SELECTED);
    assert_int_equal(iroh_connection_close(d.s, 7, NULL, 0), 0);
    assert_int_equal(iroh_connection_path_event(d.c, LONG_MS, &e), IROH_ERR_PEER_CLOSED);
    duo_free(&d);
}

static void first_call_tells_what_is_there_with_a_thread(void **state) {
    (void)state;
    first_call_tells_what_is_there(OWN_THREAD);
}

static void first_call_tells_what_is_there_without_a_thread(void **state) {
    (void)state;
    first_call_tells_what_is_there(NO_THREAD);
}

// From the relay to the direct path: what is told agrees with what is, whoever waits and however.
static void the_better_path_is_told(void **state) {
    (void)state;
    char home[64];
    iroh_relay *r = live_start(false);
    home_of(home, r);
    iroh_endpoint *server = dweller(home, OWN_THREAD), *client = dweller(home, OWN_THREAD);
    iroh_connection *s, *c;
    iroh_path_event e = {0};
    uint64_t open[16], count = 0;
    meet(home, server, client, &s, &c);
    e = expect(c, IROH_PATH_OPENED);
    bool direct = !e.path.relay;
    open[count++] = e.path.id;
    while (e.kind != IROH_PATH_SELECTED || e.path.relay) {
        iroh_pollitem item = {.connection = c, .events = IROH_POLL_PATH};
        assert_int_equal(iroh_poll(&item, 1, LONG_MS), 1);
        assert_int_equal(item.revents, IROH_POLL_PATH);
        assert_int_equal(iroh_connection_path_event(c, 0, &e), 0);
        bool known = false;
        for (uint64_t i = 0; i < count; i++)
            known |= open[i] == e.path.id;
        // Opened once, before it is selected or closed.
        assert_int_equal(known, e.kind != IROH_PATH_OPENED);
        if (e.kind == IROH_PATH_OPENED && count < 16)
            open[count++] = e.path.id;
        direct |= e.kind == IROH_PATH_OPENED && !e.path.relay;
    }
    assert_true(direct);
    assert_true(strncmp(e.path.remote, "127.0.0.1:", 10) == 0);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(r);
}

static void polling_without_asking_is_ready_at_once(void **state) {
    (void)state;
    duo d;
    duo_open(&d, OWN_THREAD);
    iroh_pollitem item = {.connection = d.c, .events = IROH_POLL_PATH};
    assert_int_equal(iroh_poll(&item, 1, 0), 1);
    (void)expect(d.c, IROH_PATH_OPENED);
    assert_int_equal(iroh_poll(&item, 1, 0), 1);
    (void)expect(d.c, IROH_PATH_SELECTED);
    assert_int_equal(iroh_poll(&item, 1, 0), 0);
    duo_free(&d);
}

// A changed network replaces the client's paths by others to the same address.
static void closed_paths_have_their_last_figures(void **state) {
    (void)state;
    char home[64];
    iroh_relay *r = live_start(false);
    home_of(home, r);
    iroh_endpoint *server = dweller(home, OWN_THREAD), *client = dweller(home, OWN_THREAD);
    iroh_connection *s, *c;
    iroh_path_event e = {0};
    meet(home, server, client, &s, &c);
    while (e.kind != IROH_PATH_SELECTED || e.path.relay)
        assert_int_equal(iroh_connection_path_event(c, LONG_MS, &e), 0);
    uint64_t direct = e.path.id;
    // The server's direct socket is gone with the server; the path ends before the connection, or with it.
    iroh_endpoint_free(server);
    int result;
    while ((result = iroh_connection_path_event(c, LONG_MS, &e)) == 0) {
        if (e.kind == IROH_PATH_CLOSED && e.path.id == direct)
            assert_true(e.path.bytes_sent > 0 && e.path.bytes_received > 0);
    }
    assert_int_equal(result, IROH_ERR_PEER_CLOSED);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_relay_stop(r);
}

static void events_outlive_the_endpoint(void **state) {
    (void)state;
    duo d;
    iroh_path_event e;
    duo_open(&d, OWN_THREAD);
    (void)expect(d.c, IROH_PATH_OPENED);
    iroh_endpoint_free(d.client);
    assert_int_equal(iroh_connection_path_event(d.c, 0, &e), 0);
    assert_int_equal(e.kind, IROH_PATH_SELECTED);
    assert_int_equal(iroh_connection_path_event(d.c, 0, &e), IROH_ERR_CLOSED);
    d.client = NULL;
    duo_free(&d);
}

static void null_handles_are_refused(void **state) {
    (void)state;
    iroh_path_event e;
    assert_int_equal(iroh_connection_path_event(NULL, 0, &e), IROH_ERR_ARG);
    duo d;
    duo_open(&d, OWN_THREAD);
    assert_int_equal(iroh_connection_path_event(d.c, 0, NULL), IROH_ERR_ARG);
    duo_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_call_tells_what_is_there_with_a_thread),
        cmocka_unit_test(first_call_tells_what_is_there_without_a_thread),
        cmocka_unit_test(the_better_path_is_told),
        cmocka_unit_test(polling_without_asking_is_ready_at_once),
        cmocka_unit_test(closed_paths_have_their_last_figures),
        cmocka_unit_test(events_outlive_the_endpoint),
        cmocka_unit_test(null_handles_are_refused),
    };
    return cmocka_run_group_tests_name("endpoint_paths", tests, NULL, NULL);
}
