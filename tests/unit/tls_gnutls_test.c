// The peer TLS over GnuTLS: whole handshakes in memory, and what both sides choose. What ends one is in
// tls_refuse_test.c.
#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "tls/gnutls_state.h"
#include "unit/tls_pair_support.h"
#include "unit/vector_support.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const uint16_t suite_ids[] = {0x1301, 0x1302, 0x1303};

// --- Full handshakes

static void every_suite_shakes_hands(void **state) {
    pair *p = *state;
    for (size_t i = 0; i < LEN(suite_ids); i++) {
        pair_config one = {.suites = &suite_ids[i], .suite_count = 1};
        pair_shake(p, &one, NULL, NULL, 0);
        pair_assert_done(p);
        assert_int_equal(p->sides[TLS_CLIENT].secrets[TLS_APPLICATION][0].suite->id, suite_ids[i]);
        assert_false(tls_gnutls.resumed(p->sides[TLS_CLIENT].session));
        assert_false(p->sides[TLS_CLIENT].secrets[TLS_EARLY][1].given);
    }
}

static void server_chooses_the_suite(void **state) {
    pair *p = *state;
    const uint16_t iroh_order[] = {0x1302, 0x1301, 0x1303}, own_order[] = {0x1303, 0x1301};
    pair_config client = {.suites = iroh_order, .suite_count = 3};
    pair_shake(p, &client, NULL, NULL, 0);
    pair_assert_done(p);
    assert_int_equal(p->sides[TLS_CLIENT].secrets[TLS_APPLICATION][0].suite->id, 0x1301);
    pair_config server = {.suites = own_order, .suite_count = 2};
    pair_shake(p, &client, &server, NULL, 0);
    pair_assert_done(p);
    assert_int_equal(p->sides[TLS_CLIENT].secrets[TLS_APPLICATION][0].suite->id, 0x1303);
}

static void no_suite_in_common_is_refused(void **state) {
    pair *p = *state;
    pair_config client = {.suites = &suite_ids[0], .suite_count = 1},
                server = {.suites = &suite_ids[2], .suite_count = 1};
    pair_shake(p, &client, &server, NULL, 0);
    pair_assert_alert(p, TLS_SERVER, TLS_ALERT_HANDSHAKE_FAILURE);
}

static void assert_alpn(const pair *p, const char *name) {
    size_t len;
    const uint8_t *alpn = tls_gnutls.alpn(p->sides[TLS_CLIENT].session, &len);
    assert_int_equal(len, strlen(name));
    assert_memory_equal(alpn, name, len);
}

static void server_chooses_the_alpn(void **state) {
    pair *p = *state;
    pair_config client = {.alpns = "one two three"}, server = {.alpns = "four three two"};
    pair_shake(p, &client, &server, NULL, 0);
    pair_assert_done(p);
    assert_alpn(p, "three");
    // More of its own than GnuTLS could hold, and a name of the greatest length.
    pair_config many = {.alpns = "a b c d e f g h i j k l m n o p q r a-name-of-thirty-one-bytes-long"};
    pair_config longest = {.alpns = "x a-name-of-thirty-one-bytes-long y"};
    pair_shake(p, &longest, &many, NULL, 0);
    pair_assert_done(p);
    assert_alpn(p, "a-name-of-thirty-one-bytes-long");
}

static void no_alpn_in_common_is_refused(void **state) {
    pair *p = *state;
    pair_config client = {.alpns = "one"}, server = {.alpns = "onetwo on two"};
    pair_shake(p, &client, &server, NULL, 0);
    pair_assert_alert(p, TLS_SERVER, TLS_ALERT_NO_APPLICATION_PROTOCOL);
    pair_config none = {.alpns = ""};
    pair_shake(p, &client, &none, NULL, 0);
    pair_assert_alert(p, TLS_SERVER, TLS_ALERT_NO_APPLICATION_PROTOCOL);
}

static void bytes_may_come_in_any_pieces(void **state) {
    pair *p = *state;
    for (size_t chunk = 1; chunk < 40; chunk += 3) {
        p->chunk = chunk;
        pair_shake(p, NULL, NULL, NULL, 0);
        pair_tickets(p, 2);
        pair_assert_done(p);
        assert_int_equal(p->sides[TLS_CLIENT].session_count, 2);
        pair_forget_sessions(p);
    }
}

