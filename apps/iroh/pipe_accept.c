// The listening side: connections, their streams, and the greeting of each stream. A stranger who connects and says
// nothing, or the wrong thing, costs memory until the connection idles out, but does not keep others from the listener.
#include <stdlib.h>
#include <string.h>

#include "pipe.h"

typedef struct door {  // the endpoint
    pipe_part part;
    pipe_program *program;
    watcher on_endpoint;
} door;

typedef struct pipe_link {  // a connection
    pipe_part part;
    pipe_program *program;
    iroh_connection *connection;
    watcher on_connection;
} pipe_link;

typedef struct greeting {  // a stream that has not said hello yet
    pipe_part part;
    pipe_program *program;
    iroh_connection *connection;
    iroh_stream *stream;
    watcher on_stream;
    char bytes[PIPE_GREETING_LEN];
    size_t got;
} greeting;

// --- Streams

static void greeting_forget(greeting *g) {
    (void)poller_set(&g->program->poller, &g->on_stream, 0);
    pipe_part_remove(&g->part);
    iroh_stream_free(g->stream);
    iroh_connection_free(g->connection);
    free(g);
}

static void greeting_destroy(pipe_part *part) {
    greeting_forget((greeting *)part);
}

static void greeting_refuse(greeting *g, const char *why) {
    cli_error("a stream was refused: %s", why);
    (void)iroh_stream_reset(g->stream, 0);
    (void)iroh_stream_stop(g->stream, 0);
    greeting_forget(g);
}

static void join(pipe_program *p, iroh_connection *c, iroh_stream *s) {
    if (!p->once) {
        pipe_target_start(p, c, s);
        return;
    }
    // One stream only: later peers are told at once that nobody is here for them.
    (void)iroh_endpoint_set_alpns(p->endpoint, NULL, 0);
    p->taken = true;
    pipe_local l;
    pipe_local_stdio(&l, p->receive_only);
    pipe_bridge_start(p, &l, c, s);
}

static void greeting_accept(greeting *g) {
    pipe_program *p = g->program;
    iroh_connection *c = g->connection;
    iroh_stream *s = g->stream;
    g->connection = NULL;
    g->stream = NULL;
    greeting_forget(g);
    join(p, c, s);
}

static void greeting_step(watcher *w, unsigned revents) {
    greeting *g = w->owner;
    (void)revents;
    while (g->got < PIPE_GREETING_LEN) {
        int64_t n = iroh_stream_read(g->stream, g->bytes + g->got, PIPE_GREETING_LEN - g->got, 0);
        if (n == IROH_ERR_AGAIN)
            return;
        if (n <= 0) {
            greeting_refuse(g, n == 0 ? "it ended before its greeting" : iroh_strerror((int)n));
            return;
        }
        g->got += (size_t)n;
    }
    if (memcmp(g->bytes, PIPE_GREETING, PIPE_GREETING_LEN) != 0)
        greeting_refuse(g, "it has the wrong greeting");
    else if (g->program->taken)
        greeting_refuse(g, "another one is served");
    else
        greeting_accept(g);
}

// Takes over the stream and takes a reference of the connection.
static void stream_start(pipe_program *p, iroh_connection *c, iroh_stream *s) {
    if (!p->greeting && !p->taken) {
        join(p, iroh_connection_ref(c), s);
        return;
    }
    greeting *g = calloc(1, sizeof *g);
    if (g == NULL) {
        iroh_stream_free(s);
        return;
    }
    *g = (greeting){.program = p, .connection = iroh_connection_ref(c), .stream = s};
    g->on_stream = watcher_of_stream(s, greeting_step, g);
    pipe_part_add(p, &g->part, greeting_destroy);
    if (poller_set(&p->poller, &g->on_stream, IROH_POLL_READ) != 0)
        greeting_refuse(g, iroh_strerror(IROH_ERR_NOMEM));
    else
        greeting_step(&g->on_stream, 0);
}

// --- Connections

static void link_forget(pipe_link *l) {
    (void)poller_set(&l->program->poller, &l->on_connection, 0);
    pipe_part_remove(&l->part);
    iroh_connection_free(l->connection);
    free(l);
}

static void link_destroy(pipe_part *part) {
    link_forget((pipe_link *)part);
}

static void link_step(watcher *w, unsigned revents) {
    pipe_link *l = w->owner;
    iroh_stream *s;
    (void)revents;
    int r;
    while ((r = iroh_connection_accept_bi(l->connection, 0, &s)) == 0)
        stream_start(l->program, l->connection, s);
    if (r != IROH_ERR_AGAIN)
        link_forget(l);
}

// Takes over the connection.
static void link_start(pipe_program *p, iroh_connection *c) {
    pipe_link *l = calloc(1, sizeof *l);
    if (l == NULL) {
        iroh_connection_free(c);
        return;
    }
    *l = (pipe_link){.program = p, .connection = c};
    l->on_connection = watcher_of_connection(c, link_step, l);
    pipe_part_add(p, &l->part, link_destroy);
    if (poller_set(&p->poller, &l->on_connection, IROH_POLL_ACCEPT_BI) != 0)
        link_forget(l);
}

// --- The endpoint

static void door_destroy(pipe_part *part) {
    door *d = (door *)part;
    (void)poller_set(&d->program->poller, &d->on_endpoint, 0);
    pipe_part_remove(part);
    free(d);
}

static void door_step(watcher *w, unsigned revents) {
    door *d = w->owner;
    iroh_connection *c;
    (void)revents;
    int r;
    while ((r = iroh_endpoint_accept(d->program->endpoint, 0, &c)) == 0)
        link_start(d->program, c);
    if (r != IROH_ERR_AGAIN) {
        (void)cli_failed("accepting", r);
        pipe_over(d->program, false);
        d->program->poller.stop = true;
    }
}

bool pipe_accept_start(pipe_program *p) {
    door *d = calloc(1, sizeof *d);
    int r = d == NULL ? IROH_ERR_NOMEM : 0;
    if (r == 0) {
        *d = (door){.program = p};
        d->on_endpoint = watcher_of_endpoint(p->endpoint, door_step, d);
        pipe_part_add(p, &d->part, door_destroy);
        r = poller_set(&p->poller, &d->on_endpoint, IROH_POLL_ACCEPT_BI);
    }
    if (r != 0)
        (void)cli_failed("cannot listen", r);
    return r == 0;
}
