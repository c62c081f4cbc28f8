// The TLS record layer: two of them face each other in all suites and both versions, a record of RFC 8448 byte for byte,
// and what a peer may not do.
#include "web/tls_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#define ROOM (TLS_RECORD_HEAD + TLS_RECORD_PLAIN_MAX + TLS_RECORD_TAIL)

typedef struct pair {
    tls_record a, b;
} pair;

static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};

static void fill(tls_record_secret *s, uint8_t with, uint64_t seq) {
    memset(s->secret, with, sizeof s->secret);
    memset(s->iv, with + 1, sizeof s->iv);
    s->seq = seq;
}

static void pair_init(pair *p, uint16_t suite, bool old) {
    tls_record_secret one, two;
    fill(&one, 0x11, 1);
    fill(&two, 0x77, 0);
    tls_record_init(&p->a, aead_suite_by_id(suite), old, &one, &two);
    tls_record_init(&p->b, aead_suite_by_id(suite), old, &two, &one);
}

static void pair_free(pair *p) {
    tls_record_dispose(&p->a);
    tls_record_dispose(&p->b);
}

// A record in memory of its exact size, to be freed.
static uint8_t *seal(tls_record *r, uint8_t type, const void *content, size_t len, size_t *out_len) {
    static uint8_t room[ROOM];
    uint8_t *start;
    if (len > 0)
        memcpy(room + TLS_RECORD_HEAD, content, len);
    int n = tls_record_seal(r, type, room + TLS_RECORD_HEAD, len, &start);
    assert_true(n > 0 && start >= room && start + n <= room + ROOM);
    uint8_t *out = malloc((size_t)n);
    assert_non_null(out);
    memcpy(out, start, (size_t)n);
    *out_len = (size_t)n;
    return out;
}

// What opening one record of this content gives.
static int send(tls_record *from, tls_record *to, uint8_t type, const void *content, size_t len) {
    size_t record_len, data_len;
    uint8_t *record = seal(from, type, content, len, &record_len), *at = record, *data;
    size_t left = record_len;
    int r = tls_record_open(to, &at, &left, &data, &data_len);
    if (r > 0) {
        assert_int_equal(data_len, len);
        assert_true(data >= record && data + data_len <= record + record_len);
        if (len > 0)
            assert_memory_equal(data, content, len);
        assert_int_equal(left, 0);
    }
    free(record);
    return r;
}

static int say(tls_record *from, tls_record *to, const char *text) {
    return send(from, to, TLS_RECORD_DATA, text, strlen(text));
}

static void content_arrives_in_all_suites_and_sizes(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 15, 16, 17, 1200, 16383, 16384};
    static uint8_t content[TLS_RECORD_PLAIN_MAX];
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + 1);
    for (size_t s = 0; s < 6; s++) {
        pair p;
        pair_init(&p, suites[s / 2], s % 2 == 1);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            assert_int_equal(send(&p.a, &p.b, TLS_RECORD_DATA, content, sizes[i]), 1);
            assert_int_equal(send(&p.b, &p.a, TLS_RECORD_DATA, content, sizes[i]), 1);
        }
        pair_free(&p);
    }
}

// RFC 8448, section 3: the client's application data.
static void the_record_of_the_rfc_is_the_same(void **state) {
    (void)state;
    static const uint8_t secret[32] = {0x9e, 0x40, 0x64, 0x6c, 0xe7, 0x9a, 0x7f, 0x9d, 0xc0, 0x5a, 0xf8,
                                       0x88, 0x9b, 0xce, 0x65, 0x52, 0x87, 0x5a, 0xfa, 0x0b, 0x06, 0xdf,
                                       0x00, 0x87, 0xf7, 0x92, 0xeb, 0xb7, 0xc1, 0x75, 0x04, 0xa5};
    static const uint8_t record[] = {
        0x17, 0x03, 0x03, 0x00, 0x43, 0xa2, 0x3f, 0x70, 0x54, 0xb6, 0x2c, 0x94, 0xd0, 0xaf, 0xfa, 0xfe, 0x82, 0x28,
        0xba, 0x55, 0xcb, 0xef, 0xac, 0xea, 0x42, 0xf9, 0x14, 0xaa, 0x66, 0xbc, 0xab, 0x3f, 0x2b, 0x98, 0x19, 0xa8,
        0xa5, 0xb4, 0x6b, 0x39, 0x5b, 0xd5, 0x4a, 0x9a, 0x20, 0x44, 0x1e, 0x2b, 0x62, 0x97, 0x4e, 0x1f, 0x5a, 0x62,
        0x92, 0xa2, 0x97, 0x70, 0x14, 0xbd, 0x1e, 0x3d, 0xea, 0xe6, 0x3a, 0xee, 0xbb, 0x21, 0x69, 0x49, 0x15, 0xe4};
    tls_record_secret s = {0};
    memcpy(s.secret, secret, sizeof secret);
    tls_record r;
    tls_record_init(&r, aead_suite_by_id(0x1301), false, &s, &s);
    uint8_t content[50];
    for (uint8_t i = 0; i < sizeof content; i++)
        content[i] = i;
    size_t len;
    uint8_t *ours = seal(&r, TLS_RECORD_DATA, content, sizeof content, &len);
    assert_int_equal(len, sizeof record);
    assert_memory_equal(ours, record, len);
    free(ours);
    tls_record_dispose(&r);
}

