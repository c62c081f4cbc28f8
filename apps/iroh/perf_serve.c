// The serving side, in one thread. A request that is there whole when its stream is accepted, as every small one is, is
// answered on the spot and never waited for.
#include <stdio.h>
#include <stdlib.h>

#include "perf.h"
#include "poller.h"

typedef struct server {
    poller poller;
    iroh_endpoint *endpoint;
    uint64_t connections;  // open now
    struct peer *peers;    // all of them
    uint8_t *sink;         // PERF_CHUNK bytes that nobody looks at
    uint8_t *zeros;        // as many to send
} server;

typedef struct job {
    struct peer *peer;
    iroh_stream *stream;
    watcher on_stream;
    int (*step)(struct job *j);  // 0: done, IROH_ERR_AGAIN: waits for `wants`, else failed
    unsigned wants;
    struct job *next, **link;  // of the same peer
    uint8_t bytes[PERF_HEAD];  // of the head, then of the answer's tail
    size_t got;                // of the head
    perf_head head;
    uint64_t body;        // bytes read after the head
    uint64_t zeros_left;  // of the answer
    size_t tail, tail_sent;
    uint64_t cpu_us;  // when it began
} job;

typedef struct peer {
    server *server;
    iroh_connection *connection;
    watcher on_connection;
    job *jobs;  // those that wait
    struct peer *next, **link;
} peer;

// --- One request: head, body to its end, then zeros and the tail

static size_t at_most(uint64_t n, size_t max) {
    return n < max ? (size_t)n : max;
}

static void tail_of_pair(job *j, uint64_t a, uint64_t b) {
    perf_u64_write(j->bytes, a);
    perf_u64_write(j->bytes + 8, b);
    j->tail = 16;
}

static int send_tail(job *j) {
    // The time of a download includes its sending, so it is taken as late as can be.
    if (j->head.op == PERF_DOWNLOAD && j->tail == 0) {
        perf_u64_write(j->bytes, perf_cpu_us() - j->cpu_us);
        j->tail = 8;
    }
    while (j->tail_sent < j->tail) {
        int64_t n = iroh_stream_write(j->stream, j->bytes + j->tail_sent, j->tail - j->tail_sent, 0);
        if (n < 0)
            return (int)n;
        j->tail_sent += (size_t)n;
    }
    return iroh_stream_finish(j->stream);
}

// One chunk a turn: the network gets its share of time, and small requests theirs.
static int send_zeros(job *j) {
    j->wants = IROH_POLL_WRITE;
    if (j->zeros_left > 0) {
        int64_t n = iroh_stream_write(j->stream, j->peer->server->zeros, at_most(j->zeros_left, PERF_CHUNK), 0);
        if (n < 0)
            return (int)n;
        j->zeros_left -= (uint64_t)n;
    }
    if (j->zeros_left > 0)
        return IROH_ERR_AGAIN;
    j->step = send_tail;
    return send_tail(j);
}

static int answer(job *j) {
    const perf_head *h = &j->head;
    if (h->op == PERF_UPLOAD)
        tail_of_pair(j, j->body, perf_cpu_us() - j->cpu_us);
    else if (h->op == PERF_DOWNLOAD)
        j->zeros_left = h->a;
    else if (h->op == PERF_REQUEST)
        j->zeros_left = h->b;
    else
        tail_of_pair(j, perf_private_bytes(), j->peer->server->connections);
    j->step = send_zeros;
    return send_zeros(j);
}

// How much body the head announces; what it asks for is checked here too.
static int body_size(const perf_head *h, uint64_t *out) {
    bool sends = h->op == PERF_UPLOAD || h->op == PERF_REQUEST;
    *out = sends ? h->a : 0;
    if (h->op < PERF_UPLOAD || h->op > PERF_MEMORY)
        return IROH_ERR_PROTOCOL;
    return h->op == PERF_REQUEST && (h->a > PERF_REQUEST_MAX || h->b > PERF_REQUEST_MAX) ? IROH_ERR_RANGE : 0;
}

static int read_body(job *j) {
    uint64_t size;
    int r = body_size(&j->head, &size);
    int64_t n = 0;
    while (r == 0 && (n = iroh_stream_read(j->stream, j->peer->server->sink, PERF_CHUNK, 0)) > 0) {
        j->body += (uint64_t)n;
        r = j->body > size ? IROH_ERR_PROTOCOL : 0;
    }
    if (r == 0 && n == 0)
        return j->body == size ? answer(j) : IROH_ERR_FINISHED;
    return r == 0 ? (int)n : r;
}

static int read_head(job *j) {
    j->wants = IROH_POLL_READ;
    while (j->got < PERF_HEAD) {
        int64_t n = iroh_stream_read(j->stream, j->bytes + j->got, PERF_HEAD - j->got, 0);
        if (n <= 0)
            return n == 0 ? IROH_ERR_FINISHED : (int)n;
        j->got += (size_t)n;
    }
    perf_head_read(&j->head, j->bytes);
    if (j->head.op != PERF_REQUEST)
        j->cpu_us = perf_cpu_us();
    j->step = read_body;
    return read_body(j);
}

// --- Requests that wait

static void job_dispose(job *j, int result) {
    if (result != 0) {
        (void)iroh_stream_reset(j->stream, 1);
        (void)iroh_stream_stop(j->stream, 1);
    }
    iroh_stream_free(j->stream);
}

