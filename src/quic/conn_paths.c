// Multipath: which paths there are, which one data takes, how they open, and what the layer above hears of it
// (draft-ietf-quic-multipath). How they end is in conn_abandon.c.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

// --- The set of paths

quic_path *quic_conn_path(const quic_conn *c, uint32_t id) {
    for (size_t i = 0; i < c->path_count; i++) {
        if (c->paths[i]->id == id)
            return c->paths[i];
    }
    return NULL;
}

bool quic_conn_id_gone(const quic_conn *c, uint64_t id) {
    return c->mp != NULL && ranges_contains(&c->mp->gone, id);
}

quic_path *quic_conn_path_add(quic_conn *c, quic_path_cids *cids, const addr *remote, const addr *local, uint64_t now) {
    if (c->path_count == CONN_PATHS_MAX)
        return NULL;
    quic_path_config config = quic_conn_path_config(c);
    quic_path *p = quic_path_new(cids, remote, local, &config, quic_endpoint_random(c->ep), now);
    if (p == NULL)
        return NULL;
    if (c->keys.generation > 0)
        p->phase_first_sent = 0;
    size_t at = c->path_count++;
    while (at > 0 && c->paths[at - 1]->id > p->id) {
        c->paths[at] = c->paths[at - 1];
        at--;
    }
    c->paths[at] = p;
    return p;
}

void quic_conn_path_remove(quic_conn *c, quic_path *p) {
    size_t at = 0;
    while (c->paths[at] != p)
        at++;
    c->path_count--;
    memmove(&c->paths[at], &c->paths[at + 1], (c->path_count - at) * sizeof *c->paths);
    quic_conn_frames_lost(c, p, QUIC_SPACE_DATA, &p->data.sent);
    quic_conn_count_past(c, p);
    quic_path_cids *cids = p->cids;
    quic_path_free(p, quic_endpoint_frames(c->ep));
    quic_conn_cids_remove(c, cids);
    if (c->path == p)
        c->path = c->paths[0];
    quic_conn_choose_path(c);
}

static bool open_and_reachable(const quic_path *p) {
    return !p->abandoned && quic_path_dcid(p) != NULL;
}

// How good a path is for data, 0 is best. A silent one is as good as dead until it is heard again.
static int rank_of(const quic_path *p) {
    int backup = p->status == PATH_BACKUP;
    if (!p->validated)
        return 4;
    return quic_path_silent(p) ? 2 + backup : backup;
}

// Of silent ones that is the better at whose end somebody still speaks: both sides come to the same one.
static bool better(const quic_path *a, const quic_path *b) {
    int rank_a = rank_of(a), rank_b = rank_of(b);
    if (rank_a != rank_b)
        return rank_a < rank_b;
    if (quic_path_silent(a) && a->received_at != b->received_at)
        return a->received_at > b->received_at;
    return a->id < b->id;
}

// Of several paths: the validated ones that are available and not silent, in order of their ids; without any, the first
// of the best that there are.
bool quic_conn_path_carries_data(const quic_conn *c, const quic_path *p) {
    if (!open_and_reachable(p))
        return false;
    for (size_t i = 0; rank_of(p) > 0 && i < c->path_count; i++) {
        const quic_path *other = c->paths[i];
        if (other != p && open_and_reachable(other) && better(other, p))
            return false;
    }
    return true;
}

// Acknowledgements go back on the path that they are about, where they measure it, unless it may lead nowhere.
bool quic_conn_path_acks_itself(const quic_path *p) {
    return open_and_reachable(p) && p->validated && !quic_path_silent(p);
}

void quic_conn_choose_path(quic_conn *c) {
    for (size_t i = 0; i < c->path_count; i++) {
        if (quic_conn_path_carries_data(c, c->paths[i])) {
            c->path = c->paths[i];
            return;
        }
    }
}

static bool same_addresses(const quic_path *p, const addr *remote, const addr *local) {
    return addr_equal(&p->remote, remote) &&
           (p->local.kind == ADDR_NONE || local->kind == ADDR_NONE || addr_equal(&p->local, local));
}

static quic_path *open_path_between(const quic_conn *c, const addr *remote, const addr *local) {
    for (size_t i = 0; i < c->path_count; i++) {
        if (!c->paths[i]->abandoned && same_addresses(c->paths[i], remote, local))
            return c->paths[i];
    }
    return NULL;
}

size_t quic_conn_open_paths(const quic_conn *c) {
    size_t n = 0;
    for (size_t i = 0; i < c->path_count; i++)
        n += !c->paths[i]->abandoned;
    return n;
}

// --- Starting and ending multipath

