#include "base/utf8.h"

#include <stdint.h>

// Bytes of the sequence at `p`, 0 if it is none. The second byte's range excludes over-long forms (e0, f0), surrogates
// (ed) and what is past U+10FFFF (f4).
static size_t sequence(const uint8_t *p, size_t left) {
    uint8_t first = p[0], min = 0x80, max = 0xbf;
    if (first < 0x80)
        return 1;
    size_t size = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    if (first == 0xe0)
        min = 0xa0;
    else if (first == 0xed)
        max = 0x9f;
    else if (first == 0xf0)
        min = 0x90;
    else if (first == 0xf4)
        max = 0x8f;
    if (p[1] < min || p[1] > max)
        return 0;
    for (size_t i = 2; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return size;
}

bool utf8_valid(const void *text, size_t len) {
    const uint8_t *p = text;
    for (size_t i = 0; i < len;) {
        size_t size = sequence(p + i, len - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

size_t utf8_cut(const void *text, size_t len, size_t room) {
    const uint8_t *p = text;
    if (len <= room)
        return len;
    while (room > 0 && (p[room] & 0xc0) == 0x80)
        room--;
    return room;
}
