// iroh ping: the protocol of the iroh-ping example. Each round trip is a bidirectional stream with "PING" one way and
// "PONG" the other.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "poller.h"

#define ALPN "iroh/ping/0"
#define WORD 4  // bytes of both words
#define COUNT_DEFAULT 5
#define COUNT_MAX 100000
#define INTERVAL_DEFAULT 1000  // ms
#define CONNECT_MS 30000
#define ANSWER_MS 10000
#define CLOSE_MS 1000
#define ADDRESS_MAX IROH_PATH_TEXT

// --- The side that answers: each stream that says PING, also many at once

typedef struct server {
    poller poller;
    iroh_endpoint *endpoint;
    struct part *parts;
} server;

typedef struct part {  // a connection, or one stream of it
    server *server;
    iroh_connection *connection;
    iroh_stream *stream;  // null: a connection that waits for streams
    watcher on_ready;
    struct part *next, **link;
    char word[WORD];
    size_t got;
} part;

static void part_end(part *p) {
    (void)poller_set(&p->server->poller, &p->on_ready, 0);
    *p->link = p->next;
    if (p->next != NULL)
        p->next->link = p->link;
    iroh_stream_free(p->stream);
    iroh_connection_free(p->connection);
    free(p);
}

// Takes over both handles.
static void part_start(server *v, iroh_connection *c, iroh_stream *s, watcher_fn *ready) {
    part *p = calloc(1, sizeof *p);
    if (p == NULL) {
        iroh_stream_free(s);
        iroh_connection_free(c);
        return;
    }
    *p = (part){.server = v, .connection = c, .stream = s, .next = v->parts, .link = &v->parts};
    if (p->next != NULL)
        p->next->link = &p->next;
    v->parts = p;
    p->on_ready = s != NULL ? watcher_of_stream(s, ready, p) : watcher_of_connection(c, ready, p);
    if (poller_set(&v->poller, &p->on_ready, s != NULL ? IROH_POLL_READ : IROH_POLL_ACCEPT_BI) != 0)
        part_end(p);
}

static void on_stream(watcher *w, unsigned revents) {
    part *p = w->owner;
    int64_t n = 1;
    (void)revents;
    while (p->got < WORD && n > 0) {
        n = iroh_stream_read(p->stream, p->word + p->got, WORD - p->got, 0);
        p->got += n > 0 ? (size_t)n : 0;
    }
    if (n == IROH_ERR_AGAIN)
        return;
    if (p->got == WORD && memcmp(p->word, "PING", WORD) == 0)
        (void)iroh_stream_write_all(p->stream, "PONG", WORD, 0, NULL);
    else
        (void)iroh_stream_reset(p->stream, 0);
    part_end(p);
}

static void on_connection(watcher *w, unsigned revents) {
    part *p = w->owner;
    iroh_stream *s;
    int r;
    (void)revents;
    while ((r = iroh_connection_accept_bi(p->connection, 0, &s)) == 0)
        part_start(p->server, iroh_connection_ref(p->connection), s, on_stream);
    if (r != IROH_ERR_AGAIN)
        part_end(p);
}

static void on_endpoint(watcher *w, unsigned revents) {
    server *v = w->owner;
    iroh_connection *c;
    int r;
    (void)revents;
    while ((r = iroh_endpoint_accept(v->endpoint, 0, &c)) == 0)
        part_start(v, c, NULL, on_connection);
    if (r != IROH_ERR_AGAIN)
        v->poller.stop = true;
}

static void on_signal(watcher *w, unsigned revents) {
    (void)revents;
    ((poller *)w->owner)->stop = true;
}

