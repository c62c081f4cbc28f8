#include "base/url.h"

#include <stdio.h>
#include <string.h>

#include <iroh/error.h>

#include "base/url_host.h"
#include "base/utf8.h"

// What is percent-encoded besides controls and non-ASCII, by part.
static const char fragment_set[] = " \"<>`";
static const char query_set[] = " \"#<>";
static const char special_query_set[] = " \"#<>'";
static const char path_set[] = " \"#<>?`{}";
static const char userinfo_set[] = " \"#<>?`{}/:;=@[\\]^|";

typedef struct text {
    const char *p;
    size_t len;
} text;

// The schemes of the standard's "special" URLs, which have a host and a path always.
typedef struct special_scheme {
    const char *name;
    int port;  // default; -1: this scheme has no ports
} special_scheme;

static const special_scheme special_schemes[] = {
    {"http", 80}, {"https", 443}, {"ws", 80}, {"wss", 443}, {"ftp", 21}, {"file", -1},
};

typedef struct parser {
    text rest;      // what is not parsed yet, before query and fragment
    text query;     // with "?"; empty: none
    text fragment;  // with "#"
    const special_scheme *special;
    bool has_authority;
    writer *out;
} parser;

void url_escape(const char *p, size_t len, const char *set, writer *out) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c >= 0x20 && c < 0x7f && strchr(set, c) == NULL) {
            writer_u8(out, c);
        } else {
            writer_u8(out, '%');
            writer_u8(out, (uint8_t)digits[c >> 4]);
            writer_u8(out, (uint8_t)digits[c & 15]);
        }
    }
}

static text text_after(text t, size_t n) {
    return (text){t.p + n, t.len - n};
}

// Cuts `t` at the first `c` and returns what starts there; empty when there is none.
static text text_cut(text *t, char c) {
    const char *at = t->len > 0 ? memchr(t->p, c, t->len) : NULL;
    size_t n = at != NULL ? (size_t)(at - t->p) : t->len;
    text tail = text_after(*t, n);
    t->len = n;
    return tail;
}

static bool is_slash(const parser *u, char c) {
    return c == '/' || (u->special != NULL && c == '\\');
}

static bool starts_with_slash(const parser *u, text t) {
    return t.len > 0 && is_slash(u, *t.p);
}

