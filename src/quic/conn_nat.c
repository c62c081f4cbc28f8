// NAT traversal inside a connection: candidates from above, frames from the peer, probes out, and a path for each
// address that proves to work. The state itself is in nat.c.
#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

static bool in_use(const quic_conn *c) {
    return c->state < CONN_CLOSING && quic_conn_has_nat_traversal(c);
}

int quic_conn_add_candidate(quic_conn *c, const addr *address) {
    if (!in_use(c))
        return IROH_ERR_UNSUPPORTED;
    int r = quic_nat_add(c->mp->nat, address);
    if (r == 0 && c->role == QUIC_SERVER) {
        c->control_wait = true;
        quic_conn_wake(c);
    }
    return r;
}

int quic_conn_remove_candidate(quic_conn *c, const addr *address) {
    if (!in_use(c))
        return IROH_ERR_UNSUPPORTED;
    int r = quic_nat_remove(c->mp->nat, address);
    if (r == 0 && c->role == QUIC_SERVER) {
        c->control_wait = true;
        quic_conn_wake(c);
    }
    return r;
}

size_t quic_conn_candidates(const quic_conn *c, addr *out, size_t room) {
    return quic_conn_has_nat_traversal(c) ? quic_nat_peers(c->mp->nat, out, room) : 0;
}

int quic_conn_start_round(quic_conn *c, uint64_t now) {
    if (!in_use(c))
        return IROH_ERR_UNSUPPORTED;
    int r = quic_nat_start_round(c->mp->nat, now);
    if (r != 0)
        return r;
    c->control_wait = true;
    quic_conn_nat_timeout(c, now);
    quic_conn_wake(c);
    return 0;
}

int quic_conn_on_nat_frame(quic_conn *c, quic_received *r, const quic_frame *f) {
    if (!quic_conn_has_nat_traversal(c))
        return QUIC_PROTOCOL_VIOLATION;
    int error = quic_nat_on_frame(c->mp->nat, f, r->now);
    if (error != 0)
        return error;
    quic_conn_nat_timeout(c, r->now);
    if (c->role == QUIC_CLIENT)
        quic_conn_report_path(c, &(quic_path_event){.kind = PATH_EVENT_CANDIDATES});
    return 0;
}

// Probes use ids and numbers of an existing path, the lowest that works.
static const quic_path *probing_path(const quic_conn *c) {
    for (size_t i = 0; i < c->path_count; i++) {
        const quic_path *p = c->paths[i];
        if (p->validated && !p->abandoned && quic_path_dcid(p) != NULL)
            return p;
    }
    return NULL;
}

void quic_conn_nat_timeout(quic_conn *c, uint64_t now) {
    const quic_path *p = probing_path(c);
    const addr any = {0};
    addr to;
    uint8_t data[8];
    // A probe that finds no room in the queue counts as sent: it is repeated like a lost one.
    while (quic_nat_next_probe(c->mp->nat, now, quic_endpoint_random(c->ep), &to, data)) {
        quic_off_path *o = p != NULL ? quic_conn_off_path_add(c, p->id, &to, &any) : NULL;
        if (o == NULL)
            continue;
        o->has_challenge = true;
        memcpy(o->challenge, data, sizeof data);
    }
    quic_conn_wake(c);
}

bool quic_conn_nat_responded(quic_conn *c, const uint8_t data[static 8], const addr *from, uint64_t now) {
    if (!quic_conn_has_nat_traversal(c) || !quic_nat_responded(c->mp->nat, data, from))
        return false;
    quic_conn_reopen(c, now);
    return true;
}

void quic_conn_nat_challenged(quic_conn *c, quic_off_path *answer) {
    if (c->role != QUIC_CLIENT || !quic_conn_has_nat_traversal(c))
        return;
    for (size_t i = 0; i < c->path_count; i++) {
        if (c->paths[i]->validated && !c->paths[i]->abandoned && addr_equal(&c->paths[i]->remote, &answer->to))
            return;
    }
    answer->has_challenge = quic_nat_bundle(c->mp->nat, &answer->to, quic_endpoint_random(c->ep), answer->challenge);
}
