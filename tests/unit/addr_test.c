#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include <iroh/error.h>

#include "base/addr.h"

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static int parse(addr *out, const char *text) {
    // An exact copy without a terminator, so that a read past the end is seen.
    size_t len = strlen(text);
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    int r = addr_parse(out, copy, len);
    free(copy);
    return r;
}

static addr parsed(const char *text) {
    addr a;
    assert_int_equal(parse(&a, text), 0);
    return a;
}

static void formats_as(const addr *a, const char *text) {
    char out[ADDR_TEXT_MAX];
    assert_int_equal(addr_format(a, out), strlen(text));
    assert_string_equal(out, text);
}

// --- Text

// Most rows are the rules and examples of RFC 5952.
static void text_is_read_and_written_in_its_one_form(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"192.0.2.1:443", "192.0.2.1:443"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"255.255.255.255:65535", "255.255.255.255:65535"},
        {"[::]:1", "[::]:1"},
        {"[::1]:65535", "[::1]:65535"},
        {"[1::]:5", "[1::]:5"},
        {"[2001:0db8::0001]:80", "[2001:db8::1]:80"},
        {"[2001:db8:0:0:0:0:2:1]:80", "[2001:db8::2:1]:80"},
        {"[2001:db8:0:1:1:1:1:1]:80", "[2001:db8:0:1:1:1:1:1]:80"},
        {"[2001:db8::1:1:1:1:1]:80", "[2001:db8:0:1:1:1:1:1]:80"},
        {"[2001:0:0:1:0:0:0:1]:80", "[2001:0:0:1::1]:80"},
        {"[2001:db8:0:0:1:0:0:1]:80", "[2001:db8::1:0:0:1]:80"},
        {"[2001:DB8:AaAa::F]:80", "[2001:db8:aaaa::f]:80"},
        {"[0:0:0:0:0:0:0:0]:80", "[::]:80"},
        {"[::2:3:4:5:6:7:8]:1", "[0:2:3:4:5:6:7:8]:1"},
        {"[1:2:3:4:5:6:7::]:1", "[1:2:3:4:5:6:7:0]:1"},
        {"[1:2:3:4:5:6:1.2.3.4]:1", "[1:2:3:4:5:6:102:304]:1"},
        {"[64:ff9b::192.0.2.33]:1", "[64:ff9b::c000:221]:1"},
        {"[fe80::1%3]:5", "[fe80::1%3]:5"},
        {"[fe80::%4294967295]:5", "[fe80::%4294967295]:5"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        addr a = parsed(rows[i][0]);
        formats_as(&a, rows[i][1]);
        addr again = parsed(rows[i][1]);
        assert_true(addr_equal(&a, &again));
    }
}

static void bad_text_is_refused(void **state) {
    (void)state;
    static const char *const rows[] = {
        "",
        ":",
        "1",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:01",
        "1.2.3.4:5 ",
        " 1.2.3.4:5",
        "1.2.3:4",
        "1.2.3.4.5:6",
        "1.2.3.256:4",
        "1.2.3.04:5",
        "1.2.3.:5",
        "1..3.4:5",
        "1.2.3.-4:5",
        "1.2.3.4:99999999999",
        "[]:1",
        "[:]:1",
        "[:::]:1",
        "[::",
        "[::]",
        "[::]:",
        "[::]1",
        "::1:5",
        "[1:2:3:4:5:6:7]:1",
        "[1:2:3:4:5:6:7:8:9]:1",
        "[1:2:3:4:5:6:7:8:]:1",
        "[:1:2:3:4:5:6:7:8]:1",
        "[1:2:3:4::5:6:7:8]:1",
        "[1::2::3]:1",
        "[12345::]:1",
        "[g::]:1",
        "[::1%]:1",
        "[::1%eth0]:1",
        "[::1%4294967296]:1",
        "[1.2.3.4::]:1",
        "[::1.2.3]:1",
        "[::1.2.3.256]:1",
        "[1:2:3:4:5:6:7:1.2.3.4]:1",
        "[::1:2:3:4:5:6:1.2.3.4]:1",
        "[1:2:3:]:1",
        "example.org:80",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        addr a = {.kind = ADDR_CUSTOM, .scope = 77};
        assert_int_equal(parse(&a, rows[i]), IROH_ERR_SYNTAX);
        assert_int_equal(a.scope, 77);
    }
}

