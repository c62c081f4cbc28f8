// Our own TLS handshake: the exchange of RFC 8448, and what a client may say behind its hello.
#include "web/tls_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "tls/web_state.h"
#include "unit/certificate_support.h"
#include "unit/tls_hello_support.h"

static web_certificate *certificate;

static int set_up(void **state) {
    (void)state;
    const test_certificate *c = test_certificate_get();
    assert_int_equal(web_certificate_new(c->chain, strlen(c->chain), c->key, strlen(c->key), &certificate), 0);
    assert_non_null(certificate->key);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    web_certificate_unref(certificate);
    return 0;
}

// --- RFC 8448, section 3

#define RFC_RANDOM "a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e26928"
#define RFC_SECRET "b1580eeadf6dd589b8ef4f2d5652578cc810e9980191ec8d058308cea216a21e"
#define RFC_ANSWER                                                                                                     \
    "020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e00330024001d0020c9828876" \
    "112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304"
#define RFC_CLIENT "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"
#define RFC_SERVER "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"

// A handshake of the server up to its answer, which is in `answer`.
typedef struct exchange {
    tls_server s;
    uint8_t *answer;
    size_t room, len;
} exchange;

static int exchange_open(exchange *e, const tls_credential *c, const uint8_t *hello, size_t len) {
    tls_server_seed seed;
    (void)bytes_of(RFC_RANDOM, seed.random, sizeof seed.random);
    (void)bytes_of(RFC_SECRET, seed.secret, sizeof seed.secret);
    e->room = tls_server_room(c);
    e->answer = malloc(e->room);
    assert_non_null(e->answer);
    int r = tls_server_answer(&e->s, c, &seed, hello, len, e->answer, e->room);
    e->len = r > 0 ? (size_t)r : 0;
    return r;
}

static void exchange_close(exchange *e) {
    tls_server_dispose(&e->s);
    free(e->answer);
}

static void exchange_of_rfc(exchange *e) {
    uint8_t hello[HELLO_ROOM];
    size_t len = rfc_hello(hello);
    assert_true(exchange_open(e, &certificate->credential, hello, len) > 0);
}

// The client's side of the records, with the secrets of the RFC.
static void client_record(tls_record *out, const char *read, const char *write) {
    tls_record_secret r = {.seq = 0}, w = {.seq = 0};
    (void)bytes_of(read, r.secret, sizeof r.secret);
    (void)bytes_of(write, w.secret, sizeof w.secret);
    tls_record_init(out, aead_suite_by_id(0x1301), false, &r, &w);
}

static void the_secrets_of_the_rfc_come_out(void **state) {
    (void)state;
    exchange e;
    uint8_t wanted[128], type, *data, *at;
    size_t len = bytes_of(RFC_ANSWER, wanted, sizeof wanted), data_len;
    exchange_of_rfc(&e);
    assert_memory_equal(e.answer + TLS_RECORD_HEADER, wanted, len);
    tls_record client;
    client_record(&client, RFC_SERVER, RFC_CLIENT);
    at = e.answer + TLS_RECORD_HEADER + len;  // no session id, no change of cipher
    size_t left = e.len - TLS_RECORD_HEADER - len;
    assert_int_equal(tls_record_open_any(&client, &at, &left, &type, &data, &data_len), 1);
    assert_int_equal(type, TLS_RECORD_HANDSHAKE);
    assert_int_equal(left, 0);
    assert_memory_equal(data, "\x08\0\0\x02\0\0\x0b", 7);
    (void)bytes_of(RFC_CLIENT, wanted, 32);
    assert_memory_equal(e.s.record.read.secret, wanted, 32);
    tls_record_dispose(&client);
    exchange_close(&e);
}

// --- What the client says behind its hello

// Gives the server a record with this content, from a client that knows the secrets.
static int say(exchange *e, tls_record *client, uint8_t type, const void *content, size_t len) {
    uint8_t room[TLS_RECORD_HEAD + 256 + TLS_RECORD_TAIL], *start;
    assert_true(len <= 256);
    if (len > 0)
        memcpy(room + TLS_RECORD_HEAD, content, len);
    int n = tls_record_seal(client, type, room + TLS_RECORD_HEAD, len, &start);
    assert_true(n > 0);
    return tls_server_take(&e->s, start, (size_t)n);
}

