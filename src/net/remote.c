#include "net/remote.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#define KNOWN_ROOM_MIN 4  // addresses that the table begins with

// What both sides had to offer in the latest round.
struct remote_round {
    uint64_t when;  // ns
    size_t local_count, peer_count;
    addr locals[REMOTE_CANDIDATES_MAX], peers[REMOTE_CANDIDATES_MAX];
};

// The paths of one connection that work.
typedef struct path_list {
    quic_path_info at[REMOTE_PATHS_MAX];
    size_t count;
} path_list;

static const addr any = {.kind = ADDR_NONE};

void remote_init(remote *r, const uint8_t id[static 32], const remote_ops *ops, const remote_locals *locals,
                 uint64_t now) {
    *r = (remote){.ops = ops, .locals = locals};
    memcpy(r->id, id, sizeof r->id);
    list_init(&r->link);
    list_init(&r->conns);
    r->round_at = r->open_at = r->upgrade_at = TIME_NEVER;
    r->forget_at = time_add(now, REMOTE_FORGET);
}

void remote_dispose(remote *r) {
    free(r->known);
    free(r->round);
    r->known = NULL;
    r->round = NULL;
    r->known_count = 0;
}

// --- Known addresses

static bool contains(const addr *list, size_t count, const addr *a) {
    for (size_t i = 0; i < count; i++) {
        if (addr_equal(&list[i], a))
            return true;
    }
    return false;
}

static remote_address *find_known(const remote *r, const addr *a) {
    for (size_t i = 0; i < r->known_count; i++) {
        if (addr_equal(&r->known[i].address, a))
            return &r->known[i];
    }
    return NULL;
}

// The longest inactive direct address; null: none.
static remote_address *oldest_inactive(remote *r) {
    remote_address *oldest = NULL;
    for (size_t i = 0; i < r->known_count; i++) {
        remote_address *k = &r->known[i];
        if (k->status == REMOTE_INACTIVE && k->address.kind != ADDR_RELAY &&
            (oldest == NULL || k->since < oldest->since))
            oldest = k;
    }
    return oldest;
}

static void prune(remote *r) {
    size_t direct = 0;
    for (size_t i = 0; i < r->known_count; i++)
        direct += r->known[i].address.kind != ADDR_RELAY;
    remote_address *k;
    for (size_t i = 0; direct >= REMOTE_DIRECT_MAX && i < REMOTE_DIRECT_DROP && (k = oldest_inactive(r)) != NULL; i++)
        *k = r->known[--r->known_count];
}

// Room for one more.
static bool reserve_known(remote *r) {
    if (r->known_count == REMOTE_KNOWN_MAX)
        return false;
    if (r->known_count < r->known_room)
        return true;
    size_t room = r->known_room > 0 ? 2 * r->known_room : KNOWN_ROOM_MIN;
    remote_address *grown = realloc(r->known, room * sizeof *grown);
    if (grown == NULL)
        return false;
    r->known = grown;
    r->known_room = room;
    return true;
}

static remote_address *learn(remote *r, const addr *address) {
    remote_address *k = find_known(r, address);
    if (k != NULL)
        return k;
    prune(r);
    if (!reserve_known(r))
        return NULL;
    k = &r->known[r->known_count++];
    *k = (remote_address){.address = *address, .status = REMOTE_UNKNOWN};
    return k;
}

void remote_learn(remote *r, const addr *address, uint64_t now) {
    if (address->kind != ADDR_NONE)
        (void)learn(r, address);
    if (list_empty(&r->conns))
        r->forget_at = time_add(now, REMOTE_FORGET);
}

// What another machine behind another router calls by the same address as we call ourselves is not to be had from here.
static bool is_own(const remote *r, const addr *a) {
    return contains(r->locals->list, r->locals->count, a);
}

// With a path in use, those that were never tried are added: the peer may have come back elsewhere.
static size_t add_known(const remote *r, bool relays, addr *out, size_t count, size_t room) {
    for (size_t i = 0; i < r->known_count && count < room; i++) {
        const addr *a = &r->known[i].address;
        bool wanted = !r->has_choice || r->known[i].status == REMOTE_UNKNOWN;
        if (wanted && (a->kind == ADDR_RELAY) == relays && !is_own(r, a) && !contains(out, count, a))
            out[count++] = *a;
    }
    return count;
}

