// Which hellos are of the common kind, and what is chosen of them.
#include "web/tls_hello.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/tls_hello_support.h"

#define P256 0x0403

static bool is_ours(const uint8_t *hello, size_t len, tls_hello *out) {
    static const uint16_t schemes[] = {P256};
    uint8_t *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, hello, len);
    bool ours = tls_hello_read(copy, len, schemes, 1, out);
    out->id = out->share = NULL;  // were borrowed
    free(copy);
    return ours;
}

static void a_hello_that_is_cut_or_longer_is_not_ours(void **state) {
    (void)state;
    uint8_t hello[HELLO_ROOM];
    size_t len = rfc_hello(hello);
    tls_hello out;
    assert_true(is_ours(hello, len, &out));
    assert_int_equal(out.suite, 0x1301);
    assert_int_equal(out.scheme, P256);
    assert_int_equal(out.id_len, 0);
    for (size_t n = 0; n < len; n++) {
        assert_false(is_ours(hello, n, &out));
        // And neither with the right length in front: what is cut then is a list inside.
        uint8_t cut[HELLO_ROOM];
        memcpy(cut, hello, len);
        if (n >= 4) {
            cut[2] = (uint8_t)((n - 4) >> 8);
            cut[3] = (uint8_t)(n - 4);
            assert_false(is_ours(cut, n, &out));
        }
    }
    hello[len] = 0;
    assert_false(is_ours(hello, len + 1, &out));
}

static const struct {
    const char *name, *from, *to;
} changes[] = {
    {"no TLS 1.3", "002b0003020304", "002b0003020303"},
    {"an old version", "010000c00303", "010000c00302"},
    {"no share for X25519", "003300260024001d0020", "00330026002400170020"},
    {"no group X25519", "000a00140012001d", "000a001400120016"},
    {"a share of another length", "003300260024001d0020", "003300260024001d001f"},
    {"no suite of ours", "0006130113031302", "0006130413051306"},
    {"half a suite", "0006130113031302", "0005130113031302"},
    {"no scheme of our key", "0020001e0403", "0020001e0402"},
    {"compression", "1302010000", "1302010100"},
    {"resumption", "002d00020101", "002900020101"},
    {"early data", "002d00020101", "002a00020101"},
    {"a cookie", "002d00020101", "002c00020101"},
    {"versions twice", "001c00024001", "002b00024001"},
    {"no groups", "000a00140012", "00fa00140012"},
    {"no schemes", "000d0020001e", "00fd0020001e"},
    {"no versions", "002b00030203", "00fb00030203"},
    {"no shares", "003300260024", "00f300260024"},
};

static void only_the_common_kind_is_ours(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t hello[HELLO_ROOM];
        tls_hello out;
        size_t len = rfc_hello(hello);
        (void)bytes_of(changes[i].to, find_in(hello, len, changes[i].from), 32);
        if (is_ours(hello, len, &out))
            fail_msg("%s", changes[i].name);
    }
}

static void suites_come_in_our_order(void **state) {
    (void)state;
    static const struct {
        const char *offered;
        uint16_t chosen;
    } rows[] = {{"0006130313021301", 0x1301}, {"0006130313021304", 0x1302}, {"0006c02b13ff1303", 0x1303}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t hello[HELLO_ROOM];
        tls_hello out;
        size_t len = rfc_hello(hello);
        (void)bytes_of(rows[i].offered, find_in(hello, len, "0006130113031302"), 16);
        assert_true(is_ours(hello, len, &out));
        assert_int_equal(out.suite, rows[i].chosen);
    }
}

static void changed_hellos_break_nothing(void **state) {
    (void)state;
    uint8_t hello[HELLO_ROOM];
    size_t len = rfc_hello(hello);
    tls_hello out;
    size_t ours = 0;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ours += is_ours(hello, len, &out);
        hello[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    // Random, share, the name of the server and what else is not looked at may be anything.
    assert_true(ours > 8 * 64 && ours < 8 * len - 8 * 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hello_that_is_cut_or_longer_is_not_ours),
        cmocka_unit_test(only_the_common_kind_is_ours),
        cmocka_unit_test(suites_come_in_our_order),
        cmocka_unit_test(changed_hellos_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
