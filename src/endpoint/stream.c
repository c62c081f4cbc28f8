// Streams come and go; what they are and what became of them.
#include <stdlib.h>

#include "endpoint/state.h"

// A handle is made before the stream, so that no stream is ever without one.
typedef struct stream_job {
    iroh_connection *c;
    bool bidi;
    quic_stream *core;
} stream_job;

static int64_t try_open(void *arg) {
    stream_job *j = arg;
    int r = connection_error(j->c);
    if (r == 0)
        r = quic_streams_open(quic_conn_streams(j->c->core), j->bidi, &j->core);
    if (r == IROH_ERR_AGAIN)
        quic_conn_wake(j->c->core);  // the peer is told that we are blocked
    return r;
}

static int64_t try_accept(void *arg) {
    stream_job *j = arg;
    if (j->c->core == NULL)
        return IROH_ERR_CLOSED;
    quic_streams *streams = quic_conn_streams(j->c->core);
    if (quic_streams_incoming(streams, j->bidi)) {
        j->core = quic_streams_accept(streams, j->bidi);
        // What waits beside it is for the next in line.
        if (quic_streams_incoming(streams, j->bidi))
            wait_fire(j->c->ep, &j->c->waiters, j->bidi ? IROH_POLL_ACCEPT_BI : IROH_POLL_ACCEPT_UNI);
        return j->core != NULL ? 0 : IROH_ERR_NOMEM;
    }
    int r = connection_error(j->c);
    return r != 0 ? r : IROH_ERR_AGAIN;
}

typedef int64_t waiting(iroh_endpoint *ep, list_link *waiters, unsigned events, uint64_t until,
                        int64_t (*attempt)(void *), void *arg);

static int get_stream(stream_job *j, unsigned events, int timeout_ms, waiting *wait, int64_t (*attempt)(void *),
                      iroh_stream **out) {
    if (out != NULL)
        *out = NULL;
    if (j->c == NULL || out == NULL)
        return IROH_ERR_ARG;
    iroh_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return IROH_ERR_NOMEM;
    iroh_endpoint *ep = j->c->ep;
    endpoint_enter(ep);
    int r = (int)wait(ep, &j->c->waiters, events, wait_until(timeout_ms), attempt, j);
    if (r == 0) {
        s->conn = j->c;
        s->core = j->core;
        s->id = j->core->id;
        j->core->user = s;
        list_init(&s->waiters);
        list_push_back(&j->c->streams, &s->all);
        j->c->refs++;
        *out = s;
    }
    endpoint_leave(ep);
    if (r != 0)
        free(s);
    return r;
}

int iroh_connection_open_bi(iroh_connection *c, int timeout_ms, iroh_stream **out) {
    return get_stream(&(stream_job){.c = c, .bidi = true}, IROH_POLL_OPEN_BI, timeout_ms, wait_for, try_open, out);
}

int iroh_connection_open_uni(iroh_connection *c, int timeout_ms, iroh_stream **out) {
    return get_stream(&(stream_job){.c = c}, IROH_POLL_OPEN_UNI, timeout_ms, wait_for, try_open, out);
}

static int accept_stream(stream_job *j, unsigned event, int timeout_ms, iroh_stream **out) {
    return get_stream(j, event, timeout_ms, wait_to_take, try_accept, out);
}

int iroh_connection_accept_bi(iroh_connection *c, int timeout_ms, iroh_stream **out) {
    return accept_stream(&(stream_job){.c = c, .bidi = true}, IROH_POLL_ACCEPT_BI, timeout_ms, out);
}

int iroh_connection_accept_uni(iroh_connection *c, int timeout_ms, iroh_stream **out) {
    return accept_stream(&(stream_job){.c = c}, IROH_POLL_ACCEPT_UNI, timeout_ms, out);
}

void iroh_stream_free(iroh_stream *s) {
    if (s == NULL)
        return;
    iroh_connection *c = s->conn;
    iroh_endpoint *ep = c->ep;
    endpoint_enter(ep);
    list_remove(&s->all);
    if (s->core != NULL) {
        quic_stream_release(s->core);
        if (quic_streams_want_send(quic_conn_streams(c->core)))
            quic_conn_wake(c->core);
        events_drain_streams(c);  // room in the buffers for others
    }
    free(s);
    ep->refs++;
    connection_unref(c);
    endpoint_leave_for_good(ep);
}

uint64_t iroh_stream_id(const iroh_stream *s) {
    return s != NULL ? s->id : UINT64_MAX;
}

int iroh_stream_set_priority(iroh_stream *s, int32_t priority) {
    if (s == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(s->conn->ep);
    int r = s->core == NULL ? IROH_ERR_CLOSED : s->core->has_send ? 0 : IROH_ERR_ARG;
    if (r == 0)
        quic_stream_set_priority(s->core, priority);
    endpoint_leave(s->conn->ep);
    return r;
}

int iroh_stream_reset_code(const iroh_stream *s, uint64_t *out) {
    if (s == NULL || out == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(s->conn->ep);
    int r = s->core == NULL ? IROH_ERR_CLOSED : s->core->recv_reset ? 0 : IROH_ERR_ARG;
    if (r == 0)
        *out = s->core->recv_reset_code;
    endpoint_leave(s->conn->ep);
    return r;
}

int iroh_stream_stop_code(const iroh_stream *s, uint64_t *out) {
    if (s == NULL || out == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(s->conn->ep);
    int r = s->core == NULL ? IROH_ERR_CLOSED : s->core->stopped ? 0 : IROH_ERR_ARG;
    if (r == 0)
        *out = s->core->stop_code;
    endpoint_leave(s->conn->ep);
    return r;
}
