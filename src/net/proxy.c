#include "net/proxy.h"

#include <string.h>

#include <iroh/error.h>

#include "base/base64.h"
#include "base/url.h"
#include "base/wipe.h"
#include "relay/upgrade.h"

#define DEFAULT_SCHEME "http://"
#define BASIC "Basic "

_Static_assert(sizeof BASIC + BASE64_PADDED_LEN(NET_PROXY_LOGIN_MAX) <= NET_PROXY_LOGIN_MAX * 2, "a login fits");

static int digit_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

// What is no escape stays as it is.
static void unescape(const char *text, size_t len, writer *out) {
    for (size_t i = 0; i < len; i++) {
        int high = text[i] == '%' && i + 2 < len ? digit_of(text[i + 1]) : -1;
        int low = high >= 0 ? digit_of(text[i + 2]) : -1;
        writer_u8(out, (uint8_t)(low >= 0 ? high << 4 | low : text[i]));
        i += low >= 0 ? 2 : 0;
    }
}

// The credentials of RFC 7617: a user without a password has an empty one.
static int set_login(net_proxy *p, const char *info, size_t len) {
    uint8_t login[NET_PROXY_LOGIN_MAX];
    writer w = writer_of(login, sizeof login);
    unescape(info, len, &w);
    if (memchr(info, ':', len) == NULL)
        writer_u8(&w, ':');
    if (w.failed)
        return IROH_ERR_TOO_LARGE;
    size_t size = writer_len(&w);
    memcpy(p->authorization, BASIC, strlen(BASIC));
    base64_encode(BASE64_PADDED, login, size, p->authorization + strlen(BASIC));
    p->authorization[strlen(BASIC) + BASE64_PADDED_LEN(size)] = '\0';
    wipe(login, sizeof login);
    return 0;
}

// Of a URL in normal form: a path follows always, and what ends a user's name is escaped within it.
static int find_login(net_proxy *p, const char *url, size_t len) {
    const char *info = (const char *)memchr(url, ':', len) + strlen("://");
    const char *path = memchr(info, '/', (size_t)(url + len - info));
    const char *end = path != NULL ? memchr(info, '@', (size_t)(path - info)) : NULL;
    return end != NULL ? set_login(p, info, (size_t)(end - info)) : 0;
}

static bool speaks_http(const char *url, size_t len) {
    return (len >= 7 && memcmp(url, "http://", 7) == 0) || (len >= 8 && memcmp(url, "https://", 8) == 0);
}

static int normalize(const char *url, char out[static URL_MAX]) {
    char full[URL_MAX];
    const char *scheme = strstr(url, "://") == NULL ? DEFAULT_SCHEME : "";
    size_t start = strlen(scheme), len = strlen(url);
    if (start + len > sizeof full)
        return IROH_ERR_TOO_LARGE;
    memcpy(full, scheme, start);
    memcpy(full + start, url, len);
    return url_normalize(full, start + len, out, URL_MAX);
}

int net_proxy_of(const char *url, net_proxy *out) {
    char text[URL_MAX];
    relay_target target;
    *out = (net_proxy){0};
    int len = normalize(url, text);
    if (len < 0 || !speaks_http(text, (size_t)len))
        return len < 0 ? len : 0;
    int r = relay_target_of(text, (size_t)len, &target);
    if (r == 0 && target.host.len > sizeof out->host)
        r = IROH_ERR_TOO_LARGE;
    if (r != 0)
        return r;
    out->forwards = true;
    out->tls = target.tls;
    out->port = target.port;
    out->host_len = target.host.len;
    memcpy(out->host, target.host.p, target.host.len);
    r = find_login(out, text, (size_t)len);
    wipe(text, sizeof text);
    return r;
}
