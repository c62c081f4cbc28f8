// Endpoints whose network changes under them: addresses come and go in a network of the test's own, and nobody tells the
// endpoints but the system.
#include <iroh/relay.h>

#include <stdio.h>

#include "endpoint_support.h"
#include "netns_support.h"

#define STEP_MS 10
#define FIRST "192.0.2.1"
#define SECOND "198.51.100.1"

static iroh_relay *relay_on(const char *host, char url[static 64]) {
    iroh_relay_config config;
    iroh_relay *relay;
    char address[32];
    iroh_relay_config_default(&config);
    (void)snprintf(address, sizeof address, "%s:0", host);
    config.http_bind = address;
    config.threads = 1;
    assert_int_equal(iroh_relay_start(&config, &relay), 0);
    (void)snprintf(url, 64, "http://%s/", iroh_relay_http_address(relay));
    return relay;
}

// On all addresses, which is what this is about.
static iroh_endpoint *roamer(const char *url, bool own_thread, bool monitor) {
    iroh_endpoint_config config;
    duo_config(&config, own_thread);
    config.bind_count = 0;
    config.relays = &url;
    config.relay_count = 1;
    config.network_monitor = monitor;
    return duo_bind(&config);
}

// Lets the endpoint act for a moment.
static void pass(iroh_endpoint *ep) {
    iroh_pollitem item = {.endpoint = ep, .events = 0};
    assert_int_equal(iroh_poll(&item, 1, STEP_MS), 0);
}

static bool has_direct_path_to(const iroh_connection *c, const char *host) {
    iroh_path paths[16];
    int count = iroh_connection_paths(c, paths, 16);
    assert_in_range(count, 1, 16);
    for (int i = 0; i < count; i++) {
        if (paths[i].selected && strncmp(paths[i].remote, host, strlen(host)) == 0 &&
            paths[i].remote[strlen(host)] == ':')
            return true;
    }
    return false;
}

static void wait_for_path_to(iroh_endpoint *ep, const iroh_connection *c, const char *host) {
    for (int ms = 0; !has_direct_path_to(c, host) && ms < LONG_MS; ms += STEP_MS)
        pass(ep);
    assert_true(has_direct_path_to(c, host));
}

static bool names(iroh_endpoint *ep, const char *host) {
    iroh_addr *a;
    char text[IROH_RELAY_URL_SIZE];
    bool found = false;
    assert_int_equal(iroh_endpoint_addr(ep, &a), 0);
    for (size_t i = 0; i < iroh_addr_count(a); i++) {
        assert_true(iroh_addr_text(a, i, text, sizeof text) > 0);
        found |= strncmp(text, host, strlen(host)) == 0;
    }
    iroh_addr_free(a);
    return found;
}

static int set_up(void **state) {
    (void)state;
    if (!netns_entered())
        return 0;  // the test itself skips
    netns_ip("link add ve0 type veth peer name ve1");
    netns_ip("link set ve1 up");
    netns_ip("link set ve0 up");
    netns_ip("addr add " FIRST "/24 dev ve0");
    netns_ip("route add default dev ve0");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    if (netns_entered())
        netns_ip("link del ve0");
    return 0;
}

static void move(const char *to, const char *from) {
    char line[64];
    (void)snprintf(line, sizeof line, "addr add %s/24 dev ve0", to);
    netns_ip(line);
    (void)snprintf(line, sizeof line, "addr del %s/24 dev ve0", from);
    netns_ip(line);
    netns_ip("route replace default dev ve0");
}

// The next event of this kind of a path to `host`; what else happens is passed over.
static iroh_path_event wait_for_event(iroh_connection *c, int kind, const char *host, uint64_t *missed) {
    iroh_path_event e;
    do {
        assert_int_equal(iroh_connection_path_event(c, LONG_MS, &e), 0);
        *missed += e.missed;
    } while (e.kind != kind || strncmp(e.path.remote, host, strlen(host)) != 0);
    return e;
}

// --- Cases

