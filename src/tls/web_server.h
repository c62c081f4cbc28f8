// The server's side of an ordinary TLS 1.3 or 1.2 handshake with an X.509 certificate, without I/O; what comes after it is
// the record layer's (web/tls_record.h).
//
// Certificates are shared by handshakes of any threads and live until the last reference is gone.
#ifndef TLS_WEB_SERVER_H
#define TLS_WEB_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"

typedef struct web_certificate web_certificate;
typedef struct web_handshake web_handshake;

// From a chain and its key, both PEM, the server's own certificate first. IROH_ERR_SYNTAX (no such PEM), IROH_ERR_KEY (the
// key is not the certificate's), IROH_ERR_NOMEM. The reference is the caller's.
int web_certificate_new(const void *chain, size_t chain_len, const void *key, size_t key_len, web_certificate **out);
web_certificate *web_certificate_ref(web_certificate *c);
void web_certificate_unref(web_certificate *c);  // null is ignored

int web_handshake_new(web_certificate *c, web_handshake **out);  // takes a reference. IROH_ERR_NOMEM
void web_handshake_free(web_handshake *h);                       // null is ignored

// Feeds bytes of the client, *len of them, and advances past those that were used; once it is done, the rest is for the
// record layer. 1: done; 0: more is needed; IROH_ERR_HANDSHAKE: it failed, and an alert may be in the output;
// IROH_ERR_NOMEM.
int web_handshake_receive(web_handshake *h, const uint8_t **bytes, size_t *len);

// What is to be sent, borrowed until the next call on `h`; then it is forgotten.
const uint8_t *web_handshake_output(web_handshake *h, size_t *len);

// What the record layer needs of one direction.
typedef struct web_secret {
    uint8_t secret[AEAD_HASH_MAX];  // TLS 1.3: the application traffic secret; 1.2: the key
    uint8_t iv[AEAD_NONCE];         // TLS 1.2 alone
    uint64_t seq;                   // of the next record
} web_secret;

typedef struct web_secrets {
    const aead_suite *suite;
    bool old;  // TLS 1.2
    web_secret read, write;
} web_secrets;

// Once done. IROH_ERR_UNSUPPORTED: a suite that the record layer has not.
int web_handshake_secrets(const web_handshake *h, web_secrets *out);

// Keying material, of either version, with a context. 0 or IROH_ERR_CRYPTO.
int web_handshake_export(const web_handshake *h, const char *label, const void *context, size_t context_len,
                         uint8_t *out, size_t len);

// --- For the peer TLS, which lends itself to servers with a certificate (tls_identity)

struct gnutls_session_int;

// Makes a session of GnuTLS show the certificate, in TLS 1.3 and for QUIC. 0 or an error of GnuTLS.
int web_certificate_apply(const web_certificate *c, struct gnutls_session_int *tls);

#endif
