// A server's side of the full TLS 1.3 handshake with a certificate (RFC 8446, section 2), without I/O, allocation, clock or
// randomness: one call answers the hello, one takes what the client says behind it, and what is left are the secrets of the
// record layer. It serves clients whose hello is of the common kind (web/tls_hello.h); a library is there for the others.
#ifndef WEB_TLS_SERVER_H
#define WEB_TLS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"
#include "crypto/signer.h"
#include "web/tls_record.h"

#define TLS_SERVER_HELLO_MAX 8192  // bytes of a hello that is looked at

// What a server shows. Borrowed, and shared by handshakes of any threads.
typedef struct tls_credential {
    const signer *key;
    const uint8_t *certificate;  // the Certificate message as it is sent: tls_server_put_certificate
    size_t certificate_len;
} tls_credential;

// Fresh random bytes for each handshake.
typedef struct tls_server_seed {
    uint8_t random[32];  // goes into the ServerHello
    uint8_t secret[32];  // of X25519
} tls_server_seed;

typedef struct tls_server {
    const aead_suite *suite;
    tls_record record;                                                           // with the keys of the handshake
    uint8_t read[AEAD_HASH_MAX], write[AEAD_HASH_MAX], exporter[AEAD_HASH_MAX];  // secrets for afterwards
    uint8_t expected[4 + AEAD_HASH_MAX];                                         // the client's Finished
    uint8_t taken;                                                               // bytes of it that have come
    uint8_t ignored;                                                             // changes of cipher
    uint8_t alert;  // that the client should hear after a failure; TLS_ALERT_CLOSE_NOTIFY: none
    bool done;
} tls_server;

// The Certificate message for a chain, the server's own certificate first, in DER. Its length, with `out` null too;
// IROH_ERR_TOO_LARGE.
typedef struct tls_certificate {
    const uint8_t *der;
    size_t len;
} tls_certificate;
int tls_server_put_certificate(const tls_certificate *chain, size_t count, uint8_t *out, size_t room);

// Room that an answer needs.
size_t tls_server_room(const tls_credential *c);

// Answers a ClientHello (the message, without the header of its record) with records for the client, from the ServerHello
// to the Finished, in `out`, which has tls_server_room bytes. The length of the answer; 0: the hello is not of the common
// kind, and nothing has happened; IROH_ERR_NOMEM. Afterwards tls_server_dispose is due, in any case.
int tls_server_answer(tls_server *s, const tls_credential *c, const tls_server_seed *seed, const uint8_t *hello,
                      size_t len, uint8_t *out, size_t room);

// Takes one record of the client, in place: at least its header, and if that is acceptable, all of it. 1: the handshake is
// done; 0: more is to come; IROH_ERR_HANDSHAKE: it failed, s->alert says why; IROH_ERR_NOMEM.
int tls_server_take(tls_server *s, uint8_t *record, size_t len);

// The alert as a record. Its length, or IROH_ERR_CRYPTO, IROH_ERR_NOMEM.
int tls_server_put_alert(const tls_server *s, uint8_t room[static TLS_RECORD_SMALL], uint8_t **start);

void tls_server_dispose(tls_server *s);  // wipes

#endif
