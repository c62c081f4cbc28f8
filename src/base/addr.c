#include "base/addr.h"

#include <stdio.h>
#include <string.h>

#include <iroh/error.h>

bool addr_equal(const addr *a, const addr *b) {
    return a->kind == b->kind && a->port == b->port && a->scope == b->scope &&
           memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool addr_same_host(const addr *a, const addr *b) {
    return a->kind == b->kind && a->scope == b->scope && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

uint64_t addr_hash(const addr *a) {
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ a->kind ^ (uint64_t)a->port << 16 ^ (uint64_t)a->scope << 32;
    for (size_t i = 0; i < sizeof a->bytes; i++)
        h = (h ^ a->bytes[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

addr addr_ip4(const uint8_t ip[static 4], uint16_t port) {
    addr a = {.kind = ADDR_IP4, .port = port};
    memcpy(a.bytes, ip, 4);
    return a;
}

addr addr_ip6(const uint8_t ip[static 16], uint16_t port, uint32_t scope) {
    addr a = {.kind = ADDR_IP6, .port = port, .scope = scope};
    memcpy(a.bytes, ip, 16);
    return a;
}

addr addr_canonical(const addr *a) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (a->kind == ADDR_IP6 && memcmp(a->bytes, mapped, sizeof mapped) == 0)
        return addr_ip4(a->bytes + 12, a->port);
    return *a;
}

int addr_compare(const addr *a, const addr *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    int d = memcmp(a->bytes, b->bytes, sizeof a->bytes);
    if (d != 0)
        return d;
    if (a->port != b->port)
        return a->port < b->port ? -1 : 1;
    if (a->scope != b->scope)
        return a->scope < b->scope ? -1 : 1;
    return 0;
}

bool addr_is_ip(const addr *a) {
    return a->kind == ADDR_IP4 || a->kind == ADDR_IP6;
}

bool addr_is_unspecified(const addr *a) {
    static const uint8_t zero[32] = {0};
    return addr_is_ip(a) && memcmp(a->bytes, zero, sizeof zero) == 0;
}

bool addr_is_loopback(const addr *a) {
    static const uint8_t one[16] = {[15] = 1};
    if (a->kind == ADDR_IP4)
        return a->bytes[0] == 127;
    return a->kind == ADDR_IP6 && memcmp(a->bytes, one, sizeof one) == 0;
}

bool addr_is_multicast(const addr *a) {
    if (a->kind == ADDR_IP4)
        return (a->bytes[0] & 0xf0) == 0xe0;
    return a->kind == ADDR_IP6 && a->bytes[0] == 0xff;
}

bool addr_is_link_local(const addr *a) {
    if (a->kind == ADDR_IP4)
        return a->bytes[0] == 169 && a->bytes[1] == 254;
    return a->kind == ADDR_IP6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

// --- Text

// Start and length of the longest run of at least two zero groups (RFC 5952, section 4.2).
static int longest_zero_run(const uint16_t g[static 8], int *length) {
    int best = -1, best_length = 1;
    for (int i = 0; i < 8;) {
        int n = 0;
        while (i + n < 8 && g[i + n] == 0)
            n++;
        if (n > best_length) {
            best = i;
            best_length = n;
        }
        i += n > 0 ? n : 1;
    }
    *length = best_length;
    return best;
}

static size_t format_ip6(const addr *a, char *out, size_t room) {
    uint16_t g[8];
    for (int i = 0; i < 8; i++)
        g[i] = (uint16_t)(a->bytes[2 * i] << 8 | a->bytes[2 * i + 1]);
    int run_length;
    int run = longest_zero_run(g, &run_length);
    size_t n = 0;
    for (int i = 0; i < 8; i++) {
        if (i == run) {
            n += (size_t)snprintf(out + n, room - n, "::");
            i += run_length - 1;
            continue;
        }
        bool colon = i > 0 && i != run + run_length;
        n += (size_t)snprintf(out + n, room - n, "%s%x", colon || (run < 0 && i > 0) ? ":" : "", g[i]);
    }
    return n;
}

size_t addr_format(const addr *a, char out[static ADDR_TEXT_MAX]) {
    char ip[64];
    const uint8_t *b = a->bytes;
    int n;
    switch (a->kind) {
    case ADDR_IP4:
        n = snprintf(out, ADDR_TEXT_MAX, "%u.%u.%u.%u:%u", b[0], b[1], b[2], b[3], a->port);
        break;
    case ADDR_IP6:
        (void)format_ip6(a, ip, sizeof ip);
        if (a->scope != 0)
            n = snprintf(out, ADDR_TEXT_MAX, "[%s%%%u]:%u", ip, (unsigned)a->scope, a->port);
        else
            n = snprintf(out, ADDR_TEXT_MAX, "[%s]:%u", ip, a->port);
        break;
    case ADDR_RELAY:
        n = snprintf(out, ADDR_TEXT_MAX, "relay-%u", (unsigned)a->scope);
        break;
    case ADDR_CUSTOM:
        n = snprintf(out, ADDR_TEXT_MAX, "custom-%u", (unsigned)a->scope);
        break;
    default:
        n = snprintf(out, ADDR_TEXT_MAX, "none");
        break;
    }
    return (size_t)n;
}

// A cursor over text; `bad` once something did not fit.
typedef struct text {
    const char *p, *end;
    bool bad;
} text;

static bool take(text *t, char c) {
    if (t->p < t->end && *t->p == c) {
        t->p++;
        return true;
    }
    return false;
}

static uint32_t decimal(text *t, uint32_t max) {
    uint64_t v = 0;
    const char *start = t->p;
    while (t->p < t->end && *t->p >= '0' && *t->p <= '9' && t->p - start < 10)
        v = 10 * v + (uint64_t)(*t->p++ - '0');
    bool leading_zero = t->p - start > 1 && *start == '0';
    if (t->p == start || v > max || leading_zero)
        t->bad = true;
    return (uint32_t)v;
}

static void parse_ip4(text *t, uint8_t out[static 4]) {
    for (int i = 0; i < 4; i++) {
        if (i > 0 && !take(t, '.'))
            t->bad = true;
        out[i] = (uint8_t)decimal(t, 255);
    }
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

// One group of 1 to 4 hex digits.
static uint16_t group(text *t) {
    unsigned v = 0;
    int digits = 0;
    while (t->p < t->end && hex_value(*t->p) >= 0 && digits < 4) {
        v = v << 4 | (unsigned)hex_value(*t->p++);
        digits++;
    }
    if (digits == 0)
        t->bad = true;
    return (uint16_t)v;
}

static bool dotted_next(const text *t) {
    for (const char *p = t->p; p < t->end && (hex_value(*p) >= 0 || *p == '.'); p++) {
        if (*p == '.')
            return true;
    }
    return false;
}

// Bytes into `out`; returns how many there were before "::" in *gap (-1: no gap).
static size_t ip6_groups(text *t, uint8_t out[static 16], int *gap) {
    size_t n = 0;
    *gap = -1;
    if (t->end - t->p >= 2 && t->p[0] == ':' && t->p[1] == ':') {
        t->p += 2;
        *gap = 0;
    }
    while (!t->bad && n < 16 && t->p < t->end && *t->p != '%' && *t->p != ']') {
        if (n <= 12 && dotted_next(t)) {
            parse_ip4(t, out + n);
            n += 4;
            break;
        }
        uint16_t g = group(t);
        out[n++] = (uint8_t)(g >> 8);
        out[n++] = (uint8_t)g;
        if (!take(t, ':'))
            break;
        if (take(t, ':')) {
            t->bad |= *gap >= 0;
            *gap = (int)n;
        } else if (t->p == t->end || *t->p == ']' || *t->p == '%') {
            t->bad = true;
        }
    }
    return n;
}

static void parse_ip6(text *t, uint8_t out[static 16]) {
    uint8_t bytes[16] = {0};
    int gap;
    size_t n = ip6_groups(t, bytes, &gap);
    if (gap < 0) {
        t->bad |= n != 16;
        memcpy(out, bytes, 16);
        return;
    }
    if (n > 14) {
        t->bad = true;
        return;
    }
    memset(out, 0, 16);
    memcpy(out, bytes, (size_t)gap);
    memcpy(out + 16 - (n - (size_t)gap), bytes + gap, n - (size_t)gap);
}

int addr_parse(addr *out, const char *string, size_t len) {
    text t = {.p = string, .end = string + len};
    uint8_t ip[16];
    uint32_t scope = 0;
    bool v6 = take(&t, '[');
    if (v6) {
        parse_ip6(&t, ip);
        if (take(&t, '%'))
            scope = decimal(&t, UINT32_MAX);
        t.bad |= !take(&t, ']');
    } else {
        parse_ip4(&t, ip);
    }
    t.bad |= !take(&t, ':');
    uint16_t port = t.bad ? 0 : (uint16_t)decimal(&t, 65535);
    if (t.bad || t.p != t.end)
        return IROH_ERR_SYNTAX;
    *out = v6 ? addr_ip6(ip, port, scope) : addr_ip4(ip, port);
    return 0;
}
