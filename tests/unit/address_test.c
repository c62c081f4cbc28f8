// Addresses: a sorted set without duplicates, whatever the order of adding.
#include "id/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static iroh_addr *address(void) {
    static const iroh_public_key id = {{1}};
    iroh_addr *a;
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    return a;
}

// Adds by text: a URL, an IP address, or "custom:NUMBER:DATA".
static void add_text(iroh_addr *a, const char *text) {
    unsigned number;
    int data;
    if (sscanf(text, "custom:%u:%n", &number, &data) == 1)
        assert_int_equal(iroh_addr_add_custom(a, number, text + data, strlen(text + data)), 0);
    else if (strstr(text, "://") != NULL)
        assert_int_equal(iroh_addr_add_relay(a, text), 0);
    else
        assert_int_equal(iroh_addr_add_ip(a, text), 0);
}

// In their order: relays by text, IPv4 by bytes and port, IPv6 by bytes, port and scope, custom ones by number, then
// short data by length and bytes, then long data by bytes.
static const char *const sorted[] = {
    "http://b.ex/",
    "https://a.ex/",
    "https://a.ex/a",
    "https://b.ex/",
    "0.0.0.0:0",
    "10.0.0.1:9",
    "10.0.0.1:10",
    "10.0.0.2:1",
    "255.0.0.1:1",
    "[::1]:1",
    "[::ffff:1.2.3.4]:1",
    "[fe80::1]:7",
    "[fe80::1%3]:7",
    "[fe80::1%4]:7",
    "[fe80::1]:8",
    "[fe80::2]:1",
    "custom:1:",
    "custom:1:z",
    "custom:1:aa",
    "custom:1:ab",
    "custom:1:zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "custom:1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    "custom:1:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
    "custom:2:a",
};
#define SORTED (sizeof sorted / sizeof *sorted)

static void the_order_is_that_of_the_original(void **state) {
    (void)state;
    iroh_addr *whole = address();
    for (size_t i = 0; i < SORTED; i++)
        add_text(whole, sorted[i]);
    assert_int_equal(iroh_addr_count(whole), SORTED);
    for (size_t i = 0; i < SORTED; i++) {
        // Alone, each gives the text that stands at its place among all.
        char alone[128], placed[128];
        iroh_addr *one = address();
        add_text(one, sorted[i]);
        int len = iroh_addr_text(one, 0, alone, sizeof alone);
        assert_int_equal(len, strlen(alone));
        assert_true(iroh_addr_text(whole, i, placed, sizeof placed) >= 0);
        assert_string_equal(placed, alone);
        assert_int_equal(iroh_addr_kind(whole, i), i < 4 ? IROH_ADDR_RELAY : i < 16 ? IROH_ADDR_IP : IROH_ADDR_CUSTOM);
        iroh_addr_free(one);
    }
    iroh_addr_free(whole);
}

static void any_order_of_adding_gives_the_same_set(void **state) {
    (void)state;
    iroh_addr *wanted = address();
    uint32_t random = 1;
    for (size_t i = 0; i < SORTED; i++)
        add_text(wanted, sorted[i]);
    for (int round = 0; round < 50; round++) {
        iroh_addr *a = address();
        bool there[SORTED] = {false};
        size_t count = 0;
        while (count < SORTED) {
            random = random * 1664525 + 1013904223;
            size_t i = (random >> 16) % SORTED;
            assert_false(count > 0 && iroh_addr_equal(a, wanted));
            add_text(a, sorted[i]);
            count += !there[i];
            there[i] = true;
            assert_int_equal(iroh_addr_count(a), count);
        }
        assert_true(iroh_addr_equal(a, wanted));
        iroh_addr_free(a);
    }
    iroh_addr_free(wanted);
}

static void relays_are_normalised_before_they_are_compared(void **state) {
    (void)state;
    iroh_addr *a = address();
    char text[64];
    add_text(a, "HTTPS://Example.COM:443");
    add_text(a, "https://example.com/");
    add_text(a, "https://example.com./");
    assert_int_equal(iroh_addr_count(a), 2);
    assert_int_equal(iroh_addr_text(a, 0, text, sizeof text), 21);
    assert_string_equal(text, "https://example.com./");
    assert_int_equal(iroh_addr_add_relay(a, "example.com"), IROH_ERR_SYNTAX);
    assert_int_equal(iroh_addr_add_relay(a, "https://\xff/"), IROH_ERR_UTF8);
    assert_int_equal(iroh_addr_count(a), 2);
    iroh_addr_free(a);
}

static void texts_need_their_room(void **state) {
    (void)state;
    iroh_addr *a = address();
    char text[32];
    add_text(a, "https://a.ex/");
    add_text(a, "192.0.2.1:443");
    assert_int_equal(iroh_addr_add_custom(a, 0xdeadbeef, "\xa1\xb2", 2), 0);
    assert_int_equal(iroh_addr_add_custom(a, 0, NULL, 0), 0);
    static const char *const wanted[] = {"https://a.ex/", "192.0.2.1:443", "0_", "deadbeef_a1b2"};
    for (size_t i = 0; i < 4; i++) {
        size_t len = strlen(wanted[i]);
        for (size_t room = 0; room <= len; room++)
            assert_int_equal(iroh_addr_text(a, i, text, room), IROH_ERR_TOO_LARGE);
        assert_int_equal(iroh_addr_text(a, i, text, len + 1), len);
        assert_string_equal(text, wanted[i]);
    }
    assert_int_equal(iroh_addr_text(a, 4, text, sizeof text), IROH_ERR_RANGE);
    assert_int_equal(iroh_addr_kind(a, 4), IROH_ERR_RANGE);
    iroh_addr_free(a);
}

