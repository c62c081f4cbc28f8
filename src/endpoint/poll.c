// Waiting for any of several handles and file descriptors.
//
// The call puts itself into the lists of all handles and sleeps once. With descriptors it sleeps in poll(2): a pipe, or
// without a thread the endpoint's sockets and its loop's own descriptor stand for the handles there.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint/state.h"

#define ITEMS_MAX (1 << 20)
#define INLINE_ITEMS 64  // so many are waited for without allocating

typedef struct poll_job {
    iroh_pollitem *items;
    size_t count;
    iroh_endpoint *ep;  // null: only descriptors
    wait_node *nodes;   // one for each item
    struct pollfd *fds;
    size_t fd_count;  // descriptors among the items; they come first in `fds`
    int pipe[2];      // -1: none
    wait_node few_nodes[INLINE_ITEMS];
    struct pollfd few_fds[INLINE_ITEMS + 1 + SOCKETS_MAX];
} poll_job;

// --- What an item is

static iroh_endpoint *endpoint_of(const iroh_pollitem *i) {
    if (i->endpoint != NULL)
        return i->endpoint;
    if (i->connection != NULL)
        return i->connection->ep;
    return i->stream != NULL ? i->stream->conn->ep : NULL;
}

static list_link *waiters_of(const iroh_pollitem *i) {
    if (i->endpoint != NULL)
        return &i->endpoint->waiters;
    return i->connection != NULL ? &i->connection->waiters : &i->stream->waiters;
}

static int check(poll_job *j) {
    for (size_t i = 0; i < j->count; i++) {
        const iroh_pollitem *item = &j->items[i];
        int handles = (item->endpoint != NULL) + (item->connection != NULL) + (item->stream != NULL);
        iroh_endpoint *ep = endpoint_of(item);
        if (handles > 1 || (handles == 0 && item->fd < 0))
            return IROH_ERR_ARG;
        if (ep != NULL && j->ep != NULL && ep != j->ep)
            return IROH_ERR_ARG;
        if (ep != NULL)
            j->ep = ep;
        else
            j->fd_count++;
    }
    return 0;
}

// --- Readiness

static unsigned when(bool ready, unsigned event) {
    return ready ? event : 0;
}

static unsigned endpoint_readiness(const iroh_endpoint *ep) {
    bool incoming = ep->core != NULL && ep->accepting != ACCEPT_ALL && quic_endpoint_has_incoming(ep->core);
    return when(!list_empty(&ep->acceptable) || incoming, IROH_POLL_ACCEPT_BI) | when(ep->closed, IROH_POLL_CLOSED);
}

static unsigned connection_readiness(const iroh_connection *c) {
    if (connection_error(c) != 0)
        return UINT32_MAX;  // no call would wait
    const quic_streams *s = quic_conn_streams(c->core);
    return when(quic_conn_datagram_waits(c->core), IROH_POLL_READ) |
           when(quic_streams_incoming(s, true), IROH_POLL_ACCEPT_BI) |
           when(quic_streams_incoming(s, false), IROH_POLL_ACCEPT_UNI) |
           when(s->next_local[0] < s->max_local[0], IROH_POLL_OPEN_BI) |
           when(s->next_local[1] < s->max_local[1], IROH_POLL_OPEN_UNI) |
           when(quic_conn_connected(c->core), IROH_POLL_CONNECTED) | when(path_events_waiting(c), IROH_POLL_PATH);
}

static unsigned stream_readiness(iroh_stream *s, unsigned events) {
    return when((events & IROH_POLL_READ) != 0 && stream_ready_to_read(s), IROH_POLL_READ) |
           when((events & IROH_POLL_WRITE) != 0 && stream_ready_to_write(s), IROH_POLL_WRITE) |
           when((events & IROH_POLL_FINISHED) != 0 && stream_ready_finished(s), IROH_POLL_FINISHED) |
           when(stream_error(s) != 0, IROH_POLL_CLOSED);
}

static unsigned readiness(const iroh_pollitem *i) {
    if (i->endpoint != NULL)
        return endpoint_readiness(i->endpoint);
    return i->connection != NULL ? connection_readiness(i->connection) : stream_readiness(i->stream, i->events);
}

