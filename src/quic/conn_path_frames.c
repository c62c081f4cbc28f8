// Control frames of the extensions, both ways: multipath, observed addresses, acknowledgement frequency. What waits to
// be sent is a flag beside the state that it tells of, so that a repeated frame says what is true then.
#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

#define CONTROL_ROOM 32  // bytes of the largest frame here

// --- Received

static bool multipath_frame_ok(const quic_conn *c, uint64_t path) {
    return c->mp != NULL && path <= c->mp->local_max;
}

static int on_path_ack(quic_conn *c, quic_received *r, const quic_frame *f) {
    if (c->mp == NULL)
        return QUIC_PROTOCOL_VIOLATION;
    quic_path *p = quic_conn_path(c, (uint32_t)f->ack.path);
    if (p == NULL)
        return quic_conn_id_gone(c, f->ack.path) ? 0 : QUIC_PROTOCOL_VIOLATION;
    return quic_conn_on_ack(c, QUIC_SPACE_DATA, p, &f->ack, r->path, r->now);
}

static int on_path_abandon(quic_conn *c, quic_received *r, const quic_frame *f) {
    if (c->mp == NULL)
        return QUIC_PROTOCOL_VIOLATION;
    return quic_conn_on_abandon(c, (uint32_t)f->path_abandon.path, f->path_abandon.code, r->now);
}

static int on_path_status(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    if (!multipath_frame_ok(c, f->path_status.path))
        return QUIC_PROTOCOL_VIOLATION;
    quic_path *p = quic_conn_path(c, (uint32_t)f->path_status.path);
    if (p == NULL || f->path_status.seq + 1 <= p->peer_status_seq)
        return 0;
    p->peer_status_seq = f->path_status.seq + 1;
    p->peer_status = f->type == FRAME_PATH_STATUS_AVAILABLE ? PATH_AVAILABLE : PATH_BACKUP;
    quic_conn_report_path(
        c,
        &(quic_path_event){
            .kind = PATH_EVENT_STATUS, .path = p->id, .by_peer = true, .status = p->peer_status, .address = p->remote});
    return 0;
}

static int on_max_path_id(quic_conn *c, quic_received *r, const quic_frame *f) {
    if (c->mp == NULL)
        return QUIC_PROTOCOL_VIOLATION;
    if (f->path_limit.path <= c->mp->peer_max)
        return 0;
    c->mp->peer_max = f->path_limit.path;
    quic_conn_cids_issue(c);
    quic_conn_reopen(c, r->now);
    return 0;
}

static int on_paths_blocked(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    if (!multipath_frame_ok(c, f->path_limit.path))
        return QUIC_PROTOCOL_VIOLATION;
    // The peer may have missed the latest limit.
    if (f->path_limit.path < c->mp->local_max)
        c->mp->max_path_id_wanted = c->control_wait = true;
    return 0;
}

static int on_path_cids_blocked(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    if (!multipath_frame_ok(c, f->path_status.path))
        return QUIC_PROTOCOL_VIOLATION;
    if (quic_conn_id_gone(c, f->path_status.path))
        return 0;
    const quic_path_cids *e = quic_conn_cids(c, (uint32_t)f->path_status.path);
    return e != NULL && f->path_status.seq > e->local.next ? QUIC_PROTOCOL_VIOLATION : 0;
}

// A report belongs to the path that it came on; an older one than the latest says nothing.
static int on_observed_address(quic_conn *c, quic_received *r, const quic_frame *f) {
    uint64_t peer = c->peer.address_discovery;
    if (!c->transport.receive_observed || !c->peer.has_address_discovery || peer == 1)
        return QUIC_PROTOCOL_VIOLATION;
    quic_path *p = r->path;
    if (f->address.seq < p->observed_next)
        return 0;
    p->observed_next = f->address.seq + 1;
    if (addr_equal(&p->observed, &f->address.address))
        return 0;
    p->observed = f->address.address;
    quic_conn_report_path(
        c, &(quic_path_event){.kind = PATH_EVENT_OBSERVED, .path = p->id, .by_peer = true, .address = p->observed});
    return 0;
}