int quic_conn_multipath_start(quic_conn *c, uint64_t now) {
    if (c->transport.paths < 2 || !c->peer.has_max_path_id)
        return 0;
    const quic_cid *dcid = quic_path_dcid(c->path);
    if (dcid == NULL || dcid->len == 0)
        return QUIC_PROTOCOL_VIOLATION;
    quic_multipath *mp = calloc(1, sizeof *mp);
    if (mp == NULL)
        return QUIC_INTERNAL_ERROR;
    mp->local_max = c->transport.paths - 1;
    mp->peer_max = c->peer.max_path_id;
    mp->next_id = 1;
    mp->gone = RANGES_INIT;
    mp->grace_at = TIME_NEVER;
    if (c->transport.nat_candidates > 0 && c->peer.has_nat_traversal) {
        mp->nat = quic_nat_new(c->role, c->transport.nat_candidates, c->peer.nat_traversal);
        if (mp->nat == NULL) {
            free(mp);
            return QUIC_INTERNAL_ERROR;
        }
    }
    c->mp = mp;
    c->path->established = true;
    c->path->idle_timeout = c->transport.path_idle_timeout;
    c->path->keep_alive = c->transport.path_keep_alive;
    quic_conn_path_active(c, c->path, now);
    return 0;
}

void quic_conn_multipath_free(quic_conn *c) {
    list_link *l;
    while ((l = list_pop_front(&c->off_path)) != NULL)
        free(list_entry(l, quic_off_path, link));
    while ((l = list_pop_front(&c->path_events)) != NULL)
        free(list_entry(l, quic_path_event_item, link));
    for (size_t i = 0; i < c->path_count; i++)
        quic_path_free(c->paths[i], quic_endpoint_frames(c->ep));
    c->path_count = 0;
    quic_conn_cids_dispose(c);
    if (c->mp == NULL)
        return;
    ranges_dispose(&c->mp->gone);
    free(c->mp->abandons);
    free(c->mp->lost);
    quic_nat_free(c->mp->nat);
    free(c->mp);
    c->mp = NULL;
}

bool quic_conn_has_multipath(const quic_conn *c) {
    return c->mp != NULL;
}

bool quic_conn_has_nat_traversal(const quic_conn *c) {
    return c->mp != NULL && c->mp->nat != NULL;
}

// --- Reports

void quic_conn_report_path(quic_conn *c, const quic_path_event *event) {
    quic_path_event_item *item;
    if (c->released)
        return;
    if (c->path_event_count == CONN_PATH_EVENTS_MAX) {
        item = list_entry(list_pop_front(&c->path_events), quic_path_event_item, link);
        c->path_event_count--;
    } else {
        item = malloc(sizeof *item);
    }
    if (item == NULL)
        return;  // the state itself can be asked for
    item->event = *event;
    list_push_back(&c->path_events, &item->link);
    c->path_event_count++;
    quic_conn_event(c, CONN_PATH);
}

bool quic_conn_next_path_event(quic_conn *c, quic_path_event *out) {
    list_link *l = list_pop_front(&c->path_events);
    if (l == NULL)
        return false;
    quic_path_event_item *item = list_entry(l, quic_path_event_item, link);
    *out = item->event;
    c->path_event_count--;
    free(item);
    return true;
}

void quic_conn_path_established(quic_conn *c, quic_path *p, uint64_t now) {
    quic_mtud_start(&p->mtud, now);
    quic_conn_choose_path(c);
    if (p->established || c->mp == NULL)
        return;
    p->established = true;
    quic_conn_report_path(c, &(quic_path_event){.kind = PATH_EVENT_ESTABLISHED, .path = p->id, .address = p->remote});
}

// --- Opening

// The first validated path between the same addresses vouches for a new one and lends it its round-trip time.
static void inherit(const quic_conn *c, quic_path *p) {
    for (size_t i = 0; i < c->path_count; i++) {
        const quic_path *other = c->paths[i];
        if (other == p || other->abandoned || !other->validated || !same_addresses(other, &p->remote, &p->local))
            continue;
        p->validated = true;
        if (other->rtt.sampled)
            quic_rtt_init(&p->rtt, time_max(other->rtt.smoothed, other->rtt.latest));
        return;
    }
}

quic_path *quic_conn_path_begin(quic_conn *c, quic_path_cids *cids, const addr *remote, const addr *local,
                                uint64_t now) {
    quic_path *p = quic_conn_path_add(c, cids, remote, local, now);
    if (p == NULL)
        return NULL;
    inherit(c, p);
    p->challenge_wanted = true;
    p->observed_wanted = c->transport.send_observed;
    p->idle_timeout = c->transport.path_idle_timeout;
    p->keep_alive = c->transport.path_keep_alive;
    p->received_at = now;
    quic_conn_path_active(c, p, now);
    c->mp->grace_at = TIME_NEVER;
    if (p->validated)
        quic_mtud_start(&p->mtud, now);
    quic_conn_choose_path(c);
    return p;
}

