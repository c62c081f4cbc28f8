// The private key of a certificate, as a TLS 1.3 server needs it: which schemes it signs with, and signing.
//
// With libcrypto at build time that does it (signer_openssl.c): on P-256 and with RSA it takes less than half the time of
// GnuTLS (signer_gnutls.c), and the signature is the dearest part of a handshake's answer. May be used by several threads.
#ifndef CRYPTO_SIGNER_H
#define CRYPTO_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGNER_SIGNATURE_MAX 1024  // bytes; RSA with 8192 bits
#define SIGNER_SCHEMES_MAX 3

typedef struct signer signer;

// From a PKCS #8 structure in DER. IROH_ERR_UNSUPPORTED: a kind or size of key that TLS 1.3 has no use for, or the library
// no understanding; IROH_ERR_NOMEM.
int signer_new(const uint8_t *der, size_t len, signer **out);
void signer_free(signer *s);  // wipes; null is ignored

// The code points of its signature schemes (RFC 8446, section 4.2.3), the best first; at most SIGNER_SCHEMES_MAX.
const uint16_t *signer_schemes(const signer *s, size_t *count);

// Signs a message with one of them. The length of the signature, or IROH_ERR_CRYPTO, IROH_ERR_NOMEM.
int signer_sign(const signer *s, uint16_t scheme, const uint8_t *message, size_t len,
                uint8_t out[static SIGNER_SIGNATURE_MAX]);

#endif
