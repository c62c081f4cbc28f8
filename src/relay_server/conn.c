// One TCP connection: handshake, HTTP, relay session, and a short time after our last byte in which the peer may close, so
// that what it still sends does not make the kernel take back what we sent.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "relay_server/state.h"

// --- Beginning and end

static void conn_ready(void *user, unsigned events);

static void count_in(conn *c) {
    relay_loop *l = c->loop;
    list_push_back(&l->conns, &c->link);
    l->conn_count++;
    if (c->serves != SERVES_METRICS)
        l->counters[COUNT_HTTP_CONNECTIONS]++;
}

static int set_up(conn *c, bool tls) {
    relay_loop *l = c->loop;
    c->http = calloc(1, sizeof *c->http);
    if (c->http == NULL)
        return IROH_ERR_NOMEM;
    int r = tls ? conn_tls_new(c) : 0;
    if (r == 0)
        r = heap_set(&l->timers, &c->timer, time_add(loop_now(l), ESTABLISH_TIMEOUT));
    if (r == 0)
        r = sys_loop_watch(l->sys, c->fd, SYS_READABLE, conn_ready, c, &c->watch);
    return r;
}

void conn_accept(listener *from, int fd, const addr *remote) {
    relay_loop *l = from->loop;
    conn *c = calloc(1, sizeof *c);
    if (c == NULL) {
        l->counters[COUNT_REFUSED]++;
        sys_tcp_close(fd);
        return;
    }
    c->loop = l;
    c->fd = fd;
    c->remote = *remote;
    c->serves = (uint8_t)from->serves;
    c->phase = from->tls ? CONN_HANDSHAKE : CONN_HTTP;
    c->number = ++l->conn_numbers;
    list_init(&c->link);
    list_init(&c->phase_link);
    list_init(&c->busy_link);
    list_init(&c->round_link);
    pace_init(&c->pace, loop_now(l));
    relay_session_init(&c->session, &l->hub, c);
    count_in(c);
    if (set_up(c, from->tls) != 0)
        conn_drop(c);
}

static void count_out(conn *c) {
    relay_loop *l = c->loop;
    l->conn_count--;
    if (c->phase <= CONN_HTTP && c->serves != SERVES_METRICS) {
        l->counters[COUNT_HTTP_CLOSED]++;
        l->counters[COUNT_HTTP_ERRORED] += c->failed;
    }
}

static void free_token(conn *c) {
    if (c->token != NULL)
        wipe(c->token, c->token_len);
    free(c->token);
    c->token = NULL;
}

static void leave_session(conn *c) {
    conn_out_clear(c);
    relay_session_close(&c->session, loop_now(c->loop));
    free_token(c);
}

// Callers up the stack may still look at the connection, so its memory stays until the end of the turn.
void conn_drop(conn *c) {
    if (c->dead)
        return;
    c->dead = true;
    count_out(c);
    leave_session(c);
    rounds_leave(c);
    http_free(c);
    if (c->phase == CONN_RELAY)
        list_remove(&c->phase_link);  // of those whose access is asked for, not of handshakes
    conn_tls_free(c);
    heap_remove(&c->loop->timers, &c->timer);
    list_remove(&c->phase_link);
    sys_watch_free(c->watch);
    sys_tcp_close(c->fd);
    list_remove(&c->link);
    list_push_back(&c->loop->dead, &c->link);
}

void conn_end(conn *c) {
    if (c->dead || c->phase == CONN_LINGER)
        return;
    conn_flush(c);
    if (!c->dead && c->tls != NULL)
        conn_out_alert(c, TLS_ALERT_CLOSE_NOTIFY);
    if (c->dead)
        return;
    if (!conn_out_empty(c)) {
        conn_drop(c);
        return;
    }
    leave_session(c);
    rounds_leave(c);
    sys_tcp_finish(c->fd);
    if (c->phase <= CONN_HTTP && c->serves != SERVES_METRICS)
        c->loop->counters[COUNT_HTTP_CLOSED]++;
    if (c->phase == CONN_RELAY)
        list_remove(&c->phase_link);  // nobody wants the verdict any more
    c->phase = CONN_LINGER;
    c->writing = false;
    if (heap_set(&c->loop->timers, &c->timer, time_add(loop_now(c->loop), LINGER_TIMEOUT)) != 0) {
        conn_drop(c);
        return;
    }
    conn_watch(c);
}

void conn_timer(conn *c, uint64_t now) {
    (void)now;
    // A connection that asked for all it wanted and then was silent has done nothing wrong.
    c->failed = c->phase == CONN_HANDSHAKE || (c->http != NULL && c->http->len > 0);
    conn_drop(c);
}