int quic_conn_open_path(quic_conn *c, const addr *remote, const addr *local, quic_path_status status, uint64_t now,
                        uint32_t *id) {
    quic_multipath *mp = c->mp;
    if (c->state >= CONN_CLOSING)
        return IROH_ERR_CLOSED;
    if (mp == NULL || c->role != QUIC_CLIENT)
        return IROH_ERR_UNSUPPORTED;
    const quic_path *there = open_path_between(c, remote, local);
    if (there != NULL) {
        *id = there->id;
        return 0;
    }
    quic_conn_wake(c);
    if (mp->next_id > mp->peer_max || mp->next_id > mp->local_max) {
        // Only the peer's limit is the peer's business.
        mp->paths_blocked_wanted = c->control_wait = mp->next_id > mp->peer_max;
        mp->blocked_at = mp->peer_max;
        return IROH_ERR_AGAIN;
    }
    quic_path_cids *cids = quic_conn_cids(c, (uint32_t)mp->next_id);
    if (cids == NULL || quic_peer_cids_active(&cids->peer) == NULL) {
        mp->cids_blocked_wanted = c->control_wait = true;
        mp->blocked_id = (uint32_t)mp->next_id;
        return IROH_ERR_AGAIN;
    }
    if (c->path_count == CONN_PATHS_MAX)
        return IROH_ERR_LIMIT;
    quic_path *p = quic_conn_path_begin(c, cids, remote, local, now);
    if (p == NULL)
        return IROH_ERR_NOMEM;
    mp->next_id++;
    p->status = status;
    quic_conn_choose_path(c);
    *id = p->id;
    return 0;
}

// False when others must wait, too.
static bool reopen_lost(quic_conn *c, uint64_t now) {
    quic_multipath *mp = c->mp;
    const addr any = {0};
    uint32_t id;
    while (mp->lost_count > 0) {
        const quic_lost_path *l = &mp->lost[mp->lost_count - 1];
        int r = quic_conn_open_path(c, &l->remote, &any, l->status, now, &id);
        if (r == IROH_ERR_AGAIN || r == IROH_ERR_LIMIT)
            return false;
        mp->lost_count--;
    }
    return true;
}

void quic_conn_reopen(quic_conn *c, uint64_t now) {
    size_t at = 0;
    addr to, any = {0};
    uint32_t id;
    if (c->mp == NULL || !reopen_lost(c, now) || c->mp->nat == NULL)
        return;
    while (quic_nat_next_open(c->mp->nat, &at, &to)) {
        int r = quic_conn_open_path(c, &to, &any, PATH_BACKUP, now, &id);
        if (r == IROH_ERR_AGAIN)
            return;
        quic_nat_opened(c->mp->nat, &to);
    }
}

// --- Settings and state

int quic_conn_set_path_status(quic_conn *c, uint32_t id, quic_path_status status) {
    quic_path *p = quic_conn_path(c, id);
    if (p == NULL || p->abandoned)
        return IROH_ERR_NOT_FOUND;
    if (p->status == status && p->status_seq > 0)
        return 0;
    p->status = status;
    quic_conn_choose_path(c);
    if (c->mp == NULL)
        return 0;
    p->status_seq++;
    p->status_wanted = c->control_wait = true;
    quic_conn_wake(c);
    return 0;
}

int quic_conn_set_path_timeouts(quic_conn *c, uint32_t id, uint64_t idle, uint64_t keep_alive, uint64_t now) {
    quic_path *p = quic_conn_path(c, id);
    if (p == NULL || p->abandoned)
        return IROH_ERR_NOT_FOUND;
    p->idle_timeout = idle;
    p->keep_alive = keep_alive;
    quic_conn_path_active(c, p, now);
    quic_conn_wake(c);
    return 0;
}

size_t quic_conn_paths(const quic_conn *c, quic_path_info *out, size_t room) {
    for (size_t i = 0; i < c->path_count && i < room; i++) {
        const quic_path *p = c->paths[i];
        out[i] = (quic_path_info){
            .id = p->id,
            .remote = p->remote,
            .local = p->local,
            .validated = p->validated,
            .abandoned = p->abandoned,
            .in_use = p == c->path,
            .status = p->status,
            .peer_status = p->peer_status,
            .rtt = p->rtt,
            .window = p->cc.window,
            .in_flight = quic_conn_in_flight(c, p),
            .bytes_sent = p->bytes_out,
            .bytes_received = p->bytes_in,
            .datagrams_sent = p->datagrams_out,
            .datagrams_received = p->datagrams_in,
            .lost_packets = p->lost_packets,
            .lost_bytes = p->lost_bytes,
            .mtu = p->mtud.current,
            .observed = p->observed,
        };
    }
    return c->path_count;
}

