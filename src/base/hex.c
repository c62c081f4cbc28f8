#include "base/hex.h"

static char digit(unsigned v) {
    // 'a' - '0' - 10 = 39 more from 10 on: the subtraction borrows into the high bits exactly for v < 10.
    return (char)('0' + v + (~(v - 10) >> 8 & 39));
}

void hex_encode(const void *bytes, size_t len, char *out) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digit(p[i] >> 4);
        out[2 * i + 1] = digit(p[i] & 15U);
    }
}

// All ones for min <= c <= max, else 0.
static unsigned between(unsigned c, unsigned min, unsigned max) {
    return 0U - (1U & ~((c - min) >> 31) & ~((max - c) >> 31));
}

// The digit's value, or 256 and more.
static unsigned value(char character) {
    unsigned c = (unsigned char)character;
    unsigned decimal = between(c, '0', '9'), letter = between(c, 'a', 'f');
    return (decimal & (c - '0')) | (letter & (c - 'a' + 10)) | (~(decimal | letter) & 256);
}

bool hex_decode(const char *text, size_t len, uint8_t *out) {
    unsigned bad = len % 2;
    for (size_t i = 0; i < len / 2; i++) {
        unsigned high = value(text[2 * i]), low = value(text[2 * i + 1]);
        bad |= (high | low) >> 8;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return bad == 0;
}
