// A question to a relay over HTTP, answered by the head of its answer: whether it is there (`/ping`), or whether somebody
// else answers in its place, as networks do that want a login first (`/generate_204`, which must come back with an answer
// to our challenge).
//
// Pure state for one connection: write the request, feed what comes. The relay's body is of no interest; the connection is
// closed after the head.
#ifndef NET_HTTP_PROBE_H
#define NET_HTTP_PROBE_H

#include "net/proxy.h"
#include "relay/upgrade.h"
#include "web/http_head.h"

#define HTTP_PROBE_REQUEST_MAX 2048
#define HTTP_PROBE_CHALLENGE_MAX 512
#define HTTP_PROBE_HEAD_MAX 8192  // bytes of an answer's head; a longer one is a failure
#define HTTP_PROBE_CAPTIVE_PORT 80

typedef struct http_probe {
    bool captive;  // the second question
    char challenge[HTTP_PROBE_CHALLENGE_MAX];
    http_scan scan;
    size_t len;
    uint8_t head[HTTP_PROBE_HEAD_MAX];
} http_probe;

// Begins one, and writes its request to `w`, which fails if that is too long. `via`: the proxy that is to forward it; null:
// it goes to the relay itself, or through a tunnel to it.
void http_probe_begin(http_probe *p, bool captive, const relay_target *relay, const net_proxy *via, writer *w);

// Feeds bytes. 1: the answer is there, and *good says whether the relay gave it (for the second question: itself).
// 0: more is needed. IROH_ERR_SYNTAX, IROH_ERR_TOO_LARGE: no HTTP, or too much of it.
int http_probe_feed(http_probe *p, const uint8_t *bytes, size_t len, bool *good);

#endif
