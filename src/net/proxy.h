// The proxy that the settings name, for requests that it is to forward itself instead of opening a tunnel: as the original
// does for what goes over plain HTTP (RFC 9110, section 7.6; relay.md, section 1.3).
//
// Pure parsing; holds copies, so it can be copied itself.
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_PROXY_HOST_MAX 256   // bytes
#define NET_PROXY_LOGIN_MAX 512  // bytes of "user:password" as they are meant

typedef struct net_proxy {
    bool forwards;  // it speaks HTTP; false: SOCKS, which knows tunnels only, and nothing else is set
    bool tls;       // to the proxy
    char host[NET_PROXY_HOST_MAX];
    size_t host_len;
    uint16_t port;                                // the URL's, or 80 or 443
    char authorization[NET_PROXY_LOGIN_MAX * 2];  // value of Proxy-Authorization, empty: no user is named
} net_proxy;

// `url` is "SCHEME://[USER[:PASSWORD]@]HOST[:PORT]", or without the scheme, which then is http. IROH_ERR_SYNTAX,
// IROH_ERR_TOO_LARGE (see above), IROH_ERR_NOMEM; `*out` is then undefined.
int net_proxy_of(const char *url, net_proxy *out);

#endif
