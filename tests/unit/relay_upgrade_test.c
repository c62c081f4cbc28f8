// The upgrade request and its answer: the exact bytes of a real client, the server's judgement, and the client's.
#include "relay/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "relay/auth.h"
#include "relay/frame.h"

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static relay_target target_of(const char *url) {
    relay_target t;
    assert_int_equal(relay_target_of(url, strlen(url), &t), 0);
    return t;
}

static bool text_is(http_text t, const char *text) {
    return http_text_is(&t, text);
}

static void urls_become_targets(void **state) {
    (void)state;
    static const struct {
        const char *url;
        bool tls;
        const char *host;
        uint16_t port;
        const char *authority, *query;
    } cases[] = {
        {"https://relay.example./", true, "relay.example.", 443, "relay.example.", ""},
        {"http://127.0.0.1:3340/", false, "127.0.0.1", 3340, "127.0.0.1:3340", ""},
        {"ws://h/", false, "h", 80, "h", ""},
        {"wss://h:444/x/y?a=b#c?d", true, "h", 444, "h:444", "?a=b"},
        {"http://h/foo?x=1&token=a%20b#f", false, "h", 80, "h", "?x=1&token=a%20b"},
        {"https://[2001:db8::1]:8443/", true, "[2001:db8::1]", 8443, "[2001:db8::1]:8443", ""},
        {"https://[::1]/", true, "[::1]", 443, "[::1]", ""},
        {"https://user:p@h/?q", true, "h", 443, "h", "?q"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        relay_target t = target_of(cases[i].url);
        assert_true(t.tls == cases[i].tls && t.port == cases[i].port);
        assert_true(text_is(t.host, cases[i].host) && text_is(t.authority, cases[i].authority));
        assert_true(text_is(t.query, cases[i].query));
    }
    static const char *const bad[] = {"",           "https",       "https:h",         "https://",    "https:///x",
                                      "http://h:/", "http://h:x/", "http://h:65536/", "http://:80/", "http://[::1/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        relay_target t;
        assert_int_equal(relay_target_of(bad[i], strlen(bad[i]), &t), IROH_ERR_SYNTAX);
    }
}

static void the_request_has_the_bytes_of_the_original(void **state) {
    (void)state;
    static const char wanted[] = "GET /relay?x=1 HTTP/1.1\r\n"
                                 "Host: 127.0.0.1:43383\r\n"
                                 "Upgrade: websocket\r\n"
                                 "Connection: Upgrade\r\n"
                                 "Sec-WebSocket-Key: " KEY "\r\n"
                                 "Sec-WebSocket-Version: 13\r\n"
                                 "sec-websocket-protocol: iroh-relay-v2, iroh-relay-v1\r\n"
                                 "authorization: Bearer tok en+1\r\n"
                                 "x-iroh-relay-client-auth-v1: ";
    char out[1024], claim[RELAY_CLAIM_LEN];
    relay_target t = target_of("http://127.0.0.1:43383/a?x=1");
    const http_text token = {"tok en+1", 8};
    memset(claim, 'c', sizeof claim);
    writer w = writer_of(out, sizeof out);
    relay_upgrade_put_request(&w, &t, KEY, &token, claim);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), strlen(wanted) + RELAY_CLAIM_LEN + 4);
    assert_memory_equal(out, wanted, strlen(wanted));
    assert_memory_equal(out + writer_len(&w) - 4, "\r\n\r\n", 4);
    const http_text broken = {"a\r\nb: c", 7};
    w = writer_of(out, sizeof out);
    relay_upgrade_put_request(&w, &t, KEY, &broken, NULL);
    assert_true(w.failed);
}

#define UPGRADE "Upgrade: websocket\r\n"
#define KEY_LINE "Sec-WebSocket-Key: " KEY "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define OFFER "Sec-WebSocket-Protocol: iroh-relay-v2, iroh-relay-v1\r\n"

static void judge(const char *fields, http_head *h, relay_upgrade *u, char *text) {
    int len = sprintf(text, "GET /relay HTTP/1.1\r\n%s\r\n", fields);
    assert_int_equal(http_request_parse(text, (size_t)len, h), 0);
    relay_upgrade_judge(h, u);
}

