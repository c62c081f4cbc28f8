// Hashes as text.
#include <string.h>

#include <iroh/blobs.h>

#include "base/base32.h"
#include "base/hex.h"
#include "crypto/blake3.h"

#define HEX_LEN 64
#define BASE32_LEN 52

void iroh_hash_of(const void *data, size_t len, iroh_hash *out) {
    blake3_hash(data, len, out->bytes);
}

void iroh_hash_to_hex(const iroh_hash *hash, char out[IROH_HASH_HEX_SIZE]) {
    hex_encode(hash->bytes, sizeof hash->bytes, out);
    out[HEX_LEN] = '\0';
}

// The length alone decides between the two forms.
static int parse(const char *text, size_t len, iroh_hash *out) {
    iroh_hash hash;
    if (len == HEX_LEN) {
        if (!hex_decode(text, len, hash.bytes))
            return IROH_ERR_SYNTAX;
    } else if (len == BASE32_LEN) {
        int r = base32_decode(BASE32_RFC4648, text, len, hash.bytes);
        if (r != 0)
            return r;
    } else {
        return IROH_ERR_LENGTH;
    }
    *out = hash;
    return 0;
}

int iroh_hash_from_text(iroh_hash *out, const char *text) {
    return out == NULL || text == NULL ? IROH_ERR_ARG : parse(text, strlen(text), out);
}

void iroh_content_to_text(const iroh_content *content, char out[IROH_CONTENT_TEXT_SIZE]) {
    bool seq = content->format == IROH_BLOB_HASH_SEQ;
    out[0] = 's';
    iroh_hash_to_hex(&content->hash, out + seq);
}

int iroh_content_from_text(iroh_content *out, const char *text) {
    if (out == NULL || text == NULL)
        return IROH_ERR_ARG;
    size_t len = strlen(text);
    bool seq = (len == HEX_LEN + 1 || len == BASE32_LEN + 1) && (text[0] == 's' || text[0] == 'S');
    iroh_hash hash;
    int r = parse(text + seq, len - seq, &hash);
    if (r == 0)
        *out = (iroh_content){.hash = hash, .format = seq ? IROH_BLOB_HASH_SEQ : IROH_BLOB_RAW};
    return r;
}