static void job_end(job *j, int result) {
    (void)poller_set(&j->peer->server->poller, &j->on_stream, 0);
    *j->link = j->next;
    if (j->next != NULL)
        j->next->link = j->link;
    job_dispose(j, result);
    free(j);
}

static void on_stream(watcher *w, unsigned revents) {
    job *j = w->owner;
    (void)revents;
    int r = j->step(j);
    if (r == IROH_ERR_AGAIN)
        r = poller_set(&j->peer->server->poller, w, j->wants) == 0 ? IROH_ERR_AGAIN : IROH_ERR_NOMEM;
    if (r != IROH_ERR_AGAIN)
        job_end(j, r);
}

// From the stack to the heap.
static void job_keep(const job *fresh) {
    peer *p = fresh->peer;
    job *j = malloc(sizeof *j);
    if (j == NULL) {
        job copy = *fresh;
        job_dispose(&copy, IROH_ERR_NOMEM);
        return;
    }
    *j = *fresh;
    j->on_stream = watcher_of_stream(j->stream, on_stream, j);
    j->next = p->jobs;
    j->link = &p->jobs;
    if (j->next != NULL)
        j->next->link = &j->next;
    p->jobs = j;
    if (poller_set(&p->server->poller, &j->on_stream, j->wants) != 0)
        job_end(j, IROH_ERR_NOMEM);
}

static void job_start(peer *p, iroh_stream *s) {
    job j = {.peer = p, .stream = s, .step = read_head};
    int r = read_head(&j);
    if (r == IROH_ERR_AGAIN)
        job_keep(&j);
    else
        job_dispose(&j, r);
}

// --- Connections

static void peer_end(peer *p) {
    while (p->jobs != NULL)
        job_end(p->jobs, IROH_ERR_CLOSED);
    (void)poller_set(&p->server->poller, &p->on_connection, 0);
    *p->link = p->next;
    if (p->next != NULL)
        p->next->link = p->link;
    p->server->connections--;
    iroh_connection_free(p->connection);
    free(p);
}

static void on_connection(watcher *w, unsigned revents) {
    peer *p = w->owner;
    iroh_stream *s;
    int r;
    (void)revents;
    while ((r = iroh_connection_accept_bi(p->connection, 0, &s)) == 0)
        job_start(p, s);
    if (r != IROH_ERR_AGAIN)
        peer_end(p);
}

static void peer_start(server *v, iroh_connection *c) {
    peer *p = malloc(sizeof *p);
    if (p == NULL) {
        iroh_connection_free(c);
        return;
    }
    *p = (peer){.server = v, .connection = c, .next = v->peers, .link = &v->peers};
    p->on_connection = watcher_of_connection(c, on_connection, p);
    if (p->next != NULL)
        p->next->link = &p->next;
    v->peers = p;
    v->connections++;
    if (poller_set(&v->poller, &p->on_connection, IROH_POLL_ACCEPT_BI) != 0)
        peer_end(p);
}

static void on_endpoint(watcher *w, unsigned revents) {
    server *v = w->owner;
    iroh_connection *c;
    int r;
    (void)revents;
    while ((r = iroh_endpoint_accept(v->endpoint, 0, &c)) == 0)
        peer_start(v, c);
    if (r != IROH_ERR_AGAIN)
        v->poller.stop = true;
}

static void on_signal(watcher *w, unsigned revents) {
    (void)revents;
    ((server *)w->owner)->poller.stop = true;
}

static int serve(server *v, const cli_options *o) {
    char ticket[CLI_TICKET_MAX];
    if (!cli_ticket(v->endpoint, o, ticket))
        return EXIT_FAILED;
    // Before anybody can know that we are there, and end us.
    watcher signals = watcher_of_fd(cli_signals_fd(), on_signal, v);
    watcher accepting = watcher_of_endpoint(v->endpoint, on_endpoint, v);
    cli_note("Serving. To measure, use:\niroh perf run %s", ticket);
    int r = poller_set(&v->poller, &accepting, IROH_POLL_ACCEPT_BI);
    if (r == 0)
        r = poller_set(&v->poller, &signals, IROH_POLL_READ);
    if (r == 0)
        r = poller_run(&v->poller);
    return r == 0 ? EXIT_OK : cli_failed("serving", r);
}

int perf_serve(const cli_options *o) {
    const iroh_slice alpn = {PERF_ALPN, sizeof PERF_ALPN - 1};
    server v = {.sink = malloc(PERF_CHUNK), .zeros = calloc(1, PERF_CHUNK)};
    int status = EXIT_FAILED;
    poller_init(&v.poller);
    if (v.sink == NULL || v.zeros == NULL)
        (void)cli_failed("cannot serve", IROH_ERR_NOMEM);
    else
        v.endpoint = cli_endpoint(o, &alpn, 1, false);
    if (v.endpoint != NULL) {
        status = serve(&v, o);
        while (v.peers != NULL)
            peer_end(v.peers);
        (void)iroh_endpoint_close(v.endpoint, PERF_CLOSE_MS);
        iroh_endpoint_free(v.endpoint);
    }
    poller_dispose(&v.poller);
    free(v.sink);
    free(v.zeros);
    return status;
}
