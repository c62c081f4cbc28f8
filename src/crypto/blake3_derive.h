// BLAKE3 in its key derivation mode, for contexts and key material of one block each: all that handshakes need, in a
// page of code. Longer inputs are for a tree hash.
#ifndef CRYPTO_BLAKE3_DERIVE_H
#define CRYPTO_BLAKE3_DERIVE_H

#include <stddef.h>
#include <stdint.h>

#define BLAKE3_DERIVE_MAX 64  // bytes of context, and of material

// derive_key(context, material): 32 bytes. Both lengths are at most BLAKE3_DERIVE_MAX (asserted).
void blake3_derive_key(const char *context, size_t context_len, const void *material, size_t material_len,
                       uint8_t out[static 32]);

#endif
