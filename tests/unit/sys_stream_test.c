// Streams against small servers in threads: plain, behind TLS, through a proxy; refused, distrusted, full.
#include "sys/stream.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <uv.h>

#include <iroh/error.h>

#include "base/clock.h"

#define LIMIT (20 * NS_PER_S)  // longer than anything here takes
#define LABEL "a label"
#define CONTEXT "the context"
#define BULK (8U << 20)  // more than the kernel holds for both sides

// GnuTLS looks here into a folder of roots, since a program's own definitions go before those of libraries.
static int folders_opened;

__attribute__((visibility("default"))) DIR *opendir(const char *path) {
    (void)path;
    folders_opened++;
    errno = ENOENT;
    return NULL;
}

// --- Servers

typedef struct server {
    int listener, fd;
    uint16_t port;
    uv_thread_t thread;
    bool tls, proxy;
    size_t wait_for;       // bytes that it does not read before `go`
    volatile int go;       // it reads now
    char request[512];     // what the proxy was asked
    uint8_t exported[32];  // of its TLS session
    gnutls_certificate_credentials_t credentials;
    gnutls_session_t session;
} server;

static gnutls_x509_crt_t certificate;
static gnutls_x509_privkey_t key;
static char ca_file[] = "/tmp/iroh-stream-XXXXXX";

static void make_certificate(void) {
    const unsigned char serial = 1;
    gnutls_datum_t pem = {0};
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(
        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0), 0);
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_set_version(certificate, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(certificate, &serial, 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(certificate, time(NULL) + 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_dn(certificate, "CN=localhost", NULL), 0);
    assert_int_equal(gnutls_x509_crt_set_issuer_dn(certificate, "CN=localhost", NULL), 0);
    assert_int_equal(gnutls_x509_crt_set_subject_alt_name(certificate, GNUTLS_SAN_DNSNAME, "localhost", 9, 0), 0);
    assert_int_equal(gnutls_x509_crt_set_basic_constraints(certificate, 1, -1), 0);
    assert_int_equal(gnutls_x509_crt_set_key(certificate, key), 0);
    assert_int_equal(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0), 0);
    assert_int_equal(gnutls_x509_crt_export2(certificate, GNUTLS_X509_FMT_PEM, &pem), 0);
    int fd = mkstemp(ca_file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, pem.data, pem.size), pem.size);
    close(fd);
    gnutls_free(pem.data);
}

static ssize_t server_read(server *s, void *out, size_t room) {
    return s->tls ? gnutls_record_recv(s->session, out, room) : read(s->fd, out, room);
}