// All the messages of a level in one piece, as a datagram brings them.
static void a_whole_flight_may_come_at_once(void **state) {
    pair *p = *state;
    pair_open(p, NULL, NULL, NULL, 0);
    for (int turn = 0; turn < 4; turn++) {
        pair_side *from = &p->sides[turn % 2];
        uint8_t flight[4][PAIR_MESSAGES_MAX * 128];
        size_t lens[4] = {0};
        for (; from->delivered < from->sent_count; from->delivered++) {
            const pair_message *m = &from->sent[from->delivered];
            assert_true(lens[m->level] + m->len <= sizeof flight[0]);
            memcpy(flight[m->level] + lens[m->level], m->bytes, m->len);
            lens[m->level] += m->len;
        }
        for (tls_level level = TLS_INITIAL; level <= TLS_APPLICATION; level++)
            assert_int_equal(tls_gnutls.receive(p->sides[1 - turn % 2].session, level, flight[level], lens[level]), 0);
    }
    pair_assert_done(p);
}

// A server may write, and only write, application data before the client has finished.
static void secrets_come_when_they_may_be_used(void **state) {
    pair *p = *state;
    pair_open(p, NULL, NULL, NULL, 0);
    const pair_message *hello = &p->sides[TLS_CLIENT].sent[0];
    assert_int_equal(tls_gnutls.receive(p->sides[TLS_SERVER].session, TLS_INITIAL, hello->bytes, hello->len), 0);
    const pair_side *server = &p->sides[TLS_SERVER];
    assert_true(server->secrets[TLS_HANDSHAKE][0].given && server->secrets[TLS_HANDSHAKE][1].given);
    assert_true(server->secrets[TLS_APPLICATION][1].given);
    assert_false(server->secrets[TLS_APPLICATION][0].given);
    size_t len;
    assert_non_null(tls_gnutls.peer_params(server->session, &len));
    assert_non_null(tls_gnutls.alpn(server->session, &len));
    assert_null(tls_gnutls.peer_key(server->session));
    assert_null(tls_gnutls.exporter_secret(server->session, &len));
    p->sides[TLS_CLIENT].delivered = 1;
    pair_pump(p);
    pair_assert_done(p);
}

// The extensions of the ClientHello that is on the way, as a set of their types below 64.
static uint64_t extension_types(const pair_message *m) {
    size_t at = 4 + 2 + 32;
    at += 1U + m->bytes[at];
    at += 2U + (size_t)(m->bytes[at] << 8 | m->bytes[at + 1]);
    at += 1U + m->bytes[at] + 2U;
    uint64_t types = 0;
    while (at + 4 <= m->len) {
        unsigned type = (unsigned)(m->bytes[at] << 8 | m->bytes[at + 1]);
        types |= type < 64 ? UINT64_C(1) << type : 0;
        at += 4U + (size_t)(m->bytes[at + 2] << 8 | m->bytes[at + 3]);
    }
    return types;
}

static void client_hello_looks_like_an_iroh_one(void **state) {
    pair *p = *state;
    pair_open(p, NULL, NULL, NULL, 0);
    assert_int_equal(p->sides[TLS_CLIENT].sent_count, 1);
    const pair_message *hello = &p->sides[TLS_CLIENT].sent[0];
    assert_int_equal(hello->level, TLS_INITIAL);
    assert_int_equal(hello->bytes[4 + 2 + 32], 0);  // no session id
    uint64_t types = extension_types(hello);
    const unsigned wanted[] = {10, 13, 16, 19, 20, 43, 45, 51, 57}, unwanted[] = {0, 5, 35, 41, 42};
    for (size_t i = 0; i < LEN(wanted); i++)
        assert_true(types >> wanted[i] & 1);
    for (size_t i = 0; i < LEN(unwanted); i++)
        assert_false(types >> unwanted[i] & 1);
}

static void real_client_hellos_are_answered(void **state) {
    pair *p = *state;
    vectors v;
    vectors_open(&v, "client_hello.txt");
    while (vectors_next(&v)) {
        uint8_t hello[1024];
        char name[64] = "other ";
        size_t len = vectors_bytes(&v, "hello", hello, sizeof hello);
        size_t name_len = vectors_bytes(&v, "alpn", (uint8_t *)name + 6, sizeof name - 7);
        pair_config server = {.alpns = name};
        pair_open(p, NULL, &server, NULL, 0);
        const pair_side *side = &p->sides[TLS_SERVER];
        assert_int_equal(tls_gnutls.receive(side->session, TLS_INITIAL, hello, len), 0);
        const uint8_t kinds[] = {MSG_SERVER_HELLO, MSG_ENCRYPTED_EXTENSIONS, MSG_CERTIFICATE_REQUEST,
                                 MSG_CERTIFICATE,  MSG_CERTIFICATE_VERIFY,   MSG_FINISHED};
        assert_int_equal(side->sent_count, LEN(kinds));
        for (size_t i = 0; i < LEN(kinds); i++)
            assert_int_equal(side->sent[i].bytes[0], kinds[i]);
        assert_int_equal(side->secrets[TLS_APPLICATION][1].suite->id, 0x1301);
        assert_false(side->secrets[TLS_EARLY][0].given);  // no ticket of ours
        size_t got;
        assert_memory_equal(tls_gnutls.alpn(side->session, &got), name + 6, name_len);
        assert_int_equal(got, name_len);
        assert_non_null(tls_gnutls.peer_params(side->session, &got));
        assert_int_equal(got, vectors_u64(&v, "params"));
    }
}

