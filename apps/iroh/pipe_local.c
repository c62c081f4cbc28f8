#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipe.h"

#define PIPE_ROOM (1 << 20)  // bytes that a pipe should hold: fewer and larger turns

static void enlarge(int fd) {
#ifdef F_SETPIPE_SZ
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_ROOM);  // beyond the user's limit it stays as it is
#else
    (void)fd;
#endif
}

// O_NONBLOCK belongs to the open file, which is shared with the shell and other programs. Pipes and terminals can be
// opened a second time, with flags of our own; what cannot be is used as it is.
static int own_descriptor(int fd, int mode) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
        return fd;
    if (S_ISFIFO(st.st_mode))
        enlarge(fd);
    char path[64];
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fd);
    int again = open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return again >= 0 ? again : fd;
}

void pipe_local_stdio(pipe_local *l, bool receive_only) {
    struct stat st;
    *l = (pipe_local){.in = receive_only ? -1 : own_descriptor(STDIN_FILENO, O_RDONLY),
                      .out = own_descriptor(STDOUT_FILENO, O_WRONLY)};
    l->send = fstat(l->out, &st) == 0 && S_ISSOCK(st.st_mode);
}

void pipe_local_socket(pipe_local *l, int fd) {
    *l = (pipe_local){.in = fd, .out = fd, .socket = true, .both_owned = true, .send = true};
}

long pipe_local_read(pipe_local *l, void *out, size_t len) {
    ssize_t n;
    do
        n = read(l->in, out, len);
    while (n < 0 && errno == EINTR);
    return n;
}

long pipe_local_write(pipe_local *l, const void *bytes, size_t len) {
    ssize_t n;
    do
        n = l->send ? send(l->out, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) : write(l->out, bytes, len);
    while (n < 0 && errno == EINTR);
    return n;
}

// The number stays taken, so that no later descriptor becomes standard input or output by accident.
static void close_standard(int fd, int standard) {
    if (fd != standard)
        (void)close(fd);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nothing < 0) {
        (void)close(standard);
        return;
    }
    (void)dup2(nothing, standard);
    (void)close(nothing);
}

static void close_half(pipe_local *l, int how) {
    int fd = how == SHUT_RD ? l->in : l->out;
    if (l->both_owned)
        (void)shutdown(fd, how);
    else
        (void)close(fd);
    l->both_owned = false;
}

void pipe_local_close_in(pipe_local *l) {
    if (l->in < 0)
        return;
    if (l->socket)
        close_half(l, SHUT_RD);
    else
        close_standard(l->in, STDIN_FILENO);
    l->in = -1;
}

void pipe_local_close_out(pipe_local *l) {
    if (l->out < 0)
        return;
    if (l->socket)
        close_half(l, SHUT_WR);
    else
        close_standard(l->out, STDOUT_FILENO);
    l->out = -1;
}

void pipe_local_close(pipe_local *l) {
    pipe_local_close_in(l);
    pipe_local_close_out(l);
}
