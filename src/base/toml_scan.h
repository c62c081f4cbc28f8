// The scanner of TOML documents, for toml.c and toml_scalar.c alone: where it stands, its first complaint, characters and
// single values.
#ifndef BASE_TOML_SCAN_H
#define BASE_TOML_SCAN_H

#include <string.h>

#include "base/toml.h"

typedef struct parser {
    const char *p, *end;
    unsigned line;
    int error;  // 0: none so far
    const char *why;
    unsigned depth;
} parser;

typedef struct text_buffer {
    char *bytes;
    size_t len, room;
} text_buffer;

// Notes a complaint, of which the first counts, and returns false.
bool toml_fail(parser *t, const char *why);
bool toml_fail_with(parser *t, int error, const char *why);

// A fresh value at this line; null after a complaint about memory.
toml_value *toml_new(parser *t, int kind);

static inline int toml_peek(const parser *t) {
    return t->p < t->end ? (unsigned char)*t->p : -1;
}

static inline bool toml_starts(const parser *t, const char *text) {
    size_t len = strlen(text);
    return (size_t)(t->end - t->p) >= len && memcmp(t->p, text, len) == 0;
}

// Goes past `text` if it stands here.
static inline bool toml_take(parser *t, const char *text) {
    if (!toml_starts(t, text))
        return false;
    t->p += strlen(text);
    return true;
}

void toml_skip_blanks(parser *t);
bool toml_take_newline(parser *t);
bool toml_is_control(int c);
bool toml_is_key_char(int c);

// Appends a byte, and keeps a terminator behind it. False after a complaint; the bytes are the caller's to free.
bool toml_add_byte(parser *t, text_buffer *s, char c);

// The string that starts here with its quotes, of any of the four kinds; the bytes are the caller's to free.
bool toml_take_string(parser *t, text_buffer *s);

// A string, number or boolean; null after a complaint.
toml_value *toml_take_scalar(parser *t);

#endif