static void bad_configurations_are_refused(void **state) {
    pair *p = *state;
    tls_callbacks callbacks = {.send = NULL};
    tls_alpn alpn = {.name = (const uint8_t *)"x", .len = 1};
    tls_config config = {.role = TLS_SERVER,
                         .alpns = &alpn,
                         .alpn_count = 1,
                         .params = alpn.name,
                         .params_len = 1,
                         .callbacks = &callbacks};
    tls_session *s;
    assert_int_equal(tls_gnutls.session_new(p->contexts[1], &config, &s), IROH_ERR_ARG);  // no callbacks
    pair_open(p, NULL, NULL, NULL, 0);
    callbacks = p->sides[0].session->callbacks;
    const uint16_t unknown = 0x1304;
    config.suites = &unknown;
    config.suite_count = 1;
    assert_int_equal(tls_gnutls.session_new(p->contexts[1], &config, &s), IROH_ERR_ARG);
    config.suites = NULL;
    config.role = TLS_CLIENT;
    assert_int_equal(tls_gnutls.session_new(p->contexts[0], &config, &s), IROH_ERR_ARG);  // no expected key
    config.expected_key = p->identities[1].public_key;
    config.alpn_count = 0;
    assert_int_equal(tls_gnutls.session_new(p->contexts[0], &config, &s), IROH_ERR_ARG);
    config.alpn_count = 1;
    alpn.len = 0;
    assert_int_equal(tls_gnutls.session_new(p->contexts[0], &config, &s), IROH_ERR_ARG);
    alpn.len = 1;
    assert_int_equal(tls_gnutls.session_new(p->contexts[0], &config, &s), 0);
    assert_int_equal(tls_gnutls.send_ticket(s), IROH_ERR_ARG);
    tls_gnutls.session_free(s);
}

static void a_refusing_callback_ends_the_handshake(void **state) {
    pair *p = *state;
    p->sides[TLS_SERVER].send_result = IROH_ERR_INTERNAL;
    pair_shake(p, NULL, NULL, NULL, 0);
    pair_assert_alert(p, TLS_SERVER, TLS_ALERT_INTERNAL_ERROR);
    p->sides[TLS_SERVER].send_result = IROH_ERR_NOMEM;
    pair_shake(p, NULL, NULL, NULL, 0);
    assert_int_equal(p->results[TLS_SERVER], IROH_ERR_NOMEM);
    p->sides[TLS_SERVER].send_result = 0;
}

// --- Groups

static void shake_with_groups(pair *p, const char *groups, size_t hellos) {
    char text[512];
    (void)snprintf(text, sizeof text,
                   "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:%s:+SIGN-EDDSA-ED25519:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK:"
                   "%%DISABLE_TLS13_COMPAT_MODE",
                   groups);
    pair_open(p, NULL, NULL, NULL, 0);
    // Once more, with other groups.
    pair_side *client = &p->sides[TLS_CLIENT];
    assert_int_equal(tls_session_open(client->session), 0);
    assert_int_equal(gnutls_priority_set_direct(client->session->tls, text, NULL), 0);
    client->sent_count = client->log_count = 0;
    assert_int_equal(tls_gnutls.start(client->session), 0);
    pair_pump(p);
    pair_assert_done(p);
    size_t initials = 0;
    for (size_t i = 0; i < client->sent_count; i++)
        initials += client->sent[i].level == TLS_INITIAL;
    assert_int_equal(initials, hellos);
}

static void groups_are_found_with_or_without_a_retry(void **state) {
    shake_with_groups(*state, "+GROUP-X25519", 1);
    shake_with_groups(*state, "+GROUP-SECP256R1", 1);
    shake_with_groups(*state, "+GROUP-SECP384R1:+GROUP-X25519", 2);
    shake_with_groups(*state, "+GROUP-SECP384R1:+GROUP-SECP256R1", 2);
}

