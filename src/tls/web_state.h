// What a server's certificate and handshake are inside: web_certificate.c, web_server.c (our own handshake), web_library.c
// (GnuTLS, for the hellos that are not of the common kind).
#ifndef TLS_WEB_STATE_H
#define TLS_WEB_STATE_H

#include <stdatomic.h>

#include <gnutls/gnutls.h>

#include "tls/web_server.h"
#include "web/tls_server.h"

struct web_certificate {
    atomic_uint references;
    gnutls_certificate_credentials_t credentials;
    gnutls_priority_t priorities;
    signer *key;                // null: of a kind that only the library can use
    uint8_t *message;           // the Certificate message
    tls_credential credential;  // of these two
};

enum { WEB_HELLO = 0, WEB_FINISHED, WEB_LIBRARY };  // what is waited for; or the library does all

struct web_handshake {
    web_certificate *certificate;
    uint8_t stage;
    bool no_memory;
    int result;            // of the latest call; the last one if it is not 0
    tls_server own;        // from WEB_FINISHED on
    gnutls_session_t tls;  // in WEB_LIBRARY
    uint8_t *held;         // the beginning of a record, or for the library: what is still to be read
    size_t held_at, held_len, held_room;
    const uint8_t *input;  // of this call
    size_t input_len;
    uint8_t *output;
    size_t output_len, output_room;
    uint8_t read_secret[AEAD_HASH_MAX], write_secret[AEAD_HASH_MAX];  // of the library, TLS 1.3
    size_t secret_len;
};

// The library's part. All of h->held and h->input is its input.
int web_library_open(web_handshake *h);  // IROH_ERR_NOMEM, IROH_ERR_CRYPTO
void web_library_close(web_handshake *h);
int web_library_receive(web_handshake *h);  // as web_handshake_receive
int web_library_secrets(const web_handshake *h, web_secrets *out);
int web_library_export(const web_handshake *h, const char *label, const void *context, size_t context_len, uint8_t *out,
                       size_t len);

#endif
