// Tickets against the vectors of the original, malformed ones included.
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

#include "base/base32.h"
#include "unit/vector_support.h"

#define TICKET_MAX 4096
#define ID_HEX "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6"

static int wanted_result(const vectors *v) {
    for (int code = 0; code > -64; code--) {
        if (vectors_is(v, "result", iroh_error_name(code)))
            return code;
    }
    fail_msg("unknown result: %s", v->line);
    return 0;
}

static iroh_addr *address(void) {
    iroh_public_key id;
    iroh_addr *a;
    assert_int_equal(iroh_public_key_from_text(&id, ID_HEX), 0);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    return a;
}

static iroh_addr *parse(const char *text) {
    iroh_addr *a;
    int r = iroh_ticket_parse(text, &a);
    if (r != 0)
        fail_msg("%s: %s", text, iroh_error_name(r));
    return a;
}

// The address that the words add0, add1... of a vector make.
static iroh_addr *described(const vectors *v) {
    iroh_addr *a = address();
    char name[8], text[256];
    for (int i = 0; snprintf(name, sizeof name, "add%d", i) > 0 && vectors_has(v, name); i++) {
        (void)vectors_text(v, name, text, sizeof text);
        assert_int_equal(strstr(text, "://") != NULL ? iroh_addr_add_relay(a, text) : iroh_addr_add_ip(a, text), 0);
    }
    return a;
}

static void addresses_give_the_tickets_of_the_original(void **state) {
    (void)state;
    static char wanted[TICKET_MAX], text[TICKET_MAX];
    vectors v;
    int count = 0;
    vectors_open(&v, "tickets.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "ticket"))
            continue;
        iroh_addr *a = described(&v);
        size_t len = vectors_text(&v, "text", wanted, sizeof wanted);
        assert_int_equal(iroh_ticket_format(a, text, sizeof text), len);
        assert_string_equal(text, wanted);
        iroh_addr_free(a);
        count++;
    }
    assert_int_equal(count, 8);
}

static void tickets_give_their_addresses_back(void **state) {
    (void)state;
    static char text[TICKET_MAX];
    vectors v;
    vectors_open(&v, "tickets.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "ticket"))
            continue;
        (void)vectors_text(&v, "text", text, sizeof text);
        iroh_addr *wanted = described(&v), *a = parse(text);
        // Tickets lose the scope, which one of the vectors has.
        assert_int_equal(iroh_addr_equal(a, wanted), !vectors_is(&v, "name", "T7"));
        assert_int_equal(iroh_addr_count(a), iroh_addr_count(wanted));
        iroh_addr_free(wanted);
        iroh_addr_free(a);
    }
}

static void assert_reads_as(const char *text, int wanted, const char *same) {
    static char out[TICKET_MAX];
    iroh_addr *a = (iroh_addr *)1;
    int r = iroh_ticket_parse(text, &a);
    if (r != wanted)
        fail_msg("%s: %s, not %s", text, iroh_error_name(r), iroh_error_name(wanted));
    if (r != 0) {
        assert_null(a);
        return;
    }
    assert_true(iroh_ticket_format(a, out, sizeof out) > 0);
    assert_string_equal(out, same);
    iroh_addr_free(a);
}

static void malformed_and_odd_tickets_read_as_the_vectors_say(void **state) {
    (void)state;
    static char text[TICKET_MAX], same[TICKET_MAX];
    static uint8_t bytes[TICKET_MAX];
    vectors v;
    vectors_open(&v, "tickets.txt");
    while (vectors_next(&v)) {
        bool binary = vectors_is(&v, "kind", "bytes");
        if (!binary && !vectors_is(&v, "kind", "text"))
            continue;
        int wanted = wanted_result(&v);
        if (wanted == 0)
            (void)vectors_text(&v, "same", same, sizeof same);
        if (binary) {
            size_t len = vectors_bytes(&v, "bytes", bytes, sizeof bytes / 2);
            memcpy(text, "endpoint", 8);
            base32_encode(BASE32_RFC4648, bytes, len, text + 8);
            text[8 + base32_text_size(len)] = '\0';
        } else {
            (void)vectors_text(&v, "text", text, sizeof text);
        }
        assert_reads_as(text, wanted, same);
    }
}

