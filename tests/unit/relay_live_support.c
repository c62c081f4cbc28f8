#include "unit/relay_live_support.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include "crypto/ed25519.h"
#include "relay/auth.h"
#include "sys/entropy.h"
#include "sys/loop.h"
#include "unit/certificate_support.h"

// --- A server

static void write_file(char *path, const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
}

iroh_relay *live_start_with(iroh_relay_config *config, bool tls) {
    char chain[] = "/tmp/iroh-relay-crt-XXXXXX", key[] = "/tmp/iroh-relay-key-XXXXXX";
    iroh_relay *r = NULL;
    config->http_bind = "127.0.0.1:0";
    if (config->threads == 0)
        config->threads = 2;
    if (tls) {
        const test_certificate *c = test_certificate_get();
        write_file(chain, c->chain);
        write_file(key, c->key);
        config->https_bind = "127.0.0.1:0";
        config->certificate_path = chain;
        config->key_path = key;
    }
    int result = iroh_relay_start(config, &r);
    if (tls) {
        (void)unlink(chain);
        (void)unlink(key);
    }
    assert_int_equal(result, 0);
    return r;
}

iroh_relay *live_start(bool tls) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    return live_start_with(&config, tls);
}

uint16_t live_port_of(const char *address) {
    return (uint16_t)atoi(strrchr(address, ':') + 1);
}

iroh_relay_stats live_stats(const iroh_relay *r) {
    iroh_relay_stats s;
    iroh_relay_stats_get(r, &s);
    return s;
}

void live_await(const iroh_relay *r, uint64_t clients, uint64_t connections) {
    for (int i = 0; i < LIVE_PATIENCE_MS; i++) {
        iroh_relay_stats s = live_stats(r);
        if (s.clients == clients && s.connections == connections)
            return;
        (void)poll(NULL, 0, 1);
    }
    iroh_relay_stats s = live_stats(r);
    fail_msg("%d clients and %d connections, not %d and %d", (int)s.clients, (int)s.connections, (int)clients,
             (int)connections);
}

