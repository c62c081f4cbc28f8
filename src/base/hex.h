// Lower-case hex, strict: what this writes is all that it reads. Neither direction branches on or looks up by a value,
// because secret keys pass through here.
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Writes 2 * len digits, without a terminator.
void hex_encode(const void *bytes, size_t len, char *out);

// Reads `len` digits into len / 2 bytes. False for an odd length or anything but 0-9 and a-f; `out` is then undefined.
bool hex_decode(const char *text, size_t len, uint8_t *out);

#endif
