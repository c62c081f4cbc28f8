// How paths end, and the timers that end them (draft-ietf-quic-multipath).
//
// A path is abandoned by one side, which says so on another path; the other side answers with the same frame. Then both
// drain: for three probe timeouts late packets still count, after which the id is gone for good and both allow one id
// more. An id may be abandoned before there ever was a path.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

#define DRAIN_PTOS 3
#define GRACE_PTOS 3  // of a fresh path: how long a connection without a path waits for one

static quic_abandon *find_abandon(quic_multipath *mp, uint32_t id) {
    for (size_t i = 0; i < mp->abandon_count; i++) {
        if (mp->abandons[i].id == id)
            return &mp->abandons[i];
    }
    return NULL;
}

// PATH_ABANDON must go; the first code is kept.
static void say_abandon(quic_conn *c, uint32_t id, uint64_t code) {
    quic_multipath *mp = c->mp;
    quic_abandon *a = find_abandon(mp, id);
    if (a == NULL) {
        quic_abandon *grown = mp->abandon_count < CONN_ABANDONS_MAX
                                  ? realloc(mp->abandons, (mp->abandon_count + 1U) * sizeof *grown)
                                  : NULL;
        if (grown == NULL)
            return;  // the peer keeps the path until it hears nothing on it
        mp->abandons = grown;
        a = &mp->abandons[mp->abandon_count++];
        *a = (quic_abandon){.id = id, .code = code};
    }
    a->wanted = true;
    c->control_wait = true;
    quic_conn_wake(c);
}

// Both sides know: the id will not be used again, so the peer may have one more.
static void begin_drain(quic_conn *c, quic_path *p, uint64_t now) {
    if (p->drain_at != TIME_NEVER)
        return;
    p->drain_at = now + DRAIN_PTOS * quic_conn_pto(c, p);
    c->mp->local_max++;
    c->mp->max_path_id_wanted = c->control_wait = true;
    quic_conn_cids_issue(c);
}

static void mark_gone(quic_conn *c, uint64_t id) {
    // Without memory for it a late frame may name the id once more, which does no harm.
    (void)ranges_add(&c->mp->gone, id, id + 1);
    if (id >= c->mp->next_id)
        c->mp->next_id = id + 1;
}

void quic_conn_abandon(quic_conn *c, quic_path *p, uint64_t code, bool by_peer, uint64_t now) {
    if (!p->abandoned) {
        p->abandoned = true;
        p->abandon_code = code;
        p->challenge_wanted = p->status_wanted = p->ping_wanted = p->hurry_wanted = false;
        p->challenge_at = p->validation_ends = p->idle_at = p->keep_alive_at = p->pacing_at = TIME_NEVER;
        p->response_count = 0;
        say_abandon(c, p->id, code);
        quic_conn_choose_path(c);
        quic_conn_report_path(
            c,
            &(quic_path_event){
                .kind = PATH_EVENT_ABANDONED, .path = p->id, .by_peer = by_peer, .code = code, .address = p->remote});
    }
    p->abandoned_by_peer |= by_peer;
    if (by_peer) {
        begin_drain(c, p, now);
        if (quic_conn_open_paths(c) == 0 && c->mp->grace_at == TIME_NEVER)
            c->mp->grace_at = now + GRACE_PTOS * (3 * c->transport.initial_rtt + c->peer.max_ack_delay_ms * NS_PER_MS);
    }
}

int quic_conn_on_abandon(quic_conn *c, uint32_t id, uint64_t code, uint64_t now) {
    if (id > c->mp->local_max)
        return QUIC_PROTOCOL_VIOLATION;
    quic_path *p = quic_conn_path(c, id);
    if (p != NULL) {
        quic_conn_abandon(c, p, code, true, now);
        return 0;
    }
    if (quic_conn_id_gone(c, id))
        return 0;
    // There was no path: nothing to drain.
    say_abandon(c, id, code);
    mark_gone(c, id);
    quic_path_cids *cids = quic_conn_cids(c, id);
    if (cids != NULL)
        quic_conn_cids_remove(c, cids);
    c->mp->local_max++;
    c->mp->max_path_id_wanted = c->control_wait = true;
    quic_conn_cids_issue(c);
    return 0;
}

