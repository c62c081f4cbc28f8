#include "base/url_host.h"

#include <stdio.h>
#include <string.h>

#include <iroh/error.h>

#include "base/idna.h"
#include "base/url.h"
#include "base/utf8.h"

#define IP4_PARTS 4
#define IP6_GROUPS 8

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// --- IPv4, in all the forms that inet_aton takes

// 0x.., 0.. (octal) or decimal; "0x" alone is 0. A number past 32 bits yields UINT64_MAX, which no check lets pass.
static bool ip4_number(const char *p, size_t len, uint64_t *out) {
    unsigned base = 10;
    if (len == 0)
        return false;
    if (len >= 2 && p[0] == '0' && (p[1] | 0x20) == 'x') {
        base = 16;
        p += 2;
        len -= 2;
    } else if (len >= 2 && p[0] == '0') {
        base = 8;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0 || (unsigned)digit >= base)
            return false;
        v = v > UINT32_MAX ? UINT64_MAX : v * base + (unsigned)digit;
    }
    *out = v > UINT32_MAX ? UINT64_MAX : v;
    return true;
}

// Where the last label starts; a final dot is not looked at (*len is the length without it).
static size_t last_label(const char *name, size_t *len) {
    if (*len > 0 && name[*len - 1] == '.')
        --*len;
    size_t start = *len;
    while (start > 0 && name[start - 1] != '.')
        start--;
    return start;
}

static bool ends_in_number(const char *name, size_t len) {
    uint64_t unused;
    size_t start = last_label(name, &len), digits = start;
    while (digits < len && name[digits] >= '0' && name[digits] <= '9')
        digits++;
    return (start < len && digits == len) || ip4_number(name + start, len - start, &unused);
}

static int ip4_write(const char *name, size_t len, writer *out) {
    uint64_t parts[IP4_PARTS], address = 0;
    size_t count = 0;
    (void)last_label(name, &len);
    for (size_t start = 0; start <= len; count++) {
        const char *dot = memchr(name + start, '.', len - start);
        size_t end = dot != NULL ? (size_t)(dot - name) : len;
        if (count == IP4_PARTS || !ip4_number(name + start, end - start, &parts[count]))
            return IROH_ERR_SYNTAX;
        start = end + 1;
    }
    for (size_t i = 0; i + 1 < count; i++) {
        if (parts[i] > 255)
            return IROH_ERR_SYNTAX;
        address |= parts[i] << (24 - 8 * i);
    }
    // The last part fills all the bytes that are left.
    if (parts[count - 1] > UINT32_MAX >> 8 * (count - 1))
        return IROH_ERR_SYNTAX;
    address |= parts[count - 1];
    char text[16];
    int n = snprintf(text, sizeof text, "%u.%u.%u.%u", (unsigned)(address >> 24), (unsigned)(address >> 16 & 255),
                     (unsigned)(address >> 8 & 255), (unsigned)(address & 255));
    writer_bytes(out, text, (size_t)n);
    return 0;
}

// --- IPv6

typedef struct ip6 {
    uint16_t groups[IP6_GROUPS];
    size_t count;
    size_t gap;  // groups before "::"; IP6_GROUPS + 1: none
} ip6;

static size_t ip6_group(const char *p, size_t left, uint16_t *out) {
    size_t n = 0;
    unsigned v = 0;
    for (; n < 4 && n < left && hex_value(p[n]) >= 0; n++)
        v = v << 4 | (unsigned)hex_value(p[n]);
    *out = (uint16_t)v;
    return n;
}

// Four decimal numbers to the end of the text; no leading zeroes.
static bool ip6_dotted(const char *p, size_t left, ip6 *a) {
    uint8_t bytes[4];
    for (size_t i = 0; i < 4; i++) {
        unsigned v = 0;
        size_t n = 0;
        if (i > 0) {
            if (left == 0 || *p != '.')
                return false;
            p++;
            left--;
        }
        for (; n < 3 && n < left && p[n] >= '0' && p[n] <= '9'; n++)
            v = v * 10 + (unsigned)(p[n] - '0');
        if (n == 0 || v > 255 || (n > 1 && *p == '0'))
            return false;
        bytes[i] = (uint8_t)v;
        p += n;
        left -= n;
    }
    if (left != 0 || a->count + 2 > IP6_GROUPS)
        return false;
    a->groups[a->count++] = (uint16_t)(bytes[0] << 8 | bytes[1]);
    a->groups[a->count++] = (uint16_t)(bytes[2] << 8 | bytes[3]);
    return true;
}

