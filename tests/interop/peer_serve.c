// The server: a thread for each connection, each stream and each kind of thing that a connection accepts.
//
// Every thread owns the handle it works on and frees it. Closing the endpoint ends every waiting call with an error, so
// the program waits until all threads are gone before it frees the endpoint.
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

enum { COMMAND_MAX = 256, CLOSE_MS = 5000 };

typedef struct server {
    iroh_endpoint *endpoint;
    bool retry, refuse;
    pthread_mutex_t lock;
    pthread_cond_t fewer;
    unsigned threads;  // running, guarded by `lock`
} server;

// What a thread is given. Handles that are set are the thread's own.
typedef struct job {
    server *server;
    void (*run)(struct job *);
    iroh_connection *connection;
    iroh_stream *stream;
} job;

static void *job_main(void *user) {
    job *j = user;
    server *s = j->server;
    j->run(j);
    iroh_stream_free(j->stream);
    iroh_connection_free(j->connection);
    free(j);
    pthread_mutex_lock(&s->lock);
    s->threads--;
    pthread_cond_signal(&s->fewer);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

// Takes over the reference `c` and the stream `stream`, which may be null.
static void job_start(server *s, void (*run)(job *), iroh_connection *c, iroh_stream *stream) {
    job *j = malloc(sizeof *j);
    if (!j)
        abort();
    *j = (job){s, run, c, stream};
    pthread_mutex_lock(&s->lock);
    s->threads++;
    pthread_mutex_unlock(&s->lock);
    pthread_t thread;
    if (pthread_create(&thread, NULL, job_main, j) != 0)
        abort();
    pthread_detach(thread);
}

// ---------------------------------------------------------------------------------------------------------------------
// Streams

static void report_reset(iroh_stream *in) {
    uint64_t code = 0;
    if (iroh_stream_reset_code(in, &code) == 0)
        printf("{\"event\": \"reset\", \"code\": %llu}\n", (unsigned long long)code);
}

static void report_stop(iroh_stream *out) {
    uint64_t code = 0;
    if (iroh_stream_stop_code(out, &code) == 0)
        printf("{\"event\": \"stopped\", \"code\": %llu}\n", (unsigned long long)code);
}

// Copies the `head` bytes that lie in `buffer`, then everything up to the end of `in`, to `out`.
static void echo(iroh_stream *in, iroh_stream *out, uint8_t *buffer, size_t head) {
    int64_t got = (int64_t)head;
    int sent = 0;
    if (got == 0)
        got = iroh_stream_read(in, buffer, PEER_CHUNK, IROH_WAIT_FOREVER);
    while (sent == 0 && got > 0) {
        sent = iroh_stream_write_all(out, buffer, (size_t)got, IROH_WAIT_FOREVER, NULL);
        if (sent == 0)
            got = iroh_stream_read(in, buffer, PEER_CHUNK, IROH_WAIT_FOREVER);
    }
    if (got == IROH_ERR_RESET)
        report_reset(in);
    if (sent == 0 && got == 0) {
        iroh_stream_finish(out);
        sent = iroh_stream_wait_finished(out, IROH_WAIT_FOREVER);
    }
    if (sent == IROH_ERR_STOPPED)
        report_stop(out);
}

static bool is_command(const char *text, size_t len) {
    static const char *const verbs[] = {"reset ", "stop ", "close "};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        size_t verb = strlen(verbs[i]);
        if (memcmp(text, verbs[i], len < verb ? len : verb) == 0)
            return true;
    }
    return false;
}

// Reads until the bytes are a whole command line, which ends up in `line`, or cannot become one: false, and the bytes
// so far lie in `buffer`. At the stream's end or an error too; reading again tells which.
static bool command_read(iroh_stream *s, uint8_t *buffer, size_t *have, char line[static COMMAND_MAX]) {
    *have = 0;
    while (*have < COMMAND_MAX) {
        int64_t got = iroh_stream_read(s, buffer + *have, PEER_CHUNK - *have, IROH_WAIT_FOREVER);
        if (got <= 0)
            return false;
        *have += (size_t)got;
        if (!is_command((const char *)buffer, *have))
            return false;
        const uint8_t *end = memchr(buffer, '\n', *have < COMMAND_MAX ? *have : COMMAND_MAX);
        if (end) {
            size_t len = (size_t)(end - buffer);
            memcpy(line, buffer, len);
            line[len] = 0;
            return true;
        }
    }
    return false;
}

