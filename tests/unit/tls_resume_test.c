// Tickets, resumption and early data of the peer TLS: when they work, and what makes them fall back.
#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tls/gnutls_state.h"
#include "unit/tls_pair_support.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const uint16_t suite_ids[] = {0x1301, 0x1302, 0x1303};

// A full handshake and its tickets.
static void first_meeting(pair *p, const pair_config *client, const pair_config *server) {
    pair_forget_sessions(p);
    pair_shake(p, client, server, NULL, 0);
    pair_assert_done(p);
    pair_tickets(p, 2);
    assert_int_equal(p->sides[TLS_CLIENT].session_count, 2);
}

// The handshake with one of the sessions that the client got.
static void meet_again(pair *p, const pair_config *client, const pair_config *server, size_t which) {
    pair_side *side = &p->sides[TLS_CLIENT];
    pair_shake(p, client, server, side->sessions[which], side->session_lens[which]);
    pair_assert_done(p);
}

static bool was_resumed(const pair *p) {
    return tls_gnutls.resumed(p->sides[TLS_SERVER].session);
}

static bool early_was_offered(const pair *p) {
    return p->sides[TLS_CLIENT].secrets[TLS_EARLY][1].given;
}

static bool early_was_accepted(const pair *p) {
    return tls_gnutls.early_accepted(p->sides[TLS_CLIENT].session);
}

static void assert_full(const pair *p) {
    assert_false(was_resumed(p));
    assert_false(early_was_accepted(p));
}

static void every_suite_resumes_with_early_data(void **state) {
    pair *p = *state;
    for (size_t i = 0; i < LEN(suite_ids); i++) {
        pair_config one = {.suites = &suite_ids[i], .suite_count = 1};
        first_meeting(p, &one, NULL);
        for (size_t which = 0; which < 2; which++) {
            meet_again(p, &one, NULL, which);
            assert_true(was_resumed(p));
            assert_true(early_was_offered(p) && early_was_accepted(p));
            assert_int_equal(p->sides[TLS_SERVER].secrets[TLS_EARLY][0].suite->id, suite_ids[i]);
        }
    }
}

static void resumed_sessions_give_tickets_too(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    for (int i = 0; i < 5; i++) {
        meet_again(p, NULL, NULL, 0);
        assert_true(early_was_accepted(p));
        pair_forget_sessions(p);
        pair_tickets(p, 2);
        assert_int_equal(p->sides[TLS_CLIENT].session_count, 2);
    }
}

static void early_data_is_offered_in_any_pieces(void **state) {
    pair *p = *state;
    p->chunk = 1;
    first_meeting(p, NULL, NULL);
    meet_again(p, NULL, NULL, 1);
    assert_true(early_was_accepted(p));
}

// The client can write at the handshake level as soon as it can read there, though its early data is not over.
static void handshake_secrets_come_together(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    pair_side *client = &p->sides[TLS_CLIENT], *server = &p->sides[TLS_SERVER];
    pair_open(p, NULL, NULL, client->sessions[0], client->session_lens[0]);
    assert_true(early_was_offered(p));
    const pair_message *hello = &client->sent[0];
    assert_int_equal(tls_gnutls.receive(server->session, TLS_INITIAL, hello->bytes, hello->len), 0);
    assert_true(server->secrets[TLS_EARLY][0].given);
    const pair_message *answer = &server->sent[0];
    assert_int_equal(answer->level, TLS_INITIAL);
    assert_int_equal(tls_gnutls.receive(client->session, TLS_INITIAL, answer->bytes, answer->len), 0);
    assert_true(client->secrets[TLS_HANDSHAKE][0].given && client->secrets[TLS_HANDSHAKE][1].given);
    assert_false(tls_gnutls.done(client->session));
    client->delivered = server->delivered = 1;
    pair_pump(p);
    pair_assert_done(p);
}

static void a_ticket_works_once(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_accepted(p));
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_offered(p));
    assert_full(p);
    meet_again(p, NULL, NULL, 1);
    assert_true(early_was_accepted(p));
}