static void expect_failure(exchange *e, int r, uint8_t alert) {
    uint8_t room[TLS_RECORD_SMALL], *start, *data;
    size_t data_len;
    assert_int_equal(r, IROH_ERR_HANDSHAKE);
    assert_int_equal(e->s.alert, alert);
    assert_false(e->s.done);
    if (alert == TLS_ALERT_CLOSE_NOTIFY)
        return;
    // The client can read the alert with the keys of the application.
    tls_record_secret secret = {.seq = 0};
    memcpy(secret.secret, e->s.write, sizeof secret.secret);
    tls_record reader;
    tls_record_init(&reader, e->s.suite, false, &secret, &secret);
    int n = tls_server_put_alert(&e->s, room, &start);
    assert_true(n > 0);
    size_t len = (size_t)n;
    uint8_t type;
    assert_int_equal(tls_record_open_any(&reader, &start, &len, &type, &data, &data_len), 1);
    assert_int_equal(type, TLS_RECORD_ALERT);
    assert_true(data_len == 2 && data[0] == 2 && data[1] == alert);
    tls_record_dispose(&reader);
}

static void the_finished_may_come_in_pieces(void **state) {
    (void)state;
    for (size_t cut = 1; cut <= 36; cut++) {
        exchange e;
        tls_record client;
        exchange_of_rfc(&e);
        client_record(&client, RFC_SERVER, RFC_CLIENT);
        for (size_t at = 0; at < 36; at += cut) {
            size_t n = 36 - at < cut ? 36 - at : cut;
            assert_int_equal(say(&e, &client, TLS_RECORD_HANDSHAKE, e.s.expected + at, n), at + n == 36);
        }
        assert_true(e.s.done);
        tls_record_dispose(&client);
        exchange_close(&e);
    }
}

static void a_wrong_finished_is_the_end(void **state) {
    (void)state;
    for (size_t bit = 0; bit < 8 * 36; bit++) {
        exchange e;
        tls_record client;
        uint8_t finished[36];
        exchange_of_rfc(&e);
        client_record(&client, RFC_SERVER, RFC_CLIENT);
        memcpy(finished, e.s.expected, sizeof finished);
        finished[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect_failure(&e, say(&e, &client, TLS_RECORD_HANDSHAKE, finished, sizeof finished),
                       bit < 32 ? TLS_ALERT_UNEXPECTED : TLS_ALERT_DECRYPT);
        tls_record_dispose(&client);
        exchange_close(&e);
    }
}

static const struct {
    const char *name;
    uint8_t type;
    uint8_t content[64];
    size_t len;
    uint8_t alert;
} sealed[] = {
    {"data", TLS_RECORD_DATA, "GET / HTTP/1.1", 14, TLS_ALERT_UNEXPECTED},
    {"no data", TLS_RECORD_DATA, "", 0, TLS_ALERT_UNEXPECTED},
    {"an empty message", TLS_RECORD_HANDSHAKE, "", 0, TLS_ALERT_UNEXPECTED},
    {"a renewal of keys", TLS_RECORD_HANDSHAKE, {24, 0, 0, 1, 0}, 5, TLS_ALERT_UNEXPECTED},
    {"a certificate", TLS_RECORD_HANDSHAKE, {11, 0, 0, 4, 0, 0, 0, 0}, 8, TLS_ALERT_UNEXPECTED},
    {"a change of cipher", TLS_RECORD_CIPHER_CHANGE, {1}, 1, TLS_ALERT_UNEXPECTED},
    {"something behind the message", TLS_RECORD_HANDSHAKE, {20, 0, 0, 32}, 37, TLS_ALERT_UNEXPECTED},
    {"an alert", TLS_RECORD_ALERT, {2, 48}, 2, TLS_ALERT_CLOSE_NOTIFY},
};

static void only_a_finished_is_taken(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sealed / sizeof sealed[0]; i++) {
        exchange e;
        tls_record client;
        exchange_of_rfc(&e);
        client_record(&client, RFC_SERVER, RFC_CLIENT);
        expect_failure(&e, say(&e, &client, sealed[i].type, sealed[i].content, sealed[i].len), sealed[i].alert);
        tls_record_dispose(&client);
        exchange_close(&e);
    }
}

