// Addresses, translation and links: how a datagram gets from one node to another, if it does.
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "world.h"

#define NAT_PORT_FIRST 20000

typedef struct sim_flight {
    struct sim_flight *next;
    uint64_t arrival, sequence;
    size_t to, to_port;
    addr source;
    uint8_t ecn;
    size_t len;
    uint8_t bytes[];
} sim_flight;

// --- Addresses

const addr *sim_address(const sim_node *n, size_t port) {
    return port == 0 ? &n->address : &n->ports[port].address;
}

void sim_set_path(sim_world *w, const sim_node *a, size_t a_port, const sim_node *b, size_t b_port,
                  const sim_link *link) {
    size_t from = sim_end(a, a_port), to = sim_end(b, b_port);
    w->links[from][to] = w->links[to][from] = *link;
}

void sim_set_link(sim_world *w, size_t a, size_t b, const sim_link *link) {
    sim_set_path(w, &w->nodes[a], 0, &w->nodes[b], 0, link);
}

size_t sim_add_port(sim_node *n) {
    sim_world *w = n->world;
    size_t port = n->port_count++;
    n->ports[port].address = addr_ip4((uint8_t[4]){10, (uint8_t)port, 0, (uint8_t)(n->index + 1)}, n->address.port);
    for (size_t i = 0; i < SIM_ENDS; i++)
        w->links[sim_end(n, port)][i].cut = w->links[i][sim_end(n, port)].cut = true;
    return port;
}

void sim_rebind(sim_node *n, uint16_t port) {
    n->address.port = port;
}

// --- Translation

void sim_set_nat(sim_node *n, size_t port, sim_nat_kind kind) {
    sim_port *p = &n->ports[port];
    p->nat = kind;
    p->outside = addr_ip4((uint8_t[4]){203, (uint8_t)port, 113, (uint8_t)(n->index + 1)}, 0);
    // A hard NAT has given its first port to whoever told the node its address.
    p->next_port = (uint16_t)(NAT_PORT_FIRST + (kind == SIM_NAT_HARD));
    p->mapping_count = 0;
}

void sim_forget(sim_node *n, size_t port) {
    n->ports[port].mapping_count = 0;
    n->ports[port].next_port++;
}

static sim_mapping *mapping_to(sim_port *p, const addr *remote) {
    for (size_t i = 0; i < p->mapping_count; i++) {
        if (addr_equal(&p->mappings[i].remote, remote))
            return &p->mappings[i];
    }
    return NULL;
}

// How the network sees what leaves through `port` to `remote`, which is remembered.
static addr translate_out(sim_node *n, size_t port, const addr *remote) {
    sim_port *p = &n->ports[port];
    addr seen = *sim_address(n, port);
    if (p->nat == SIM_OPEN)
        return seen;
    sim_mapping *m = mapping_to(p, remote);
    if (m == NULL) {
        // The oldest is forgotten, as by NATs that are full.
        if (p->mapping_count == SIM_MAPPINGS_MAX)
            memmove(p->mappings, p->mappings + 1, --p->mapping_count * sizeof *p->mappings);
        m = &p->mappings[p->mapping_count++];
        *m = (sim_mapping){.remote = *remote, .port = p->next_port};
        if (p->nat == SIM_NAT_HARD)
            p->next_port++;
    }
    if (p->nat != SIM_FIREWALL) {
        seen = p->outside;
        seen.port = m->port;
    }
    return seen;
}

// Whether what comes from `source` to `address` gets through to this port.
static bool translate_in(const sim_node *n, size_t port, const addr *address, const addr *source) {
    const sim_port *p = &n->ports[port];
    if (p->nat == SIM_OPEN)
        return addr_equal(sim_address(n, port), address);
    for (size_t i = 0; i < p->mapping_count; i++) {
        const sim_mapping *m = &p->mappings[i];
        addr seen = p->nat == SIM_FIREWALL ? *sim_address(n, port) : p->outside;
        if (p->nat != SIM_FIREWALL)
            seen.port = m->port;
        if (addr_equal(&seen, address) && addr_equal(&m->remote, source))
            return true;
    }
    return false;
}

// Whether an address belongs to this port, whether or not anything gets through.
static bool leads_to(const sim_node *n, size_t port, const addr *address) {
    const sim_port *p = &n->ports[port];
    if (p->nat == SIM_OPEN || p->nat == SIM_FIREWALL)
        return addr_equal(sim_address(n, port), address);
    return addr_same_host(&p->outside, address);
}

// --- Links

static bool find_end(sim_world *w, const addr *address, sim_node **n, size_t *port) {
    for (size_t i = 0; i < w->node_count; i++) {
        for (size_t k = 0; k < w->nodes[i].port_count; k++) {
            if (!leads_to(&w->nodes[i], k, address))
                continue;
            *n = &w->nodes[i];
            *port = k;
            return true;
        }
    }
    return false;
}

