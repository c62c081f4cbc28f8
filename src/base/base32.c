#include "base/base32.h"

#include <string.h>

#include <iroh/error.h>

static const char *const alphabets[] = {
    [BASE32_RFC4648] = "abcdefghijklmnopqrstuvwxyz234567",
    [BASE32_Z] = "ybndrfg8ejkmcpqxot1uwisza345h769",
};

void base32_encode(base32_kind kind, const void *bytes, size_t len, char *out) {
    const uint8_t *p = bytes;
    unsigned window = 0, bits = 0;
    for (size_t i = 0; i < len; i++) {
        window = (window << 8 | p[i]) & 0xfff;
        for (bits += 8; bits >= 5; bits -= 5)
            *out++ = alphabets[kind][window >> (bits - 5) & 31];
    }
    if (bits > 0)
        *out = alphabets[kind][window << (5 - bits) & 31];
}

static int value(base32_kind kind, char c) {
    if (kind == BASE32_RFC4648 && c >= 'A' && c <= 'Z')
        c = (char)(c - 'A' + 'a');
    const char *at = c != '\0' ? strchr(alphabets[kind], c) : NULL;
    return at != NULL ? (int)(at - alphabets[kind]) : -1;
}

int base32_decode(base32_kind kind, const char *text, size_t len, uint8_t *out) {
    unsigned window = 0, bits = 0;
    // 1, 3 or 6 characters past a group of 8 hold a whole character more than their bytes need.
    if (len * 5 % 8 >= 5)
        return IROH_ERR_LENGTH;
    for (size_t i = 0; i < len; i++) {
        int v = value(kind, text[i]);
        if (v < 0)
            return IROH_ERR_SYNTAX;
        window = (window << 5 | (unsigned)v) & 0xfff;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            *out++ = (uint8_t)(window >> bits);
        }
    }
    return (window & ((1U << bits) - 1)) == 0 ? 0 : IROH_ERR_SYNTAX;
}
