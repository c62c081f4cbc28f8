// Writing JSON by hand is easier than it looks when only the writer decides on the structure: all it takes is to know
// whether a comma is due, and to escape what comes from outside.
#include "quic/qlog_text.h"

#include <inttypes.h>
#include <stdio.h>

#define NS_PER_MS 1000000
#define MS_DIGITS 6

void qlog_text_flush(qlog_text *t) {
    if (t->len > 0)
        t->sink->write(t->sink->user, t->buffer, t->len);
    t->len = 0;
}

static void put(qlog_text *t, const char *text, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (t->len == sizeof t->buffer)
            qlog_text_flush(t);
        t->buffer[t->len++] = text[i];
    }
}

void qlog_text_raw(qlog_text *t, const char *text) {
    put(t, text, strlen(text));
}

static void begin(qlog_text *t, const char *name) {
    if (t->follows)
        qlog_text_raw(t, ",");
    t->follows = true;
    if (name == NULL)
        return;
    qlog_text_raw(t, "\"");
    qlog_text_raw(t, name);
    qlog_text_raw(t, "\":");
}

void qlog_text_open(qlog_text *t, const char *name, char bracket) {
    begin(t, name);
    put(t, &bracket, 1);
    t->follows = false;
}

void qlog_text_close(qlog_text *t, char bracket) {
    put(t, &bracket, 1);
    t->follows = true;
}

void qlog_text_u64(qlog_text *t, const char *name, uint64_t value) {
    char digits[24];
    begin(t, name);
    put(t, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value));
}

void qlog_text_ms(qlog_text *t, const char *name, uint64_t ns) {
    char digits[40];
    begin(t, name);
    put(t, digits,
        (size_t)snprintf(digits, sizeof digits, "%" PRIu64 ".%0*" PRIu64, ns / NS_PER_MS, MS_DIGITS, ns % NS_PER_MS));
}

void qlog_text_bool(qlog_text *t, const char *name, bool value) {
    begin(t, name);
    qlog_text_raw(t, value ? "true" : "false");
}

void qlog_text_string(qlog_text *t, const char *name, const char *value) {
    qlog_text_bytes(t, name, value, strlen(value));
}

void qlog_text_bytes(qlog_text *t, const char *name, const char *bytes, size_t len) {
    begin(t, name);
    qlog_text_raw(t, "\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            put(t, &bytes[i], 1);
            continue;
        }
        char escape[8];
        put(t, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
    }
    qlog_text_raw(t, "\"");
}

void qlog_text_hex(qlog_text *t, const char *name, const uint8_t *bytes, size_t len) {
    static const char digits[] = "0123456789abcdef";
    begin(t, name);
    qlog_text_raw(t, "\"");
    for (size_t i = 0; i < len; i++) {
        put(t, &digits[bytes[i] >> 4], 1);
        put(t, &digits[bytes[i] & 0x0f], 1);
    }
    qlog_text_raw(t, "\"");
}