static bool is_file(const parser *u) {
    return u->special != NULL && u->special->port < 0;
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// --- Scheme

static bool scheme_char(char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
}

static bool parse_scheme(parser *u) {
    text t = u->rest;
    size_t n = 0;
    while (n < t.len && scheme_char(t.p[n]))
        n++;
    if (n == 0 || n == t.len || t.p[n] != ':' || !is_letter(*t.p))
        return false;
    uint8_t *name = u->out->p;
    for (size_t i = 0; i < n; i++)
        writer_u8(u->out, (uint8_t)(t.p[i] >= 'A' && t.p[i] <= 'Z' ? t.p[i] - 'A' + 'a' : t.p[i]));
    for (size_t i = 0; !u->out->failed && i < sizeof special_schemes / sizeof *special_schemes; i++) {
        const special_scheme *s = &special_schemes[i];
        if (strlen(s->name) == n && memcmp(s->name, name, n) == 0)
            u->special = s;
    }
    writer_u8(u->out, ':');
    u->rest = text_after(t, n + 1);
    return true;
}

// --- Authority

// "user:password@"; an empty part leaves out its mark.
static void write_userinfo(parser *u, text info) {
    text password = text_cut(&info, ':');
    if (info.len + password.len == 0 || (info.len == 0 && password.len == 1))
        return;
    url_escape(info.p, info.len, userinfo_set, u->out);
    if (password.len > 1) {
        writer_u8(u->out, ':');
        url_escape(password.p + 1, password.len - 1, userinfo_set, u->out);
    }
    writer_u8(u->out, '@');
}

// ":" and digits, or nothing. Not written when empty or the scheme's own.
static bool write_port(parser *u, text t) {
    unsigned port = 0;
    for (size_t i = 1; i < t.len; i++) {
        if (t.p[i] < '0' || t.p[i] > '9')
            return false;
        port = port * 10 + (unsigned)(t.p[i] - '0');
        if (port > UINT16_MAX)
            return false;
    }
    if (t.len <= 1 || (u->special != NULL && (int)port == u->special->port))
        return true;
    char digits[8];
    int n = snprintf(digits, sizeof digits, ":%u", port);
    writer_bytes(u->out, digits, (size_t)n);
    return true;
}

// Where the host ends: at the first colon outside of brackets.
static size_t host_len(text t) {
    bool inside = false;
    for (size_t i = 0; i < t.len; i++) {
        if (t.p[i] == '[')
            inside = true;
        else if (t.p[i] == ']')
            inside = false;
        else if (t.p[i] == ':' && !inside)
            return i;
    }
    return t.len;
}

static int write_authority(parser *u, text t) {
    size_t info = t.len;
    while (info > 0 && t.p[info - 1] != '@')
        info--;
    text host = text_after(t, info);
    text port = text_after(host, host_len(host));
    host.len -= port.len;
    // A host may be empty only where it need not be there, and then it stands alone.
    if (host.len == 0 && (u->special != NULL || info > 0 || port.len > 0))
        return IROH_ERR_SYNTAX;
    if (info > 0)
        write_userinfo(u, (text){t.p, info - 1});
    int r = url_host_write(host.p, host.len, u->special != NULL, u->out);
    if (r != 0)
        return r;
    return write_port(u, port) ? 0 : IROH_ERR_SYNTAX;
}

// A Windows drive, "c:" or "c|", is a segment of a file's path of its own kind.
static bool is_drive(text t) {
    return t.len == 2 && is_letter(t.p[0]) && (t.p[1] == ':' || t.p[1] == '|');
}

// file: has a host only after two slashes, without user and port; "localhost" is none.
static int write_file_host(parser *u, text host) {
    static const char local[] = "localhost";
    uint8_t *start = u->out->p;
    int r = url_host_write(host.p, host.len, true, u->out);
    if (r == 0 && !u->out->failed && u->out->p - start == sizeof local - 1 &&
        memcmp(start, local, sizeof local - 1) == 0)
        u->out->p = start;
    return r;
}

// Takes the authority off `rest`, which is past the slashes that announce it.
static text take_authority(parser *u) {
    text t = u->rest;
    size_t n = 0;
    while (n < t.len && !is_slash(u, t.p[n]))
        n++;
    u->rest = text_after(t, n);
    return (text){t.p, n};
}

static int parse_file_authority(parser *u) {
    u->has_authority = true;
    writer_bytes(u->out, "//", 2);
    if (u->rest.len < 2 || !is_slash(u, u->rest.p[0]) || !is_slash(u, u->rest.p[1]))
        return 0;
    u->rest = text_after(u->rest, 2);
    text before = u->rest, host = take_authority(u);
    if (!is_drive(host))
        return write_file_host(u, host);
    u->rest = before;
    return 0;
}

static int parse_authority(parser *u) {
    if (is_file(u))
        return parse_file_authority(u);
    if (u->special == NULL && (u->rest.len < 2 || memcmp(u->rest.p, "//", 2) != 0))
        return 0;
    u->has_authority = true;
    writer_bytes(u->out, "//", 2);
    if (u->special == NULL)
        u->rest = text_after(u->rest, 2);
    while (u->special != NULL && starts_with_slash(u, u->rest))
        u->rest = text_after(u->rest, 1);
    return write_authority(u, take_authority(u));
}

// --- Path

// How many dots a segment stands for, "%2e" counting as one; 0 when it holds anything else or more than two.
static size_t dots(text t) {
    size_t n = 0;
    while (t.len > 0 && n < 3) {
        bool escaped = t.len >= 3 && memcmp(t.p, "%2", 2) == 0 && (t.p[2] | 0x20) == 'e';
        if (!escaped && *t.p != '.')
            return 0;
        t = text_after(t, escaped ? 3 : 1);
        n++;
    }
    return n < 3 ? n : 0;
}

// Takes the last segment off the path that starts at `start`; a file's drive stays.
static void shorten(const parser *u, uint8_t *start) {
    uint8_t *p = u->out->p;
    while (p > start && *--p != '/') {}
    text last = {(const char *)p + 1, p < u->out->p ? (size_t)(u->out->p - p - 1) : 0};
    if (!(is_file(u) && p == start && is_drive(last)))
        u->out->p = p;
}

static void write_segment(const parser *u, text segment, bool last, uint8_t *start) {
    size_t n = dots(segment);
    if (n == 2)
        shorten(u, start);
    if (n > 0) {
        if (last)
            writer_u8(u->out, '/');
        return;
    }
    bool first_of_file = is_file(u) && u->out->p == start;
    // The path of a file begins with one slash. The standard has given this up; the original has not.
    if (first_of_file && segment.len == 0 && !last)
        return;
    bool drive = first_of_file && is_drive(segment);
    writer_u8(u->out, '/');
    url_escape(segment.p, drive ? 1 : segment.len, path_set, u->out);
    if (drive)
        writer_u8(u->out, ':');
}

// Without a host, a path that begins with two slashes would be read back as one: "/." goes before it.
static void guard_path(const parser *u, uint8_t *start) {
    size_t len = (size_t)(u->out->p - start);
    if (u->out->failed || u->has_authority || len < 2 || start[0] != '/' || start[1] != '/')
        return;
    if (writer_room(u->out, 2) == NULL)
        return;
    memmove(start + 2, start, len);
    memcpy(start, "/.", 2);
}

static void write_path(parser *u) {
    text t = u->rest;
    uint8_t *start = u->out->p;
    if (u->special == NULL && !u->has_authority && !starts_with_slash(u, t)) {
        url_escape(t.p, t.len, "", u->out);
        return;
    }
    if (u->special == NULL && t.len == 0)
        return;
    if (starts_with_slash(u, t))
        t = text_after(t, 1);
    for (;;) {
        size_t n = 0;
        while (n < t.len && !is_slash(u, t.p[n]))
            n++;
        write_segment(u, (text){t.p, n}, n == t.len, start);
        if (n == t.len)
            break;
        t = text_after(t, n + 1);
    }
    guard_path(u, start);
}

// --- All of it

// Without controls and spaces around it, and without tabs and line breaks anywhere.
static size_t clean(const char *p, size_t len, char *out) {
    size_t n = 0;
    while (len > 0 && (unsigned char)p[len - 1] <= ' ')
        len--;
    while (len > 0 && (unsigned char)*p <= ' ') {
        p++;
        len--;
    }
    for (size_t i = 0; i < len; i++) {
        if (p[i] != '\t' && p[i] != '\n' && p[i] != '\r')
            out[n++] = p[i];
    }
    return n;
}

static void write_tail(const parser *u) {
    if (u->query.len > 0) {
        writer_u8(u->out, '?');
        url_escape(u->query.p + 1, u->query.len - 1, u->special != NULL ? special_query_set : query_set, u->out);
    }
    if (u->fragment.len > 0) {
        writer_u8(u->out, '#');
        url_escape(u->fragment.p + 1, u->fragment.len - 1, fragment_set, u->out);
    }
}

int url_normalize(const char *url, size_t len, char *out, size_t room) {
    char cleaned[URL_MAX];
    if (len > URL_MAX)
        return IROH_ERR_TOO_LARGE;
    if (!utf8_valid(url, len))
        return IROH_ERR_UTF8;
    writer w = writer_of(out, room < URL_MAX ? room : URL_MAX);
    parser u = {.rest = {cleaned, clean(url, len, cleaned)}, .out = &w};
    u.fragment = text_cut(&u.rest, '#');
    u.query = text_cut(&u.rest, '?');
    if (!parse_scheme(&u))
        return IROH_ERR_SYNTAX;
    int r = parse_authority(&u);
    if (r != 0)
        return r;
    write_path(&u);
    write_tail(&u);
    return w.failed ? IROH_ERR_TOO_LARGE : (int)writer_len(&w);
}
