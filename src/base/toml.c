// Documents, tables and arrays of TOML.
#include "base/toml.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/toml_scan.h"
#include "base/utf8.h"

// --- Between values

static bool skip_comment(parser *t) {
    if (toml_peek(t) != '#')
        return true;
    while (t->p < t->end && !toml_starts(t, "\n") && !toml_starts(t, "\r\n")) {
        if (toml_is_control(toml_peek(t)))
            return toml_fail(t, "a control character in a comment");
        t->p++;
    }
    return true;
}

// Blanks, comments and line ends, as between the elements of an array.
static bool skip_lines(parser *t) {
    do {
        toml_skip_blanks(t);
        if (!skip_comment(t))
            return false;
    } while (toml_take_newline(t));
    return true;
}

static bool end_line(parser *t) {
    toml_skip_blanks(t);
    if (!skip_comment(t))
        return false;
    return t->p == t->end || toml_take_newline(t) || toml_fail(t, "expected the end of the line");
}

// --- Values

static void append(toml_value *to, toml_value *v) {
    if (to->last != NULL)
        to->last->next = v;
    else
        to->first = v;
    to->last = v;
}

// No deeper than three times TOML_DEPTH_MAX (header, key, value), which parsing has seen to.
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

// --- Arrays and inline tables

static toml_value *take_value(parser *t);
static bool take_pair(parser *t, toml_value *table);

static bool take_elements(parser *t, toml_value *array) {
    for (;;) {
        if (!skip_lines(t))
            return false;
        if (toml_take(t, "]"))
            return true;
        toml_value *v = take_value(t);
        if (v == NULL)
            return false;
        append(array, v);
        if (!skip_lines(t))
            return false;
        if (!toml_take(t, ",") && toml_peek(t) != ']')
            return toml_fail(t, "expected , or ] in an array");
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
    toml_skip_blanks(t);
    if (toml_take(t, "}"))
        return true;
    do {
        toml_skip_blanks(t);
        if (!take_pair(t, table))
            return false;
        toml_skip_blanks(t);
    } while (toml_take(t, ","));
    return toml_take(t, "}") || toml_fail(t, "expected , or } in an inline table");
}

static toml_value *nested_value(parser *t, int kind) {
    if (t->depth == TOML_DEPTH_MAX) {
        (void)toml_fail_with(t, IROH_ERR_LIMIT, "nested too deeply");
        return NULL;
    }
    toml_value *v = toml_new(t, kind);
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
    if (toml_take(t, "["))
        return nested_value(t, TOML_ARRAY);
    if (toml_take(t, "{"))
        return nested_value(t, TOML_TABLE);
    return toml_take_scalar(t);
}

// --- Keys

// One part of a key, to be freed; null on failure.
static char *take_key(parser *t) {
    text_buffer s = {0};
    bool good = true;
    if (toml_peek(t) == '"' || toml_peek(t) == '\'') {
        good = toml_starts(t, "\"\"\"") || toml_starts(t, "'''") ? toml_fail(t, "a long string as a key")
                                                                 : toml_take_string(t, &s);
    } else {
        while (good && toml_is_key_char(toml_peek(t)))
            good = toml_add_byte(t, &s, *t->p++);
        if (good && s.bytes == NULL)
            good = toml_fail(t, "expected a key");
    }
    if (good)
        return s.bytes;
    free(s.bytes);
    return NULL;
}

static toml_value *add_table(parser *t, toml_value *to, char *key) {
    toml_value *v = toml_new(t, TOML_TABLE);
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
        (void)toml_fail(t, "a key that is already something else");
        return NULL;
    }
    return v;
}

// Reads a dotted key: *table is led to the table of its last part, which is returned.
static char *take_path(parser *t, toml_value **table, bool header) {
    unsigned depth = 0;
    for (;;) {
        toml_skip_blanks(t);
        char *key = take_key(t);
        if (key == NULL)
            return NULL;
        toml_skip_blanks(t);
        if (!toml_take(t, "."))
            return key;
        if (++depth + t->depth >= TOML_DEPTH_MAX) {
            free(key);
            (void)toml_fail_with(t, IROH_ERR_LIMIT, "nested too deeply");
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
        (void)toml_fail(t, "a key that is there twice");
    else if (!toml_take(t, "="))
        (void)toml_fail(t, "expected = after a key");
    else {
        toml_skip_blanks(t);
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
        (void)toml_fail(t, "a table that is there twice");
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
        (void)toml_fail(t, "a key that is already something else");
        return NULL;
    }
    if (array == NULL) {
        array = add_table(t, parent, key);
        if (array == NULL)
            return NULL;
        array->kind = TOML_ARRAY;
        array->tables = true;
    }
    toml_value *v = toml_new(t, TOML_TABLE);
    if (v != NULL)
        append(array, v);
    return v;
}

static toml_value *take_header(parser *t, toml_value *root) {
    bool element = toml_take(t, "[[");
    toml_value *table = root;
    if (!element)
        (void)toml_take(t, "[");
    char *key = take_path(t, &table, true);
    if (key == NULL)
        return NULL;
    if (!toml_take(t, element ? "]]" : "]")) {
        free(key);
        (void)toml_fail(t, "a header without its end");
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
        if (toml_peek(t) == '[')
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
        (void)toml_fail_with(&t, IROH_ERR_TOO_LARGE, "too long");
    else if (!utf8_valid(text, len))
        (void)toml_fail_with(&t, IROH_ERR_UTF8, "not UTF-8");
    else if ((root = toml_new(&t, TOML_TABLE)) != NULL)
        (void)take_document(&t, root);
    if (t.error != 0) {
        toml_free(root);
        *error = (toml_error){t.line, t.why};
        return t.error;
    }
    *out = root;
    return 0;
}
