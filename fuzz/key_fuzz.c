// A text for the parsers of keys; and 32 bytes for an id, 64 more for a signature, the rest for a message. What parses
// has texts that give it back.
#include <iroh/id.h>

#include <stdlib.h>
#include <string.h>

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_texts(const iroh_public_key *key) {
    iroh_public_key back;
    iroh_secret_key secret;
    char hex[IROH_KEY_HEX_SIZE], base32[IROH_KEY_BASE32_SIZE];
    iroh_public_key_to_hex(key, hex);
    require(iroh_public_key_from_text(&back, hex) == 0 && iroh_public_key_compare(key, &back) == 0);
    require(iroh_secret_key_from_text(&secret, hex) == 0 && memcmp(secret.bytes, key->bytes, sizeof key->bytes) == 0);
    iroh_public_key_to_base32(key, base32);
    require(iroh_public_key_from_text(&back, base32) == 0 && iroh_public_key_compare(key, &back) == 0);
    iroh_public_key_to_z32(key, base32);
    require(iroh_public_key_from_z32(&back, base32) == 0 && iroh_public_key_compare(key, &back) == 0);
}

static void check_text(const char *text) {
    iroh_public_key key;
    iroh_secret_key secret;
    int r = iroh_public_key_from_text(&key, text), s = iroh_secret_key_from_text(&secret, text);
    // A secret key is refused for its text alone.
    require(r == s || (s == 0 && r == IROH_ERR_KEY));
    if (r == 0)
        check_texts(&key);
    if (iroh_public_key_from_z32(&key, text) == 0)
        check_texts(&key);
}

// Either sign of x is a point, or none is.
static void check_bytes(const uint8_t bytes[32]) {
    iroh_public_key key, other;
    uint8_t mirrored[32];
    memcpy(mirrored, bytes, sizeof mirrored);
    mirrored[31] ^= 0x80;
    int r = iroh_public_key_from_bytes(&key, bytes);
    require(r == 0 || r == IROH_ERR_KEY);
    require(iroh_public_key_from_bytes(&other, mirrored) == r);
    if (r == 0)
        check_texts(&key);
}

static void check_signature(const uint8_t *data, size_t size) {
    iroh_public_key key;
    iroh_signature signature;
    if (size < 96 || iroh_public_key_from_bytes(&key, data) != 0)
        return;
    memcpy(signature.bytes, data + 32, sizeof signature.bytes);
    if (iroh_public_key_verify(&key, data + 96, size - 96, &signature) != 0)
        return;
    signature.bytes[0] ^= 1;
    require(iroh_public_key_verify(&key, data + 96, size - 96, &signature) == IROH_ERR_SIGNATURE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    require(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_text(text);
    free(text);
    if (size >= 32)
        check_bytes(data);
    check_signature(data, size);
    return 0;
}
