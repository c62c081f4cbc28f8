// The kinds of keys that TLS 1.3 signs with, for both files that implement signer.h.
#ifndef CRYPTO_SIGNER_ROWS_H
#define CRYPTO_SIGNER_ROWS_H

#include "crypto/signer.h"

enum signer_kind { SIGNER_RSA, SIGNER_P256, SIGNER_P384, SIGNER_P521, SIGNER_ED25519, SIGNER_KINDS };

#define SIGNER_RSA_BITS_MIN 2048
#define SIGNER_RSA_BITS_MAX (8 * SIGNER_SIGNATURE_MAX)

typedef struct signer_row {
    uint16_t schemes[SIGNER_SCHEMES_MAX];
    size_t count;
} signer_row;

static const signer_row signer_rows[SIGNER_KINDS] = {
    [SIGNER_RSA] = {{0x0804, 0x0805, 0x0806}, 3},  // PSS with SHA-256, SHA-384, SHA-512
    [SIGNER_P256] = {{0x0403}, 1},
    [SIGNER_P384] = {{0x0503}, 1},
    [SIGNER_P521] = {{0x0603}, 1},
    [SIGNER_ED25519] = {{0x0807}, 1},
};

#endif
