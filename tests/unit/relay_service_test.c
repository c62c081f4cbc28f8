// The relay server over real sockets: its answers, clients on several threads, and what strangers may try without hurting
// anybody else.
#include <iroh/relay.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "crypto/ed25519.h"
#include "relay/auth.h"
#include "relay/client.h"
#include "sys/entropy.h"
#include "sys/loop.h"

#define PATIENCE_MS 20000  // before a test gives up; nothing takes so long
#define ANSWER_MAX 32768
#define UPGRADE                                                                                                        \
    "GET /relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                  \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                                     \
    "Sec-WebSocket-Protocol: iroh-relay-v2\r\n\r\n"

// --- A server

static iroh_relay *start_with(iroh_relay_config *config) {
    iroh_relay *r = NULL;
    config->http_bind = "127.0.0.1:0";
    if (config->threads == 0)
        config->threads = 2;
    assert_int_equal(iroh_relay_start(config, &r), 0);
    return r;
}

static iroh_relay *start(void) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    return start_with(&config);
}

static uint16_t port_of(const char *address) {
    return (uint16_t)atoi(strrchr(address, ':') + 1);
}

static iroh_relay_stats stats_of(const iroh_relay *r) {
    iroh_relay_stats s;
    iroh_relay_stats_get(r, &s);
    return s;
}

// Waits until the server has so many clients and connections.
static void await_counts(const iroh_relay *r, uint64_t clients, uint64_t connections) {
    for (int i = 0; i < PATIENCE_MS; i++) {
        iroh_relay_stats s = stats_of(r);
        if (s.clients == clients && s.connections == connections)
            return;
        (void)poll(NULL, 0, 1);
    }
    iroh_relay_stats s = stats_of(r);
    fail_msg("%d clients and %d connections", (int)s.clients, (int)s.connections);
}

// --- A socket

static int dial(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static bool readable(int fd, int timeout_ms) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout_ms) > 0;
}