size_t remote_dial_addresses(const remote *r, addr *out, size_t room) {
    size_t count = 0;
    if (r->has_choice && room > 0)
        out[count++] = r->choice.remote;
    count = add_known(r, true, out, count, room);
    return add_known(r, false, out, count, room);
}

// --- Paths of a connection

static void list_paths(const remote *r, const remote_conn *c, path_list *out) {
    size_t count = r->ops->paths(c->conn, out->at, REMOTE_PATHS_MAX);
    count = count < REMOTE_PATHS_MAX ? count : REMOTE_PATHS_MAX;
    out->count = 0;
    for (size_t i = 0; i < count; i++) {
        if (!out->at[i].abandoned)
            out->at[out->count++] = out->at[i];
    }
}

static path_ends ends_of(const quic_path_info *p) {
    return (path_ends){.remote = p->remote, .local = p->local};
}

static bool is_choice(const remote *r, const quic_path_info *p) {
    path_ends ends = ends_of(p);
    return r->has_choice && path_ends_equal(&ends, &r->choice);
}

bool remote_is_chosen(const remote *r, const addr *address, const addr *local) {
    const path_ends ends = {.remote = *address, .local = *local};
    return r->has_choice && path_ends_equal(&ends, &r->choice);
}

static void open_path(remote *r, remote_conn *c, const path_ends *ends, quic_path_status status, uint64_t now) {
    uint32_t id;
    if (r->ops->open_path(c->conn, &ends->remote, &ends->local, status, now, &id) == IROH_ERR_AGAIN)
        r->open_at = time_min(r->open_at, time_add(now, REMOTE_OPEN_RETRY));
}

// A client without a relayed path opens one over each relay of the peer, against the day when the direct one fails.
static void open_relayed(remote *r, remote_conn *c, const path_list *paths, uint64_t now) {
    for (size_t i = 0; i < paths->count; i++) {
        if (paths->at[i].remote.kind == ADDR_RELAY)
            return;
    }
    for (size_t i = 0; i < r->known_count; i++) {
        const path_ends ends = {.remote = r->known[i].address, .local = any};
        if (ends.remote.kind == ADDR_RELAY)
            open_path(r, c, &ends, PATH_BACKUP, now);
    }
}

static bool choice_works(const remote *r, const path_list *paths) {
    for (size_t i = 0; i < paths->count; i++) {
        if (paths->at[i].validated && is_choice(r, &paths->at[i]))
            return true;
    }
    return false;
}

static size_t count_direct(const path_list *paths) {
    size_t n = 0;
    for (size_t i = 0; i < paths->count; i++)
        n += paths->at[i].validated && addr_is_ip(&paths->at[i].remote);
    return n;
}

// Tells each path its part. A client closes the direct ones that lost, but only once the winner works on this
// connection.
static void apply(remote *r, remote_conn *c, uint64_t now) {
    path_list paths;
    list_paths(r, c, &paths);
    bool client = r->ops->is_client(c->conn), works = choice_works(r, &paths);
    bool may_close = client && works && count_direct(&paths) > 1;
    if (client && !works)
        open_path(r, c, &r->choice, PATH_AVAILABLE, now);
    for (size_t i = 0; i < paths.count; i++) {
        const quic_path_info *p = &paths.at[i];
        if (!p->validated)
            continue;
        if (may_close && addr_is_ip(&p->remote) && !is_choice(r, p))
            (void)r->ops->close_path(c->conn, p->id, PATH_CODE_APPLICATION, now);
        else
            (void)r->ops->set_path_status(c->conn, p->id, is_choice(r, p) ? PATH_AVAILABLE : PATH_BACKUP);
    }
}

// --- The choice

static size_t weigh(const remote *r, const remote_conn *c, path_candidate *out, size_t count) {
    path_list paths;
    list_paths(r, c, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        if (paths.at[i].validated)
            out[count++] = (path_candidate){.ends = ends_of(&paths.at[i]), .rtt = paths.at[i].rtt.smoothed};
    }
    return count;
}

// True when it changed. `c` is the connection with the news, null: none.
static bool choose(remote *r, const remote_conn *c) {
    path_candidate found[(REMOTE_WEIGHED_MAX + 1) * REMOTE_PATHS_MAX];
    size_t count = c != NULL ? weigh(r, c, found, 0) : 0;
    int weighed = 0;
    for (list_link *l = r->conns.next; l != &r->conns && weighed < REMOTE_WEIGHED_MAX; l = l->next, weighed++) {
        const remote_conn *other = list_entry(l, remote_conn, link);
        if (other != c)
            count = weigh(r, other, found, count);
    }
    int best = path_choose(found, count, r->has_choice ? &r->choice : NULL);
    if (best < 0)
        return false;
    bool same = r->has_choice && path_ends_equal(&r->choice, &found[best].ends);
    r->choice = found[best].ends;
    r->has_choice = true;
    return !same;
}