static bool ip6_groups(const char *p, size_t len, ip6 *a) {
    size_t i = 0;
    if (len >= 2 && p[0] == ':' && p[1] == ':') {
        a->gap = 0;
        i = 2;
    }
    while (i < len) {
        uint16_t v;
        size_t n = ip6_group(p + i, len - i, &v);
        if (n == 0)
            return false;
        if (i + n < len && p[i + n] == '.')
            return ip6_dotted(p + i, len - i, a);
        if (a->count == IP6_GROUPS)
            return false;
        a->groups[a->count++] = v;
        i += n;
        if (i == len)
            break;
        if (p[i++] != ':' || i == len)
            return false;
        if (p[i] == ':') {
            if (a->gap <= IP6_GROUPS)
                return false;
            a->gap = a->count;
            i++;
        }
    }
    return true;
}

static bool ip6_parse(const char *p, size_t len, uint16_t out[static IP6_GROUPS]) {
    ip6 a = {.gap = IP6_GROUPS + 1};
    if (!ip6_groups(p, len, &a))
        return false;
    memset(out, 0, IP6_GROUPS * sizeof *out);
    if (a.gap > IP6_GROUPS) {
        memcpy(out, a.groups, sizeof a.groups);
        return a.count == IP6_GROUPS;
    }
    size_t after = a.count - a.gap;
    memcpy(out, a.groups, a.gap * sizeof *out);
    memcpy(out + IP6_GROUPS - after, a.groups + a.gap, after * sizeof *out);
    return a.count < IP6_GROUPS;
}

// The first of the longest runs of at least two zero groups; *len is 0 when there is none.
static size_t zero_run(const uint16_t groups[static IP6_GROUPS], size_t *len) {
    size_t best = 0, start = 0;
    *len = 0;
    for (size_t i = 0; i <= IP6_GROUPS; i++) {
        if (i < IP6_GROUPS && groups[i] == 0)
            continue;
        if (i - start > *len && i - start >= 2) {
            best = start;
            *len = i - start;
        }
        start = i + 1;
    }
    return best;
}

static int ip6_write(const char *p, size_t len, writer *out) {
    uint16_t groups[IP6_GROUPS];
    size_t run_len;
    if (len < 2 || p[len - 1] != ']' || !ip6_parse(p + 1, len - 2, groups))
        return IROH_ERR_SYNTAX;
    size_t run = zero_run(groups, &run_len);
    writer_u8(out, '[');
    for (size_t i = 0; i < IP6_GROUPS; i++) {
        if (run_len > 0 && i == run) {
            writer_bytes(out, "::", 2);
            i += run_len - 1;
            continue;
        }
        char text[6];
        bool colon = i > 0 && (run_len == 0 || i != run + run_len);
        int n = snprintf(text, sizeof text, "%s%x", colon ? ":" : "", groups[i]);
        writer_bytes(out, text, (size_t)n);
    }
    writer_u8(out, ']');
    return 0;
}

// --- Names

// What no name may hold; `opaque` hosts may hold controls and % in addition, which are escaped or kept.
static bool forbidden(char c, bool opaque) {
    if (c == '\0' || strchr("\t\n\r #/:<>?@[\\]^|", c) != NULL)
        return true;
    return !opaque && ((unsigned char)c < 0x20 || c == 0x7f || c == '%');
}

static bool has_forbidden(const char *name, size_t len, bool opaque) {
    for (size_t i = 0; i < len; i++) {
        if (forbidden(name[i], opaque))
            return true;
    }
    return false;
}

static size_t percent_decode(const char *text, size_t len, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%' && len - i > 2 && hex_value(text[i + 1]) >= 0 && hex_value(text[i + 2]) >= 0) {
            c = (char)(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

static int name_write(const char *host, size_t len, writer *out) {
    char decoded[URL_HOST_MAX], ascii[URL_HOST_MAX];
    size_t decoded_len = percent_decode(host, len, decoded);
    if (!utf8_valid(decoded, decoded_len))
        return IROH_ERR_SYNTAX;
    writer w = writer_of(ascii, sizeof ascii);
    int r = idna_to_ascii(decoded, decoded_len, &w);
    if (r != 0)
        return r;
    size_t n = writer_len(&w);
    // An empty name can come of characters that are mapped to nothing.
    if (n == 0 || has_forbidden(ascii, n, false))
        return IROH_ERR_SYNTAX;
    if (ends_in_number(ascii, n))
        return ip4_write(ascii, n, out);
    writer_bytes(out, ascii, n);
    return 0;
}

int url_host_write(const char *host, size_t len, bool special, writer *out) {
    if (len == 0)
        return 0;
    if (len > URL_HOST_MAX)
        return IROH_ERR_TOO_LARGE;
    if (*host == '[')
        return ip6_write(host, len, out);
    if (special)
        return name_write(host, len, out);
    if (has_forbidden(host, len, true))
        return IROH_ERR_SYNTAX;
    url_escape(host, len, "", out);
    return 0;
}
