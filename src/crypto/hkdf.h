// HKDF (RFC 5869) and the TLS 1.3 label form (RFC 8446, section 7.1) over SHA-256 and SHA-384; hash_len (32 or 48)
// chooses the hash. No allocation, no failure: sizes are bounded by the callers.
#ifndef CRYPTO_HKDF_H
#define CRYPTO_HKDF_H

#include <stddef.h>
#include <stdint.h>

// `out` gets hash_len bytes.
void hkdf_extract(size_t hash_len, const uint8_t *salt, size_t salt_len, const uint8_t *ikm, size_t ikm_len,
                  uint8_t *out);

// `out` gets out_len bytes, at most 255 * hash_len. prk has at least hash_len bytes.
void hkdf_expand(size_t hash_len, const uint8_t *prk, size_t prk_len, const uint8_t *info, size_t info_len,
                 uint8_t *out, size_t out_len);

// HKDF-Expand-Label(secret, "tls13 " + label, context, out_len); secret has hash_len bytes; label at most 24
// characters, context at most 64 bytes, out_len at most 255.
void hkdf_expand_label(size_t hash_len, const uint8_t *secret, const char *label, const uint8_t *context,
                       size_t context_len, uint8_t *out, size_t out_len);

// The TLS exporter (RFC 8446, section 7.5) from an exporter master secret of hash_len bytes. out_len at most
// 255 * hash_len, label_len at most 249. 0, or IROH_ERR_RANGE.
int hkdf_tls_export(size_t hash_len, const uint8_t *exporter_secret, const char *label, size_t label_len,
                    const uint8_t *context, size_t context_len, uint8_t *out, size_t out_len);

// Keyed hash for tokens and stateless reset tokens: HMAC-SHA-256, 32 bytes.
void hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len, uint8_t out[static 32]);

#endif
