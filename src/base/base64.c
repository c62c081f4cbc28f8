#include "base/base64.h"

#include <string.h>

#include <iroh/error.h>

static const char alphabets[2][65] = {
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_encode(int form, const void *bytes, size_t len, char *out) {
    const uint8_t *p = bytes;
    const char *alphabet = alphabets[form];
    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)p[i] << 16 | (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (n > 2 ? p[i + 2] : 0);
        for (size_t k = 0; k <= n; k++)
            *out++ = alphabet[group >> (18 - 6 * k) & 63];
        for (size_t k = n + 1; k < 4 && form == BASE64_PADDED; k++)
            *out++ = '=';
    }
}

// The six bits of a character; -1: not of the alphabet.
static int value_of(int form, char c) {
    const char *at = c != '\0' ? strchr(alphabets[form], c) : NULL;
    return at != NULL ? (int)(at - alphabets[form]) : -1;
}

// The length without padding, of which the padded form has exactly what fills the last group.
static size_t unpadded(int form, const char *text, size_t len) {
    size_t n = len;
    while (form == BASE64_PADDED && n > 0 && len - n < 2 && text[n - 1] == '=')
        n--;
    return form == BASE64_PADDED && len % 4 != 0 ? 1 : n;  // one character alone is never right
}

int base64_decode(int form, const char *text, size_t len, uint8_t *out, size_t room) {
    size_t count = unpadded(form, text, len), size = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    if (count % 4 == 1)
        return IROH_ERR_SYNTAX;
    if (count * 3 / 4 > room)
        return IROH_ERR_TOO_LARGE;
    for (size_t i = 0; i < count; i++) {
        int value = value_of(form, text[i]);
        if (value < 0)
            return IROH_ERR_SYNTAX;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[size++] = (uint8_t)(bits >> have);
        }
    }
    return (bits & ((1U << have) - 1)) == 0 ? (int)size : IROH_ERR_SYNTAX;
}
