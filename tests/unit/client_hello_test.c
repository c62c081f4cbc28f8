// The look into a ClientHello, on those of real endpoints: whole, cut anywhere, and with any byte changed.
#include "tls/client_hello.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tls/tls.h"
#include "unit/vector_support.h"

#define ROOM 1024
#define ALPNS 4
#define EXTENSIONS_START(hello) (4 + 2 + 32 + 1 + (hello)[38])

typedef struct row {
    uint8_t hello[ROOM], alpn[64], suites[64];
    size_t len, alpn_len, suites_len, params, ticket;
    bool early;
} row;

static bool next_row(vectors *v, row *out) {
    if (!vectors_next(v))
        return false;
    out->len = vectors_bytes(v, "hello", out->hello, sizeof out->hello);
    out->alpn_len = vectors_bytes(v, "alpn", out->alpn, sizeof out->alpn);
    out->suites_len = vectors_bytes(v, "suites", out->suites, sizeof out->suites);
    out->params = (size_t)vectors_u64(v, "params");
    out->ticket = (size_t)vectors_u64(v, "ticket");
    out->early = vectors_u64(v, "early") == 1;
    return true;
}

static void for_each_row(void (*check)(const row *r)) {
    vectors v;
    row r;
    size_t count = 0;
    vectors_open(&v, "client_hello.txt");
    for (; next_row(&v, &r); count++)
        check(&r);
    assert_true(count >= 3);
}

// A copy that ends where the bytes end, so that AddressSanitizer sees a read past them.
static int alpns_of(const uint8_t *bytes, size_t len, tls_alpn *out, size_t room) {
    uint8_t *exact = malloc(len > 0 ? len : 1);
    assert_non_null(exact);
    if (len > 0)
        memcpy(exact, bytes, len);
    int count = tls_client_hello_alpns(exact, len, out, room);
    for (int i = 0; i < count; i++) {
        assert_true(out[i].len > 0 && out[i].name >= exact && out[i].name + out[i].len <= exact + len);
        out[i].name = bytes + (out[i].name - exact);
    }
    free(exact);
    return count;
}

static void check_real(const row *r) {
    tls_alpn out[ALPNS];
    assert_int_equal(alpns_of(r->hello, r->len, out, ALPNS), 1);
    assert_int_equal(out[0].len, r->alpn_len);
    assert_memory_equal(out[0].name, r->alpn, r->alpn_len);
    assert_int_equal(tls_client_hello_alpns(r->hello, r->len, NULL, 0), 0);
    client_hello hello;
    assert_int_equal(client_hello_parse(r->hello + 4, r->len - 4, &hello), 0);
    assert_int_equal(hello.suites.len, r->suites_len);
    assert_memory_equal(hello.suites.p, r->suites, r->suites_len);
    assert_int_equal(hello.params.len, r->params);
    assert_int_equal(hello.ticket.len, r->ticket);
    assert_int_equal(hello.identities, r->ticket > 0);
    assert_int_equal(hello.early, r->early);
    assert_true(hello_span_has(&hello.client_types, 2) && hello_span_has(&hello.server_types, 2));
    assert_false(hello_span_has(&hello.client_types, 0));
    assert_true(hello_span_has(&hello.psk_modes, 1));
}

static void real_ones_are_read(void **state) {
    (void)state;
    for_each_row(check_real);
}

static void check_cut(const row *r) {
    tls_alpn out[ALPNS];
    for (size_t len = 0; len < r->len; len++) {
        assert_int_equal(alpns_of(r->hello, len, out, ALPNS), IROH_ERR_TRUNCATED);
        client_hello hello;
        if (len >= 4)
            assert_int_equal(client_hello_parse(r->hello + 4, len - 4, &hello), IROH_ERR_SYNTAX);
    }
}

static void a_cut_one_wants_more(void **state) {
    (void)state;
    for_each_row(check_cut);
}

static void what_follows_is_not_looked_at(void **state) {
    (void)state;
    vectors v;
    row r;
    vectors_open(&v, "client_hello.txt");
    tls_alpn out[ALPNS];
    while (next_row(&v, &r)) {
        r.hello[r.len] = 0xff;
        assert_int_equal(alpns_of(r.hello, r.len + 1, out, ALPNS), 1);
    }
}

static void check_changed(const row *r) {
    row copy = *r;
    tls_alpn out[ALPNS];
    for (size_t i = 0; i < r->len; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            copy.hello[i] ^= (uint8_t)(1U << bit);
            int count = alpns_of(copy.hello, copy.len, out, ALPNS);
            assert_true(count >= 0 || count == IROH_ERR_SYNTAX || (count == IROH_ERR_TRUNCATED && i < 4));
            copy.hello[i] = r->hello[i];
        }
    }
    // The length of the message, and that of all extensions, leave no room for doubt.
    copy.hello[3]--;
    assert_int_equal(alpns_of(copy.hello, copy.len, out, ALPNS), IROH_ERR_SYNTAX);
    copy.hello[3] = r->hello[3];
    size_t at = EXTENSIONS_START(r->hello);
    at += 2U + r->hello[at + 1] + 2U;
    for (int change = -1; change <= 1; change += 2) {
        copy.hello[at + 1] = (uint8_t)(r->hello[at + 1] + change);
        assert_int_equal(alpns_of(copy.hello, copy.len, out, ALPNS), IROH_ERR_SYNTAX);
    }
}