static int serve_until_signal(server *v, const cli_options *o) {
    char ticket[CLI_TICKET_MAX];
    if (!cli_ticket(v->endpoint, o, ticket))
        return EXIT_FAILED;
    // Before anybody can know that we are there, and end us.
    watcher signals = watcher_of_fd(cli_signals_fd(), on_signal, &v->poller);
    cli_note("Answering. To ping, use:\niroh ping %s", ticket);
    watcher accepting = watcher_of_endpoint(v->endpoint, on_endpoint, v);
    int r = poller_set(&v->poller, &signals, IROH_POLL_READ);
    if (r == 0)
        r = poller_set(&v->poller, &accepting, IROH_POLL_ACCEPT_BI);
    if (r == 0)
        r = poller_run(&v->poller);
    while (v->parts != NULL)
        part_end(v->parts);
    return r == 0 ? EXIT_OK : cli_failed("answering", r);
}

static int serve(const cli_options *o) {
    const iroh_slice alpn = {ALPN, sizeof ALPN - 1};
    server v = {.endpoint = cli_endpoint(o, &alpn, 1, false)};
    if (v.endpoint == NULL)
        return EXIT_FAILED;
    poller_init(&v.poller);
    int status = serve_until_signal(&v, o);
    poller_dispose(&v.poller);
    (void)iroh_endpoint_close(v.endpoint, CLOSE_MS);
    iroh_endpoint_free(v.endpoint);
    return status;
}

// --- The side that asks

typedef struct pinger {
    iroh_endpoint *endpoint;
    iroh_connection *connection;
    poller poller;  // for the waits between
    uint64_t *us;   // round trips that were answered
    uint64_t sent, answered, count, interval_ms;
    bool json;
} pinger;

static int round_trip(iroh_connection *c) {
    iroh_stream *s;
    char answer[WORD];
    int r = iroh_connection_open_bi(c, ANSWER_MS, &s);
    if (r != 0)
        return r;
    r = iroh_stream_write_all(s, "PING", WORD, ANSWER_MS, NULL);
    if (r == 0)
        r = iroh_stream_finish(s);
    if (r == 0)
        r = iroh_stream_read_exact(s, answer, WORD, ANSWER_MS, NULL);
    if (r == 0 && memcmp(answer, "PONG", WORD) != 0)
        r = IROH_ERR_PROTOCOL;
    iroh_stream_free(s);
    return r;
}

// What has become of the paths since the last time, for whoever watches.
static void tell_paths(const pinger *p) {
    static const char *const words[] = {
        [IROH_PATH_OPENED] = "opened", [IROH_PATH_CLOSED] = "closed", [IROH_PATH_SELECTED] = "selected"};
    iroh_path_event e;
    while (iroh_connection_path_event(p->connection, 0, &e) == 0) {
        if (e.missed > 0)
            cli_note("(%llu changes of paths were missed)", (unsigned long long)e.missed);
        cli_note("path %llu to %s (%s) %s", (unsigned long long)e.path.id, e.path.remote,
                 e.path.relay ? "relay" : "direct", words[e.kind]);
    }
}

static void on_path(watcher *w, unsigned revents) {
    (void)revents;
    tell_paths(w->owner);
}

// The waiting goes on serving the connection; Ctrl-C ends it.
static int pause_between(pinger *p) {
    uint64_t now = cli_now_ns(), end = now + p->interval_ms * UINT64_C(1000000);
    int r = 0;
    while (r == 0 && !p->poller.stop && now < end) {
        r = poller_turn(&p->poller, (int)((end - now) / 1000000 + 1));
        now = cli_now_ns();
    }
    return r;
}

static int ping_once(pinger *p) {
    char remote[ADDRESS_MAX] = "?";
    uint64_t start = cli_now_ns();
    p->sent++;
    int r = round_trip(p->connection);
    if (r != 0)
        return r;
    uint64_t us = (cli_now_ns() - start) / 1000;
    p->us[p->answered++] = us;
    (void)iroh_connection_remote(p->connection, remote, sizeof remote);
    if (!p->json)
        printf("pong from %s (%s): %llu.%03llu ms\n", remote, cli_path_kind(p->connection),
               (unsigned long long)us / 1000, (unsigned long long)us % 1000);
    (void)fflush(stdout);
    if (!p->json)
        tell_paths(p);
    return 0;
}