static void other_kinds_have_a_text(void **state) {
    (void)state;
    addr a = {.kind = ADDR_RELAY, .scope = 4294967295};
    memset(a.bytes, 0xff, sizeof a.bytes);
    formats_as(&a, "relay-4294967295");
    formats_as(&(addr){.kind = ADDR_CUSTOM, .scope = 3}, "custom-3");
    formats_as(&(addr){0}, "none");
    // The longest text of all.
    memset(a.bytes, 0xff, sizeof a.bytes);
    addr longest = addr_ip6(a.bytes, 65535, 4294967295);
    formats_as(&longest, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
}

// --- Kinds of hosts

static void kinds_of_hosts_are_told_apart(void **state) {
    (void)state;
    enum { UNSPECIFIED = 1, LOOPBACK = 2, MULTICAST = 4, LINK_LOCAL = 8 };
    static const struct {
        const char *text;
        int is;
    } rows[] = {
        {"0.0.0.0:1", UNSPECIFIED},  {"[::]:1", UNSPECIFIED},    {"127.0.0.1:1", LOOPBACK},
        {"127.255.0.9:1", LOOPBACK}, {"[::1]:1", LOOPBACK},      {"[::2]:1", 0},
        {"224.0.0.1:1", MULTICAST},  {"239.1.2.3:1", MULTICAST}, {"223.255.255.255:1", 0},
        {"240.0.0.0:1", 0},          {"[ff02::1]:1", MULTICAST}, {"[fe80::1%2]:1", LINK_LOCAL},
        {"[febf::1]:1", LINK_LOCAL}, {"[fec0::1]:1", 0},         {"169.254.0.1:1", LINK_LOCAL},
        {"169.253.255.255:1", 0},    {"192.0.2.1:1", 0},         {"[2001:db8::1]:1", 0},
        {"[fd00::1]:1", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        addr a = parsed(rows[i].text);
        assert_true(addr_is_ip(&a));
        assert_int_equal(addr_is_unspecified(&a), (rows[i].is & UNSPECIFIED) != 0);
        assert_int_equal(addr_is_loopback(&a), (rows[i].is & LOOPBACK) != 0);
        assert_int_equal(addr_is_multicast(&a), (rows[i].is & MULTICAST) != 0);
        assert_int_equal(addr_is_link_local(&a), (rows[i].is & LINK_LOCAL) != 0);
    }
    addr relay = {.kind = ADDR_RELAY};
    assert_false(addr_is_ip(&relay) || addr_is_unspecified(&relay) || addr_is_loopback(&relay) ||
                 addr_is_multicast(&relay) || addr_is_link_local(&relay));
}

static void mapped_addresses_become_ip4(void **state) {
    (void)state;
    addr mapped = parsed("[::ffff:192.0.2.1]:9"), plain = parsed("192.0.2.1:9"), other = parsed("[::fffe:c000:201]:9");
    addr canonical = addr_canonical(&mapped);
    assert_true(addr_equal(&canonical, &plain));
    canonical = addr_canonical(&plain);
    assert_true(addr_equal(&canonical, &plain));
    canonical = addr_canonical(&other);
    assert_true(addr_equal(&canonical, &other));
}

// --- Equality and order

static void every_field_counts(void **state) {
    (void)state;
    addr a = parsed("[2001:db8::1%3]:80"), b = a;
    assert_true(addr_equal(&a, &b) && addr_same_host(&a, &b));
    b.port = 81;
    assert_true(!addr_equal(&a, &b) && addr_same_host(&a, &b));
    assert_int_not_equal(addr_hash(&a), addr_hash(&b));
    b = a;
    b.scope = 4;
    assert_false(addr_equal(&a, &b) || addr_same_host(&a, &b));
    assert_int_not_equal(addr_hash(&a), addr_hash(&b));
    b = a;
    b.kind = ADDR_RELAY;
    assert_false(addr_equal(&a, &b) || addr_same_host(&a, &b));
    for (size_t i = 0; i < sizeof a.bytes; i++) {
        b = a;
        b.bytes[i] ^= 1;
        assert_false(addr_equal(&a, &b) || addr_same_host(&a, &b));
        assert_int_not_equal(addr_hash(&a), addr_hash(&b));
    }
}

static void order_is_kind_then_bytes_then_port_then_scope(void **state) {
    (void)state;
    static const char *const ascending[] = {
        "1.2.3.4:5", "1.2.3.4:80", "1.2.3.5:1", "255.0.0.0:0", "[::]:0", "[::1]:1", "[::1%2]:1", "[::1]:2", "[1::]:0",
    };
    size_t n = sizeof ascending / sizeof *ascending;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            addr a = parsed(ascending[i]), b = parsed(ascending[k]);
            int d = addr_compare(&a, &b);
            assert_int_equal(d < 0, i < k);
            assert_int_equal(d > 0, i > k);
        }
    }
}

