#include "base/toml.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/utf8.h"

#define NUMBER_MAX 64  // characters of a number

typedef struct parser {
    const char *p, *end;
    unsigned line;
    int error;  // 0: none so far
    const char *why;
    unsigned depth;
} parser;

static bool fail(parser *t, const char *why) {
    if (t->error == 0) {
        t->error = IROH_ERR_SYNTAX;
        t->why = why;
    }
    return false;
}

static bool fail_with(parser *t, int error, const char *why) {
    (void)fail(t, why);
    t->error = error;
    return false;
}

static void *checked(parser *t, void *memory) {
    if (memory == NULL)
        (void)fail_with(t, IROH_ERR_NOMEM, "out of memory");
    return memory;
}

// --- Characters

static int peek(const parser *t) {
    return t->p < t->end ? (unsigned char)*t->p : -1;
}

static bool starts(const parser *t, const char *text) {
    size_t len = strlen(text);
    return (size_t)(t->end - t->p) >= len && memcmp(t->p, text, len) == 0;
}

static bool take(parser *t, const char *text) {
    if (!starts(t, text))
        return false;
    t->p += strlen(text);
    return true;
}

static bool is_control(int c) {
    return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f;
}

static bool is_key_char(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void skip_blanks(parser *t) {
    while (peek(t) == ' ' || peek(t) == '\t')
        t->p++;
}

static bool take_newline(parser *t) {
    if (!take(t, "\n") && !take(t, "\r\n"))
        return false;
    t->line++;
    return true;
}

static bool skip_comment(parser *t) {
    if (peek(t) != '#')
        return true;
    while (t->p < t->end && !starts(t, "\n") && !starts(t, "\r\n")) {
        if (is_control(peek(t)))
            return fail(t, "a control character in a comment");
        t->p++;
    }
    return true;
}

// Blanks, comments and line ends, as between the elements of an array.
static bool skip_lines(parser *t) {
    do {
        skip_blanks(t);
        if (!skip_comment(t))
            return false;
    } while (take_newline(t));
    return true;
}

static bool end_line(parser *t) {
    skip_blanks(t);
    if (!skip_comment(t))
        return false;
    return t->p == t->end || take_newline(t) || fail(t, "expected the end of the line");
}

// --- Values

static toml_value *new_value(parser *t, int kind) {
    toml_value *v = checked(t, calloc(1, sizeof *v));
    if (v != NULL) {
        v->kind = (uint8_t)kind;
        v->line = t->line;
    }
    return v;
}

static void append(toml_value *to, toml_value *v) {
    if (to->last != NULL)
        to->last->next = v;
    else
        to->first = v;
    to->last = v;
}

// No deeper than TOML_DEPTH_MAX, which parsing has seen to.
void toml_free(toml_value *v) {
    while (v != NULL) {
        toml_value *next = v->next;
        if (v->kind == TOML_TABLE || v->kind == TOML_ARRAY)
            toml_free(v->first);
        if (v->kind == TOML_STRING)
            free(v->string);
        free(v->key);
        free(v);
        v = next;
    }
}

toml_value *toml_get(const toml_value *table, const char *key) {
    if (table == NULL || table->kind != TOML_TABLE)
        return NULL;
    toml_value *v = table->first;
    while (v != NULL && strcmp(v->key, key) != 0)
        v = v->next;
    return v;
}

// --- Strings

typedef struct text_buffer {
    char *bytes;
    size_t len, room;
} text_buffer;

static bool add_byte(parser *t, text_buffer *s, char c) {
    if (s->len + 1 >= s->room) {
        size_t room = s->room == 0 ? 32 : 2 * s->room;
        char *grown = checked(t, realloc(s->bytes, room));
        if (grown == NULL)
            return false;
        s->bytes = grown;
        s->room = room;
    }
    s->bytes[s->len++] = c;
    s->bytes[s->len] = '\0';
    return true;
}

static bool add_code_point(parser *t, text_buffer *s, uint32_t c) {
    if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return fail(t, "an escape that is no character");
    if (c < 0x80)
        return add_byte(t, s, (char)c);
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    bool good = add_byte(t, s, (char)(lead[more] | c >> 6 * more));
    while (good && more-- > 0)
        good = add_byte(t, s, (char)(0x80 | (c >> 6 * more & 0x3f)));
    return good;
}

static int hex_digit(int c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_code_point(parser *t, text_buffer *s, int digits) {
    uint32_t c = 0;
    for (; digits > 0; digits--) {
        int digit = hex_digit(peek(t));
        if (digit < 0)
            return fail(t, "an escape with too few digits");
        c = c << 4 | (uint32_t)digit;
        t->p++;
    }
    return add_code_point(t, s, c);
}

static bool take_escape(parser *t, text_buffer *s) {
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    int c = peek(t);
    const char *at = c > 0 ? strchr(from, c) : NULL;
    t->p += c >= 0;
    if (at != NULL)
        return add_byte(t, s, to[at - from]);
    if (c == 'u' || c == 'U')
        return take_code_point(t, s, c == 'u' ? 4 : 8);
    return fail(t, "an unknown escape");
}

// A backslash at the end of a line of a long string: all white space up to the next text is left out.
static bool take_line_joint(parser *t) {
    const char *start = t->p;
    skip_blanks(t);
    if (!starts(t, "\n") && !starts(t, "\r\n")) {
        t->p = start;
        return false;
    }
    do
        skip_blanks(t);
    while (take_newline(t));
    return true;
}

// One character inside of a string; `escapes`: with double quotes.
static bool take_character(parser *t, text_buffer *s, bool escapes, bool is_long) {
    int c = peek(t);
    if (c < 0)
        return fail(t, "a string without an end");
    if (is_long && take_newline(t))
        return add_byte(t, s, '\n');
    if (is_control(c))
        return fail(t, c == '\n' || c == '\r' ? "a string without an end" : "a control character in a string");
    t->p++;
    if (c != '\\' || !escapes)
        return add_byte(t, s, (char)c);
    return (is_long && take_line_joint(t)) || take_escape(t, s);
}

// Up to two quotes may stand right before the three that end a long string.
static bool take_long_end(parser *t, text_buffer *s, const char *quotes) {
    for (int i = 0; i < 2 && starts(t, quotes) && t->end - t->p > 3 && t->p[3] == quotes[0]; i++) {
        if (!add_byte(t, s, quotes[0]))
            return false;
        t->p++;
    }
    return take(t, quotes);
}

static bool take_string(parser *t, text_buffer *s) {
    bool escapes = peek(t) == '"';
    const char *quotes = escapes ? "\"\"\"" : "'''";
    char quote[2] = {quotes[0], '\0'};
    bool is_long = take(t, quotes);
    if (is_long)
        (void)take_newline(t);
    else
        (void)take(t, quote);
    bool good = add_byte(t, s, '\0');  // so that there are bytes even if it is empty
    s->len = 0;
    while (good && !(is_long ? take_long_end(t, s, quotes) : take(t, quote)))
        good = t->error == 0 && take_character(t, s, escapes, is_long);
    return good && t->error == 0;
}

static toml_value *string_value(parser *t) {
    text_buffer s = {0};
    toml_value *v = take_string(t, &s) ? new_value(t, TOML_STRING) : NULL;
    if (v == NULL)
        free(s.bytes);
    else
        v->string = s.bytes;
    return v;
}

// --- Numbers and words

// Copies a number without its underscores, which stand between digits.
static bool copy_number(parser *t, char *out) {
    size_t len = 0;
    char before = '\0';
    for (; is_key_char(peek(t)) || peek(t) == '+' || peek(t) == '.'; t->p++) {
        char c = *t->p;
        bool between = hex_digit(before) >= 0 && t->p + 1 < t->end && hex_digit((unsigned char)t->p[1]) >= 0;
        if (c == '_' && !between)
            return fail(t, "an underscore that is not between digits");
        before = c;
        if (c == '_')
            continue;
        if (len == NUMBER_MAX - 1)
            return fail(t, "a number that is too long");
        out[len++] = c;
    }
    out[len] = '\0';
    return len > 0 || fail(t, "expected a value");
}

static toml_value *integer_value(parser *t, const char *digits, int base) {
    char *end;
    errno = 0;
    long long n = strtoll(digits, &end, base);
    if (*end != '\0' || end == digits || errno != 0) {
        (void)fail(t, errno != 0 ? "an integer that is too large" : "not a value");
        return NULL;
    }
    toml_value *v = new_value(t, TOML_INTEGER);
    if (v != NULL)
        v->integer = n;
    return v;
}

static size_t digits_at(const char *s) {
    return strspn(s, "0123456789");
}

// The grammar of a float after its sign: digits, then a fraction or an exponent or both.
static bool is_float(const char *s) {
    size_t whole = digits_at(s), part;
    if (whole == 0 || (whole > 1 && s[0] == '0'))
        return false;
    s += whole;
    if (*s == '.') {
        part = digits_at(++s);
        if (part == 0)
            return false;
        s += part;
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '+' || *s == '-';
        part = digits_at(s);
        if (part == 0)
            return false;
        s += part;
    }
    return *s == '\0';
}

static toml_value *float_value(parser *t, double n) {
    toml_value *v = new_value(t, TOML_FLOAT);
    if (v != NULL)
        v->number = n;
    return v;
}

static toml_value *number_value(parser *t) {
    char s[NUMBER_MAX];
    if (!copy_number(t, s))
        return NULL;
    static const struct {
        char prefix[3];
        int base;
        const char *digits;
    } bases[] = {{"0x", 16, "0123456789abcdefABCDEF"}, {"0o", 8, "01234567"}, {"0b", 2, "01"}};
    for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        if (strncmp(s, bases[i].prefix, 2) == 0 && s[2] != '\0' && strspn(s + 2, bases[i].digits) == strlen(s + 2))
            return integer_value(t, s + 2, bases[i].base);
    }
    const char *unsigned_part = s + (s[0] == '+' || s[0] == '-');
    double sign = s[0] == '-' ? -1 : 1;
    if (strcmp(unsigned_part, "inf") == 0)
        return float_value(t, sign * (double)INFINITY);
    if (strcmp(unsigned_part, "nan") == 0)
        return float_value(t, (double)NAN);
    size_t digits = digits_at(unsigned_part);
    if (unsigned_part[digits] == '\0' && digits > 0 && (digits == 1 || unsigned_part[0] != '0'))
        return integer_value(t, s, 10);
    if (is_float(unsigned_part))
        return float_value(t, strtod(s, NULL));
    (void)fail(t, "not a value");
    return NULL;
}

static toml_value *boolean_value(parser *t, bool truth) {
    toml_value *v = is_key_char(peek(t)) ? NULL : new_value(t, TOML_BOOLEAN);
    if (v != NULL)
        v->boolean = truth;
    else
        (void)fail(t, "not a value");
    return v;
}

// --- Arrays and inline tables

static toml_value *take_value(parser *t);
static bool take_pair(parser *t, toml_value *table);

static bool take_elements(parser *t, toml_value *array) {
    for (;;) {
        if (!skip_lines(t))
            return false;
        if (take(t, "]"))
            return true;
        toml_value *v = take_value(t);
        if (v == NULL)
            return false;
        append(array, v);
        if (!skip_lines(t))
            return false;
        if (!take(t, ",") && peek(t) != ']')
            return fail(t, "expected , or ] in an array");
    }
}

static void seal_tree(toml_value *v) {
    v->sealed = true;
    for (toml_value *inner = v->first; inner != NULL; inner = inner->next) {
        if (inner->kind == TOML_TABLE)
            seal_tree(inner);
    }
}

static bool take_pairs(parser *t, toml_value *table) {
    skip_blanks(t);
    if (take(t, "}"))
        return true;
    do {
        skip_blanks(t);
        if (!take_pair(t, table))
            return false;
        skip_blanks(t);
    } while (take(t, ","));
    return take(t, "}") || fail(t, "expected , or } in an inline table");
}

static toml_value *nested_value(parser *t, int kind) {
    if (t->depth == TOML_DEPTH_MAX) {
        (void)fail_with(t, IROH_ERR_LIMIT, "nested too deeply");
        return NULL;
    }
    toml_value *v = new_value(t, kind);
    if (v == NULL)
        return NULL;
    t->depth++;
    bool good = kind == TOML_ARRAY ? take_elements(t, v) : take_pairs(t, v);
    t->depth--;
    if (!good) {
        toml_free(v);
        return NULL;
    }
    seal_tree(v);
    return v;
}

static toml_value *take_value(parser *t) {
    if (peek(t) == '"' || peek(t) == '\'')
        return string_value(t);
    if (take(t, "["))
        return nested_value(t, TOML_ARRAY);
    if (take(t, "{"))
        return nested_value(t, TOML_TABLE);
    if (take(t, "true"))
        return boolean_value(t, true);
    if (take(t, "false"))
        return boolean_value(t, false);
    return number_value(t);
}

// --- Keys

// One part of a key, to be freed; null on failure.
static char *take_key(parser *t) {
    text_buffer s = {0};
    bool good = true;
    if (peek(t) == '"' || peek(t) == '\'') {
        good = starts(t, "\"\"\"") || starts(t, "'''") ? fail(t, "a long string as a key") : take_string(t, &s);
    } else {
        while (good && is_key_char(peek(t)))
            good = add_byte(t, &s, *t->p++);
        if (good && s.bytes == NULL)
            good = fail(t, "expected a key");
    }
    if (good)
        return s.bytes;
    free(s.bytes);
    return NULL;
}

static toml_value *add_table(parser *t, toml_value *to, char *key) {
    toml_value *v = new_value(t, TOML_TABLE);
    if (v == NULL) {
        free(key);
        return NULL;
    }
    v->key = key;
    append(to, v);
    return v;
}

// The table that a part of a dotted key leads to; takes the key over. `header`: of a [header].
static toml_value *step(parser *t, toml_value *table, char *key, bool header) {
    toml_value *v = toml_get(table, key);
    if (v == NULL) {
        v = add_table(t, table, key);
        if (v != NULL) {
            v->implicit = header;
            v->dotted = !header;
        }
        return v;
    }
    free(key);
    if (header && v->kind == TOML_ARRAY && v->tables)
        return v->last;
    if (v->kind != TOML_TABLE || v->sealed || (!header && !v->dotted)) {
        (void)fail(t, "a key that is already something else");
        return NULL;
    }
    return v;
}

// Reads a dotted key: *table is led to the table of its last part, which is returned.
static char *take_path(parser *t, toml_value **table, bool header) {
    unsigned depth = 0;
    for (;;) {
        skip_blanks(t);
        char *key = take_key(t);
        if (key == NULL)
            return NULL;
        skip_blanks(t);
        if (!take(t, "."))
            return key;
        if (++depth + t->depth >= TOML_DEPTH_MAX) {
            free(key);
            (void)fail_with(t, IROH_ERR_LIMIT, "nested too deeply");
            return NULL;
        }
        *table = step(t, *table, key, header);
        if (*table == NULL)
            return NULL;
    }
}

static bool take_pair(parser *t, toml_value *table) {
    char *key = take_path(t, &table, false);
    if (key == NULL)
        return false;
    toml_value *v = NULL;
    if (toml_get(table, key) != NULL)
        (void)fail(t, "a key that is there twice");
    else if (!take(t, "="))
        (void)fail(t, "expected = after a key");
    else {
        skip_blanks(t);
        v = take_value(t);
    }
    if (v == NULL) {
        free(key);
        return false;
    }
    v->key = key;
    append(table, v);
    return true;
}

// --- Headers

static toml_value *open_table(parser *t, toml_value *parent, char *key) {
    toml_value *v = toml_get(parent, key);
    if (v == NULL)
        return add_table(t, parent, key);
    free(key);
    if (v->kind != TOML_TABLE || !v->implicit) {
        (void)fail(t, "a table that is there twice");
        return NULL;
    }
    v->implicit = false;
    return v;
}

static toml_value *open_element(parser *t, toml_value *parent, char *key) {
    toml_value *array = toml_get(parent, key);
    if (array != NULL)
        free(key);
    if (array != NULL && (array->kind != TOML_ARRAY || !array->tables)) {
        (void)fail(t, "a key that is already something else");
        return NULL;
    }
    if (array == NULL) {
        array = add_table(t, parent, key);
        if (array == NULL)
            return NULL;
        array->kind = TOML_ARRAY;
        array->tables = true;
    }
    toml_value *v = new_value(t, TOML_TABLE);
    if (v != NULL)
        append(array, v);
    return v;
}

static toml_value *take_header(parser *t, toml_value *root) {
    bool element = take(t, "[[");
    toml_value *table = root;
    if (!element)
        (void)take(t, "[");
    char *key = take_path(t, &table, true);
    if (key == NULL)
        return NULL;
    if (!take(t, element ? "]]" : "]")) {
        free(key);
        (void)fail(t, "a header without its end");
        return NULL;
    }
    table = element ? open_element(t, table, key) : open_table(t, table, key);
    return table != NULL && end_line(t) ? table : NULL;
}

static bool take_document(parser *t, toml_value *root) {
    toml_value *table = root;
    for (;;) {
        if (!skip_lines(t))
            return false;
        if (t->p == t->end)
            return true;
        if (peek(t) == '[')
            table = take_header(t, root);
        else if (!take_pair(t, table) || !end_line(t))
            return false;
        if (table == NULL)
            return false;
    }
}

int toml_parse(const char *text, size_t len, toml_value **out, toml_error *error) {
    parser t = {.p = text, .end = text + len, .line = 1};
    toml_value *root = NULL;
    if (len > TOML_TEXT_MAX)
        (void)fail_with(&t, IROH_ERR_TOO_LARGE, "too long");
    else if (!utf8_valid(text, len))
        (void)fail_with(&t, IROH_ERR_UTF8, "not UTF-8");
    else if ((root = new_value(&t, TOML_TABLE)) != NULL)
        (void)take_document(&t, root);
    if (t.error != 0) {
        toml_free(root);
        *error = (toml_error){t.line, t.why};
        return t.error;
    }
    *out = root;
    return 0;
}