// False when the server has gone.
static bool put(int fd, const void *bytes, size_t len) {
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

// Reads until the end, or until `until` has been seen: the text, terminated, valid until the next call.
static const char *get(int fd, const char *until) {
    static char text[ANSWER_MAX];
    size_t len = 0;
    text[0] = '\0';
    while (until == NULL || strstr(text, until) == NULL) {
        assert_true(len + 1 < sizeof text);
        if (!readable(fd, PATIENCE_MS))
            fail_msg("no answer");
        ssize_t n = recv(fd, text + len, sizeof text - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
    }
    return text;
}

static void expect_closed(int fd) {
    char byte;
    ssize_t n;
    do {
        if (!readable(fd, PATIENCE_MS))
            fail_msg("not closed");
        n = recv(fd, &byte, 1, 0);
    } while (n > 0);
    (void)close(fd);
}

// The whole answer to a request on a connection of its own, which it must ask to be closed.
static const char *ask(const iroh_relay *r, const char *request) {
    int fd = dial(port_of(iroh_relay_http_address(r)));
    assert_true(put(fd, request, strlen(request)));
    const char *answer = get(fd, NULL);
    (void)close(fd);
    return answer;
}

static bool starts(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

// --- A client

typedef struct client {
    relay_client machine;
    relay_blocks blocks;
    entropy random;
    uint8_t seed[32], id[32];
    int fd;
    char url[64];
    uint8_t *bytes;  // read and not fed
    uint8_t *at;
    size_t left;
} client;

static void client_open(client *c, const iroh_relay *r, uint8_t key, const char *token) {
    memset(c, 0, sizeof *c);
    memset(c->seed, key, sizeof c->seed);
    ed25519_public(c->seed, c->id);
    c->random = sys_entropy();
    relay_blocks_init(&c->blocks, 4096);
    int len = snprintf(c->url, sizeof c->url, "http://%s/", iroh_relay_http_address(r));
    relay_client_config config = {
        .url = c->url, .url_len = (size_t)len, .token = token, .random = &c->random, .blocks = &c->blocks};
    memcpy(config.seed, c->seed, sizeof c->seed);
    assert_int_equal(relay_client_init(&c->machine, &config, sys_now()), 0);
    relay_client_set_home(&c->machine, true, sys_now());
    c->bytes = malloc(ANSWER_MAX);
    assert_non_null(c->bytes);
    relay_client_dialling(&c->machine, sys_now());
    c->fd = dial(port_of(iroh_relay_http_address(r)));
    relay_client_connected(&c->machine, NULL, sys_now());
}

static void client_close(client *c) {
    if (c->fd >= 0)
        (void)close(c->fd);
    relay_client_dispose(&c->machine);
    relay_blocks_dispose(&c->blocks);
    free(c->bytes);
}

static void client_write(client *c) {
    for (relay_block *b; (b = relay_queue_take(&c->machine.queue)) != NULL;) {
        (void)put(c->fd, b->bytes + b->start, b->end - b->start);
        relay_queue_done(&c->machine.queue, b);
    }
    relay_client_wrote(&c->machine, true, true, sys_now());
}

// The next event; 0: the connection has ended.
static int client_next(client *c, relay_client_event *event) {
    for (;;) {
        int r = relay_client_receive(&c->machine, &c->at, &c->left, sys_now(), event);
        client_write(c);
        if (r > 0)
            return event->kind;
        if (r < 0)
            return 0;
        if (!readable(c->fd, PATIENCE_MS))
            fail_msg("nothing came");
        ssize_t n = recv(c->fd, c->bytes, ANSWER_MAX, 0);
        if (n <= 0) {
            relay_client_lost(&c->machine, IROH_ERR_IO, sys_now());
            return 0;
        }
        c->at = c->bytes;
        c->left = (size_t)n;
    }
}

static void client_ready(client *c, const iroh_relay *r, uint8_t key) {
    relay_client_event event;
    client_open(c, r, key, NULL);
    client_write(c);
    assert_int_equal(client_next(c, &event), RELAY_EVENT_READY);
}

static void client_say(client *c, const client *to, const char *text) {
    assert_int_equal(relay_client_send(&c->machine, to->id, 0, 0, (const uint8_t *)text, strlen(text), sys_now()), 0);
    client_write(c);
}

static void client_expect(client *c, const client *from, const char *text) {
    relay_client_event event;
    assert_int_equal(client_next(c, &event), RELAY_EVENT_DATAGRAM);
    assert_memory_equal(event.frame.id, from->id, 32);
    assert_int_equal(event.frame.len, strlen(text));
    assert_memory_equal(event.frame.data, text, strlen(text));
}

// A socket that was upgraded and stands before its challenge.
static int dial_upgraded(const iroh_relay *r) {
    int fd = dial(port_of(iroh_relay_http_address(r)));
    assert_true(put(fd, UPGRADE, sizeof UPGRADE - 1));
    return fd;
}

static void expect_two_still_talk(const iroh_relay *r) {
    client a, b;
    client_ready(&a, r, 0x51);
    client_ready(&b, r, 0x52);
    client_say(&a, &b, "still there?");
    client_expect(&b, &a, "still there?");
    client_say(&b, &a, "yes");
    client_expect(&a, &b, "yes");
    client_close(&a);
    client_close(&b);
}

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
    iroh_relay *r = start();
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        const char *answer = ask(r, answers[i].request);
        bool right = starts(answer, answers[i].status) && strstr(answer, "\r\ndate: ") != NULL &&
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
    iroh_relay *r = start();
    int fd = dial(port_of(iroh_relay_http_address(r)));
    assert_true(put(fd, two, sizeof two - 1));
    const char *answer = get(fd, "Disallow: /\n");
    assert_true(strstr(answer, "git_hash") < strstr(answer, "Disallow"));
    for (size_t i = 0; i < sizeof two - 1; i++)
        assert_true(put(fd, two + i, 1));
    (void)get(fd, "Disallow: /\n");
    (void)close(fd);
    await_counts(r, 0, 0);
    iroh_relay_stop(r);
}

static void a_head_without_end_is_refused(void **state) {
    (void)state;
    static char field[1024];
    iroh_relay *r = start();
    int fd = dial(port_of(iroh_relay_http_address(r)));
    memset(field, 'a', sizeof field);
    assert_true(put(fd, "GET / HTTP/1.1\r\nx: ", 19));
    bool taken = true;
    for (int i = 0; i < 64 && taken; i++)
        taken = put(fd, field, sizeof field);
    if (taken)
        assert_true(starts(get(fd, "\r\n\r\n"), "HTTP/1.1 431"));
    (void)close(fd);
    await_counts(r, 0, 0);
    iroh_relay_stop(r);
}

// --- Clients

static void clients_of_all_threads_reach_each_other(void **state) {
    (void)state;
    enum { CLIENTS = 24 };
    static client clients[CLIENTS];
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 4;
    iroh_relay *r = start_with(&config);
    for (uint8_t i = 0; i < CLIENTS; i++)
        client_ready(&clients[i], r, (uint8_t)(i + 1));
    char text[48];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            int to = (i * 7 + round + 1) % CLIENTS;
            (void)snprintf(text, sizeof text, "%d to %d in %d", i, to, round);
            client_say(&clients[i], &clients[to], text);
            client_expect(&clients[to], &clients[i], text);
        }
    }
    iroh_relay_stats s = stats_of(r);
    assert_int_equal(s.clients, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    await_counts(r, 0, 0);
    assert_int_equal(stats_of(r).datagrams_in, 4 * CLIENTS);
    assert_int_equal(stats_of(r).datagrams_dropped, 0);
    iroh_relay_stop(r);
}

static void a_wrong_signature_is_denied(void **state) {
    (void)state;
    iroh_relay *r = start();
    int fd = dial_upgraded(r);
    uint8_t frame[6 + 98] = {0x82, 0x80 | 98, 0, 0, 0, 0, RELAY_CLIENT_AUTH};
    uint8_t seed[32] = {9};
    ed25519_public(seed, frame + 7);
    frame[39] = 64;
    (void)get(fd, "\r\n\r\n");
    assert_true(put(fd, frame, sizeof frame));
    uint8_t denial[64];
    size_t len = 0;
    for (ssize_t n; readable(fd, PATIENCE_MS) && (n = recv(fd, denial + len, sizeof denial - len, 0)) > 0;)
        len += (size_t)n;
    // Perhaps behind the challenge, of 19 bytes.
    static const uint8_t wanted[] = "\x82\x13\x03\x11signature invalid";
    assert_true(len >= sizeof wanted - 1);
    assert_memory_equal(denial + len - (sizeof wanted - 1), wanted, sizeof wanted - 1);
    expect_closed(fd);
    assert_int_equal(stats_of(r).accepts, 0);
    iroh_relay_stop(r);
}

static const struct {
    const char *name;
    uint8_t bytes[16];
    size_t len;
} malformed[] = {
    {"unmasked", {0x82, 1, 9}, 3},
    {"reserved bits", {0xf2, 0x80, 0, 0, 0, 0}, 6},
    {"empty", {0x82, 0x80, 0, 0, 0, 0}, 6},
    {"unknown type", {0x82, 0x81, 0, 0, 0, 0, 0x0e}, 7},
    {"the other direction", {0x82, 0x81, 0, 0, 0, 0, 0x06}, 7},
    {"short datagram", {0x82, 0x81, 0, 0, 0, 0, 0x04}, 7},
    {"short ping", {0x82, 0x82, 0, 0, 0, 0, 0x09, 1}, 8},
    {"too long", {0x82, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 14},
    {"text that is none", {0x81, 0x81, 0, 0, 0, 0, 0xff}, 7},
    {"nonsense", {0xde, 0xad, 0xbe, 0xef}, 4},
};

static void malformed_frames_end_their_sender_alone(void **state) {
    (void)state;
    iroh_relay *r = start();
    client a, b;
    client_ready(&a, r, 1);
    client_ready(&b, r, 2);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++) {
        client bad;
        client_ready(&bad, r, (uint8_t)(0x80 + i));
        assert_true(put(bad.fd, malformed[i].bytes, malformed[i].len));
        expect_closed(bad.fd);
        bad.fd = -1;
        client_close(&bad);
        client_say(&a, &b, malformed[i].name);
        client_expect(&b, &a, malformed[i].name);
    }
    client_close(&a);
    client_close(&b);
    await_counts(r, 0, 0);
    iroh_relay_stop(r);
}

static void oversize_and_empty_datagrams_hurt_nobody(void **state) {
    (void)state;
    iroh_relay *r = start();
    client a, b;
    client_ready(&a, r, 1);
    client_ready(&b, r, 2);
    uint8_t empty[6 + 34] = {0x82, 0x80 | 34, 0, 0, 0, 0, RELAY_TO_RELAY};
    memcpy(empty + 7, b.id, 32);
    assert_true(put(a.fd, empty, sizeof empty));
    // 65 537 bytes: may be read, but not sent.
    static uint8_t large[14 + 65537] = {0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, RELAY_TO_RELAY};
    memcpy(large + 15, b.id, 32);
    assert_true(put(a.fd, large, sizeof large));
    client_say(&a, &b, "behind them");
    client_expect(&b, &a, "behind them");
    client_close(&a);
    client_close(&b);
    await_counts(r, 0, 0);
    assert_int_equal(stats_of(r).datagrams_dropped, 2);
    iroh_relay_stop(r);
}

static void a_client_that_never_reads_is_dropped_and_costs_nobody_else(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.queue_bytes_max = 8 << 20;
    iroh_relay *r = start_with(&config);
    client a, b, deaf;
    client_ready(&a, r, 1);
    client_ready(&b, r, 2);
    client_ready(&deaf, r, 3);
    static char text[16000];
    memset(text, 'x', sizeof text - 1);
    for (int i = 0; i < 1500; i++)
        client_say(&a, &deaf, text);
    client_say(&a, &b, "behind the flood");
    client_expect(&b, &a, "behind the flood");
    await_counts(r, 2, 2);
    assert_true(stats_of(r).datagrams_dropped > 0);
    client_say(&b, &a, "and back");
    // The flood's receiver has gone, and perhaps its sender was told.
    relay_client_event event;
    do
        assert_int_not_equal(client_next(&a, &event), 0);
    while (event.kind != RELAY_EVENT_DATAGRAM);
    assert_memory_equal(event.frame.data, "and back", 8);
    client_close(&a);
    client_close(&b);
    client_close(&deaf);
    iroh_relay_stop(r);
}

static void connections_that_go_at_any_moment_leave_nothing_behind(void **state) {
    (void)state;
    static const char *const pieces[] = {"",
                                         "G",
                                         "GET /ping HTTP/1.1\r\n",
                                         "GET /ping HTTP/1.1\r\n\r\nGET",
                                         UPGRADE,
                                         UPGRADE "\x82",
                                         UPGRADE "\x82\xe2zzzz\x01",
                                         "\x16\x03\x01\x02"};
    iroh_relay *r = start();
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        for (int reset = 0; reset < 2; reset++) {
            int fd = dial(port_of(iroh_relay_http_address(r)));
            assert_true(put(fd, pieces[i], strlen(pieces[i])));
            const struct linger hard = {.l_onoff = 1};
            if (reset)
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            (void)close(fd);
        }
    }
    expect_two_still_talk(r);
    await_counts(r, 0, 0);
    iroh_relay_stop(r);
}

