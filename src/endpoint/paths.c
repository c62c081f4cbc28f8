// The remotes of an endpoint: which connections belong to which peer, and what their paths do (net/remote.h).
#include <stdlib.h>
#include <string.h>

#include "endpoint/state.h"

// --- The table

static uint64_t key_of(const uint8_t id[static 32]) {
    uint64_t key;
    memcpy(&key, id, sizeof key);
    return key;
}

void paths_init(iroh_endpoint *ep) {
    uint64_t seed[2];
    entropy_fill(&ep->random, seed, sizeof seed);
    map_init(&ep->remotes, seed);
}

static void free_peer(iroh_endpoint *ep, endpoint_remote *p) {
    (void)map_remove(&ep->remotes, key_of(p->remote.id));
    heap_remove(&ep->remote_timers, &p->timer);
    remote_dispose(&p->remote);
    free(p);
}

void paths_dispose(iroh_endpoint *ep) {
    size_t at = 0;
    uint64_t key;
    endpoint_remote *p;
    heap_dispose(&ep->remote_timers);
    while ((p = map_next(&ep->remotes, &at, &key)) != NULL) {
        remote_dispose(&p->remote);
        free(p);
    }
    map_dispose(&ep->remotes);
}

// After each call on it.
static void set_timer(iroh_endpoint *ep, endpoint_remote *p) {
    uint64_t at = remote_deadline(&p->remote);
    if (at == TIME_NEVER)
        heap_remove(&ep->remote_timers, &p->timer);
    else
        (void)heap_set(&ep->remote_timers, &p->timer, at);  // room was reserved with the remote
}

static endpoint_remote *make_peer(iroh_endpoint *ep, const uint8_t id[static 32]) {
    endpoint_remote *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    remote_init(&p->remote, id, &remote_quic_ops, &ep->locals, sys_now());
    if (heap_reserve(&ep->remote_timers, ep->remotes.count + 1) != 0 || map_put(&ep->remotes, key_of(id), p) != 0) {
        free(p);
        return NULL;
    }
    set_timer(ep, p);
    return p;
}

endpoint_remote *paths_peer(iroh_endpoint *ep, const uint8_t id[static 32]) {
    endpoint_remote *p = map_get(&ep->remotes, key_of(id));
    if (p == NULL)
        return make_peer(ep, id);
    return memcmp(p->remote.id, id, sizeof p->remote.id) == 0 ? p : NULL;
}

// --- Our own addresses

static bool same_locals(const remote_locals *a, const remote_locals *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = addr_equal(&a->list[i], &b->list[i]);
    return same;
}

static void tell_peers(iroh_endpoint *ep, const remote_locals *before, uint64_t now) {
    size_t at = 0;
    uint64_t key;
    endpoint_remote *p;
    while ((p = map_next(&ep->remotes, &at, &key)) != NULL) {
        remote_locals_changed(&p->remote, before, now);
        set_timer(ep, p);
    }
}

static void look_at_locals(iroh_endpoint *ep, uint64_t now) {
    remote_locals fresh = {0};
    int count = direct_list(ep, fresh.list, REMOTE_CANDIDATES_MAX);
    if (count < 0)
        return;  // what was known stays
    ep->locals_known = true;
    fresh.count = (size_t)count;
    if (same_locals(&fresh, &ep->locals))
        return;
    const remote_locals before = ep->locals;
    ep->locals = fresh;
    tell_peers(ep, &before, now);
}

void paths_look_at_locals(iroh_endpoint *ep, uint64_t now) {
    if (ep->locals_known)
        look_at_locals(ep, now);
}

void paths_begin_rounds(iroh_endpoint *ep, uint64_t now) {
    size_t at = 0;
    uint64_t key;
    endpoint_remote *p;
    while ((p = map_next(&ep->remotes, &at, &key)) != NULL) {
        remote_network_changed(&p->remote, now);
        set_timer(ep, p);
    }
}

// --- What connections report

