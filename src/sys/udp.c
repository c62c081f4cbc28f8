// One sendmsg or recvmsg moves a batch. What goes beside the bytes (segment size, ECN mark, local address) travels in
// control messages, which are a matter of the OS (udp_os.h); each costs time in the kernel, so only those are used that
// say something.
#include "sys/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iroh/error.h>

#include "sys/sockaddr.h"
#include "sys/udp_os.h"

#define PAYLOAD_MAX 65507u  // bytes of a call: the most that an IPv4 packet holds after its headers
#define CALLS_MAX 8         // tries of one call that signals or errors of earlier datagrams interrupt
#define STARVED_MAX 64      // sends in a row that find no buffer before the datagrams are given up

struct sys_udp {
    int fd;
    addr local;
    bool wildcard;  // bound to no address of its own: each datagram tells which one it uses
    bool gso;
    bool wants_gso;  // when opened
    atomic_bool broken;
    unsigned starved;
    sys_udp_stats stats;  // of what was sent
    atomic_uint_fast64_t receive_calls, datagrams_in, bytes_in;
};

// --- Opening

static bool only_ip6(int fd) {
    int on = 1;
    return setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
}

static int open_bound(const addr *bind_to, addr *local) {
    sys_sockaddr name;
    socklen_t len = sys_sockaddr_of(bind_to, &name);
    if (len == 0)
        return IROH_ERR_UNSUPPORTED;
    int fd = sys_udp_os_socket(name.any.sa_family);
    if (fd < 0)
        return errno == EAFNOSUPPORT ? IROH_ERR_UNSUPPORTED : IROH_ERR_BIND;
    bool bound = (name.any.sa_family == AF_INET || only_ip6(fd)) && bind(fd, &name.any, len) == 0 &&
                 getsockname(fd, &name.any, &len) == 0;
    if (!bound) {
        int why = errno;
        (void)close(fd);
        errno = why;
        return IROH_ERR_BIND;
    }
    sys_udp_os_options(fd, bind_to);
    *local = sys_sockaddr_addr(&name);
    return fd;
}

int sys_udp_open(const addr *bind, bool gso, sys_udp **out) {
    sys_udp *u = calloc(1, sizeof *u);
    if (u == NULL)
        return IROH_ERR_NOMEM;
    u->fd = open_bound(bind, &u->local);
    if (u->fd < 0) {
        int error = u->fd, why = errno;
        free(u);
        errno = why;
        return error;
    }
    u->wildcard = addr_is_unspecified(&u->local);
    u->wants_gso = gso;
    u->gso = gso && sys_udp_os_has_gso(u->fd);
    *out = u;
    return 0;
}

bool sys_udp_is_broken(const sys_udp *u) {
    return u->broken;
}

int sys_udp_reopen(sys_udp *u) {
    if (u->fd >= 0)
        (void)close(u->fd);
    u->fd = -1;
    u->broken = true;
    int fd = open_bound(&u->local, &u->local);
    if (fd < 0)
        return fd;
    u->fd = fd;
    u->broken = false;
    u->starved = 0;
    u->gso = u->wants_gso && sys_udp_os_has_gso(fd);
    return 0;
}

// Errors that will come again however often one tries.
static bool is_dead(int error) {
    return error == EBADF || error == ENOTSOCK || error == ENOTCONN || error == EPIPE;
}

void sys_udp_close(sys_udp *u) {
    if (u == NULL)
        return;
    (void)close(u->fd);
    free(u);
}

int sys_udp_fd(const sys_udp *u) {
    return u->fd;
}

addr sys_udp_local(const sys_udp *u) {
    return u->local;
}

void sys_udp_stats_get(const sys_udp *u, sys_udp_stats *out) {
    *out = u->stats;
    out->receive_calls = atomic_load_explicit(&u->receive_calls, memory_order_relaxed);
    out->datagrams_in = atomic_load_explicit(&u->datagrams_in, memory_order_relaxed);
    out->bytes_in = atomic_load_explicit(&u->bytes_in, memory_order_relaxed);
}

size_t sys_udp_receive_buffer(const sys_udp *u) {
    int bytes = 0;
    socklen_t len = sizeof bytes;
    return getsockopt(u->fd, SOL_SOCKET, SO_RCVBUF, &bytes, &len) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

size_t sys_udp_max_segments(const sys_udp *u) {
    return u->gso ? SYS_UDP_SEGMENTS_MAX : 1;
}

static size_t datagrams(size_t len, size_t segment) {
    return len <= segment ? 1 : (len + segment - 1) / segment;
}

// --- Receiving

// Only one thread counts.
static void count(atomic_uint_fast64_t *sum, size_t n) {
    uint64_t now = atomic_load_explicit(sum, memory_order_relaxed);
    atomic_store_explicit(sum, now + n, memory_order_relaxed);
}

static void take(sys_udp *u, struct msghdr *m, size_t len, sys_udp_batch *out) {
    *out = (sys_udp_batch){.len = len, .segment = len, .remote = sys_sockaddr_addr(m->msg_name)};
    if (!u->wildcard)
        out->local = u->local;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c))
        sys_udp_os_read(c, u->local.port, out);
    count(&u->receive_calls, 1);
    count(&u->datagrams_in, datagrams(len, out->segment));
    count(&u->bytes_in, len);
}