// --- Network changes

// The same addresses still make sense: a fresh connection id, and a probe that shows at once whether they work.
static void recover(quic_conn *c, quic_path *p) {
    (void)quic_conn_rotate_cid(c, p->cids);
    p->pto_count = 0;
    p->ping_wanted = p->hurry_wanted = true;
}

// Without memory for it the layer above may find another way there.
static void remember_lost(quic_multipath *mp, const addr *remote, quic_path_status status) {
    for (size_t i = 0; i < mp->lost_count; i++) {
        if (addr_equal(&mp->lost[i].remote, remote))
            return;
    }
    quic_lost_path *grown =
        mp->lost_count < CONN_PATHS_MAX ? realloc(mp->lost, (mp->lost_count + 1U) * sizeof *grown) : NULL;
    if (grown == NULL)
        return;
    mp->lost = grown;
    mp->lost[mp->lost_count++] = (quic_lost_path){.remote = *remote, .status = status};
}

// A new path to where the old one led. When it is the last one, the new one must be there before the old one goes.
static void replace(quic_conn *c, quic_path *p, uint64_t now) {
    addr any = {0};
    addr remote = p->remote;
    uint32_t id;
    quic_path_status status = p->status;
    if (c->role == QUIC_CLIENT) {
        // Not to be found as the path between these addresses.
        p->abandoned = true;
        int r = quic_conn_open_path(c, &remote, &any, status, now, &id);
        p->abandoned = false;
        if (r == 0) {
            quic_path *fresh = quic_conn_path(c, id);
            fresh->local = any;
            quic_conn_abandon(c, p, PATH_CODE_UNSTABLE_OR_POOR, false, now);
            return;
        }
        if (quic_conn_open_paths(c) > 1 && (r == IROH_ERR_AGAIN || r == IROH_ERR_LIMIT))
            remember_lost(c->mp, &remote, status);
    }
    if (quic_conn_open_paths(c) > 1) {
        quic_conn_abandon(c, p, PATH_CODE_UNSTABLE_OR_POOR, false, now);
        return;
    }
    // The only one goes on from whatever address the system chooses; the old one is no more.
    p->local = any;
    recover(c, p);
}

void quic_conn_network_changed(quic_conn *c, bool (*recoverable)(void *user, const addr *local, const addr *remote),
                               void *user, uint64_t now) {
    quic_path *before[CONN_PATHS_MAX];
    size_t count = c->path_count;
    if (c->state >= CONN_CLOSING)
        return;
    memcpy(before, c->paths, count * sizeof *before);
    for (size_t i = 0; i < count; i++) {
        quic_path *p = before[i];
        if (p->abandoned)
            continue;
        bool keep = recoverable != NULL ? recoverable(user, &p->local, &p->remote) : c->role == QUIC_SERVER;
        if (keep || c->mp == NULL || !c->confirmed)
            recover(c, p);
        else
            replace(c, p, now);
    }
    quic_conn_wake(c);
}

// --- Off-path packets

quic_off_path *quic_conn_off_path_add(quic_conn *c, uint32_t path, const addr *to, const addr *from) {
    if (c->off_path_count == CONN_OFF_PATH_MAX)
        return NULL;
    quic_off_path *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->path = path;
    o->to = *to;
    o->from = *from;
    o->room = QUIC_MIN_INITIAL;
    list_push_back(&c->off_path, &o->link);
    c->off_path_count++;
    return o;
}

quic_off_path *quic_conn_off_path_answer(quic_conn *c, uint32_t path, const addr *to, const addr *from) {
    for (list_link *l = c->off_path.next; l != &c->off_path; l = l->next) {
        quic_off_path *o = list_entry(l, quic_off_path, link);
        if (!o->has_response || o->path != path || !addr_equal(&o->to, to))
            continue;
        o->from = *from;
        return o;
    }
    quic_off_path *o = quic_conn_off_path_add(c, path, to, from);
    if (o != NULL)
        o->has_response = true;
    return o;
}

void quic_conn_off_path_drop(quic_conn *c, quic_off_path *o) {
    list_remove(&o->link);
    c->off_path_count--;
    free(o);
}