static void a_flood_of_connections_keeps_no_client_from_talking(void **state) {
    (void)state;
    enum { FLOOD = 200 };
    static int flood[FLOOD];
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 1;
    config.connections_max = 40;
    iroh_relay *r = start_with(&config);
    client a, b;
    client_ready(&a, r, 1);
    client_ready(&b, r, 2);
    for (int i = 0; i < FLOOD; i++)
        flood[i] = dial(port_of(iroh_relay_http_address(r)));
    client_say(&a, &b, "through the flood");
    client_expect(&b, &a, "through the flood");
    assert_true(stats_of(r).connections <= config.connections_max);
    for (int i = 0; i < FLOOD; i++)
        (void)close(flood[i]);
    await_counts(r, 2, 2);
    // And there is room again.
    expect_two_still_talk(r);
    client_close(&a);
    client_close(&b);
    iroh_relay_stop(r);
}

static void accepting_goes_no_faster_than_allowed(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.threads = 1;
    config.accepts_per_second = 0.001;
    config.accept_burst = 3;
    iroh_relay *r = start_with(&config);
    client a, b;
    client_ready(&a, r, 1);
    client_ready(&b, r, 2);
    int third = dial_upgraded(r), fourth = dial_upgraded(r);
    (void)get(third, "\r\n\r\n");
    // The fourth will have to wait for a quarter of an hour; those inside notice nothing.
    client_say(&a, &b, "hello");
    client_expect(&b, &a, "hello");
    assert_false(readable(fourth, 0));
    (void)close(third);
    (void)close(fourth);
    client_close(&a);
    client_close(&b);
    iroh_relay_stop(r);
}