static void requests_are_judged_in_order(void **state) {
    (void)state;
    static const struct {
        const char *fields;
        int version;          // 0: refused
        const char *refusal;  // how the text starts
    } cases[] = {
        {UPGRADE KEY_LINE VERSION OFFER, RELAY_V2, NULL},
        {UPGRADE KEY_LINE VERSION "Sec-WebSocket-Protocol: iroh-relay-v1\r\n", RELAY_V1, NULL},
        {UPGRADE KEY_LINE VERSION "Sec-WebSocket-Protocol: iroh-relay-v1 ,x,\tiroh-relay-v2\r\n", RELAY_V2, NULL},
        {KEY_LINE VERSION OFFER, 0, "missing header: upgrade"},
        {"Upgrade: WebSocket\r\n" KEY_LINE VERSION OFFER, 0, "invalid header value for upgrade"},
        {UPGRADE VERSION OFFER, 0, "missing header: sec-websocket-key"},
        {UPGRADE KEY_LINE OFFER, 0, "missing header: sec-websocket-version"},
        {UPGRADE KEY_LINE "Sec-WebSocket-Version: 12\r\n" OFFER, 0, "unsupported websocket version"},
        {UPGRADE KEY_LINE VERSION, 0, "missing header: sec-websocket-protocol"},
        {UPGRADE KEY_LINE VERSION "Sec-WebSocket-Protocol: Iroh-Relay-V2\r\n", 0, "unsupported relay version"},
        {UPGRADE KEY_LINE VERSION "Sec-WebSocket-Protocol: x\r\n" OFFER, 0, "unsupported relay version"},
        {UPGRADE KEY_LINE VERSION "Sec-WebSocket-Protocol: \xc3\xa9\r\n", 0, "invalid header value for sec-websocket"},
    };
    char text[1024];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_head h;
        relay_upgrade u;
        judge(cases[i].fields, &h, &u, text);
        assert_int_equal(u.status, cases[i].version != 0 ? 101 : 400);
        assert_int_equal(u.version, cases[i].version);
        if (cases[i].refusal != NULL)
            assert_memory_equal(u.refusal, cases[i].refusal, strlen(cases[i].refusal));
        else
            assert_string_equal(u.accept, ACCEPT);
    }
}

static void claims_are_found(void **state) {
    (void)state;
    char text[1024];
    http_head h;
    relay_upgrade u;
    judge(UPGRADE KEY_LINE VERSION OFFER "X-Iroh-Relay-Client-Auth-V1: abc\r\n", &h, &u, text);
    assert_true(u.claim != NULL && http_text_is(u.claim, "abc"));
    judge(UPGRADE KEY_LINE VERSION OFFER, &h, &u, text);
    assert_null(u.claim);
}

static void the_answer_has_the_fields_of_the_original_and_on_plain_http_all_but_the_first(void **state) {
    (void)state;
    static const char *const names[] = {"strict-transport-security",
                                        "content-security-policy",
                                        "upgrade",
                                        "sec-websocket-accept",
                                        "sec-websocket-protocol",
                                        "connection",
                                        "date"};
    char text[1024], out[1024];
    for (int plain = 0; plain < 2; plain++) {
        http_head h;
        relay_upgrade u;
        judge(UPGRADE KEY_LINE VERSION OFFER, &h, &u, text);
        u.secure = plain == 0;
        writer w = writer_of(out, sizeof out);
        relay_upgrade_put_answer(&w, &u, "Mon, 23 Nov 2026 20:45:25 GMT");
        assert_false(w.failed);
        assert_int_equal(http_response_parse(out, writer_len(&w), &h), 0);
        assert_int_equal(h.field_count, sizeof names / sizeof *names - (size_t)plain);
        for (size_t i = 0; i < h.field_count; i++)
            assert_true(http_text_is(&h.fields[i].name, names[i + (size_t)plain]));
        assert_int_equal(relay_upgrade_check(&h, KEY), RELAY_V2);
        assert_int_equal(relay_upgrade_check(&h, "AGhlIHNhbXBsZSBub25jZQ=="), IROH_ERR_PROTOCOL);
    }
}

