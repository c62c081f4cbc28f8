// Is it UTF-8 (RFC 3629)? No over-long forms, no surrogates, nothing above U+10FFFF, no cut sequences.
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const void *text, size_t len);

// The length of the longest prefix of at most `room` bytes that does not cut a character; `text` is valid UTF-8.
size_t utf8_cut(const void *text, size_t len, size_t room);

#endif
