// Deadlines of a connection. One timer each in the endpoint's heap: the earliest of them all.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_state.h"

uint64_t quic_conn_max_pto(const quic_conn *c) {
    uint64_t pto = 0;
    for (size_t i = 0; i < c->path_count; i++)
        pto = time_max(pto, quic_conn_pto(c, c->paths[i]));
    return pto;
}

void quic_conn_idle_restart(quic_conn *c, uint64_t now) {
    c->idle_restarted_by_send = false;
    if (c->idle_timeout != 0)
        c->idle_at = now + time_max(c->idle_timeout, 3 * quic_conn_max_pto(c));
    else
        c->idle_at = TIME_NEVER;
    if (c->transport.keep_alive != 0 && c->state == CONN_OPEN)
        c->keep_alive_at = now + c->transport.keep_alive;
}

static uint64_t handshake_acks_deadline(const quic_conn *c) {
    uint64_t at = TIME_NEVER;
    for (int i = 0; c->hs != NULL && i < 2; i++) {
        if (quic_keys_present(&c->hs->write[i]))
            at = time_min(at, c->hs->spaces[i].acks.deadline);
    }
    return at;
}

// What is due but could not leave (no credit, no keys, no window) must not spin.
static uint64_t later(uint64_t at, uint64_t now) {
    return at > now ? at : TIME_NEVER;
}

static uint64_t path_deadline(const quic_conn *c, const quic_path *p, uint64_t now) {
    uint64_t at = time_min(p->pacing_at, quic_conn_loss_deadline(c, p, now));
    at = time_min(at, later(p->data.acks.deadline, now));
    at = time_min(at, time_min(p->challenge_at, p->validation_ends));
    if (c->confirmed && p->validated)
        at = time_min(at, later(quic_mtud_deadline(&p->mtud), now));
    return at;
}

static uint64_t open_deadline(const quic_conn *c, uint64_t now) {
    uint64_t at = time_min(c->idle_at, later(handshake_acks_deadline(c), now));
    at = time_min(at, c->keep_alive_at);
    at = time_min(at, c->keys.discard_previous_at);
    at = time_min(at, c->tls_until);
    for (size_t i = 0; i < c->path_count; i++)
        at = time_min(at, path_deadline(c, c->paths[i], now));
    return time_min(at, quic_conn_paths_deadline(c));
}

void quic_conn_update_timer(quic_conn *c, uint64_t now) {
    uint64_t at = TIME_NEVER;
    if (c->state < CONN_CLOSING)
        at = open_deadline(c, now);
    else if (c->state < CONN_DEAD)
        at = c->end_at;
    quic_endpoint_set_timer(c->ep, c, at);
}

// The address that the peer moved to did not answer: back to the one that was proven, if there is one.
static void validation_failed(quic_conn *c, quic_path *p) {
    p->validation_ends = TIME_NEVER;
    p->challenge_at = TIME_NEVER;
    p->challenge_wanted = false;
    if (p->previous_remote.kind == ADDR_NONE)
        return;
    p->remote = p->previous_remote;
    p->previous_remote = (addr){0};
    p->validated = true;
    p->generation++;
    quic_sent_follow(&p->data.sent, p->generation);
    quic_conn_choose_path(c);
}

static void path_timeout(quic_conn *c, quic_path *p, uint64_t now) {
    if (now >= p->validation_ends)
        validation_failed(c, p);
    if (now >= p->challenge_at) {
        p->challenge_at = TIME_NEVER;
        p->challenge_wanted = true;
        quic_conn_wake(c);
    }
    if (now >= quic_conn_loss_deadline(c, p, now))
        quic_conn_loss_timeout(c, p, now);
}

void quic_conn_timeout(quic_conn *c, uint64_t now) {
    if (c->state >= CONN_CLOSING) {
        if (now >= c->end_at)
            quic_conn_end(c, 0, now);
        return;
    }
    if (now >= c->idle_at) {
        quic_conn_end(c, IROH_ERR_IDLE, now);
        return;
    }
    if (now >= c->keys.discard_previous_at) {
        quic_keys_dispose(&c->keys.read_previous);
        c->keys.discard_previous_at = TIME_NEVER;
    }
    if (now >= c->tls_until)
        quic_conn_tls_drop(c);
    if (now >= c->keep_alive_at) {
        c->path->ping_wanted = !c->path->abandoned;
        c->keep_alive_at = now + c->transport.keep_alive;
    }
    for (size_t i = 0; i < c->path_count; i++)
        path_timeout(c, c->paths[i], now);
    quic_conn_paths_timeout(c, now);
    quic_conn_wake(c);
}
