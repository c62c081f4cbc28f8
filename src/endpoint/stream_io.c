// Writing to and reading from streams, and ending either half.
//
// What arrived before the connection ended can still be read; nothing can be written any more.
#include "endpoint/state.h"

#define WRITE_PIECE 131072  // bytes copied before the loop may send some of them

int stream_error(const iroh_stream *s) {
    return s->core == NULL ? IROH_ERR_CLOSED : connection_error(s->conn);
}

static int refuse_half(const iroh_stream *s, bool send) {
    if (s->core == NULL)
        return IROH_ERR_CLOSED;
    return (send ? s->core->has_send : s->core->has_recv) ? 0 : IROH_ERR_ARG;
}

// --- Readiness

bool stream_ready_to_read(const iroh_stream *s) {
    const quic_stream *st = s->core;
    if (stream_error(s) != 0 || !st->has_recv || st->rejected || st->stop_wanted || st->recv_reset)
        return true;
    return quic_recvbuf_readable(&st->in) > 0 || st->in.read == st->final_size;
}

bool stream_ready_to_write(iroh_stream *s) {
    return stream_error(s) != 0 || quic_stream_can_write(s->core);
}

bool stream_ready_finished(const iroh_stream *s) {
    const quic_stream *st = s->core;
    return stream_error(s) != 0 || st->send_done || st->stopped || st->reset || st->rejected;
}

// --- Writing

typedef struct write_job {
    iroh_stream *s;
    const uint8_t *data;
    size_t len, done;
} write_job;

// Queues what there is room for. IROH_ERR_AGAIN or another error when that is not all.
static int write_some(write_job *j) {
    iroh_stream *s = j->s;
    while (j->done < j->len) {
        int r = stream_error(s);
        size_t piece = j->len - j->done < WRITE_PIECE ? j->len - j->done : WRITE_PIECE;
        if (r == 0)
            r = quic_stream_write(s->core, j->data + j->done, piece);
        if (r < 0)
            return r;
        j->done += (size_t)r;
        driver_push(s->conn->ep, s->conn->core, (size_t)r, false);
    }
    return 0;
}

static int64_t try_write(void *arg) {
    write_job *j = arg;
    int r = write_some(j);
    return j->done > 0 ? (int64_t)j->done : r;
}

static int64_t try_write_all(void *arg) {
    return write_some(arg);
}

static int64_t run_write(write_job *j, int timeout_ms, int64_t (*attempt)(void *)) {
    iroh_endpoint *ep = j->s->conn->ep;
    endpoint_enter(ep);
    int64_t r = refuse_half(j->s, true);
    if (r == 0)
        r = wait_for(ep, &j->s->waiters, IROH_POLL_WRITE, wait_until(timeout_ms), attempt, j);
    endpoint_leave(ep);
    return r;
}

int64_t iroh_stream_write(iroh_stream *s, const void *data, size_t len, int timeout_ms) {
    if (s == NULL || (data == NULL && len > 0))
        return IROH_ERR_ARG;
    write_job j = {.s = s, .data = data, .len = len};
    return run_write(&j, timeout_ms, try_write);
}

int iroh_stream_write_all(iroh_stream *s, const void *data, size_t len, int timeout_ms, size_t *written) {
    write_job j = {.s = s, .data = data, .len = len};
    int r = s == NULL || (data == NULL && len > 0) ? IROH_ERR_ARG : (int)run_write(&j, timeout_ms, try_write_all);
    if (written != NULL)
        *written = j.done;
    return r;
}

typedef struct lend_job {
    iroh_stream *s;
    quic_loan loan;
    uint32_t len;
} lend_job;

static int64_t try_lend(void *arg) {
    const lend_job *j = arg;
    iroh_stream *s = j->s;
    int r = stream_error(s);
    if (r == 0)
        r = quic_stream_lend(s->core, &j->loan, j->len);
    if (r == 0)
        driver_push(s->conn->ep, s->conn->core, j->len, false);
    return r;
}

int iroh_stream_lend(iroh_stream *s, const void *data, size_t len, void (*release)(void *user, const void *data),
                     void *user, int timeout_ms) {
    if (s == NULL || data == NULL || release == NULL || len == 0 || len > IROH_LEND_MAX)
        return IROH_ERR_ARG;
    lend_job j = {.s = s, .loan = {.bytes = data, .release = release, .user = user}, .len = (uint32_t)len};
    iroh_endpoint *ep = s->conn->ep;
    endpoint_enter(ep);
    int64_t r = refuse_half(s, true);
    if (r == 0)
        r = wait_for(ep, &s->waiters, IROH_POLL_WRITE, wait_until(timeout_ms), try_lend, &j);
    endpoint_leave(ep);
    return (int)r;
}

// --- Ending the sending half

