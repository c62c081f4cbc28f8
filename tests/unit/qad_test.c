// QUIC address discovery in virtual time: our client and a server with a certificate, two cores in one process, between
// which the test carries datagrams and may change where they seem to come from.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "crypto/ed25519.h"
#include "net/qad.h"
#include "tls/web_client.h"
#include "tls/web_server.h"
#include "unit/certificate_support.h"
#include "unit/relay_support.h"

#define START (1000 * NS_PER_S)
#define ONE_WAY (10 * NS_PER_MS)
#define ROOM 65536
#define FLIGHT_MAX 256

typedef struct letter {
    bool to_server;
    uint64_t at;
    size_t len;
    uint8_t bytes[2048];
} letter;

typedef struct world {
    relay_random random;
    web_certificate *certificate;
    web_roots *roots;
    quic_endpoint *client, *server;
    quic_conn *conn, *peer;  // peer: null until it was accepted
    addr seen;               // where the client's datagrams seem to come from
    addr relay;
    uint64_t now;
    letter letters[FLIGHT_MAX];
    size_t letter_count;
    uint64_t carried;  // to the server
    bool told, closed, peer_closed;
    bool cut;  // nothing arrives any more
    addr observed;
} world;

static world w;

static addr parsed(const char *text) {
    addr a;
    assert_int_equal(addr_parse(&a, text, strlen(text)), 0);
    return a;
}

static quic_endpoint *core_new(bool server) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"/iroh-qad/0", .len = 11};
    quic_endpoint_config config;
    quic_endpoint *core;
    quic_endpoint_config_default(&config);
    config.tls = &tls_gnutls;
    memset(config.identity.seed, server ? 1 : 2, 32);
    ed25519_public(config.identity.seed, config.identity.public_key);
    config.random = w.random.source;
    if (server) {
        config.identity.certificate = &w.certificate;
        config.alpns = &alpn;
        config.alpn_count = 1;
        config.transport.paths = 0;
        config.transport.nat_candidates = 0;
        config.transport.send_observed = true;
        config.transport.keep_alive = 0;
    }
    assert_int_equal(quic_endpoint_new(&config, &core), 0);
    return core;
}

static int set_up(void **state) {
    const test_certificate *c = test_certificate_get();
    char path[] = "/tmp/iroh-qad-XXXXXX";
    (void)state;
    w = (world){.now = START, .seen = parsed("198.51.100.7:4000"), .relay = parsed("192.0.2.1:7842")};
    relay_random_init(&w.random, 5);
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, c->chain, strlen(c->chain)) == (ssize_t)strlen(c->chain));
    (void)close(fd);
    assert_int_equal(web_roots_new(path, &w.roots), 0);
    (void)unlink(path);
    assert_int_equal(web_certificate_new(c->chain, strlen(c->chain), c->key, strlen(c->key), &w.certificate), 0);
    w.client = core_new(false);
    w.server = core_new(true);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    quic_endpoint_free(w.client);
    quic_endpoint_free(w.server);
    web_certificate_unref(w.certificate);
    web_roots_unref(w.roots);
    return 0;
}

static int dial(const char *host) {
    return qad_connect(w.client, w.roots, host, strlen(host), &w.relay, w.now, &w.conn);
}

// --- The network

static void collect(quic_endpoint *from, bool to_server) {
    static uint8_t room[ROOM];
    quic_transmit t;
    while (quic_endpoint_transmit(from, w.now, room, sizeof room, 1, &t)) {
        if (w.cut)
            continue;
        assert_true(w.letter_count < FLIGHT_MAX && t.len <= sizeof w.letters[0].bytes);
        letter *l = &w.letters[w.letter_count++];
        *l = (letter){.to_server = to_server, .at = w.now + ONE_WAY, .len = t.len};
        memcpy(l->bytes, room, t.len);
        w.carried += to_server;
    }
}

static void deliver(const letter *l) {
    letter copy = *l;
    const quic_datagram d = {.bytes = copy.bytes, .len = copy.len, .remote = copy.to_server ? w.seen : w.relay};
    quic_endpoint_receive(copy.to_server ? w.server : w.client, &d, w.now);
}

static uint64_t next_letter(void) {
    uint64_t at = TIME_NEVER;
    for (size_t i = 0; i < w.letter_count; i++)
        at = time_min(at, w.letters[i].at);
    return at;
}

static void deliver_due(void) {
    for (size_t i = 0; i < w.letter_count;) {
        if (w.letters[i].at > w.now) {
            i++;
            continue;
        }
        letter l = w.letters[i];
        memmove(&w.letters[i], &w.letters[i + 1], (--w.letter_count - i) * sizeof l);
        deliver(&l);
    }
}

static void hear(void) {
    uint32_t events;
    quic_conn *c;
    quic_incoming *in;
    while ((in = quic_endpoint_next_incoming(w.server)) != NULL)
        assert_int_equal(quic_incoming_accept(in, w.now, &w.peer), 0);
    while ((c = quic_endpoint_next_event(w.server, &events)) != NULL)
        w.peer_closed |= (events & CONN_CLOSED) != 0;
    while ((c = quic_endpoint_next_event(w.client, &events)) != NULL) {
        w.told |= (events & CONN_PATH) != 0 && qad_observed(c, &w.observed);
        w.closed |= (events & CONN_CLOSED) != 0;
    }
}

