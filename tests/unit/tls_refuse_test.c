// What ends a handshake of the peer TLS: each change to a message on its way, and the alert that answers it.
#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "tls/gnutls_state.h"
#include "unit/tls_pair_support.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void another_server_is_refused(void **state) {
    pair *p = *state;
    p->expected_key = p->identities[TLS_CLIENT].public_key;
    pair_shake(p, NULL, NULL, NULL, 0);
    pair_assert_alert(p, TLS_CLIENT, TLS_ALERT_UNKNOWN_CA);
}

// What a test does to a message: which, and how.
typedef struct change {
    tls_role from;
    uint8_t type;
    void (*apply)(pair_message *m, const struct change *c);
    const uint8_t *bytes;  // for apply
    size_t len, at;
} change;

static void apply_change(pair *p, tls_role from, pair_message *m) {
    const change *c = p->filter_arg;
    if (from == c->from && m->bytes[0] == c->type)
        c->apply(m, c);
}

static void expect_alert(pair *p, const change *c, tls_role role, uint8_t alert) {
    change copy = *c;
    p->filter = apply_change;
    p->filter_arg = &copy;
    pair_shake(p, NULL, NULL, NULL, 0);
    pair_assert_alert(p, role, alert);
    p->filter = NULL;
}

static void set_length(pair_message *m) {
    size_t body = m->len - 4;
    m->bytes[1] = 0;
    m->bytes[2] = (uint8_t)(body >> 8);
    m->bytes[3] = (uint8_t)body;
}

// The whole body, anew.
static void replace(pair_message *m, const change *c) {
    memcpy(m->bytes + 4, c->bytes, c->len);
    m->len = 4 + c->len;
    set_length(m);
}

static void flip(pair_message *m, const change *c) {
    m->bytes[m->len - 1 - c->at] ^= 0x40;
}

// Gives an extension, found by its first bytes, a type that nobody knows.
static void hide(pair_message *m, const change *c) {
    for (size_t i = 4; i + c->len <= m->len; i++) {
        if (memcmp(m->bytes + i, c->bytes, c->len) != 0)
            continue;
        m->bytes[i] = 0x1a;
        return;
    }
    fail();
}

static void overwrite(pair_message *m, const change *c) {
    memcpy(m->bytes + c->at, c->bytes, c->len);
}

static void wrong_signatures_are_refused(void **state) {
    pair *p = *state;
    for (size_t at = 0; at < 64; at += 9) {
        change of_server = {.from = TLS_SERVER, .type = MSG_CERTIFICATE_VERIFY, .apply = flip, .at = at};
        expect_alert(p, &of_server, TLS_CLIENT, TLS_ALERT_DECRYPT_ERROR);
        change of_client = {.from = TLS_CLIENT, .type = MSG_CERTIFICATE_VERIFY, .apply = flip, .at = at};
        expect_alert(p, &of_client, TLS_SERVER, TLS_ALERT_DECRYPT_ERROR);
    }
}

static void wrong_finished_is_refused(void **state) {
    pair *p = *state;
    change of_server = {.from = TLS_SERVER, .type = MSG_FINISHED, .apply = flip};
    expect_alert(p, &of_server, TLS_CLIENT, TLS_ALERT_DECRYPT_ERROR);
    change of_client = {.from = TLS_CLIENT, .type = MSG_FINISHED, .apply = flip};
    expect_alert(p, &of_client, TLS_SERVER, TLS_ALERT_DECRYPT_ERROR);
}

static void missing_client_certificate_is_refused(void **state) {
    const uint8_t empty[] = {0, 0, 0, 0};
    change c = {.from = TLS_CLIENT, .type = MSG_CERTIFICATE, .apply = replace, .bytes = empty, .len = sizeof empty};
    expect_alert(*state, &c, TLS_SERVER, TLS_ALERT_CERTIFICATE_REQUIRED);
    c.from = TLS_SERVER;
    expect_alert(*state, &c, TLS_CLIENT, TLS_ALERT_DECODE_ERROR);
}

static void skipped_client_certificate_is_refused(void **state) {
    pair *p = *state;
    pair_open(p, NULL, NULL, NULL, 0);
    const pair_message *hello = &p->sides[TLS_CLIENT].sent[0];
    assert_int_equal(tls_gnutls.receive(p->sides[TLS_SERVER].session, TLS_INITIAL, hello->bytes, hello->len), 0);
    const uint8_t finished[4 + 32] = {MSG_FINISHED, 0, 0, 32};
    p->results[TLS_SERVER] = tls_gnutls.receive(p->sides[TLS_SERVER].session, TLS_HANDSHAKE, finished, sizeof finished);
    pair_assert_alert(p, TLS_SERVER, TLS_ALERT_UNEXPECTED_MESSAGE);
}

#define SPKI_HEAD 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00
#define CERTIFICATE_KEY (4 + 1 + 3 + 3 + 12)  // where the key stands in the message

