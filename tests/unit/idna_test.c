// Host names by UTS 46: what is mapped, what is left alone, what is refused.
#include "base/idna.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_name(const char *name, const char *wanted) {
    char out[512];
    writer w = writer_of(out, sizeof out - 1);
    int r = idna_to_ascii(name, strlen(name), &w);
    out[writer_len(&w)] = '\0';
    if (r != (wanted != NULL ? 0 : IROH_ERR_SYNTAX))
        fail_msg("%s: %d", name, r);
    if (wanted != NULL)
        assert_string_equal(out, wanted);
}

static void ascii_is_lowered_and_otherwise_left_alone(void **state) {
    (void)state;
    char label[301];
    memset(label, 'a', sizeof label - 1);
    label[300] = '\0';
    assert_name("EXAMPLE.Com", "example.com");
    assert_name("a..b.", "a..b.");
    assert_name(".", ".");
    assert_name("", "");
    assert_name("-a_b-.c d!", "-a_b-.c d!");
    assert_name(label, label);
}

static void names_are_mapped_normalised_and_encoded(void **state) {
    (void)state;
    assert_name("b\xc3\xbc"
                "cher.example",
                "xn--bcher-kva.example");
    assert_name("B\xc3\x9c"
                "CHER.example",
                "xn--bcher-kva.example");
    assert_name("bu\xcc\x88"
                "cher.example",
                "xn--bcher-kva.example");           // u and a combining diaeresis
    assert_name("fa\xc3\x9f.de", "xn--fa-hia.de");  // non-transitional: not "fass"
    assert_name("\xef\xbd\x81.ex", "a.ex");         // full-width a
    assert_name("\xc3\xa9..\xc3\xa9", "xn--9ca..xn--9ca");
}

static void all_four_separators_are_full_stops(void **state) {
    (void)state;
    assert_name("a\xe3\x80\x82"
                "b\xef\xbc\x8e"
                "c\xef\xbd\xa1"
                "d.e",
                "a.b.c.d.e");
    assert_name("a\xe3\x80\x82\xe3\x80\x82"
                "b\xef\xbc\x8e\xef\xbc\x8e"
                "c\xef\xbd\xa1\xef\xbd\xa1",
                "a..b..c..");
    assert_name("\xc3\xa9\xe3\x80\x82\xc3\xa9", "xn--9ca.xn--9ca");
}

static void punycode_must_be_sound(void **state) {
    (void)state;
    assert_name("xn--bcher-kva", "xn--bcher-kva");
    assert_name("XN--BCHER-KVA", "xn--bcher-kva");
    assert_name("xn--a", NULL);
    assert_name("xn--", NULL);
    assert_name("xn--0.pt", NULL);
}

static void what_is_no_name_is_refused(void **state) {
    (void)state;
    char out[64], label[80];
    writer w = writer_of(out, sizeof out);
    assert_name("\xcc\x88"
                "a",
                NULL);                   // begins with a combining character
    assert_name("a\xef\xbf\xbd", NULL);  // the replacement character
    assert_name("\xd7\x90"
                "a\xd7\x90",
                NULL);  // both directions in one label
    assert_int_equal(idna_to_ascii("\xc3\xa9\0", 3, &w), IROH_ERR_SYNTAX);
    // 63 is the limit of a finished label that needed work.
    memset(label, 'a', sizeof label);
    memcpy(label + 60, "\xc3\xa9", 3);
    assert_name(label, NULL);
}

static void the_room_has_an_end(void **state) {
    (void)state;
    static const char *const names[] = {"example.com", "b\xc3\xbc"
                                                       "cher"};
    static const size_t lens[] = {11, 13};
    char out[16];
    for (size_t i = 0; i < 2; i++) {
        for (size_t room = 0; room <= lens[i]; room++) {
            writer w = writer_of(out, room);
            int r = idna_to_ascii(names[i], strlen(names[i]), &w);
            assert_int_equal(r, room < lens[i] ? IROH_ERR_TOO_LARGE : 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascii_is_lowered_and_otherwise_left_alone),
        cmocka_unit_test(names_are_mapped_normalised_and_encoded),
        cmocka_unit_test(all_four_separators_are_full_stops),
        cmocka_unit_test(punycode_must_be_sound),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(the_room_has_an_end),
    };
    return cmocka_run_group_tests_name("idna", tests, NULL, NULL);
}
