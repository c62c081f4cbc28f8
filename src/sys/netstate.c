// The fingerprints are sums of the hashes of their parts, since systems list interfaces in no particular order.
//
// The way to the Internet is found by connecting a UDP socket, which sends nothing: the kernel then looks its routes
// and rules up as it would for a datagram, and names the address that it would use.
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iroh/error.h>

#include "sys/netmon.h"
#include "sys/netmon_os.h"
#include "sys/sockaddr.h"

#define DISCARD_PORT 9

// Two addresses that have been on the Internet for long and will be: of the root servers A.
static const uint8_t far_ip4[4] = {198, 41, 0, 4};
static const uint8_t far_ip6[16] = {0x20, 0x01, 0x05, 0x03, 0xba, 0x3e, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x30};

// --- Fingerprints

static uint64_t hash_add(uint64_t h, const void *bytes, size_t len) {
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t hash_end(uint64_t h) {
    h = (h ^ (h >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static uint64_t hash_link(const struct ifaddrs *i, const void *bytes, size_t len) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    unsigned number = if_nametoindex(i->ifa_name);
    // Of the other flags some come and go with whoever listens to the interface.
    unsigned flags = i->ifa_flags & (IFF_UP | IFF_RUNNING);
    h = hash_add(h, &number, sizeof number);
    h = hash_add(h, &flags, sizeof flags);
    h = hash_add(h, i->ifa_name, strlen(i->ifa_name) + 1);
    return hash_end(hash_add(h, bytes, len));
}

static uint64_t hash_address(const struct ifaddrs *i, const addr *a) {
    uint8_t both[2 * sizeof a->bytes] = {0};
    sys_sockaddr mask = {.any.sa_family = AF_UNSPEC};
    memcpy(both, a->bytes, sizeof a->bytes);
    if (i->ifa_netmask != NULL && a->kind == ADDR_IP4)
        memcpy(&mask.ip4, i->ifa_netmask, sizeof mask.ip4);
    else if (i->ifa_netmask != NULL)
        memcpy(&mask.ip6, i->ifa_netmask, sizeof mask.ip6);
    // The family in a mask is not to be relied upon.
    if (a->kind == ADDR_IP4)
        memcpy(both + sizeof a->bytes, &mask.ip4.sin_addr, sizeof mask.ip4.sin_addr);
    else
        memcpy(both + sizeof a->bytes, &mask.ip6.sin6_addr, sizeof mask.ip6.sin6_addr);
    return hash_link(i, both, sizeof both);
}

// --- Reading

static addr address_of(const struct sockaddr *from) {
    sys_sockaddr s = {.any.sa_family = from->sa_family};
    if (from->sa_family == AF_INET)
        memcpy(&s.ip4, from, sizeof s.ip4);
    else if (from->sa_family == AF_INET6)
        memcpy(&s.ip6, from, sizeof s.ip6);
    else
        return (addr){0};
    return sys_sockaddr_addr(&s);
}

// 2000::/3 and fc00::/7: what is routed at all.
static bool is_routed_ip6(const addr *a) {
    return (a->bytes[0] & 0xe0) == 0x20 || (a->bytes[0] & 0xfe) == 0xfc;
}

static void add_address(sys_netstate *s, const struct ifaddrs *i, const addr *a) {
    if (addr_is_loopback(a) || addr_is_multicast(a) || addr_is_unspecified(a))
        return;
    if (addr_is_link_local(a)) {
        s->rest += hash_address(i, a);
        return;
    }
    s->links += hash_address(i, a);
    if ((i->ifa_flags & IFF_UP) != 0 && a->kind == ADDR_IP4)
        s->ip4 = true;
    else if ((i->ifa_flags & IFF_UP) != 0 && is_routed_ip6(a))
        s->ip6 = true;
}

static void add(sys_netstate *s, const struct ifaddrs *i) {
    uint8_t hardware[SYS_HARDWARE_MAX];
    addr a = i->ifa_addr != NULL ? address_of(i->ifa_addr) : (addr){0};
    if (addr_is_ip(&a)) {
        add_address(s, i, &a);
    } else if ((i->ifa_flags & IFF_LOOPBACK) == 0) {
        size_t len = i->ifa_addr != NULL ? sys_netmon_os_hardware(i->ifa_addr, hardware) : 0;
        s->links += hash_link(i, hardware, len);
    }
}

static addr way_to(const addr *far) {
    sys_sockaddr name;
    addr here = {0};
    socklen_t len = sys_sockaddr_of(far, &name), room = sizeof name;
    int fd = socket(name.any.sa_family, SOCK_DGRAM, 0);
    if (fd < 0)
        return here;
    if (connect(fd, &name.any, len) == 0 && getsockname(fd, &name.any, &room) == 0)
        here = sys_sockaddr_addr(&name);
    (void)close(fd);
    here.port = 0;
    return here;
}

int sys_netstate_read(sys_netstate *out) {
    struct ifaddrs *all;
    const addr far4 = addr_ip4(far_ip4, DISCARD_PORT), far6 = addr_ip6(far_ip6, DISCARD_PORT, 0);
    if (getifaddrs(&all) != 0)
        return IROH_ERR_IO;
    memset(out, 0, sizeof *out);
    for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
        add(out, i);
    freeifaddrs(all);
    out->route4 = way_to(&far4);
    out->route6 = way_to(&far6);
    return 0;
}

// --- Comparing

int sys_netstate_compare(const sys_netstate *a, const sys_netstate *b) {
    if (a->ip4 != b->ip4 || a->ip6 != b->ip6 || a->links != b->links || !addr_equal(&a->route4, &b->route4) ||
        !addr_equal(&a->route6, &b->route6))
        return SYS_NET_MAJOR;
    return a->rest != b->rest ? SYS_NET_MINOR : SYS_NET_SAME;
}

bool sys_netstate_leads_out(const sys_netstate *s) {
    return s->route4.kind != ADDR_NONE || s->route6.kind != ADDR_NONE;
}
