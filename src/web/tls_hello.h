// The ClientHello of the common kind, and what a server chooses of it (RFC 8446, section 4.1.2): TLS 1.3, a key share for
// X25519, a suite of the record layer, a signature scheme of the server's key. Whatever else a client may say is not
// refused here: another implementation is to look at it.
#ifndef WEB_TLS_HELLO_H
#define WEB_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_HELLO_ID_MAX 32
#define TLS_HELLO_SHARE 32

typedef struct tls_hello {
    const uint8_t *id;     // legacy session id; borrowed from the message, like all pointers here
    uint8_t id_len;        // <= TLS_HELLO_ID_MAX
    uint16_t suite;        // chosen, of those of crypto/aead.h: the one that costs least
    uint16_t scheme;       // chosen: the first of ours that the client knows
    const uint8_t *share;  // X25519, TLS_HELLO_SHARE bytes
} tls_hello;

// Reads a handshake message, with its header of four bytes. False: it is no ClientHello, not well-formed, or not of the
// common kind; resumption, early data and hellos after a retry are not.
bool tls_hello_read(const uint8_t *message, size_t len, const uint16_t *schemes, size_t scheme_count, tls_hello *out);

#endif
