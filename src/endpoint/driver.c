// The loop of an endpoint: datagrams in, timers, events, datagrams out.
//
// A round takes a bounded number of batches and then sends, so that acknowledgements leave while more comes in. The
// sockets' readiness is level-triggered: what a round leaves is reported again.
//
// The deadline of the loop is moved forward lazily: an alarm that became too early is left where it is and costs one
// idle turn, instead of two system calls for each request and its answer.
#include <signal.h>
#include <stdlib.h>

#include "endpoint/state.h"

#define RECEIVE_BATCHES 16    // batches taken in a round
#define RECEIVE_BYTES 262144  // ... and bytes after which no further one is begun
#define FLUSH_BATCHES 16      // batches sent in a row: others want the lock, too
#define FLUSH_BYTES 65536     // bytes that may be queued before they are sent without being asked
#define LEND_BATCH 32768      // bytes of a batch from which streams may keep parts: fewer do not hold a whole block
#define BULK_BYTES 8192       // of a batch; see is_bulk
#define BULK_SEGMENT 1000     // bytes of its datagrams
#define BULK_ROUNDS 4         // in a row before the loop lets more gather
#define GATHER_TIME (60 * NS_PER_US)
#define GATHER_BUFFER (1 << 20)        // bytes that a socket must hold
#define BUSY_BYTES 65536               // in and out between two rounds
#define PATIENCE (10 * NS_PER_US)      // of a busy loop: what comes next comes sooner than a processor wakes up
#define DIRECT_ROUNDS 16               // rounds without asking the loop
#define RELAY_SEGMENTS 10              // datagrams in a batch when there is no socket to ask
#define FULL_RECHECK (10 * NS_PER_MS)  // how late timers may be while a socket takes nothing
#define REOPEN_INTERVAL NS_PER_S       // between attempts to open a broken socket anew

// --- Sending

static endpoint_socket *socket_for(iroh_endpoint *ep, const quic_transmit *t) {
    endpoint_socket *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; i < ep->socket_count; i++) {
        endpoint_socket *s = &ep->sockets[i];
        if (s->local.kind != t->remote.kind)
            continue;
        int rank = 1;
        if (t->local.kind == s->local.kind && t->local.port == s->local.port)
            rank = addr_equal(&s->local, &t->local) ? 3 : s->wildcard ? 2 : 1;
        if (rank > best_rank) {
            best = s;
            best_rank = rank;
        }
    }
    return best;
}

// False when the socket is full: the rest of the batch waits in `tx`.
static bool send_rest(iroh_endpoint *ep) {
    size_t sent = 0;
    int r = sys_udp_send(ep->full_socket->udp, ep->tx + ep->rest_at, &ep->rest, &sent);
    if (r == IROH_ERR_AGAIN && sent < ep->rest.len) {
        ep->rest_at += sent;
        ep->rest.len -= sent;
        ep->watch_stale = true;
        return false;
    }
    ep->full_socket = NULL;
    return true;
}

static bool send_batch(iroh_endpoint *ep, const quic_transmit *t) {
    ep->moved += t->len;
    if (t->remote.kind == ADDR_RELAY) {
        relays_send(&ep->relays, &t->remote, t->ecn, t->segment, ep->tx, t->len, sys_now());
        return true;
    }
    ep->full_socket = socket_for(ep, t);
    if (ep->full_socket == NULL)
        return true;  // no socket of that family: as if the network had lost it
    ep->rest = (sys_udp_batch){.remote = t->remote, .len = t->len, .segment = t->segment, .ecn = t->ecn};
    if (ep->full_socket->wildcard)
        ep->rest.local = t->local;
    ep->rest_at = 0;
    return send_rest(ep);
}

static size_t max_segments(const iroh_endpoint *ep) {
    size_t most = ep->socket_count == 0 ? RELAY_SEGMENTS : 1;
    for (size_t i = 0; i < ep->socket_count; i++) {
        size_t n = sys_udp_max_segments(ep->sockets[i].udp);
        most = n > most ? n : most;
    }
    return most;
}

void driver_flush(iroh_endpoint *ep) {
    ep->queued = 0;
    if (ep->full_socket != NULL && !send_rest(ep))
        return;
    size_t segments = max_segments(ep);
    quic_transmit t;
    for (int i = 0; i < FLUSH_BATCHES; i++) {
        if (!quic_endpoint_transmit(ep->core, sys_now(), ep->tx, SYS_UDP_BATCH, segments, &t))
            break;
        if (!send_batch(ep, &t))
            break;
    }
    relay_io_flush(ep);
    events_drain(ep);
}

void driver_push(iroh_endpoint *ep, quic_conn *c, size_t bytes, bool urgent) {
    quic_conn_wake(c);
    ep->queued += bytes;
    bool now = urgent && ep->own_thread && ep->pushes++ == 0;
    if (now || ep->queued >= FLUSH_BYTES)
        driver_flush(ep);
}

// --- Receiving