// --- Who may come in

static bool is_let_in(const iroh_relay *r, uint8_t key, const char *token) {
    client c;
    relay_client_event event;
    client_open(&c, r, key, token);
    client_write(&c);
    bool ready = client_next(&c, &event) == RELAY_EVENT_READY;
    assert_true(ready || c.machine.denied);
    client_close(&c);
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
    iroh_relay *r = start_with(&config);
    assert_true(is_let_in(r, 7, NULL));
    assert_false(is_let_in(r, 8, NULL));
    iroh_relay_stop(r);

    config.access = IROH_RELAY_DENYLIST;
    r = start_with(&config);
    assert_false(is_let_in(r, 7, NULL));
    assert_true(is_let_in(r, 8, NULL));
    iroh_relay_stop(r);

    config.access = IROH_RELAY_TOKENS;
    config.tokens = tokens;
    config.token_count = 2;
    r = start_with(&config);
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
    iroh_relay *r = start_with(&config);
    int fd = dial_upgraded(r);
    assert_true(starts(get(fd, "\r\n\r\n"), "HTTP/1.1 404"));
    (void)close(fd);
    iroh_relay_stop(r);
}

static void who_sends_too_much_is_told_and_slowed(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.rx_bytes_per_second = 100000;
    iroh_relay *r = start_with(&config);
    client a, b;
    client_ready(&a, r, 1);
    client_ready(&b, r, 2);
    static char text[15000];
    memset(text, 'x', sizeof text - 1);
    client_say(&a, &b, text);
    client_expect(&b, &a, text);
    relay_client_event event;
    assert_int_equal(client_next(&a, &event), RELAY_EVENT_STATUS);
    assert_int_equal(event.frame.code, RELAY_STATUS_RATE_LIMITED);
    // What comes then arrives all the same.
    client_say(&a, &b, "later");
    client_expect(&b, &a, "later");
    client_close(&a);
    client_close(&b);
    iroh_relay_stop(r);
}

