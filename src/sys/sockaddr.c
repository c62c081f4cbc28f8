#include "sys/sockaddr.h"

#include <string.h>

socklen_t sys_sockaddr_of(const addr *a, sys_sockaddr *out) {
    memset(out, 0, sizeof *out);
    if (a->kind == ADDR_IP4) {
        out->ip4.sin_family = AF_INET;
        out->ip4.sin_port = htons(a->port);
        memcpy(&out->ip4.sin_addr, a->bytes, 4);
        return sizeof out->ip4;
    }
    if (a->kind == ADDR_IP6) {
        out->ip6.sin6_family = AF_INET6;
        out->ip6.sin6_port = htons(a->port);
        out->ip6.sin6_scope_id = a->scope;
        memcpy(&out->ip6.sin6_addr, a->bytes, 16);
        return sizeof out->ip6;
    }
    return 0;
}

static addr from_ip6(const struct sockaddr_in6 *s) {
    addr a = addr_ip6(s->sin6_addr.s6_addr, ntohs(s->sin6_port), 0);
    if (addr_is_link_local(&a))
        a.scope = s->sin6_scope_id;
    return addr_canonical(&a);
}

addr sys_sockaddr_addr(const sys_sockaddr *s) {
    if (s->any.sa_family == AF_INET6)
        return from_ip6(&s->ip6);
    if (s->any.sa_family != AF_INET)
        return (addr){.kind = ADDR_NONE};
    uint8_t ip[4];
    memcpy(ip, &s->ip4.sin_addr, sizeof ip);
    return addr_ip4(ip, ntohs(s->ip4.sin_port));
}