// Without the monitor the endpoints are told.
static void direct_path_moves_to_the_new_address(bool client_thread, bool monitor) {
    char url[64];
    iroh_relay *relay = relay_on("127.0.0.1", url);
    iroh_endpoint *server = roamer(url, OWN_THREAD, monitor), *client = roamer(url, client_thread, monitor);
    iroh_connection *s, *c;
    assert_int_equal(iroh_endpoint_wait_online(server, LONG_MS), 0);
    assert_int_equal(iroh_endpoint_wait_online(client, LONG_MS), 0);
    duo_accept_all(server);
    c = duo_connect(client, server);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s), 0);
    wait_for_path_to(client, c, FIRST);
    // Before the move: paths are followed from the first question on, and the old one may go at once.
    uint64_t missed = 0;
    (void)wait_for_event(c, IROH_PATH_OPENED, FIRST, &missed);
    move(SECOND, FIRST);
    if (!monitor) {
        assert_int_equal(iroh_endpoint_network_change(server), 0);
        assert_int_equal(iroh_endpoint_network_change(client), 0);
    }
    wait_for_path_to(client, c, SECOND);
    // The old path is told of as closed now, with what it carried.
    iroh_path_event closed = wait_for_event(c, IROH_PATH_CLOSED, FIRST, &missed);
    assert_true(closed.path.bytes_sent > 0);
    assert_int_equal(missed, 0);
    // The server may have said so before the client looked at its own addresses.
    for (int ms = 0; (!names(client, SECOND) || names(client, FIRST)) && ms < LONG_MS; ms += STEP_MS)
        pass(client);
    assert_true(names(client, SECOND) && !names(client, FIRST));
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(relay);
}

static void paths_move_with_a_thread(void **state) {
    (void)state;
    netns_needed();
    direct_path_moves_to_the_new_address(OWN_THREAD, true);
}

static void paths_move_without_a_thread(void **state) {
    (void)state;
    netns_needed();
    direct_path_moves_to_the_new_address(NO_THREAD, true);
}

static void paths_move_when_told(void **state) {
    (void)state;
    netns_needed();
    direct_path_moves_to_the_new_address(OWN_THREAD, false);
}

static void events_that_nobody_took_are_counted(void **state) {
    (void)state;
    char url[64];
    netns_needed();
    iroh_relay *relay = relay_on("127.0.0.1", url);
    iroh_endpoint *server = roamer(url, OWN_THREAD, false), *client = roamer(url, OWN_THREAD, false);
    iroh_connection *s, *c;
    iroh_path_event e;
    uint64_t missed = 0, taken = 0;
    assert_int_equal(iroh_endpoint_wait_online(server, LONG_MS), 0);
    assert_int_equal(iroh_endpoint_wait_online(client, LONG_MS), 0);
    duo_accept_all(server);
    c = duo_connect(client, server);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s), 0);
    wait_for_path_to(client, c, FIRST);
    assert_int_equal(iroh_connection_path_event(c, LONG_MS, &e), 0);
    // Each move opens a path, selects it and closes another.
    for (int i = 0; i < 8; i++) {
        const char *to = i % 2 == 0 ? SECOND : FIRST, *from = i % 2 == 0 ? FIRST : SECOND;
        move(to, from);
        assert_int_equal(iroh_endpoint_network_change(server), 0);
        assert_int_equal(iroh_endpoint_network_change(client), 0);
        wait_for_path_to(client, c, to);
    }
    while (iroh_connection_path_event(c, 0, &e) == 0) {
        missed += e.missed;
        assert_true(taken == 0 || e.missed == 0);
        taken++;
    }
    assert_true(taken >= IROH_PATH_EVENTS_MAX);  // more may happen meanwhile
    assert_true(missed > 0);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(relay);
}

static void relay_from_a_gone_address_is_dialled_anew(void **state) {
    (void)state;
    char url[64];
    iroh_relay_status status = {.connected = true};
    netns_needed();
    iroh_relay *relay = relay_on(FIRST, url);
    iroh_endpoint *ep = roamer(url, OWN_THREAD, true);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    move(SECOND, FIRST);
    for (int ms = 0; status.connected && ms < LONG_MS; ms += STEP_MS) {
        pass(ep);
        assert_true(iroh_endpoint_home_relay(ep, NULL, 0, &status) > 0);
    }
    assert_false(status.connected);
    netns_ip("addr add " FIRST "/24 dev ve0");
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(relay);
}

int main(void) {
    (void)netns_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_move_with_a_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_move_without_a_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_move_when_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_that_nobody_took_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(relay_from_a_gone_address_is_dialled_anew, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("endpoint_network", tests, NULL, NULL);
}
