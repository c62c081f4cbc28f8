// The proxy of the settings, as far as it forwards requests.
#include "net/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

static void check(const char *url, bool tls, const char *host, uint16_t port, const char *authorization) {
    net_proxy p;
    assert_int_equal(net_proxy_of(url, &p), 0);
    assert_true(p.forwards);
    assert_int_equal(p.tls, tls);
    assert_int_equal(p.host_len, strlen(host));
    assert_memory_equal(p.host, host, p.host_len);
    assert_int_equal(p.port, port);
    assert_string_equal(p.authorization, authorization);
}

static void server_and_port_are_found(void **state) {
    (void)state;
    check("http://proxy.example:3128", false, "proxy.example", 3128, "");
    check("http://Proxy.Example", false, "proxy.example", 80, "");
    check("HTTPS://proxy.example/", true, "proxy.example", 443, "");
    check("http://[2001:DB8::1]:8080/", false, "[2001:db8::1]", 8080, "");
    check("proxy.example", false, "proxy.example", 80, "");
    check("proxy.example:3128/@", false, "proxy.example", 3128, "");
}

// The check values of relay.md, section 1.3.
static void login_is_decoded(void **state) {
    (void)state;
    check("http://user:s3cret~~@h", false, "h", 80, "Basic dXNlcjpzM2NyZXR+fg==");
    check("user:s3cret~~@h:1", false, "h", 1, "Basic dXNlcjpzM2NyZXR+fg==");
    check("http://user:p%40ss@h", false, "h", 80, "Basic dXNlcjpwQHNz");
    check("http://user:p@ss@h", false, "h", 80, "Basic dXNlcjpwQHNz");
    check("http://user@h", false, "h", 80, "Basic dXNlcjo=");
    check("http://a:%4@h", false, "h", 80, "Basic YTolNA==");
}

static void socks_forwards_nothing(void **state) {
    static const char *const urls[] = {"socks5://h:1", "SOCKS5H://user:p@h", "socks4://1.2.3.4:1", "socks4a://h"};
    net_proxy p;
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        assert_int_equal(net_proxy_of(urls[i], &p), 0);
        assert_false(p.forwards);
    }
}

static void long_texts_and_nonsense_are_refused(void **state) {
    char url[9000];
    net_proxy p;
    (void)state;
    memset(url, 'a', sizeof url);
    memcpy(url, "http://", 7);
    url[7 + NET_PROXY_HOST_MAX] = '\0';
    assert_int_equal(net_proxy_of(url, &p), 0);
    url[7 + NET_PROXY_HOST_MAX] = 'a';
    url[8 + NET_PROXY_HOST_MAX] = '\0';
    assert_int_equal(net_proxy_of(url, &p), IROH_ERR_TOO_LARGE);
    // A user of this length, and the colon that every login has.
    memset(url + 7, 'a', sizeof url - 7);
    memcpy(url + 7 + NET_PROXY_LOGIN_MAX - 1, "@h", 3);
    assert_int_equal(net_proxy_of(url, &p), 0);
    assert_int_equal(strlen(p.authorization), 6 + (NET_PROXY_LOGIN_MAX + 2) / 3 * 4);
    memcpy(url + 7 + NET_PROXY_LOGIN_MAX - 1, "a@h", 4);
    assert_int_equal(net_proxy_of(url, &p), IROH_ERR_TOO_LARGE);
    memset(url + 7, 'a', sizeof url - 7);
    url[sizeof url - 1] = '\0';
    assert_int_equal(net_proxy_of(url, &p), IROH_ERR_TOO_LARGE);
    assert_int_equal(net_proxy_of("http://", &p), IROH_ERR_SYNTAX);
    assert_int_equal(net_proxy_of("http://h:99999", &p), IROH_ERR_SYNTAX);
    assert_int_equal(net_proxy_of("http://a b/", &p), IROH_ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_and_port_are_found),
        cmocka_unit_test(login_is_decoded),
        cmocka_unit_test(socks_forwards_nothing),
        cmocka_unit_test(long_texts_and_nonsense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
