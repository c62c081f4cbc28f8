// Any other Unix with the packet info of RFC 3542 and its like for IPv4 (macOS, NetBSD, illumos): a call for each
// datagram. Options that a system lacks get a number that it refuses.
#define _GNU_SOURCE 1           // struct in6_pktinfo, in some C libraries
#define __APPLE_USE_RFC_3542 1  // the same in another

#include "sys/udp_os.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#ifndef IP_DONTFRAG
#define IP_DONTFRAG (-1)
#endif
#ifndef IP_RECVTOS
#define IP_RECVTOS (-1)
#endif
#ifndef IP_RECVPKTINFO
#define IP_RECVPKTINFO IP_PKTINFO
#endif

int sys_udp_os_socket(int family) {
    int fd = socket(family, SOCK_DGRAM, 0);
    if (fd >= 0 && (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// Some systems refuse what is above their limit instead of taking the limit.
static void set_buffer(int fd, int name) {
    for (int size = SYS_UDP_BUFFER; size > 0 && !option(fd, SOL_SOCKET, name, size); size /= 2)
        continue;
}

void sys_udp_os_options(int fd, const addr *bound_to) {
    bool wildcard = addr_is_unspecified(bound_to);
    if (bound_to->kind == ADDR_IP4) {
        (void)option(fd, IPPROTO_IP, IP_DONTFRAG, 1);
        (void)option(fd, IPPROTO_IP, IP_RECVTOS, 1);
        (void)(wildcard && option(fd, IPPROTO_IP, IP_RECVPKTINFO, 1));
    } else {
        (void)option(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
        (void)option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        (void)(wildcard && option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
    }
    set_buffer(fd, SO_RCVBUF);
    set_buffer(fd, SO_SNDBUF);
}

bool sys_udp_os_has_gso(int fd) {
    (void)fd;
    return false;
}

// --- Beside what is sent

void sys_udp_os_add_mark(sys_control *c, int kind, int mark) {
    if (kind == ADDR_IP4)
        sys_control_add(c, IPPROTO_IP, IP_TOS, &mark, sizeof mark);
    else
        sys_control_add(c, IPPROTO_IPV6, IPV6_TCLASS, &mark, sizeof mark);
}

void sys_udp_os_add_source(sys_control *c, const addr *source) {
    if (source->kind == ADDR_IP4) {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, source->bytes, 4);
        sys_control_add(c, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = source->scope};
        memcpy(&info.ipi6_addr, source->bytes, 16);
        sys_control_add(c, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
}

void sys_udp_os_add_segment(sys_control *c, size_t segment) {
    // Not called, since there is no GSO.
    (void)c;
    (void)segment;
}

// --- Beside what was received

static addr destination_of_ip4(const struct cmsghdr *c, uint16_t port) {
    struct in_pktinfo info;
    uint8_t ip[4];
    memcpy(&info, CMSG_DATA(c), sizeof info);
    memcpy(ip, &info.ipi_addr, sizeof ip);
    return addr_ip4(ip, port);
}

static addr destination_of_ip6(const struct cmsghdr *c, uint16_t port) {
    struct in6_pktinfo info;
    memcpy(&info, CMSG_DATA(c), sizeof info);
    addr a = addr_ip6(info.ipi6_addr.s6_addr, port, 0);
    if (addr_is_link_local(&a))
        a.scope = (uint32_t)info.ipi6_ifindex;
    return a;
}

static int class_of(const struct cmsghdr *c) {
    int value = 0;
    memcpy(&value, CMSG_DATA(c), sizeof value);
    return value;
}

void sys_udp_os_read(const struct cmsghdr *c, uint16_t port, sys_udp_batch *out) {
    if (c->cmsg_level == IPPROTO_IP && (c->cmsg_type == IP_TOS || c->cmsg_type == IP_RECVTOS))
        out->ecn = *CMSG_DATA(c) & 3;
    else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
        out->ecn = (uint8_t)(class_of(c) & 3);
    else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
        out->local = destination_of_ip4(c, port);
    else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
        out->local = destination_of_ip6(c, port);
}
