// Endpoints that reach their relay through proxies, which are the test's own.
#include <iroh/relay.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint_support.h"
#include "unit/certificate_support.h"
#include "unit/proxy_support.h"
#include "unit/relay_live_support.h"

#define STEP_MS 10
#define LOGIN "user:pass word"
#define LOGIN_TEXT "user:pass%20word@"  // as it stands in a URL

static const char *const variables[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy",
                                        "NO_PROXY",   "no_proxy",   "ALL_PROXY",   "REQUEST_METHOD"};

static int without_variables(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    return 0;
}

static void url_of(char out[static 128], const char *scheme, const char *login, unsigned port) {
    (void)snprintf(out, 128, "%s://%slocalhost:%u", scheme, login, port);
}

// An endpoint whose only way to its home relay, which is named by `relay`, is the proxy.
static iroh_endpoint *behind(const char *relay, const char *proxy_url, const char *ca_file) {
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    config.relays = &relay;
    config.relay_count = 1;
    config.relay_only = true;
    config.proxy = proxy_url;
    config.ca_file = ca_file;
    return duo_bind(&config);
}

static void relay_url(char out[static 64], const iroh_relay *r, bool tls) {
    const char *address = tls ? iroh_relay_https_address(r) : iroh_relay_http_address(r);
    (void)snprintf(out, 64, "%s://localhost:%u/", tls ? "https" : "http", live_port_of(address));
}

static void must_be_online(iroh_endpoint *ep) {
    iroh_relay_status status;
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_true(iroh_endpoint_home_relay(ep, NULL, 0, &status) > 0);
    assert_true(status.connected && status.home && status.configured);
    assert_string_equal(status.reason, "");
}

// The status must come to name the failure.
static void must_fail(iroh_endpoint *ep, int error, const char *word) {
    iroh_relay_status status = {0};
    for (int ms = 0; ms < LONG_MS && strstr(status.reason, word) == NULL; ms += STEP_MS) {
        assert_int_equal(iroh_endpoint_wait_online(ep, STEP_MS), IROH_ERR_TIMEOUT);
        assert_true(iroh_endpoint_home_relay(ep, NULL, 0, &status) > 0);
    }
    if (strstr(status.reason, word) == NULL)
        fail_msg("'%s' does not say '%s'", status.reason, word);
    assert_false(status.connected || status.denied);
    assert_int_equal(status.error, error);
}

// --- Cases

static void relay_is_reached_through(proxy *p, const char *scheme, const char *login) {
    char url[128], home[64], target[64], target6[64];
    iroh_relay *r = live_start(false);
    relay_url(home, r, false);
    proxy_start(p);
    url_of(url, scheme, login, p->port);
    iroh_endpoint *ep = behind(home, url, NULL);
    must_be_online(ep);
    assert_int_equal(proxy_tunnels(p), 1);
    bool by_name = strcmp(scheme, "socks5") != 0;
    unsigned port = live_port_of(iroh_relay_http_address(r));
    (void)snprintf(target, sizeof target, "%s:%u", by_name ? "localhost" : "127.0.0.1", port);
    (void)snprintf(target6, sizeof target6, "::1:%u", port);
    if (by_name || strcmp(p->target, target6) != 0)
        assert_string_equal(p->target, target);
    iroh_endpoint_free(ep);
    proxy_stop(p);
    iroh_relay_stop(r);
}

static void http_proxy_opens_a_tunnel(void **state) {
    (void)state;
    relay_is_reached_through(&(proxy){.login = NULL}, "http", "");
}

static void http_proxy_is_told_the_password(void **state) {
    (void)state;
    relay_is_reached_through(&(proxy){.login = LOGIN}, "http", LOGIN_TEXT);
}

static void socks_proxy_opens_a_tunnel(void **state) {
    (void)state;
    relay_is_reached_through(&(proxy){.socks = true}, "socks5h", "");
}

static void socks_proxy_without_names_is_given_addresses(void **state) {
    (void)state;
    relay_is_reached_through(&(proxy){.socks = true}, "socks5", "");
}

static void socks_proxy_is_told_the_password(void **state) {
    (void)state;
    relay_is_reached_through(&(proxy){.socks = true, .login = LOGIN}, "socks5h", LOGIN_TEXT);
}

static void refusal_is_told(proxy *p, const char *scheme, const char *login, const char *word) {
    char url[128], home[64];
    iroh_relay *r = live_start(false);
    relay_url(home, r, false);
    proxy_start(p);
    url_of(url, scheme, login, p->port);
    iroh_endpoint *ep = behind(home, url, NULL);
    must_fail(ep, IROH_ERR_REFUSED, word);
    assert_true(proxy_refused(p) > 0);
    assert_int_equal(proxy_tunnels(p), 0);
    iroh_endpoint_free(ep);
    proxy_stop(p);
    iroh_relay_stop(r);
}

