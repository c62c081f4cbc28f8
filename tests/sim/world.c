#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "faketls.h"
#include "quic/endpoint_state.h"

#define ROOM 65536
#define SEGMENTS 16
#define STEPS_MAX 20000000

typedef struct sim_flight {
    struct sim_flight *next;
    uint64_t arrival, sequence;
    size_t from, to;
    addr source;
    uint8_t ecn;
    size_t len;
    uint8_t bytes[];
} sim_flight;

uint64_t sim_random(sim_rng *r) {
    // splitmix64
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_below(sim_rng *r, uint64_t bound) {
    return sim_random(r) % bound;
}

static void fill(void *user, void *out, size_t len) {
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)sim_random(user);
}

void sim_fail(sim_world *w, const char *format, ...) {
    if (w->failure[0] != '\0')
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(w->failure, sizeof w->failure, format, args);
    va_end(args);
}

void sim_world_init(sim_world *w, uint64_t seed) {
    *w = (sim_world){.now = NS_PER_S, .rng = {.state = seed}};
}

void sim_world_dispose(sim_world *w) {
    while (w->flights != NULL) {
        sim_flight *f = w->flights;
        w->flights = f->next;
        free(f);
    }
    for (size_t i = 0; i < w->node_count; i++)
        quic_endpoint_free(w->nodes[i].ep);
}

static void identity_of(size_t index, tls_identity *id) {
    *id = (tls_identity){0};
    memset(id->seed, (int)index + 1, sizeof id->seed);
    memset(id->public_key, (int)index + 101, sizeof id->public_key);
}

const uint8_t *sim_key(const sim_node *n) {
    return n->ep->config.identity.public_key;
}

sim_node *sim_add_node(sim_world *w, const quic_endpoint_config *config) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"sim", .len = 3};
    size_t i = w->node_count++;
    sim_node *n = &w->nodes[i];
    *n = (sim_node){.world = w, .index = i, .rng = {.state = sim_random(&w->rng)}};
    n->address = addr_ip4((uint8_t[4]){10, 0, 0, (uint8_t)(i + 1)}, (uint16_t)(1000 + i));
    quic_endpoint_config c;
    quic_endpoint_config_default(&c);
    if (config != NULL)
        c = *config;
    c.tls = &sim_faketls;
    identity_of(i, &c.identity);
    c.random = (entropy){.fill = fill, .user = &n->rng};
    c.alpns = &alpn;
    c.alpn_count = 1;
    if (quic_endpoint_new(&c, &n->ep) != 0)
        sim_fail(w, "endpoint_new failed");
    return n;
}

void sim_set_link(sim_world *w, size_t a, size_t b, const sim_link *link) {
    w->links[a][b] = w->links[b][a] = *link;
}

void sim_rebind(sim_node *n, uint16_t port) {
    n->address.port = port;
}

static sim_node *node_at(sim_world *w, const addr *a) {
    for (size_t i = 0; i < w->node_count; i++) {
        if (addr_equal(&w->nodes[i].address, a))
            return &w->nodes[i];
    }
    return NULL;
}

static void launch(sim_world *w, sim_flight *f) {
    sim_flight **at = &w->flights;
    while (*at != NULL &&
           ((*at)->arrival < f->arrival || ((*at)->arrival == f->arrival && (*at)->sequence < f->sequence)))
        at = &(*at)->next;
    f->next = *at;
    *at = f;
}

static sim_flight *make_flight(sim_world *w, size_t from, size_t to, const uint8_t *bytes, size_t len) {
    sim_flight *f = malloc(sizeof *f + len);
    if (f == NULL)
        abort();
    *f = (sim_flight){.sequence = w->sequence++, .from = from, .to = to, .source = w->nodes[from].address, .len = len};
    memcpy(f->bytes, bytes, len);
    return f;
}

static bool chance(sim_world *w, uint32_t of_10000) {
    return of_10000 > 0 && sim_below(&w->rng, 10000) < of_10000;
}

// When a datagram that leaves now arrives, or TIME_NEVER when the queue is full.
static uint64_t arrival_of(sim_world *w, size_t from, size_t to, size_t len) {
    const sim_link *l = &w->links[from][to];
    uint64_t leaves = w->now;
    if (l->rate > 0) {
        uint64_t *busy = &w->busy_until[from][to];
        uint64_t start = time_max(*busy, w->now);
        if (l->queue > 0 && (start - w->now) / 1000 * l->rate / 1000000 > l->queue)
            return TIME_NEVER;
        leaves = start + (uint64_t)len * NS_PER_S / l->rate;
        *busy = leaves;
    }
    uint64_t at = leaves + l->delay + (l->jitter > 0 ? sim_below(&w->rng, l->jitter) : 0);
    // A path keeps its order unless it is told to reorder.
    at = time_max(at, w->last_arrival[from][to]);
    w->last_arrival[from][to] = at;
    if (chance(w, l->reorder))
        at += l->delay + NS_PER_MS;
    return at;
}

static void fly(sim_world *w, size_t from, size_t to, const uint8_t *bytes, size_t len, uint8_t ecn) {
    const sim_link *l = &w->links[from][to];
    if ((l->mtu > 0 && len > l->mtu) || chance(w, l->loss))
        return;
    int copies = chance(w, l->duplicate) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        uint64_t at = arrival_of(w, from, to, len);
        if (at == TIME_NEVER)
            return;
        sim_flight *f = make_flight(w, from, to, bytes, len);
        f->arrival = at;
        f->ecn = ecn;
        if (chance(w, l->corrupt))
            f->bytes[sim_below(&w->rng, len)] ^= (uint8_t)(1U << sim_below(&w->rng, 8));
        launch(w, f);
    }
}

