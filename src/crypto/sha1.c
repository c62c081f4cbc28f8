#include "crypto/sha1.h"

#include <nettle/sha1.h>

void sha1_of_two(const void *a, size_t a_len, const void *b, size_t b_len, uint8_t out[static SHA1_SIZE]) {
    struct sha1_ctx hash;
    sha1_init(&hash);
    sha1_update(&hash, a_len, a);
    sha1_update(&hash, b_len, b);
    sha1_digest(&hash, SHA1_SIZE, out);
}