// --- Against the C library

// Groups are often zero, so that runs of all lengths and places come up.
static addr random_addr(uint64_t *rng) {
    uint8_t ip[16];
    uint16_t port = (uint16_t)draw(rng, 65536);
    for (size_t i = 0; i < sizeof ip; i += 2) {
        bool zero = draw(rng, 2) == 0;
        ip[i] = zero || draw(rng, 3) == 0 ? 0 : (uint8_t)draw(rng, 256);
        ip[i + 1] = zero ? 0 : (uint8_t)draw(rng, 256);
    }
    if (draw(rng, 2) == 0)
        return addr_ip4(ip, port);
    // The library writes addresses that begin with zeroes in a mixed form.
    ip[0] |= 1;
    return addr_ip6(ip, port, 0);
}

static void text_agrees_with_the_c_library(void **state) {
    (void)state;
    uint64_t rng = 1;
    for (int i = 0; i < 20000; i++) {
        char ip[INET6_ADDRSTRLEN], expected[ADDR_TEXT_MAX];
        addr a = random_addr(&rng);
        assert_non_null(inet_ntop(a.kind == ADDR_IP4 ? AF_INET : AF_INET6, a.bytes, ip, sizeof ip));
        (void)snprintf(expected, sizeof expected, a.kind == ADDR_IP4 ? "%s:%u" : "[%s]:%u", ip, a.port);
        formats_as(&a, expected);
        addr back = parsed(expected);
        assert_true(addr_equal(&a, &back));
        assert_int_equal(addr_hash(&a), addr_hash(&back));
    }
}

// Text with a random flaw is accepted by both or by neither.
static void flawed_text_agrees_with_the_c_library(void **state) {
    (void)state;
    static const char letters[] = "0123456789abcdefABCDEF:::...g[]";
    uint64_t rng = 2;
    int accepted = 0, refused = 0;
    for (int i = 0; i < 100000; i++) {
        char text[ADDR_TEXT_MAX], wrapped[ADDR_TEXT_MAX + 8];
        addr a = random_addr(&rng), got;
        uint8_t expected[16];
        bool v6 = a.kind == ADDR_IP6;
        assert_non_null(inet_ntop(v6 ? AF_INET6 : AF_INET, a.bytes, text, sizeof text));
        for (uint64_t flaws = draw(&rng, 4); flaws > 0; flaws--)
            text[draw(&rng, strlen(text))] = letters[draw(&rng, sizeof letters - 1)];
        bool good = inet_pton(v6 ? AF_INET6 : AF_INET, text, expected) == 1;
        (void)snprintf(wrapped, sizeof wrapped, v6 ? "[%s]:7" : "%s:7", text);
        assert_int_equal(parse(&got, wrapped), good ? 0 : IROH_ERR_SYNTAX);
        if (good)
            assert_memory_equal(got.bytes, expected, v6 ? 16 : 4);
        accepted += good;
        refused += !good;
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_read_and_written_in_its_one_form),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(other_kinds_have_a_text),
        cmocka_unit_test(kinds_of_hosts_are_told_apart),
        cmocka_unit_test(mapped_addresses_become_ip4),
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(order_is_kind_then_bytes_then_port_then_scope),
        cmocka_unit_test(text_agrees_with_the_c_library),
        cmocka_unit_test(flawed_text_agrees_with_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
