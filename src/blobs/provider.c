#include "blobs/provider.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "blobs/store_os.h"

#define MAX_CONNECTIONS 1000
#define MAX_REQUESTS 1000
#define MAX_PUSH (UINT64_C(1) << 40)
#define FIRST_ITEMS 16

void iroh_provider_config_default(iroh_provider_config *config) {
    *config = (iroh_provider_config){.serve = IROH_SERVE_GET | IROH_SERVE_GET_MANY | IROH_SERVE_OBSERVE,
                                     .max_connections = MAX_CONNECTIONS,
                                     .max_requests = MAX_REQUESTS,
                                     .max_push = MAX_PUSH};
}

int iroh_provider_new(iroh_store *s, const iroh_provider_config *config, iroh_provider **out) {
    if (s == NULL || out == NULL)
        return IROH_ERR_ARG;
    iroh_provider *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL || (p->input = malloc(PROVIDER_BUFFER)) == NULL ||
        (p->buffers = buffers_new(PROVIDER_BUFFER)) == NULL) {
        if (p != NULL)
            free(p->input);
        free(p);
        return IROH_ERR_NOMEM;
    }
    p->store = s;
    if (config != NULL)
        p->config = *config;
    else
        iroh_provider_config_default(&p->config);
    list_init(&p->connections);
    throttle_init(&p->throttle, p->config.rate, store_os_now());
    *out = p;
    return 0;
}

// Streams

static void stream_free(provider_stream *s) {
    list_remove(&s->link);
    s->connection->provider->stream_count--;
    s->connection->provider->request_count -= s->begun;
    outgoing_free(s->out);
    incoming_free(s->in);
    iroh_observer_free(s->observer);
    proto_have_dispose(&s->known);
    proto_have_dispose(&s->told);
    iroh_stream_free(s->handle);
    if (s->lends)
        buffers_give(s->connection->provider->buffers, s->buffer);
    else
        free(s->buffer);
    free(s->body);
    free(s);
}

static uint64_t code_of(int error) {
    if (error == IROH_ERR_ACCESS)
        return PROTO_PERMISSION;
    return error == IROH_ERR_LIMIT ? PROTO_LIMIT : PROTO_INTERNAL;
}

// A request that cannot be read gets no code, as with the original: the stream is just given back.
static void stream_fail(provider_stream *s, int error) {
    if (s->begun) {
        (void)iroh_stream_reset(s->handle, code_of(error));
        if (s->request.type == PROTO_PUSH)
            (void)iroh_stream_stop(s->handle, code_of(error));
        (void)provider_tell(s, IROH_PROVIDER_FAILED, 0, NULL, 0, error);
    }
    stream_free(s);
}

static void stream_step(provider_stream *s) {
    int r = s->step(s);
    if (r == 1) {
        (void)provider_tell(s, IROH_PROVIDER_DONE, 0, NULL, 0, 0);
        stream_free(s);
    } else if (r < 0) {
        stream_fail(s, r);
    }
}

// Connections

static int connection_tell(const provider_connection *c, int kind) {
    const iroh_provider_config *config = &c->provider->config;
    iroh_provider_event e = {.kind = kind, .peer = c->peer, .connection = iroh_connection_stable_id(c->handle)};
    int r = config->event != NULL ? config->event(config->user, &e) : 0;
    return r < 0 ? r : 0;
}

static void connection_free(provider_connection *c) {
    while (!list_empty(&c->streams))
        stream_fail(list_entry(c->streams.next, provider_stream, link), IROH_ERR_CLOSED);
    (void)connection_tell(c, IROH_PROVIDER_DISCONNECTED);
    list_remove(&c->link);
    c->provider->connection_count--;
    iroh_connection_free(c->handle);
    free(c);
}