int iroh_stream_finish(iroh_stream *s) {
    if (s == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(s->conn->ep);
    int r = refuse_half(s, true);
    if (r == 0)
        r = stream_error(s);
    if (r == 0)
        r = quic_stream_finish(s->core);
    if (r == 0)
        driver_push(s->conn->ep, s->conn->core, 0, true);
    endpoint_leave(s->conn->ep);
    return r;
}

int iroh_stream_reset(iroh_stream *s, uint64_t code) {
    if (s == NULL || code > CODE_MAX)
        return IROH_ERR_ARG;
    endpoint_enter(s->conn->ep);
    int r = refuse_half(s, true);
    if (r == 0)
        r = stream_error(s);
    if (r == 0)
        r = quic_stream_reset(s->core, code);
    if (r == 0) {
        driver_push(s->conn->ep, s->conn->core, 0, true);
        wait_fire(s->conn->ep, &s->waiters, IROH_POLL_WRITE | IROH_POLL_FINISHED);
        events_drain_streams(s->conn);  // room in the buffers for others
    }
    endpoint_leave(s->conn->ep);
    return r;
}

static int64_t everything_acknowledged(void *arg) {
    const iroh_stream *s = arg;
    const quic_stream *st = s->core;
    if (st == NULL)
        return IROH_ERR_CLOSED;
    if (!st->has_send)
        return IROH_ERR_ARG;
    if (st->rejected)
        return IROH_ERR_REJECTED_0RTT;
    if (st->reset)
        return IROH_ERR_CLOSED;
    if (st->send_done)
        return 0;
    if (st->stopped)
        return IROH_ERR_STOPPED;
    int r = stream_error(s);
    return r != 0 ? r : IROH_ERR_AGAIN;
}

int iroh_stream_wait_finished(iroh_stream *s, int timeout_ms) {
    if (s == NULL)
        return IROH_ERR_ARG;
    iroh_endpoint *ep = s->conn->ep;
    endpoint_enter(ep);
    int r = (int)wait_for(ep, &s->waiters, IROH_POLL_FINISHED, wait_until(timeout_ms), everything_acknowledged, s);
    endpoint_leave(ep);
    return r;
}

// --- Reading

typedef struct read_job {
    iroh_stream *s;
    uint8_t *out;
    size_t len, got;
} read_job;

static int64_t read_once(const iroh_stream *s, uint8_t *out, size_t len) {
    if (s->core == NULL)
        return IROH_ERR_CLOSED;
    int r = quic_stream_read(s->core, out, len);
    if (r > 0 && quic_streams_want_send(s->core->owner))
        quic_conn_wake(s->conn->core);  // the windows moved
    if (r == IROH_ERR_AGAIN && stream_error(s) != 0)
        return stream_error(s);
    return r;
}

static int64_t try_read(void *arg) {
    const read_job *j = arg;
    return read_once(j->s, j->out, j->len);
}

static int64_t try_read_exact(void *arg) {
    read_job *j = arg;
    while (j->got < j->len) {
        int64_t r = read_once(j->s, j->out + j->got, j->len - j->got);
        if (r <= 0)
            return r == 0 ? IROH_ERR_FINISHED : r;
        j->got += (size_t)r;
    }
    return 0;
}

static int64_t run_read(read_job *j, int timeout_ms, int64_t (*attempt)(void *)) {
    iroh_endpoint *ep = j->s->conn->ep;
    endpoint_enter(ep);
    int64_t r = refuse_half(j->s, false);
    if (r == 0)
        r = wait_for(ep, &j->s->waiters, IROH_POLL_READ, wait_until(timeout_ms), attempt, j);
    endpoint_leave(ep);
    return r;
}

int64_t iroh_stream_read(iroh_stream *s, void *out, size_t len, int timeout_ms) {
    if (s == NULL || out == NULL || len == 0)
        return IROH_ERR_ARG;
    read_job j = {.s = s, .out = out, .len = len};
    return run_read(&j, timeout_ms, try_read);
}

int iroh_stream_read_exact(iroh_stream *s, void *out, size_t len, int timeout_ms, size_t *got) {
    read_job j = {.s = s, .out = out, .len = len};
    int r = s == NULL || (out == NULL && len > 0) ? IROH_ERR_ARG : (int)run_read(&j, timeout_ms, try_read_exact);
    if (got != NULL)
        *got = j.got;
    return r;
}

int iroh_stream_stop(iroh_stream *s, uint64_t code) {
    if (s == NULL || code > CODE_MAX)
        return IROH_ERR_ARG;
    endpoint_enter(s->conn->ep);
    int r = refuse_half(s, false);
    if (r == 0)
        r = stream_error(s);
    if (r == 0)
        r = quic_stream_stop(s->core, code);
    if (r == 0) {
        driver_push(s->conn->ep, s->conn->core, 0, true);
        wait_fire(s->conn->ep, &s->waiters, IROH_POLL_READ);
    }
    endpoint_leave(s->conn->ep);
    return r;
}
