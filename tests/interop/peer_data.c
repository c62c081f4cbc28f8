#include "peer_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void pattern_init(pattern *p) {
    uint32_t x = 1;
    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        x = (x * 1103515245u + 12345u) & 0x7fffffffu;
        p->bytes[i] = (uint8_t)(x >> 16);
    }
    memcpy(p->bytes + PATTERN_PERIOD, p->bytes, PATTERN_PERIOD);
}

const uint8_t *pattern_at(const pattern *p, size_t at) {
    return p->bytes + at % PATTERN_PERIOD;
}

bool pattern_matches(const pattern *p, size_t at, const uint8_t *data, size_t len) {
    while (len > 0) {
        size_t piece = len < PATTERN_PERIOD ? len : PATTERN_PERIOD;
        if (memcmp(pattern_at(p, at), data, piece) != 0)
            return false;
        at += piece;
        data += piece;
        len -= piece;
    }
    return true;
}

void peer_hex(const uint8_t bytes[static 32], char out[static 65]) {
    for (size_t i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

bool peer_unhex(const char *text, uint8_t out[static 32]) {
    if (strlen(text) != 64)
        return false;
    for (size_t i = 0; i < 32; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        char *end = NULL;
        out[i] = (uint8_t)strtoul(digits, &end, 16);
        if (end != digits + 2)
            return false;
    }
    return true;
}
