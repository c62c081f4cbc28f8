// The peer TLS over GnuTLS, as its own files see it. A session of GnuTLS does the handshake; around it, this folder puts
// messages together, reads what it must know of them, and decides about keys, names and tickets:
//   gnutls_context.c   identity, priorities, tickets            gnutls_message.c   what each message must say
//   gnutls_session.c   setting one up                           gnutls_resume.c    what a client keeps of a session
//   gnutls_run.c       bytes in, bytes and secrets out          gnutls_backend.c   the table
//
// Works with GnuTLS 3.7.9 and 3.8. Nothing here touches state that is global to GnuTLS.
#ifndef TLS_GNUTLS_STATE_H
#define TLS_GNUTLS_STATE_H

#include <gnutls/gnutls.h>

#include "tls/client_hello.h"
#include "tls/tickets.h"
#include "tls/tls.h"
#include "tls/web_client.h"
#include "tls/web_server.h"

#define TLS_KEY 32                      // an Ed25519 key
#define TLS_SUITES 3                    // that exist
#define TLS_ALPN_MAX 31                 // bytes of one name that GnuTLS carries
#define TLS_ALPNS_OFFERED 8             // names that a client can offer through GnuTLS
#define TLS_PARAMS_MAX 16384            // bytes of transport parameters
#define TLS_EARLY_DATA_ANY 0xffffffffU  // the only limit that QUIC allows (RFC 9001, section 4.6.1)

// Kinds of handshake message (RFC 8446, section 4).
enum {
    MSG_CLIENT_HELLO = 1,
    MSG_SERVER_HELLO = 2,
    MSG_NEW_SESSION_TICKET = 4,
    MSG_ENCRYPTED_EXTENSIONS = 8,
    MSG_CERTIFICATE = 11,
    MSG_CERTIFICATE_REQUEST = 13,
    MSG_CERTIFICATE_VERIFY = 15,
    MSG_FINISHED = 20,
};

struct tls_context {
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;  // of the default suites
    entropy random;
    tickets tickets;
    uint8_t hash_key[32];
    struct web_certificate *const *certificate;  // null: the raw key
};

// A stored session of a client, read; pointers borrow from the stored bytes.
typedef struct tls_resume {
    uint16_t suite;
    bool early;               // the server allowed early data
    const uint8_t *peer_key;  // TLS_KEY bytes
    const uint8_t *alpn;
    uint8_t alpn_len;
    const uint8_t *data;  // of GnuTLS
    size_t data_len;
} tls_resume;

struct tls_session {
    tls_context *context;
    gnutls_session_t tls;
    struct web_certificate *certificate;  // server: a reference; null: the raw key
    web_roots *roots;                     // client: a reference; null: the raw key
    char *server_name;                    // with roots
    tls_role role;
    tls_callbacks callbacks;
    void *user;

    // Configuration.
    uint8_t *alpns;  // u8 length, name, ...
    size_t alpns_len;
    uint8_t *params;
    size_t params_len;
    uint8_t expected_key[TLS_KEY];  // client
    uint16_t suites[TLS_SUITES];
    size_t suite_count;
    bool enable_early;
    uint8_t *stored;  // client: the session to resume with, null when there is none or it is of no use
    size_t stored_len;
    tls_resume resume;

    // Input.
    tls_level read_level;  // of the message that comes next
    uint8_t *inbox;        // a message that is not whole yet
    size_t inbox_len, inbox_room;

    // What came of it.
    uint8_t *peer_params;
    size_t peer_params_len;
    uint8_t alpn[TLS_ALPN_MAX];
    uint8_t alpn_len;
    uint8_t peer_key[TLS_KEY];             // of the certificate or the ticket; proven once done
    uint8_t hello_hash[32];                // server: of what a second ClientHello must repeat
    ticket *ticket;                        // server: the one that the client came with, if it is ours and unused
    uint8_t ticket_secret[TICKET_SECRET];  // server: of the tickets that it gives out
    uint8_t exporter[AEAD_HASH_MAX];
    uint8_t client_handshake[AEAD_HASH_MAX];  // client: the secret of what we send, see give_client_handshake
    uint8_t early[AEAD_HASH_MAX];             // server: the secret of early data, see give_early
    const aead_suite *suite;
    tls_level secrets_level;         // the highest that secrets came of
    bool hello_seen, hello_retried;  // server
    bool want_early, has_early;      // server: early data fits what was agreed; its secret is there
    bool params_known, has_exporter;
    bool ticket_early;  // client: the newest ticket allows early data
    bool early_given;   // client: so is the secret for it, in this handshake
    bool stale;         // client: the stored session turned out to be too old
    bool is_done, is_resumed, early_ok;
    int failure;  // 0, or what every later call returns
    uint8_t alert;
};

// Whether both sides show raw keys; otherwise the server alone shows an X.509 certificate.
static inline bool tls_has_raw_keys(const tls_session *s) {
    return s->certificate == NULL && s->roots == NULL;
}

// Marks the session as failed with an alert; returns IROH_ERR_HANDSHAKE.
int tls_fail(tls_session *s, uint8_t alert);

// --- gnutls_context.c

tls_context *tls_context_new(const tls_identity *identity, const entropy *random);
void tls_context_free(tls_context *c);

// Sets the suites that a session may choose, in order. 0 or an error of GnuTLS.
int tls_set_priorities(const tls_context *c, gnutls_session_t tls, const uint16_t *suites, size_t count);

// --- gnutls_session.c

int tls_session_new(tls_context *c, const tls_config *config, tls_session **out);
void tls_session_free(tls_session *s);

// Sets up the session of GnuTLS, once more if there was one. 0, IROH_ERR_NOMEM or IROH_ERR_CRYPTO.
int tls_session_open(tls_session *s);

// Forgets the stored session, so that the handshake will be a full one.
void tls_session_drop_stored(tls_session *s);

// --- gnutls_run.c

void tls_run_attach(tls_session *s);
int tls_start(tls_session *s);
int tls_receive(tls_session *s, tls_level level, const uint8_t *bytes, size_t len);
int tls_send_ticket(tls_session *s);
const aead_suite *tls_suite_of(gnutls_cipher_algorithm_t cipher);

// --- gnutls_message.c: 0, or tls_fail

int tls_check_message(tls_session *s, uint8_t type, const uint8_t *body, size_t len);

// The handshake is over for GnuTLS: whether it is for us, and what came of it.
int tls_check_done(tls_session *s);

// --- gnutls_resume.c

// The session that GnuTLS holds after a ticket came, with what we must know of it; the caller frees. Null when out of
// memory.
uint8_t *tls_resume_encode(const tls_session *s, size_t *len);
bool tls_resume_decode(const uint8_t *bytes, size_t len, tls_resume *out);

#endif
