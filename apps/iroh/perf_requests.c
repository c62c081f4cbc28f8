// Small requests: one after the other, which is also the round trip, and 64 in flight.
#include <stdlib.h>
#include <string.h>

#include "perf.h"
#include "poller.h"

#define SMALL 64
#define IN_FLIGHT 64
#define TIMES_FIRST 4096

static const uint8_t body[SMALL];

// --- One in flight

typedef struct times {
    uint64_t *ns;
    size_t count, room;
} times;

static int times_add(times *t, uint64_t ns) {
    if (t->count == t->room) {
        size_t room = t->room == 0 ? TIMES_FIRST : 2 * t->room;
        uint64_t *more = realloc(t->ns, room * sizeof *more);
        if (more == NULL)
            return IROH_ERR_NOMEM;
        t->ns = more;
        t->room = room;
    }
    t->ns[t->count++] = ns;
    return 0;
}

static int ascending(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int start_request(iroh_connection *c, int timeout_ms, iroh_stream **out) {
    int r = perf_open(c, &(perf_head){PERF_REQUEST, SMALL, SMALL}, body, SMALL, timeout_ms, out);
    return r == 0 ? iroh_stream_finish(*out) : r;
}

static int request(iroh_connection *c) {
    uint8_t answer[SMALL];
    iroh_stream *s = NULL;
    int r = start_request(c, IROH_WAIT_FOREVER, &s);
    if (r == 0)
        r = perf_read_answer(s, answer, SMALL);
    iroh_stream_free(s);
    return r;
}

static int one_by_one(perf_client *c, times *t) {
    uint64_t start = cli_now_ns(), before = start, now = start;
    int r;
    do {
        r = request(c->connection);
        now = cli_now_ns();
        if (r == 0)
            r = times_add(t, now - before);
        before = now;
    } while (r == 0 && now - start < c->ns);
    if (r != 0)
        return r;
    perf_figure_add(&c->figures, "requests_per_s_1", (double)t->count * 1e9 / (double)(now - start), 0);
    qsort(t->ns, t->count, sizeof *t->ns, ascending);
    perf_figure_add(&c->figures, "rtt_us", (double)t->ns[t->count / 2] / 1e3, 1);
    perf_figure_add(&c->figures, "rtt_min_us", (double)t->ns[0] / 1e3, 1);
    return 0;
}

// --- Many in flight

typedef struct slot {
    struct flight *flight;
    iroh_stream *stream;  // null: to be started
    watcher on_stream;
    size_t got;
} slot;

typedef struct flight {
    poller poller;
    iroh_connection *connection;
    watcher on_connection;  // while streams cannot be opened for the peer's limit
    slot slots[IN_FLIGHT];
    uint64_t deadline, now;  // ns
    uint64_t done;
    size_t open;
    int error;
} flight;

static void give_up(flight *f, int error) {
    f->error = error;
    f->poller.stop = true;
}

static void on_stream(watcher *w, unsigned revents);

// Starts what can be started, or waits until it can.
static void slot_start(slot *s) {
    flight *f = s->flight;
    int r = start_request(f->connection, 0, &s->stream);
    if (r == IROH_ERR_AGAIN)
        r = poller_set(&f->poller, &f->on_connection, IROH_POLL_OPEN_BI);
    else if (r == 0) {
        s->got = 0;
        s->on_stream = watcher_of_stream(s->stream, on_stream, s);
        r = poller_set(&f->poller, &s->on_stream, IROH_POLL_READ);
        f->open++;
    }
    if (r != 0)
        give_up(f, r);
}

static void slot_done(slot *s) {
    flight *f = s->flight;
    if (s->got != SMALL) {
        give_up(f, IROH_ERR_PROTOCOL);
        return;
    }
    (void)poller_set(&f->poller, &s->on_stream, 0);
    iroh_stream_free(s->stream);
    s->stream = NULL;
    f->open--;
    f->done++;
    if (f->now < f->deadline)
        slot_start(s);
    else if (f->open == 0)
        f->poller.stop = true;
}

static void on_stream(watcher *w, unsigned revents) {
    slot *s = w->owner;
    uint8_t bytes[SMALL + 1];
    int64_t n;
    (void)revents;
    while ((n = iroh_stream_read(s->stream, bytes, sizeof bytes, 0)) > 0)
        s->got += (size_t)n;
    if (n == 0)
        slot_done(s);
    else if (n != IROH_ERR_AGAIN)
        give_up(s->flight, (int)n);
}

static void on_connection(watcher *w, unsigned revents) {
    flight *f = w->owner;
    (void)revents;
    int r = poller_set(&f->poller, w, 0);
    if (r != 0)
        give_up(f, r);
    for (size_t i = 0; i < IN_FLIGHT && !f->poller.stop; i++)
        if (f->slots[i].stream == NULL && f->now < f->deadline)
            slot_start(&f->slots[i]);
    if (f->open == 0 && f->now >= f->deadline)
        f->poller.stop = true;
}

static int many(perf_client *c, flight *f) {
    f->connection = c->connection;
    f->on_connection = watcher_of_connection(c->connection, on_connection, f);
    uint64_t start = cli_now_ns();
    f->now = start;
    f->deadline = start + c->ns;
    for (size_t i = 0; i < IN_FLIGHT && f->error == 0; i++) {
        f->slots[i].flight = f;
        slot_start(&f->slots[i]);
    }
    int r = 0;
    while (r == 0 && !f->poller.stop) {
        r = poller_turn(&f->poller, IROH_WAIT_FOREVER);
        f->now = cli_now_ns();
    }
    if (r == 0)
        r = f->error;
    double rate = (double)f->done * 1e9 / (double)(f->now - start);
    perf_figure_add(&c->figures, "requests_per_s_64", rate, 0);
    perf_figure_add(&c->figures, "requests_per_s", rate, 0);
    return r;
}

int perf_requests(perf_client *c) {
    times t = {0};
    int r = one_by_one(c, &t);
    free(t.ns);
    flight *f = calloc(1, sizeof *f);
    if (f == NULL)
        r = IROH_ERR_NOMEM;
    if (r == 0) {
        poller_init(&f->poller);
        r = many(c, f);
        for (size_t i = 0; i < IN_FLIGHT; i++)
            iroh_stream_free(f->slots[i].stream);
        poller_dispose(&f->poller);
    }
    free(f);
    return r == 0 ? EXIT_OK : perf_failed(c, "requests", r);
}
