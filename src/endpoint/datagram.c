// Datagrams of a connection.
#include "endpoint/state.h"

typedef struct datagram_job {
    iroh_connection *c;
    const uint8_t *data;
    uint8_t *out;
    size_t len;
    bool drop_oldest;
} datagram_job;

static int64_t try_send(void *arg) {
    const datagram_job *j = arg;
    int r = connection_error(j->c);
    if (r == 0)
        r = quic_conn_datagram_send(j->c->core, j->data, j->len, j->drop_oldest);
    if (r == 0)
        driver_push(j->c->ep, j->c->core, j->len, true);
    return r;
}

static int send_datagram(datagram_job *j, int timeout_ms) {
    if (j->c == NULL || (j->data == NULL && j->len > 0))
        return IROH_ERR_ARG;
    endpoint_enter(j->c->ep);
    int r = (int)wait_for(j->c->ep, &j->c->waiters, WAIT_DATAGRAM_ROOM | IROH_POLL_CLOSED, wait_until(timeout_ms),
                          try_send, j);
    endpoint_leave(j->c->ep);
    return r;
}

int iroh_connection_send_datagram(iroh_connection *c, const void *data, size_t len) {
    datagram_job j = {.c = c, .data = data, .len = len, .drop_oldest = true};
    return send_datagram(&j, 0);
}

int iroh_connection_send_datagram_wait(iroh_connection *c, const void *data, size_t len, int timeout_ms) {
    datagram_job j = {.c = c, .data = data, .len = len};
    return send_datagram(&j, timeout_ms);
}

static int64_t try_read(void *arg) {
    const datagram_job *j = arg;
    int r = j->c->core != NULL ? quic_conn_datagram_read(j->c->core, j->out, j->len) : IROH_ERR_CLOSED;
    if (r == IROH_ERR_AGAIN && connection_error(j->c) != 0)
        r = connection_error(j->c);
    return r > 0 && (size_t)r > j->len ? IROH_ERR_TOO_LARGE : r;
}

int iroh_connection_read_datagram(iroh_connection *c, void *out, size_t room, int timeout_ms) {
    if (c == NULL || (out == NULL && room > 0))
        return IROH_ERR_ARG;
    datagram_job j = {.c = c, .out = out, .len = room};
    endpoint_enter(c->ep);
    int r = (int)wait_for(c->ep, &c->waiters, IROH_POLL_READ, wait_until(timeout_ms), try_read, &j);
    endpoint_leave(c->ep);
    return r;
}

int iroh_connection_max_datagram(const iroh_connection *c) {
    if (c == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = connection_error(c);
    if (r == 0)
        r = quic_conn_datagram_max(c->core);
    endpoint_leave(c->ep);
    return r;
}
