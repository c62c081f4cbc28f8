// How a relay client proves that it owns its id: a signature over a challenge of the server, or, one round trip sooner,
// over keying material of the TLS session, in a field of the upgrade request.
#ifndef RELAY_AUTH_H
#define RELAY_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/frame.h"

// TLS exporter (RFC 8446, section 7.5; RFC 5705 for TLS 1.2): this label, the client's id as context.
#define RELAY_EXPORT_LABEL "iroh-relay handshake v1"
#define RELAY_EXPORT 32

#define RELAY_CLAIM_FIELD "x-iroh-relay-client-auth-v1"
#define RELAY_CLAIM_LEN 151  // characters of the field's value

// The 32 bytes that answer a challenge are signed, not the challenge itself.
void relay_challenge_message(const uint8_t challenge[static RELAY_CHALLENGE], uint8_t out[static 32]);
void relay_challenge_sign(const uint8_t seed[static 32], const uint8_t challenge[static RELAY_CHALLENGE],
                          uint8_t out[static RELAY_SIGNATURE]);
bool relay_challenge_verify(const uint8_t id[static RELAY_ID], const uint8_t challenge[static RELAY_CHALLENGE],
                            const uint8_t signature[static RELAY_SIGNATURE]);

// What a client claims in its upgrade request.
typedef struct relay_claim {
    uint8_t id[RELAY_ID];
    uint8_t signature[RELAY_SIGNATURE];  // over the first half of the keying material
    uint8_t suffix[RELAY_EXPORT / 2];    // the second half
} relay_claim;

void relay_claim_make(const uint8_t seed[static 32], const uint8_t exported[static RELAY_EXPORT], relay_claim *out);

// Writes RELAY_CLAIM_LEN characters, no terminator.
void relay_claim_encode(const relay_claim *c, char *out);

// IROH_ERR_SYNTAX, or IROH_ERR_KEY (the id is no point): the server must then drop the connection without a frame. Bytes
// after the claim are ignored.
int relay_claim_decode(const char *text, size_t len, relay_claim *out);

// As relay_claim_decode, but leaves it open whether the id is a point: a claim that verifies has shown it.
int relay_claim_read(const char *text, size_t len, relay_claim *out);

// Whether the claim holds for the session with this keying material (exported with the claim's id as context). If not, the
// server goes on with a challenge.
bool relay_claim_verify(const relay_claim *c, const uint8_t exported[static RELAY_EXPORT]);

#endif
