// Questions to a relay over HTTP: what is asked, and which answers count.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "net/http_probe.h"

static http_probe probe;

static const char *begin_via(bool captive, const char *url, const char *proxy) {
    net_proxy via;
    if (proxy != NULL)
        assert_int_equal(net_proxy_of(proxy, &via), 0);
    static char request[HTTP_PROBE_REQUEST_MAX + 1];
    relay_target target;
    assert_int_equal(relay_target_of(url, strlen(url), &target), 0);
    writer w = writer_of(request, HTTP_PROBE_REQUEST_MAX);
    http_probe_begin(&probe, captive, &target, proxy != NULL ? &via : NULL, &w);
    assert_false(w.failed);
    *w.p = '\0';
    return request;
}

static const char *begin(bool captive, const char *url) {
    return begin_via(captive, url, NULL);
}

// 1 for a good answer, 0 for another one, an error, or IROH_ERR_AGAIN when more is needed.
static int feed(const char *bytes) {
    bool good = false;
    int r = http_probe_feed(&probe, (const uint8_t *)bytes, strlen(bytes), &good);
    return r == 0 ? IROH_ERR_AGAIN : r < 0 ? r : good;
}

static void ping_asks_the_relay_itself(void **state) {
    (void)state;
    assert_string_equal(begin(false, "https://relay.example.:8443/"),
                        "GET /ping HTTP/1.1\r\nHost: relay.example.:8443\r\nConnection: close\r\n\r\n");
    assert_string_equal(begin(false, "http://[::1]:3340/"),
                        "GET /ping HTTP/1.1\r\nHost: [::1]:3340\r\nConnection: close\r\n\r\n");
}

static void challenge_names_the_host(void **state) {
    (void)state;
    assert_string_equal(begin(true, "https://relay.example:8443/"),
                        "GET /generate_204 HTTP/1.1\r\nHost: relay.example\r\n"
                        "X-Iroh-Challenge: ts_relay.example\r\nConnection: close\r\n\r\n");
}

static void proxies_are_told_the_whole_url(void **state) {
    (void)state;
    assert_string_equal(begin_via(true, "https://relay.example:8443/", "http://proxy.example"),
                        "GET http://relay.example/generate_204 HTTP/1.1\r\nHost: relay.example\r\n"
                        "X-Iroh-Challenge: ts_relay.example\r\nConnection: close\r\n\r\n");
    assert_string_equal(begin_via(false, "http://relay.example.:3340/", "https://user:s3cret~~@proxy.example"),
                        "GET http://relay.example.:3340/ping HTTP/1.1\r\nHost: relay.example.:3340\r\n"
                        "Proxy-Authorization: Basic dXNlcjpzM2NyZXR+fg==\r\nConnection: close\r\n\r\n");
}

static void every_2xx_is_a_pong(void **state) {
    static const struct {
        const char *answer;
        int result;
    } rows[] = {{"HTTP/1.1 200 OK\r\n\r\n", 1},         {"HTTP/1.0 204 x\r\ncontent-length: 0\r\n\r\n", 1},
                {"HTTP/1.1 299 Odd\r\n\r\nbody", 1},    {"HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n", 0},
                {"HTTP/1.1 404 No\r\n\r\n", 0},         {"HTTP/1.1 500 No\r\n\r\n", 0},
                {"SSH-2.0-x\r\n\r\n", IROH_ERR_SYNTAX}, {"HTTP/1.1 20x\r\n\r\n", IROH_ERR_SYNTAX},
                {"HTTP/1.1 200 OK\r\n", IROH_ERR_AGAIN}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)begin(false, "http://relay.example/");
        assert_int_equal(feed(rows[i].answer), rows[i].result);
    }
}

static void only_the_relay_knows_the_response(void **state) {
    static const struct {
        const char *answer;
        int result;
    } rows[] = {
        {"HTTP/1.1 204 No Content\r\nX-Iroh-Response: response ts_relay.example\r\n\r\n", 1},
        {"HTTP/1.1 204 No Content\r\nx-iroh-response:response ts_relay.example\r\n\r\n", 1},
        {"HTTP/1.1 204 No Content\r\nX-Iroh-Response: response ts_relay.exampl\r\n\r\n", 0},
        {"HTTP/1.1 204 No Content\r\nX-Iroh-Response: response ts_relay.example2\r\n\r\n", 0},
        {"HTTP/1.1 204 No Content\r\n\r\n", 0},
        {"HTTP/1.1 200 OK\r\nX-Iroh-Response: response ts_relay.example\r\n\r\n", 0},
        {"HTTP/1.1 302 Found\r\nlocation: http://login.example/\r\n\r\n", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        (void)begin(true, "https://relay.example/");
        assert_int_equal(feed(rows[i].answer), rows[i].result);
    }
}

static void pieces_make_a_whole(void **state) {
    const char answer[] = "HTTP/1.1 200 OK\r\nserver: x\r\n\r\n";
    (void)state;
    (void)begin(false, "http://relay.example/");
    for (size_t i = 0; i + 2 < sizeof answer; i++) {
        const char piece[2] = {answer[i], '\0'};
        assert_int_equal(feed(piece), IROH_ERR_AGAIN);
    }
    assert_int_equal(feed("\n"), 1);
}

static void endless_head_is_refused(void **state) {
    int r = IROH_ERR_AGAIN, pieces = 0;
    (void)state;
    (void)begin(false, "http://relay.example/");
    for (assert_int_equal(feed("HTTP/1.1 200 OK\r\n"), IROH_ERR_AGAIN); r == IROH_ERR_AGAIN && pieces < 10000; pieces++)
        r = feed("x: 0123456789012345678901234567890123456789\r\n");
    assert_int_equal(r, IROH_ERR_TOO_LARGE);
    assert_in_range(pieces, 100, HTTP_PROBE_HEAD_MAX / 45 + 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_asks_the_relay_itself),        cmocka_unit_test(challenge_names_the_host),
        cmocka_unit_test(proxies_are_told_the_whole_url),    cmocka_unit_test(every_2xx_is_a_pong),
        cmocka_unit_test(only_the_relay_knows_the_response), cmocka_unit_test(pieces_make_a_whole),
        cmocka_unit_test(endless_head_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
