// A proxy for tests, on 127.0.0.1 in threads of its own: HTTP, over TLS if wanted, or SOCKS 5, with or without a password, and
// one that refuses. It opens tunnels and forwards GET requests, but answers "/generate_204" itself, as a relay at port 80
// would.
#ifndef PROXY_SUPPORT_H
#define PROXY_SUPPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <gnutls/gnutls.h>
#include <uv.h>

#define PROXY_CLIENTS 32

typedef struct proxy {
    // Set before the start.
    bool socks;
    const char *login;                     // "USER:PASSWORD" that it wants; null: none
    int refusal;                           // the HTTP status or SOCKS code that all are answered with; 0: none
    gnutls_certificate_credentials_t tls;  // null: plain
    uint16_t port;                         // 0: any
    // Known from then on, and the port too.
    char target[256];  // "HOST:PORT" of the latest tunnel
    int tunnels;       // that were opened
    int forwarded;     // requests, those that it answered included
    int refused;
    // Its own.
    int listener;
    bool stop;
    uv_mutex_t lock;
    uv_thread_t thread, clients[PROXY_CLIENTS];
    int client_count;
} proxy;

void proxy_start(proxy *p);
void proxy_stop(proxy *p);  // with its tunnels

// Read while it runs.
int proxy_tunnels(proxy *p);
int proxy_forwarded(proxy *p);
int proxy_refused(proxy *p);

#endif
