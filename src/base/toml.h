// TOML 1.0, read into a tree of values.
//
// The whole language but for dates, which nothing of ours uses and which are refused. Keys and texts are UTF-8 without
// zero bytes, so that they are C strings. Bounds hold against any input: nesting, and memory in proportion to the text.
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOML_DEPTH_MAX 32
#define TOML_TEXT_MAX (4U << 20)  // bytes of a document

enum { TOML_TABLE = 1, TOML_ARRAY, TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_BOOLEAN };

typedef struct toml_value {
    struct toml_value *next;   // in the table or array
    char *key;                 // in a table
    struct toml_value *first;  // of a table or array, in order
    struct toml_value *last;
    uint8_t kind;
    bool sealed;    // written inline or as [table]: not to be opened again
    bool implicit;  // a table that so far is only on the way to others
    bool dotted;    // a table made by a dotted key
    bool tables;    // an array of [[tables]]
    unsigned line;  // where it stands, from 1
    union {
        char *string;
        int64_t integer;
        double number;
        bool boolean;
    };
} toml_value;

typedef struct toml_error {
    unsigned line;    // from 1
    const char *why;  // static
} toml_error;

// The document's table, to be freed. IROH_ERR_SYNTAX and IROH_ERR_UTF8 with *error set, IROH_ERR_LIMIT (depth),
// IROH_ERR_TOO_LARGE, IROH_ERR_NOMEM.
int toml_parse(const char *text, size_t len, toml_value **out, toml_error *error);
void toml_free(toml_value *v);  // null is ignored

// The value of a key; null: not there, or `table` is null or no table.
toml_value *toml_get(const toml_value *table, const char *key);

#endif