static void refuse(iroh_connection *c, int error) {
    static const char *const reasons[] = {
        [PROTO_PERMISSION] = "permission", [PROTO_LIMIT] = "limit", [PROTO_INTERNAL] = "internal"};
    const char *reason = reasons[code_of(error)];
    (void)iroh_connection_close(c, code_of(error), reason, strlen(reason));
}

int iroh_provider_add(iroh_provider *p, iroh_connection *handle) {
    if (p == NULL || handle == NULL)
        return IROH_ERR_ARG;
    provider_connection *c = NULL;
    int r = p->connection_count >= p->config.max_connections ? IROH_ERR_LIMIT : 0;
    if (r == 0 && (c = calloc(1, sizeof *c)) == NULL)
        r = IROH_ERR_NOMEM;
    if (r == 0) {
        *c = (provider_connection){.provider = p, .handle = handle};
        r = iroh_connection_remote_id(handle, &c->peer);
    }
    if (r == 0)
        r = connection_tell(c, IROH_PROVIDER_CONNECTED);
    if (r != 0) {
        refuse(handle, r);
        iroh_connection_free(handle);
        free(c);
        return r;
    }
    list_init(&c->streams);
    throttle_init(&c->throttle, p->config.connection_rate, store_os_now());
    list_push_back(&p->connections, &c->link);
    p->connection_count++;
    return 0;
}

static int stream_new(provider_connection *c, iroh_stream *handle) {
    provider_stream *s = calloc(1, sizeof *s);
    if (s == NULL) {
        (void)iroh_stream_reset(handle, PROTO_INTERNAL);
        iroh_stream_free(handle);
        return IROH_ERR_NOMEM;
    }
    s->connection = c;
    s->handle = handle;
    s->step = provider_receive;
    s->events = IROH_POLL_READ;
    s->fd = -1;
    list_push_back(&c->streams, &s->link);
    c->provider->stream_count++;
    stream_step(s);
    return 0;
}

static void accept_streams(provider_connection *c) {
    for (;;) {
        iroh_stream *handle;
        int r = iroh_connection_accept_bi(c->handle, 0, &handle);
        if (r == 0)
            r = stream_new(c, handle);
        else if (r != IROH_ERR_AGAIN)
            c->over = true;
        if (r != 0)
            return;
    }
}

// Waiting

// For its time: whatever else happens, it cannot go on before.
static bool waits(const provider_stream *s) {
    return s->events == 0 && s->wait_until != 0;
}

// The items, in this order: `stop_fd`, the endpoint, and for each connection itself and its streams, each with its
// descriptor if it has one.
static int make_items(iroh_provider *p, size_t *count, iroh_endpoint *ep, int stop_fd) {
    size_t most = 2 + p->connection_count + 2 * p->stream_count, n = 0;
    p->due = TIME_NEVER;
    if (most > p->room) {
        size_t room = most * 2 > FIRST_ITEMS ? most * 2 : FIRST_ITEMS;
        iroh_pollitem *items = realloc(p->items, room * sizeof *items);
        if (items == NULL)
            return IROH_ERR_NOMEM;
        p->items = items;
        p->room = room;
    }
    if (stop_fd >= 0)
        p->items[n++] = (iroh_pollitem){.fd = stop_fd, .events = IROH_POLL_READ};
    if (ep != NULL)
        p->items[n++] = (iroh_pollitem){.endpoint = ep, .fd = -1, .events = IROH_POLL_ACCEPT_BI};
    for (list_link *l = p->connections.next; l != &p->connections; l = l->next) {
        provider_connection *c = list_entry(l, provider_connection, link);
        p->items[n++] = (iroh_pollitem){.connection = c->handle, .fd = -1, .events = IROH_POLL_ACCEPT_BI};
        for (list_link *m = c->streams.next; m != &c->streams; m = m->next) {
            provider_stream *s = list_entry(m, provider_stream, link);
            p->items[n++] = (iroh_pollitem){.stream = s->handle, .fd = -1, .events = s->events};
            if (waits(s))
                p->due = time_min(p->due, s->wait_until);
            if (s->fd >= 0)
                p->items[n++] = (iroh_pollitem){.fd = s->fd, .events = IROH_POLL_READ};
        }
    }
    *count = n;
    return 0;
}