static void http_proxies_may_refuse(void **state) {
    (void)state;
    refusal_is_told(&(proxy){.refusal = 403}, "http", "", "403");
    refusal_is_told(&(proxy){.login = LOGIN}, "http", "", "407");
    refusal_is_told(&(proxy){.login = LOGIN}, "http", "user:wrong@", "407");
}

static void socks_proxies_may_refuse(void **state) {
    (void)state;
    refusal_is_told(&(proxy){.socks = true, .refusal = 2}, "socks5h", "", "SOCKS5");
    refusal_is_told(&(proxy){.socks = true, .login = LOGIN}, "socks5h", "user:wrong@", "SOCKS5");
}

static void absent_proxy_is_told(void **state) {
    (void)state;
    proxy p = {0};
    char url[128];
    proxy_start(&p);
    url_of(url, "http", "", p.port);
    proxy_stop(&p);
    iroh_endpoint *ep = behind("http://127.0.0.1:1/", url, NULL);
    must_fail(ep, IROH_ERR_REFUSED, "connect");
    iroh_endpoint_free(ep);
}

// Both TLS sessions have keying material; the relay must be shown that of its own.
static void tls_within_tls_proves_the_id(void **state) {
    (void)state;
    char url[128], home[64], file[] = "/tmp/iroh-proxy-XXXXXX";
    const test_certificate *c = test_certificate_get();
    const gnutls_datum_t chain = {(unsigned char *)c->chain, (unsigned)strlen(c->chain)};
    const gnutls_datum_t key = {(unsigned char *)c->key, (unsigned)strlen(c->key)};
    proxy p = {0};
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    iroh_relay *r = live_start(true);
    assert_int_equal(write(fd, c->chain, strlen(c->chain)), strlen(c->chain));
    close(fd);
    assert_int_equal(gnutls_certificate_allocate_credentials(&p.tls), 0);
    assert_int_equal(gnutls_certificate_set_x509_key_mem(p.tls, &chain, &key, GNUTLS_X509_FMT_PEM), 0);
    relay_url(home, r, true);
    proxy_start(&p);
    url_of(url, "https", "", p.port);
    iroh_endpoint *ep = behind(home, url, file);
    must_be_online(ep);
    assert_true(proxy_tunnels(&p) >= 1);  // one more for each probe
    iroh_endpoint_free(ep);
    // Neither is trusted without its root.
    ep = behind(home, url, NULL);
    must_fail(ep, IROH_ERR_HANDSHAKE, "certificate");
    iroh_endpoint_free(ep);
    proxy_stop(&p);
    iroh_relay_stop(r);
    gnutls_certificate_free_credentials(p.tls);
    unlink(file);
}

static void bytes_cross_two_proxies(void **state) {
    (void)state;
    proxy http = {0}, socks = {.socks = true};
    char url[128], home[64], text[8];
    iroh_relay *r = live_start(false);
    iroh_connection *s, *c;
    iroh_stream *out, *in;
    relay_url(home, r, false);
    proxy_start(&http);
    proxy_start(&socks);
    url_of(url, "http", "", http.port);
    iroh_endpoint *server = behind(home, url, NULL);
    url_of(url, "socks5h", "", socks.port);
    iroh_endpoint *client = behind(home, url, NULL);
    must_be_online(server);
    duo_accept_all(server);
    c = duo_connect(client, server);
    assert_int_equal(iroh_endpoint_accept(server, LONG_MS, &s), 0);
    assert_int_equal(iroh_connection_open_uni(c, LONG_MS, &out), 0);
    assert_int_equal(iroh_stream_write_all(out, "through", 7, LONG_MS, NULL), 0);
    assert_int_equal(iroh_connection_accept_uni(s, LONG_MS, &in), 0);
    assert_int_equal(iroh_stream_read_exact(in, text, 7, LONG_MS, NULL), 0);
    assert_memory_equal(text, "through", 7);
    iroh_stream_free(in);
    iroh_stream_free(out);
    iroh_connection_free(c);
    iroh_connection_free(s);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
    proxy_stop(&http);
    proxy_stop(&socks);
    iroh_relay_stop(r);
}

