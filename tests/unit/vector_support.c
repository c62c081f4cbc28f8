#include "unit/vector_support.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const char *name) {
    (void)fprintf(stderr, "vectors: %s: %s\n", what, name);
    exit(1);
}

void vectors_open(vectors *v, const char *name) {
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/tests/vectors/%s", IROH_SOURCE_DIR, name);
    v->file = fopen(path, "r");
    if (v->file == NULL)
        fail("cannot open", path);
}

bool vectors_next(vectors *v) {
    while (fgets(v->line, sizeof v->line, v->file) != NULL) {
        v->line[strcspn(v->line, "\r\n")] = '\0';
        if (v->line[0] != '#' && v->line[0] != '\0')
            return true;
    }
    (void)fclose(v->file);
    return false;
}

// Where the value of a word starts, and its length; null when the line has no such word.
static const char *find(const vectors *v, const char *name, size_t *len) {
    size_t name_len = strlen(name);
    for (const char *at = v->line; *at != '\0';) {
        size_t word = strcspn(at, " ");
        if (word > name_len && at[name_len] == '=' && strncmp(at, name, name_len) == 0) {
            *len = word - name_len - 1;
            return at + name_len + 1;
        }
        at += word + strspn(at + word, " ");
    }
    return NULL;
}

bool vectors_has(const vectors *v, const char *name) {
    size_t len;
    return find(v, name, &len) != NULL;
}

static const char *need(const vectors *v, const char *name, size_t *len) {
    const char *value = find(v, name, len);
    if (value == NULL)
        fail("word is missing", name);
    return value;
}

bool vectors_is(const vectors *v, const char *name, const char *text) {
    size_t len;
    const char *value = need(v, name, &len);
    return len == strlen(text) && memcmp(value, text, len) == 0;
}

uint64_t vectors_u64(const vectors *v, const char *name) {
    size_t len;
    char *end;
    const char *value = need(v, name, &len);
    uint64_t n = strtoumax(value, &end, 10);
    if (len == 0 || end != value + len)
        fail("no number", name);
    return n;
}

size_t vectors_bytes(const vectors *v, const char *name, uint8_t *out, size_t room) {
    size_t len;
    const char *value = need(v, name, &len);
    size_t n = hex_bytes(value, len, out, room);
    if (n == SIZE_MAX)
        fail("no bytes, or too many", name);
    return n;
}

size_t vectors_text(const vectors *v, const char *name, char *out, size_t room) {
    char hex_name[64];
    size_t len;
    (void)snprintf(hex_name, sizeof hex_name, "%s_hex", name);
    if (vectors_has(v, hex_name)) {
        len = vectors_bytes(v, hex_name, (uint8_t *)out, room - 1);
    } else {
        const char *value = need(v, name, &len);
        if (len >= room)
            fail("text too long", name);
        memcpy(out, value, len);
    }
    out[len] = '\0';
    return len;
}

static int digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

size_t hex_bytes(const char *hex, size_t len, uint8_t *out, size_t room) {
    if (len % 2 != 0 || len / 2 > room)
        return SIZE_MAX;
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(hex[i]), low = digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return SIZE_MAX;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return len / 2;
}