static const struct {
    const char *name;
    uint8_t bytes[32];
    size_t len;
    uint8_t alert;
} plain[] = {
    {"an alert", {21, 3, 3, 0, 2, 2, 48}, 7, TLS_ALERT_CLOSE_NOTIFY},
    {"half a header", {23, 3, 3}, 3, TLS_ALERT_DECODE},
    {"a header alone", {23, 3, 3, 0, 20}, 5, TLS_ALERT_DECODE},
    {"too long a record", {23, 3, 3, 0x41, 0x01}, 5, TLS_ALERT_OVERFLOW},
    {"another hello", {22, 3, 1, 0, 5, 1, 0, 0, 1, 0}, 10, TLS_ALERT_UNEXPECTED},
    {"too short for a tag", {23, 3, 3, 0, 4, 1, 2, 3, 4}, 9, TLS_ALERT_BAD_MAC},
    {"nothing that was sealed", {23, 3, 3, 0, 20}, 25, TLS_ALERT_BAD_MAC},
    {"another change", {20, 3, 3, 0, 1, 2}, 6, TLS_ALERT_UNEXPECTED},
    {"a longer change", {20, 3, 3, 0, 2, 1, 1}, 7, TLS_ALERT_UNEXPECTED},
    {"an empty change", {20, 3, 3, 0, 0}, 5, TLS_ALERT_UNEXPECTED},
};

static void what_is_not_sealed_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        exchange e;
        uint8_t record[32];
        exchange_of_rfc(&e);
        memcpy(record, plain[i].bytes, sizeof record);
        expect_failure(&e, tls_server_take(&e.s, record, plain[i].len), plain[i].alert);
        exchange_close(&e);
    }
}

static void changes_of_cipher_are_overlooked_for_a_while(void **state) {
    (void)state;
    exchange e;
    tls_record client;
    uint8_t change[] = {20, 3, 3, 0, 1, 1};
    exchange_of_rfc(&e);
    for (int i = 0; i < 32; i++)
        assert_int_equal(tls_server_take(&e.s, change, sizeof change), 0);
    client_record(&client, RFC_SERVER, RFC_CLIENT);
    assert_int_equal(say(&e, &client, TLS_RECORD_HANDSHAKE, e.s.expected, 36), 1);
    tls_record_dispose(&client);
    exchange_close(&e);
    exchange_of_rfc(&e);
    for (int i = 0; i < 32; i++)
        assert_int_equal(tls_server_take(&e.s, change, sizeof change), 0);
    expect_failure(&e, tls_server_take(&e.s, change, sizeof change), TLS_ALERT_UNEXPECTED);
    exchange_close(&e);
}

// A share that leads to a secret of zeros: nothing has happened then, the library may say what it thinks.
static void a_share_of_small_order_is_not_answered(void **state) {
    (void)state;
    uint8_t hello[HELLO_ROOM];
    size_t len = rfc_hello(hello);
    uint8_t *share = find_in(hello, len, "99381de560e4bd43");
    exchange e;
    memset(share, 0, 32);
    assert_int_equal(exchange_open(&e, &certificate->credential, hello, len), 0);
    exchange_close(&e);
    share[0] = 1;
    assert_int_equal(exchange_open(&e, &certificate->credential, hello, len), 0);
    exchange_close(&e);
}

static void a_chain_that_is_too_long_is_refused(void **state) {
    (void)state;
    uint8_t byte = 0, out[64];
    tls_certificate chain[2] = {{&byte, 0xffff}, {&byte, 1}};
    assert_int_equal(tls_server_put_certificate(chain, 1, NULL, 0), IROH_ERR_TOO_LARGE);
    chain[0].len = SIZE_MAX;
    assert_int_equal(tls_server_put_certificate(chain, 1, NULL, 0), IROH_ERR_TOO_LARGE);
    chain[0].len = 1;
    assert_int_equal(tls_server_put_certificate(chain, 2, NULL, 0), 4 + 1 + 3 + 2 * 6);
    assert_int_equal(tls_server_put_certificate(chain, 2, out, 4 + 1 + 3 + 2 * 6), 4 + 1 + 3 + 2 * 6);
    assert_int_equal(tls_server_put_certificate(chain, 2, out, 4 + 1 + 3 + 2 * 6 - 1), IROH_ERR_TOO_LARGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_secrets_of_the_rfc_come_out),
        cmocka_unit_test(the_finished_may_come_in_pieces),
        cmocka_unit_test(a_wrong_finished_is_the_end),
        cmocka_unit_test(only_a_finished_is_taken),
        cmocka_unit_test(what_is_not_sealed_is_refused),
        cmocka_unit_test(changes_of_cipher_are_overlooked_for_a_while),
        cmocka_unit_test(a_share_of_small_order_is_not_answered),
        cmocka_unit_test(a_chain_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