static void records_arrive_in_pieces_and_together(void **state) {
    (void)state;
    pair p;
    size_t one_len, two_len, data_len;
    pair_init(&p, 0x1301, false);
    uint8_t *one = seal(&p.a, TLS_RECORD_DATA, "first", 5, &one_len);
    uint8_t *two = seal(&p.a, TLS_RECORD_DATA, "second", 6, &two_len);
    uint8_t *both = malloc(one_len + two_len), *data;
    assert_non_null(both);
    memcpy(both, one, one_len);
    memcpy(both + one_len, two, two_len);
    for (size_t have = 0; have < one_len; have++) {
        uint8_t *at = both;
        size_t len = have;
        assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), 0);
        assert_ptr_equal(at, both);
        assert_int_equal(len, have);
    }
    uint8_t *at = both;
    size_t len = one_len + two_len;
    assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), 1);
    assert_memory_equal(data, "first", 5);
    assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), 1);
    assert_memory_equal(data, "second", 6);
    assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), 0);
    free(one);
    free(two);
    free(both);
    pair_free(&p);
}

static void every_changed_bit_is_noticed(void **state) {
    (void)state;
    for (size_t s = 0; s < 6; s++) {
        pair p;
        size_t len, data_len;
        pair_init(&p, suites[s / 2], s % 2 == 1);
        uint8_t *record = seal(&p.a, TLS_RECORD_DATA, "content", 7, &len), *copy = malloc(len), *data;
        assert_non_null(copy);
        for (size_t bit = 0; bit < 8 * len; bit++) {
            tls_record b = p.b;
            b.read.key = NULL;
            memcpy(copy, record, len);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            uint8_t *at = copy;
            size_t left = len;
            // A shorter length cuts the tag off; a longer one waits for more. Nothing passes.
            assert_true(tls_record_open(&b, &at, &left, &data, &data_len) <= 0);
            tls_record_dispose(&b);
        }
        free(copy);
        free(record);
        pair_free(&p);
    }
}

static void replayed_and_reordered_records_are_noticed(void **state) {
    (void)state;
    pair p;
    pair_init(&p, 0x1301, false);
    assert_int_equal(say(&p.a, &p.b, "one"), 1);
    p.a.write.seq--;
    assert_int_equal(say(&p.a, &p.b, "one"), IROH_ERR_CRYPTO);
    assert_int_equal(p.b.alert, TLS_ALERT_BAD_MAC);
    // Nothing is opened after that.
    p.a.write.seq = 9;
    assert_int_equal(say(&p.a, &p.b, "two"), IROH_ERR_CLOSED);
    pair_free(&p);
}

static void resting_changes_nothing_on_the_wire(void **state) {
    (void)state;
    pair p;
    pair_init(&p, 0x1303, false);
    assert_false(tls_record_rest(&p.a));
    assert_int_equal(say(&p.a, &p.b, "one"), 1);
    assert_true(tls_record_rest(&p.a));
    assert_true(tls_record_rest(&p.b));
    assert_null(p.a.write.key);
    assert_false(tls_record_rest(&p.a));
    assert_int_equal(say(&p.a, &p.b, "two"), 1);
    assert_int_equal(say(&p.b, &p.a, "three"), 1);
    pair_free(&p);
}