static void certificates_of_other_forms_are_refused(void **state) {
    pair *p = *state;
    uint8_t two[1 + 3 + 2 * 49] = {0, 0, 0, 98, 0, 0, 44, SPKI_HEAD};
    memcpy(two + 4 + 49, two + 4, 49);
    change c = {.from = TLS_CLIENT, .type = MSG_CERTIFICATE, .apply = replace, .bytes = two, .len = sizeof two};
    expect_alert(p, &c, TLS_SERVER, TLS_ALERT_BAD_CERTIFICATE);
    const uint8_t x25519 = 0x6e;  // the object identifier of another curve
    change other = {.from = TLS_CLIENT,
                    .type = MSG_CERTIFICATE,
                    .apply = overwrite,
                    .bytes = &x25519,
                    .len = 1,
                    .at = CERTIFICATE_KEY - 4};
    expect_alert(p, &other, TLS_SERVER, TLS_ALERT_BAD_CERTIFICATE);
    other.from = TLS_SERVER;
    expect_alert(p, &other, TLS_CLIENT, TLS_ALERT_UNKNOWN_CA);
    const uint8_t context = 1;
    change with_context = {
        .from = TLS_CLIENT, .type = MSG_CERTIFICATE, .apply = overwrite, .bytes = &context, .len = 1, .at = 4};
    expect_alert(p, &with_context, TLS_SERVER, TLS_ALERT_DECODE_ERROR);
}

static const char *const small_order_keys[] = {
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
};

static void small_order_keys_are_refused(void **state) {
    pair *p = *state;
    for (size_t i = 0; i < LEN(small_order_keys); i++) {
        uint8_t key[32];
        assert_true(hex_decode(small_order_keys[i], 64, key));
        change c = {.from = TLS_CLIENT,
                    .type = MSG_CERTIFICATE,
                    .apply = overwrite,
                    .bytes = key,
                    .len = 32,
                    .at = CERTIFICATE_KEY};
        expect_alert(p, &c, TLS_SERVER, TLS_ALERT_DECRYPT_ERROR);
        c.from = TLS_SERVER;
        p->expected_key = key;
        expect_alert(p, &c, TLS_CLIENT, TLS_ALERT_DECRYPT_ERROR);
        p->expected_key = NULL;
    }
}

static void missing_extensions_are_refused(void **state) {
    static const struct {
        tls_role from;
        uint8_t type, alert;
        uint8_t start[4];
        size_t len;
    } rows[] = {
        {TLS_CLIENT, MSG_CLIENT_HELLO, TLS_ALERT_HANDSHAKE_FAILURE, {0, 19, 0, 2}, 4},
        {TLS_CLIENT, MSG_CLIENT_HELLO, TLS_ALERT_HANDSHAKE_FAILURE, {0, 20, 0, 2}, 4},
        {TLS_CLIENT, MSG_CLIENT_HELLO, TLS_ALERT_NO_APPLICATION_PROTOCOL, {0, 16, 0, 7}, 4},
        {TLS_CLIENT, MSG_CLIENT_HELLO, TLS_ALERT_MISSING_EXTENSION, {0, 57, 0, 8}, 4},
        {TLS_SERVER, MSG_ENCRYPTED_EXTENSIONS, TLS_ALERT_HANDSHAKE_FAILURE, {0, 19, 0, 1}, 4},
        {TLS_SERVER, MSG_ENCRYPTED_EXTENSIONS, TLS_ALERT_HANDSHAKE_FAILURE, {0, 20, 0, 1}, 4},
        {TLS_SERVER, MSG_ENCRYPTED_EXTENSIONS, TLS_ALERT_NO_APPLICATION_PROTOCOL, {0, 16, 0, 7}, 4},
        {TLS_SERVER, MSG_ENCRYPTED_EXTENSIONS, TLS_ALERT_MISSING_EXTENSION, {0, 57, 0, 8}, 4},
    };
    for (size_t i = 0; i < LEN(rows); i++) {
        change c = {
            .from = rows[i].from, .type = rows[i].type, .apply = hide, .bytes = rows[i].start, .len = rows[i].len};
        expect_alert(*state, &c, rows[i].from == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT, rows[i].alert);
    }
}

static void rename_alpn(pair_message *m, const change *c) {
    (void)c;
    for (size_t i = 4; i + 4 <= m->len; i++)
        if (memcmp(m->bytes + i, "test", 4) == 0)
            m->bytes[i] = 'x';
}

static void an_alpn_that_was_not_offered_is_refused(void **state) {
    change c = {.from = TLS_SERVER, .type = MSG_ENCRYPTED_EXTENSIONS, .apply = rename_alpn};
    expect_alert(*state, &c, TLS_CLIENT, (uint8_t)GNUTLS_A_ILLEGAL_PARAMETER);
}