// The same ClientHello, byte for byte, as one that watches the network could send it.
static void a_replayed_hello_gets_no_early_data(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_accepted(p));
    pair_message hello = p->sides[TLS_CLIENT].sent[0];
    pair_open(p, NULL, NULL, NULL, 0);
    tls_session *server = p->sides[TLS_SERVER].session;
    assert_int_equal(tls_gnutls.receive(server, TLS_INITIAL, hello.bytes, hello.len), 0);
    assert_false(p->sides[TLS_SERVER].secrets[TLS_EARLY][0].given);
    assert_false(tls_gnutls.done(server));
}

static void a_ticket_of_another_life_is_unknown(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    tls_gnutls.session_free(p->sides[TLS_SERVER].session);
    p->sides[TLS_SERVER].session = NULL;
    pair_restart(p, TLS_SERVER);
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_offered(p));
    assert_full(p);
    pair_forget_sessions(p);
    pair_tickets(p, 1);
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_accepted(p));
}

static void another_alpn_resumes_without_early_data(void **state) {
    pair *p = *state;
    pair_config one = {.alpns = "one"}, both = {.alpns = "one two"}, server = {.alpns = "two one"};
    first_meeting(p, &one, &server);
    meet_again(p, &both, &server, 0);
    assert_true(early_was_offered(p));
    assert_true(was_resumed(p));
    assert_false(early_was_accepted(p));
    // Without the name of the session there is nothing that early data could be sent for.
    pair_config two = {.alpns = "two"};
    meet_again(p, &two, &server, 1);
    assert_false(early_was_offered(p));
    assert_true(was_resumed(p));
}

static void early_data_must_be_wanted_by_both(void **state) {
    pair *p = *state;
    pair_config without = {.no_early = true};
    first_meeting(p, NULL, NULL);
    meet_again(p, &without, NULL, 0);
    assert_false(early_was_offered(p));
    assert_true(was_resumed(p));
    meet_again(p, NULL, &without, 1);
    assert_true(early_was_offered(p));
    assert_true(was_resumed(p));
    assert_false(early_was_accepted(p));
    // A server that takes none says so in its tickets.
    first_meeting(p, NULL, &without);
    meet_again(p, NULL, NULL, 0);
    assert_false(early_was_offered(p));
    assert_true(was_resumed(p));
}

static void another_suite_falls_back(void **state) {
    pair *p = *state;
    const uint16_t chacha_first[] = {0x1303, 0x1301, 0x1302}, aes256_first[] = {0x1302, 0x1301};
    pair_config chacha = {.suites = chacha_first, .suite_count = 3},
                aes256 = {.suites = aes256_first, .suite_count = 2};
    // The same hash: resumed, but early data belongs to a suite.
    first_meeting(p, NULL, NULL);
    meet_again(p, NULL, &chacha, 0);
    assert_true(was_resumed(p));
    assert_false(early_was_accepted(p));
    // Another hash: the ticket is of no use.
    meet_again(p, NULL, &aes256, 1);
    assert_full(p);
    // A suite that the client no longer allows: it does not offer the session.
    first_meeting(p, NULL, NULL);
    pair_config client = {.suites = &suite_ids[1], .suite_count = 1};
    meet_again(p, &client, NULL, 0);
    assert_false(early_was_offered(p));
    assert_full(p);
}

// A HelloRetryRequest takes the place of early data; the ticket still counts. The server alone is looked at: a client of
// GnuTLS 3.7 can have early data or a retry, but does not come through with both.
static void a_retry_gives_up_early_data(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    pair_side *client = &p->sides[TLS_CLIENT];
    pair_open(p, NULL, NULL, client->sessions[0], client->session_lens[0]);
    // Once more, with a share of a key that the server has no use for.
    assert_int_equal(tls_session_open(client->session), 0);
    assert_int_equal(gnutls_priority_set_direct(client->session->tls,
                                                "NONE:+VERS-TLS1.3:+AES-128-GCM:+AEAD:+GROUP-SECP384R1:+GROUP-X25519:"
                                                "+SIGN-EDDSA-ED25519:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK",
                                                NULL),
                     0);
    client->sent_count = 0;
    client->secrets[TLS_EARLY][1].given = false;
    assert_int_equal(tls_gnutls.start(client->session), 0);
    assert_true(early_was_offered(p));
    pair_pump(p);
    const pair_side *server = &p->sides[TLS_SERVER];
    assert_int_equal(p->results[TLS_SERVER], 0);
    assert_false(server->secrets[TLS_EARLY][0].given);
    assert_true(server->secrets[TLS_APPLICATION][1].given);
    const uint8_t kinds[] = {MSG_SERVER_HELLO, MSG_SERVER_HELLO, MSG_ENCRYPTED_EXTENSIONS, MSG_FINISHED};
    assert_int_equal(server->sent_count, LEN(kinds));
    for (size_t i = 0; i < LEN(kinds); i++)
        assert_int_equal(server->sent[i].bytes[0], kinds[i]);
}

