// What this library reads in a ClientHello itself (RFC 8446, section 4.1.2), before TLS proper sees it.
#ifndef TLS_CLIENT_HELLO_H
#define TLS_CLIENT_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HANDSHAKE_HEADER 4        // type u8, length u24
#define HANDSHAKE_BODY_MAX 16384  // bytes after the header of any handshake message that we read

// Bytes borrowed from the message; `p` is null when the extension is not there.
typedef struct hello_span {
    const uint8_t *p;
    size_t len;
} hello_span;

typedef struct client_hello {
    hello_span suites;        // code points, two bytes each
    hello_span alpns;         // names, each with its length in front; non-empty, well-formed
    hello_span client_types;  // certificate types, one byte each (RFC 7250)
    hello_span server_types;
    hello_span params;     // QUIC transport parameters
    hello_span psk_modes;  // one byte each
    hello_span ticket;     // the first identity of pre_shared_key
    size_t identities;     // how many there are
    bool early;            // early_data is there
} client_hello;

// Reads the body of a ClientHello, without its header. IROH_ERR_SYNTAX when it is malformed, names an extension twice,
// or has something after pre_shared_key; *out is undefined then.
int client_hello_parse(const uint8_t *body, size_t len, client_hello *out);

// Whether `value` is among the one-byte values of a span.
bool hello_span_has(const hello_span *s, uint8_t value);

#endif
