// Linux: GSO and GRO, and a path MTU that the kernel leaves alone.
#define _GNU_SOURCE 1  // struct in6_pktinfo

#include "sys/udp_os.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

int sys_udp_os_socket(int family) {
    return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static void set_buffers(int fd) {
    // The forced ones pass the system's limit, but need a privilege.
    if (!option(fd, SOL_SOCKET, SO_RCVBUFFORCE, SYS_UDP_BUFFER))
        (void)option(fd, SOL_SOCKET, SO_RCVBUF, SYS_UDP_BUFFER);
    if (!option(fd, SOL_SOCKET, SO_SNDBUFFORCE, SYS_UDP_BUFFER))
        (void)option(fd, SOL_SOCKET, SO_SNDBUF, SYS_UDP_BUFFER);
}

void sys_udp_os_options(int fd, const addr *bound_to) {
    bool wildcard = addr_is_unspecified(bound_to);
    if (bound_to->kind == ADDR_IP4) {
        (void)option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
        (void)option(fd, IPPROTO_IP, IP_RECVTOS, 1);
        (void)(wildcard && option(fd, IPPROTO_IP, IP_PKTINFO, 1));
    } else {
        (void)option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
        (void)option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
        (void)(wildcard && option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1));
    }
    (void)option(fd, SOL_UDP, UDP_GRO, 1);
    set_buffers(fd);
}

bool sys_udp_os_has_gso(int fd) {
    // A kernel that does not know the option would ignore it beside a batch and send the batch as one datagram.
    return option(fd, SOL_UDP, UDP_SEGMENT, 0);
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
    uint16_t size = (uint16_t)segment;
    sys_control_add(c, SOL_UDP, UDP_SEGMENT, &size, sizeof size);
}

// --- Beside what was received

static int int_of(const struct cmsghdr *c) {
    int value = 0;
    memcpy(&value, CMSG_DATA(c), sizeof value);
    return value;
}

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
        a.scope = info.ipi6_ifindex;
    return a;
}

void sys_udp_os_read(const struct cmsghdr *c, uint16_t port, sys_udp_batch *out) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
        out->segment = (size_t)int_of(c);
    else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS)
        out->ecn = *CMSG_DATA(c) & 3;
    else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS)
        out->ecn = (uint8_t)(int_of(c) & 3);
    else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
        out->local = destination_of_ip4(c, port);
    else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
        out->local = destination_of_ip6(c, port);
}