static void command_obey(iroh_connection *c, iroh_stream *s, const char *line) {
    const char *number = strchr(line, ' ') + 1;
    char *rest = NULL;
    uint64_t code = strtoull(number, &rest, 10);
    const char *reason = *rest == ' ' ? rest + 1 : rest;
    if (line[0] == 'r')
        iroh_stream_reset(s, code);
    else if (line[0] == 's')
        iroh_stream_stop(s, code);
    else
        iroh_connection_close(c, code, reason, strlen(reason));
}

static void run_bi(job *j) {
    uint8_t *buffer = malloc(PEER_CHUNK);
    if (!buffer)
        abort();
    char line[COMMAND_MAX];
    size_t have = 0;
    if (command_read(j->stream, buffer, &have, line))
        command_obey(j->connection, j->stream, line);
    else
        echo(j->stream, j->stream, buffer, have);
    free(buffer);
}

static void run_uni(job *j) {
    iroh_stream *out = NULL;
    if (iroh_connection_open_uni(j->connection, IROH_WAIT_FOREVER, &out) != 0)
        return;
    uint8_t *buffer = malloc(PEER_CHUNK);
    if (!buffer)
        abort();
    echo(j->stream, out, buffer, 0);
    free(buffer);
    iroh_stream_free(out);
}

// ---------------------------------------------------------------------------------------------------------------------
// Connections

static void run_accept_bi(job *j) {
    iroh_stream *s = NULL;
    while (iroh_connection_accept_bi(j->connection, IROH_WAIT_FOREVER, &s) == 0)
        job_start(j->server, run_bi, iroh_connection_ref(j->connection), s);
}

static void run_accept_uni(job *j) {
    iroh_stream *s = NULL;
    while (iroh_connection_accept_uni(j->connection, IROH_WAIT_FOREVER, &s) == 0)
        job_start(j->server, run_uni, iroh_connection_ref(j->connection), s);
}

static void run_datagrams(job *j) {
    uint8_t *buffer = malloc(PEER_CHUNK);
    if (!buffer)
        abort();
    int got = 0;
    while ((got = iroh_connection_read_datagram(j->connection, buffer, PEER_CHUNK, IROH_WAIT_FOREVER)) >= 0)
        iroh_connection_send_datagram(j->connection, buffer, (size_t)got);
    free(buffer);
}

static void report_accepted(iroh_connection *c, const char *remote) {
    char alpn[256] = "";
    int len = iroh_connection_alpn(c, alpn, sizeof alpn - 1);
    alpn[len > 0 ? len : 0] = 0;
    iroh_connection_stats stats = {0};
    iroh_connection_stats_get(c, &stats);
    printf("{\"event\": \"accepted\", \"remote\": \"%s\", \"alpn\": \"%s\", \"cipher\": \"%s\"}\n", remote, alpn,
           peer_cipher_name(stats.cipher_suite));
}

static void run_connection(job *j) {
    iroh_connection *c = j->connection;
    int rc = iroh_connection_handshake(c, IROH_WAIT_FOREVER);
    if (rc != 0) {
        printf("{\"event\": \"failed\", \"text\": \"%s\"}\n", iroh_strerror(rc));
        return;
    }
    iroh_public_key id = {0};
    iroh_connection_remote_id(c, &id);
    char remote[65];
    peer_hex(id.bytes, remote);
    report_accepted(c, remote);
    job_start(j->server, run_accept_bi, iroh_connection_ref(c), NULL);
    job_start(j->server, run_accept_uni, iroh_connection_ref(c), NULL);
    job_start(j->server, run_datagrams, iroh_connection_ref(c), NULL);
    iroh_connection_closed(c, IROH_WAIT_FOREVER);
    iroh_close_info info = {0};
    iroh_connection_close_info(c, &info);
    char how[3000];
    peer_close_json(&info, how, sizeof how);
    printf("{\"event\": \"closed\", \"remote\": \"%s\", \"close\": %s}\n", remote, how);
}