static int on_ack_frequency(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    if (f->ack_frequency.max_ack_delay_us < CONN_MIN_ACK_DELAY_US)
        return QUIC_PROTOCOL_VIOLATION;
    if (f->ack_frequency.seq < c->ack_frequency_seq)
        return 0;
    c->ack_frequency_seq = f->ack_frequency.seq + 1;
    uint64_t threshold = f->ack_frequency.threshold, reordering = f->ack_frequency.reordering;
    uint64_t delay = time_min(f->ack_frequency.max_ack_delay_us, CONN_ACK_DELAY_MAX_US);
    c->ack_policy = (quic_ack_policy){
        .threshold = threshold < UINT32_MAX ? (uint32_t)threshold : UINT32_MAX,
        .reordering = reordering < UINT32_MAX ? (uint32_t)reordering : UINT32_MAX,
        .max_delay = delay * NS_PER_US,
    };
    return 0;
}

static int on_immediate_ack(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r, (void)f;
    for (size_t i = 0; i < c->path_count; i++)
        quic_acks_force(&c->paths[i]->data.acks);
    return 0;
}

typedef struct handler_row {
    uint64_t type;
    quic_frame_handler handle;
} handler_row;

static const handler_row handlers[] = {
    {FRAME_PATH_ACK, on_path_ack},
    {FRAME_PATH_ACK_ECN, on_path_ack},
    {FRAME_IMMEDIATE_ACK, on_immediate_ack},
    {FRAME_ACK_FREQUENCY, on_ack_frequency},
    {FRAME_PATH_NEW_CONNECTION_ID, quic_conn_on_new_cid},
    {FRAME_PATH_RETIRE_CONNECTION_ID, quic_conn_on_retire_cid},
    {FRAME_PATH_ABANDON, on_path_abandon},
    {FRAME_PATH_STATUS_BACKUP, on_path_status},
    {FRAME_PATH_STATUS_AVAILABLE, on_path_status},
    {FRAME_MAX_PATH_ID, on_max_path_id},
    {FRAME_PATHS_BLOCKED, on_paths_blocked},
    {FRAME_PATH_CIDS_BLOCKED, on_path_cids_blocked},
    {FRAME_ADD_ADDRESS_V4, quic_conn_on_nat_frame},
    {FRAME_ADD_ADDRESS_V6, quic_conn_on_nat_frame},
    {FRAME_REACH_OUT_V4, quic_conn_on_nat_frame},
    {FRAME_REACH_OUT_V6, quic_conn_on_nat_frame},
    {FRAME_REMOVE_ADDRESS, quic_conn_on_nat_frame},
    {FRAME_OBSERVED_ADDRESS_V4, on_observed_address},
    {FRAME_OBSERVED_ADDRESS_V6, on_observed_address},
};

quic_frame_handler quic_conn_path_frame_handler(uint64_t type) {
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        if (handlers[i].type == type)
            return handlers[i].handle;
    }
    return NULL;
}

// --- Sent

// Writes a frame with its note; false when it does not fit.
static bool put(quic_builder *b, const quic_frame *f, uint64_t id) {
    if (writer_left(&b->w) < CONTROL_ROOM)
        return false;
    quic_sent_frame *note = quic_builder_note(b, f->type);
    if (note == NULL)
        return false;
    note->id = id;
    quic_frame_encode(&b->w, f);
    return true;
}

// Not on the path that it is about, unless there is no other.
static bool put_abandons(quic_conn *c, const quic_path *on, quic_builder *b) {
    bool all = true;
    for (size_t i = 0; i < c->mp->abandon_count; i++) {
        quic_abandon *a = &c->mp->abandons[i];
        if (!a->wanted)
            continue;
        quic_frame f = {.type = FRAME_PATH_ABANDON, .path_abandon = {.path = a->id, .code = a->code}};
        if (!put(b, &f, a->id))
            return false;
        a->wanted = false;
    }
    (void)on;
    return all;
}

