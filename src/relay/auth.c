#include "relay/auth.h"

#include <string.h>

#include <iroh/error.h>

#include "base/base64.h"
#include "crypto/blake3.h"
#include "crypto/ed25519.h"

#define CHALLENGE_CONTEXT "iroh-relay handshake v1 challenge signature"
#define SIGNATURE_PREFIX 0x40  // length of a signature, as postcard writes it
#define CLAIM_SIZE (RELAY_ID + 1 + RELAY_SIGNATURE + RELAY_EXPORT / 2)
#define CLAIM_TEXT_MAX 8192  // characters of a field's value that are looked at

void relay_challenge_message(const uint8_t challenge[static RELAY_CHALLENGE], uint8_t out[static 32]) {
    blake3 h;
    blake3_init_derive(&h, CHALLENGE_CONTEXT, sizeof CHALLENGE_CONTEXT - 1);
    blake3_update(&h, challenge, RELAY_CHALLENGE);
    blake3_final(&h, out, 32);
}

void relay_challenge_sign(const uint8_t seed[static 32], const uint8_t challenge[static RELAY_CHALLENGE],
                          uint8_t out[static RELAY_SIGNATURE]) {
    uint8_t message[32];
    relay_challenge_message(challenge, message);
    ed25519_sign(seed, message, sizeof message, out);
}

bool relay_challenge_verify(const uint8_t id[static RELAY_ID], const uint8_t challenge[static RELAY_CHALLENGE],
                            const uint8_t signature[static RELAY_SIGNATURE]) {
    uint8_t message[32];
    relay_challenge_message(challenge, message);
    return ed25519_verify(id, message, sizeof message, signature);
}

void relay_claim_make(const uint8_t seed[static 32], const uint8_t exported[static RELAY_EXPORT], relay_claim *out) {
    ed25519_public(seed, out->id);
    ed25519_sign(seed, exported, RELAY_EXPORT / 2, out->signature);
    memcpy(out->suffix, exported + RELAY_EXPORT / 2, sizeof out->suffix);
}

void relay_claim_encode(const relay_claim *c, char *out) {
    uint8_t bytes[CLAIM_SIZE];
    writer w = writer_of(bytes, sizeof bytes);
    writer_bytes(&w, c->id, sizeof c->id);
    writer_u8(&w, SIGNATURE_PREFIX);
    writer_bytes(&w, c->signature, sizeof c->signature);
    writer_bytes(&w, c->suffix, sizeof c->suffix);
    base64_encode(BASE64_URL, bytes, sizeof bytes, out);
}

int relay_claim_read(const char *text, size_t len, relay_claim *out) {
    uint8_t bytes[BASE64_PADDED_LEN(CLAIM_TEXT_MAX)];
    int size = len <= CLAIM_TEXT_MAX ? base64_decode(BASE64_URL, text, len, bytes, sizeof bytes) : IROH_ERR_SYNTAX;
    if (size < 0)
        return IROH_ERR_SYNTAX;
    reader r = reader_of(bytes, (size_t)size);
    reader_copy(&r, out->id, sizeof out->id);
    uint8_t prefix = reader_u8(&r);
    reader_copy(&r, out->signature, sizeof out->signature);
    reader_copy(&r, out->suffix, sizeof out->suffix);
    return r.failed || prefix != SIGNATURE_PREFIX ? IROH_ERR_SYNTAX : 0;
}

int relay_claim_decode(const char *text, size_t len, relay_claim *out) {
    int r = relay_claim_read(text, len, out);
    return r != 0 || ed25519_is_point(out->id) ? r : IROH_ERR_KEY;
}

bool relay_claim_verify(const relay_claim *c, const uint8_t exported[static RELAY_EXPORT]) {
    return memcmp(c->suffix, exported + RELAY_EXPORT / 2, sizeof c->suffix) == 0 &&
           ed25519_verify(c->id, exported, RELAY_EXPORT / 2, c->signature);
}