// Goes through what was waited for, in the same order. Streams that begin meanwhile come after all others.
static void serve_ready(provider_connection *c, const iroh_pollitem **at) {
    unsigned revents = (*at)++->revents;
    list_link *last = c->streams.prev, *next;
    for (list_link *l = c->streams.next; last != &c->streams && l != &c->streams; l = next) {
        provider_stream *s = list_entry(l, provider_stream, link);
        bool ready = (*at)++->revents != 0;
        if (s->fd >= 0)
            ready |= (*at)++->revents != 0;
        next = l == last ? &c->streams : l->next;
        if (ready || (waits(s) && s->wait_until <= c->provider->due))
            stream_step(s);
    }
    if ((revents & IROH_POLL_ACCEPT_BI) != 0)
        accept_streams(c);
    c->over |= (revents & IROH_POLL_CLOSED) != 0;
}

static void serve_all(iroh_provider *p, const iroh_pollitem *at) {
    list_link *next;
    for (list_link *l = p->connections.next; l != &p->connections; l = next) {
        provider_connection *c = list_entry(l, provider_connection, link);
        next = l->next;
        serve_ready(c, &at);
        if (c->over)
            connection_free(c);
    }
}

static int accept_connections(iroh_provider *p, iroh_endpoint *ep) {
    for (;;) {
        iroh_connection *c;
        int r = iroh_endpoint_accept(ep, 0, &c);
        if (r != 0)
            return r == IROH_ERR_AGAIN ? 0 : r;
        (void)iroh_provider_add(p, c);  // whom it refuses, it has told
    }
}

// Waits at most until a stream may go on: as iroh_poll, but 1 when that time has come. Then p->due is the time now.
static int wait_for_any(iroh_provider *p, size_t count, int timeout_ms) {
    if (p->due == TIME_NEVER) {
        p->due = 0;
        return iroh_poll(p->items, count, timeout_ms);
    }
    uint64_t now = store_os_now(), due = p->due;
    uint64_t ms = due > now ? (due - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    bool first = timeout_ms < 0 || ms <= (uint64_t)timeout_ms;
    int r = iroh_poll(p->items, count, first && ms < INT32_MAX ? (int)ms : timeout_ms);
    p->due = store_os_now();
    return r == 0 && first ? 1 : r;
}

// One wait and what it brings: 1 when it is to stop.
static int turn(iroh_provider *p, iroh_endpoint *ep, int stop_fd, int timeout_ms) {
    size_t count;
    int r = make_items(p, &count, ep, stop_fd);
    if (r == 0)
        r = wait_for_any(p, count, timeout_ms);
    if (r <= 0)
        return r == 0 ? 1 : r;
    const iroh_pollitem *at = p->items;
    if (stop_fd >= 0 && at++->revents != 0)
        return 1;
    unsigned endpoint = ep != NULL ? at++->revents : 0;
    serve_all(p, at);
    return endpoint != 0 ? accept_connections(p, ep) : 0;
}

int iroh_provider_run(iroh_provider *p, iroh_endpoint *ep, int stop_fd, int timeout_ms) {
    if (p == NULL)
        return IROH_ERR_ARG;
    // From now on, whoever connects is accepted.
    int r = ep != NULL ? accept_connections(p, ep) : 0;
    while (r == 0)
        r = turn(p, ep, stop_fd, timeout_ms);
    return r == 1 ? 0 : r;
}

void iroh_provider_free(iroh_provider *p) {
    if (p == NULL)
        return;
    while (!list_empty(&p->connections))
        connection_free(list_entry(p->connections.next, provider_connection, link));
    free(p->items);
    free(p->input);
    buffers_free(p->buffers);
    free(p);
}
