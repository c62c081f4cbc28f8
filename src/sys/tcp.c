#include "sys/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <iroh/error.h>

#include "sys/sockaddr.h"

#define BACKLOG 4096
#define READ_MAX (1 << 30)  // bytes of one call, so that their number is an int

static bool option(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

static bool prepare(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool listen_on(int fd, sys_sockaddr *name, socklen_t len, bool share, bool both) {
    return prepare(fd) && option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           (!share || option(fd, SOL_SOCKET, SO_REUSEPORT, 1)) && (!both || option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)) &&
           bind(fd, &name->any, len) == 0 && listen(fd, BACKLOG) == 0 && getsockname(fd, &name->any, &len) == 0;
}

int sys_tcp_listen(const addr *bind_to, bool share, addr *local) {
    sys_sockaddr name;
    socklen_t len = sys_sockaddr_of(bind_to, &name);
    if (len == 0)
        return IROH_ERR_UNSUPPORTED;
    int fd = socket(name.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0)
        return errno == EAFNOSUPPORT ? IROH_ERR_UNSUPPORTED : IROH_ERR_BIND;
    bool both = bind_to->kind == ADDR_IP6 && addr_is_unspecified(bind_to);
    if (!listen_on(fd, &name, len, share, both)) {
        int why = errno;
        (void)close(fd);
        errno = why;
        return IROH_ERR_BIND;
    }
    *local = sys_sockaddr_addr(&name);
    return fd;
}

static int accept_error(int error) {
    switch (error) {
    case EAGAIN:
    case ECONNABORTED:
    case EINTR:
        return IROH_ERR_AGAIN;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return IROH_ERR_LIMIT;
    default:
        return IROH_ERR_IO;
    }
}

int sys_tcp_accept(int fd, addr *remote) {
    sys_sockaddr name = {0};
    socklen_t len = sizeof name;
    int conn = accept(fd, &name.any, &len);
    if (conn < 0)
        return accept_error(errno);
    if (!prepare(conn) || !option(conn, IPPROTO_TCP, TCP_NODELAY, 1)) {
        (void)close(conn);
        return IROH_ERR_AGAIN;
    }
    *remote = sys_sockaddr_addr(&name);
    return conn;
}

static bool must_wait(int error) {
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

int sys_tcp_read(int fd, void *room, size_t len) {
    ssize_t n = recv(fd, room, len < READ_MAX ? len : READ_MAX, 0);
    if (n >= 0)
        return (int)n;
    return must_wait(errno) ? IROH_ERR_AGAIN : IROH_ERR_IO;
}

int sys_tcp_write(int fd, const sys_slice *slices, size_t count) {
    struct iovec parts[SYS_SLICES_MAX];
    for (size_t i = 0; i < count; i++)
        parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)slices[i].bytes, .iov_len = slices[i].len};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (n >= 0)
        return (int)n;
    return must_wait(errno) || errno == ENOBUFS ? IROH_ERR_AGAIN : IROH_ERR_IO;
}

void sys_tcp_finish(int fd) {
    (void)shutdown(fd, SHUT_WR);
}

void sys_tcp_close(int fd) {
    (void)close(fd);
}

size_t sys_tcp_raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    rlim_t was = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return (size_t)(setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : was);
}