// AddressSanitizer has its own allocator and this way to ask it.
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t live_heap(void) {
    if (__sanitizer_get_current_allocated_bytes != NULL)
        return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// --- A line

int live_socket(uint16_t port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    return fd;
}

static bool put_bytes(int fd, const void *bytes, size_t len, bool slow) {
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, slow ? 1 : len, MSG_NOSIGNAL);
        if (n < 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static ssize_t push_slowly(gnutls_transport_ptr_t fd, const void *bytes, size_t len) {
    return put_bytes((int)(intptr_t)fd, bytes, len, true) ? (ssize_t)len : -1;
}

// Null when it fails.
static gnutls_session_t shake_hands(int fd, bool slow) {
    static gnutls_certificate_credentials_t credentials;
    gnutls_session_t tls;
    if (credentials == NULL)
        assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    assert_int_equal(gnutls_init(&tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL), 0);
    assert_int_equal(gnutls_set_default_priority(tls), 0);
    assert_int_equal(gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    assert_int_equal(gnutls_server_name_set(tls, GNUTLS_NAME_DNS, "localhost", 9), 0);
    gnutls_transport_set_int(tls, fd);
    if (slow)
        gnutls_transport_set_push_function(tls, push_slowly);
    gnutls_handshake_set_timeout(tls, LIVE_PATIENCE_MS);
    int r;
    do
        r = gnutls_handshake(tls);
    while (r < 0 && !gnutls_error_is_fatal(r));
    if (r == 0)
        return tls;
    gnutls_deinit(tls);
    return NULL;
}

bool live_try_dial(const iroh_relay *r, bool slow, live_line *out) {
    const char *https = iroh_relay_https_address(r);
    int fd = live_socket(live_port_of(https != NULL ? https : iroh_relay_http_address(r)));
    *out = (live_line){.fd = fd, .slow = slow, .tls = https != NULL ? shake_hands(fd, slow) : NULL};
    if (https == NULL || out->tls != NULL)
        return true;
    live_hang_up(out);
    return false;
}

live_line live_dial(const iroh_relay *r, bool slow) {
    live_line l;
    if (!live_try_dial(r, slow, &l))
        fail_msg("the handshake failed");
    return l;
}

void live_hang_up(live_line *l) {
    if (l->tls != NULL)
        gnutls_deinit(l->tls);
    if (l->fd >= 0)
        (void)close(l->fd);
    *l = (live_line){.fd = -1};
}

bool live_readable(const live_line *l, int timeout_ms) {
    struct pollfd p = {.fd = l->fd, .events = POLLIN};
    return (l->tls != NULL && gnutls_record_check_pending(l->tls) > 0) || poll(&p, 1, timeout_ms) > 0;
}

bool live_put(live_line *l, const void *bytes, size_t len) {
    const uint8_t *p = bytes;
    if (l->tls == NULL)
        return put_bytes(l->fd, bytes, len, l->slow);
    while (len > 0) {
        // A slow line has a record for each byte, and its transport a segment for each byte of the record.
        ssize_t n = gnutls_record_send(l->tls, p, l->slow ? 1 : len);
        if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
            continue;
        if (n < 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

int live_read(live_line *l, void *out, size_t room) {
    ssize_t n;
    do {
        if (!live_readable(l, LIVE_PATIENCE_MS))
            fail_msg("nothing came");
        n = l->tls != NULL ? gnutls_record_recv(l->tls, out, room) : recv(l->fd, out, room, 0);
    } while (l->tls != NULL && n < 0 && !gnutls_error_is_fatal((int)n));
    return (int)n;
}

const char *live_get(live_line *l, const char *until) {
    static char text[LIVE_ANSWER_MAX];
    size_t len = 0;
    text[0] = '\0';
    while (until == NULL || strstr(text, until) == NULL) {
        assert_true(len + 1 < sizeof text);
        int n = live_read(l, text + len, sizeof text - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        text[len] = '\0';
    }
    return text;
}

const char *live_ask(const iroh_relay *r, const char *request) {
    live_line l = live_dial(r, false);
    assert_true(live_put(&l, request, strlen(request)));
    const char *answer = live_get(&l, NULL);
    live_hang_up(&l);
    return answer;
}

void live_expect_closed(live_line *l) {
    uint8_t bytes[512];
    while (live_read(l, bytes, sizeof bytes) > 0) {}
    live_hang_up(l);
}

bool live_starts(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

bool live_export(const live_line *l, const uint8_t id[static 32], uint8_t out[static 32]) {
    return l->tls != NULL && gnutls_prf_rfc5705(l->tls, strlen(RELAY_EXPORT_LABEL), RELAY_EXPORT_LABEL, RELAY_ID,
                                                (const char *)id, RELAY_EXPORT, (char *)out) == 0;
}

// --- A client

static void client_init(live_client *c, const iroh_relay *r, uint8_t key, const char *token) {
    memset(c, 0, sizeof *c);
    memset(c->seed, key, sizeof c->seed);
    ed25519_public(c->seed, c->id);
    c->line.fd = -1;
    c->random = sys_entropy();
    relay_blocks_init(&c->blocks, 4096);
    int len = snprintf(c->url, sizeof c->url, "http://%s/", iroh_relay_http_address(r));
    relay_client_config config = {
        .url = c->url, .url_len = (size_t)len, .token = token, .random = &c->random, .blocks = &c->blocks};
    memcpy(config.seed, c->seed, sizeof c->seed);
    assert_int_equal(relay_client_init(&c->machine, &config, sys_now()), 0);
    relay_client_set_home(&c->machine, true, sys_now());
    c->bytes = malloc(LIVE_ANSWER_MAX);
    assert_non_null(c->bytes);
    relay_client_dialling(&c->machine, sys_now());
}

static void client_connected(live_client *c) {
    uint8_t exported[RELAY_EXPORT];
    relay_client_connected(&c->machine, live_export(&c->line, c->id, exported) ? exported : NULL, sys_now());
    live_client_write(c);
}

void live_client_open(live_client *c, const iroh_relay *r, uint8_t key, const char *token, bool slow) {
    client_init(c, r, key, token);
    c->line = live_dial(r, slow);
    client_connected(c);
}

bool live_client_try(live_client *c, const iroh_relay *r, uint8_t key) {
    client_init(c, r, key, NULL);
    if (!live_try_dial(r, false, &c->line))
        return false;
    client_connected(c);
    return true;
}

void live_client_close(live_client *c) {
    live_hang_up(&c->line);
    relay_client_dispose(&c->machine);
    relay_blocks_dispose(&c->blocks);
    free(c->bytes);
}

void live_client_write(live_client *c) {
    for (relay_block *b; (b = relay_queue_take(&c->machine.queue)) != NULL;) {
        (void)live_put(&c->line, b->bytes + b->start, b->end - b->start);
        relay_queue_done(&c->machine.queue, b);
    }
    relay_client_wrote(&c->machine, true, true, sys_now());
}

int live_client_next(live_client *c, relay_client_event *event) {
    for (;;) {
        int r = relay_client_receive(&c->machine, &c->at, &c->left, sys_now(), event);
        live_client_write(c);
        if (r > 0)
            return event->kind;
        if (r < 0)
            return 0;
        int n = live_read(&c->line, c->bytes, LIVE_ANSWER_MAX);
        if (n <= 0) {
            relay_client_lost(&c->machine, IROH_ERR_IO, sys_now());
            return 0;
        }
        c->at = c->bytes;
        c->left = (size_t)n;
    }
}

void live_client_ready(live_client *c, const iroh_relay *r, uint8_t key) {
    relay_client_event event;
    live_client_open(c, r, key, NULL, false);
    assert_int_equal(live_client_next(c, &event), RELAY_EVENT_READY);
}

void live_client_say(live_client *c, const live_client *to, const char *text) {
    assert_int_equal(relay_client_send(&c->machine, to->id, 0, 0, (const uint8_t *)text, strlen(text), sys_now()), 0);
    live_client_write(c);
}

static void expect_text(const relay_frame *f, const live_client *from, const char *text) {
    assert_memory_equal(f->id, from->id, 32);
    assert_int_equal(f->len, strlen(text));
    assert_memory_equal(f->data, text, strlen(text));
}

void live_client_expect(live_client *c, const live_client *from, const char *text) {
    relay_client_event event;
    assert_int_equal(live_client_next(c, &event), RELAY_EVENT_DATAGRAM);
    expect_text(&event.frame, from, text);
}

void live_client_hear(live_client *c, const live_client *from, const char *text) {
    relay_client_event event;
    do
        assert_int_not_equal(live_client_next(c, &event), 0);
    while (event.kind != RELAY_EVENT_DATAGRAM);
    expect_text(&event.frame, from, text);
}

void live_expect_two_talk(const iroh_relay *r) {
    live_client a, b;
    live_client_ready(&a, r, 0x51);
    live_client_ready(&b, r, 0x52);
    live_client_say(&a, &b, "still there?");
    live_client_expect(&b, &a, "still there?");
    live_client_say(&b, &a, "yes");
    live_client_expect(&a, &b, "yes");
    live_client_close(&a);
    live_client_close(&b);
}
