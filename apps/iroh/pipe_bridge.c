// Two flows, each with one buffer: local to stream ("up") and stream to local ("down"). A flow either has bytes to give,
// and waits until they can be given, or has none, and waits for some.
//
// The end is the awkward part. A bridge is over when what came in was written and
// closed, and the peer acknowledged what went out. A peer of ours that is over closes the connection with code 0, and
// that may arrive before its acknowledgement: after both ends were seen it counts as one.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipe.h"

#define FLOW_ROOM ((size_t)256 << 10)

typedef struct flow {
    uint8_t *bytes;  // FLOW_ROOM
    size_t start, end;
    bool ended;  // up: the stream is finished; down: the local end was closed
} flow;

typedef struct bridge {
    pipe_part part;
    pipe_program *program;
    pipe_local local;
    iroh_connection *connection;
    iroh_stream *stream;
    watcher on_stream, on_connection, on_input, on_output;
    flow up, down;
    bool input_ready;  // a read will not wait
    bool closed;       // the connection is
    bool cut;          // it was before everything of "up" was written
} bridge;

static bool has_bytes(const flow *f) {
    return f->start < f->end;
}

static void forget(bridge *b) {
    poller *p = &b->program->poller;
    (void)poller_set(p, &b->on_stream, 0);
    (void)poller_set(p, &b->on_connection, 0);
    (void)poller_set(p, &b->on_input, 0);
    (void)poller_set(p, &b->on_output, 0);
    pipe_part_remove(&b->part);
    pipe_local_close(&b->local);
    iroh_stream_free(b->stream);
    iroh_connection_free(b->connection);
    free(b->up.bytes);
    free(b->down.bytes);
    free(b);
}

static void cancel(bridge *b) {
    (void)iroh_stream_reset(b->stream, 0);
    (void)iroh_stream_stop(b->stream, 0);
    forget(b);
}

static void destroy(pipe_part *part) {
    cancel((bridge *)part);
}

static void fail(bridge *b, const char *what, int error) {
    pipe_program *p = b->program;
    (void)cli_connection_failed(what, error, b->connection);
    cancel(b);
    pipe_over(p, false);
}

static void fail_local(bridge *b, const char *what) {
    pipe_program *p = b->program;
    cli_error("%s: %s", what, strerror(errno));
    cancel(b);
    pipe_over(p, false);
}

