// Parsing goes line by line over one cursor; a line is cut at its LF, and a CR before that is dropped.
#include "web/http_head.h"

#include <string.h>

#include <iroh/error.h>

// --- Characters (RFC 9110, section 5.6.2)

static bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(http_text t) {
    for (size_t i = 0; i < t.len; i++) {
        if (!is_token_char(t.p[i]))
            return false;
    }
    return t.len > 0;
}

// Visible ASCII, blanks and bytes above ASCII; no controls.
static bool is_field_text(const char *p, size_t len) {
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_target(http_text t) {
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.p[i];
        if (c <= 0x20 || c == 0x7f)
            return false;
    }
    return t.len > 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static http_text trimmed(http_text t) {
    while (t.len > 0 && is_blank(t.p[0]))
        t.p++, t.len--;
    while (t.len > 0 && is_blank(t.p[t.len - 1]))
        t.len--;
    return t;
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

// --- Finding the end

int http_scan_end(http_scan *s, const void *bytes, size_t len) {
    const char *p = bytes;
    size_t stop = len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX;
    while (s->seen < stop) {
        char c = p[s->seen++];
        if (c == '\n' && s->at_start)
            return (int)s->seen;
        s->at_start = c == '\n' || (c == '\r' && s->at_start);
    }
    return len >= HTTP_HEAD_MAX ? IROH_ERR_TOO_LARGE : 0;
}

// --- Parsing

// The next line without its end; false when there is none.
static bool take_line(http_text *rest, http_text *line) {
    const char *end = rest->len > 0 ? memchr(rest->p, '\n', rest->len) : NULL;
    if (end == NULL)
        return false;
    *line = (http_text){rest->p, (size_t)(end - rest->p)};
    rest->len -= line->len + 1;
    rest->p = end + 1;
    if (line->len > 0 && line->p[line->len - 1] == '\r')
        line->len--;
    return true;
}

// What stands before the separator, which is taken too; the whole line when it has none.
static http_text take_until(http_text *line, char separator) {
    const char *at = line->len > 0 ? memchr(line->p, separator, line->len) : NULL;
    http_text part = {line->p, at == NULL ? line->len : (size_t)(at - line->p)};
    size_t taken = part.len + (at != NULL);
    line->p += taken;
    line->len -= taken;
    return part;
}

static int parse_version(http_text t, int *minor) {
    static const char prefix[] = "HTTP/";
    if (t.len != 8 || memcmp(t.p, prefix, sizeof prefix - 1) != 0 || t.p[6] != '.')
        return IROH_ERR_SYNTAX;
    if (t.p[5] != '1' || (t.p[7] != '0' && t.p[7] != '1'))
        return IROH_ERR_UNSUPPORTED;
    *minor = t.p[7] - '0';
    return 0;
}

static int parse_request_line(http_text line, http_head *out) {
    out->method = take_until(&line, ' ');
    out->target = take_until(&line, ' ');
    if (!is_token(out->method) || !is_target(out->target))
        return IROH_ERR_SYNTAX;
    if (out->target.len > HTTP_TARGET_MAX)
        return IROH_ERR_TOO_LARGE;
    return parse_version(line, &out->minor);
}

static int parse_status_line(http_text line, http_head *out) {
    int r = parse_version(take_until(&line, ' '), &out->minor);
    http_text code = take_until(&line, ' ');
    if (r != 0)
        return r;
    if (code.len != 3 || !is_field_text(line.p, line.len))
        return IROH_ERR_SYNTAX;
    for (size_t i = 0; i < 3; i++) {
        if (code.p[i] < '0' || code.p[i] > '9')
            return IROH_ERR_SYNTAX;
        out->status = 10 * out->status + (code.p[i] - '0');
    }
    out->reason = line;
    return out->status >= 100 ? 0 : IROH_ERR_SYNTAX;
}

static int parse_field(http_text line, http_head *out) {
    if (memchr(line.p, ':', line.len) == NULL)
        return IROH_ERR_SYNTAX;
    http_text name = take_until(&line, ':');
    if (!is_token(name) || !is_field_text(line.p, line.len))
        return IROH_ERR_SYNTAX;
    if (out->field_count == HTTP_FIELDS_MAX)
        return IROH_ERR_LIMIT;
    out->fields[out->field_count++] = (http_field){name, trimmed(line)};
    return 0;
}

static int parse_head(const void *bytes, size_t len, http_head *out, int (*parse_start)(http_text, http_head *)) {
    http_text rest = {bytes, len}, line;
    out->method = out->target = out->reason = (http_text){0};
    out->status = out->minor = 0;
    out->field_count = 0;
    if (!take_line(&rest, &line))
        return IROH_ERR_SYNTAX;
    int r = parse_start(line, out);
    while (r == 0) {
        if (!take_line(&rest, &line))
            return IROH_ERR_SYNTAX;
        if (line.len == 0)
            return rest.len == 0 ? 0 : IROH_ERR_SYNTAX;
        r = parse_field(line, out);
    }
    return r;
}

int http_request_parse(const void *bytes, size_t len, http_head *out) {
    return parse_head(bytes, len, out, parse_request_line);
}

int http_response_parse(const void *bytes, size_t len, http_head *out) {
    return parse_head(bytes, len, out, parse_status_line);
}

// --- Looking at a head

bool http_text_is(const http_text *t, const char *text) {
    return t->len == strlen(text) && memcmp(t->p, text, t->len) == 0;
}

bool http_text_is_nocase(const http_text *t, const char *text) {
    if (t->len != strlen(text))
        return false;
    for (size_t i = 0; i < t->len; i++) {
        if (lower(t->p[i]) != lower(text[i]))
            return false;
    }
    return true;
}

const http_text *http_field_find(const http_head *h, const char *name, size_t *at) {
    for (size_t i = at != NULL ? *at : 0; i < h->field_count; i++) {
        if (!http_text_is_nocase(&h->fields[i].name, name))
            continue;
        if (at != NULL)
            *at = i + 1;
        return &h->fields[i].value;
    }
    return NULL;
}

bool http_list_has(const http_head *h, const char *name, const char *element) {
    size_t at = 0;
    for (const http_text *value; (value = http_field_find(h, name, &at)) != NULL;) {
        http_text rest = *value;
        while (rest.len > 0) {
            http_text part = trimmed(take_until(&rest, ','));
            if (http_text_is_nocase(&part, element))
                return true;
        }
    }
    return false;
}

http_text http_target_path(const http_text *target) {
    http_text rest = *target;
    return take_until(&rest, '?');
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One character of form-encoded text; advances past it.
static char take_form_char(http_text *t) {
    char c = t->p[0];
    size_t size = 1;
    if (c == '+') {
        c = ' ';
    } else if (c == '%' && t->len >= 3 && hex_digit(t->p[1]) >= 0 && hex_digit(t->p[2]) >= 0) {
        c = (char)(hex_digit(t->p[1]) << 4 | hex_digit(t->p[2]));
        size = 3;
    }
    t->p += size;
    t->len -= size;
    return c;
}

static bool form_text_is(http_text t, const char *text) {
    for (; t.len > 0; text++) {
        if (*text == '\0' || take_form_char(&t) != *text)
            return false;
    }
    return *text == '\0';
}

int http_query_get(const http_text *target, const char *name, char *out, size_t room) {
    http_text rest = *target;
    (void)take_until(&rest, '?');
    while (rest.len > 0) {
        http_text value = take_until(&rest, '&');
        http_text key = take_until(&value, '=');
        if (!form_text_is(key, name))
            continue;
        size_t len = 0;
        for (; value.len > 0; len++) {
            char c = take_form_char(&value);
            if (len == room)
                return IROH_ERR_TOO_LARGE;
            out[len] = c;
        }
        return (int)len;
    }
    return IROH_ERR_NOT_FOUND;
}

static bool parse_size(const http_text *t, uint64_t *out) {
    *out = 0;
    for (size_t i = 0; i < t->len; i++) {
        if (t->p[i] < '0' || t->p[i] > '9' || *out > UINT64_MAX / 10 - 1)
            return false;
        *out = 10 * *out + (uint64_t)(t->p[i] - '0');
    }
    return t->len > 0;
}

int http_body_size(const http_head *h, uint64_t *out) {
    size_t at = 0;
    bool known = false;
    *out = 0;
    if (http_field_find(h, "transfer-encoding", NULL) != NULL)
        return IROH_ERR_UNSUPPORTED;
    for (const http_text *value; (value = http_field_find(h, "content-length", &at)) != NULL; known = true) {
        uint64_t size;
        if (!parse_size(value, &size) || (known && size != *out))
            return IROH_ERR_SYNTAX;
        *out = size;
    }
    return 0;
}

bool http_keeps_alive(const http_head *h) {
    return h->minor == 1 ? !http_list_has(h, "connection", "close") : http_list_has(h, "connection", "keep-alive");
}

// --- Writing

static void put_text(writer *w, const char *text) {
    writer_bytes(w, text, strlen(text));
}

void http_put_request(writer *w, const char *method, const char *target, size_t target_len) {
    if (!is_token((http_text){method, strlen(method)}) || !is_target((http_text){target, target_len})) {
        w->failed = true;
        return;
    }
    put_text(w, method);
    put_text(w, " ");
    writer_bytes(w, target, target_len);
    put_text(w, " HTTP/1.1\r\n");
}

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {204, "No Content"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
};

void http_put_status(writer *w, int status) {
    const char *reason = "";
    if (status < 100 || status > 999) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].status == status)
            reason = reasons[i].reason;
    }
    const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10), (char)('0' + status % 10), ' '};
    put_text(w, "HTTP/1.1 ");
    writer_bytes(w, digits, sizeof digits);
    put_text(w, reason);
    put_text(w, "\r\n");
}

void http_put_field(writer *w, const char *name, const char *value, size_t len) {
    if (!is_token((http_text){name, strlen(name)}) || !is_field_text(value, len)) {
        w->failed = true;
        return;
    }
    put_text(w, name);
    put_text(w, ": ");
    writer_bytes(w, value, len);
    put_text(w, "\r\n");
}

void http_put_text(writer *w, const char *name, const char *value) {
    http_put_field(w, name, value, strlen(value));
}

void http_put_end(writer *w) {
    put_text(w, "\r\n");
}