static void update(tls_record *from, tls_record *to) {
    uint8_t room[TLS_RECORD_SMALL], *start, *data;
    size_t data_len;
    int n = tls_record_put_update(from, room, &start);
    assert_true(n > 0);
    size_t len = (size_t)n;
    assert_int_equal(tls_record_open(to, &start, &len, &data, &data_len), 0);
    assert_int_equal(len, 0);
}

static void keys_are_renewed_both_ways(void **state) {
    (void)state;
    pair p;
    pair_init(&p, 0x1302, false);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(say(&p.a, &p.b, "before"), 1);
        update(&p.a, &p.b);
        assert_int_equal(p.a.write.seq, 0);
        assert_int_equal(say(&p.a, &p.b, "after"), 1);
        assert_false(p.b.update_wanted);
        static const uint8_t request[] = {24, 0, 0, 1, 1};
        assert_int_equal(send(&p.b, &p.a, TLS_RECORD_HANDSHAKE, request, sizeof request), 0);
        assert_true(p.a.update_wanted);
        update(&p.a, &p.b);
        assert_false(p.a.update_wanted);
        assert_int_equal(say(&p.a, &p.b, "and after"), 1);
        // That request was no real renewal of the other side's key, so both begin anew.
        tls_record_dispose(&p.b);
        tls_record_dispose(&p.a);
        pair_init(&p, 0x1302, false);
    }
    pair_free(&p);
}

static void a_renewal_may_come_byte_by_byte(void **state) {
    (void)state;
    static const uint8_t message[] = {24, 0, 0, 1, 0};
    pair p;
    pair_init(&p, 0x1301, false);
    for (size_t i = 0; i < sizeof message; i++)
        assert_int_equal(send(&p.a, &p.b, TLS_RECORD_HANDSHAKE, message + i, 1), 0);
    assert_int_equal(p.b.read.seq, 0);
    pair_free(&p);
    // But nothing may come between.
    pair_init(&p, 0x1301, false);
    assert_int_equal(send(&p.a, &p.b, TLS_RECORD_HANDSHAKE, message, 2), 0);
    assert_int_equal(say(&p.a, &p.b, "x"), IROH_ERR_PROTOCOL);
    pair_free(&p);
}

static void a_key_is_renewed_before_it_has_sealed_too_much(void **state) {
    (void)state;
    pair p;
    pair_init(&p, 0x1301, false);
    p.a.write.sealed = p.a.suite->confidentiality_limit / 2 - 2;
    assert_int_equal(say(&p.a, &p.b, "x"), 1);
    assert_false(p.a.update_wanted);
    assert_int_equal(say(&p.a, &p.b, "x"), 1);
    assert_true(p.a.update_wanted);
    pair_free(&p);
}

static void closing_is_told_and_final(void **state) {
    (void)state;
    pair p;
    uint8_t room[TLS_RECORD_SMALL], *start, *data;
    size_t data_len;
    pair_init(&p, 0x1301, false);
    size_t len = (size_t)tls_record_put_alert(&p.a, TLS_ALERT_CLOSE_NOTIFY, room, &start);
    assert_int_equal(tls_record_open(&p.b, &start, &len, &data, &data_len), IROH_ERR_FINISHED);
    assert_int_equal(say(&p.a, &p.b, "late"), IROH_ERR_CLOSED);
    pair_free(&p);
}

static const struct {
    const char *name;
    uint8_t type;
    uint8_t content[8];
    size_t len;
    uint8_t alert;
} forbidden[] = {
    {"a ticket", TLS_RECORD_HANDSHAKE, {4, 0, 0, 1, 0}, 5, TLS_ALERT_UNEXPECTED},
    {"a hello", TLS_RECORD_HANDSHAKE, {1}, 1, TLS_ALERT_UNEXPECTED},
    {"a renewal of another length", TLS_RECORD_HANDSHAKE, {24, 0, 0, 2, 0}, 5, TLS_ALERT_UNEXPECTED},
    {"a renewal with something behind", TLS_RECORD_HANDSHAKE, {24, 0, 0, 1, 0, 24}, 6, TLS_ALERT_UNEXPECTED},
    {"an unknown renewal", TLS_RECORD_HANDSHAKE, {24, 0, 0, 1, 2}, 5, TLS_ALERT_ILLEGAL},
    {"an empty handshake message", TLS_RECORD_HANDSHAKE, {0}, 0, TLS_ALERT_UNEXPECTED},
    {"half an alert", TLS_RECORD_ALERT, {2}, 1, TLS_ALERT_DECODE},
    {"a change of ciphers", 20, {1}, 1, TLS_ALERT_UNEXPECTED},
    {"an unknown type", 99, {1}, 1, TLS_ALERT_UNEXPECTED},
};