static void change_second_hello(pair *p, tls_role from, pair_message *m) {
    if (from != TLS_CLIENT || m->bytes[0] != MSG_CLIENT_HELLO)
        return;
    if (p->filter_arg != NULL) {  // the second: another name
        for (size_t i = 0; i + 4 < m->len; i++)
            if (memcmp(m->bytes + i, "test", 4) == 0)
                m->bytes[i] = 'b';
    }
    p->filter_arg = m;
}

static void second_hello_must_repeat_the_first(void **state) {
    pair *p = *state;
    pair_config server = {.alpns = "test best"};
    pair_open(p, NULL, &server, NULL, 0);
    tls_session *client = p->sides[TLS_CLIENT].session;
    assert_int_equal(tls_session_open(client), 0);
    assert_int_equal(gnutls_priority_set_direct(client->tls,
                                                "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+GROUP-SECP384R1:+GROUP-X25519:"
                                                "+SIGN-EDDSA-ED25519:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK",
                                                NULL),
                     0);
    p->sides[TLS_CLIENT].sent_count = 0;
    assert_int_equal(tls_gnutls.start(client), 0);
    p->filter = change_second_hello;
    pair_pump(p);
    pair_assert_alert(p, TLS_SERVER, (uint8_t)GNUTLS_A_ILLEGAL_PARAMETER);
}

// --- Key log

static const char *const log_labels[] = {"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
                                         "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET"};

static const char *find_log(const pair_side *side, const char *label) {
    const char *found = NULL;
    for (size_t i = 0; i < side->log_count; i++) {
        size_t len = strlen(label);
        if (strncmp(side->log[i], label, len) == 0 && side->log[i][len] == ' ') {
            assert_null(found);
            found = side->log[i] + len + 1;
        }
    }
    return found;
}

static void assert_log(const pair *p, tls_role role, const char *label, const uint8_t *secret, size_t len) {
    char wanted[64 + 1 + 2 * AEAD_HASH_MAX + 1] = "";
    hex_encode(p->sides[TLS_CLIENT].sent[0].bytes + 4 + 2, 32, wanted);  // the client's random
    wanted[64] = ' ';
    hex_encode(secret, len, wanted + 65);
    const char *line = find_log(&p->sides[role], label);
    assert_non_null(line);
    assert_string_equal(line, wanted);
}

static void key_log_has_every_secret_once(void **state) {
    pair *p = *state;
    for (size_t i = 0; i < 2; i++) {
        pair_config one = {.suites = &suite_ids[i], .suite_count = 1};
        pair_shake(p, &one, NULL, NULL, 0);
        pair_assert_done(p);
        const pair_side *client = &p->sides[TLS_CLIENT];
        size_t len = client->secrets[TLS_APPLICATION][1].suite->hash_len;
        for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
            assert_int_equal(p->sides[role].log_count, LEN(log_labels));
            assert_log(p, (tls_role)role, log_labels[0], client->secrets[TLS_HANDSHAKE][1].bytes, len);
            assert_log(p, (tls_role)role, log_labels[1], client->secrets[TLS_HANDSHAKE][0].bytes, len);
            assert_log(p, (tls_role)role, log_labels[2], client->secrets[TLS_APPLICATION][1].bytes, len);
            assert_log(p, (tls_role)role, log_labels[3], client->secrets[TLS_APPLICATION][0].bytes, len);
            const uint8_t *exporter = tls_gnutls.exporter_secret(client->session, &len);
            assert_log(p, (tls_role)role, log_labels[4], exporter, len);
        }
    }
}

static void key_log_is_kept_from_those_who_did_not_ask(void **state) {
    pair *p = *state;
    pair_config quiet = {.no_keylog = true};
    pair_shake(p, &quiet, NULL, NULL, 0);
    pair_assert_done(p);
    assert_int_equal(p->sides[TLS_CLIENT].log_count, 0);
    assert_int_equal(p->sides[TLS_SERVER].log_count, LEN(log_labels));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_suite_shakes_hands),
        TEST(server_chooses_the_suite),
        TEST(no_suite_in_common_is_refused),
        TEST(server_chooses_the_alpn),
        TEST(no_alpn_in_common_is_refused),
        TEST(bytes_may_come_in_any_pieces),
        TEST(a_whole_flight_may_come_at_once),
        TEST(secrets_come_when_they_may_be_used),
        TEST(client_hello_looks_like_an_iroh_one),
        TEST(real_client_hellos_are_answered),
        TEST(bad_configurations_are_refused),
        TEST(a_refusing_callback_ends_the_handshake),
        TEST(groups_are_found_with_or_without_a_retry),
        TEST(second_hello_must_repeat_the_first),
        TEST(key_log_has_every_secret_once),
        TEST(key_log_is_kept_from_those_who_did_not_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
