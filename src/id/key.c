// Keys, signatures and their texts.
#include <iroh/id.h>

#include <string.h>

#include "base/base32.h"
#include "base/hex.h"
#include "base/wipe.h"
#include "crypto/ed25519.h"

#define KEY_HEX (IROH_KEY_HEX_SIZE - 1)
#define KEY_BASE32 (IROH_KEY_BASE32_SIZE - 1)

// The length alone decides between hex, which is then strict, and base32.
static int key_bytes(const char *text, uint8_t out[static 32]) {
    size_t len = strlen(text);
    if (len == KEY_HEX)
        return hex_decode(text, len, out) ? 0 : IROH_ERR_SYNTAX;
    return len == KEY_BASE32 ? base32_decode(BASE32_RFC4648, text, len, out) : IROH_ERR_LENGTH;
}

static void key_hex(const uint8_t bytes[static 32], char out[static IROH_KEY_HEX_SIZE]) {
    hex_encode(bytes, 32, out);
    out[KEY_HEX] = '\0';
}

void iroh_secret_key_generate(iroh_secret_key *out) {
    ed25519_generate(out->bytes);
}

void iroh_secret_key_public(const iroh_secret_key *key, iroh_public_key *out) {
    ed25519_public(key->bytes, out->bytes);
}

void iroh_secret_key_sign(const iroh_secret_key *key, const void *message, size_t len, iroh_signature *out) {
    ed25519_sign(key->bytes, message, len, out->bytes);
}

int iroh_secret_key_from_text(iroh_secret_key *out, const char *text) {
    uint8_t bytes[32] = {0};
    int r = key_bytes(text, bytes);
    if (r == 0)
        memcpy(out->bytes, bytes, sizeof bytes);
    wipe(bytes, sizeof bytes);
    return r;
}

void iroh_secret_key_to_hex(const iroh_secret_key *key, char out[IROH_KEY_HEX_SIZE]) {
    key_hex(key->bytes, out);
}

int iroh_public_key_from_bytes(iroh_public_key *out, const uint8_t bytes[32]) {
    if (!ed25519_is_point(bytes))
        return IROH_ERR_KEY;
    memmove(out->bytes, bytes, sizeof out->bytes);
    return 0;
}

int iroh_public_key_from_text(iroh_public_key *out, const char *text) {
    uint8_t bytes[32];
    int r = key_bytes(text, bytes);
    return r == 0 ? iroh_public_key_from_bytes(out, bytes) : r;
}

int iroh_public_key_from_z32(iroh_public_key *out, const char *text) {
    uint8_t bytes[32];
    if (strlen(text) != KEY_BASE32)
        return IROH_ERR_LENGTH;
    int r = base32_decode(BASE32_Z, text, KEY_BASE32, bytes);
    return r == 0 ? iroh_public_key_from_bytes(out, bytes) : r;
}

void iroh_public_key_to_hex(const iroh_public_key *key, char out[IROH_KEY_HEX_SIZE]) {
    key_hex(key->bytes, out);
}

void iroh_public_key_to_base32(const iroh_public_key *key, char out[IROH_KEY_BASE32_SIZE]) {
    base32_encode(BASE32_RFC4648, key->bytes, sizeof key->bytes, out);
    out[KEY_BASE32] = '\0';
}

void iroh_public_key_to_z32(const iroh_public_key *key, char out[IROH_KEY_BASE32_SIZE]) {
    base32_encode(BASE32_Z, key->bytes, sizeof key->bytes, out);
    out[KEY_BASE32] = '\0';
}

int iroh_public_key_compare(const iroh_public_key *a, const iroh_public_key *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

int iroh_public_key_verify(const iroh_public_key *key, const void *message, size_t len,
                           const iroh_signature *signature) {
    return ed25519_verify(key->bytes, message, len, signature->bytes) ? 0 : IROH_ERR_SIGNATURE;
}
