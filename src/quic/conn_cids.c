// Connection ids of all path ids: which are issued, which wait to be sent, and what the peer says of them (RFC 9000,
// section 5.1; the multipath draft). With one path only there is one entry, and the frames are those of RFC 9000.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

#define NEW_CID_ROOM (4 + 3 * VARINT_SIZE_MAX + 1 + QUIC_LOCAL_CID + QUIC_RESET_TOKEN)
#define RETIRE_CID_ROOM (4 + 2 * VARINT_SIZE_MAX)

quic_path_cids *quic_conn_cids(const quic_conn *c, uint32_t id) {
    for (size_t i = 0; i < c->cids_count && c->cids[i]->id <= id; i++) {
        if (c->cids[i]->id == id)
            return c->cids[i];
    }
    return NULL;
}

quic_path_cids *quic_conn_cids_add(quic_conn *c, uint32_t id) {
    quic_path_cids **grown = realloc(c->cids, (c->cids_count + 1U) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    c->cids = grown;
    quic_path_cids *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->conn = c;
    e->id = id;
    quic_local_cids_init(&e->local);
    quic_peer_cids_init(&e->peer, NULL);
    size_t at = c->cids_count;
    while (at > 0 && c->cids[at - 1]->id > id) {
        c->cids[at] = c->cids[at - 1];
        at--;
    }
    c->cids[at] = e;
    c->cids_count++;
    return e;
}

static void forget(quic_conn *c, quic_path_cids *e) {
    for (uint64_t seq = e->local.base; seq < e->local.next; seq++) {
        const quic_local_cid *cid = quic_local_cids_get(&e->local, seq);
        if (cid != NULL)
            quic_endpoint_drop_cid(c->ep, cid->bytes);
    }
    const quic_peer_cid *peer = quic_peer_cids_active(&e->peer);
    if (peer != NULL && peer->has_token)
        quic_endpoint_unwatch_reset(c->ep, c, peer->token);
}

void quic_conn_cids_remove(quic_conn *c, quic_path_cids *e) {
    size_t at = 0;
    forget(c, e);
    while (c->cids[at] != e)
        at++;
    c->cids_count--;
    memmove(&c->cids[at], &c->cids[at + 1], (c->cids_count - at) * sizeof *c->cids);
    free(e);
}

void quic_conn_cids_forget(quic_conn *c) {
    for (size_t i = 0; i < c->cids_count; i++)
        forget(c, c->cids[i]);
}

void quic_conn_cids_dispose(quic_conn *c) {
    for (size_t i = 0; i < c->cids_count; i++)
        free(c->cids[i]);
    free(c->cids);
    c->cids = NULL;
    c->cids_count = 0;
}

// --- Issuing

static size_t allowed(const quic_conn *c) {
    uint64_t limit = c->peer.active_connection_id_limit;
    return limit < CIDS_LOCAL_MAX ? (size_t)limit : CIDS_LOCAL_MAX;
}

static void fill_up(quic_conn *c, quic_path_cids *e) {
    uint8_t id[QUIC_LOCAL_CID];
    if (quic_conn_id_gone(c, e->id))
        return;
    while (quic_local_cids_active(&e->local) < allowed(c) && quic_local_cids_room(&e->local)) {
        uint64_t seq = e->local.next;
        if (quic_endpoint_issue_cid(c->ep, e, id) != 0)
            return;
        e->again |= (uint16_t)(1U << (seq % CIDS_LOCAL_MAX));
        c->cids_wait = true;
    }
}

void quic_conn_cids_issue(quic_conn *c) {
    if (c->state != CONN_OPEN)
        return;
    for (size_t i = 0; i < c->cids_count; i++)
        fill_up(c, c->cids[i]);
    if (c->mp == NULL)
        return;
    uint64_t last = c->mp->local_max < c->mp->peer_max ? c->mp->local_max : c->mp->peer_max;
    for (uint64_t id = c->mp->ids_begun; id <= last; id++) {
        quic_path_cids *e = quic_conn_cids(c, (uint32_t)id);
        if (e == NULL && !quic_conn_id_gone(c, id))
            e = quic_conn_cids_add(c, (uint32_t)id);
        if (e != NULL)
            fill_up(c, e);
        c->mp->ids_begun = id + 1;
    }
}

void quic_conn_cids_lost(quic_conn *c, uint32_t id, uint64_t seq) {
    quic_path_cids *e = quic_conn_cids(c, id);
    if (e == NULL || quic_local_cids_get(&e->local, seq) == NULL)
        return;
    e->again |= (uint16_t)(1U << (seq % CIDS_LOCAL_MAX));
    c->cids_wait = true;
}

void quic_conn_retire_lost(quic_conn *c, uint32_t id, uint64_t seq) {
    quic_path_cids *e = quic_conn_cids(c, id);
    if (e == NULL)
        return;
    quic_peer_cids_retire_again(&e->peer, seq);
    c->cids_wait = true;
}

void quic_conn_retire_acked(quic_conn *c, uint32_t id) {
    quic_path_cids *e = quic_conn_cids(c, id);
    if (e != NULL)
        quic_peer_cids_retire_acked(&e->peer);
}

// --- Sending

static bool put_new(quic_conn *c, quic_path_cids *e, quic_builder *b, uint64_t seq) {
    const quic_local_cid *cid = quic_local_cids_get(&e->local, seq);
    if (cid == NULL)
        return true;
    if (writer_left(&b->w) < NEW_CID_ROOM)
        return false;
    quic_sent_frame *note = quic_builder_note(b, FRAME_NEW_CONNECTION_ID);
    if (note == NULL)
        return false;
    note->id = seq;
    note->offset = e->id;
    quic_frame f = {.type = c->mp != NULL ? FRAME_PATH_NEW_CONNECTION_ID : FRAME_NEW_CONNECTION_ID};
    f.new_cid.path = e->id;
    f.new_cid.seq = seq;
    f.new_cid.cid.len = QUIC_LOCAL_CID;
    memcpy(f.new_cid.cid.bytes, cid->bytes, QUIC_LOCAL_CID);
    quic_endpoint_reset_token_for(c->ep, cid->bytes, f.new_cid.token);
    quic_frame_encode(&b->w, &f);
    return true;
}

static bool put_retirements(quic_conn *c, quic_path_cids *e, quic_builder *b) {
    uint64_t seq;
    while (e->peer.pending_count > 0) {
        if (writer_left(&b->w) < RETIRE_CID_ROOM || !quic_peer_cids_take_pending(&e->peer, &seq))
            return false;
        quic_sent_frame *note = quic_builder_note(b, FRAME_RETIRE_CONNECTION_ID);
        if (note == NULL) {
            quic_peer_cids_retire_again(&e->peer, seq);
            return false;
        }
        note->id = seq;
        note->offset = e->id;
        quic_frame f = {.type = c->mp != NULL ? FRAME_PATH_RETIRE_CONNECTION_ID : FRAME_RETIRE_CONNECTION_ID,
                        .retire_cid = {.path = e->id, .seq = seq}};
        quic_frame_encode(&b->w, &f);
    }
    return true;
}

static bool put_entry(quic_conn *c, quic_path_cids *e, quic_builder *b) {
    for (uint64_t seq = e->local.base; e->again != 0 && seq < e->local.next; seq++) {
        uint16_t bit = (uint16_t)(1U << (seq % CIDS_LOCAL_MAX));
        if ((e->again & bit) == 0)
            continue;
        if (!put_new(c, e, b, seq))
            return false;
        e->again &= (uint16_t)~bit;
    }
    e->again = 0;  // what is left names ids that were retired meanwhile
    return put_retirements(c, e, b);
}

void quic_conn_put_cids(quic_conn *c, quic_builder *b) {
    if (!c->cids_wait)
        return;
    for (size_t i = 0; i < c->cids_count; i++) {
        if (!quic_conn_id_gone(c, c->cids[i]->id) && !put_entry(c, c->cids[i], b))
            return;
    }
    c->cids_wait = false;
}

// --- What the peer says

// The id in use changed: from now on another token tells a stateless reset.
static int watch_active(quic_conn *c, quic_path_cids *e, const quic_peer_cid *old) {
    const quic_peer_cid *active = quic_peer_cids_active(&e->peer);
    if (old->used && old->has_token)
        quic_endpoint_unwatch_reset(c->ep, c, old->token);
    if (active == NULL || !active->has_token)
        return 0;
    return quic_endpoint_watch_reset(c->ep, c, active->token) == 0 ? 0 : QUIC_INTERNAL_ERROR;
}

static quic_peer_cid active_or_none(const quic_path_cids *e) {
    const quic_peer_cid *active = quic_peer_cids_active(&e->peer);
    return active != NULL ? *active : (quic_peer_cid){0};
}

// A client's first id comes without a token for a stateless reset: a server moves on as soon as it has another.
static int leave_first(quic_conn *c, quic_path_cids *e) {
    quic_peer_cid old = active_or_none(e);
    if (c->role != QUIC_SERVER || !c->confirmed || !old.used || old.has_token || !quic_peer_cids_rotate(&e->peer))
        return 0;
    return watch_active(c, e, &old);
}

int quic_conn_on_new_cid(quic_conn *c, quic_received *r, const quic_frame *f) {
    uint64_t id = f->new_cid.path;
    if (f->type == FRAME_PATH_NEW_CONNECTION_ID && (c->mp == NULL || id > c->mp->local_max))
        return QUIC_PROTOCOL_VIOLATION;
    if (quic_conn_id_gone(c, id))
        return 0;
    quic_path_cids *e = quic_conn_cids(c, (uint32_t)id);
    if (e == NULL)
        e = quic_conn_cids_add(c, (uint32_t)id);
    if (e == NULL)
        return QUIC_INTERNAL_ERROR;
    quic_peer_cid old = active_or_none(e);
    if (old.used && old.cid.len == 0)
        return QUIC_PROTOCOL_VIOLATION;
    bool changed = false;
    int error = quic_peer_cids_add(&e->peer, f->new_cid.seq, f->new_cid.retire_prior_to, &f->new_cid.cid,
                                   f->new_cid.token, &changed);
    // A refused frame may have ended the id in use too; its token must not go on naming this connection.
    if (changed || error != 0) {
        int watched = watch_active(c, e, &old);
        error = error != 0 ? error : watched;
    }
    if (error == 0)
        error = leave_first(c, e);
    if (error == 0 && e->peer.pending_count > 0)
        c->cids_wait = true;
    if (error == 0 && c->mp != NULL)
        quic_conn_reopen(c, r->now);
    return error;
}

int quic_conn_on_retire_cid(quic_conn *c, quic_received *r, const quic_frame *f) {
    uint64_t id = f->retire_cid.path;
    (void)r;
    if (f->type == FRAME_PATH_RETIRE_CONNECTION_ID && (c->mp == NULL || id > c->mp->local_max))
        return QUIC_PROTOCOL_VIOLATION;
    if (quic_conn_id_gone(c, id))
        return 0;
    quic_path_cids *e = quic_conn_cids(c, (uint32_t)id);
    if (e == NULL || f->retire_cid.seq >= e->local.next)
        return QUIC_PROTOCOL_VIOLATION;
    uint8_t cid[QUIC_LOCAL_CID];
    if (!quic_local_cids_retire(&e->local, f->retire_cid.seq, cid))
        return 0;
    quic_endpoint_drop_cid(c->ep, cid);
    if (c->state == CONN_OPEN)
        fill_up(c, e);
    return 0;
}

bool quic_conn_rotate_cid(quic_conn *c, quic_path_cids *e) {
    quic_peer_cid old = active_or_none(e);
    if (!quic_peer_cids_rotate(&e->peer))
        return false;
    c->cids_wait = true;
    return watch_active(c, e, &old) == 0;
}
