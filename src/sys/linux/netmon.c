// Linux: a netlink socket that hears of links, addresses, routes and rules. What is said is of no interest but that it is
// said; even an overflow is news.
#include "sys/netmon.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netpacket/packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iroh/error.h>

#include "sys/netmon_os.h"

#define RECEIVE_ROOM 8192  // bytes of a read; what is longer is cut
#define READS_MAX 256      // in a row; what is left is news again

struct sys_netmon {
    int fd;
    sys_watch *watch;
    bool news;
};

static const unsigned groups[] = {
    RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,
};

size_t sys_netmon_os_hardware(const struct sockaddr *from, uint8_t out[static SYS_HARDWARE_MAX]) {
    struct sockaddr_ll link;
    if (from->sa_family != AF_PACKET)
        return 0;
    memcpy(&link, from, sizeof link);
    size_t len = link.sll_halen < sizeof link.sll_addr ? link.sll_halen : sizeof link.sll_addr;
    memcpy(out, link.sll_addr, len);
    return len;
}

static void on_ready(void *user, unsigned events) {
    sys_netmon *m = user;
    (void)events;
    m->news = true;
    sys_watch_set(m->watch, 0);
}

static bool join(int fd) {
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    bool ok = bind(fd, (struct sockaddr *)&self, sizeof self) == 0;
    for (size_t i = 0; ok && i < sizeof groups / sizeof *groups; i++)
        ok = setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) == 0;
    return ok;
}

int sys_netmon_open(sys_loop *l, sys_netmon **out) {
    sys_netmon *m = calloc(1, sizeof *m);
    if (m == NULL)
        return IROH_ERR_NOMEM;
    m->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (m->fd < 0) {
        free(m);
        return IROH_ERR_IO;
    }
    int r = join(m->fd) ? sys_loop_watch(l, m->fd, SYS_READABLE, on_ready, m, &m->watch) : IROH_ERR_IO;
    if (r != 0) {
        sys_netmon_close(m);
        return r;
    }
    *out = m;
    return 0;
}

void sys_netmon_close(sys_netmon *m) {
    if (m == NULL)
        return;
    sys_watch_free(m->watch);
    (void)close(m->fd);
    free(m);
}

bool sys_netmon_has_news(const sys_netmon *m) {
    return m->news;
}

// Whether the message is from the kernel, and not one about a route that it made up for a single peer.
static bool tells(const struct sockaddr_nl *from, const uint8_t *bytes, size_t len) {
    struct nlmsghdr head;
    struct rtmsg route;
    if (from->nl_family != AF_NETLINK || from->nl_pid != 0)
        return false;
    if (len < sizeof head + sizeof route)
        return true;
    memcpy(&head, bytes, sizeof head);
    memcpy(&route, bytes + NLMSG_HDRLEN, sizeof route);
    bool of_route = head.nlmsg_type == RTM_NEWROUTE || head.nlmsg_type == RTM_DELROUTE;
    return !of_route || (route.rtm_flags & RTM_F_CLONED) == 0;
}

bool sys_netmon_take(sys_netmon *m) {
    uint8_t bytes[RECEIVE_ROOM];
    struct sockaddr_nl from = {0};
    bool any = false;
    for (int i = 0; i < READS_MAX; i++) {
        socklen_t size = sizeof from;
        ssize_t n = recvfrom(m->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &size);
        if (n >= 0)
            any |= tells(&from, bytes, (size_t)n);
        else if (errno == ENOBUFS)
            any = true;
        else if (errno != EINTR)
            break;
    }
    m->news = false;
    return any;
}

void sys_netmon_listen(sys_netmon *m) {
    sys_watch_set(m->watch, SYS_READABLE);
}