static void direct_paths_pass_the_proxy_by(void **state) {
    (void)state;
    proxy p = {.refusal = 403};
    char url[128];
    iroh_endpoint_config config;
    duo d;
    proxy_start(&p);
    url_of(url, "http", "", p.port);
    duo_config(&config, OWN_THREAD);
    config.proxy = url;
    duo_open_with(&d, &config, &config);
    assert_int_equal(proxy_refused(&p), 0);
    duo_free(&d);
    proxy_stop(&p);
}

// --- The environment

// Whether an endpoint with this environment goes through `p`.
static bool environment_leads_to(proxy *p, bool asked) {
    char home[64];
    iroh_endpoint_config config;
    iroh_relay *r = live_start(false);
    relay_url(home, r, false);
    const char *relays[] = {home};
    duo_config(&config, OWN_THREAD);
    config.relays = relays;
    config.relay_count = 1;
    config.proxy_from_env = asked;
    int before = proxy_tunnels(p);
    iroh_endpoint *ep = duo_bind(&config);
    must_be_online(ep);
    iroh_endpoint_free(ep);
    iroh_relay_stop(r);
    return proxy_tunnels(p) > before;
}

static void environment_counts_on_request_only(void **state) {
    (void)state;
    proxy p = {0}, other = {0};
    char url[128], other_url[128];
    proxy_start(&p);
    proxy_start(&other);
    url_of(url, "http", "", p.port);
    url_of(other_url, "http", "", other.port);
    assert_false(environment_leads_to(&p, true));
    // From the last to the first.
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(setenv(variables[i], url, 1), 0);
        assert_false(environment_leads_to(&p, false));
        assert_true(environment_leads_to(&p, true));
        assert_int_equal(setenv(variables[i], other_url, 1), 0);
    }
    assert_int_equal(setenv("http_proxy", url, 1), 0);
    assert_false(environment_leads_to(&p, true));
    assert_int_equal(setenv("REQUEST_METHOD", "GET", 1), 0);
    assert_true(environment_leads_to(&p, true));
    assert_int_equal(setenv("NO_PROXY", "*", 1), 0);
    assert_int_equal(setenv("no_proxy", "*", 1), 0);
    assert_true(environment_leads_to(&p, true));
    // Often without a scheme.
    assert_int_equal(setenv("http_proxy", strstr(url, "://") + 3, 1), 0);
    assert_true(environment_leads_to(&p, true));
    proxy_stop(&p);
    proxy_stop(&other);
}

static void settings_come_before_the_environment(void **state) {
    (void)state;
    proxy p = {0};
    char url[128], home[64];
    iroh_endpoint_config config;
    iroh_relay *r = live_start(false);
    proxy_start(&p);
    url_of(url, "http", "", p.port);
    relay_url(home, r, false);
    const char *relays[] = {home};
    assert_int_equal(setenv("HTTP_PROXY", "http://localhost:1", 1), 0);
    duo_config(&config, OWN_THREAD);
    config.relays = relays;
    config.relay_count = 1;
    config.proxy = url;
    config.proxy_from_env = true;
    iroh_endpoint *ep = duo_bind(&config);
    must_be_online(ep);
    assert_true(proxy_tunnels(&p) >= 1);  // one more for each probe
    iroh_endpoint_free(ep);
    proxy_stop(&p);
    iroh_relay_stop(r);
}

static void unknown_kinds_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"", "ftp://localhost:1", "httpx://localhost:1", "://localhost", "socks://h:1"};
    iroh_endpoint_config config;
    iroh_endpoint *ep;
    duo_config(&config, OWN_THREAD);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        config.proxy = bad[i];
        assert_int_equal(iroh_endpoint_bind(&config, &ep), IROH_ERR_ARG);
        assert_null(ep);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(http_proxy_opens_a_tunnel),
        cmocka_unit_test(http_proxy_is_told_the_password),
        cmocka_unit_test(socks_proxy_opens_a_tunnel),
        cmocka_unit_test(socks_proxy_without_names_is_given_addresses),
        cmocka_unit_test(socks_proxy_is_told_the_password),
        cmocka_unit_test(http_proxies_may_refuse),
        cmocka_unit_test(socks_proxies_may_refuse),
        cmocka_unit_test(absent_proxy_is_told),
        cmocka_unit_test(tls_within_tls_proves_the_id),
        cmocka_unit_test(bytes_cross_two_proxies),
        cmocka_unit_test(direct_paths_pass_the_proxy_by),
        cmocka_unit_test_setup_teardown(environment_counts_on_request_only, without_variables, without_variables),
        cmocka_unit_test_setup_teardown(settings_come_before_the_environment, without_variables, without_variables),
        cmocka_unit_test(unknown_kinds_are_refused),
    };
    return cmocka_run_group_tests_name("endpoint_proxy", tests, without_variables, NULL);
}