static void a_refusal_says_why(void **state) {
    (void)state;
    char text[1024], out[1024];
    http_head h;
    relay_upgrade u;
    judge(UPGRADE KEY_LINE "Sec-WebSocket-Version: 8\r\n" OFFER, &h, &u, text);
    writer w = writer_of(out, sizeof out);
    relay_upgrade_put_answer(&w, &u, "Mon, 23 Nov 2026 20:45:25 GMT");
    http_scan scan = {0};
    int len = http_scan_end(&scan, out, writer_len(&w));
    assert_true(len > 0);
    assert_int_equal(http_response_parse(out, (size_t)len, &h), 0);
    assert_int_equal(h.status, 400);
    assert_true(http_text_is(http_field_find(&h, "sec-websocket-version", NULL), "13"));
    uint64_t size;
    assert_int_equal(http_body_size(&h, &size), 0);
    assert_int_equal(size, writer_len(&w) - (size_t)len);
    assert_memory_equal(out + len, u.refusal, size);
    assert_int_equal(relay_upgrade_check(&h, KEY), IROH_ERR_REFUSED);
}

static void the_client_needs_a_known_version(void **state) {
    (void)state;
    static const struct {
        const char *field;
        int result;
    } cases[] = {
        {"", IROH_ERR_VERSION},
        {"sec-websocket-protocol: iroh-relay-v3\r\n", IROH_ERR_VERSION},
        {"sec-websocket-protocol: iroh-relay-v1, iroh-relay-v2\r\n", IROH_ERR_VERSION},
        {"sec-websocket-protocol: iroh-relay-v1\r\n", RELAY_V1},
        {"Sec-WebSocket-Protocol: iroh-relay-v2\r\n", RELAY_V2},
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_head h;
        int len = sprintf(text, "HTTP/1.1 101 x\r\nsec-websocket-accept: " ACCEPT "\r\n%s\r\n", cases[i].field);
        assert_int_equal(http_response_parse(text, (size_t)len, &h), 0);
        assert_int_equal(relay_upgrade_check(&h, KEY), cases[i].result);
    }
}

static void tokens_are_found_in_fields_then_in_the_query(void **state) {
    (void)state;
    static const struct {
        const char *target, *fields, *token;  // null: none
    } cases[] = {
        {"/relay", "Authorization: Bearer abc\r\n", "abc"},
        {"/relay", "authorization: bEARER a b\r\n", "a b"},
        {"/relay?token=q", "Authorization: Bearer abc\r\n", "abc"},
        {"/relay?token=q%2b", "", "q+"},
        {"/relay?token=q", "Authorization: Basic abc\r\n", "q"},
        {"/relay", "Authorization: Basic abc\r\nAuthorization: Bearer x\r\n", "x"},
        {"/relay?token=q", "Authorization: \xc3\xa9 x\r\nAuthorization: Bearer x\r\n", NULL},
        {"/relay", "Authorization: Bearer\r\n", NULL},
        {"/relay", "", NULL},
    };
    char text[512], out[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_head h;
        int len = sprintf(text, "GET %s HTTP/1.1\r\n%s\r\n", cases[i].target, cases[i].fields);
        assert_int_equal(http_request_parse(text, (size_t)len, &h), 0);
        int found = relay_token_find(&h, out, sizeof out);
        assert_int_equal(found, cases[i].token != NULL ? (int)strlen(cases[i].token) : IROH_ERR_NOT_FOUND);
        if (found > 0)
            assert_memory_equal(out, cases[i].token, (size_t)found);
        if (found > 0)
            assert_int_equal(relay_token_find(&h, out, (size_t)found - 1), IROH_ERR_TOO_LARGE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_become_targets),
        cmocka_unit_test(the_request_has_the_bytes_of_the_original),
        cmocka_unit_test(requests_are_judged_in_order),
        cmocka_unit_test(claims_are_found),
        cmocka_unit_test(the_answer_has_the_fields_of_the_original_and_on_plain_http_all_but_the_first),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(the_client_needs_a_known_version),
        cmocka_unit_test(tokens_are_found_in_fields_then_in_the_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
