#include "transfer.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"

#define CHUNK 8192

static uint8_t byte_at(uint64_t seed, uint64_t id, uint64_t offset) {
    uint64_t x = (seed ^ id * UINT64_C(0x9e3779b97f4a7c15)) + offset * UINT64_C(0xff51afd7ed558ccd);
    return (uint8_t)(x >> 56 ^ x >> 24);
}

// --- Server

// What waits to be echoed on one stream.
typedef struct echo {
    list_link link;  // in `echoes`
    const quic_conn *conn;
    uint8_t bytes[CHUNK];
    size_t have, sent;
    bool ended;
} echo;

static list_link echoes = {&echoes, &echoes};

static echo *echo_new(const quic_conn *c) {
    echo *e = calloc(1, sizeof *e);
    if (e == NULL)
        abort();
    e->conn = c;
    list_push_back(&echoes, &e->link);
    return e;
}

static void echo_free(echo *e) {
    list_remove(&e->link);
    free(e);
}

static void echo_free_all(const quic_conn *c) {
    list_link *next;
    for (list_link *l = echoes.next; l != &echoes; l = next) {
        next = l->next;
        echo *e = list_entry(l, echo, link);
        if (e->conn == c)
            echo_free(e);
    }
}

// What the layer above hears of paths, noted at the node.
static void note_path_events(sim_node *n, quic_conn *c) {
    quic_path_event event;
    while (quic_conn_next_path_event(c, &event)) {
        n->path_events[event.kind]++;
        if (event.kind == PATH_EVENT_OBSERVED)
            n->observed = event.address;
        if (event.kind == PATH_EVENT_ABANDONED)
            n->abandon_code = event.code;
    }
}

static void echo_pump(quic_stream *st) {
    if (!st->has_send) {
        uint8_t sink[CHUNK];
        while (quic_stream_read(st, sink, sizeof sink) > 0) {}
        return;
    }
    echo *e = st->user;
    if (e == NULL)
        return;
    for (;;) {
        if (e->sent == e->have && !e->ended) {
            int n = quic_stream_read(st, e->bytes, sizeof e->bytes);
            if (n == IROH_ERR_AGAIN)
                return;
            e->have = n > 0 ? (size_t)n : 0;
            e->sent = 0;
            if (n <= 0) {
                e->ended = true;
                if (n == 0)
                    (void)quic_stream_finish(st);
                else
                    (void)quic_stream_reset(st, 7);
            }
        }
        if (e->ended) {
            st->user = NULL;
            echo_free(e);
            quic_stream_release(st);
            return;
        }
        int n = quic_stream_write(st, e->bytes + e->sent, e->have - e->sent);
        if (n == IROH_ERR_AGAIN)
            return;
        if (n < 0) {
            st->user = NULL;
            echo_free(e);
            quic_stream_release(st);
            return;
        }
        e->sent += (size_t)n;
    }
}

static void echo_event(sim_node *n, quic_conn *c, uint32_t events) {
    quic_streams *s = quic_conn_streams(c);
    quic_stream *st;
    uint8_t what;
    note_path_events(n, c);
    if ((events & CONN_CLOSED) != 0) {
        echo_free_all(c);
        quic_conn_release(c, n->world->now);
        return;
    }
    while ((st = quic_streams_accept(s, true)) != NULL) {
        st->user = echo_new(c);
        echo_pump(st);
    }
    while ((st = quic_streams_next_event(s, &what)) != NULL)
        echo_pump(st);
    uint8_t datagram[2000];
    int len;
    while ((len = quic_conn_datagram_read(c, datagram, sizeof datagram)) >= 0)
        (void)quic_conn_datagram_send(c, datagram, (size_t)len, true);
    quic_conn_wake(c);
}

void sim_echo_server(sim_node *n) {
    n->on_event = echo_event;
}

// --- Client

static void pump_out(sim_transfer *t, sim_stream *s) {
    uint8_t chunk[CHUNK];
    while (s->written < s->size) {
        size_t len = s->size - s->written < CHUNK ? (size_t)(s->size - s->written) : CHUNK;
        for (size_t i = 0; i < len; i++)
            chunk[i] = byte_at(t->seed, s->stream->id, s->written + i);
        int n = quic_stream_write(s->stream, chunk, len);
        if (n <= 0)
            return;
        s->written += (uint64_t)n;
    }
    if (!s->finished) {
        s->finished = true;
        (void)quic_stream_finish(s->stream);
    }
}

static void note_progress(sim_transfer *t) {
    uint64_t now = t->node->world->now;
    uint64_t since = t->progress_at > t->watched_from ? t->progress_at : t->watched_from;
    if (t->watched_from != 0 && now - since > t->longest_gap)
        t->longest_gap = now - since;
    t->progress_at = now;
}

void sim_transfer_watch(sim_transfer *t) {
    t->watched_from = t->node->world->now;
    t->longest_gap = 0;
}

static void pump_in(sim_transfer *t, sim_stream *s) {
    uint8_t chunk[CHUNK];
    for (;;) {
        int n = quic_stream_read(s->stream, chunk, sizeof chunk);
        if (n == IROH_ERR_AGAIN)
            return;
        if (n < 0) {
            sim_fail(t->node->world, "stream %llu: read gives %d", (unsigned long long)s->stream->id, n);
            return;
        }
        if (n == 0)
            break;
        for (int i = 0; i < n; i++) {
            if (chunk[i] != byte_at(t->seed, s->stream->id, s->read + (uint64_t)i)) {
                sim_fail(t->node->world, "stream %llu: wrong byte at %llu", (unsigned long long)s->stream->id,
                         (unsigned long long)(s->read + (uint64_t)i));
                return;
            }
        }
        s->read += (uint64_t)n;
        note_progress(t);
    }
    if (s->read != s->size)
        sim_fail(t->node->world, "stream ended at %llu of %llu", (unsigned long long)s->read,
                 (unsigned long long)s->size);
    s->done = true;
    quic_stream_release(s->stream);
    s->stream = NULL;
}