// Lets time pass until then, or until the relay has told something, or the connection has ended.
static void pass(uint64_t ns, bool until_told) {
    uint64_t end = w.now + ns;
    for (int turns = 0; turns < 20000 && !(until_told && (w.told || w.closed)); turns++) {
        collect(w.client, true);
        collect(w.server, false);
        uint64_t at = time_min(quic_endpoint_deadline(w.client), quic_endpoint_deadline(w.server));
        at = time_max(time_min(at, next_letter()), w.now);
        if (at > end)
            break;
        w.now = at;
        deliver_due();
        quic_endpoint_timeout(w.client, w.now);
        quic_endpoint_timeout(w.server, w.now);
        hear();
    }
    if (!until_told)
        w.now = end;
}

// --- Cases

static void address_and_round_trip_are_told(void **state) {
    (void)state;
    assert_int_equal(dial("localhost"), 0);
    assert_int_equal(qad_rtt(w.conn), 0);
    pass(NS_PER_S, true);
    assert_true(w.told);
    assert_true(addr_equal(&w.observed, &w.seen));
    assert_int_equal(qad_rtt(w.conn), 2 * ONE_WAY);
    assert_int_equal(w.now - START, 2 * ONE_WAY);  // it comes with the server's first flight
}

static void final_dot_is_not_part_of_the_name(void **state) {
    (void)state;
    assert_int_equal(dial("localhost."), 0);
    pass(NS_PER_S, true);
    assert_true(w.told);
}

static void other_names_are_not_believed(void **state) {
    static const char *const hosts[] = {"relay.example", "[::1]", "127.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        w.told = w.closed = false;
        assert_int_equal(dial(hosts[i]), 0);
        pass(NS_PER_S, true);
        assert_true(w.closed && !w.told);
        assert_int_equal(quic_conn_close_info(w.conn)->error, IROH_ERR_HANDSHAKE);
        quic_conn_release(w.conn, w.now);
        pass(10 * NS_PER_S, false);
    }
}

static void mapped_addresses_are_told_as_ipv4(void **state) {
    (void)state;
    w.seen = parsed("[::ffff:198.51.100.7]:4000");
    w.seen.kind = ADDR_IP6;  // as a socket of both families sees it
    memset(w.seen.bytes, 0, sizeof w.seen.bytes);
    memcpy(w.seen.bytes, (const uint8_t[16]){[10] = 0xff, [11] = 0xff, [12] = 198, [13] = 51, [14] = 100, [15] = 7},
           16);
    assert_int_equal(dial("localhost"), 0);
    pass(NS_PER_S, true);
    const addr plain = parsed("198.51.100.7:4000");
    assert_true(w.told && addr_equal(&w.observed, &plain));
}

static void kept_connection_stays_and_tells_of_another_mapping(void **state) {
    (void)state;
    assert_int_equal(dial("localhost"), 0);
    pass(NS_PER_S, true);
    pass(300 * NS_PER_S, false);
    assert_false(w.closed || w.peer_closed);
    uint64_t carried = w.carried;
    pass(100 * NS_PER_S, false);
    assert_in_range(w.carried - carried, 3, 12);  // a ping now and then, and nothing else
    w.told = false;
    w.seen = parsed("198.51.100.7:5000");
    pass(30 * NS_PER_S, false);
    assert_true(w.told && addr_equal(&w.observed, &w.seen));
}

static void silent_relay_is_noticed(void **state) {
    (void)state;
    assert_int_equal(dial("localhost"), 0);
    pass(NS_PER_S, true);
    w.cut = true;
    pass(70 * NS_PER_S, false);
    assert_true(w.closed);
    assert_int_equal(quic_conn_close_info(w.conn)->error, IROH_ERR_IDLE);
}

static void goodbye_is_what_relays_expect(void **state) {
    (void)state;
    assert_int_equal(dial("localhost"), 0);
    pass(NS_PER_S, false);
    assert_int_equal(quic_endpoint_unfinished(w.client), 1);
    qad_close(w.conn, w.now);
    assert_int_equal(quic_endpoint_unfinished(w.client), 0);  // nobody waits for it
    pass(NS_PER_S, false);
    assert_true(w.peer_closed);
    const quic_close_info *info = quic_conn_close_info(w.peer);
    assert_true(info->by_peer && info->application);
    assert_int_equal(info->code, 1);
    assert_int_equal(info->reason_len, 8);
    assert_memory_equal(info->reason, "finished", 8);
}

static void errands_are_not_counted(void **state) {
    quic_endpoint_stats stats;
    (void)state;
    assert_int_equal(dial("localhost"), 0);
    pass(NS_PER_S, false);
    quic_endpoint_stats_get(w.client, &stats);
    assert_int_equal(stats.connections, 0);
    assert_int_equal(stats.handshakes, 0);
    quic_endpoint_stats_get(w.server, &stats);
    assert_int_equal(stats.connections, 1);
    assert_int_equal(stats.handshakes, 1);
    qad_close(w.conn, w.now);
    quic_conn_release(w.conn, w.now);
    pass(100 * NS_PER_S, false);
    quic_endpoint_stats_get(w.client, &stats);
    assert_int_equal(stats.connections, 0);
}

static void bad_arguments_are_refused(void **state) {
    char host[QAD_HOST_MAX + 1];
    (void)state;
    memset(host, 'a', sizeof host);
    assert_int_equal(qad_connect(w.client, w.roots, host, QAD_HOST_MAX, &w.relay, w.now, &w.conn), IROH_ERR_TOO_LARGE);
    w.relay = (addr){.kind = ADDR_RELAY};
    assert_int_equal(dial("localhost"), IROH_ERR_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(address_and_round_trip_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(final_dot_is_not_part_of_the_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_names_are_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mapped_addresses_are_told_as_ipv4, set_up, tear_down),
        cmocka_unit_test_setup_teardown(kept_connection_stays_and_tells_of_another_mapping, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silent_relay_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(goodbye_is_what_relays_expect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errands_are_not_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_arguments_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