static void server_write(server *s, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        ssize_t n = s->tls ? gnutls_record_send(s->session, bytes, len) : send(s->fd, bytes, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

static bool server_handshake(server *s) {
    gnutls_init(&s->session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
    gnutls_set_default_priority(s->session);
    gnutls_credentials_set(s->session, GNUTLS_CRD_CERTIFICATE, s->credentials);
    gnutls_transport_set_int(s->session, s->fd);
    int r;
    do
        r = gnutls_handshake(s->session);
    while (r < 0 && !gnutls_error_is_fatal(r));
    return r == 0 && gnutls_prf_rfc5705(s->session, strlen(LABEL), LABEL, strlen(CONTEXT), CONTEXT, sizeof s->exported,
                                        (char *)s->exported) == 0;
}

static void server_take_request(server *s) {
    size_t len = 0;
    while (len + 1 < sizeof s->request && strstr(s->request, "\r\n\r\n") == NULL &&
           read(s->fd, s->request + len, 1) == 1)
        len++;
    (void)!send(s->fd, "HTTP/1.1 200 ok\r\n\r\n", 19, MSG_NOSIGNAL);
}

// One connection: what comes goes back, until its end.
static void serve(void *user) {
    server *s = user;
    static uint8_t bytes[65536];
    ssize_t n;
    s->fd = accept(s->listener, NULL, NULL);
    if (s->proxy)
        server_take_request(s);
    if (s->tls && !server_handshake(s))
        return;
    while (s->wait_for > 0 && !s->go)
        usleep(1000);
    while ((n = server_read(s, bytes, sizeof bytes)) > 0)
        server_write(s, bytes, (size_t)n);
    if (s->tls)
        gnutls_bye(s->session, GNUTLS_SHUT_WR);
    shutdown(s->fd, SHUT_WR);
}

static void server_start(server *s) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    assert_int_equal(getsockname(s->listener, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    s->fd = -1;
    if (s->tls) {
        gnutls_certificate_allocate_credentials(&s->credentials);
        gnutls_certificate_set_x509_key(s->credentials, &certificate, 1, key);
    }
    assert_int_equal(uv_thread_create(&s->thread, serve, s), 0);
}

static void server_end(server *s) {
    uv_thread_join(&s->thread);
    if (s->session != NULL)
        gnutls_deinit(s->session);
    if (s->credentials != NULL)
        gnutls_certificate_free_credentials(s->credentials);
    close(s->fd);
    close(s->listener);
}

// --- The side that is tested

typedef struct client {
    sys_loop *loop;
    sys_streams *group;
    sys_stream *stream;
    uint64_t end;
} client;

static void client_start(client *c, const sys_streams_config *config, bool tls, const char *host, uint16_t port) {
    *c = (client){.end = sys_now() + LIMIT};
    assert_int_equal(sys_loop_new(&c->loop), 0);
    assert_int_equal(sys_streams_new(c->loop, config, &c->group), 0);
    unsigned how = tls ? SYS_STREAM_TLS : 0;
    assert_int_equal(sys_stream_open(c->group, how, host, strlen(host), port, &c->stream), 0);
}

static void client_end(client *c) {
    sys_stream_close(c->stream);
    sys_streams_free(c->group);
    sys_loop_free(c->loop);
}

static void turn(client *c) {
    assert_true(sys_now() < c->end);
    sys_streams_prepare(c->group);
    sys_loop_set_deadline(c->loop, time_min(c->end, sys_streams_deadline(c->group)));
    assert_int_equal(sys_loop_run(c->loop, -1), 0);
    sys_streams_process(c->group);
}

static int dial(client *c) {
    while (sys_stream_state(c->stream) == IROH_ERR_AGAIN)
        turn(c);
    return sys_stream_state(c->stream);
}

static void write_all(client *c, const uint8_t *bytes, size_t len) {
    while (len > 0) {
        int64_t n = sys_stream_write(c->stream, bytes, len);
        assert_true(n > 0 || n == IROH_ERR_AGAIN);
        sys_stream_want_write(c->stream, n < 0);
        if (n < 0)
            turn(c);
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
}

// The next bytes, or the end.
static int64_t read_some(client *c, uint8_t *out, size_t room) {
    int64_t n;
    while ((n = sys_stream_read(c->stream, out, room)) == IROH_ERR_AGAIN) {
        while (!sys_stream_readable(c->stream))
            turn(c);
    }
    return n;
}

static void expect_echo(client *c, const char *text) {
    uint8_t got[256];
    size_t len = 0;
    write_all(c, (const uint8_t *)text, strlen(text));
    while (len < strlen(text)) {
        int64_t n = read_some(c, got + len, sizeof got - len);
        assert_true(n > 0);
        len += (size_t)n;
    }
    assert_int_equal(len, strlen(text));
    assert_memory_equal(got, text, len);
}

static const sys_streams_config plain = {0};

// --- Cases

static void plain_bytes_go_both_ways_until_the_end(void **state) {
    (void)state;
    server s = {0};
    client c;
    uint8_t byte, exported[32];
    server_start(&s);
    client_start(&c, &plain, false, "127.0.0.1", s.port);
    assert_int_equal(dial(&c), 0);
    addr local = sys_stream_local(c.stream);
    assert_true(addr_is_loopback(&local) && local.port != 0);
    assert_int_equal(sys_stream_export(c.stream, LABEL, CONTEXT, strlen(CONTEXT), exported, sizeof exported),
                     IROH_ERR_UNSUPPORTED);
    expect_echo(&c, "hello");
    expect_echo(&c, "and again");
    shutdown(s.fd, SHUT_RDWR);
    assert_int_equal(read_some(&c, &byte, 1), 0);
    client_end(&c);
    server_end(&s);
}

static void tls_trusts_the_given_roots_and_exports_keys(void **state) {
    (void)state;
    server s = {.tls = true};
    client c;
    uint8_t exported[32];
    const sys_streams_config config = {.ca_file = ca_file};
    server_start(&s);
    client_start(&c, &config, true, "localhost", s.port);
    assert_int_equal(dial(&c), 0);
    assert_int_equal(sys_stream_export(c.stream, LABEL, CONTEXT, strlen(CONTEXT), exported, sizeof exported), 0);
    expect_echo(&c, "a secret");
    assert_memory_equal(exported, s.exported, sizeof exported);
    client_end(&c);
    server_end(&s);
}

// A final dot says that the name is a full one; the certificate has none. The proxy spares us a name server.
static void full_names_are_names(void **state) {
    (void)state;
    server s = {.proxy = true, .tls = true};
    client c;
    char url[64];
    server_start(&s);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", s.port);
    const sys_streams_config config = {.ca_file = ca_file, .proxy = url};
    client_start(&c, &config, true, "localhost.", 443);
    assert_int_equal(dial(&c), 0);
    expect_echo(&c, "hello");
    client_end(&c);
    server_end(&s);
}

static void strangers_are_not_trusted(void **state) {
    (void)state;
    server s = {.tls = true};
    client c;
    server_start(&s);
    client_start(&c, &plain, true, "localhost", s.port);
    assert_int_equal(dial(&c), IROH_ERR_HANDSHAKE);
    assert_true(strlen(sys_stream_reason(c.stream)) > 0);
    client_end(&c);
    server_end(&s);
}

// Where a file has all of the system's roots, their folder is left alone: it takes a loop's time for each dial.
static void system_roots_are_read_from_one_file(void **state) {
    (void)state;
    server s = {.tls = true};
    client c;
    char bundle[256];
    const char *folder = curl_version_info(CURLVERSION_NOW)->capath;
    (void)snprintf(bundle, sizeof bundle, "%s/ca-certificates.crt", folder != NULL ? folder : "");
    if (folder == NULL || access(bundle, R_OK) != 0)
        skip();
    folders_opened = 0;
    server_start(&s);
    client_start(&c, &plain, true, "localhost", s.port);
    assert_int_equal(dial(&c), IROH_ERR_HANDSHAKE);
    assert_int_equal(folders_opened, 0);
    client_end(&c);
    server_end(&s);
}

// This server can do TLS, and answers the request for a tunnel with nonsense.
static void given_roots_are_the_only_ones_for_a_proxy(void **state) {
    (void)state;
    server s = {.tls = true};
    client c;
    char url[64];
    folders_opened = 0;
    server_start(&s);
    (void)snprintf(url, sizeof url, "https://localhost:%u", s.port);
    const sys_streams_config config = {.ca_file = ca_file, .proxy = url};
    client_start(&c, &config, false, "relay.example.", 8080);
    assert_int_equal(dial(&c), IROH_ERR_REFUSED);
    assert_int_equal(folders_opened, 0);
    client_end(&c);
    server_end(&s);
}

static void certificate_must_name_the_host(void **state) {
    (void)state;
    server s = {.tls = true};
    client c;
    const sys_streams_config config = {.ca_file = ca_file};
    server_start(&s);
    client_start(&c, &config, true, "127.0.0.1", s.port);
    assert_int_equal(dial(&c), IROH_ERR_HANDSHAKE);
    client_end(&c);
    server_end(&s);
}

static void nobody_there_is_refused(void **state) {
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);  // bound, but it does not listen
    client c;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    client_start(&c, &plain, false, "127.0.0.1", ntohs(at.sin_port));
    assert_int_equal(dial(&c), IROH_ERR_REFUSED);
    assert_true(strlen(sys_stream_reason(c.stream)) > 0);
    client_end(&c);
    close(fd);
}

static void proxy_is_asked_for_a_tunnel(void **state) {
    (void)state;
    server s = {.proxy = true};
    client c;
    char url[64];
    server_start(&s);
    (void)snprintf(url, sizeof url, "http://user:p%%40ss@127.0.0.1:%u", s.port);
    const sys_streams_config config = {.proxy = url};
    client_start(&c, &config, false, "relay.example.", 8080);
    assert_int_equal(dial(&c), 0);
    assert_non_null(strstr(s.request, "CONNECT relay.example.:8080 HTTP/1.1\r\n"));
    assert_non_null(strstr(s.request, "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"));
    expect_echo(&c, "through the tunnel");
    client_end(&c);
    server_end(&s);
}

static void proxies_of_the_environment_are_ignored(void **state) {
    (void)state;
    server s = {0};
    client c;
    assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
    assert_int_equal(setenv("all_proxy", "http://127.0.0.1:1", 1), 0);
    server_start(&s);
    client_start(&c, &plain, false, "127.0.0.1", s.port);
    assert_int_equal(dial(&c), 0);
    expect_echo(&c, "directly");
    client_end(&c);
    server_end(&s);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

// Writing stops when nobody reads, and goes on when the loop says so; nothing is lost or doubled.
static void full_stream_waits_for_room(void **state) {
    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        server s = {.tls = tls == 1, .wait_for = 1};
        const sys_streams_config config = {.ca_file = ca_file};
        client c;
        uint8_t *sent = malloc(BULK), *got = malloc(BULK);
        size_t out = 0, in = 0;
        bool was_full = false;
        for (size_t i = 0; i < BULK; i++)
            sent[i] = (uint8_t)(i * 2654435761U >> 13);
        server_start(&s);
        client_start(&c, &config, s.tls, "localhost", s.port);
        assert_int_equal(dial(&c), 0);
        while (in < BULK) {
            int64_t n =
                out < BULK ? sys_stream_write(c.stream, sent + out, BULK - out < 16000 ? BULK - out : 16000) : 0;
            assert_true(n >= 0 || n == IROH_ERR_AGAIN);
            out += n > 0 ? (size_t)n : 0;
            was_full |= n == IROH_ERR_AGAIN;
            s.go |= was_full;
            int64_t m = sys_stream_read(c.stream, got + in, BULK - in);
            assert_true(m > 0 || m == IROH_ERR_AGAIN);
            in += m > 0 ? (size_t)m : 0;
            sys_stream_want_write(c.stream, out < BULK);
            if (n <= 0 && m < 0)
                turn(&c);
        }
        assert_true(was_full);
        assert_memory_equal(sent, got, BULK);
        client_end(&c);
        server_end(&s);
        free(sent);
        free(got);
    }
}

static void closing_while_dialling_leaves_nothing(void **state) {
    (void)state;
    server s = {.tls = true};
    client c;
    const sys_streams_config config = {.ca_file = ca_file};
    server_start(&s);
    client_start(&c, &config, true, "localhost", s.port);
    while (s.fd < 0)
        turn(&c);
    client_end(&c);
    server_end(&s);
}

static void endless_names_are_refused(void **state) {
    (void)state;
    client c;
    char name[2000];
    sys_stream *s;
    memset(name, 'a', sizeof name);
    client_start(&c, &plain, false, "127.0.0.1", 1);
    assert_int_equal(sys_stream_open(c.group, 0, name, sizeof name, 80, &s), IROH_ERR_TOO_LARGE);
    client_end(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_bytes_go_both_ways_until_the_end),
        cmocka_unit_test(tls_trusts_the_given_roots_and_exports_keys),
        cmocka_unit_test(full_names_are_names),
        cmocka_unit_test(strangers_are_not_trusted),
        cmocka_unit_test(system_roots_are_read_from_one_file),
        cmocka_unit_test(given_roots_are_the_only_ones_for_a_proxy),
        cmocka_unit_test(certificate_must_name_the_host),
        cmocka_unit_test(nobody_there_is_refused),
        cmocka_unit_test(proxy_is_asked_for_a_tunnel),
        cmocka_unit_test(proxies_of_the_environment_are_ignored),
        cmocka_unit_test(full_stream_waits_for_room),
        cmocka_unit_test(closing_while_dialling_leaves_nothing),
        cmocka_unit_test(endless_names_are_refused),
    };
    make_certificate();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    unlink(ca_file);
    return failed;
}
