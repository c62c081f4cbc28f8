// Test vectors as text files: a vector a line, made of `name=value` words; `#` starts a comment line. Bytes are hex,
// numbers decimal.
#ifndef UNIT_VECTOR_SUPPORT_H
#define UNIT_VECTOR_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define VECTOR_LINE_MAX 16384

typedef struct vectors {
    FILE *file;
    char line[VECTOR_LINE_MAX];
} vectors;

// Opens tests/vectors/`name`; a missing file ends the program with a message.
void vectors_open(vectors *v, const char *name);

// The next vector; false at the end, with the file closed.
bool vectors_next(vectors *v);

bool vectors_has(const vectors *v, const char *name);

// These end the program when the word is missing or does not parse.
bool vectors_is(const vectors *v, const char *name, const char *text);
uint64_t vectors_u64(const vectors *v, const char *name);
size_t vectors_bytes(const vectors *v, const char *name, uint8_t *out, size_t room);
// The word itself, terminated; where `name`_hex stands in its place, the bytes that it gives. Its length.
size_t vectors_text(const vectors *v, const char *name, char *out, size_t room);

// Hex to bytes; returns their number, SIZE_MAX when it is no hex or too long.
size_t hex_bytes(const char *hex, size_t len, uint8_t *out, size_t room);

#endif
