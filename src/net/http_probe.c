#include "net/http_probe.h"

#include <string.h>

#include <iroh/error.h>

#define SCHEME "http://"
#define PING "/ping"
#define GENERATE "/generate_204"
#define CHALLENGE "X-Iroh-Challenge"
#define RESPONSE "X-Iroh-Response"
#define CHALLENGE_START "ts_"
#define RESPONSE_START "response "

// The challenge names the host, as in the URL.
static void set_challenge(http_probe *p, const http_text *host) {
    writer w = writer_of((uint8_t *)p->challenge, sizeof p->challenge - 1);
    writer_bytes(&w, (const uint8_t *)CHALLENGE_START, strlen(CHALLENGE_START));
    writer_bytes(&w, (const uint8_t *)host->p, host->len);
    p->challenge[w.failed ? 0 : w.p - w.start] = '\0';
}

// A proxy is told the whole URL (RFC 9112, section 3.2.2).
static void put_get(writer *w, const char *path, const http_text *host, bool absolute) {
    char url[HTTP_PROBE_REQUEST_MAX];
    writer target = writer_of((uint8_t *)url, sizeof url);
    if (absolute) {
        writer_bytes(&target, (const uint8_t *)SCHEME, strlen(SCHEME));
        writer_bytes(&target, (const uint8_t *)host->p, host->len);
    }
    writer_bytes(&target, (const uint8_t *)path, strlen(path));
    w->failed |= target.failed;
    http_put_request(w, "GET", url, writer_len(&target));
}

void http_probe_begin(http_probe *p, bool captive, const relay_target *relay, const net_proxy *via, writer *w) {
    // The second question goes to the usual port, whatever that of the relay is.
    const http_text *host = captive ? &relay->host : &relay->authority;
    *p = (http_probe){.captive = captive};
    put_get(w, captive ? GENERATE : PING, host, via != NULL);
    http_put_field(w, "Host", host->p, host->len);
    if (via != NULL && via->authorization[0] != '\0')
        http_put_text(w, "Proxy-Authorization", via->authorization);
    if (captive) {
        set_challenge(p, host);
        http_put_text(w, CHALLENGE, p->challenge);
    }
    http_put_text(w, "Connection", "close");
    http_put_end(w);
}

static bool is_response_to(const http_text *t, const char *challenge) {
    size_t start = strlen(RESPONSE_START), len = strlen(challenge);
    return t->len == start + len && memcmp(t->p, RESPONSE_START, start) == 0 &&
           memcmp(t->p + start, challenge, len) == 0;
}

static bool is_good(const http_probe *p, const http_head *h) {
    if (!p->captive)
        return h->status >= 200 && h->status < 300;
    const http_text *response = http_field_find(h, RESPONSE, NULL);
    return h->status == 204 && response != NULL && is_response_to(response, p->challenge);
}

int http_probe_feed(http_probe *p, const uint8_t *bytes, size_t len, bool *good) {
    http_head head;
    size_t n = len < sizeof p->head - p->len ? len : sizeof p->head - p->len;
    memcpy(p->head + p->len, bytes, n);
    p->len += n;
    int end = http_scan_end(&p->scan, p->head, p->len);
    if (end < 0)
        return end;
    if (end == 0)
        return p->len < sizeof p->head ? 0 : IROH_ERR_TOO_LARGE;
    if (http_response_parse(p->head, (size_t)end, &head) != 0)
        return IROH_ERR_SYNTAX;
    *good = is_good(p, &head);
    return 1;
}
