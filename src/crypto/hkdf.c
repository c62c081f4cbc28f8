// HKDF on nettle's HMAC with the state on the stack. The two hashes differ only in their functions, so one small union
// carries either, and everything above it is written once.
#include "crypto/hkdf.h"

#include <nettle/hmac.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/wipe.h"

#define SHA384_LEN 48
#define LABEL_PREFIX "tls13 "
#define LABEL_MAX (255 - (sizeof LABEL_PREFIX - 1))  // the label with its prefix has a length of one byte
#define INFO_MAX (2 + 1 + 255 + 1 + 255)             // HkdfLabel: length, label, context
#define HASH_MAX SHA384_LEN

// --- Hash and HMAC

typedef struct mac {
    size_t hash_len;
    union {
        struct hmac_sha256_ctx sha256;
        struct hmac_sha384_ctx sha384;
    } u;
} mac;

static void mac_init(mac *m, size_t hash_len, const uint8_t *key, size_t key_len) {
    m->hash_len = hash_len;
    if (hash_len == SHA384_LEN)
        hmac_sha384_set_key(&m->u.sha384, key_len, key);
    else
        hmac_sha256_set_key(&m->u.sha256, key_len, key);
}

static void mac_update(mac *m, const uint8_t *data, size_t len) {
    if (m->hash_len == SHA384_LEN)
        hmac_sha384_update(&m->u.sha384, len, data);
    else
        hmac_sha256_update(&m->u.sha256, len, data);
}

// Writes the first `len` <= hash_len bytes; the key stays set for the next message.
static void mac_final(mac *m, uint8_t *out, size_t len) {
    if (m->hash_len == SHA384_LEN)
        hmac_sha384_digest(&m->u.sha384, len, out);
    else
        hmac_sha256_digest(&m->u.sha256, len, out);
}

static void hash(size_t hash_len, const uint8_t *data, size_t len, uint8_t *out) {
    if (hash_len == SHA384_LEN) {
        struct sha384_ctx c;
        sha384_init(&c);
        sha384_update(&c, len, data);
        sha384_digest(&c, SHA384_LEN, out);
    } else {
        struct sha256_ctx c;
        sha256_init(&c);
        sha256_update(&c, len, data);
        sha256_digest(&c, SHA256_DIGEST_SIZE, out);
    }
}

// --- HKDF

void hkdf_extract(size_t hash_len, const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                  uint8_t *out) {
    mac m;
    mac_init(&m, hash_len, salt, salt_len);
    mac_update(&m, ikm, ikm_len);
    mac_final(&m, out, hash_len);
    wipe(&m, sizeof m);
}

void hkdf_expand(size_t hash_len, const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len,
                 uint8_t *out, size_t out_len) {
    uint8_t block[HASH_MAX];
    mac m;
    mac_init(&m, hash_len, prk, prk_len);
    size_t done = 0;
    for (uint8_t counter = 1; done < out_len; counter++) {
        if (counter > 1)
            mac_update(&m, block, hash_len);
        mac_update(&m, info, info_len);
        mac_update(&m, &counter, 1);
        mac_final(&m, block, hash_len);
        size_t take = out_len - done < hash_len ? out_len - done : hash_len;
        memcpy(out + done, block, take);
        done += take;
    }
    wipe(block, sizeof block);
    wipe(&m, sizeof m);
}

// --- The forms of TLS 1.3

static void expand_label(size_t hash_len, const uint8_t *secret, const char *label, size_t label_len,
                         const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len) {
    uint8_t info[INFO_MAX];
    writer w = writer_of(info, sizeof info);
    writer_u16(&w, (uint16_t)out_len);
    writer_u8(&w, (uint8_t)(sizeof LABEL_PREFIX - 1 + label_len));
    writer_bytes(&w, LABEL_PREFIX, sizeof LABEL_PREFIX - 1);
    writer_bytes(&w, label, label_len);
    writer_u8(&w, (uint8_t)context_len);
    writer_bytes(&w, context, context_len);
    hkdf_expand(hash_len, secret, hash_len, info, writer_len(&w), out, out_len);
}

void hkdf_expand_label(size_t hash_len, const uint8_t *secret, const char *label, const uint8_t *context,
                       size_t context_len, uint8_t *out, size_t out_len) {
    expand_label(hash_len, secret, label, strlen(label), context, context_len, out, out_len);
}

int hkdf_tls_export(size_t hash_len, const uint8_t *exporter_secret, const char *label, size_t label_len,
                    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len) {
    if (label_len > LABEL_MAX || out_len > 255 * hash_len)
        return IROH_ERR_RANGE;
    uint8_t empty_hash[HASH_MAX], context_hash[HASH_MAX], secret[HASH_MAX];
    hash(hash_len, NULL, 0, empty_hash);
    hash(hash_len, context, context_len, context_hash);
    expand_label(hash_len, exporter_secret, label, label_len, empty_hash, hash_len, secret, hash_len);
    expand_label(hash_len, secret, "exporter", strlen("exporter"), context_hash, hash_len, out, out_len);
    wipe(secret, sizeof secret);
    return 0;
}

void hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t out[static 32]) {
    mac m;
    mac_init(&m, SHA256_DIGEST_SIZE, key, key_len);
    mac_update(&m, data, len);
    mac_final(&m, out, SHA256_DIGEST_SIZE);
    wipe(&m, sizeof m);
}
