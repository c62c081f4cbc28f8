// What must hold at any time, whatever the network does.
#include "base/clock.h"
#include "quic/endpoint_state.h"
#include "world.h"

#define AMPLIFICATION 3

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

static void check_path(sim_world *w, const quic_conn *c, const quic_path *p) {
    check_space(w, &p->data.sent);
    if (p->conn != c || p->cids->path != p || p->cids->id != p->id)
        sim_fail(w, "path %u: not tied to its connection ids", p->id);
    if (p->cc.window < 2 * p->cc.mss)
        sim_fail(w, "path %u: window %llu below two datagrams", p->id, (unsigned long long)p->cc.window);
    if (c->role == QUIC_SERVER && !p->validated && p->sent > AMPLIFICATION * p->received)
        sim_fail(w, "path %u amplified: sent %llu, received %llu", p->id, (unsigned long long)p->sent,
                 (unsigned long long)p->received);
    if (p->abandoned && (p->challenge_wanted || p->ping_wanted || p->response_count > 0))
        sim_fail(w, "path %u: abandoned, but has something to say", p->id);
}

static void check_paths(sim_world *w, const quic_conn *c) {
    bool in_use = false;
    for (size_t i = 0; i < c->path_count; i++) {
        check_path(w, c, c->paths[i]);
        in_use |= c->path == c->paths[i];
        if (i > 0 && c->paths[i - 1]->id >= c->paths[i]->id)
            sim_fail(w, "paths are not in order");
    }
    if (!in_use)
        sim_fail(w, "the path in use is none of the connection's");
}

// Every id that we issued leads here.
static void check_cids(sim_world *w, const quic_conn *c) {
    for (size_t i = 0; i < c->cids_count; i++) {
        quic_path_cids *e = c->cids[i];
        for (uint64_t seq = e->local.base; seq < e->local.next; seq++) {
            const quic_local_cid *cid = quic_local_cids_get(&e->local, seq);
            uint64_t key;
            if (cid == NULL)
                continue;
            memcpy(&key, cid->bytes, sizeof key);
            if (map_get(&c->ep->cids, key) != e)
                sim_fail(w, "path id %u: connection id %llu leads elsewhere", e->id, (unsigned long long)seq);
        }
    }
}

void sim_check(sim_world *w, quic_conn *c) {
    if (c->state == CONN_DEAD)
        return;
    const quic_streams *s = &c->streams;
    check_paths(w, c);
    sim_check_sums(w, c);
    check_cids(w, c);
    for (size_t i = 0; c->hs != NULL && i < 2; i++)
        check_space(w, &c->hs->spaces[i].sent);
    if (s->send_used > s->send_max && c->peer_params_known)
        sim_fail(w, "sent %llu over the connection limit %llu", (unsigned long long)s->send_used,
                 (unsigned long long)s->send_max);
    if (s->recv_used > s->recv_max)
        sim_fail(w, "received over our own limit");
    if (c->off_path_count > CONN_OFF_PATH_MAX || c->path_event_count > CONN_PATH_EVENTS_MAX)
        sim_fail(w, "a queue is over its bound");
}

void sim_check_empty(sim_world *w) {
    for (size_t i = 0; i < w->node_count; i++) {
        const quic_endpoint *ep = w->nodes[i].ep;
        if (ep->conn_count > 0)
            sim_fail(w, "node %zu: connections stay", i);
        if (ep->cids.count + ep->resets.count + ep->routes.count > 0)
            sim_fail(w, "node %zu: %zu connection ids, %zu reset tokens, %zu routes stay", i, ep->cids.count,
                     ep->resets.count, ep->routes.count);
        if (ep->stats.bytes_sent != w->nodes[i].bytes_out || ep->stats.bytes_received != w->nodes[i].bytes_in)
            sim_fail(w, "node %zu: bytes sent %llu, seen %llu; received %llu, delivered %llu", i,
                     (unsigned long long)ep->stats.bytes_sent, (unsigned long long)w->nodes[i].bytes_out,
                     (unsigned long long)ep->stats.bytes_received, (unsigned long long)w->nodes[i].bytes_in);
    }
}