// Full datagrams in a batch of this size show a transfer rather than questions and answers.
static bool is_bulk(const sys_udp_batch *b) {
    return b->len >= BULK_BYTES && b->segment >= BULK_SEGMENT;
}

static void deliver(iroh_endpoint *ep, endpoint_socket *s, const sys_udp_batch *b) {
    uint64_t now = sys_now();
    quic_datagram d = {.remote = b->remote, .local = b->local, .ecn = b->ecn};
    if (d.local.kind == ADDR_NONE && !s->wildcard)
        d.local = s->local;
    if (b->len >= LEND_BATCH && b->segment >= RECVBUF_LEND_MIN)
        d.lender = blocks_lender(&ep->rx);
    size_t segment = b->segment > 0 ? b->segment : b->len;
    for (size_t at = 0; at < b->len; at += segment) {
        d.bytes = blocks_room(&ep->rx) + at;
        d.len = b->len - at < segment ? b->len - at : segment;
        quic_endpoint_receive(ep->core, &d, now);
    }
    blocks_next(&ep->rx);
}

// Without the lock, which others want meanwhile: the call takes about as long as opening the packets. Whoever was
// fired hears of it after the round, not after each batch.
static int take_batch(iroh_endpoint *ep, endpoint_socket *s, sys_udp_batch *b) {
    if (ep->own_thread)
        uv_mutex_unlock(&ep->lock);
    int r = sys_udp_receive(s->udp, blocks_room(&ep->rx), b);
    if (ep->own_thread)
        uv_mutex_lock(&ep->lock);
    return r;
}

static bool receive_from(iroh_endpoint *ep, endpoint_socket *s, bool *bulk, size_t *bytes) {
    sys_udp_batch b;
    if ((s->ready & SYS_READABLE) == 0)
        return false;
    int r = take_batch(ep, s, &b);
    if (r != 0) {
        s->ready = 0;
        if (r != IROH_ERR_AGAIN && log_on(&ep->log, LOG_WARN))
            log_line(&ep->log, LOG_WARN, "receiving failed: %s", iroh_strerror(r));
        return false;
    }
    *bulk |= is_bulk(&b);
    *bytes += b.len;
    deliver(ep, s, &b);
    return true;
}

static void receive(iroh_endpoint *ep) {
    bool more = true, bulk = false;
    size_t bytes = 0;
    for (int i = 0; i < RECEIVE_BATCHES && bytes < RECEIVE_BYTES && more; i++) {
        more = false;
        for (size_t k = 0; k < ep->socket_count; k++)
            more |= receive_from(ep, &ep->sockets[k], &bulk, &bytes);
    }
    ep->moved += bytes;
    // What is left is reason enough not to wait.
    ep->bulk = bulk && !more ? ep->bulk + 1 : 0;
    for (size_t k = 0; k < ep->socket_count; k++)
        ep->sockets[k].ready = 0;
    if (!bulk)
        blocks_shrink(&ep->rx);
}

// --- Broken sockets

static void socket_ready(void *user, unsigned events) {
    endpoint_socket *s = user;
    s->ready |= events;
}

static int watch(iroh_endpoint *ep, endpoint_socket *s) {
    return sys_loop_watch(ep->loop, sys_udp_fd(s->udp), SYS_READABLE, socket_ready, s, &s->watch);
}

static bool has_broken_socket(const iroh_endpoint *ep) {
    for (size_t i = 0; i < ep->socket_count; i++) {
        if (sys_udp_is_broken(ep->sockets[i].udp) || ep->sockets[i].watch == NULL)
            return true;
    }
    return false;
}

static void reopen(iroh_endpoint *ep, endpoint_socket *s) {
    char text[ADDR_TEXT_MAX];
    sys_watch_free(s->watch);
    s->watch = NULL;
    s->ready = 0;
    int r = sys_udp_reopen(s->udp);
    if (r == 0)
        r = watch(ep, s);
    if (!log_on(&ep->log, LOG_WARN))
        return;
    (void)addr_format(&s->local, text);
    log_line(&ep->log, LOG_WARN, "socket %s broke: %s", text, r == 0 ? "opened anew" : iroh_strerror(r));
}

static void reopen_broken(iroh_endpoint *ep) {
    if (ep->reopen_at > ep->now || !has_broken_socket(ep))
        return;
    ep->reopen_at = ep->now + REOPEN_INTERVAL;
    for (size_t i = 0; i < ep->socket_count; i++) {
        endpoint_socket *s = &ep->sockets[i];
        if (sys_udp_is_broken(s->udp) || s->watch == NULL)
            reopen(ep, s);
    }
}

// --- The loop

static void round_of_work(iroh_endpoint *ep) {
    receive(ep);
    ep->busy = ep->moved >= BUSY_BYTES;
    ep->moved = 0;
    relay_io_process(ep);
    ep->now = sys_now();
    quic_endpoint_timeout(ep->core, ep->now);
    reopen_broken(ep);
    relays_tick(&ep->relays, ep->now);
    network_tick(ep, ep->now);
    paths_tick(ep, ep->now);
    reports_tick(ep, ep->now);
    events_drain(ep);
    driver_flush(ep);
    if (ep->closed)
        wait_fire(ep, &ep->waiters, WAIT_DRAINED);
}

