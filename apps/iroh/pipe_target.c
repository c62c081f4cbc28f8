// A stream of a listener with sockets: the local address is dialled, each of its addresses in turn, then both are
// joined.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pipe.h"

typedef struct target {
    pipe_part part;
    pipe_program *program;
    iroh_connection *connection;
    iroh_stream *stream;
    const struct addrinfo *next;  // to be tried after this one
    int fd;                       // connecting; -1: none
    watcher on_socket;
} target;

static void forget(target *t) {
    (void)poller_set(&t->program->poller, &t->on_socket, 0);
    pipe_part_remove(&t->part);
    if (t->fd >= 0)
        (void)close(t->fd);
    iroh_stream_free(t->stream);
    iroh_connection_free(t->connection);
    free(t);
}

static void cancel(target *t) {
    (void)iroh_stream_reset(t->stream, 0);
    (void)iroh_stream_stop(t->stream, 0);
    forget(t);
}

static void destroy(pipe_part *part) {
    cancel((target *)part);
}

static void fail(target *t, const char *why) {
    pipe_program *p = t->program;
    cli_error("cannot connect to the local address: %s", why);
    cancel(t);
    pipe_over(p, false);
}

static void join(target *t) {
    pipe_program *p = t->program;
    iroh_connection *c = t->connection;
    iroh_stream *s = t->stream;
    pipe_local l;
    pipe_local_socket(&l, t->fd);
    t->connection = NULL;
    t->stream = NULL;
    t->fd = -1;
    forget(t);
    pipe_bridge_start(p, &l, c, s);
}

// 0 when connected, EINPROGRESS while it connects, else why not.
static int begin(target *t, const struct addrinfo *a) {
    t->fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (t->fd < 0)
        return errno;
    (void)fcntl(t->fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(t->fd, F_SETFL, O_NONBLOCK);
    return connect(t->fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
}

static void abandon(target *t) {
    (void)poller_set(&t->program->poller, &t->on_socket, 0);
    if (t->fd >= 0)
        (void)close(t->fd);
    t->fd = -1;
}

static void on_socket(watcher *w, unsigned revents);

static void try_next(target *t, int error) {
    while (t->next != NULL) {
        const struct addrinfo *a = t->next;
        t->next = a->ai_next;
        error = begin(t, a);
        if (error == 0) {
            join(t);
            return;
        }
        t->on_socket = watcher_of_fd(t->fd, on_socket, t);
        if (error == EINPROGRESS && poller_set(&t->program->poller, &t->on_socket, IROH_POLL_WRITE) == 0)
            return;
        abandon(t);
    }
    fail(t, strerror(error));
}

static void on_socket(watcher *w, unsigned revents) {
    target *t = w->owner;
    int error = 0;
    socklen_t len = sizeof error;
    (void)revents;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0) {
        (void)poller_set(&t->program->poller, &t->on_socket, 0);
        join(t);
        return;
    }
    abandon(t);
    try_next(t, error);
}

void pipe_target_start(pipe_program *p, iroh_connection *c, iroh_stream *s) {
    target *t = calloc(1, sizeof *t);
    if (t == NULL) {
        (void)cli_failed("forwarding", IROH_ERR_NOMEM);
        iroh_stream_free(s);
        iroh_connection_free(c);
        pipe_over(p, false);
        return;
    }
    *t = (target){.program = p, .connection = c, .stream = s, .next = p->local, .fd = -1};
    pipe_part_add(p, &t->part, destroy);
    try_next(t, ECONNREFUSED);
}