// The port by which a node sends: the one asked for, else the first that is linked.
static bool choose_port(sim_world *w, const sim_node *n, const addr *local, size_t to, size_t *port) {
    for (size_t i = 0; i < n->port_count; i++) {
        bool fits = local->kind != ADDR_NONE ? addr_equal(sim_address(n, i), local) : !w->links[sim_end(n, i)][to].cut;
        if (!fits)
            continue;
        *port = i;
        return true;
    }
    // A port that was rebound: the node still knows the old number.
    *port = 0;
    return local->kind != ADDR_NONE && addr_same_host(&n->address, local);
}

static void launch(sim_world *w, sim_flight *f) {
    sim_flight **at = &w->flights;
    while (*at != NULL &&
           ((*at)->arrival < f->arrival || ((*at)->arrival == f->arrival && (*at)->sequence < f->sequence)))
        at = &(*at)->next;
    f->next = *at;
    *at = f;
}

static sim_flight *make_flight(sim_world *w, const addr *source, const sim_node *to, size_t port, const uint8_t *bytes,
                               size_t len) {
    sim_flight *f = malloc(sizeof *f + len);
    if (f == NULL)
        abort();
    *f = (sim_flight){.sequence = w->sequence++, .to = to->index, .to_port = port, .source = *source, .len = len};
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

static void fly(sim_world *w, size_t from, const addr *source, const sim_node *to, size_t port, const uint8_t *bytes,
                size_t len, uint8_t ecn) {
    size_t end = sim_end(to, port);
    const sim_link *l = &w->links[from][end];
    if (l->cut || (l->mtu > 0 && len > l->mtu) || chance(w, l->loss))
        return;
    int copies = chance(w, l->duplicate) ? 2 : 1;
    for (int i = 0; i < copies; i++) {
        uint64_t at = arrival_of(w, from, end, len);
        if (at == TIME_NEVER)
            return;
        sim_flight *f = make_flight(w, source, to, port, bytes, len);
        f->arrival = at;
        f->ecn = ecn;
        if (chance(w, l->corrupt))
            f->bytes[sim_below(&w->rng, len)] ^= (uint8_t)(1U << sim_below(&w->rng, 8));
        launch(w, f);
    }
}

static void send_one(sim_world *w, sim_node *from, const quic_transmit *t, const uint8_t *bytes, size_t len) {
    sim_node *to;
    size_t port, to_port;
    from->datagrams_out++;
    from->bytes_out += len;
    if (w->tap != NULL)
        w->tap(w, from, &t->local, &t->remote, bytes, len);
    if (!find_end(w, &t->remote, &to, &to_port) || !choose_port(w, from, &t->local, sim_end(to, to_port), &port))
        return;
    addr source = translate_out(from, port, &t->remote);
    if (translate_in(to, to_port, &t->remote, &source))
        fly(w, sim_end(from, port), &source, to, to_port, bytes, len, t->ecn);
}

void sim_send(sim_world *w, sim_node *from, const quic_transmit *t, const uint8_t *bytes) {
    if (w->way.send != NULL && w->way.send(w->way.user, from, t, bytes))
        return;
    for (size_t at = 0; at < t->len; at += t->segment) {
        size_t len = t->len - at < t->segment ? t->len - at : t->segment;
        send_one(w, from, t, bytes + at, len);
    }
}

void sim_inject(sim_world *w, size_t from, size_t to, const uint8_t *bytes, size_t len) {
    sim_flight *f = make_flight(w, &w->nodes[from].address, &w->nodes[to], 0, bytes, len);
    f->arrival = w->now;
    launch(w, f);
}

// --- Arrival

uint64_t sim_next_arrival(const sim_world *w) {
    return w->flights != NULL ? w->flights->arrival : TIME_NEVER;
}

void sim_deliver(sim_world *w, bool touched[static SIM_NODES_MAX]) {
    while (w->flights != NULL && w->flights->arrival <= w->now) {
        sim_flight *f = w->flights;
        w->flights = f->next;
        sim_node *n = &w->nodes[f->to];
        n->datagrams_in++;
        n->bytes_in += f->len;
        quic_datagram d = {
            .bytes = f->bytes,
            .len = f->len,
            .remote = f->source,
            .local = *sim_address(n, f->to_port),
            .ecn = f->ecn,
        };
        quic_endpoint_receive(n->ep, &d, w->now);
        touched[f->to] = true;
        free(f);
    }
}

void sim_ground(sim_world *w) {
    while (w->flights != NULL) {
        sim_flight *f = w->flights;
        w->flights = f->next;
        free(f);
    }
}