// After news of `c`: the others hear of it only when the choice changed.
static void choose_and_apply(remote *r, remote_conn *c, uint64_t now) {
    bool changed = choose(r, c);
    if (!r->has_choice)
        return;
    for (list_link *l = r->conns.next; changed && l != &r->conns; l = l->next) {
        if (list_entry(l, remote_conn, link) != c)
            apply(r, list_entry(l, remote_conn, link), now);
    }
    if (c != NULL)
        apply(r, c, now);
}

// --- Rounds

static remote_conn *first_client(const remote *r) {
    for (list_link *l = r->conns.next; l != &r->conns; l = l->next) {
        remote_conn *c = list_entry(l, remote_conn, link);
        if (r->ops->is_client(c->conn))
            return c;
    }
    return NULL;
}

static bool all_in(const addr *some, size_t count, const addr *list, size_t list_count) {
    for (size_t i = 0; i < count; i++) {
        if (!contains(list, list_count, &some[i]))
            return false;
    }
    return true;
}

static bool is_old_news(const remote *r, const addr *peers, size_t peer_count) {
    const remote_round *last = r->round;
    return last != NULL && all_in(peers, peer_count, last->peers, last->peer_count) &&
           all_in(r->locals->list, r->locals->count, last->locals, last->local_count);
}

static void note_round(remote *r, const addr *peers, size_t peer_count, uint64_t now) {
    r->rounds++;
    if (r->round == NULL)
        r->round = malloc(sizeof *r->round);
    if (r->round == NULL)
        return;  // then the next reason for a round counts as new
    r->round->when = now;
    r->round->local_count = r->locals->count;
    r->round->peer_count = peer_count;
    memcpy(r->round->locals, r->locals->list, r->locals->count * sizeof *r->locals->list);
    memcpy(r->round->peers, peers, peer_count * sizeof *peers);
}

static void start_round(remote *r, uint64_t now) {
    addr peers[REMOTE_CANDIDATES_MAX];
    remote_conn *c = first_client(r);
    if (c == NULL || r->locals->count == 0)
        return;
    size_t count = r->ops->candidates(c->conn, peers, REMOTE_CANDIDATES_MAX);
    count = count < REMOTE_CANDIDATES_MAX ? count : REMOTE_CANDIDATES_MAX;
    if (is_old_news(r, peers, count) && now < time_add(r->round->when, REMOTE_ROUND_INTERVAL)) {
        r->round_at = time_add(r->round->when, REMOTE_ROUND_INTERVAL);
        return;
    }
    r->round_at = TIME_NEVER;
    int error = r->ops->start_round(c->conn, now);
    if (error == 0)
        note_round(r, peers, count, now);
    else if (error == IROH_ERR_AGAIN)
        r->round_at = time_add(now, REMOTE_ROUND_RETRY);
}

static bool is_good_enough(const remote *r, const remote_conn *c) {
    path_list paths;
    list_paths(r, c, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        const quic_path_info *p = &paths.at[i];
        if (p->validated && addr_is_ip(&p->remote) && p->rtt.smoothed <= REMOTE_GOOD_RTT)
            return true;
    }
    return false;
}

// --- What happens

static void set_status(remote *r, const addr *address, uint8_t status, uint64_t now) {
    remote_address *k = learn(r, address);
    if (k != NULL) {
        k->status = status;
        k->since = now;
    }
}

static void register_path(remote *r, remote_conn *c, uint32_t id, const addr *address, uint64_t now) {
    if (address->kind == ADDR_RELAY)
        (void)r->ops->set_path_timeouts(c->conn, id, REMOTE_RELAY_IDLE, REMOTE_KEEP_ALIVE, now);
    set_status(r, address, REMOTE_OPEN, now);
}

