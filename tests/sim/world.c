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
#define BATCHES_MAX 10000  // that a node sends at one time
#define STEPS_MAX 20000000

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
    sim_ground(w);
    sim_books_dispose(w);
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
    n->port_count = 1;
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

static void transmit(sim_world *w, sim_node *n) {
    static uint8_t room[ROOM];
    quic_transmit t;
    for (int i = 0; i < BATCHES_MAX && quic_endpoint_transmit(n->ep, w->now, room, sizeof room, SEGMENTS, &t); i++)
        sim_send(w, n, &t, room);
}

static void decide(sim_world *w, sim_node *n, quic_incoming *in) {
    quic_conn *c;
    if (n->retry && !quic_incoming_validated(in)) {
        n->retries++;
        if (quic_incoming_retry(in, w->now) != 0)
            sim_fail(w, "retry failed");
    } else if (quic_incoming_accept(in, w->now, &c) != 0) {
        sim_fail(w, "accept failed");
    }
}

static void drain_events(sim_world *w, sim_node *n) {
    quic_incoming *in;
    quic_conn *c;
    uint32_t events;
    while (!n->hold && (in = quic_endpoint_next_incoming(n->ep)) != NULL)
        decide(w, n, in);
    while ((c = quic_endpoint_next_event(n->ep, &events)) != NULL) {
        if (n->on_event != NULL)
            n->on_event(n, c, events);
    }
}

static void check_all(sim_world *w, sim_node *n) {
    for (list_link *l = n->ep->conns.next; l != &n->ep->conns; l = l->next)
        sim_check(w, list_entry(l, quic_conn, all_link));
}

static uint64_t next_time(const sim_world *w) {
    uint64_t at = sim_next_arrival(w);
    for (size_t i = 0; i < w->node_count; i++)
        at = time_min(at, quic_endpoint_deadline(w->nodes[i].ep));
    return w->way.deadline != NULL ? time_min(at, w->way.deadline(w->way.user)) : at;
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
        sim_deliver(w, touched);
        if (w->way.run != NULL)
            w->way.run(w->way.user, touched);
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
