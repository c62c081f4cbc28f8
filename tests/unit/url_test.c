// Normal forms of URLs against the vectors, and what must hold of all of them.
#include "base/url.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/vector_support.h"

static int normalize(const char *text, size_t len, char *out) {
    int n = url_normalize(text, len, out, URL_MAX);
    out[n < 0 ? 0 : n] = '\0';
    return n;
}

static void normal_forms_match_the_vectors(void **state) {
    (void)state;
    static char in[URL_MAX + 1], wanted[URL_MAX + 1], out[URL_MAX + 1];
    vectors v;
    vectors_open(&v, "urls.txt");
    while (vectors_next(&v)) {
        size_t len = vectors_text(&v, "in", in, sizeof in);
        int n = normalize(in, len, out);
        if (!vectors_has(&v, "out") && !vectors_has(&v, "out_hex")) {
            if (n != IROH_ERR_SYNTAX)
                fail_msg("%s gives %d %s", in, n, out);
            continue;
        }
        (void)vectors_text(&v, "out", wanted, sizeof wanted);
        assert_string_equal(out, wanted);
        assert_int_equal(n, strlen(wanted));
    }
}

static void a_normal_form_is_its_own(void **state) {
    (void)state;
    static char form[URL_MAX + 1], out[URL_MAX + 1];
    vectors v;
    vectors_open(&v, "urls.txt");
    while (vectors_next(&v)) {
        if (!vectors_has(&v, "out") && !vectors_has(&v, "out_hex"))
            continue;
        size_t len = vectors_text(&v, "out", form, sizeof form);
        assert_int_equal(normalize(form, len, out), len);
        assert_string_equal(out, form);
    }
}

static void the_room_is_respected_to_the_byte(void **state) {
    (void)state;
    static const char url[] = "HTTPS://u:p@B\xc3\xbc"
                              "cher.example:8443/a b?c#d";
    char whole[128], out[128];
    int len = url_normalize(url, sizeof url - 1, whole, sizeof whole);
    assert_true(len > 0);
    for (int room = 0; room < len; room++) {
        memset(out, 0x5a, sizeof out);
        assert_int_equal(url_normalize(url, sizeof url - 1, out, (size_t)room), IROH_ERR_TOO_LARGE);
        for (size_t i = (size_t)room; i < sizeof out; i++)
            assert_int_equal(out[i], 0x5a);
    }
    assert_int_equal(url_normalize(url, sizeof url - 1, out, (size_t)len), len);
    assert_memory_equal(out, whole, (size_t)len);
}

static void text_that_is_not_utf8_is_refused(void **state) {
    (void)state;
    char out[64];
    assert_int_equal(url_normalize("http://\xff/", 9, out, sizeof out), IROH_ERR_UTF8);
    assert_int_equal(url_normalize("http://a/\xc3", 10, out, sizeof out), IROH_ERR_UTF8);
}

static void lengths_have_a_limit_before_and_after(void **state) {
    (void)state;
    static char in[URL_MAX + 2], out[URL_MAX + 8];
    memset(in, 'x', sizeof in);
    memcpy(in, "http://a/", 9);
    assert_int_equal(url_normalize(in, URL_MAX, out, sizeof out), URL_MAX);
    assert_int_equal(url_normalize(in, URL_MAX + 1, out, sizeof out), IROH_ERR_TOO_LARGE);
    in[100] = ' ';  // becomes three characters
    assert_int_equal(url_normalize(in, URL_MAX, out, sizeof out), IROH_ERR_TOO_LARGE);
    assert_int_equal(url_normalize(in, URL_MAX - 2, out, sizeof out), URL_MAX);
    // A host as long as that is no name, but a URL.
    memcpy(in, "http://xxx", 10);
    memset(in + 10, 'x', sizeof in - 10);
    assert_int_equal(url_normalize(in, URL_MAX - 1, out, sizeof out), URL_MAX);
}

static void zero_bytes_are_escaped_or_refused(void **state) {
    (void)state;
    char out[64];
    assert_int_equal(url_normalize("http://a/\0b", 11, out, sizeof out), 13);
    assert_memory_equal(out, "http://a/%00b", 13);
    assert_int_equal(url_normalize("http://a\0b/", 11, out, sizeof out), IROH_ERR_SYNTAX);
    assert_int_equal(url_normalize("foo://a\0b/", 10, out, sizeof out), IROH_ERR_SYNTAX);
    assert_int_equal(url_normalize("http://\xc3\xbc\0/", 11, out, sizeof out), IROH_ERR_SYNTAX);
}

static void escaping_keeps_what_is_plain(void **state) {
    (void)state;
    char out[1024];
    writer w = writer_of(out, sizeof out);
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        size_t before = writer_len(&w);
        url_escape(&byte, 1, "ab%", &w);
        bool plain = c >= 0x20 && c < 0x7f && c != 'a' && c != 'b' && c != '%';
        assert_int_equal(writer_len(&w) - before, plain ? 1 : 3);
    }
    w = writer_of(out, sizeof out);
    url_escape("\xfe~\x7f", 3, "", &w);
    assert_memory_equal(out, "%FE~%7F", 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normal_forms_match_the_vectors),        cmocka_unit_test(a_normal_form_is_its_own),
        cmocka_unit_test(the_room_is_respected_to_the_byte),     cmocka_unit_test(text_that_is_not_utf8_is_refused),
        cmocka_unit_test(lengths_have_a_limit_before_and_after), cmocka_unit_test(zero_bytes_are_escaped_or_refused),
        cmocka_unit_test(escaping_keeps_what_is_plain),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