// The number of items that are ready, after an answer of poll(2) for the descriptors.
static int count_ready(poll_job *j) {
    int ready = 0;
    size_t fd = 0;
    for (size_t i = 0; i < j->count; i++) {
        iroh_pollitem *item = &j->items[i];
        if (endpoint_of(item) != NULL) {
            item->revents = readiness(item) & (item->events | IROH_POLL_CLOSED);
        } else {
            short got = j->fds[fd++].revents;
            item->revents = when((got & POLLIN) != 0, IROH_POLL_READ) | when((got & POLLOUT) != 0, IROH_POLL_WRITE) |
                            when((got & (POLLERR | POLLHUP | POLLNVAL)) != 0, IROH_POLL_ERROR);
        }
        ready += item->revents != 0;
    }
    return ready;
}

// --- Waiting

static int allocate(poll_job *j) {
    j->nodes = j->few_nodes;
    j->fds = j->few_fds;
    if (j->count > INLINE_ITEMS) {
        j->nodes = calloc(j->count, sizeof *j->nodes);
        j->fds = calloc(j->count + 1 + SOCKETS_MAX, sizeof *j->fds);
    }
    if (j->nodes == NULL || j->fds == NULL)
        return IROH_ERR_NOMEM;
    size_t fd = 0;
    for (size_t i = 0; i < j->count; i++) {
        const iroh_pollitem *item = &j->items[i];
        if (endpoint_of(item) != NULL)
            continue;
        short events = (short)(((item->events & IROH_POLL_READ) != 0 ? POLLIN : 0) |
                               ((item->events & IROH_POLL_WRITE) != 0 ? POLLOUT : 0));
        j->fds[fd++] = (struct pollfd){.fd = item->fd, .events = events};
    }
    return 0;
}

static void release(poll_job *j) {
    if (j->nodes != j->few_nodes)
        free(j->nodes);
    if (j->fds != j->few_fds)
        free(j->fds);
    poll_close_pipe(j->pipe);
}

// --- The pipe

void poll_close_pipe(int pipe[static 2]) {
    for (int i = 0; i < 2; i++) {
        if (pipe[i] >= 0)
            close(pipe[i]);
        pipe[i] = -1;
    }
}

static void move_pipe(int from[static 2], int to[static 2]) {
    for (int i = 0; i < 2; i++) {
        to[i] = from[i];
        from[i] = -1;
    }
}

// That of an earlier call, or a new one. IROH_ERR_IO.
static int take_pipe(poll_job *j) {
    move_pipe(j->ep->poll_pipe, j->pipe);
    if (j->pipe[0] >= 0)
        return 0;
    return uv_pipe(j->pipe, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE) == 0 ? 0 : IROH_ERR_IO;
}

// An endpoint that was freed meanwhile has no use for it.
static void give_pipe(poll_job *j) {
    if (j->ep->poll_pipe[0] < 0 && j->ep->core != NULL)
        move_pipe(j->pipe, j->ep->poll_pipe);
}

// poll(2) for `count` of the descriptors; an interruption counts as nothing ready.
static int poll_fds(poll_job *j, size_t count, int timeout_ms) {
    for (size_t i = 0; i < count; i++)
        j->fds[i].revents = 0;
    int r = poll(j->fds, (nfds_t)count, timeout_ms);
    return r >= 0 || errno == EINTR ? 0 : IROH_ERR_IO;
}

static void drain_pipe(poll_job *j) {
    char bytes[64];
    while (read(j->pipe[0], bytes, sizeof bytes) > 0)
        continue;
}

// Without a thread a socket that is readable need not be found by the loop.
static size_t add_sockets(poll_job *j, size_t at) {
    const iroh_endpoint *ep = j->ep;
    if (ep->own_thread)
        return at;
    for (size_t i = 0; i < ep->socket_count; i++)
        j->fds[at++] = (struct pollfd){.fd = sys_udp_fd(ep->sockets[i].udp), .events = POLLIN};
    return at;
}

static int turn_after_poll(poll_job *j, size_t first_socket) {
    iroh_endpoint *ep = j->ep;
    for (size_t i = 0; i < ep->socket_count; i++) {
        if (j->fds[first_socket + i].revents != 0)
            ep->sockets[i].ready |= SYS_READABLE;
    }
    return driver_turn_directly(ep) ? 0 : driver_turn(ep, 0);
}

