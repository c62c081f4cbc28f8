// The relay server over real sockets: its answers, clients on several threads, who may come in, its beginning and its end.
// What strangers may try without hurting anybody else: relay_abuse_test.c.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "crypto/ed25519.h"
#include "unit/relay_live_support.h"

// --- Answers

static const struct {
    const char *request;
    const char *status;
    const char *has;  // somewhere in the answer; null: nothing special
    const char *lacks;
} answers[] = {
    {"GET /ping HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "access-control-allow-origin: *\r\n", NULL},
    {"GET /ping?x=1 HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "content-length: 0\r\n", NULL},
    {"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "{\"status\":\"ok\",\"version\":\"", NULL},
    {"GET /robots.txt HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "\r\n\r\nUser-agent: *\nDisallow: /\n",
     "content-type"},
    {"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "content-type: text/html; charset=utf-8\r\n", NULL},
    {"GET /index.html HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "<h1>", NULL},
    {"GET /status.json HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200", "\"clients\":0", NULL},
    {"GET /generate_204 HTTP/1.1\r\nX-Iroh-Challenge: ts_a.b-C_1\r\nConnection: close\r\n\r\n", "HTTP/1.1 204",
     "x-iroh-response: response ts_a.b-C_1\r\n", "content-length"},
    {"GET /generate_204 HTTP/1.1\r\nX-Iroh-Challenge: a b\r\nConnection: close\r\n\r\n", "HTTP/1.1 204", NULL,
     "x-iroh-response"},
    {"GET /generate_204 HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 204", NULL, "x-iroh-response"},
    {"HEAD /ping HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 404", "\r\n\r\nNot Found", NULL},
    {"GET /ping/ HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 404", NULL, NULL},
    {"GET /derp HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 404",
     "content-security-policy: ", "strict-transport"},
    {"POST /ping HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "HTTP/1.1 404", "connection: close\r\n", NULL},
    {"GET /ping HTTP/1.0\r\n\r\n", "HTTP/1.1 200", NULL, NULL},
    {"nonsense\r\n\r\n", "HTTP/1.1 400", NULL, NULL},
    {"GET /ping HTTP/1.1\r\nbad field\r\n\r\n", "HTTP/1.1 400", NULL, NULL},
    {"GET /relay HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 400", "missing header: upgrade", NULL},
    {"GET /relay HTTP/1.1\r\nConnection: close\r\nUpgrade: WebSocket\r\n\r\n", "HTTP/1.1 400",
     "invalid header value for upgrade", NULL},
};

static void requests_are_answered(void **state) {
    (void)state;
    iroh_relay *r = live_start(false);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const char *answer = live_ask(r, answers[i].request);
        bool right = live_starts(answer, answers[i].status) && strstr(answer, "\r\ndate: ") != NULL &&
                     (answers[i].has == NULL || strstr(answer, answers[i].has) != NULL) &&
                     (answers[i].lacks == NULL || strstr(answer, answers[i].lacks) == NULL);
        if (!right)
            fail_msg("%s-> %s", answers[i].request, answer);
    }
    iroh_relay_stop(r);
}

static void requests_of_one_connection_are_answered_in_turn(void **state) {
    (void)state;
    static const char two[] = "GET /healthz HTTP/1.1\r\n\r\nGET /robots.txt HTTP/1.1\r\n\r\n";
    iroh_relay *r = live_start(false);
    live_line l = live_dial(r, false);
    assert_true(live_put(&l, two, sizeof two - 1));
    const char *answer = live_get(&l, "Disallow: /\n");
    assert_true(strstr(answer, "git_hash") < strstr(answer, "Disallow"));
    l.slow = true;
    assert_true(live_put(&l, two, sizeof two - 1));
    (void)live_get(&l, "Disallow: /\n");
    live_hang_up(&l);
    live_await(r, 0, 0);
    iroh_relay_stop(r);
}

// --- Clients

static void clients_of_all_threads_reach_each_other(void **state) {
    (void)state;
    enum { CLIENTS = 24 };
    static live_client clients[CLIENTS];
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 4;
    iroh_relay *r = live_start_with(&config, false);
    for (uint8_t i = 0; i < CLIENTS; i++)
        live_client_ready(&clients[i], r, (uint8_t)(i + 1));
    char text[48];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            int to = (i * 7 + round + 1) % CLIENTS;
            (void)snprintf(text, sizeof text, "%d to %d in %d", i, to, round);
            live_client_say(&clients[i], &clients[to], text);
            live_client_expect(&clients[to], &clients[i], text);
        }
    }
    iroh_relay_stats s = live_stats(r);
    assert_int_equal(s.clients, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        live_client_close(&clients[i]);
    live_await(r, 0, 0);
    assert_int_equal(live_stats(r).datagrams_in, 4 * CLIENTS);
    assert_int_equal(live_stats(r).datagrams_dropped, 0);
    iroh_relay_stop(r);
}

// --- Who may come in

static bool is_let_in(const iroh_relay *r, uint8_t key, const char *token) {
    live_client c;
    relay_client_event event;
    live_client_open(&c, r, key, token, false);
    bool ready = live_client_next(&c, &event) == RELAY_EVENT_READY;
    assert_true(ready || c.machine.denied);
    live_client_close(&c);
    return ready;
}

static void only_those_come_in_whom_access_allows(void **state) {
    (void)state;
    static const char *const tokens[] = {"one", "two"};
    iroh_public_key id;
    uint8_t seed[32];
    memset(seed, 7, sizeof seed);
    ed25519_public(seed, id.bytes);
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.ids = &id;
    config.id_count = 1;
    config.access = IROH_RELAY_ALLOWLIST;
    iroh_relay *r = live_start_with(&config, false);
    assert_true(is_let_in(r, 7, NULL));
    assert_false(is_let_in(r, 8, NULL));
    iroh_relay_stop(r);

    config.access = IROH_RELAY_DENYLIST;
    r = live_start_with(&config, false);
    assert_false(is_let_in(r, 7, NULL));
    assert_true(is_let_in(r, 8, NULL));
    iroh_relay_stop(r);

    config.access = IROH_RELAY_TOKENS;
    config.tokens = tokens;
    config.token_count = 2;
    r = live_start_with(&config, false);
    assert_true(is_let_in(r, 7, "two"));
    assert_false(is_let_in(r, 7, "tw"));
    assert_false(is_let_in(r, 7, NULL));
    iroh_relay_stop(r);
}

static void without_relaying_there_is_no_way_in(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.relay = false;
    iroh_relay *r = live_start_with(&config, false);
    live_line l = live_dial(r, false);
    assert_true(live_put(&l, LIVE_UPGRADE, sizeof LIVE_UPGRADE - 1));
    assert_true(live_starts(live_get(&l, "\r\n\r\n"), "HTTP/1.1 404"));
    live_hang_up(&l);
    iroh_relay_stop(r);
}

static void who_sends_too_much_is_told_and_slowed(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.rx_bytes_per_second = 100000;
    iroh_relay *r = live_start_with(&config, false);
    live_client a, b;
    live_client_ready(&a, r, 1);
    live_client_ready(&b, r, 2);
    static char text[15000];
    memset(text, 'x', sizeof text - 1);
    live_client_say(&a, &b, text);
    live_client_expect(&b, &a, text);
    relay_client_event event;
    assert_int_equal(live_client_next(&a, &event), RELAY_EVENT_STATUS);
    assert_int_equal(event.frame.code, RELAY_STATUS_RATE_LIMITED);
    // What comes then arrives all the same.
    live_client_say(&a, &b, "later");
    live_client_expect(&b, &a, "later");
    live_client_close(&a);
    live_client_close(&b);
    iroh_relay_stop(r);
}

// --- Its beginning and its end

static void clients_are_asked_to_come_back_when_it_stops(void **state) {
    (void)state;
    iroh_relay *r = live_start(false);
    live_client a;
    relay_client_event event;
    live_client_ready(&a, r, 1);
    // Stopping waits for clients that have not closed yet, so the live_client closes from a thread of the system: here the
    // peer's end is shut before, and what was sent stays to be read.
    assert_int_equal(shutdown(a.line.fd, SHUT_WR), 0);
    iroh_relay_stop(r);
    while (live_client_next(&a, &event) != 0) {}
    live_client_close(&a);
}

static void what_cannot_be_is_refused_at_the_start(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay *r = NULL;
    iroh_relay_config_default(&config);
    config.http_bind = "127.0.0.1";
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_ARG);
    config.http_bind = "127.0.0.1:0";
    config.access = 99;
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_ARG);
    config.access = IROH_RELAY_TOKENS;
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_ARG);
    config.access = IROH_RELAY_CALLBACK;
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_ARG);
    config.access = IROH_RELAY_EVERYONE;
    config.https_bind = "127.0.0.1:0";
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_ARG);
    config.certificate_path = config.key_path = "/nonexistent";
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_IO);
    config.certificate_path = config.key_path = "/dev/null";
    assert_int_equal(iroh_relay_start(&config, &r), IROH_ERR_SYNTAX);
    assert_null(r);
    iroh_relay_stop(NULL);
}

static void an_address_that_is_taken_is_refused(void **state) {
    (void)state;
    iroh_relay *first = live_start(false), *second = NULL;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.http_bind = iroh_relay_http_address(first);
    config.threads = 2;
    assert_int_equal(iroh_relay_start(&config, &second), IROH_ERR_BIND);
    assert_null(second);
    iroh_relay_stop(first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered),
        cmocka_unit_test(requests_of_one_connection_are_answered_in_turn),
        cmocka_unit_test(clients_of_all_threads_reach_each_other),
        cmocka_unit_test(only_those_come_in_whom_access_allows),
        cmocka_unit_test(without_relaying_there_is_no_way_in),
        cmocka_unit_test(who_sends_too_much_is_told_and_slowed),
        cmocka_unit_test(clients_are_asked_to_come_back_when_it_stops),
        cmocka_unit_test(what_cannot_be_is_refused_at_the_start),
        cmocka_unit_test(an_address_that_is_taken_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
