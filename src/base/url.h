// Absolute URLs in the normal form of the WHATWG URL standard: the text that the original stores, compares and sends.
//
// Everything is resolved that has more than one spelling: case of scheme and host, default ports, dot segments, numeric
// hosts, backslashes, tabs and line breaks, and what must be percent-encoded. Escapes that are there are left alone.
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stddef.h>

#include "base/bytes.h"

#define URL_MAX 8192  // bytes, before and after

// Writes the normal form of `text` (any bytes) without a terminator: its length, at least 2. IROH_ERR_SYNTAX (no
// absolute URL), IROH_ERR_UTF8, IROH_ERR_TOO_LARGE (URL_MAX, or `room`, even if only for dot segments that vanish),
// IROH_ERR_NOMEM; `out` is then undefined. A normal form is its own.
int url_normalize(const char *text, size_t len, char *out, size_t room);

// Writes bytes; controls, DEL, non-ASCII and the characters in `set` percent-encoded.
void url_escape(const char *text, size_t len, const char *set, writer *out);

#endif