static void open_streams(sim_transfer *t) {
    quic_stream *st;
    while (t->opened < t->count && quic_streams_open(quic_conn_streams(t->conn), true, &st) == 0) {
        sim_stream *s = &t->streams[t->opened++];
        s->stream = st;
        st->user = s;
        pump_out(t, s);
    }
    quic_conn_wake(t->conn);
}

static void take_session(sim_transfer *t) {
    size_t len;
    uint8_t *session = quic_conn_take_session(t->conn, &len);
    if (session == NULL)
        return;
    free(t->session);
    t->session = session;
    t->session_len = len;
}

static void take_token(sim_transfer *t) {
    size_t len;
    uint8_t *token = quic_conn_take_token(t->conn, &len);
    if (token == NULL)
        return;
    free(t->token);
    t->token = token;
    t->token_len = len;
}

static void restart_streams(sim_transfer *t) {
    for (size_t i = 0; i < t->opened; i++) {
        quic_stream *st = t->streams[i].stream;
        if (st != NULL)
            quic_stream_release(st);
        t->streams[i] = (sim_stream){.size = t->streams[i].size};
    }
    t->opened = 0;
}

static void client_event(sim_node *n, quic_conn *c, uint32_t events) {
    sim_transfer *t = quic_conn_user(c);
    if (t == NULL)
        return;
    note_path_events(n, c);
    if ((events & CONN_CLOSED) != 0) {
        const quic_close_info *info = quic_conn_close_info(c);
        t->closed = true;
        t->error = info->error;
        t->code = info->code;
        t->conn = NULL;
        quic_conn_release(c, n->world->now);
        return;
    }
    if ((events & CONN_EARLY_REJECTED) != 0) {
        t->early_rejected = true;
        restart_streams(t);
    }
    if ((events & CONN_SESSION) != 0)
        take_session(t);
    if ((events & CONN_TOKEN) != 0)
        take_token(t);
    if ((events & CONN_CONNECTED) != 0)
        t->connected = true;
    if (t->connected || quic_conn_can_send_early(c))
        open_streams(t);
    uint8_t datagram[2000];
    while (quic_conn_datagram_read(c, datagram, sizeof datagram) >= 0)
        t->datagrams++;
    quic_stream *st;
    uint8_t what;
    while ((st = quic_streams_next_event(quic_conn_streams(c), &what)) != NULL) {
        sim_stream *s = st->user;
        if (s == NULL || s->stream != st)
            continue;
        pump_out(t, s);
        pump_in(t, s);
    }
    quic_conn_wake(c);
}

static void dial(sim_transfer *t, sim_node *from, sim_node *to, const quic_connect_config *wanted, size_t count,
                 uint64_t size) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"sim", .len = 3};
    *t = (sim_transfer){.node = from, .count = count, .seed = sim_random(&from->world->rng)};
    for (size_t i = 0; i < count; i++)
        t->streams[i].size = sim_below(&from->world->rng, size + 1);
    quic_connect_config connect = *wanted;
    connect.peer_key = sim_key(to);
    connect.alpns = &alpn;
    connect.alpn_count = 1;
    from->on_event = client_event;
    if (quic_endpoint_connect(from->ep, &connect, from->world->now, &t->conn) != 0) {
        sim_fail(from->world, "connect failed");
        return;
    }
    quic_conn_set_user(t->conn, t);
    if (quic_conn_can_send_early(t->conn))
        open_streams(t);
}

void sim_transfer_dial(sim_transfer *t, sim_node *from, sim_node *to, const addr *remotes, size_t remote_count,
                       size_t count, uint64_t size) {
    const quic_connect_config connect = {.remotes = remotes, .remote_count = remote_count};
    dial(t, from, to, &connect, count, size);
}

void sim_transfer_again(sim_transfer *t, sim_node *from, sim_node *to, size_t count, uint64_t size,
                        const sim_transfer *first, bool resume) {
    const quic_connect_config connect = {.remotes = &to->address,
                                         .remote_count = 1,
                                         .session = resume ? first->session : NULL,
                                         .session_len = first->session_len,
                                         .token = first->token,
                                         .token_len = first->token_len};
    dial(t, from, to, &connect, count, size);
}

void sim_transfer_start(sim_transfer *t, sim_node *from, sim_node *to, size_t count, uint64_t size,
                        const uint8_t *session, size_t session_len, bool early) {
    const quic_connect_config connect = {
        .remotes = &to->address, .remote_count = 1, .session = session, .session_len = session_len, .early = early};
    dial(t, from, to, &connect, count, size);
}

bool sim_transfer_done(const sim_transfer *t) {
    if (t->closed)
        return true;
    for (size_t i = 0; i < t->count; i++) {
        if (!t->streams[i].done)
            return false;
    }
    return t->connected;
}

void sim_transfer_close(sim_transfer *t) {
    if (t->conn != NULL)
        quic_conn_close(t->conn, 42, (const uint8_t *)"done", 4, t->node->world->now);
}

void sim_transfer_dispose(sim_transfer *t) {
    free(t->session);
    free(t->token);
}
