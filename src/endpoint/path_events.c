// What became of a connection's paths, for programs that want to follow them.
//
// Nothing is recorded for a connection until somebody asks. From then on what was told is kept beside what is: the
// difference between both is the news, so that whatever way a path came or went, nothing is told twice or out of order.
#include <stdlib.h>

#include "endpoint/state.h"

typedef struct path_news {
    int kind;  // IROH_PATH_*
    quic_path_info path;
} path_news;

struct path_events {
    list_link link;  // in iroh_endpoint.followed
    iroh_connection *conn;
    quic_path_info known[REMOTE_PATHS_MAX];  // told of as open, as they were then
    size_t known_count;
    uint32_t selected;  // its id, if told
    bool has_selected;
    addr in_use;  // at the latest look
    path_news queue[IROH_PATH_EVENTS_MAX];
    size_t first, count;
    uint64_t missed;  // since the latest that was taken
};

static void tell(path_events *e, int kind, const quic_path_info *path) {
    if (e->count == IROH_PATH_EVENTS_MAX) {
        e->first = (e->first + 1) % IROH_PATH_EVENTS_MAX;
        e->count--;
        e->missed++;
    }
    e->queue[(e->first + e->count++) % IROH_PATH_EVENTS_MAX] = (path_news){.kind = kind, .path = *path};
}

static const quic_path_info *find(const quic_path_info *list, size_t count, uint32_t id) {
    for (size_t i = 0; i < count; i++) {
        if (list[i].id == id)
            return &list[i];
    }
    return NULL;
}

static bool is_open(const quic_path_info *p) {
    return !p->abandoned && (p->validated || p->in_use);
}

static void tell_closed(path_events *e, const quic_path_info *now, size_t count) {
    for (size_t i = 0; i < e->known_count;) {
        const quic_path_info *p = find(now, count, e->known[i].id);
        if (p != NULL && is_open(p)) {
            e->known[i++] = *p;
            continue;
        }
        if (e->has_selected && e->selected == e->known[i].id)
            e->has_selected = false;
        tell(e, IROH_PATH_CLOSED, p != NULL ? p : &e->known[i]);
        e->known[i] = e->known[--e->known_count];
    }
}

static void tell_opened(path_events *e, const quic_path_info *now, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!is_open(&now[i]) || find(e->known, e->known_count, now[i].id) != NULL ||
            e->known_count == REMOTE_PATHS_MAX)
            continue;
        e->known[e->known_count++] = now[i];
        tell(e, IROH_PATH_OPENED, &now[i]);
    }
}

static void tell_selected(path_events *e, const quic_path_info *now, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!now[i].in_use || now[i].abandoned || (e->has_selected && e->selected == now[i].id))
            continue;
        e->selected = now[i].id;
        e->has_selected = true;
        tell(e, IROH_PATH_SELECTED, &now[i]);
    }
}

void path_events_look(iroh_connection *c) {
    quic_path_info now[REMOTE_PATHS_MAX];
    path_events *e = c->path_events;
    if (e == NULL || c->core == NULL || !quic_conn_connected(c->core) || quic_conn_closed(c->core))
        return;
    size_t before = e->count + (size_t)e->missed;
    size_t count = quic_conn_paths(c->core, now, REMOTE_PATHS_MAX);
    count = count < REMOTE_PATHS_MAX ? count : REMOTE_PATHS_MAX;
    e->in_use = quic_conn_remote(c->core);
    // What is new comes first, so that at no time all seem to be gone.
    tell_opened(e, now, count);
    tell_selected(e, now, count);
    tell_closed(e, now, count);
    if (e->count + (size_t)e->missed != before)
        wait_fire(c->ep, &c->waiters, IROH_POLL_PATH);
}

// The path in use may change without a word from the core: when it falls silent, or when a connection to the same peer
// has led to another choice.
void path_events_look_at_all(iroh_endpoint *ep) {
    for (list_link *l = ep->followed.next; l != &ep->followed; l = l->next) {
        iroh_connection *c = list_entry(l, path_events, link)->conn;
        addr in_use = c->core != NULL ? quic_conn_remote(c->core) : (addr){0};
        if (c->core != NULL && !addr_equal(&in_use, &c->path_events->in_use))
            path_events_look(c);
    }
}

void path_events_free(iroh_connection *c) {
    if (c->path_events == NULL)
        return;
    list_remove(&c->path_events->link);
    free(c->path_events);
    c->path_events = NULL;
}

bool path_events_waiting(const iroh_connection *c) {
    return c->path_events == NULL || c->path_events->count > 0;
}

// --- The program's view

static int follow(iroh_connection *c) {
    if (c->path_events != NULL || c->core == NULL)
        return 0;
    c->path_events = calloc(1, sizeof *c->path_events);
    if (c->path_events == NULL)
        return IROH_ERR_NOMEM;
    c->path_events->conn = c;
    list_push_back(&c->ep->followed, &c->path_events->link);
    path_events_look(c);
    return 0;
}

static int64_t try_take(void *arg) {
    const iroh_connection *c = arg;
    if (c->path_events != NULL && c->path_events->count > 0)
        return 0;
    int r = connection_error(c);
    return r != 0 ? r : IROH_ERR_AGAIN;
}

static void take(iroh_connection *c, iroh_path_event *out) {
    path_events *e = c->path_events;
    const path_news *n = &e->queue[e->first];
    *out = (iroh_path_event){.kind = n->kind, .missed = e->missed, .path = paths_describe(c, &n->path)};
    e->first = (e->first + 1) % IROH_PATH_EVENTS_MAX;
    e->count--;
    e->missed = 0;
}

int iroh_connection_path_event(iroh_connection *c, int timeout_ms, iroh_path_event *out) {
    if (c == NULL || out == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = follow(c);
    if (r == 0)
        r = (int)wait_for(c->ep, &c->waiters, IROH_POLL_PATH, wait_until(timeout_ms), try_take, c);
    if (r == 0)
        take(c, out);
    endpoint_leave(c->ep);
    return r;
}