static bool put_statuses(quic_conn *c, quic_builder *b) {
    for (size_t i = 0; i < c->path_count; i++) {
        quic_path *p = c->paths[i];
        if (!p->status_wanted)
            continue;
        quic_frame f = {.type = p->status == PATH_AVAILABLE ? FRAME_PATH_STATUS_AVAILABLE : FRAME_PATH_STATUS_BACKUP,
                        .path_status = {.path = p->id, .seq = p->status_seq}};
        if (!put(b, &f, p->id))
            return false;
        p->status_wanted = false;
    }
    return true;
}

static bool put_limits(quic_multipath *mp, const quic_path_cids *blocked, quic_builder *b) {
    if (mp->max_path_id_wanted) {
        quic_frame f = {.type = FRAME_MAX_PATH_ID, .path_limit = {.path = mp->local_max}};
        if (!put(b, &f, mp->local_max))
            return false;
        mp->max_path_id_wanted = false;
    }
    // A limit that was raised meanwhile blocks no more.
    if (mp->paths_blocked_wanted && mp->blocked_at == mp->peer_max) {
        quic_frame f = {.type = FRAME_PATHS_BLOCKED, .path_limit = {.path = mp->blocked_at}};
        if (!put(b, &f, mp->blocked_at))
            return false;
    }
    mp->paths_blocked_wanted = false;
    if (mp->cids_blocked_wanted && (blocked == NULL || quic_peer_cids_active(&blocked->peer) == NULL) &&
        !ranges_contains(&mp->gone, mp->blocked_id)) {
        quic_frame f = {.type = FRAME_PATH_CIDS_BLOCKED, .path_status = {.path = mp->blocked_id}};
        if (!put(b, &f, mp->blocked_id))
            return false;
    }
    mp->cids_blocked_wanted = false;
    return true;
}

static bool put_nat(quic_nat *nat, quic_builder *b) {
    quic_frame f;
    quic_sent_frame what;
    while (nat != NULL && quic_nat_next_frame(nat, &f, &what)) {
        if (!put(b, &f, what.id))
            return false;
        b->frames->offset = what.offset;
        quic_nat_frame_sent(nat, &what);
    }
    return true;
}

void quic_conn_put_control(quic_conn *c, quic_path *p, quic_builder *b) {
    if (!c->control_wait || c->mp == NULL)
        return;
    quic_multipath *mp = c->mp;
    c->control_wait = !(put_nat(mp->nat, b) && put_abandons(c, p, b) && put_statuses(c, b) &&
                        put_limits(mp, quic_conn_cids(c, mp->blocked_id), b));
}

// --- Fates

void quic_conn_control_acked(quic_conn *c, const quic_sent_frame *f) {
    if (f->type == FRAME_PATH_ABANDON)
        quic_conn_abandon_acked(c, (uint32_t)f->id);
    else if (f->type == FRAME_REMOVE_ADDRESS && quic_conn_has_nat_traversal(c))
        quic_nat_frame_acked(c->mp->nat, f);
}

void quic_conn_control_lost(quic_conn *c, const quic_sent_frame *f) {
    quic_path *p;
    if (c->mp == NULL)
        return;
    c->control_wait = true;
    switch (f->type) {
    case FRAME_PATH_ABANDON:
        quic_conn_abandon_lost(c, (uint32_t)f->id);
        break;
    case FRAME_PATH_STATUS_AVAILABLE:
    case FRAME_PATH_STATUS_BACKUP:
        p = quic_conn_path(c, (uint32_t)f->id);
        if (p != NULL && !p->abandoned)
            p->status_wanted = true;
        break;
    case FRAME_MAX_PATH_ID:
        c->mp->max_path_id_wanted |= f->id == c->mp->local_max;
        break;
    case FRAME_PATHS_BLOCKED:
        c->mp->paths_blocked_wanted = true;
        break;
    case FRAME_PATH_CIDS_BLOCKED:
        c->mp->cids_blocked_wanted = true;
        break;
    default:
        if (c->mp->nat != NULL)
            quic_nat_frame_lost(c->mp->nat, f);
        break;
    }
}
