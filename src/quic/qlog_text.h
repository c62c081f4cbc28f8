// JSON text on its way to a qlog sink, through a small buffer. Private to the qlog files.
#ifndef QUIC_QLOG_TEXT_H
#define QUIC_QLOG_TEXT_H

#include "quic/frame.h"
#include "quic/qlog.h"

typedef struct qlog_text {
    const quic_qlog_sink *sink;
    size_t len;
    bool follows;  // a member or element stands before the next one: a comma is due
    char buffer[1024];
} qlog_text;

void qlog_text_raw(qlog_text *t, const char *text);
void qlog_text_flush(qlog_text *t);

// Members of the open object. A null name makes an element of the open array.
void qlog_text_open(qlog_text *t, const char *name, char bracket);  // '{' or '['
void qlog_text_close(qlog_text *t, char bracket);                   // '}' or ']'
void qlog_text_u64(qlog_text *t, const char *name, uint64_t value);
void qlog_text_ms(qlog_text *t, const char *name, uint64_t ns);  // as milliseconds with a fraction
void qlog_text_bool(qlog_text *t, const char *name, bool value);
void qlog_text_string(qlog_text *t, const char *name, const char *value);
void qlog_text_bytes(qlog_text *t, const char *name, const char *bytes, size_t len);  // any bytes, as Latin-1
void qlog_text_hex(qlog_text *t, const char *name, const uint8_t *bytes, size_t len);

// The frame as an element of the open array.
void qlog_text_frame(qlog_text *t, const quic_frame *f, const quic_frame_info *info);

#endif
