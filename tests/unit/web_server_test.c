// The server's TLS handshake against clients of the library, in memory: both versions, all suites, both kinds of key, any
// cuts; what is left of it works in the record layer; and what fails, fails with an alert.
#include "tls/web_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>

#include <iroh/error.h>

#include "unit/certificate_support.h"
#include "web/tls_record.h"

#define PIPE_ROOM 65536
#define LABEL "EXPORTER-test"
#define CONTEXT "some context"

typedef struct pipe {
    uint8_t bytes[PIPE_ROOM];
    size_t start, end;
} pipe;

// A client of GnuTLS, its output and its input.
typedef struct visitor {
    gnutls_session_t tls;
    pipe in, out;
} visitor;

static gnutls_certificate_credentials_t credentials;
static web_certificate *certificate;

static ssize_t pull(gnutls_transport_ptr_t user, void *out, size_t room) {
    visitor *v = user;
    size_t n = v->in.end - v->in.start < room ? v->in.end - v->in.start : room;
    if (n == 0) {
        gnutls_transport_set_errno(v->tls, EAGAIN);
        return -1;
    }
    memcpy(out, v->in.bytes + v->in.start, n);
    v->in.start += n;
    return (ssize_t)n;
}

static int pull_timeout(gnutls_transport_ptr_t user, unsigned ms) {
    const visitor *v = user;
    (void)ms;
    return v->in.end > v->in.start;
}

static void put(pipe *p, const void *bytes, size_t len) {
    assert_true(p->end + len <= sizeof p->bytes);
    memcpy(p->bytes + p->end, bytes, len);
    p->end += len;
}

static ssize_t push(gnutls_transport_ptr_t user, const void *bytes, size_t len) {
    put(&((visitor *)user)->out, bytes, len);
    return (ssize_t)len;
}

