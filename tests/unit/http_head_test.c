// HTTP heads: requests and responses in pieces, every refusal, every bound.
#include "web/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

static int parse_request(const char *text, http_head *h) {
    http_scan scan = {0};
    int len = http_scan_end(&scan, text, strlen(text));
    assert_int_equal(len, strlen(text));
    return http_request_parse(text, (size_t)len, h);
}

static int parse_response(const char *text, http_head *h) {
    return http_response_parse(text, strlen(text), h);
}

static bool field_is(const http_head *h, const char *name, const char *value) {
    const http_text *t = http_field_find(h, name, NULL);
    return t != NULL && http_text_is(t, value);
}

static void the_end_is_found_in_pieces_of_any_size(void **state) {
    (void)state;
    static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\nA: b\n\r\nrest";
    size_t whole = strlen(head) - strlen("rest");
    for (size_t piece = 1; piece < sizeof head; piece++) {
        http_scan s = {0};
        int found = 0;
        size_t len = 0;
        while (found == 0 && len < strlen(head)) {
            len = len + piece < strlen(head) ? len + piece : strlen(head);
            found = http_scan_end(&s, head, len);
            assert_true(found != 0 || len < whole);
        }
        assert_int_equal(found, whole);
    }
}

static void a_head_without_end_is_too_large(void **state) {
    (void)state;
    char *text = malloc(HTTP_HEAD_MAX);
    assert_non_null(text);
    memset(text, 'x', HTTP_HEAD_MAX);
    http_scan s = {0};
    assert_int_equal(http_scan_end(&s, text, HTTP_HEAD_MAX - 1), 0);
    assert_int_equal(http_scan_end(&s, text, HTTP_HEAD_MAX), IROH_ERR_TOO_LARGE);
    memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4);
    s = (http_scan){0};
    assert_int_equal(http_scan_end(&s, text, HTTP_HEAD_MAX), HTTP_HEAD_MAX);
    free(text);
}

static void requests_are_read(void **state) {
    (void)state;
    http_head h;
    assert_int_equal(
        parse_request("GET /relay?x=1 HTTP/1.1\r\nHost:  h:80 \t\r\nEmpty:\r\nx-Two: a\r\nX-TWO: b c\r\n\r\n", &h), 0);
    assert_true(http_text_is(&h.method, "GET") && http_text_is(&h.target, "/relay?x=1") && h.minor == 1);
    assert_int_equal(h.field_count, 4);
    assert_true(field_is(&h, "HOST", "h:80") && field_is(&h, "empty", ""));
    size_t at = 0;
    assert_true(http_text_is(http_field_find(&h, "x-two", &at), "a"));
    assert_true(http_text_is(http_field_find(&h, "x-two", &at), "b c"));
    assert_null(http_field_find(&h, "x-two", &at));
    assert_null(http_field_find(&h, "x-tw", NULL));
    http_text path = http_target_path(&h.target);
    assert_true(http_text_is(&path, "/relay"));
    assert_int_equal(parse_request("OPTIONS * HTTP/1.0\n\n", &h), 0);
    assert_int_equal(h.minor, 0);
}

static void responses_are_read(void **state) {
    (void)state;
    http_head h;
    assert_int_equal(parse_response("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n", &h), 0);
    assert_true(h.status == 101 && http_text_is(&h.reason, "Switching Protocols"));
    assert_int_equal(parse_response("HTTP/1.0 204 \r\n\r\n", &h), 0);
    assert_int_equal(parse_response("HTTP/1.1 599\r\n\r\n", &h), 0);
    assert_int_equal(h.status, 599);
}

static void broken_heads_are_refused(void **state) {
    (void)state;
    static const char *const requests[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G@T / HTTP/1.1\r\n\r\n",
        "GET /\x01 HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nName : v\r\n\r\n",
        "GET / HTTP/1.1\r\n: v\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        "GET / HTTP/1.1\r\nA: \x7f\r\n\r\n",
        "GET / HTTP/1.\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
    };
    static const char *const responses[] = {
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 99 x\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/1.1 1000 x\r\n\r\n",
        "HTTP/1.1 2x0 x\r\n\r\n",
        "HTTP/1.1 200 \x01\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
    };
    http_head h;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        assert_int_equal(http_request_parse(requests[i], strlen(requests[i]), &h), IROH_ERR_SYNTAX);
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++)
        assert_int_equal(parse_response(responses[i], &h), IROH_ERR_SYNTAX);
    assert_int_equal(parse_request("GET / HTTP/2.0\r\n\r\n", &h), IROH_ERR_UNSUPPORTED);
    assert_int_equal(parse_response("HTTP/1.2 200 OK\r\n\r\n", &h), IROH_ERR_UNSUPPORTED);
    assert_int_equal(http_request_parse("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24, &h), IROH_ERR_SYNTAX);
    assert_int_equal(http_request_parse("GET / HTTP/1.1\r\n\r\nmore", 22, &h), IROH_ERR_SYNTAX);
    assert_int_equal(http_request_parse("", 0, &h), IROH_ERR_SYNTAX);
}

static void bounds_are_errors_of_their_own(void **state) {
    (void)state;
    char *text = malloc(HTTP_HEAD_MAX);
    assert_non_null(text);
    http_head h;
    for (int extra = 0; extra <= 1; extra++) {
        int len = sprintf(text, "GET / HTTP/1.1\r\n");
        for (int i = 0; i < HTTP_FIELDS_MAX + extra; i++)
            len += sprintf(text + len, "a%d: b\r\n", i);
        len += sprintf(text + len, "\r\n");
        assert_int_equal(http_request_parse(text, (size_t)len, &h), extra == 0 ? 0 : IROH_ERR_LIMIT);
        memset(text, 'x', HTTP_HEAD_MAX);
        memcpy(text, "GET /", 5);
        size_t target = HTTP_TARGET_MAX + (size_t)extra;
        memcpy(text + 4 + target, " HTTP/1.1\r\n\r\n", 13);
        assert_int_equal(http_request_parse(text, 4 + target + 13, &h), extra == 0 ? 0 : IROH_ERR_TOO_LARGE);
    }
    free(text);
}

static void queries_are_decoded(void **state) {
    (void)state;
    static const struct {
        const char *target, *value;  // null: not there
    } cases[] = {
        {"/relay?token=abc", "abc"},
        {"/relay?x=1&token=a%20b+c%2B", "a b c+"},
        {"/relay?token=", ""},
        {"/relay?token", ""},
        {"/relay?to%6ben=x&token=y", "x"},
        {"/relay?token=%zz%4", "%zz%4"},
        {"/relay?tokens=x&toke=y", NULL},
        {"/relay", NULL},
        {"/token=x", NULL},
        {"/relay?&&token=1&", "1"},
    };
    char out[16];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const http_text target = {cases[i].target, strlen(cases[i].target)};
        int len = http_query_get(&target, "token", out, sizeof out);
        assert_int_equal(len, cases[i].value != NULL ? (int)strlen(cases[i].value) : IROH_ERR_NOT_FOUND);
        if (len > 0)
            assert_memory_equal(out, cases[i].value, (size_t)len);
    }
    const http_text target = {"/?token=12345", 13};
    assert_int_equal(http_query_get(&target, "token", out, 5), 5);
    assert_int_equal(http_query_get(&target, "token", out, 4), IROH_ERR_TOO_LARGE);
}