static void what_a_peer_may_not_send_ends_it(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        pair p;
        pair_init(&p, 0x1301, false);
        int r = send(&p.a, &p.b, forbidden[i].type, forbidden[i].content, forbidden[i].len);
        if (r != IROH_ERR_PROTOCOL || p.b.alert != forbidden[i].alert)
            fail_msg("%s: %d, alert %d", forbidden[i].name, r, p.b.alert);
        pair_free(&p);
    }
}

static void too_long_records_are_refused_at_their_header(void **state) {
    (void)state;
    static const uint8_t headers[][5] = {
        {23, 3, 3, 0x41, 0x01}, {22, 3, 3, 0, 40}, {23, 2, 0, 0, 40}, {'G', 'E', 'T', ' ', '/'}};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        pair p;
        uint8_t header[5], *at = header, *data;
        size_t len = sizeof header, data_len;
        memcpy(header, headers[i], sizeof header);
        pair_init(&p, 0x1301, false);
        assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), IROH_ERR_PROTOCOL);
        pair_free(&p);
    }
}

static void records_without_data_do_not_go_on_for_ever(void **state) {
    (void)state;
    pair p;
    pair_init(&p, 0x1301, false);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < TLS_RECORD_IDLE_MAX; i++)
            assert_int_equal(say(&p.a, &p.b, ""), 1);
        assert_int_equal(say(&p.a, &p.b, "data"), 1);
    }
    for (int i = 0; i < TLS_RECORD_IDLE_MAX; i++)
        update(&p.a, &p.b);
    uint8_t room[TLS_RECORD_SMALL], *start, *data;
    size_t len = (size_t)tls_record_put_update(&p.a, room, &start), data_len;
    assert_int_equal(tls_record_open(&p.b, &start, &len, &data, &data_len), IROH_ERR_PROTOCOL);
    pair_free(&p);
}

static void padding_is_taken_off(void **state) {
    (void)state;
    static const uint8_t padded[] = {'h', 'i', TLS_RECORD_DATA, 0, 0, 0}, nothing[] = {0, 0, 0};
    pair p;
    size_t len, data_len;
    uint8_t *data;
    pair_init(&p, 0x1301, false);
    // The type that is sealed behind is zero, and so is padding too.
    uint8_t *record = seal(&p.a, 0, padded, sizeof padded, &len), *at = record;
    assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), 1);
    assert_int_equal(data_len, 2);
    assert_memory_equal(data, "hi", 2);
    free(record);
    record = at = seal(&p.a, 0, nothing, sizeof nothing, &len);
    assert_int_equal(tls_record_open(&p.b, &at, &len, &data, &data_len), IROH_ERR_PROTOCOL);
    free(record);
    pair_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_arrives_in_all_suites_and_sizes),
        cmocka_unit_test(the_record_of_the_rfc_is_the_same),
        cmocka_unit_test(records_arrive_in_pieces_and_together),
        cmocka_unit_test(every_changed_bit_is_noticed),
        cmocka_unit_test(replayed_and_reordered_records_are_noticed),
        cmocka_unit_test(resting_changes_nothing_on_the_wire),
        cmocka_unit_test(keys_are_renewed_both_ways),
        cmocka_unit_test(a_renewal_may_come_byte_by_byte),
        cmocka_unit_test(a_key_is_renewed_before_it_has_sealed_too_much),
        cmocka_unit_test(closing_is_told_and_final),
        cmocka_unit_test(what_a_peer_may_not_send_ends_it),
        cmocka_unit_test(too_long_records_are_refused_at_their_header),
        cmocka_unit_test(records_without_data_do_not_go_on_for_ever),
        cmocka_unit_test(padding_is_taken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