static void every_cut_ticket_is_refused(void **state) {
    (void)state;
    static char text[TICKET_MAX];
    iroh_addr *a = address(), *cut;
    assert_int_equal(iroh_addr_add_relay(a, "https://a.ex/"), 0);
    assert_int_equal(iroh_addr_add_ip(a, "1.2.3.4:443"), 0);
    assert_int_equal(iroh_addr_add_ip(a, "[2001:db8::1]:443"), 0);
    assert_int_equal(iroh_addr_add_custom(a, 32, "abcdef", 6), 0);
    int len = iroh_ticket_format(a, text, sizeof text);
    assert_true(len > 0);
    for (int i = len - 1; i >= 0; i--) {
        text[i] = '\0';
        int r = iroh_ticket_parse(text, &cut);
        assert_true(r == IROH_ERR_TRUNCATED || r == IROH_ERR_SYNTAX || (r == IROH_ERR_KIND && i < 8));
        assert_null(cut);
    }
    iroh_addr_free(a);
}

static void a_ticket_needs_its_room(void **state) {
    (void)state;
    char text[80];
    iroh_addr *a = address();
    for (size_t room = 0; room <= 63; room++) {
        memset(text, 0x5a, sizeof text);
        assert_int_equal(iroh_ticket_format(a, text, room), IROH_ERR_TOO_LARGE);
        for (size_t i = room; i < sizeof text; i++)
            assert_int_equal(text[i], 0x5a);
    }
    assert_int_equal(iroh_ticket_format(a, text, 64), 63);
    assert_int_equal(strlen(text), 63);
    iroh_addr_free(a);
}

static void a_full_address_makes_the_trip_and_more_are_refused(void **state) {
    (void)state;
    static char text[65536];
    static uint8_t bytes[32768];
    char ip[32];
    iroh_addr *a = address();
    for (int i = 0; i < IROH_ADDR_MAX; i++) {
        (void)snprintf(ip, sizeof ip, "10.0.%d.%d:9999", i / 256, i % 256);
        assert_int_equal(iroh_addr_add_ip(a, ip), 0);
    }
    int len = iroh_ticket_format(a, text, sizeof text);
    iroh_addr *back = parse(text);
    assert_true(iroh_addr_equal(a, back));
    iroh_addr_free(back);
    iroh_addr_free(a);
    // The same with one more of them, and one more counted.
    size_t size = base32_bytes_size((size_t)len - 8);
    assert_int_equal(base32_decode(BASE32_RFC4648, text + 8, (size_t)len - 8, bytes), 0);
    static const uint8_t more[] = {1, 0, 99, 99, 99, 99, 1};
    memcpy(bytes + size, more, sizeof more);
    assert_int_equal(bytes[33], 0x80);  // 1024 as a varint: 80 08
    bytes[33] = 0x81;
    size += sizeof more;
    base32_encode(BASE32_RFC4648, bytes, size, text + 8);
    text[8 + base32_text_size(size)] = '\0';
    assert_int_equal(iroh_ticket_parse(text, &back), IROH_ERR_LIMIT);
    assert_null(back);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_give_the_tickets_of_the_original),
        cmocka_unit_test(tickets_give_their_addresses_back),
        cmocka_unit_test(malformed_and_odd_tickets_read_as_the_vectors_say),
        cmocka_unit_test(every_cut_ticket_is_refused),
        cmocka_unit_test(a_ticket_needs_its_room),
        cmocka_unit_test(a_full_address_makes_the_trip_and_more_are_refused),
    };
    return cmocka_run_group_tests_name("ticket", tests, NULL, NULL);
}
