// Handshakes with a server that has an X.509 certificate: who is believed, and what the client says of whom it wants.
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

#include "tls/web_client.h"
#include "tls/web_server.h"
#include "unit/certificate_support.h"
#include "unit/tls_pair_support.h"

#define BAD_CERTIFICATE 42

static char pem_path[] = "/tmp/iroh-web-client-XXXXXX";

static void write_pem(const char *text) {
    FILE *f = fopen(pem_path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

static web_roots *roots_of(const test_certificate *c) {
    web_roots *roots;
    write_pem(c->chain);
    assert_int_equal(web_roots_new(pem_path, &roots), 0);
    return roots;
}

// A handshake of a client with these roots with a server that has the test's certificate.
static void shake(pair *p, web_roots *roots, const char *name) {
    const test_certificate *c = test_certificate_get();
    const pair_config client = {.roots = roots, .server_name = name};
    web_certificate *own;
    assert_int_equal(web_certificate_new(c->chain, strlen(c->chain), c->key, strlen(c->key), &own), 0);
    p->identities[TLS_SERVER].certificate = &own;
    pair_restart(p, TLS_SERVER);
    pair_shake(p, &client, NULL, NULL, 0);
    web_certificate_unref(own);
}

static bool hello_names(const pair *p, const char *name) {
    const pair_message *hello = &p->sides[TLS_CLIENT].sent[0];
    size_t len = strlen(name);
    for (size_t i = 0; i + len <= hello->len; i++) {
        if (memcmp(hello->bytes + i, name, len) == 0)
            return true;
    }
    return false;
}

static void server_of_that_name_is_believed(void **state) {
    pair *p = *state;
    web_roots *roots = roots_of(test_certificate_get());
    size_t len;
    shake(p, roots, "localhost");
    assert_int_equal(p->results[TLS_CLIENT], 0);
    assert_int_equal(p->results[TLS_SERVER], 0);
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        const tls_session *s = p->sides[role].session;
        assert_true(tls_gnutls.done(s));
        assert_null(tls_gnutls.peer_key(s));
        assert_non_null(tls_gnutls.alpn(s, &len));
        assert_non_null(tls_gnutls.exporter_secret(s, &len));
    }
    assert_memory_equal(p->sides[TLS_CLIENT].secrets[TLS_APPLICATION][1].bytes,
                        p->sides[TLS_SERVER].secrets[TLS_APPLICATION][0].bytes, 32);
    assert_true(hello_names(p, "localhost"));
    web_roots_unref(roots);
}

static void other_name_is_refused(void **state) {
    pair *p = *state;
    web_roots *roots = roots_of(test_certificate_get());
    shake(p, roots, "relay.example");
    pair_assert_alert(p, TLS_CLIENT, BAD_CERTIFICATE);
    assert_true(hello_names(p, "relay.example"));
    web_roots_unref(roots);
}

static void address_is_not_sent_as_a_name(void **state) {
    pair *p = *state;
    web_roots *roots = roots_of(test_certificate_get());
    shake(p, roots, "127.0.0.1");
    pair_assert_alert(p, TLS_CLIENT, BAD_CERTIFICATE);
    assert_false(hello_names(p, "127.0.0.1"));
    shake(p, roots, "2001:db8::1");
    pair_assert_alert(p, TLS_CLIENT, BAD_CERTIFICATE);
    assert_false(hello_names(p, "2001:db8::1"));
    web_roots_unref(roots);
}

static void unknown_issuer_is_refused(void **state) {
    pair *p = *state;
    test_certificate other = test_certificate_new(false);
    web_roots *roots = roots_of(&other);
    shake(p, roots, "localhost");
    assert_int_equal(p->results[TLS_CLIENT], IROH_ERR_HANDSHAKE);
    assert_false(tls_gnutls.done(p->sides[TLS_CLIENT].session));
    web_roots_unref(roots);
    test_certificate_free(&other);
}

static void raw_key_is_no_certificate(void **state) {
    pair *p = *state;
    web_roots *roots = roots_of(test_certificate_get());
    const pair_config client = {.roots = roots, .server_name = "localhost"};
    pair_shake(p, &client, NULL, NULL, 0);
    assert_int_equal(p->results[TLS_SERVER], IROH_ERR_HANDSHAKE);
    assert_false(tls_gnutls.done(p->sides[TLS_CLIENT].session));
    web_roots_unref(roots);
}

static void files_without_roots_are_refused(void **state) {
    web_roots *roots;
    (void)state;
    assert_int_equal(web_roots_new("/nonexistent/file", &roots), IROH_ERR_NOT_FOUND);
    write_pem("");
    assert_int_equal(web_roots_new(pem_path, &roots), IROH_ERR_NOT_FOUND);
    write_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert_int_equal(web_roots_new(pem_path, &roots), IROH_ERR_NOT_FOUND);
}

static void configuration_must_name_the_host(void **state) {
    pair *p = *state;
    static const tls_alpn alpn = {.name = (const uint8_t *)"test", .len = 4};
    static const tls_callbacks none = {0};
    web_roots *roots = roots_of(test_certificate_get());
    tls_session *s;
    const tls_config config = {.role = TLS_CLIENT,
                               .alpns = &alpn,
                               .alpn_count = 1,
                               .params = pair_params[0],
                               .params_len = sizeof pair_params[0],
                               .roots = roots,
                               .callbacks = &none};
    assert_int_equal(tls_gnutls.session_new(p->contexts[TLS_CLIENT], &config, &s), IROH_ERR_ARG);
    web_roots_unref(roots);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(server_of_that_name_is_believed, pair_set_up, pair_tear_down),
        cmocka_unit_test_setup_teardown(other_name_is_refused, pair_set_up, pair_tear_down),
        cmocka_unit_test_setup_teardown(address_is_not_sent_as_a_name, pair_set_up, pair_tear_down),
        cmocka_unit_test_setup_teardown(unknown_issuer_is_refused, pair_set_up, pair_tear_down),
        cmocka_unit_test_setup_teardown(raw_key_is_no_certificate, pair_set_up, pair_tear_down),
        cmocka_unit_test(files_without_roots_are_refused),
        cmocka_unit_test_setup_teardown(configuration_must_name_the_host, pair_set_up, pair_tear_down),
    };
    int fd = mkstemp(pem_path);
    if (fd < 0)
        return 1;
    (void)close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(pem_path);
    return failed;
}