// Kinds of message that TLS knows and QUIC has no place for, at every point of the handshake.
static void foreign_messages_are_refused(void **state) {
    pair *p = *state;
    const uint8_t kinds[] = {0, 3, 5, 12, 14, 16, 22, 24, 25, 254, 255};
    for (size_t i = 0; i < LEN(kinds); i++) {
        uint8_t message[] = {kinds[i], 0, 0, 1, 0};
        pair_open(p, NULL, NULL, NULL, 0);
        for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
            p->results[role] = tls_gnutls.receive(p->sides[role].session, TLS_INITIAL, message, sizeof message);
            pair_assert_alert(p, (tls_role)role, TLS_ALERT_UNEXPECTED_MESSAGE);
        }
        pair_shake(p, NULL, NULL, NULL, 0);
        pair_assert_done(p);
        for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
            tls_session *s = p->sides[role].session;
            assert_int_equal(tls_gnutls.receive(s, TLS_APPLICATION, message, sizeof message), IROH_ERR_HANDSHAKE);
            assert_int_equal(tls_gnutls.alert(s), TLS_ALERT_UNEXPECTED_MESSAGE);
        }
    }
}

static void append_byte(pair_message *m, const change *c) {
    (void)c;
    m->bytes[m->len++] = 0;
}

// A message must not span two levels (RFC 8446, section 5.1).
static void bytes_left_over_at_a_level_are_refused(void **state) {
    change of_client = {.from = TLS_CLIENT, .type = MSG_CLIENT_HELLO, .apply = append_byte};
    expect_alert(*state, &of_client, TLS_SERVER, TLS_ALERT_UNEXPECTED_MESSAGE);
    change of_server = {.from = TLS_SERVER, .type = MSG_SERVER_HELLO, .apply = append_byte};
    expect_alert(*state, &of_server, TLS_CLIENT, TLS_ALERT_UNEXPECTED_MESSAGE);
}

static void messages_at_another_level_are_refused(void **state) {
    pair *p = *state;
    for (tls_level level = TLS_EARLY; level <= TLS_APPLICATION; level++) {
        pair_open(p, NULL, NULL, NULL, 0);
        p->sides[TLS_CLIENT].sent[0].level = level;
        pair_pump(p);
        pair_assert_alert(p, TLS_SERVER, TLS_ALERT_UNEXPECTED_MESSAGE);
    }
}

static void oversized_messages_are_refused_at_once(void **state) {
    pair *p = *state;
    const uint8_t head[] = {MSG_CLIENT_HELLO, 0, 0x40, 0x01};
    pair_open(p, NULL, NULL, NULL, 0);
    p->results[TLS_SERVER] = tls_gnutls.receive(p->sides[TLS_SERVER].session, TLS_INITIAL, head, sizeof head);
    pair_assert_alert(p, TLS_SERVER, TLS_ALERT_DECODE_ERROR);
}

static uint32_t next_random(uint32_t *seed) {
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 8;
}

static uint32_t garble_seed;

static void garble(pair *p, tls_role from, pair_message *m) {
    (void)p;
    (void)from;
    if (next_random(&garble_seed) % 4 == 0)
        m->bytes[4 + next_random(&garble_seed) % (m->len - 4)] ^= (uint8_t)(1U << next_random(&garble_seed) % 8);
}

// One bit wrong anywhere, and the handshake never completes on the side that was lied to: both sides agree on every
// byte, or neither side is done with the other.
static void no_flipped_bit_goes_unnoticed(void **state) {
    pair *p = *state;
    size_t untouched = 0;
    p->filter = garble;
    for (uint32_t i = 0; i < 300; i++) {
        garble_seed = i * 7919;
        pair_shake(p, NULL, NULL, NULL, 0);
        if (p->results[0] == 0 && p->results[1] == 0 && tls_gnutls.done(p->sides[TLS_SERVER].session)) {
            pair_assert_done(p);
            untouched++;
        }
    }
    assert_in_range(untouched, 1, 150);
}

static void garbage_never_completes(void **state) {
    pair *p = *state;
    uint32_t seed = 1;
    for (int i = 0; i < 2000; i++) {
        pair_open(p, NULL, NULL, NULL, 0);
        for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
            uint8_t bytes[256];
            size_t len = 1 + next_random(&seed) % sizeof bytes;
            for (size_t k = 0; k < len; k++)
                bytes[k] = (uint8_t)next_random(&seed);
            if (i % 2 == 0) {  // of a kind and length that are looked into
                bytes[0] = role == TLS_SERVER ? MSG_CLIENT_HELLO : MSG_SERVER_HELLO;
                bytes[1] = bytes[2] = 0;
            }
            (void)tls_gnutls.receive(p->sides[role].session, TLS_INITIAL, bytes, len);
            assert_false(tls_gnutls.done(p->sides[role].session));
        }
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(another_server_is_refused),
        TEST(wrong_signatures_are_refused),
        TEST(wrong_finished_is_refused),
        TEST(missing_client_certificate_is_refused),
        TEST(skipped_client_certificate_is_refused),
        TEST(certificates_of_other_forms_are_refused),
        TEST(small_order_keys_are_refused),
        TEST(missing_extensions_are_refused),
        TEST(an_alpn_that_was_not_offered_is_refused),
        TEST(foreign_messages_are_refused),
        TEST(bytes_left_over_at_a_level_are_refused),
        TEST(messages_at_another_level_are_refused),
        TEST(oversized_messages_are_refused_at_once),
        TEST(no_flipped_bit_goes_unnoticed),
        TEST(garbage_never_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