static bool would_wait(void) {
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

// The functions below give false when the bridge is gone.

static bool end_up(bridge *b) {
    b->up.ended = true;
    pipe_local_close_in(&b->local);
    int r = iroh_stream_finish(b->stream);
    if (r == 0)
        return true;
    fail(b, "sending", r);
    return false;
}

static bool fill_up(bridge *b) {
    b->input_ready = false;
    long n = pipe_local_read(&b->local, b->up.bytes, FLOW_ROOM);
    if (n < 0 && would_wait())
        return true;
    if (n < 0) {
        fail_local(b, "reading the local side");
        return false;
    }
    if (n == 0)
        return end_up(b);
    b->up.start = 0;
    b->up.end = (size_t)n;
    return true;
}

// The connection is closed. What arrived before can still be read; what was not sent by now never will be.
static void cut(bridge *b) {
    b->closed = true;
    if (b->up.ended)
        return;
    b->cut = b->up.ended = true;
    pipe_local_close_in(&b->local);
}

static bool move_up(bridge *b) {
    flow *f = &b->up;
    if (f->ended)
        return true;
    if (!has_bytes(f) && b->input_ready && !fill_up(b))
        return false;
    while (has_bytes(f)) {
        int64_t n = iroh_stream_write(b->stream, f->bytes + f->start, f->end - f->start, 0);
        if (n == IROH_ERR_AGAIN)
            return true;
        if (n < 0 && iroh_connection_closed(b->connection, 0) == 0) {
            cut(b);
            return true;
        }
        if (n < 0) {
            fail(b, "sending", (int)n);
            return false;
        }
        f->start += (size_t)n;
    }
    return true;
}

static bool fill_down(bridge *b) {
    int64_t n = iroh_stream_read(b->stream, b->down.bytes, FLOW_ROOM, 0);
    if (n == IROH_ERR_AGAIN && !b->closed)
        return true;
    if (n < 0) {
        fail(b, "receiving", (int)n);
        return false;
    }
    b->down.start = 0;
    b->down.end = (size_t)n;
    b->down.ended = n == 0;
    if (n == 0)
        pipe_local_close_out(&b->local);
    return true;
}

static bool move_down(bridge *b) {
    flow *f = &b->down;
    if (f->ended)
        return true;
    if (!has_bytes(f) && !fill_down(b))
        return false;
    while (has_bytes(f)) {
        long n = pipe_local_write(&b->local, f->bytes + f->start, f->end - f->start);
        if (n < 0 && would_wait())
            return true;
        if (n < 0) {
            fail_local(b, "writing to the local side");
            return false;
        }
        f->start += (size_t)n;
    }
    return true;
}

// What the peer has of ours: 0 everything, IROH_ERR_AGAIN not known yet, or why it never will.
static int delivered(const bridge *b) {
    iroh_close_info info;
    int r = b->cut ? IROH_ERR_FINISHED : iroh_stream_wait_finished(b->stream, 0);
    if (r == 0 || r == IROH_ERR_STOPPED || (r == IROH_ERR_AGAIN && !b->closed))
        return r;
    // The stream may tell of the close before the connection does.
    if (iroh_connection_close_info(b->connection, &info) != 0)
        return r;
    if (info.application && info.code == 0 && !b->cut)
        return 0;
    return info.error != 0 ? info.error : r;
}

static bool finish_when_over(bridge *b) {
    if (!b->up.ended || !b->down.ended)
        return true;
    int r = delivered(b);
    if (r == IROH_ERR_AGAIN)
        return true;
    if (r != 0) {
        fail(b, "sending", r);
        return false;
    }
    pipe_program *p = b->program;
    forget(b);
    pipe_over(p, true);
    return false;
}

static int wait_for_more(bridge *b) {
    poller *p = &b->program->poller;
    unsigned stream = 0;
    if (b->up.ended && b->down.ended)
        stream |= IROH_POLL_FINISHED;
    if (!b->up.ended && has_bytes(&b->up))
        stream |= IROH_POLL_WRITE;
    if (!b->down.ended && !has_bytes(&b->down))
        stream |= IROH_POLL_READ;
    int r = poller_set(p, &b->on_stream, stream);
    if (r == 0)
        r = poller_set(p, &b->on_input, b->up.ended || has_bytes(&b->up) ? 0 : IROH_POLL_READ);
    if (r == 0)
        r = poller_set(p, &b->on_output, has_bytes(&b->down) ? IROH_POLL_WRITE : 0);
    return r == 0 ? poller_set(p, &b->on_connection, b->closed ? 0 : IROH_POLL_CLOSED) : r;
}

static void step(bridge *b) {
    if (!move_up(b) || !move_down(b) || !finish_when_over(b))
        return;
    int r = wait_for_more(b);
    if (r != 0)
        fail(b, "waiting", r);
}

static void on_stream_or_output(watcher *w, unsigned revents) {
    (void)revents;
    step(w->owner);
}

static void on_input(watcher *w, unsigned revents) {
    bridge *b = w->owner;
    (void)revents;
    b->input_ready = true;
    step(b);
}

static void on_closed(watcher *w, unsigned revents) {
    bridge *b = w->owner;
    (void)revents;
    cut(b);
    step(b);
}

void pipe_bridge_start(pipe_program *p, pipe_local *l, iroh_connection *c, iroh_stream *s) {
    bridge *b = calloc(1, sizeof *b);
    if (b == NULL) {
        (void)cli_failed("bridging", IROH_ERR_NOMEM);
        pipe_local_close(l);
        iroh_stream_free(s);
        iroh_connection_free(c);
        pipe_over(p, false);
        return;
    }
    *b = (bridge){.program = p, .local = *l, .connection = c, .stream = s};
    b->on_stream = watcher_of_stream(s, on_stream_or_output, b);
    b->on_connection = watcher_of_connection(c, on_closed, b);
    b->on_input = watcher_of_fd(l->in, on_input, b);
    b->on_output = watcher_of_fd(l->out, on_stream_or_output, b);
    pipe_part_add(p, &b->part, destroy);
    b->up.bytes = malloc(FLOW_ROOM);
    b->down.bytes = malloc(FLOW_ROOM);
    if (b->up.bytes == NULL || b->down.bytes == NULL) {
        fail(b, "bridging", IROH_ERR_NOMEM);
        return;
    }
    if (l->in < 0 && !end_up(b))
        return;
    step(b);
}
