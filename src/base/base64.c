#include "base/base64.h"

#include <sodium.h>

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

// The bytes that a well-formed text of this length gives.
static size_t decoded_len(int form, const char *text, size_t len) {
    size_t padding = 0;
    while (form == BASE64_PADDED && padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    return (len - padding) * 3 / 4;
}

int base64_decode(int form, const char *text, size_t len, uint8_t *out, size_t room) {
    int variant = form == BASE64_URL ? sodium_base64_VARIANT_URLSAFE_NO_PADDING : sodium_base64_VARIANT_ORIGINAL;
    size_t count;
    if (decoded_len(form, text, len) > room)
        return IROH_ERR_TOO_LARGE;
    if (sodium_base642bin(out, room, text, len, NULL, &count, NULL, variant) != 0)
        return IROH_ERR_SYNTAX;
    return (int)count;
}
