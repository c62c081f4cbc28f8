// What an endpoint tells of each of its relays: how it is, and why it is not; tokens and roots of their own.
#include <iroh/relay.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint_support.h"
#include "unit/certificate_support.h"
#include "unit/relay_live_support.h"

#define STEP_MS 10
#define NOWHERE "http://127.0.0.1:1/"

static void home_of(char out[static 64], const iroh_relay *r, bool tls) {
    const char *address = tls ? iroh_relay_https_address(r) : iroh_relay_http_address(r);
    (void)snprintf(out, 64, "%s://localhost:%u/", tls ? "https" : "http", live_port_of(address));
}

static iroh_relay *for_token(const char *token) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.access = IROH_RELAY_TOKENS;
    config.tokens = &token;
    config.token_count = 1;
    return live_start_with(&config, false);
}

// All relays are dialled at once, since nobody measures how far they are.
static iroh_endpoint *dweller(const char *const *relays, const char *const *tokens, size_t count, const char *ca_file) {
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.relays = relays;
    config.relay_tokens = tokens;
    config.relay_count = count;
    config.relay_token = "for all";
    config.ca_file = ca_file;
    config.net_report = false;
    return duo_bind(&config);
}

// Waits until the relay is as is wanted: connected, refusing, or failing with an error.
static iroh_relay_status await(iroh_endpoint *ep, size_t i, bool connected, bool denied) {
    iroh_relay_status s = {0};
    iroh_pollitem item = {.endpoint = ep};
    for (int ms = 0; ms < LONG_MS; ms += STEP_MS) {
        assert_true(iroh_endpoint_relay(ep, i, NULL, 0, &s) > 0);
        if (connected ? s.connected : denied ? s.denied : s.error != 0)
            break;
        assert_int_equal(iroh_poll(&item, 1, STEP_MS), 0);
    }
    assert_int_equal(s.connected, connected);
    assert_int_equal(s.denied, denied);
    return s;
}

static void every_relay_gets_its_own_token(void **state) {
    (void)state;
    iroh_relay *a = for_token("first"), *b = for_token("second"), *c = for_token("for all"), *d = for_token("other");
    char urls[4][64], url[64];
    const char *relays[4], *tokens[4] = {"first", "second", NULL, NULL};
    iroh_relay *all[] = {a, b, c, d};
    for (int i = 0; i < 4; i++) {
        home_of(urls[i], all[i], false);
        relays[i] = urls[i];
    }
    iroh_endpoint *ep = dweller(relays, tokens, 4, NULL);
    for (size_t i = 0; i < 3; i++) {
        iroh_relay_status s = await(ep, i, true, false);
        assert_true(s.configured && s.error == 0);
        assert_string_equal(s.reason, "");
    }
    iroh_relay_status refused = await(ep, 3, false, true);
    assert_true(strlen(refused.reason) > 0);
    assert_false(refused.home);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(iroh_endpoint_relay(ep, i, url, sizeof url, NULL), strlen(urls[i]));
        assert_string_equal(url, urls[i]);
    }
    assert_int_equal(iroh_endpoint_relay(ep, 4, url, sizeof url, NULL), IROH_ERR_RANGE);
    assert_int_equal(iroh_endpoint_relay(ep, 0, url, strlen(urls[0]), NULL), IROH_ERR_TOO_LARGE);
    assert_int_equal(iroh_endpoint_relay(NULL, 0, url, sizeof url, NULL), IROH_ERR_ARG);
    iroh_endpoint_free(ep);
    for (int i = 0; i < 4; i++)
        iroh_relay_stop(all[i]);
}

static void exactly_one_is_home(void **state) {
    (void)state;
    iroh_relay *r = live_start(false);
    char url[64];
    home_of(url, r, false);
    const char *relays[] = {NOWHERE, url};
    iroh_endpoint *ep = dweller(relays, NULL, 2, NULL);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_relay_status good = await(ep, 1, true, false), bad = await(ep, 0, false, false);
    assert_true(good.home && !bad.home);
    assert_int_equal(bad.error, IROH_ERR_REFUSED);
    assert_true(strlen(bad.reason) > 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(r);
}

// A relay that only the address of a peer names is no home, and gets no token.
static void relays_of_peers_are_told_of(void **state) {
    (void)state;
    iroh_relay *r = live_start(false);
    char url[64];
    home_of(url, r, false);
    const char *relays[] = {url};
    iroh_endpoint *server = dweller(relays, NULL, 1, NULL), *client = duo_default(OWN_THREAD);
    iroh_relay_status s;
    iroh_connection *c;
    assert_int_equal(iroh_endpoint_wait_online(server, LONG_MS), 0);
    assert_int_equal(iroh_endpoint_relay(client, 0, NULL, 0, &s), IROH_ERR_RANGE);
    duo_accept_all(server);
    c = duo_connect(client, server);
    s = await(client, 0, true, false);
    assert_false(s.home || s.configured);
    assert_int_equal(iroh_endpoint_home_relay(client, NULL, 0, &s), IROH_ERR_NOT_FOUND);
    iroh_connection_free(c);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    iroh_relay_stop(r);
}

static void roots_decide_whom_to_trust(void **state) {
    (void)state;
    iroh_relay *r = live_start(true);
    char url[64], good[] = "/tmp/iroh-relays-XXXXXX", other[] = "/tmp/iroh-relays-XXXXXX";
    const test_certificate *mine = test_certificate_get();
    test_certificate stranger = test_certificate_new(false);
    home_of(url, r, true);
    const char *relays[] = {url};
    const char *const bad[] = {NULL, other, "/nowhere/ca.pem"};
    int fd = mkstemp(good);
    assert_int_equal(write(fd, mine->chain, strlen(mine->chain)), strlen(mine->chain));
    close(fd);
    fd = mkstemp(other);
    assert_int_equal(write(fd, stranger.chain, strlen(stranger.chain)), strlen(stranger.chain));
    close(fd);
    iroh_endpoint *ep = dweller(relays, NULL, 1, good);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ep = dweller(relays, NULL, 1, bad[i]);
        iroh_relay_status s = await(ep, 0, false, false);
        assert_int_equal(s.error, IROH_ERR_HANDSHAKE);
        assert_true(strlen(s.reason) > 0);
        iroh_endpoint_free(ep);
    }
    iroh_relay_stop(r);
    test_certificate_free(&stranger);
    unlink(good);
    unlink(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_relay_gets_its_own_token),
        cmocka_unit_test(exactly_one_is_home),
        cmocka_unit_test(relays_of_peers_are_told_of),
        cmocka_unit_test(roots_decide_whom_to_trust),
    };
    return cmocka_run_group_tests_name("endpoint_relays", tests, NULL, NULL);
}
