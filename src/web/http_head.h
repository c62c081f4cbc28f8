// Heads of HTTP/1.1 messages (RFC 9112): the lines up to the blank one, of requests and responses.
//
// Bytes arrive in pieces of any size, so finding the end and reading the lines are two steps: `http_scan` remembers how
// far it looked, and a head is parsed once, when it is whole. Everything in a parsed head is a slice of the caller's
// buffer. Line ends may be LF alone, as common servers allow. Obsolete folding, control characters, and white space
// before the colon are refused. The bounds hold against any input.
#ifndef WEB_HTTP_HEAD_H
#define WEB_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define HTTP_HEAD_MAX 32768    // bytes of a head, blank line included
#define HTTP_FIELDS_MAX 100    // fields of a head
#define HTTP_TARGET_MAX 16384  // bytes of a request target

typedef struct http_text {
    const char *p;
    size_t len;
} http_text;

typedef struct http_field {
    http_text name;   // as sent, a token
    http_text value;  // without white space around
} http_field;

typedef struct http_head {
    http_text method, target;  // requests
    int status;                // responses: 100..999
    http_text reason;          // responses; may be empty
    int minor;                 // HTTP/1.minor: 0 or 1
    size_t field_count;
    http_field fields[HTTP_FIELDS_MAX];
} http_head;

// Looks for the end of a head in a growing buffer. Starts as all zeroes.
typedef struct http_scan {
    size_t seen;    // bytes looked at
    bool at_start;  // the last line end was followed by nothing but CR so far
} http_scan;

// `bytes` are all that was received of the head so far. Its whole length (> 0) once complete; 0: more is needed;
// IROH_ERR_TOO_LARGE when it exceeds HTTP_HEAD_MAX. Each byte is looked at once over all calls.
int http_scan_end(http_scan *s, const void *bytes, size_t len);

// Parses a whole head of exactly `len` bytes. IROH_ERR_SYNTAX; IROH_ERR_LIMIT (more than HTTP_FIELDS_MAX fields: 431);
// IROH_ERR_TOO_LARGE (the target: 414); IROH_ERR_UNSUPPORTED (not HTTP/1.0 or 1.1).
int http_request_parse(const void *bytes, size_t len, http_head *out);
int http_response_parse(const void *bytes, size_t len, http_head *out);

// The first field of that name at or after *at (case is ignored; *at starts at 0 and goes past the found one); null when
// there is none. `at` may be null.
const http_text *http_field_find(const http_head *h, const char *name, size_t *at);

bool http_text_is(const http_text *t, const char *text);         // byte for byte
bool http_text_is_nocase(const http_text *t, const char *text);  // ASCII case ignored

// Whether the comma-separated list in the fields of that name has the element, case ignored.
bool http_list_has(const http_head *h, const char *name, const char *element);

// The path of a request target, without its query.
http_text http_target_path(const http_text *target);

// The first query parameter of that name, percent-decoded into `out`: its length; IROH_ERR_NOT_FOUND; IROH_ERR_TOO_LARGE
// for more than `room`. A broken escape stands for itself; `+` is a space, as in forms.
int http_query_get(const http_text *target, const char *name, char *out, size_t room);

// Bytes of body that follow a request head. IROH_ERR_UNSUPPORTED: a transfer coding; IROH_ERR_SYNTAX: lengths that are
// no number or differ. In both cases the connection cannot be used further.
int http_body_size(const http_head *h, uint64_t *out);

// Whether the sender will use the connection for more.
bool http_keeps_alive(const http_head *h);

// Writers. A method, target, name or value with a byte that would break the line fails the writer.
void http_put_request(writer *w, const char *method, const char *target, size_t target_len);
void http_put_status(writer *w, int status);  // with its usual reason
void http_put_field(writer *w, const char *name, const char *value, size_t len);
void http_put_text(writer *w, const char *name, const char *value);  // the same, of a terminated value
void http_put_end(writer *w);                                        // the blank line

#endif
