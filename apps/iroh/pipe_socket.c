#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "pipe.h"

#define BACKLOG 128
#define HOST_MAX 256
#define RETRY_MS 100  // a wait after accept failed for want of descriptors

// --- Addresses

// "host:port", "1.2.3.4:80" or "[::1]:80" cut in two; false if it is neither.
static bool split(const char *text, char host[static HOST_MAX], const char **port) {
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon[1] == '\0')
        return false;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_MAX)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

struct addrinfo *pipe_address_tcp(const char *address) {
    char host[HOST_MAX];
    const char *port;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    if (!split(address, host, &port)) {
        cli_error("'%s' is not HOST:PORT", address);
        return NULL;
    }
    int r = getaddrinfo(host, port, &hints, &list);
    if (r == 0)
        return list;
    cli_error("cannot find '%s': %s", address, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
    return NULL;
}

static bool unix_address(const char *path, struct sockaddr_un *out) {
    size_t len = strlen(path);
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof out->sun_path) {
        cli_error("a socket path has 1 to %zu bytes, not %zu", sizeof out->sun_path - 1, len);
        return false;
    }
    memcpy(out->sun_path, path, len);
    return true;
}

struct addrinfo *pipe_address_unix(const char *path) {
    struct sockaddr_un *name = malloc(sizeof *name);
    struct addrinfo *a = calloc(1, sizeof *a);
    if (name == NULL || a == NULL || !unix_address(path, name)) {
        free(name);
        free(a);
        return NULL;
    }
    *a = (struct addrinfo){.ai_family = AF_UNIX,
                           .ai_socktype = SOCK_STREAM,
                           .ai_addr = (struct sockaddr *)name,
                           .ai_addrlen = sizeof *name};
    return a;
}

void pipe_address_free(struct addrinfo *list) {
    if (list == NULL)
        return;
    if (list->ai_family == AF_UNIX) {
        free(list->ai_addr);
        free(list);
    } else
        freeaddrinfo(list);
}

// --- Listening

// Takes over the socket.
static int listen_at(int fd, const struct sockaddr *a, socklen_t len, const char *text) {
    if (fd >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
        bind(fd, a, len) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    cli_error("cannot listen on %s: %s", text, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

int pipe_listen_tcp(const char *address) {
    struct addrinfo *a = pipe_address_tcp(address);
    if (a == NULL)
        return -1;
    int on = 1, fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd >= 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    fd = listen_at(fd, a->ai_addr, a->ai_addrlen, address);
    pipe_address_free(a);
    return fd;
}

// A socket that a program left behind when it was killed is in the way; a file or a live socket is somebody's.
static void remove_dead(const struct sockaddr_un *a) {
    struct stat st;
    if (lstat(a->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)a, sizeof *a) != 0 && errno == ECONNREFUSED)
        (void)unlink(a->sun_path);
    (void)close(fd);
}

int pipe_listen_unix(const char *path) {
    struct sockaddr_un a;
    if (!unix_address(path, &a))
        return -1;
    remove_dead(&a);
    return listen_at(socket(AF_UNIX, SOCK_STREAM, 0), (const struct sockaddr *)&a, sizeof a, path);
}

// --- Accepting

typedef struct door {
    pipe_part part;
    pipe_program *program;
    int fd;
    watcher on_socket;
} door;

static void destroy(pipe_part *part) {
    door *d = (door *)part;
    (void)poller_set(&d->program->poller, &d->on_socket, 0);
    pipe_part_remove(part);
    (void)close(d->fd);
    free(d);
}

static void on_socket(watcher *w, unsigned revents) {
    door *d = w->owner;
    int on = 1, fd = accept(d->fd, NULL, NULL);
    (void)revents;
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) {
            cli_error("cannot accept: %s", strerror(errno));
            (void)usleep(RETRY_MS * 1000);
        }
        return;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // fails for unix sockets, which need it not
    pipe_local l;
    pipe_local_socket(&l, fd);
    pipe_dial_start(d->program, &l);
}

bool pipe_door_start(pipe_program *p, int fd) {
    door *d = calloc(1, sizeof *d);
    if (d == NULL) {
        (void)close(fd);
        (void)cli_failed("cannot listen", IROH_ERR_NOMEM);
        return false;
    }
    *d = (door){.program = p, .fd = fd, .on_socket = watcher_of_fd(fd, on_socket, d)};
    pipe_part_add(p, &d->part, destroy);
    return poller_set(&p->poller, &d->on_socket, IROH_POLL_READ) == 0;
}
