#include "unit/blake3_support.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static uint32_t rotated(uint32_t w, unsigned n) {
    return w >> n | w << (32 - n);
}

static void mix(uint32_t *v, int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] = v[a] + v[b] + x;
    v[d] = rotated(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = rotated(v[b] ^ v[c], 12);
    v[a] = v[a] + v[b] + y;
    v[d] = rotated(v[d] ^ v[a], 8);
    v[c] = v[c] + v[d];
    v[b] = rotated(v[b] ^ v[c], 7);
}

static void compress(uint32_t cv[8], const uint8_t *block, size_t len, uint64_t counter, uint32_t flags) {
    static const int permutation[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    uint32_t m[16] = {0}, v[16];
    for (size_t i = 0; i < len; i++)
        m[i / 4] |= (uint32_t)block[i] << (8 * (i % 4));
    memcpy(v, cv, 32);
    memcpy(v + 8, iv, 16);
    v[12] = (uint32_t)counter;
    v[13] = (uint32_t)(counter >> 32);
    v[14] = (uint32_t)len;
    v[15] = flags;
    for (int round = 0; round < 7; round++) {
        uint32_t next[16];
        for (int i = 0; i < 4; i++)
            mix(v, i, 4 + i, 8 + i, 12 + i, m[2 * i], m[2 * i + 1]);
        for (int i = 0; i < 4; i++)
            mix(v, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, m[8 + 2 * i], m[9 + 2 * i]);
        for (int i = 0; i < 16; i++)
            next[i] = m[permutation[i]];
        memcpy(m, next, sizeof m);
    }
    for (int i = 0; i < 8; i++)
        cv[i] = v[i] ^ v[i + 8];
}

static void store(const uint32_t cv[8], uint8_t out[static 32]) {
    for (size_t i = 0; i < 32; i++)
        out[i] = (uint8_t)(cv[i / 4] >> (8 * (i % 4)));
}

static void chunk_cv(uint64_t chunk, const uint8_t *data, size_t len, bool root, uint8_t out[static 32]) {
    uint32_t cv[8], flags = CHUNK_START;
    memcpy(cv, iv, sizeof cv);
    for (; len > 64; data += 64, len -= 64, flags = 0)
        compress(cv, data, 64, chunk, flags);
    compress(cv, data, len, chunk, flags | CHUNK_END | (root ? ROOT : 0));
    store(cv, out);
}

void reference_parent(const uint8_t left[static 32], const uint8_t right[static 32], bool root,
                      uint8_t out[static 32]) {
    uint32_t cv[8];
    uint8_t block[64];
    memcpy(cv, iv, sizeof cv);
    memcpy(block, left, 32);
    memcpy(block + 32, right, 32);
    compress(cv, block, 64, 0, PARENT | (root ? ROOT : 0));
    store(cv, out);
}

uint64_t reference_left(uint64_t len) {
    uint64_t left = 1024;
    while (2 * left < len)
        left *= 2;
    return left;
}

void reference_cv(uint64_t chunk, const uint8_t *data, size_t len, bool root, uint8_t out[static 32]) {
    if (len <= 1024) {
        chunk_cv(chunk, data, len, root, out);
        return;
    }
    uint8_t left_cv[32], right_cv[32];
    size_t left = (size_t)reference_left(len);
    reference_cv(chunk, data, left, false, left_cv);
    reference_cv(chunk + left / 1024, data + left, len - left, false, right_cv);
    reference_parent(left_cv, right_cv, root, out);
}

uint8_t *pattern_new(size_t len) {
    uint8_t *data = malloc(len > 0 ? len : 1);
    if (data == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)(i % 251);
    return data;
}

uint64_t draw(uint64_t *random, uint64_t bound) {
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % bound;
}
