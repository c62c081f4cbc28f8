// Characters, strings, numbers and booleans of TOML.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/toml_scan.h"

#define NUMBER_MAX 64  // characters of a number

bool toml_fail(parser *t, const char *why) {
    if (t->error == 0) {
        t->error = IROH_ERR_SYNTAX;
        t->why = why;
    }
    return false;
}

bool toml_fail_with(parser *t, int error, const char *why) {
    (void)toml_fail(t, why);
    t->error = error;
    return false;
}

static void *checked(parser *t, void *memory) {
    if (memory == NULL)
        (void)toml_fail_with(t, IROH_ERR_NOMEM, "out of memory");
    return memory;
}

toml_value *toml_new(parser *t, int kind) {
    toml_value *v = checked(t, calloc(1, sizeof *v));
    if (v != NULL) {
        v->kind = (uint8_t)kind;
        v->line = t->line;
    }
    return v;
}

// --- Characters

bool toml_is_control(int c) {
    return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f;
}

bool toml_is_key_char(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

void toml_skip_blanks(parser *t) {
    while (toml_peek(t) == ' ' || toml_peek(t) == '\t')
        t->p++;
}

bool toml_take_newline(parser *t) {
    if (!toml_take(t, "\n") && !toml_take(t, "\r\n"))
        return false;
    t->line++;
    return true;
}

// --- Strings

bool toml_add_byte(parser *t, text_buffer *s, char c) {
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
        return toml_fail(t, "an escape that is no character");
    if (c < 0x80)
        return toml_add_byte(t, s, (char)c);
    int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    bool good = toml_add_byte(t, s, (char)(lead[more] | c >> 6 * more));
    while (good && more-- > 0)
        good = toml_add_byte(t, s, (char)(0x80 | (c >> 6 * more & 0x3f)));
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
        int digit = hex_digit(toml_peek(t));
        if (digit < 0)
            return toml_fail(t, "an escape with too few digits");
        c = c << 4 | (uint32_t)digit;
        t->p++;
    }
    return add_code_point(t, s, c);
}

static bool take_escape(parser *t, text_buffer *s) {
    static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
    int c = toml_peek(t);
    const char *at = c > 0 ? strchr(from, c) : NULL;
    t->p += c >= 0;
    if (at != NULL)
        return toml_add_byte(t, s, to[at - from]);
    if (c == 'u' || c == 'U')
        return take_code_point(t, s, c == 'u' ? 4 : 8);
    return toml_fail(t, "an unknown escape");
}

// A backslash at the end of a line of a long string: all white space up to the next text is left out.
static bool take_line_joint(parser *t) {
    const char *start = t->p;
    toml_skip_blanks(t);
    if (!toml_starts(t, "\n") && !toml_starts(t, "\r\n")) {
        t->p = start;
        return false;
    }
    do
        toml_skip_blanks(t);
    while (toml_take_newline(t));
    return true;
}

// One character inside of a string; `escapes`: with double quotes.
static bool take_character(parser *t, text_buffer *s, bool escapes, bool is_long) {
    int c = toml_peek(t);
    if (c < 0)
        return toml_fail(t, "a string without an end");
    if (is_long && toml_take_newline(t))
        return toml_add_byte(t, s, '\n');
    if (toml_is_control(c))
        return toml_fail(t, c == '\n' || c == '\r' ? "a string without an end" : "a control character in a string");
    t->p++;
    if (c != '\\' || !escapes)
        return toml_add_byte(t, s, (char)c);
    return (is_long && take_line_joint(t)) || take_escape(t, s);
}

// Up to two quotes may stand right before the three that end a long string.
static bool take_long_end(parser *t, text_buffer *s, const char *quotes) {
    for (int i = 0; i < 2 && toml_starts(t, quotes) && t->end - t->p > 3 && t->p[3] == quotes[0]; i++) {
        if (!toml_add_byte(t, s, quotes[0]))
            return false;
        t->p++;
    }
    return toml_take(t, quotes);
}

bool toml_take_string(parser *t, text_buffer *s) {
    bool escapes = toml_peek(t) == '"';
    const char *quotes = escapes ? "\"\"\"" : "'''";
    char quote[2] = {quotes[0], '\0'};
    bool is_long = toml_take(t, quotes);
    if (is_long)
        (void)toml_take_newline(t);
    else
        (void)toml_take(t, quote);
    bool good = toml_add_byte(t, s, '\0');  // so that there are bytes even if it is empty
    s->len = 0;
    while (good && !(is_long ? take_long_end(t, s, quotes) : toml_take(t, quote)))
        good = t->error == 0 && take_character(t, s, escapes, is_long);
    return good && t->error == 0;
}

static toml_value *string_value(parser *t) {
    text_buffer s = {0};
    toml_value *v = toml_take_string(t, &s) ? toml_new(t, TOML_STRING) : NULL;
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
    for (; toml_is_key_char(toml_peek(t)) || toml_peek(t) == '+' || toml_peek(t) == '.'; t->p++) {
        char c = *t->p;
        bool between = hex_digit(before) >= 0 && t->p + 1 < t->end && hex_digit((unsigned char)t->p[1]) >= 0;
        if (c == '_' && !between)
            return toml_fail(t, "an underscore that is not between digits");
        before = c;
        if (c == '_')
            continue;
        if (len == NUMBER_MAX - 1)
            return toml_fail(t, "a number that is too long");
        out[len++] = c;
    }
    out[len] = '\0';
    return len > 0 || toml_fail(t, "expected a value");
}

static toml_value *integer_value(parser *t, const char *digits, int base) {
    char *end;
    errno = 0;
    long long n = strtoll(digits, &end, base);
    if (*end != '\0' || end == digits || errno != 0) {
        (void)toml_fail(t, errno != 0 ? "an integer that is too large" : "not a value");
        return NULL;
    }
    toml_value *v = toml_new(t, TOML_INTEGER);
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
    toml_value *v = toml_new(t, TOML_FLOAT);
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
    (void)toml_fail(t, "not a value");
    return NULL;
}

static toml_value *boolean_value(parser *t, bool truth) {
    toml_value *v = toml_is_key_char(toml_peek(t)) ? NULL : toml_new(t, TOML_BOOLEAN);
    if (v != NULL)
        v->boolean = truth;
    else
        (void)toml_fail(t, "not a value");
    return v;
}

toml_value *toml_take_scalar(parser *t) {
    if (toml_peek(t) == '"' || toml_peek(t) == '\'')
        return string_value(t);
    if (toml_take(t, "true"))
        return boolean_value(t, true);
    if (toml_take(t, "false"))
        return boolean_value(t, false);
    return number_value(t);
}