static void a_changed_one_is_read_or_refused(void **state) {
    (void)state;
    for_each_row(check_changed);
}

static void other_messages_are_refused_at_the_first_byte(void **state) {
    (void)state;
    tls_alpn out[ALPNS];
    for (unsigned type = 0; type < 256; type++) {
        const uint8_t byte = (uint8_t)type;
        assert_int_equal(alpns_of(&byte, 1, out, ALPNS), type == 1 ? IROH_ERR_TRUNCATED : IROH_ERR_SYNTAX);
    }
    const uint8_t too_long[] = {1, 0, 0x40, 1}, longest[] = {1, 0, 0x40, 0};
    assert_int_equal(alpns_of(too_long, 4, out, ALPNS), IROH_ERR_SYNTAX);
    assert_int_equal(alpns_of(longest, 4, out, ALPNS), IROH_ERR_TRUNCATED);
}

// --- Made by hand: a ClientHello around extensions.

static int with_extensions(const uint8_t *extensions, size_t len, tls_alpn *out) {
    uint8_t m[ROOM] = {1};
    size_t at = 4 + 2 + 32 + 1;
    const uint8_t rest[] = {0, 2, 0x13, 0x01, 1, 0, (uint8_t)(len >> 8), (uint8_t)len};
    memcpy(m + at, rest, sizeof rest);
    at += sizeof rest;
    assert_true(at + len <= sizeof m);
    memcpy(m + at, extensions, len);
    at += len;
    m[2] = (uint8_t)((at - 4) >> 8);
    m[3] = (uint8_t)(at - 4);
    return alpns_of(m, at, out, ALPNS);
}

#define CHECK(expected, ...)                                                                                           \
    do {                                                                                                               \
        const uint8_t bytes[] = {__VA_ARGS__};                                                                         \
        tls_alpn out[ALPNS];                                                                                           \
        assert_int_equal(with_extensions(bytes, sizeof bytes, out), expected);                                         \
    } while (0)

static void names_are_checked(void **state) {
    (void)state;
    CHECK(0, 0, 1, 0, 0);                                                       // none
    CHECK(2, 0, 16, 0, 6, 0, 4, 1, 'a', 1, 'b');                                // two
    CHECK(ALPNS, 0, 16, 0, 12, 0, 10, 1, 'a', 1, 'b', 1, 'c', 1, 'd', 1, 'e');  // more than there is room for
    CHECK(IROH_ERR_SYNTAX, 0, 16, 0, 2, 0, 0);                                  // an empty list
    CHECK(IROH_ERR_SYNTAX, 0, 16, 0, 3, 0, 1, 0);                               // an empty name
    CHECK(IROH_ERR_SYNTAX, 0, 16, 0, 4, 0, 2, 2, 'a');                          // a name that ends after the list
    CHECK(IROH_ERR_SYNTAX, 0, 16, 0, 5, 0, 2, 1, 'a', 0);                       // something after the list
    CHECK(IROH_ERR_SYNTAX, 0, 16, 0, 0);
}

static void extensions_are_checked(void **state) {
    (void)state;
    CHECK(IROH_ERR_SYNTAX, 0, 1, 0, 0, 0, 1, 0, 0);  // twice
    CHECK(IROH_ERR_SYNTAX, 0, 1, 0, 1);              // longer than there is
    CHECK(IROH_ERR_SYNTAX, 0, 1, 0);                 // cut
    CHECK(IROH_ERR_SYNTAX, 0, 42, 0, 1, 0);          // early data is empty
    CHECK(IROH_ERR_SYNTAX, 0, 19, 0, 2, 2, 2);       // a list of types cut short
    CHECK(0, 0, 41, 0, 13, 0, 7, 0, 1, 'x', 0, 0, 0, 0, 0, 2, 1, 9);
    CHECK(IROH_ERR_SYNTAX, 0, 41, 0, 13, 0, 7, 0, 1, 'x', 0, 0, 0, 0, 0, 2, 1, 9, 0, 1, 0, 0);  // not the last
    CHECK(IROH_ERR_SYNTAX, 0, 41, 0, 13, 0, 7, 0, 0, 'x', 0, 0, 0, 0, 0, 2, 1, 9);              // empty identity
    CHECK(IROH_ERR_SYNTAX, 0, 41, 0, 4, 0, 0, 0, 0);
    uint8_t many[4 * 70] = {0};
    for (size_t i = 0; i < 70; i++)
        many[4 * i + 1] = (uint8_t)(100 + i);
    tls_alpn out[ALPNS];
    assert_int_equal(with_extensions(many, (size_t)4 * 64, out), 0);
    assert_int_equal(with_extensions(many, (size_t)4 * 65, out), IROH_ERR_SYNTAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_ones_are_read),
        cmocka_unit_test(a_cut_one_wants_more),
        cmocka_unit_test(what_follows_is_not_looked_at),
        cmocka_unit_test(a_changed_one_is_read_or_refused),
        cmocka_unit_test(other_messages_are_refused_at_the_first_byte),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(extensions_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
