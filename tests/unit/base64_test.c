// Base64: the vectors of RFC 4648, both forms, and every refusal.
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

static void rfc_vectors_go_both_ways(void **state) {
    (void)state;
    static const char *const texts[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    char text[16];
    uint8_t bytes[8];
    for (size_t len = 0; len <= 6; len++) {
        base64_encode(BASE64_PADDED, "foobar", len, text);
        assert_int_equal(strlen(texts[len]), BASE64_PADDED_LEN(len));
        assert_memory_equal(text, texts[len], BASE64_PADDED_LEN(len));
        assert_int_equal(base64_decode(BASE64_PADDED, text, BASE64_PADDED_LEN(len), bytes, len), len);
        assert_memory_equal(bytes, "foobar", len);
    }
}

static void url_form_has_its_alphabet_and_no_padding(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0xfb, 0xff, 0xbf, 0xfe};
    char text[8];
    uint8_t back[4];
    assert_int_equal(BASE64_URL_LEN(4), 6);
    base64_encode(BASE64_URL, bytes, 4, text);
    assert_memory_equal(text, "-_-__g", 6);
    assert_int_equal(base64_decode(BASE64_URL, text, 6, back, 4), 4);
    assert_memory_equal(back, bytes, 4);
    base64_encode(BASE64_PADDED, bytes, 4, text);
    assert_memory_equal(text, "+/+//g==", 8);
}

static void other_spellings_are_refused(void **state) {
    (void)state;
    static const struct {
        int form;
        const char *text;
    } bad[] = {
        {BASE64_PADDED, "Zg"},   {BASE64_PADDED, "Zg="},   {BASE64_PADDED, "Zh=="}, {BASE64_PADDED, "Zg==\n"},
        {BASE64_PADDED, "Z"},    {BASE64_PADDED, "-_-_"},  {BASE64_URL, "Zg=="},    {BASE64_URL, "Zh"},
        {BASE64_URL, "+/+/"},    {BASE64_URL, "Z"},        {BASE64_URL, " Zm9v"},   {BASE64_URL, "Zm9v "},
        {BASE64_PADDED, "===="}, {BASE64_PADDED, "Zm9v="}, {BASE64_PADDED, "Z==="}, {BASE64_URL, "Zm\xc3\xa9"},
    };
    uint8_t out[16];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(base64_decode(bad[i].form, bad[i].text, strlen(bad[i].text), out, sizeof out),
                         IROH_ERR_SYNTAX);
    assert_int_equal(base64_decode(BASE64_PADDED, "Zm9v", 4, out, 2), IROH_ERR_TOO_LARGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_vectors_go_both_ways),
        cmocka_unit_test(url_form_has_its_alphabet_and_no_padding),
        cmocka_unit_test(other_spellings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