static void bad_ip_texts_are_refused(void **state) {
    (void)state;
    iroh_addr *a = address();
    static const char *const bad[] = {"",         "1.2.3.4",    "1.2.3.4:65536", "1.2.3:4",
                                      "::1:5",    "[::1]",      "[::1%eth0]:5",  " 1.2.3.4:5",
                                      "1.2.3.4:", "1.2.3.4:5 ", "relay:1:5",     "01.2.3.4:5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(iroh_addr_add_ip(a, bad[i]), IROH_ERR_SYNTAX);
    assert_int_equal(iroh_addr_count(a), 0);
    iroh_addr_free(a);
}

static void ip_addresses_go_in_and_out_as_values(void **state) {
    (void)state;
    iroh_addr *a = address();
    addr ips[4], relay = {.kind = ADDR_RELAY}, none = {.kind = ADDR_NONE};
    assert_int_equal(address_ips(a, NULL, 0), 0);
    add_text(a, "https://a.ex/");
    add_text(a, "[::1]:2");
    add_text(a, "custom:1:x");
    addr v4 = addr_ip4((const uint8_t[]){1, 2, 3, 4}, 5);
    assert_int_equal(address_add(a, &v4), 0);
    assert_int_equal(address_add(a, &v4), 0);
    assert_int_equal(address_add(a, &relay), IROH_ERR_ARG);
    assert_int_equal(address_add(a, &none), IROH_ERR_ARG);
    memset(ips, 0, sizeof ips);
    assert_int_equal(address_ips(a, ips, 1), 2);
    assert_true(addr_equal(&ips[0], &v4));
    assert_int_equal(ips[1].kind, ADDR_NONE);
    assert_int_equal(address_ips(a, ips, 4), 2);
    assert_int_equal(ips[1].kind, ADDR_IP6);
    assert_int_equal(ips[1].port, 2);
    assert_int_equal(ips[2].kind, ADDR_NONE);
    iroh_addr_free(a);
}

static void a_copy_stands_alone(void **state) {
    (void)state;
    iroh_addr *a = address(), *b, *empty;
    for (size_t i = 0; i < SORTED; i++)
        add_text(a, sorted[i]);
    assert_int_equal(iroh_addr_copy(a, &b), 0);
    assert_true(iroh_addr_equal(a, b));
    assert_int_equal(iroh_addr_add_ip(b, "9.9.9.9:9"), 0);
    assert_false(iroh_addr_equal(a, b));
    iroh_addr_free(a);
    assert_int_equal(iroh_addr_count(b), SORTED + 1);
    iroh_public_key id = iroh_addr_id(b);
    assert_int_equal(id.bytes[0], 1);
    iroh_addr_free(b);
    a = address();
    assert_int_equal(iroh_addr_copy(a, &empty), 0);
    assert_true(iroh_addr_equal(a, empty));
    iroh_addr_free(a);
    iroh_addr_free(empty);
    iroh_addr_free(NULL);
}

static void equality_looks_at_the_key_too(void **state) {
    (void)state;
    static const iroh_public_key other = {{2}};
    iroh_addr *a = address(), *b;
    assert_int_equal(iroh_addr_new(&other, &b), 0);
    assert_false(iroh_addr_equal(a, b));
    iroh_addr_free(a);
    iroh_addr_free(b);
}

static void limits_are_kept(void **state) {
    (void)state;
    iroh_addr *a = address();
    static const uint8_t data[IROH_ADDR_DATA_MAX + 1];
    assert_int_equal(iroh_addr_add_custom(a, 1, data, IROH_ADDR_DATA_MAX + 1), IROH_ERR_TOO_LARGE);
    assert_int_equal(iroh_addr_add_custom(a, 1, data, IROH_ADDR_DATA_MAX), 0);
    for (uint16_t port = 1; port < IROH_ADDR_MAX; port++) {
        addr ip = addr_ip4(data, port);
        assert_int_equal(address_add(a, &ip), 0);
    }
    assert_int_equal(iroh_addr_count(a), IROH_ADDR_MAX);
    assert_int_equal(iroh_addr_add_ip(a, "1.2.3.4:5"), IROH_ERR_LIMIT);
    assert_int_equal(iroh_addr_add_ip(a, "0.0.0.0:5"), 0);  // is there
    assert_int_equal(iroh_addr_count(a), IROH_ADDR_MAX);
    iroh_addr_free(a);
}

static void the_written_size_is_the_promised_one(void **state) {
    (void)state;
    iroh_addr *a = address();
    uint8_t room[2048];
    for (size_t i = 0; i <= SORTED; i++) {
        size_t size = address_size(a);
        writer w = writer_of(room, size);
        address_write(&w, a);
        assert_false(w.failed);
        assert_int_equal(writer_len(&w), size);
        w = writer_of(room, size - 1);
        address_write(&w, a);
        assert_true(w.failed);
        if (i < SORTED)
            add_text(a, sorted[i]);
    }
    iroh_addr_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_that_of_the_original),
        cmocka_unit_test(any_order_of_adding_gives_the_same_set),
        cmocka_unit_test(relays_are_normalised_before_they_are_compared),
        cmocka_unit_test(texts_need_their_room),
        cmocka_unit_test(bad_ip_texts_are_refused),
        cmocka_unit_test(ip_addresses_go_in_and_out_as_values),
        cmocka_unit_test(a_copy_stands_alone),
        cmocka_unit_test(equality_looks_at_the_key_too),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(the_written_size_is_the_promised_one),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
