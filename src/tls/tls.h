// Peer TLS: the TLS 1.3 handshake of one QUIC connection with Ed25519 raw public keys on both sides (RFC 8446, RFC 7250,
// RFC 9001), without records and without I/O.
//
// A backend is a table of functions; everything outside this folder sees only this file. Handshake bytes go in and out
// per encryption level and the traffic secrets come out; the QUIC connection carries the bytes in CRYPTO frames and
// protects packets with keys of its own making. Functions of one session are called from one thread at a time; contexts
// may be shared by sessions of one thread.
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "crypto/aead.h"

typedef enum tls_level { TLS_INITIAL = 0, TLS_EARLY = 1, TLS_HANDSHAKE = 2, TLS_APPLICATION = 3 } tls_level;
typedef enum tls_role { TLS_CLIENT = 0, TLS_SERVER = 1 } tls_role;

typedef struct tls_alpn {
    const uint8_t *name;
    uint8_t len;  // 1..255
} tls_alpn;

// Alerts of our own making (RFC 8446, section 6); a QUIC close carries 0x100 + alert.
enum {
    TLS_ALERT_UNEXPECTED_MESSAGE = 10,
    TLS_ALERT_HANDSHAKE_FAILURE = 40,
    TLS_ALERT_BAD_CERTIFICATE = 42,
    TLS_ALERT_UNKNOWN_CA = 48,
    TLS_ALERT_DECODE_ERROR = 50,
    TLS_ALERT_DECRYPT_ERROR = 51,
    TLS_ALERT_INTERNAL_ERROR = 80,
    TLS_ALERT_MISSING_EXTENSION = 109,
    TLS_ALERT_CERTIFICATE_REQUIRED = 116,
    TLS_ALERT_NO_APPLICATION_PROTOCOL = 120,
};

// What a session reports while it runs; every pointer is borrowed for the call. Called only from within new, start and
// receive of the same session. A negative result aborts the handshake.
typedef struct tls_callbacks {
    // Handshake bytes to send at `level`, in order.
    int (*send)(void *user, tls_level level, const uint8_t *bytes, size_t len);
    // A traffic secret of suite->hash_len bytes. `write`: protects what we send. At TLS_EARLY only one direction comes.
    int (*secret)(void *user, tls_level level, bool write, const aead_suite *suite, const uint8_t *secret);
    // Client: a session to resume with later (opaque bytes of this backend). Several may come.
    void (*ticket)(void *user, const uint8_t *session, size_t len);
    // One line in the format of SSLKEYLOGFILE, without newline; null: not wanted.
    void (*keylog)(void *user, const char *line);
} tls_callbacks;

struct web_certificate;
struct web_roots;

typedef struct tls_identity {
    uint8_t seed[32];  // Ed25519 secret key
    uint8_t public_key[32];
    // Null; or, for servers alone, an X.509 certificate instead (tls/web_server.h): it is looked up through this pointer
    // when a handshake begins. Clients are then asked for no certificate and get no tickets. Borrowed.
    struct web_certificate *const *certificate;
} tls_identity;

typedef struct tls_config {
    tls_role role;
    const tls_alpn *alpns;  // client: offered, in order; server: accepted, in order of preference
    size_t alpn_count;
    const uint8_t *params;  // our QUIC transport parameters, encoded
    size_t params_len;
    const uint8_t *expected_key;  // client: the 32-byte key that the server must prove; server: null
    // Client, instead of a key: the server must show an X.509 certificate that these roots vouch for (tls/web_client.h) and
    // that names this host, without a final dot. The client then shows none, and sessions are not kept.
    struct web_roots *roots;
    const char *server_name;
    const uint8_t *session;  // client: a session from `ticket` of the same peer; null: full handshake
    size_t session_len;
    bool enable_early;       // client: offer early data when the session allows; server: accept it
    const uint16_t *suites;  // cipher suites in order of preference; null: 0x1301, 0x1302, 0x1303
    size_t suite_count;
    const tls_callbacks *callbacks;
    void *user;
} tls_config;

typedef struct tls_context tls_context;  // of one endpoint: identity, ticket key, replay protection
typedef struct tls_session tls_session;  // of one handshake

typedef struct tls_backend {
    const char *name;

    // `keylog`: sessions may be asked for key log lines. Null when out of memory or the library fails.
    tls_context *(*context_new)(const tls_identity *identity, const entropy *random);
    void (*context_free)(tls_context *c);  // after all its sessions

    // Everything in `config` is copied. 0, IROH_ERR_NOMEM, IROH_ERR_CRYPTO, or IROH_ERR_ARG, also for what a backend
    // cannot carry: GnuTLS takes names of at most 31 bytes, of which a client can offer 8.
    int (*session_new)(tls_context *c, const tls_config *config, tls_session **out);
    void (*session_free)(tls_session *s);  // null is ignored; not from within a callback

    // Client: produces the ClientHello. Server: nothing to do. Same results as receive.
    int (*start)(tls_session *s);

    // Feeds in-order handshake bytes of `level`. 0, or IROH_ERR_HANDSHAKE: see alert; IROH_ERR_NOMEM.
    int (*receive)(tls_session *s, tls_level level, const uint8_t *bytes, size_t len);

    bool (*done)(const tls_session *s);      // the handshake is complete on this side (Finished sent and received)
    uint8_t (*alert)(const tls_session *s);  // after IROH_ERR_HANDSHAKE: the alert to close with
    bool (*resumed)(const tls_session *s);
    bool (*early_accepted)(const tls_session *s);  // valid once done

    // The peer's encoded transport parameters, borrowed; null before they came. Server: known after the ClientHello.
    const uint8_t *(*peer_params)(const tls_session *s, size_t *len);
    // The chosen ALPN, borrowed; null before it is chosen.
    const uint8_t *(*alpn)(const tls_session *s, size_t *len);
    // The peer's 32-byte Ed25519 key, borrowed; null before it is known, for a client that was not asked for it, and for a
    // server that has a certificate.
    // Restored on resumption.
    const uint8_t *(*peer_key)(const tls_session *s);
    // The exporter master secret of `*len` bytes, borrowed; null before done.
    const uint8_t *(*exporter_secret)(const tls_session *s, size_t *len);

    // Server, after done: sends one ticket with early data allowed (or not), unless it gives none. 0 or an error as receive.
    int (*send_ticket)(tls_session *s);
} tls_backend;

extern const tls_backend tls_gnutls;

// The ALPN names that a ClientHello offers, for a look before accepting. Reads the whole handshake message in `bytes`;
// fills at most `room` entries borrowed from it and returns their number, IROH_ERR_TRUNCATED when more bytes are
// needed, or IROH_ERR_SYNTAX.
int tls_client_hello_alpns(const uint8_t *bytes, size_t len, tls_alpn *out, size_t room);

#endif