static visitor *visitor_new(const char *priorities) {
    visitor *v = calloc(1, sizeof *v);
    assert_non_null(v);
    assert_int_equal(gnutls_init(&v->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_priority_set_direct(v->tls, priorities, NULL), 0);
    assert_int_equal(gnutls_credentials_set(v->tls, GNUTLS_CRD_CERTIFICATE, credentials), 0);
    gnutls_transport_set_ptr(v->tls, v);
    gnutls_transport_set_pull_function(v->tls, pull);
    gnutls_transport_set_pull_timeout_function(v->tls, pull_timeout);
    gnutls_transport_set_push_function(v->tls, push);
    return v;
}

static void visitor_free(visitor *v) {
    gnutls_deinit(v->tls);
    free(v);
}

static web_certificate *certificate_of(const test_certificate *c) {
    web_certificate *out = NULL;
    assert_int_equal(web_certificate_new(c->chain, strlen(c->chain), c->key, strlen(c->key), &out), 0);
    return out;
}

static int set_up(void **state) {
    (void)state;
    assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
    certificate = certificate_of(test_certificate_get());
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    gnutls_certificate_free_credentials(credentials);
    web_certificate_unref(certificate);
    return 0;
}

// Gives the server what the client has said, in pieces of at most `cut` bytes, each in memory of its own; and takes its
// answer. What web_handshake_receive says; bytes that it leaves stay with the client's.
static int give(web_handshake *h, visitor *v, size_t cut) {
    int r = 0;
    while (r == 0 && v->out.start < v->out.end) {
        size_t n = v->out.end - v->out.start < cut ? v->out.end - v->out.start : cut, left = n, len;
        uint8_t *copy = malloc(n);
        assert_non_null(copy);
        memcpy(copy, v->out.bytes + v->out.start, n);
        const uint8_t *at = copy;
        r = web_handshake_receive(h, &at, &left);
        assert_ptr_equal(at, copy + n - left);
        assert_true(r != 0 || left == 0);
        v->out.start += n - left;
        free(copy);
        const uint8_t *out = web_handshake_output(h, &len);
        put(&v->in, out != NULL ? out : (const uint8_t *)"", len);
    }
    return r;
}

// Until the server is done or fails, and the client has had its say.
static int shake_hands(web_handshake *h, visitor *v, size_t cut) {
    int mine = GNUTLS_E_AGAIN, its = 0;
    for (int flight = 0; flight < 8 && (mine == GNUTLS_E_AGAIN || its == 0); flight++) {
        if (mine == GNUTLS_E_AGAIN)
            mine = gnutls_handshake(v->tls);
        if (its == 0)
            its = give(h, v, cut);
    }
    assert_true(its != 1 || mine == 0);
    return its;
}

// --- What is left

static tls_record_secret secret_of(const web_secret *s) {
    tls_record_secret out = {.seq = s->seq};
    memcpy(out.secret, s->secret, sizeof out.secret);
    memcpy(out.iv, s->iv, sizeof out.iv);
    return out;
}

static void expect_records(web_handshake *h, visitor *v, uint16_t suite, bool old) {
    web_secrets secrets;
    tls_record record;
    uint8_t room[TLS_RECORD_HEAD + 16 + TLS_RECORD_TAIL], *start, *data, *at = v->out.bytes + v->out.start;
    size_t len, data_len;
    char got[16];
    assert_int_equal(web_handshake_secrets(h, &secrets), 0);
    assert_int_equal(secrets.suite->id, suite);
    assert_int_equal(secrets.old, old);
    tls_record_secret read = secret_of(&secrets.read), write = secret_of(&secrets.write);
    tls_record_init(&record, secrets.suite, secrets.old, &read, &write);
    assert_int_equal(gnutls_record_send(v->tls, "to the server", 13), 13);
    len = v->out.end - v->out.start;
    assert_int_equal(tls_record_open(&record, &at, &len, &data, &data_len), 1);
    assert_true(data_len == 13 && memcmp(data, "to the server", 13) == 0 && len == 0);
    memcpy(room + TLS_RECORD_HEAD, "to the client", 13);
    int n = tls_record_seal(&record, TLS_RECORD_DATA, room + TLS_RECORD_HEAD, 13, &start);
    assert_true(n > 0);
    put(&v->in, start, (size_t)n);
    assert_int_equal(gnutls_record_recv(v->tls, got, sizeof got), 13);
    assert_memory_equal(got, "to the client", 13);
    tls_record_dispose(&record);
}

static void expect_same_export(const web_handshake *h, const visitor *v) {
    uint8_t ours[32], theirs[32];
    assert_int_equal(web_handshake_export(h, LABEL, CONTEXT, strlen(CONTEXT), ours, sizeof ours), 0);
    assert_int_equal(
        gnutls_prf_rfc5705(v->tls, strlen(LABEL), LABEL, strlen(CONTEXT), CONTEXT, sizeof theirs, (char *)theirs), 0);
    assert_memory_equal(ours, theirs, sizeof ours);
}

static const struct {
    const char *cipher;
    uint16_t suite;
} ciphers[] = {{"AES-128-GCM", 0x1301}, {"AES-256-GCM", 0x1302}, {"CHACHA20-POLY1305", 0x1303}};

static void every_version_suite_and_cut_works(void **state) {
    static const size_t cuts[] = {1, 7, PIPE_ROOM};
    (void)state;
    for (size_t i = 0; i < 3 * 2 * 3; i++) {
        bool old = i / 3 % 2 != 0;
        char priorities[128];
        web_handshake *h = NULL;
        (void)snprintf(priorities, sizeof priorities, "NORMAL:-VERS-ALL:+VERS-TLS1.%d:-CIPHER-ALL:+%s", old ? 2 : 3,
                       ciphers[i % 3].cipher);
        visitor *v = visitor_new(priorities);
        assert_int_equal(web_handshake_new(certificate, &h), 0);
        assert_int_equal(shake_hands(h, v, cuts[i / 6]), 1);
        expect_same_export(h, v);
        expect_records(h, v, ciphers[i % 3].suite, old);
        visitor_free(v);
        web_handshake_free(h);
    }
}

static void the_cheapest_suite_is_chosen(void **state) {
    (void)state;
    web_handshake *h = NULL;
    visitor *v = visitor_new("NORMAL:-CIPHER-ALL:+CHACHA20-POLY1305:+AES-256-GCM:+AES-128-GCM");
    assert_int_equal(web_handshake_new(certificate, &h), 0);
    assert_int_equal(shake_hands(h, v, PIPE_ROOM), 1);
    expect_records(h, v, 0x1301, false);
    visitor_free(v);
    web_handshake_free(h);
}

static void rsa_certificates_serve_too(void **state) {
    (void)state;
    test_certificate rsa = test_certificate_new(true);
    web_certificate *c = certificate_of(&rsa);
    test_certificate_free(&rsa);
    for (int old = 0; old < 2; old++) {
        web_handshake *h = NULL;
        visitor *v = visitor_new(old ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : "NORMAL:-VERS-ALL:+VERS-TLS1.3");
        assert_int_equal(web_handshake_new(c, &h), 0);
        assert_int_equal(shake_hands(h, v, PIPE_ROOM), 1);
        visitor_free(v);
        web_handshake_free(h);
    }
    web_certificate_unref(c);
}

// Whoever is quick sends the request behind its last handshake message.
static void bytes_behind_the_handshake_are_left(void **state) {
    (void)state;
    web_handshake *h = NULL;
    visitor *v = visitor_new("NORMAL:-VERS-ALL:+VERS-TLS1.3");
    assert_int_equal(web_handshake_new(certificate, &h), 0);
    assert_int_equal(gnutls_handshake(v->tls), GNUTLS_E_AGAIN);
    assert_int_equal(give(h, v, PIPE_ROOM), 0);
    assert_int_equal(gnutls_handshake(v->tls), 0);
    assert_int_equal(gnutls_record_send(v->tls, "quick", 5), 5);
    assert_int_equal(give(h, v, PIPE_ROOM), 1);
    assert_true(v->out.end > v->out.start);  // a record is left
    assert_int_equal(v->out.bytes[v->out.start], TLS_RECORD_DATA);
    assert_int_equal(v->out.end - v->out.start, 5 + 5 + 1 + 16);
    // A handshake that is done takes no more.
    const uint8_t *at = v->out.bytes + v->out.start;
    size_t left = 3;
    assert_int_equal(web_handshake_receive(h, &at, &left), 1);
    assert_int_equal(left, 3);
    visitor_free(v);
    web_handshake_free(h);
}

static void a_certificate_lives_as_long_as_its_handshakes(void **state) {
    (void)state;
    test_certificate one = test_certificate_new(false);
    web_certificate *c = certificate_of(&one);
    web_handshake *h = NULL;
    visitor *v = visitor_new("NORMAL");
    test_certificate_free(&one);
    assert_int_equal(web_handshake_new(c, &h), 0);
    assert_ptr_equal(web_certificate_ref(c), c);
    web_certificate_unref(c);
    web_certificate_unref(c);
    assert_int_equal(shake_hands(h, v, PIPE_ROOM), 1);
    visitor_free(v);
    web_handshake_free(h);
    web_certificate_unref(NULL);
    web_handshake_free(NULL);
}

// --- What fails

static void strangers_hear_an_alert(void **state) {
    static const char *const strange[] = {
        "NORMAL:-VERS-ALL:+VERS-TLS1.1:+VERS-TLS1.0:%COMPAT",                        // no version in common
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:-MAC-ALL:+SHA1",     // no suite
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-CCM",                    // nor here
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-FFDHE2048",                 // no group
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA:-CIPHER-ALL:+AES-128-GCM:+AEAD"  // no forward secrecy
    };
    (void)state;
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        web_handshake *h = NULL;
        visitor *v = visitor_new(strange[i]);
        assert_int_equal(web_handshake_new(certificate, &h), 0);
        assert_int_equal(shake_hands(h, v, PIPE_ROOM), IROH_ERR_HANDSHAKE);
        assert_true(v->in.end >= 7);
        assert_int_equal(v->in.bytes[v->in.end - 7], TLS_RECORD_ALERT);
        visitor_free(v);
        web_handshake_free(h);
    }
}

