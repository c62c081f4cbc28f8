// What both of our programs need: the data of transfers, and keys as text.
#ifndef INTEROP_PEER_DATA_H
#define INTEROP_PEER_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The data of every transfer repeats a block of this size: prime, so that chunks swapped at any power of two show.
#define PATTERN_PERIOD 65521

// Two periods of the pattern, so that any run of up to one period is contiguous.
typedef struct pattern {
    uint8_t bytes[2 * PATTERN_PERIOD];
} pattern;

void pattern_init(pattern *p);

// The bytes at position `at` of the endless pattern: at least PATTERN_PERIOD of them.
const uint8_t *pattern_at(const pattern *p, size_t at);
bool pattern_matches(const pattern *p, size_t at, const uint8_t *data, size_t len);

// Writes 64 hex digits and a terminator.
void peer_hex(const uint8_t bytes[static 32], char out[static 65]);
bool peer_unhex(const char *text, uint8_t out[static 32]);

#endif
