// The table of results: every code has a name and a sentence of its own.
#include <iroh/error.h>
#include <iroh/iroh.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LAST IROH_ERR_CORRUPT

static void every_code_has_its_own_name_and_sentence(void **state) {
    (void)state;
    for (int a = LAST; a <= 0; a++) {
        assert_non_null(iroh_error_name(a));
        assert_int_equal(strncmp(iroh_error_name(a), a == 0 ? "IROH_OK" : "IROH_ERR_", a == 0 ? 7 : 9), 0);
        assert_non_null(iroh_strerror(a));
        for (int b = LAST; b < a; b++) {
            assert_string_not_equal(iroh_error_name(a), iroh_error_name(b));
            assert_string_not_equal(iroh_strerror(a), iroh_strerror(b));
        }
    }
}

static void sentences_are_plain_and_without_a_full_stop(void **state) {
    (void)state;
    for (int code = LAST; code <= 0; code++) {
        const char *text = iroh_strerror(code);
        size_t len = strlen(text);
        assert_true(len > 0 && text[len - 1] != '.');
        for (size_t i = 0; i < len; i++)
            assert_in_range(text[i], ' ', '~');
    }
}

static void names_are_those_of_the_header(void **state) {
    (void)state;
    assert_string_equal(iroh_error_name(IROH_OK), "IROH_OK");
    assert_string_equal(iroh_error_name(IROH_ERR_NOMEM), "IROH_ERR_NOMEM");
    assert_string_equal(iroh_error_name(IROH_ERR_REJECTED_0RTT), "IROH_ERR_REJECTED_0RTT");
    assert_string_equal(iroh_error_name(IROH_ERR_NOT_FOUND), "IROH_ERR_NOT_FOUND");
}

static void other_numbers_are_unknown(void **state) {
    (void)state;
    static const int codes[] = {1, LAST - 1, -1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_string_equal(iroh_strerror(codes[i]), "unknown error");
        assert_string_equal(iroh_error_name(codes[i]), "unknown");
    }
}

static void the_version_is_three_numbers(void **state) {
    (void)state;
    const char *p = iroh_version();
    for (int i = 0; i < 3; i++) {
        char *end;
        assert_true(*p >= '0' && *p <= '9');
        (void)strtoul(p, &end, 10);
        assert_int_equal(*end, i < 2 ? '.' : '\0');
        p = end + 1;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_name_and_sentence),
        cmocka_unit_test(sentences_are_plain_and_without_a_full_stop),
        cmocka_unit_test(names_are_those_of_the_header),
        cmocka_unit_test(other_numbers_are_unknown),
        cmocka_unit_test(the_version_is_three_numbers),
    };
    return cmocka_run_group_tests_name("error", tests, NULL, NULL);
}