// --- Its beginning and its end

static void clients_are_asked_to_come_back_when_it_stops(void **state) {
    (void)state;
    iroh_relay *r = start();
    client a;
    relay_client_event event;
    client_ready(&a, r, 1);
    // Stopping waits for clients that have not closed yet, so the client closes from a thread of the system: here the
    // peer's end is shut before, and what was sent stays to be read.
    assert_int_equal(shutdown(a.fd, SHUT_WR), 0);
    iroh_relay_stop(r);
    while (client_next(&a, &event) != 0) {}
    client_close(&a);
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
    iroh_relay *first = start(), *second = NULL;
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
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(clients_of_all_threads_reach_each_other),
        cmocka_unit_test(a_wrong_signature_is_denied),
        cmocka_unit_test(malformed_frames_end_their_sender_alone),
        cmocka_unit_test(oversize_and_empty_datagrams_hurt_nobody),
        cmocka_unit_test(a_client_that_never_reads_is_dropped_and_costs_nobody_else),
        cmocka_unit_test(connections_that_go_at_any_moment_leave_nothing_behind),
        cmocka_unit_test(a_flood_of_connections_keeps_no_client_from_talking),
        cmocka_unit_test(accepting_goes_no_faster_than_allowed),
        cmocka_unit_test(only_those_come_in_whom_access_allows),
        cmocka_unit_test(without_relaying_there_is_no_way_in),
        cmocka_unit_test(who_sends_too_much_is_told_and_slowed),
        cmocka_unit_test(clients_are_asked_to_come_back_when_it_stops),
        cmocka_unit_test(what_cannot_be_is_refused_at_the_start),
        cmocka_unit_test(an_address_that_is_taken_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