void quic_conn_abandon_acked(quic_conn *c, uint32_t id) {
    quic_abandon *a = c->mp != NULL ? find_abandon(c->mp, id) : NULL;
    if (a != NULL)
        *a = c->mp->abandons[--c->mp->abandon_count];
}

void quic_conn_abandon_lost(quic_conn *c, uint32_t id) {
    quic_abandon *a = c->mp != NULL ? find_abandon(c->mp, id) : NULL;
    if (a == NULL)
        return;
    a->wanted = c->control_wait = true;
}

int quic_conn_close_path(quic_conn *c, uint32_t id, uint64_t code, uint64_t now) {
    quic_path *p = quic_conn_path(c, id);
    if (p == NULL || p->abandoned || c->state >= CONN_CLOSING)
        return IROH_ERR_NOT_FOUND;
    if (c->mp == NULL || quic_conn_open_paths(c) < 2)
        return IROH_ERR_ARG;
    quic_conn_abandon(c, p, code, false, now);
    return 0;
}

// --- Time

void quic_conn_path_active(quic_conn *c, quic_path *p, uint64_t now) {
    if (c->mp == NULL || p->abandoned)
        return;
    p->idle_restarted_by_send = false;
    p->idle_at = p->idle_timeout != 0 ? now + time_max(p->idle_timeout, 3 * quic_conn_pto(c, p)) : TIME_NEVER;
    p->keep_alive_at = p->keep_alive != 0 ? now + p->keep_alive : TIME_NEVER;
}

uint64_t quic_conn_paths_deadline(const quic_conn *c) {
    if (c->mp == NULL)
        return TIME_NEVER;
    uint64_t at = c->mp->grace_at;
    for (size_t i = 0; i < c->path_count; i++) {
        const quic_path *p = c->paths[i];
        at = time_min(at, time_min(p->drain_at, time_min(p->idle_at, p->keep_alive_at)));
    }
    return c->mp->nat != NULL ? time_min(at, quic_nat_deadline(c->mp->nat)) : at;
}

static void drained(quic_conn *c, quic_path *p) {
    if (c->path_count == 1) {
        // The last one stays until another comes, or the connection ends.
        p->drain_at = time_max(c->mp->grace_at, p->drain_at + quic_conn_pto(c, p));
        return;
    }
    quic_path_event event = {.kind = PATH_EVENT_GONE, .path = p->id, .code = p->abandon_code, .address = p->remote};
    mark_gone(c, p->id);
    quic_conn_path_remove(c, p);
    quic_conn_report_path(c, &event);
}

// Whether the silence is this path's own, because another was heard of since. When all fell silent together, to give one
// up would be a guess: noq sends its acknowledgements for all paths on the first one, so that the death of that one
// silences the others too, until noq itself gives it up.
static bool silent_alone(const quic_conn *c, const quic_path *p) {
    for (size_t i = 0; i < c->path_count; i++) {
        const quic_path *other = c->paths[i];
        if (other != p && !other->abandoned && other->received_at >= p->received_at + p->idle_timeout / 2)
            return true;
    }
    return false;
}

static void path_idle(quic_conn *c, quic_path *p, uint64_t now) {
    p->idle_at = TIME_NEVER;
    if (quic_conn_open_paths(c) < 2)
        return;
    if (silent_alone(c, p))
        quic_conn_abandon(c, p, PATH_CODE_UNSTABLE_OR_POOR, false, now);
    else
        p->idle_at = now + p->idle_timeout / 2;
}

static void path_timeout(quic_conn *c, quic_path *p, uint64_t now) {
    if (now >= p->keep_alive_at) {
        p->ping_wanted = true;
        p->keep_alive_at = now + p->keep_alive;
    }
    if (now >= p->idle_at)
        path_idle(c, p, now);
    if (now >= p->drain_at)
        drained(c, p);
}

void quic_conn_paths_timeout(quic_conn *c, uint64_t now) {
    if (c->mp == NULL)
        return;
    if (now >= c->mp->grace_at) {
        quic_conn_end(c, IROH_ERR_UNREACHABLE, now);
        return;
    }
    // From the last to the first, because a path may go on the way.
    for (size_t i = c->path_count; i-- > 0;)
        path_timeout(c, c->paths[i], now);
    if (c->mp->nat != NULL)
        quic_conn_nat_timeout(c, now);
}
