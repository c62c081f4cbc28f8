// Arithmetic modulo p = 2^255 - 19, for what libsodium does not offer at its price: the change of one form of a point into
// the other. In constant time throughout. On processors of 64 bits alone: it takes products of 128 (__SIZEOF_INT128__).
//
// An element is five limbs of 51 bits, least first. Sums and differences are not carried: each of their limbs is below
// 2^54, which is what the products take.
#ifndef CRYPTO_FIELD25519_H
#define CRYPTO_FIELD25519_H

#include <stdbool.h>
#include <stdint.h>

#define FIELD25519_SIZE 32

typedef struct field25519 {
    uint64_t limb[5];
} field25519;

// The d of Ed25519's curve -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, section 5.1).
field25519 field25519_d(void);

// Little-endian; the highest bit is ignored, and values of p and above stand for what they leave.
field25519 field25519_load(const uint8_t bytes[static FIELD25519_SIZE]);
void field25519_store(const field25519 *a, uint8_t out[static FIELD25519_SIZE]);  // the one form below p

// Of carried elements: loaded, small or products.
field25519 field25519_add(const field25519 *a, const field25519 *b);
field25519 field25519_sub(const field25519 *a, const field25519 *b);

field25519 field25519_mul(const field25519 *a, const field25519 *b);
field25519 field25519_square(const field25519 *a);
field25519 field25519_invert(const field25519 *a);  // 0 for 0

// a^((p - 5) / 8), from which square roots come.
field25519 field25519_root_power(const field25519 *a);

bool field25519_equal(const field25519 *a, const field25519 *b);

#endif