conn *conn_find_asked(relay_loop *l, uint64_t number) {
    for (list_link *at = l->asked.next; at != &l->asked; at = at->next) {
        conn *c = list_entry(at, conn, phase_link);
        if (c->number == number)
            return c;
    }
    return NULL;
}

// --- Reading

static bool wants_read(const conn *c) {
    switch (c->phase) {
    case CONN_RELAY:
        return relay_session_reads(&c->session);
    case CONN_LINGER:
        return true;
    default:
        return conn_out_empty(c) && !c->http->closing;
    }
}

void conn_watch(conn *c) {
    if (c->dead)
        return;
    bool readable = c->pace.at == PACE_WATCHED && wants_read(c);
    sys_watch_set(c->watch, (readable ? SYS_READABLE : 0u) | (c->writing ? SYS_WRITABLE : 0u));
}

void conn_input(conn *c, uint8_t *bytes, size_t len) {
    if (c->dead || len == 0)
        return;
    if (c->phase == CONN_HTTP)
        http_input(c, bytes, len);
    else if (c->phase == CONN_RELAY)
        (void)relay_session_receive(&c->session, bytes, len, loop_now(c->loop));
}

static void on_end_of_input(conn *c) {
    if (c->phase == CONN_RELAY)
        relay_session_eof(&c->session, loop_now(c->loop));
    else
        conn_drop(c);
}

// How many bytes were read.
static size_t read_input(conn *c) {
    uint8_t *room = c->loop->room + TLS_RECORD_MAX;
    int n = sys_tcp_read(c->fd, room, c->phase == CONN_RELAY ? READ_ROOM : READ_HTTP);
    if (n == IROH_ERR_AGAIN)
        return 0;
    if (n <= 0) {
        c->failed = n < 0 || c->phase == CONN_HANDSHAKE;
        on_end_of_input(c);
        return 0;
    }
    if (c->phase == CONN_LINGER)
        return 0;
    if (c->tls != NULL)
        conn_tls_input(c, room, (size_t)n);
    else
        conn_input(c, room, (size_t)n);
    return (size_t)n;
}

size_t conn_read(conn *c) {
    const relay_counters *counters = &c->loop->hub.counters;
    loop_begin(c->loop);
    if (c->dead || !wants_read(c))
        return 0;
    uint64_t frames = counters->send_packets_recv;
    size_t len = read_input(c);
    if (c->phase == CONN_RELAY)
        rounds_read(c, (uint32_t)(counters->send_packets_recv - frames), len);
    conn_watch(c);
    return len;
}

static void on_writable(conn *c) {
    conn_flush(c);
    if (c->dead || c->phase != CONN_HTTP || !conn_out_empty(c))
        return;
    if (c->http->closing)
        conn_end(c);
    else
        http_input(c, NULL, 0);  // what came behind the request that was answered
}

static void conn_ready(void *user, unsigned events) {
    conn *c = user;
    loop_begin(c->loop);
    if (c->dead)
        return;
    if ((events & SYS_WRITABLE) != 0)
        on_writable(c);
    if (!c->dead && (events & SYS_READABLE) != 0)
        (void)conn_read(c);
}

// --- What the hub wants

static void settle(conn *c, bool allow) {
    uint64_t now = loop_now(c->loop);
    free_token(c);
    if (!allow) {
        relay_session_deny(&c->session, NULL, now);
        return;
    }
    relay_session_allow(&c->session, now);
    loop_send(c->loop);
}

static void decide(conn *c) {
    const iroh_relay *r = c->loop->server;
    relay_session *s = &c->session;
    int decision = relay_access_decide(&r->access, s->id, c->token, c->token_len);
    if (decision == RELAY_ASK && r->callback != NULL && callback_ask(r->callback, c->loop, c->number, s->id)) {
        list_push_back(&c->loop->asked, &c->phase_link);
        return;
    }
    settle(c, decision == RELAY_ALLOW);
}

void conn_verdict(conn *c, bool allow) {
    list_remove(&c->phase_link);
    settle(c, allow);
}

void conn_do(conn *c, unsigned wants) {
    if (c->dead || c->phase != CONN_RELAY)
        return;
    if ((wants & RELAY_WANTS_ACCESS) != 0)
        decide(c);
    if ((wants & RELAY_WANTS_END) != 0) {
        conn_end(c);
        return;
    }
    if ((wants & RELAY_WANTS_WRITE) != 0)
        conn_flush(c);
    if ((wants & RELAY_WANTS_READ) != 0)
        conn_watch(c);
}