// What an ICMP message about an earlier datagram leaves on the socket, or a signal.
static bool passing(int error) {
    static const int list[] = {EINTR,      ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,  ENETDOWN,
                               ECONNRESET, EMSGSIZE,     EACCES,       EPROTO,      ENOPROTOOPT};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (error == list[i])
            return true;
    }
    return false;
}

int sys_udp_receive(sys_udp *u, uint8_t *room, sys_udp_batch *out) {
    sys_sockaddr from = {.any.sa_family = AF_UNSPEC};
    sys_control c;
    struct iovec bytes = {.iov_base = room, .iov_len = SYS_UDP_BATCH};
    struct msghdr m = {
        .msg_name = &from,
        .msg_namelen = sizeof from,
        .msg_iov = &bytes,
        .msg_iovlen = 1,
        .msg_control = c.bytes,
        .msg_controllen = sizeof c.bytes,
    };
    for (int calls = 0; calls < CALLS_MAX; calls++) {
        ssize_t n = recvmsg(u->fd, &m, 0);
        if (n >= 0) {
            take(u, &m, (size_t)n, out);
            return 0;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return IROH_ERR_AGAIN;
        if (is_dead(errno))
            u->broken = true;
        if (!passing(errno))
            return IROH_ERR_IO;
    }
    return IROH_ERR_AGAIN;  // the socket stays readable
}

// --- Sending

typedef struct message {
    struct msghdr m;
    struct iovec bytes;
    sys_sockaddr to;
    sys_control c;
    size_t plain;  // control bytes without the segment size, which comes last
} message;

void sys_control_add(sys_control *c, int level, int type, const void *value, size_t len) {
    struct cmsghdr head = {.cmsg_len = CMSG_LEN(len), .cmsg_level = level, .cmsg_type = type};
    memcpy(c->bytes + c->used, &head, sizeof head);
    memcpy(c->bytes + c->used + CMSG_LEN(0), value, len);
    c->used += CMSG_SPACE(len);
}

static void prepare(const sys_udp *u, const sys_udp_batch *batch, size_t segment, message *s) {
    s->c.used = 0;
    if ((batch->ecn & 3) != 0)
        sys_udp_os_add_mark(&s->c, batch->remote.kind, batch->ecn & 3);
    if (u->wildcard && addr_is_ip(&batch->local) && !addr_is_unspecified(&batch->local))
        sys_udp_os_add_source(&s->c, &batch->local);
    s->plain = s->c.used;
    if (u->gso && batch->len > segment && segment <= PAYLOAD_MAX)
        sys_udp_os_add_segment(&s->c, segment);
    s->m = (struct msghdr){.msg_name = &s->to, .msg_iov = &s->bytes, .msg_iovlen = 1};
    s->m.msg_namelen = sys_sockaddr_of(&batch->remote, &s->to);
}

// One datagram, or several of `segment` bytes: 0 or the error's number.
static int call(sys_udp *u, message *s, const uint8_t *bytes, size_t len, size_t segment) {
    s->bytes = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    s->m.msg_controllen = len > segment ? s->c.used : s->plain;
    s->m.msg_control = s->m.msg_controllen > 0 ? s->c.bytes : NULL;
    for (int calls = 0; calls < CALLS_MAX; calls++) {
        if (sendmsg(u->fd, &s->m, 0) >= 0) {
            u->starved = 0;
            u->stats.send_calls++;
            u->stats.datagrams_out += datagrams(len, segment);
            u->stats.bytes_out += len;
            return 0;
        }
        // Refused for the sake of an earlier datagram, which the error has now left.
        if (errno != EINTR && errno != ECONNREFUSED)
            break;
    }
    return errno;
}

static bool is_temporary(sys_udp *u, int error) {
    if (error == EAGAIN || error == EWOULDBLOCK)
        return true;
    // No memory is known only by trying, since the socket counts as writable.
    return (error == ENOBUFS || error == ENOMEM) && ++u->starved < STARVED_MAX;
}

// Sends at most what one call takes: the bytes that are done with, 0 to come again.
static size_t send_some(sys_udp *u, message *s, const uint8_t *bytes, size_t len, size_t segment) {
    int error = call(u, s, bytes, len, segment);
    if ((error == EIO || error == EINVAL) && len > segment) {
        // A device that cannot split, or a batch that is wrong in another way: the first datagram alone tells.
        error = call(u, s, bytes, segment, segment);
        if (error == 0) {
            u->gso = false;
            return segment;
        }
    }
    if (error == 0)
        return len;
    if (is_temporary(u, error))
        return 0;
    if (is_dead(error))
        u->broken = true;
    u->starved = 0;
    u->stats.send_errors += datagrams(len, segment);
    return len;
}

static size_t one_call(const sys_udp *u, size_t left, size_t segment) {
    size_t fit = segment < PAYLOAD_MAX ? PAYLOAD_MAX / segment : 1;
    size_t most = fit < sys_udp_max_segments(u) ? fit : sys_udp_max_segments(u);
    return left / segment < most ? left : most * segment;
}

int sys_udp_send(sys_udp *u, const uint8_t *bytes, const sys_udp_batch *batch, size_t *sent) {
    size_t segment = batch->segment == 0 || batch->segment > batch->len ? batch->len : batch->segment;
    message s;
    prepare(u, batch, segment, &s);
    *sent = 0;
    while (*sent < batch->len) {
        size_t n = send_some(u, &s, bytes + *sent, one_call(u, batch->len - *sent, segment), segment);
        if (n == 0)
            return IROH_ERR_AGAIN;
        *sent += n;
    }
    return 0;
}
