// The connecting side: one connection to the peer and one stream for each local end. (One connection for several streams
// would be cheaper, but a dumbpipe that listens serves only the first stream of each.)
#include <stdlib.h>

#include "pipe.h"

typedef struct dialer {
    pipe_part part;
    pipe_program *program;
    pipe_local local;
    iroh_connection *connection;
    watcher on_connection;
} dialer;

// Whatever was not handed on is given back.
static void forget(dialer *d) {
    (void)poller_set(&d->program->poller, &d->on_connection, 0);
    pipe_part_remove(&d->part);
    pipe_local_close(&d->local);
    iroh_connection_free(d->connection);
    free(d);
}

static void destroy(pipe_part *part) {
    forget((dialer *)part);
}

static void fail(dialer *d, const char *what, int error) {
    pipe_program *p = d->program;
    (void)cli_connection_failed(what, error, d->connection);
    forget(d);
    pipe_over(p, false);
}

static void hand_on(dialer *d, iroh_stream *s) {
    pipe_program *p = d->program;
    iroh_connection *c = d->connection;
    pipe_local l = d->local;
    d->connection = NULL;
    d->local = (pipe_local){.in = -1, .out = -1};
    forget(d);
    pipe_bridge_start(p, &l, c, s);
}

static void open_stream(dialer *d) {
    iroh_stream *s;
    int r = iroh_connection_open_bi(d->connection, 0, &s);
    if (r == IROH_ERR_AGAIN)
        r = poller_set(&d->program->poller, &d->on_connection, IROH_POLL_OPEN_BI);
    else if (r == 0) {
        // A fresh stream has room for so little at once.
        r = d->program->greeting ? iroh_stream_write_all(s, PIPE_GREETING, PIPE_GREETING_LEN, 0, NULL) : 0;
        if (r == 0) {
            hand_on(d, s);
            return;
        }
        iroh_stream_free(s);
    }
    if (r != 0)
        fail(d, "cannot open a stream", r);
}

static void on_connection(watcher *w, unsigned revents) {
    dialer *d = w->owner;
    (void)revents;
    int r = iroh_connection_handshake(d->connection, 0);
    if (r == 0)
        open_stream(d);
    else if (r != IROH_ERR_AGAIN)
        fail(d, "cannot connect", r);
}

void pipe_dial_start(pipe_program *p, pipe_local *l) {
    dialer *d = calloc(1, sizeof *d);
    if (d == NULL) {
        (void)cli_failed("cannot connect", IROH_ERR_NOMEM);
        pipe_local_close(l);
        pipe_over(p, false);
        return;
    }
    *d = (dialer){.program = p, .local = *l};
    pipe_part_add(p, &d->part, destroy);
    int r = iroh_endpoint_connect(p->endpoint, p->peer, p->alpn.data, p->alpn.len, NULL, 0, &d->connection);
    if (r == 0) {
        d->on_connection = watcher_of_connection(d->connection, on_connection, d);
        r = poller_set(&p->poller, &d->on_connection, IROH_POLL_CONNECTED);
    }
    if (r != 0)
        fail(d, "cannot connect", r);
}
