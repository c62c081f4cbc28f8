// Two TLS sessions in memory: what one sends, the other receives, message by message, and a test may change any of it
// on the way.
#ifndef UNIT_TLS_PAIR_SUPPORT_H
#define UNIT_TLS_PAIR_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/tls.h"

#define PAIR_MESSAGES_MAX 64
#define PAIR_MESSAGE_ROOM 4096
#define PAIR_SESSIONS_MAX 4
#define PAIR_LOG_MAX 16
#define PAIR_ALPNS_MAX 20

typedef struct pair_message {
    tls_level level;
    size_t len;
    uint8_t bytes[PAIR_MESSAGE_ROOM];
} pair_message;

typedef struct pair_secret {
    bool given;
    const aead_suite *suite;
    uint8_t bytes[AEAD_HASH_MAX];
} pair_secret;

typedef struct pair_side {
    tls_session *session;
    pair_message *sent;  // PAIR_MESSAGES_MAX, in order
    size_t sent_count, delivered;
    pair_secret secrets[4][2];  // by level; 1: of what this side writes
    uint8_t *sessions[PAIR_SESSIONS_MAX];
    size_t session_lens[PAIR_SESSIONS_MAX];
    size_t session_count;
    char log[PAIR_LOG_MAX][320];
    size_t log_count;
    int send_result;  // what the send callback returns
} pair_side;

typedef struct pair pair;

// Changes a message on its way; `from` is who sent it. Its room is PAIR_MESSAGE_ROOM.
typedef void (*pair_filter)(pair *p, tls_role from, pair_message *m);

// What differs between tests; zeroes mean the defaults named here.
typedef struct pair_config {
    const char *alpns;       // words separated by spaces; "test"
    const uint16_t *suites;  // of tls_config
    size_t suite_count;
    bool no_early, no_keylog;  // early data and the key log are on
    struct web_roots *roots;   // client: of tls_config, instead of a key
    const char *server_name;
} pair_config;

struct pair {
    tls_context *contexts[2];  // by role; live longer than one handshake
    tls_identity identities[2];
    pair_side sides[2];
    pair_filter filter;
    void *filter_arg;
    size_t chunk;                 // bytes given to receive at once, 0: whole messages
    const uint8_t *expected_key;  // of the client; null: the server's
    int results[2];               // the first failure of each side
};

extern const uint8_t pair_params[2][8];  // what each role sends as transport parameters

void pair_init(pair *p);     // makes the contexts
void pair_dispose(pair *p);  // and everything else

// The same for a test of cmocka, whose state the pair then is.
int pair_set_up(void **state);
int pair_tear_down(void **state);

// A new context for a role, as after a restart.
void pair_restart(pair *p, tls_role role);

// Makes both sessions and starts them; `session` is what the client resumes with, null: nothing. Sessions of the
// handshake before are freed first; the tickets that the client got stay.
void pair_open(pair *p, const pair_config *client, const pair_config *server, const uint8_t *session, size_t len);

// Carries messages until neither side has more, or one fails.
void pair_pump(pair *p);

// pair_open and pair_pump.
void pair_shake(pair *p, const pair_config *client, const pair_config *server, const uint8_t *session, size_t len);

// The server sends `count` tickets, and the client gets them.
void pair_tickets(pair *p, size_t count);

// Both done, with equal secrets, names, keys, exporters and parameters: fails the test otherwise.
void pair_assert_done(pair *p);

// `role` failed with this alert.
void pair_assert_alert(pair *p, tls_role role, uint8_t alert);

// Removes and frees the sessions that the client got.
void pair_forget_sessions(pair *p);

#endif