// The two ways to accept: by attempts when there is something to decide, else whole connections.
static int accept_decided(server *s, iroh_connection **out) {
    iroh_incoming *in = NULL;
    int rc = iroh_endpoint_next_incoming(s->endpoint, IROH_WAIT_FOREVER, &in);
    if (rc != 0)
        return rc;
    if (s->refuse)
        return iroh_incoming_refuse(in);
    if (s->retry && !iroh_incoming_validated(in))
        return iroh_incoming_retry(in);
    iroh_incoming_accept(in, out);
    return 0;
}

static void run_accept(job *j) {
    server *s = j->server;
    bool deciding = s->retry || s->refuse;
    int rc = 0;
    while (rc == 0) {
        iroh_connection *c = NULL;
        rc = deciding ? accept_decided(s, &c) : iroh_endpoint_accept(s->endpoint, IROH_WAIT_FOREVER, &c);
        if (rc == 0 && c)
            job_start(s, run_connection, c, NULL);
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// The program

static int announce(iroh_endpoint *ep) {
    char socket[128] = "";
    if (iroh_endpoint_socket_count(ep) > 0)
        (void)iroh_endpoint_socket(ep, 0, socket, sizeof socket);
    int rc = iroh_endpoint_wait_online(ep, PEER_WAIT_MS);
    if (rc != 0 && rc != IROH_ERR_ARG)  // without a relay there is nothing to wait for
        return rc;
    iroh_addr *addr = NULL;
    rc = iroh_endpoint_addr(ep, &addr);
    if (rc != 0)
        return rc;
    char ticket[1024] = "";
    rc = iroh_ticket_format(addr, ticket, sizeof ticket);
    iroh_addr_free(addr);
    if (rc < 0)
        return rc;
    iroh_public_key key = iroh_endpoint_id(ep);
    char id[65];
    peer_hex(key.bytes, id);
    char home[IROH_PATH_TEXT] = "";
    (void)iroh_endpoint_home_relay(ep, home, sizeof home, NULL);
    printf("{\"id\": \"%s\", \"addrs\": [\"%s\"], \"ticket\": \"%s\", \"home\": \"%s\"}\n", id, socket, ticket, home);
    return 0;
}

// Returns when standard input ends or the time is over.
static void wait_for_end(unsigned limit_s) {
    time_t end = time(NULL) + (time_t)limit_s;
    char buffer[64];
    for (time_t now = time(NULL); now < end; now = time(NULL)) {
        struct pollfd item = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&item, 1, (int)(end - now) * 1000) > 0 && read(STDIN_FILENO, buffer, sizeof buffer) <= 0)
            return;
    }
}

int peer_serve(const peer_args *args) {
    server s = {.retry = args->retry, .refuse = args->refuse};
    int rc = peer_bind(args, args->alpn, &s.endpoint);
    if (rc == 0)
        rc = announce(s.endpoint);
    if (rc != 0) {
        fprintf(stderr, "interop_peer: cannot serve: %s\n", iroh_strerror(rc));
        iroh_endpoint_free(s.endpoint);
        return 1;
    }
    pthread_mutex_init(&s.lock, NULL);
    pthread_cond_init(&s.fewer, NULL);
    job_start(&s, run_accept, NULL, NULL);
    wait_for_end(args->limit_s);
    iroh_endpoint_close(s.endpoint, CLOSE_MS);
    pthread_mutex_lock(&s.lock);
    while (s.threads > 0)
        pthread_cond_wait(&s.fewer, &s.lock);
    pthread_mutex_unlock(&s.lock);
    iroh_endpoint_free(s.endpoint);
    pthread_cond_destroy(&s.fewer);
    pthread_mutex_destroy(&s.lock);
    return 0;
}
