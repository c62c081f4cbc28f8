#include "sys/netif.h"

#include <limits.h>
#include <uv.h>

#include <iroh/error.h>

#include "sys/sockaddr.h"

static addr address_of(const uv_interface_address_t *i) {
    sys_sockaddr s = {.any.sa_family = i->address.address4.sin_family};
    if (s.any.sa_family == AF_INET6)
        s.ip6 = i->address.address6;
    else if (s.any.sa_family == AF_INET)
        s.ip4 = i->address.address4;
    addr a = sys_sockaddr_addr(&s);
    a.port = 0;
    return a;
}

static bool among(const addr *a, const addr *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (addr_equal(a, &list[i]))
            return true;
    }
    return false;
}

int sys_netif_addresses(addr *out, size_t room) {
    uv_interface_address_t *all;
    int found;
    if (uv_interface_addresses(&all, &found) != 0)
        return IROH_ERR_IO;
    size_t n = 0;
    for (int i = 0; i < found && n < room && n < INT_MAX; i++) {
        addr a = address_of(&all[i]);
        if (addr_is_ip(&a) && !addr_is_unspecified(&a) && !addr_is_multicast(&a) && !among(&a, out, n))
            out[n++] = a;
    }
    uv_free_interface_addresses(all, found);
    return (int)n;
}