static void a_session_is_of_one_peer(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    // The same server under another key.
    tls_gnutls.session_free(p->sides[TLS_SERVER].session);
    p->sides[TLS_SERVER].session = NULL;
    p->identities[TLS_SERVER] = p->identities[TLS_CLIENT];
    pair_restart(p, TLS_SERVER);
    meet_again(p, NULL, NULL, 0);
    assert_false(early_was_offered(p));
    assert_full(p);
}

static void damaged_sessions_are_ignored_or_harmless(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    pair_side *client = &p->sides[TLS_CLIENT];
    size_t len = client->session_lens[0];
    uint8_t *copy = malloc(len);
    assert_non_null(copy);
    for (size_t cut = 0; cut < len; cut += 3) {
        memcpy(copy, client->sessions[0], len);
        pair_shake(p, NULL, NULL, copy, cut);
        pair_assert_done(p);
    }
    memset(copy, 0xff, len);
    pair_shake(p, NULL, NULL, copy, len);
    pair_assert_done(p);
    assert_full(p);
    free(copy);
}

// The times in a session of GnuTLS are two big-endian words of seconds; makes those of about now older.
static size_t age(uint8_t *session, size_t len, uint32_t seconds) {
    uint32_t now = (uint32_t)time(NULL);
    size_t count = 0;
    for (size_t i = 0; i + 8 <= len; i++) {
        uint32_t high = 0, low = 0;
        for (size_t k = 0; k < 4; k++) {
            high = high << 8 | session[i + k];
            low = low << 8 | session[i + 4 + k];
        }
        if (high != 0 || low > now || low + 60 < now)
            continue;
        low -= seconds;
        for (size_t k = 0; k < 4; k++)
            session[i + 7 - k] = (uint8_t)(low >> (8 * k));
        count++;
    }
    return count;
}

static void a_stale_session_is_not_offered(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    pair_side *client = &p->sides[TLS_CLIENT];
    assert_int_equal(age(client->sessions[0], client->session_lens[0], 86410), 1);
    meet_again(p, NULL, NULL, 0);
    assert_false(early_was_offered(p));
    assert_full(p);
    assert_int_equal(client->sent[0].bytes[0], MSG_CLIENT_HELLO);
}

// A client may count whole seconds, as those of iroh do, and so take a ticket to be up to a second older than it is.
static void a_client_that_counts_seconds_gets_early_data(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    pair_side *client = &p->sides[TLS_CLIENT];
    assert_int_equal(age(client->sessions[0], client->session_lens[0], 1), 1);
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_accepted(p));
}

// --- Tickets as they come

static void give_ticket_message(pair *p, const uint8_t *early, size_t early_len) {
    uint8_t m[128] = {MSG_NEW_SESSION_TICKET, 0, 0, 0, 0, 1, 0x51, 0x80, 1, 2, 3, 4, 1, 0, 0, 4, 't', 'e', 's', 't'};
    size_t len = 20;
    m[len++] = 0;
    m[len++] = (uint8_t)early_len;
    memcpy(m + len, early, early_len);
    len += early_len;
    m[3] = (uint8_t)(len - 4);
    p->results[TLS_CLIENT] = tls_gnutls.receive(p->sides[TLS_CLIENT].session, TLS_APPLICATION, m, len);
}

