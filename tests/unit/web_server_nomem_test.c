// Certificates and handshakes when memory fails at any point: an error, nothing lost.
#include "tls/web_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "tls/web_state.h"
#include "unit/certificate_support.h"
#include "unit/nomem_support.h"
#include "unit/tls_hello_support.h"

#define ROUNDS_MAX 100

static int load(web_certificate **out) {
    const test_certificate *c = test_certificate_get();
    *out = NULL;
    return web_certificate_new(c->chain, strlen(c->chain), c->key, strlen(c->key), out);
}

static void a_certificate_is_whole_or_none(void **state) {
    (void)state;
    (void)test_certificate_get();
    int failures = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        web_certificate *c;
        nomem_arm(round);
        int r = load(&c);
        bool untouched = !nomem_disarm();
        assert_true(r == 0 || (r == IROH_ERR_NOMEM && c == NULL));
        // One that has its own handshake, not one that was left to the library for want of memory.
        assert_true(r != 0 || c->key != NULL);
        web_certificate_unref(c);
        failures += r != 0;
        if (untouched)
            break;
    }
    assert_true(failures >= 3 && failures < ROUNDS_MAX);
}

// A handshake up to its end, with a client that knows the server's secrets.
static int shake_hands(web_certificate *c, size_t cut, bool library) {
    uint8_t record[TLS_RECORD_HEADER + HELLO_ROOM] = {TLS_RECORD_HANDSHAKE, 3, 1};
    size_t len = rfc_hello(record + TLS_RECORD_HEADER), out_len;
    if (library)
        find_in(record, sizeof record, "003300260024001d")[7] = 0xfa;  // no share that is known: a retry
    record[3] = (uint8_t)(len >> 8);
    record[4] = (uint8_t)len;
    web_handshake *h = NULL;
    int r = web_handshake_new(c, &h);
    if (r != 0) {
        assert_null(h);
        return r;
    }
    for (size_t at = 0; at < TLS_RECORD_HEADER + len && r == 0; at += cut) {
        const uint8_t *bytes = record + at;
        size_t left = TLS_RECORD_HEADER + len - at < cut ? TLS_RECORD_HEADER + len - at : cut;
        r = web_handshake_receive(h, &bytes, &left);
        (void)web_handshake_output(h, &out_len);
    }
    if (r == 0 && h->stage == WEB_FINISHED) {
        uint8_t room[TLS_RECORD_HEAD + 36 + TLS_RECORD_TAIL], *start;
        tls_record client;
        tls_record_secret secret = {.seq = 0};
        memcpy(secret.secret, h->own.record.read.secret, sizeof secret.secret);
        tls_record_init(&client, h->own.suite, false, &secret, &secret);
        memcpy(room + TLS_RECORD_HEAD, h->own.expected, 36);
        nomem_spare(true);
        size_t left = (size_t)tls_record_seal(&client, TLS_RECORD_HANDSHAKE, room + TLS_RECORD_HEAD, 36, &start);
        tls_record_dispose(&client);
        nomem_spare(false);
        const uint8_t *bytes = start;
        r = web_handshake_receive(h, &bytes, &left);
    }
    web_handshake_free(h);
    return r;
}

static void handshakes_fail_cleanly(void **state) {
    (void)state;
    web_certificate *c;
    assert_int_equal(load(&c), 0);
    for (int way = 0; way < 4; way++) {
        bool library = way / 2 != 0;
        int failures = 0;
        for (int round = 0; round < ROUNDS_MAX; round++) {
            nomem_arm(round);
            int r = shake_hands(c, way % 2 != 0 ? 1 : HELLO_ROOM, library);
            bool untouched = !nomem_disarm();
            if (untouched) {
                assert_int_equal(r, library ? 0 : 1);
                break;
            }
            assert_int_equal(r, IROH_ERR_NOMEM);
            failures++;
        }
        assert_true(failures >= (library ? 3 : 4) && failures < ROUNDS_MAX);
    }
    web_certificate_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_whole_or_none),
        cmocka_unit_test(handshakes_fail_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