// Sleeps in poll(2) until a descriptor is ready, a handle has news, or the time comes.
static int sleep_with_fds(poll_job *j, waiter *w, uint64_t until) {
    iroh_endpoint *ep = j->ep;
    int stand_in = ep->own_thread ? j->pipe[0] : sys_loop_fd(ep->loop);
    j->fds[j->fd_count] = (struct pollfd){.fd = stand_in, .events = POLLIN};
    if (ep->core != NULL)
        driver_flush(ep);
    ep->pushes = 0;
    if (!ep->own_thread) {
        if (!w->fired && ep->core != NULL)
            driver_gather(ep);
        driver_arm(ep);
    }
    int timeout_ms = w->fired ? 0 : wait_left_ms(until);
    size_t count = add_sockets(j, j->fd_count + 1);
    endpoint_leave(ep);
    int r = poll_fds(j, count, timeout_ms);
    endpoint_enter(ep);
    if (ep->own_thread)
        drain_pipe(j);
    else if (r == 0)
        r = turn_after_poll(j, j->fd_count + 1);
    return r;
}

static void register_all(poll_job *j, waiter *w) {
    for (size_t i = 0; i < j->count; i++) {
        const iroh_pollitem *item = &j->items[i];
        j->nodes[i] = (wait_node){.waiter = w, .events = item->events | IROH_POLL_CLOSED};
        list_init(&j->nodes[i].link);
        if (endpoint_of(item) != NULL)
            list_push_back(waiters_of(item), &j->nodes[i].link);
    }
}

static void unregister_all(poll_job *j) {
    for (size_t i = 0; i < j->count; i++)
        list_remove(&j->nodes[i].link);
}

// With the lock held.
static int wait_for_any(poll_job *j, uint64_t until) {
    waiter w;
    if (waiter_init(&w, j->ep, j->pipe[1]) != 0)
        return IROH_ERR_NOMEM;
    register_all(j, &w);
    int ready = 0;
    for (bool in_time = true; in_time && ready == 0;) {
        waiter_reset(&w);
        if (j->fd_count == 0) {
            in_time = wait_sleep(j->ep, &w, until);
        } else {
            int r = sleep_with_fds(j, &w, until);
            in_time = sys_now() < until;
            ready = r;
        }
        if (ready == 0)
            ready = count_ready(j);
    }
    unregister_all(j);
    waiter_dispose(&w, j->ep);
    return ready;
}

static int poll_handles(poll_job *j, uint64_t until) {
    endpoint_enter(j->ep);
    int ready = count_ready(j);
    // Before sleeping the descriptors are looked at anyway.
    if (j->fd_count > 0 && (ready > 0 || until == 0)) {
        int r = poll_fds(j, j->fd_count, 0);
        ready = r == 0 ? count_ready(j) : r;
    }
    if (ready == 0 && until != 0 && j->fd_count > 0 && j->ep->own_thread)
        ready = take_pipe(j);
    if (ready == 0 && until != 0)
        ready = wait_for_any(j, until);
    give_pipe(j);
    endpoint_leave(j->ep);
    return ready;
}

// The interrupted call goes on for what is left of the time.
static int poll_only_fds(poll_job *j, uint64_t until) {
    for (;;) {
        int r = poll_fds(j, j->fd_count, until == 0 ? 0 : wait_left_ms(until));
        if (r != 0)
            return r;
        r = count_ready(j);
        if (r != 0 || until == 0 || sys_now() >= until)
            return r;
    }
}

int iroh_poll(iroh_pollitem *items, size_t count, int timeout_ms) {
    poll_job j;
    if ((items == NULL && count > 0) || count > ITEMS_MAX)
        return IROH_ERR_ARG;
    j.items = items;
    j.count = count;
    j.ep = NULL;
    j.fd_count = 0;
    j.pipe[0] = j.pipe[1] = -1;
    uint64_t until = wait_until(timeout_ms);
    int r = check(&j);
    if (r != 0)
        return r;
    r = allocate(&j);
    if (r == 0)
        r = j.ep != NULL ? poll_handles(&j, until) : poll_only_fds(&j, until);
    release(&j);
    return r;
}