uint64_t driver_deadline(const iroh_endpoint *ep) {
    uint64_t at = quic_endpoint_deadline(ep->core);
    // What wants to be sent cannot be sent before the socket takes it.
    if (ep->full_socket != NULL)
        at = time_max(at, ep->now + FULL_RECHECK);
    at = time_min(at, time_min(relays_deadline(&ep->relays), paths_deadline(ep)));
    at = time_min(at, time_min(network_deadline(ep), reports_deadline(ep)));
    if (has_broken_socket(ep))
        at = time_min(at, ep->reopen_at);
    return ep->streams != NULL ? time_min(at, sys_streams_deadline(ep->streams)) : at;
}

static void prepare(iroh_endpoint *ep) {
    uint64_t at = driver_deadline(ep);
    if (ep->alarm > ep->now && ep->alarm < at)
        at = ep->alarm;
    ep->alarm = at;
    sys_loop_set_deadline(ep->loop, at);
    for (size_t i = 0; i < ep->socket_count; i++) {
        endpoint_socket *s = &ep->sockets[i];
        if (s->watch != NULL)
            sys_watch_set(s->watch, ep->full_socket == s ? SYS_READABLE | SYS_WRITABLE : SYS_READABLE);
    }
    if (ep->streams != NULL)
        sys_streams_prepare(ep->streams);
    ep->watch_stale = false;
    ep->armed = at;
}

// A receiver that is faster than the sender would wake for each of its batches; a pause gathers several, which costs less
// and delays nobody who notices. It needs sockets that hold what comes meanwhile, and nothing to send.
void driver_gather(iroh_endpoint *ep) {
    if (ep->bulk < BULK_ROUNDS || !ep->roomy || driver_deadline(ep) <= ep->now)
        return;
    endpoint_leave(ep);
    sys_pause(GATHER_TIME);
    endpoint_enter(ep);
}

bool driver_turn_directly(iroh_endpoint *ep) {
    bool ready = false;
    for (size_t i = 0; i < ep->socket_count; i++)
        ready |= ep->sockets[i].ready != 0;
    if (!ready || ep->core == NULL || ep->direct == DIRECT_ROUNDS) {
        ep->direct = 0;
        return false;
    }
    ep->direct++;
    ep->armed = 0;
    round_of_work(ep);
    return true;
}

int driver_turn(iroh_endpoint *ep, int timeout_ms) {
    if (timeout_ms != 0)
        driver_gather(ep);
    prepare(ep);
    sys_loop_set_patience(ep->loop, ep->busy ? PATIENCE : 0);
    endpoint_leave(ep);
    int r = sys_loop_run(ep->loop, timeout_ms);
    endpoint_enter(ep);
    ep->armed = 0;
    if (r == 0 && ep->core != NULL)
        round_of_work(ep);
    return r;
}

void driver_arm(iroh_endpoint *ep) {
    prepare(ep);
    sys_loop_arm(ep->loop);
}

int driver_init(iroh_endpoint *ep) {
    ep->tx = malloc(SYS_UDP_BATCH);
    int r = blocks_init(&ep->rx);
    if (ep->tx == NULL || r != 0)
        return IROH_ERR_NOMEM;
    r = sys_loop_new(&ep->loop);
    ep->roomy = true;
    for (size_t i = 0; r == 0 && i < ep->socket_count; i++) {
        endpoint_socket *s = &ep->sockets[i];
        ep->roomy &= sys_udp_receive_buffer(s->udp) >= GATHER_BUFFER;
        r = watch(ep, s);
    }
    return r;
}

// --- The endpoint's thread

static void thread_main(void *user) {
    iroh_endpoint *ep = user;
    endpoint_enter(ep);
    while (!ep->stopping) {
        int r = driver_turn(ep, -1);
        if (r == 0 || ep->stopping)
            continue;
        // Without its loop the endpoint is deaf and mute; nobody may wait for it.
        log_line(&ep->log, LOG_ERROR, "the event loop failed: %s", iroh_strerror(r));
        ep->closed = true;
        quic_endpoint_close(ep->core, 0, NULL, 0, sys_now());
        driver_flush(ep);
        wait_fire(ep, &ep->waiters, (unsigned)WAIT_ANY);
        break;
    }
    endpoint_leave(ep);
}

// The program's signals are for the program's threads.
int driver_start(iroh_endpoint *ep) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return IROH_ERR_IO;
    int r = uv_thread_create(&ep->thread, thread_main, ep);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r == 0 ? 0 : r == UV_ENOMEM ? IROH_ERR_NOMEM : IROH_ERR_IO;
}

void driver_stop(iroh_endpoint *ep) {
    endpoint_enter(ep);
    ep->stopping = true;
    sys_loop_wake(ep->loop);
    endpoint_leave(ep);
    uv_thread_join(&ep->thread);
}