static void nonsense_is_the_end(void **state) {
    static const struct {
        const char *bytes;
        size_t len;
    } nonsense[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},      {"\x16\x03\x01\xff\xff\x01\0\0\0", 9},  // longer than a record may be
        {"\x16\x03\x03\0\x04\x01\0\0\0", 9},                                         // a ClientHello of nothing
        {"\x16\x03\x03\0\x04\x02\0\0\0", 9},                                         // a ServerHello
        {"\x17\x03\x03\0\x05hello", 10},                                             // data before its time
        {"\x15\x03\x03\0\x02\x02\x28", 7},                                           // the client's own alert
    };
    (void)state;
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        for (size_t cut = 1; cut <= 64; cut += 63) {
            web_handshake *h = NULL;
            visitor *v = visitor_new("NORMAL");
            put(&v->out, nonsense[i].bytes, nonsense[i].len);
            assert_int_equal(web_handshake_new(certificate, &h), 0);
            int r = give(h, v, cut);
            if (r != IROH_ERR_HANDSHAKE)
                fail_msg("nonsense %zu: %d", i, r);
            visitor_free(v);
            web_handshake_free(h);
        }
    }
}

static void what_was_tampered_with_fails(void **state) {
    (void)state;
    web_handshake *h = NULL;
    visitor *v = visitor_new("NORMAL:-VERS-ALL:+VERS-TLS1.3");
    assert_int_equal(web_handshake_new(certificate, &h), 0);
    assert_int_equal(gnutls_handshake(v->tls), GNUTLS_E_AGAIN);
    assert_int_equal(give(h, v, PIPE_ROOM), 0);
    assert_int_equal(gnutls_handshake(v->tls), 0);
    v->out.bytes[v->out.end - 1] ^= 1;  // in the tag of its last message
    assert_int_equal(give(h, v, PIPE_ROOM), IROH_ERR_HANDSHAKE);
    visitor_free(v);
    web_handshake_free(h);
}

static void bad_certificates_are_refused(void **state) {
    (void)state;
    const test_certificate *one = test_certificate_get();
    test_certificate two = test_certificate_new(false);
    web_certificate *c = NULL;
    assert_int_equal(web_certificate_new(one->chain, strlen(one->chain), two.key, strlen(two.key), &c), IROH_ERR_KEY);
    assert_int_equal(web_certificate_new("nonsense", 8, one->key, strlen(one->key), &c), IROH_ERR_SYNTAX);
    assert_int_equal(web_certificate_new(one->chain, strlen(one->chain), "", 0, &c), IROH_ERR_SYNTAX);
    assert_int_equal(web_certificate_new(one->key, strlen(one->key), one->chain, strlen(one->chain), &c),
                     IROH_ERR_SYNTAX);
    assert_null(c);
    test_certificate_free(&two);
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(every_version_suite_and_cut_works),
        CASE(the_cheapest_suite_is_chosen),
        CASE(rsa_certificates_serve_too),
        CASE(bytes_behind_the_handshake_are_left),
        CASE(a_certificate_lives_as_long_as_its_handshakes),
        CASE(strangers_hear_an_alert),
        CASE(nonsense_is_the_end),
        CASE(what_was_tampered_with_fails),
        CASE(bad_certificates_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