static void tickets_must_not_limit_early_data(void **state) {
    pair *p = *state;
    const uint8_t any[] = {0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff}, some[] = {0, 42, 0, 4, 0, 0, 0xff, 0xff};
    pair_shake(p, NULL, NULL, NULL, 0);
    give_ticket_message(p, any, sizeof any);
    assert_int_equal(p->results[TLS_CLIENT], 0);
    assert_int_equal(p->sides[TLS_CLIENT].session_count, 1);
    give_ticket_message(p, some, 0);
    assert_int_equal(p->results[TLS_CLIENT], 0);
    assert_int_equal(p->sides[TLS_CLIENT].session_count, 2);
    give_ticket_message(p, some, sizeof some);
    assert_int_equal(p->results[TLS_CLIENT], IROH_ERR_HANDSHAKE);
    assert_int_equal(tls_gnutls.alert(p->sides[TLS_CLIENT].session), GNUTLS_A_ILLEGAL_PARAMETER);
    assert_int_equal(p->sides[TLS_CLIENT].session_count, 2);
    // Of the two good ones, the first allowed early data; nobody knows either.
    meet_again(p, NULL, NULL, 0);
    assert_true(early_was_offered(p));
    assert_full(p);
    meet_again(p, NULL, NULL, 1);
    assert_false(early_was_offered(p));
    assert_full(p);
}

static void early_data_is_in_the_key_log(void **state) {
    pair *p = *state;
    first_meeting(p, NULL, NULL);
    meet_again(p, NULL, NULL, 0);
    for (int role = TLS_CLIENT; role <= TLS_SERVER; role++) {
        size_t found = 0;
        for (size_t i = 0; i < p->sides[role].log_count; i++)
            found += strncmp(p->sides[role].log[i], "CLIENT_EARLY_TRAFFIC_SECRET ", 28) == 0;
        assert_int_equal(found, 1);
        assert_int_equal(p->sides[role].log_count, 7);  // and the early exporter, and the five of any handshake
    }
}

// --- The table of tickets

static void fill_zero(void *user, void *out, size_t len) {
    (void)user;
    memset(out, 0, len);
}

static void the_oldest_tickets_go_first(void **state) {
    (void)state;
    const entropy zero = {.fill = fill_zero};
    const uint8_t bytes[TICKET_SECRET] = {7};
    ticket_facts facts = {.secret = bytes, .peer_key = bytes, .suite = 0x1301, .alpn = bytes, .alpn_len = 3};
    tickets t;
    tickets_init(&t, &zero);
    for (uint32_t i = 0; i < TICKETS_MAX + 10; i++)
        assert_int_equal(tickets_add(&t, (const uint8_t *)&i, sizeof i, &facts), 0);
    for (uint32_t i = 0; i < TICKETS_MAX + 10; i += 5) {
        ticket *one = tickets_take(&t, (const uint8_t *)&i, sizeof i);
        assert_int_equal(one != NULL, i >= 10);
        if (one == NULL)
            continue;
        assert_int_equal(one->alpn_len, 3);
        assert_memory_equal(one->secret, bytes, sizeof bytes);
        ticket_free(one);
        assert_null(tickets_take(&t, (const uint8_t *)&i, sizeof i));
    }
    // The same bytes again are one ticket.
    uint32_t last = TICKETS_MAX + 9;
    size_t count = t.by_id.count;
    assert_int_equal(tickets_add(&t, (const uint8_t *)&last, sizeof last, &facts), 0);
    assert_in_range(t.by_id.count, count, count + 1);
    ticket_free(tickets_take(&t, (const uint8_t *)&last, sizeof last));
    assert_null(tickets_take(&t, (const uint8_t *)&last, sizeof last));
    tickets_dispose(&t);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, pair_set_up, pair_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(every_suite_resumes_with_early_data),
        TEST(resumed_sessions_give_tickets_too),
        TEST(early_data_is_offered_in_any_pieces),
        TEST(handshake_secrets_come_together),
        TEST(a_ticket_works_once),
        TEST(a_replayed_hello_gets_no_early_data),
        TEST(a_ticket_of_another_life_is_unknown),
        TEST(another_alpn_resumes_without_early_data),
        TEST(early_data_must_be_wanted_by_both),
        TEST(another_suite_falls_back),
        TEST(a_retry_gives_up_early_data),
        TEST(a_session_is_of_one_peer),
        TEST(damaged_sessions_are_ignored_or_harmless),
        TEST(a_stale_session_is_not_offered),
        TEST(a_client_that_counts_seconds_gets_early_data),
        TEST(tickets_must_not_limit_early_data),
        TEST(early_data_is_in_the_key_log),
        cmocka_unit_test(the_oldest_tickets_go_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