void remote_add(remote *r, remote_conn *c, uint64_t now) {
    path_list paths;
    list_push_back(&r->conns, &c->link);
    r->forget_at = TIME_NEVER;
    for (size_t i = 0; i < r->locals->count; i++)
        (void)r->ops->add_candidate(c->conn, &r->locals->list[i]);
    list_paths(r, c, &paths);
    for (size_t i = 0; i < paths.count; i++)
        register_path(r, c, paths.at[i].id, &paths.at[i].remote, now);
    if (r->ops->is_client(c->conn)) {
        open_relayed(r, c, &paths, now);
        r->upgrade_at = time_min(r->upgrade_at, time_add(now, REMOTE_UPGRADE_INTERVAL));
    }
    start_round(r, now);
    choose_and_apply(r, c, now);
}

void remote_drop(remote *r, remote_conn *c, uint64_t now) {
    list_remove(&c->link);
    if (!list_empty(&r->conns))
        return;
    for (size_t i = 0; i < r->known_count; i++) {
        if (r->known[i].status == REMOTE_OPEN)
            set_status(r, &r->known[i].address, REMOTE_INACTIVE, now);
    }
    r->has_choice = false;
    r->round_at = r->open_at = r->upgrade_at = TIME_NEVER;
    r->forget_at = time_add(now, REMOTE_FORGET);
    free(r->round);
    r->round = NULL;
}

static void path_abandoned(remote *r, remote_conn *c, const addr *address, uint64_t now) {
    path_list paths;
    list_paths(r, c, &paths);
    for (size_t i = 0; i < paths.count; i++) {
        if (addr_equal(&paths.at[i].remote, address))
            return;
    }
    if (find_known(r, address) != NULL)
        set_status(r, address, REMOTE_INACTIVE, now);
}

void remote_on_event(remote *r, remote_conn *c, const quic_path_event *event, uint64_t now) {
    switch (event->kind) {
    case PATH_EVENT_ESTABLISHED:
        register_path(r, c, event->path, &event->address, now);
        choose_and_apply(r, c, now);
        break;
    case PATH_EVENT_ABANDONED:
        path_abandoned(r, c, &event->address, now);
        choose_and_apply(r, c, now);
        break;
    case PATH_EVENT_CANDIDATES:
        start_round(r, now);
        break;
    default:
        break;
    }
}

void remote_locals_changed(remote *r, const remote_locals *before, uint64_t now) {
    for (list_link *l = r->conns.next; l != &r->conns; l = l->next) {
        void *conn = list_entry(l, remote_conn, link)->conn;
        for (size_t i = 0; i < before->count; i++) {
            if (!contains(r->locals->list, r->locals->count, &before->list[i]))
                (void)r->ops->remove_candidate(conn, &before->list[i]);
        }
        for (size_t i = 0; i < r->locals->count; i++) {
            if (!contains(before->list, before->count, &r->locals->list[i]))
                (void)r->ops->add_candidate(conn, &r->locals->list[i]);
        }
    }
    start_round(r, now);
}

void remote_network_changed(remote *r, uint64_t now) {
    start_round(r, now);
}

// --- Time

uint64_t remote_deadline(const remote *r) {
    return list_empty(&r->conns) ? r->forget_at : time_min(time_min(r->round_at, r->open_at), r->upgrade_at);
}

bool remote_is_forgettable(const remote *r, uint64_t now) {
    return list_empty(&r->conns) && r->forget_at <= now;
}

static void open_missing(remote *r, uint64_t now) {
    r->open_at = TIME_NEVER;
    for (list_link *l = r->conns.next; l != &r->conns; l = l->next) {
        remote_conn *c = list_entry(l, remote_conn, link);
        path_list paths;
        if (!r->ops->is_client(c->conn))
            continue;
        list_paths(r, c, &paths);
        open_relayed(r, c, &paths, now);
        if (r->has_choice && !choice_works(r, &paths))
            open_path(r, c, &r->choice, PATH_AVAILABLE, now);
    }
}

static void upgrade(remote *r, uint64_t now) {
    bool wanting = false;
    r->upgrade_at = first_client(r) != NULL ? time_add(now, REMOTE_UPGRADE_INTERVAL) : TIME_NEVER;
    for (list_link *l = r->conns.next; l != &r->conns && !wanting; l = l->next)
        wanting = !is_good_enough(r, list_entry(l, remote_conn, link));
    if (wanting)
        start_round(r, now);
    open_missing(r, now);
}

void remote_tick(remote *r, uint64_t now) {
    if (r->round_at <= now) {
        r->round_at = TIME_NEVER;
        start_round(r, now);
    }
    if (r->open_at <= now)
        open_missing(r, now);
    if (r->upgrade_at <= now)
        upgrade(r, now);
}