void paths_connected(iroh_connection *c) {
    iroh_endpoint *ep = c->ep;
    const uint8_t *id = quic_conn_peer_key(c->core);
    endpoint_remote *p = id != NULL && c->peer == NULL ? paths_peer(ep, id) : NULL;
    if (p == NULL)
        return;  // out of memory: it stays on the path that it has
    uint64_t now = sys_now();
    if (!ep->locals_known)
        look_at_locals(ep, now);
    c->peer = p;
    c->path.conn = c->core;
    remote_add(&p->remote, &c->path, now);
    set_timer(ep, p);
}

void paths_news(iroh_connection *c) {
    quic_path_event event;
    while (quic_conn_next_path_event(c->core, &event)) {
        if (c->peer != NULL)
            remote_on_event(&c->peer->remote, &c->path, &event, sys_now());
    }
    if (c->peer != NULL)
        set_timer(c->ep, c->peer);
    path_events_look(c);
}

void paths_left(iroh_connection *c) {
    endpoint_remote *p = c->peer;
    if (p == NULL)
        return;
    c->peer = NULL;
    remote_drop(&p->remote, &c->path, sys_now());
    set_timer(c->ep, p);
}

// --- Time

uint64_t paths_deadline(const iroh_endpoint *ep) {
    const heap_item *first = heap_first(&ep->remote_timers);
    return first != NULL ? first->at : TIME_NEVER;
}

void paths_tick(iroh_endpoint *ep, uint64_t now) {
    heap_item *first;
    while ((first = heap_first(&ep->remote_timers)) != NULL && first->at <= now) {
        endpoint_remote *p = heap_entry(first, endpoint_remote, timer);
        if (remote_is_forgettable(&p->remote, now)) {
            free_peer(ep, p);
            continue;
        }
        remote_tick(&p->remote, now);
        set_timer(ep, p);
    }
    if (ep->remotes.count == 0)
        ep->locals_known = false;  // looked at again when somebody connects
}

// --- The program's view

size_t paths_text(const iroh_endpoint *ep, const addr *a, char out[static IROH_PATH_TEXT]) {
    char text[ADDR_TEXT_MAX];
    const char *url = relays_url(&ep->relays, a);
    if (url == NULL)
        (void)addr_format(a, text);
    size_t len = strlen(url != NULL ? url : text);
    len = len < IROH_PATH_TEXT ? len : IROH_PATH_TEXT - 1;
    memcpy(out, url != NULL ? url : text, len);
    out[len] = '\0';
    return len;
}

iroh_path paths_describe(const iroh_connection *c, const quic_path_info *p) {
    iroh_path path = {
        .id = p->id,
        .relay = p->remote.kind == ADDR_RELAY,
        .selected = p->in_use,
        .validated = p->validated,
        .backup = p->status == PATH_BACKUP,
        .rtt_us = p->rtt.smoothed / NS_PER_US,
        .congestion_window = p->window,
        .bytes_in_flight = p->in_flight,
        .bytes_sent = p->bytes_sent,
        .bytes_received = p->bytes_received,
        .datagrams_sent = p->datagrams_sent,
        .datagrams_received = p->datagrams_received,
        .lost_packets = p->lost_packets,
        .lost_bytes = p->lost_bytes,
        .mtu = p->mtu,
    };
    (void)paths_text(c->ep, &p->remote, path.remote);
    return path;
}

int iroh_connection_paths(const iroh_connection *c, iroh_path *out, size_t room) {
    quic_path_info infos[REMOTE_PATHS_MAX];
    if (c == NULL || (out == NULL && room > 0))
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    size_t count = c->core != NULL ? quic_conn_paths(c->core, infos, REMOTE_PATHS_MAX) : 0;
    int open = c->core != NULL ? 0 : IROH_ERR_CLOSED;
    for (size_t i = 0; i < count && i < REMOTE_PATHS_MAX; i++) {
        if (infos[i].abandoned)
            continue;
        if ((size_t)open < room)
            out[open] = paths_describe(c, &infos[i]);
        open++;
    }
    endpoint_leave(c->ep);
    return open;
}