static int ping_all(pinger *p) {
    int r = 0;
    for (uint64_t i = 0; r == 0 && i < p->count && !p->poller.stop; i++) {
        if (i > 0)
            r = pause_between(p);
        if (r == 0 && !p->poller.stop)
            r = ping_once(p);
    }
    return r;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void report_json(const pinger *p, const char *remote) {
    printf("{\"remote\":\"%s\",\"path\":\"%s\",\"sent\":%llu,\"answered\":%llu,\"rtt_us\":[", remote,
           cli_path_kind(p->connection), (unsigned long long)p->sent, (unsigned long long)p->answered);
    for (uint64_t i = 0; i < p->answered; i++)
        printf("%s%llu", i == 0 ? "" : ",", (unsigned long long)p->us[i]);
    printf("]}\n");
}

static void report(const pinger *p) {
    char remote[ADDRESS_MAX] = "?";
    (void)iroh_connection_remote(p->connection, remote, sizeof remote);
    if (p->json) {
        report_json(p, remote);
        return;
    }
    printf("%llu sent, %llu answered", (unsigned long long)p->sent, (unsigned long long)p->answered);
    if (p->answered > 0) {
        qsort(p->us, p->answered, sizeof *p->us, ascending);
        printf("; min %.3f, median %.3f, max %.3f ms", (double)p->us[0] / 1e3, (double)p->us[p->answered / 2] / 1e3,
               (double)p->us[p->answered - 1] / 1e3);
    }
    printf("\n");
}

static int ping(pinger *p, const iroh_addr *peer) {
    int r = iroh_endpoint_connect(p->endpoint, peer, ALPN, sizeof ALPN - 1, NULL, CONNECT_MS, &p->connection);
    if (r != 0)
        return cli_failed("cannot connect", r);
    watcher signals = watcher_of_fd(cli_signals_fd(), on_signal, &p->poller);
    watcher closing = watcher_of_connection(p->connection, on_signal, &p->poller);
    watcher paths = watcher_of_connection(p->connection, on_path, p);
    r = poller_set(&p->poller, &signals, IROH_POLL_READ);
    if (r == 0)
        r = poller_set(&p->poller, &closing, IROH_POLL_CLOSED);
    if (r == 0 && !p->json)
        r = poller_set(&p->poller, &paths, IROH_POLL_PATH);
    if (!p->json)
        tell_paths(p);
    if (r == 0)
        r = ping_all(p);
    int status = r == 0 && p->answered > 0 ? EXIT_OK : EXIT_FAILED;
    if (r != 0)
        (void)cli_connection_failed("ping", r, p->connection);
    report(p);
    (void)iroh_connection_close(p->connection, 0, NULL, 0);
    iroh_connection_free(p->connection);
    return status;
}

static int ask(const cli_options *o, const iroh_addr *peer) {
    pinger p = {.json = o->json};
    if (!cli_number("--count", o->count, 1, COUNT_MAX, COUNT_DEFAULT, &p.count) ||
        !cli_number("--interval", o->interval, 0, 3600000, INTERVAL_DEFAULT, &p.interval_ms))
        return EXIT_USAGE;
    int status = EXIT_FAILED;
    p.us = malloc(p.count * sizeof *p.us);
    poller_init(&p.poller);
    if (p.us == NULL)
        (void)cli_failed("ping", IROH_ERR_NOMEM);
    else
        p.endpoint = cli_endpoint(o, NULL, 0, false);
    if (p.endpoint != NULL) {
        status = ping(&p, peer);
        (void)iroh_endpoint_close(p.endpoint, CLOSE_MS);
        iroh_endpoint_free(p.endpoint);
    }
    poller_dispose(&p.poller);
    free(p.us);
    return status;
}

int cmd_ping(const cli_options *o) {
    if (o->arg_count != 1) {
        cli_error("usage: iroh ping TICKET, or iroh ping serve");
        return EXIT_USAGE;
    }
    if (strcmp(o->args[0], "serve") == 0)
        return serve(o);
    iroh_addr *peer = cli_target(o, o->args[0]);
    if (peer == NULL)
        return EXIT_FAILED;
    int status = ask(o, peer);
    iroh_addr_free(peer);
    return status;
}