static void bodies_and_connections_are_judged(void **state) {
    (void)state;
    http_head h;
    uint64_t size;
    assert_int_equal(parse_request("GET / HTTP/1.1\r\n\r\n", &h), 0);
    assert_true(http_body_size(&h, &size) == 0 && size == 0 && http_keeps_alive(&h));
    assert_int_equal(
        parse_request("POST / HTTP/1.1\r\nContent-Length: 12\r\ncontent-length: 12\r\nConnection: x , Close\r\n\r\n",
                      &h),
        0);
    assert_true(http_body_size(&h, &size) == 0 && size == 12 && !http_keeps_alive(&h));
    assert_int_equal(parse_request("POST / HTTP/1.1\r\nContent-Length: 12\r\nContent-Length: 13\r\n\r\n", &h), 0);
    assert_int_equal(http_body_size(&h, &size), IROH_ERR_SYNTAX);
    assert_int_equal(parse_request("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", &h), 0);
    assert_int_equal(http_body_size(&h, &size), IROH_ERR_SYNTAX);
    assert_int_equal(parse_request("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", &h), 0);
    assert_int_equal(http_body_size(&h, &size), IROH_ERR_SYNTAX);
    assert_int_equal(parse_request("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", &h), 0);
    assert_int_equal(http_body_size(&h, &size), IROH_ERR_UNSUPPORTED);
    assert_int_equal(parse_request("GET / HTTP/1.0\r\n\r\n", &h), 0);
    assert_false(http_keeps_alive(&h));
    assert_int_equal(parse_request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &h), 0);
    assert_true(http_keeps_alive(&h));
}

static void what_is_written_reads_the_same(void **state) {
    (void)state;
    char text[256];
    http_head h;
    writer w = writer_of(text, sizeof text);
    http_put_request(&w, "GET", "/a?b", 4);
    http_put_text(&w, "Host", "h");
    http_put_field(&w, "X", "y z", 3);
    http_put_end(&w);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), strlen("GET /a?b HTTP/1.1\r\nHost: h\r\nX: y z\r\n\r\n"));
    assert_int_equal(http_request_parse(text, writer_len(&w), &h), 0);
    assert_true(http_text_is(&h.target, "/a?b") && field_is(&h, "x", "y z"));
    w = writer_of(text, sizeof text);
    http_put_status(&w, 204);
    http_put_end(&w);
    assert_int_equal(writer_len(&w), strlen("HTTP/1.1 204 No Content\r\n\r\n"));
    assert_memory_equal(text, "HTTP/1.1 204 No Content\r\n\r\n", writer_len(&w));
}

static void nothing_breaks_out_of_its_line(void **state) {
    (void)state;
    static const char *const values[] = {"a\r\nb: c", "a\nb", "a\rb", "\x7f", "\x01"};
    char text[256];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        writer w = writer_of(text, sizeof text);
        http_put_text(&w, "x", values[i]);
        assert_true(w.failed);
        w = writer_of(text, sizeof text);
        http_put_text(&w, values[i], "x");
        assert_true(w.failed);
        w = writer_of(text, sizeof text);
        http_put_request(&w, "GET", values[i], strlen(values[i]));
        assert_true(w.failed);
    }
    writer w = writer_of(text, 5);
    http_put_status(&w, 200);
    assert_true(w.failed);
    w = writer_of(text, sizeof text);
    http_put_status(&w, 1000);
    assert_true(w.failed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_is_found_in_pieces_of_any_size),
        cmocka_unit_test(a_head_without_end_is_too_large),
        cmocka_unit_test(requests_are_read),
        cmocka_unit_test(responses_are_read),
        cmocka_unit_test(broken_heads_are_refused),
        cmocka_unit_test(bounds_are_errors_of_their_own),
        cmocka_unit_test(queries_are_decoded),
        cmocka_unit_test(bodies_and_connections_are_judged),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(nothing_breaks_out_of_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
