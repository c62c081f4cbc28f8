// Addresses and tickets when memory fails at any point: an error, nothing lost, nothing half done.
#include <iroh/id.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/nomem_support.h"

#define TICKET_MAX 1024

static iroh_addr *address(void) {
    static const iroh_public_key id = {{1}};
    iroh_addr *a;
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_addr_add_relay(a, "https://a.ex/"), 0);
    assert_int_equal(iroh_addr_add_custom(a, 1, "xyz", 3), 0);
    for (int i = 0; i < 6; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "10.0.0.%d:1", i);
        assert_int_equal(iroh_addr_add_ip(a, text), 0);
    }
    return a;
}

// Each takes the address that it may change and returns a result; 0 ends the round.
static int add_relay(iroh_addr *a) {
    return iroh_addr_add_relay(a, "https://b.ex/");
}

static int add_ip(iroh_addr *a) {
    return iroh_addr_add_ip(a, "1.2.3.4:5");
}

static int add_custom(iroh_addr *a) {
    return iroh_addr_add_custom(a, 2, "data", 4);
}

static void adding_leaves_the_address_as_it_was(void **state) {
    (void)state;
    static int (*const adders[])(iroh_addr *) = {add_relay, add_ip, add_custom};
    for (size_t i = 0; i < sizeof adders / sizeof *adders; i++) {
        int r = IROH_ERR_NOMEM, failures = 0;
        for (int n = 0; r != 0; n++) {
            iroh_addr *a = address(), *before = address();
            nomem_arm(n);
            r = adders[i](a);
            (void)nomem_disarm();
            assert_int_equal(iroh_addr_equal(a, before), r != 0);
            if (r != 0)
                assert_int_equal(r, IROH_ERR_NOMEM);
            failures += r != 0;
            iroh_addr_free(a);
            iroh_addr_free(before);
        }
        // The set of eight is full, so the ninth makes it grow.
        assert_int_equal(failures, adders[i] == add_ip ? 1 : 2);
    }
}

static void a_new_address_and_a_copy_are_whole_or_null(void **state) {
    (void)state;
    static const iroh_public_key id = {{1}};
    iroh_addr *a = address(), *b;
    nomem_arm(0);
    assert_int_equal(iroh_addr_new(&id, &b), IROH_ERR_NOMEM);
    (void)nomem_disarm();
    assert_null(b);
    int r = IROH_ERR_NOMEM, n = 0;
    for (; r != 0; n++) {
        nomem_arm(n);
        r = iroh_addr_copy(a, &b);
        (void)nomem_disarm();
        assert_int_equal(r == 0, b != NULL);
        assert_true(r == 0 || r == IROH_ERR_NOMEM);
    }
    assert_true(n > 3);
    assert_true(iroh_addr_equal(a, b));
    iroh_addr_free(a);
    iroh_addr_free(b);
}

static void parsing_gives_all_or_null(void **state) {
    (void)state;
    static char text[TICKET_MAX];
    iroh_public_key id;
    iroh_secret_key secret = {{1}};
    iroh_addr *a, *b, *full = address();
    iroh_secret_key_public(&secret, &id);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    for (size_t i = 0; i < iroh_addr_count(full); i++) {
        char part[64];
        assert_true(iroh_addr_text(full, i, part, sizeof part) > 0);
        int kind = iroh_addr_kind(full, i);
        assert_int_equal(kind == IROH_ADDR_RELAY ? iroh_addr_add_relay(a, part)
                         : kind == IROH_ADDR_IP  ? iroh_addr_add_ip(a, part)
                                                 : iroh_addr_add_custom(a, 7, part, strlen(part)),
                         0);
    }
    assert_true(iroh_ticket_format(a, text, sizeof text) > 0);
    int r = IROH_ERR_NOMEM, n = 0;
    for (; r != 0; n++) {
        nomem_arm(n);
        r = iroh_ticket_parse(text, &b);
        (void)nomem_disarm();
        assert_int_equal(r == 0, b != NULL);
        assert_true(r == 0 || r == IROH_ERR_NOMEM);
    }
    assert_true(n > 4);
    assert_true(iroh_addr_equal(a, b));
    iroh_addr_free(a);
    iroh_addr_free(b);
    iroh_addr_free(full);
}

// A custom address in the layout of iroh 1.0 is read a second time; memory may fail in either.
static void parsing_both_layouts_gives_all_or_null(void **state) {
    (void)state;
    static const char text[] = "endpointacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmaicaeaa"
                               "ninsypkol5qaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    iroh_addr *a;
    int r = IROH_ERR_NOMEM, n = 0;
    for (; r != 0; n++) {
        nomem_arm(n);
        r = iroh_ticket_parse(text, &a);
        (void)nomem_disarm();
        assert_int_equal(r == 0, a != NULL);
        assert_true(r == 0 || r == IROH_ERR_NOMEM);
    }
    assert_true(n > 5);
    char part[64];
    assert_int_equal(iroh_addr_text(a, 0, part, sizeof part), 14);
    assert_string_equal(part, "1_a1b2c3d4e5f6");
    iroh_addr_free(a);
}

static void formatting_says_so(void **state) {
    (void)state;
    static char text[TICKET_MAX];
    iroh_addr *a = address();
    nomem_arm(0);
    assert_int_equal(iroh_ticket_format(a, text, sizeof text), IROH_ERR_NOMEM);
    (void)nomem_disarm();
    assert_true(iroh_ticket_format(a, text, sizeof text) > 0);
    iroh_addr_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding_leaves_the_address_as_it_was),
        cmocka_unit_test(a_new_address_and_a_copy_are_whole_or_null),
        cmocka_unit_test(parsing_gives_all_or_null),
        cmocka_unit_test(parsing_both_layouts_gives_all_or_null),
        cmocka_unit_test(formatting_says_so),
    };
    return cmocka_run_group_tests_name("id_nomem", tests, NULL, NULL);
}