void sim_inject(sim_world *w, size_t from, size_t to, const uint8_t *bytes, size_t len) {
    sim_flight *f = make_flight(w, from, to, bytes, len);
    f->arrival = w->now;
    launch(w, f);
}

static void transmit(sim_world *w, sim_node *n) {
    static uint8_t room[ROOM];
    quic_transmit t;
    for (int i = 0; i < 10000 && quic_endpoint_transmit(n->ep, w->now, room, sizeof room, SEGMENTS, &t); i++) {
        sim_node *to = node_at(w, &t.remote);
        for (size_t at = 0; at < t.len; at += t.segment) {
            size_t len = t.len - at < t.segment ? t.len - at : t.segment;
            n->datagrams_out++;
            if (to != NULL)
                fly(w, n->index, to->index, room + at, len, t.ecn);
        }
    }
}

static void drain_events(sim_world *w, sim_node *n) {
    quic_incoming *in;
    quic_conn *c;
    uint32_t events;
    while ((in = quic_endpoint_next_incoming(n->ep)) != NULL) {
        if (quic_incoming_accept(in, w->now, &c) != 0)
            sim_fail(w, "accept failed");
    }
    while ((c = quic_endpoint_next_event(n->ep, &events)) != NULL) {
        if (n->on_event != NULL)
            n->on_event(n, c, events);
    }
}

static void deliver(sim_world *w, sim_flight *f) {
    sim_node *n = &w->nodes[f->to];
    n->datagrams_in++;
    quic_datagram d = {.bytes = f->bytes, .len = f->len, .remote = f->source, .local = n->address, .ecn = f->ecn};
    quic_endpoint_receive(n->ep, &d, w->now);
}

static void check_space(sim_world *w, const quic_sent *s) {
    uint64_t flying = 0, eliciting = 0;
    for (uint64_t pn = s->base; pn < s->next; pn++) {
        const quic_sent_packet *p = &s->ring[pn & (s->capacity - 1)];
        if (p->state != SENT_OUTSTANDING)
            continue;
        // What went to an address that the peer has left does not count any more.
        bool counts = (p->flags & SENT_IN_FLIGHT) != 0 && p->generation == s->generation;
        flying += counts ? p->size : 0;
        eliciting += (p->flags & SENT_ACK_ELICITING) != 0;
    }
    if (flying != s->in_flight || eliciting != s->eliciting)
        sim_fail(w, "in flight %llu, counted %llu; eliciting %llu, counted %llu", (unsigned long long)s->in_flight,
                 (unsigned long long)flying, (unsigned long long)s->eliciting, (unsigned long long)eliciting);
}

void sim_check(sim_world *w, quic_conn *c) {
    if (c->state == CONN_DEAD)
        return;
    const quic_streams *s = &c->streams;
    check_space(w, &c->path->data.sent);
    for (size_t i = 0; c->hs != NULL && i < 2; i++)
        check_space(w, &c->hs->spaces[i].sent);
    if (s->send_used > s->send_max && c->peer_params_known)
        sim_fail(w, "sent %llu over the connection limit %llu", (unsigned long long)s->send_used,
                 (unsigned long long)s->send_max);
    if (s->recv_used > s->recv_max)
        sim_fail(w, "received over our own limit");
    if (c->path->cc.window < 2 * c->path->cc.mss)
        sim_fail(w, "window %llu below two datagrams", (unsigned long long)c->path->cc.window);
    if (c->role == QUIC_SERVER && !c->path->validated && c->path->sent > 3 * c->path->received)
        sim_fail(w, "amplified: sent %llu, received %llu", (unsigned long long)c->path->sent,
                 (unsigned long long)c->path->received);
}

static void check_all(sim_world *w, sim_node *n) {
    for (list_link *l = n->ep->conns.next; l != &n->ep->conns; l = l->next)
        sim_check(w, list_entry(l, quic_conn, all_link));
}

static uint64_t next_time(const sim_world *w) {
    uint64_t at = w->flights != NULL ? w->flights->arrival : TIME_NEVER;
    for (size_t i = 0; i < w->node_count; i++)
        at = time_min(at, quic_endpoint_deadline(w->nodes[i].ep));
    return at;
}

static void settle(sim_world *w, sim_node *n) {
    drain_events(w, n);
    transmit(w, n);
    drain_events(w, n);
    check_all(w, n);
}

bool sim_run(sim_world *w, bool (*done)(sim_world *w), uint64_t limit) {
    uint64_t end = w->now + limit;
    for (size_t i = 0; i < w->node_count; i++)
        settle(w, &w->nodes[i]);
    while (w->failure[0] == '\0') {
        if (done(w))
            return true;
        uint64_t at = next_time(w);
        if (at > end) {
            w->now = end;
            return done(w);
        }
        w->now = time_max(w->now, at);
        if (++w->steps > STEPS_MAX) {
            sim_fail(w, "no end in sight");
            return false;
        }
        bool touched[SIM_NODES_MAX] = {false};
        while (w->flights != NULL && w->flights->arrival <= w->now) {
            sim_flight *f = w->flights;
            w->flights = f->next;
            deliver(w, f);
            touched[f->to] = true;
            free(f);
        }
        for (size_t i = 0; i < w->node_count; i++) {
            if (quic_endpoint_deadline(w->nodes[i].ep) <= w->now) {
                quic_endpoint_timeout(w->nodes[i].ep, w->now);
                touched[i] = true;
            }
            if (touched[i])
                settle(w, &w->nodes[i]);
        }
    }
    return false;
}
