// The QUIC endpoint: what all its connections share, and the collection of what they want to send.
#include "quic/endpoint.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/hkdf.h"
#include "quic/endpoint_state.h"

#define FRAMES_PER_SLAB 64

void quic_endpoint_config_default(quic_endpoint_config *c) {
    *c = (quic_endpoint_config){.incoming_max = 65536};
    quic_transport_default(&c->transport);
}

static void free_alpns(tls_alpn *alpns, size_t count) {
    for (size_t i = 0; i < count; i++)
        free((void *)(uintptr_t)alpns[i].name);
    free(alpns);
}

// A copy that owns its names; null when out of memory.
static tls_alpn *copy_alpns(const tls_alpn *alpns, size_t count) {
    tls_alpn *out = calloc(count > 0 ? count : 1, sizeof *out);
    for (size_t i = 0; out != NULL && i < count; i++) {
        uint8_t *name = malloc(alpns[i].len > 0 ? alpns[i].len : 1);
        if (name == NULL) {
            free_alpns(out, i);
            return NULL;
        }
        memcpy(name, alpns[i].name, alpns[i].len);
        out[i] = (tls_alpn){.name = name, .len = alpns[i].len};
    }
    return out;
}

int quic_endpoint_set_alpns(quic_endpoint *ep, const tls_alpn *alpns, size_t count) {
    tls_alpn *copy = copy_alpns(alpns, count);
    if (copy == NULL)
        return IROH_ERR_NOMEM;
    free_alpns(ep->alpns, ep->alpn_count);
    ep->alpns = copy;
    ep->alpn_count = count;
    return 0;
}

static int copy_suites(quic_endpoint *ep, const quic_endpoint_config *config) {
    if (config->suites == NULL || config->suite_count == 0) {
        ep->config.suite_count = 0;
        return 0;
    }
    ep->suites = malloc(config->suite_count * sizeof *ep->suites);
    if (ep->suites == NULL)
        return IROH_ERR_NOMEM;
    memcpy(ep->suites, config->suites, config->suite_count * sizeof *ep->suites);
    return 0;
}

static int make_keys(quic_endpoint *ep) {
    const entropy *random = &ep->config.random;
    uint8_t key[32];
    entropy_fill(random, key, sizeof key);
    entropy_fill(random, ep->reset_key, sizeof ep->reset_key);
    entropy_fill(random, ep->map_seed, sizeof ep->map_seed);
    int r = quic_token_key_init(&ep->token_key, key);
    wipe(key, sizeof key);
    return r;
}

int quic_endpoint_new(const quic_endpoint_config *config, quic_endpoint **out) {
    quic_endpoint *ep = calloc(1, sizeof *ep);
    if (ep == NULL)
        return IROH_ERR_NOMEM;
    ep->config = *config;
    ep->next_reset = 0;
    list_init(&ep->conns);
    list_init(&ep->sending);
    list_init(&ep->events);
    list_init(&ep->incoming);
    list_init(&ep->replies);
    list_init(&ep->graveyard);
    pool_init(&ep->frames, sizeof(quic_sent_frame), FRAMES_PER_SLAB, POOL_SLABS);
    int r = make_keys(ep);
    map_init(&ep->cids, ep->map_seed);
    map_init(&ep->routes, ep->map_seed);
    map_init(&ep->resets, ep->map_seed);
    if (r == 0)
        r = copy_suites(ep, config);
    if (r == 0)
        r = quic_endpoint_set_alpns(ep, config->alpns, config->alpn_count);
    if (r == 0) {
        ep->tls = config->tls->context_new(&config->identity, &ep->config.random);
        wipe(ep->config.identity.seed, sizeof ep->config.identity.seed);  // TLS has it now
        r = ep->tls == NULL ? IROH_ERR_CRYPTO : 0;
    }
    if (r != 0) {
        quic_endpoint_free(ep);
        return r;
    }
    *out = ep;
    return 0;
}

void quic_endpoint_free(quic_endpoint *ep) {
    if (ep == NULL)
        return;
    list_link *l;
    quic_endpoint_reap(ep);
    while ((l = list_pop_front(&ep->conns)) != NULL) {
        quic_conn *c = list_entry(l, quic_conn, all_link);
        heap_remove(&ep->timers, &c->timer);
        list_remove(&c->send_link);
        list_remove(&c->event_link);
        quic_conn_free(c);
    }
    while ((l = list_pop_front(&ep->incoming)) != NULL)
        quic_incoming_free(list_entry(l, quic_incoming, link));
    while ((l = list_pop_front(&ep->replies)) != NULL)
        free(list_entry(l, quic_reply, link));
    map_dispose(&ep->cids);
    map_dispose(&ep->routes);
    map_dispose(&ep->resets);
    heap_dispose(&ep->timers);
    pool_dispose(&ep->frames);
    quic_token_key_dispose(&ep->token_key);
    if (ep->tls != NULL)
        ep->config.tls->context_free(ep->tls);
    free_alpns(ep->alpns, ep->alpn_count);
    free(ep->suites);
    wipe(ep, sizeof *ep);
    free(ep);
}

// --- What connections need

const entropy *quic_endpoint_random(quic_endpoint *ep) {
    return &ep->config.random;
}

pool *quic_endpoint_frames(quic_endpoint *ep) {
    return &ep->frames;
}

const logger *quic_endpoint_logger(quic_endpoint *ep) {
    return ep->config.log;
}

const tls_backend *quic_endpoint_tls(quic_endpoint *ep, tls_context **context) {
    *context = ep->tls;
    return ep->config.tls;
}

void quic_endpoint_keylog(quic_endpoint *ep, const char *line) {
    ep->config.keylog(ep->config.keylog_user, line);
}

static uint64_t cid_key(const uint8_t cid[static QUIC_LOCAL_CID]) {
    uint64_t key;
    memcpy(&key, cid, sizeof key);
    return key;
}

int quic_endpoint_issue_cid(quic_endpoint *ep, quic_path_cids *cids, uint8_t out[static QUIC_LOCAL_CID]) {
    do
        entropy_fill(&ep->config.random, out, QUIC_LOCAL_CID);
    while (map_get(&ep->cids, cid_key(out)) != NULL);
    uint64_t seq;
    int r = map_put(&ep->cids, cid_key(out), cids);
    if (r == 0 && !quic_local_cids_issue(&cids->local, out, &seq)) {
        (void)map_remove(&ep->cids, cid_key(out));
        return IROH_ERR_LIMIT;
    }
    return r;
}

void quic_endpoint_drop_cid(quic_endpoint *ep, const uint8_t cid[static QUIC_LOCAL_CID]) {
    (void)map_remove(&ep->cids, cid_key(cid));
}

void quic_endpoint_reset_token_for(quic_endpoint *ep, const uint8_t cid[static QUIC_LOCAL_CID],
                                   uint8_t out[static QUIC_RESET_TOKEN]) {
    quic_cid id = {.len = QUIC_LOCAL_CID};
    memcpy(id.bytes, cid, QUIC_LOCAL_CID);
    quic_reset_token(ep->reset_key, &id, out);
}

int quic_endpoint_watch_reset(quic_endpoint *ep, quic_conn *c, const uint8_t token[static QUIC_RESET_TOKEN]) {
    return map_put(&ep->resets, cid_key(token), c);
}

void quic_endpoint_unwatch_reset(quic_endpoint *ep, quic_conn *c, const uint8_t token[static QUIC_RESET_TOKEN]) {
    if (map_get(&ep->resets, cid_key(token)) == c)
        (void)map_remove(&ep->resets, cid_key(token));
}

void quic_endpoint_schedule(quic_endpoint *ep, quic_conn *c) {
    if (!list_linked(&c->send_link))
        list_push_back(&ep->sending, &c->send_link);
}

void quic_endpoint_notify(quic_endpoint *ep, quic_conn *c) {
    if (!list_linked(&c->event_link))
        list_push_back(&ep->events, &c->event_link);
}

void quic_endpoint_set_timer(quic_endpoint *ep, quic_conn *c, uint64_t at) {
    if (at == TIME_NEVER)
        heap_remove(&ep->timers, &c->timer);
    else if (c->timer.index == 0 || c->timer.at != at)
        (void)heap_set(&ep->timers, &c->timer, at);  // room was reserved when the connection was added
}

void quic_endpoint_handshake_over(quic_endpoint *ep, quic_conn *c, bool completed) {
    if (c->counted)
        ep->handshakes--;
    c->counted = false;
    if (completed && !c->transport.errand)
        ep->stats.handshakes++;
}

quic_conn_new_config quic_endpoint_conn_config(const quic_endpoint *ep, quic_role role) {
    quic_conn_new_config config = {
        .role = role,
        .transport = &ep->config.transport,
        .alpns = ep->alpns,
        .alpn_count = ep->alpn_count,
        .suites = ep->suites,
        .suite_count = ep->config.suite_count,
        .keylog = ep->config.keylog != NULL,
    };
    entropy_fill(&ep->config.random, config.map_seed, sizeof config.map_seed);
    return config;
}

// After it no call on the connection needs memory in the endpoint for its timer.
int quic_endpoint_add_conn(quic_endpoint *ep, quic_conn *c) {
    int r = heap_reserve(&ep->timers, ep->conn_count + 1);
    if (r != 0)
        return r;
    list_push_back(&ep->conns, &c->all_link);
    ep->conn_count++;
    ep->errand_count += c->transport.errand;
    ep->handshakes++;
    c->counted = true;
    quic_endpoint_schedule(ep, c);
    return 0;
}

size_t quic_endpoint_make_token(quic_endpoint *ep, const addr *to, uint64_t now, uint8_t *out, size_t room) {
    static const quic_cid none = {0};
    uint8_t nonce[QUIC_TOKEN_NONCE];
    entropy_fill(&ep->config.random, nonce, sizeof nonce);
    int len = quic_token_make(&ep->token_key, QUIC_TOKEN_NEW, to, &none, ep->config.wall_clock + now, nonce, out, room);
    return len > 0 ? (size_t)len : 0;
}

void quic_endpoint_retire(quic_endpoint *ep, quic_conn *c) {
    quic_endpoint_handshake_over(ep, c, false);
    heap_remove(&ep->timers, &c->timer);
    list_remove(&c->send_link);
    quic_conn_cids_forget(c);
    if (c->hs != NULL && c->hs->route.linked)
        quic_endpoint_drop_route(ep, &c->hs->route);
    if (!c->released)
        return;
    list_remove(&c->event_link);
    if (list_linked(&c->all_link)) {
        list_remove(&c->all_link);
        ep->conn_count--;
        ep->errand_count -= c->transport.errand;
    }
    list_push_back(&ep->graveyard, &c->all_link);
}

void quic_endpoint_reap(quic_endpoint *ep) {
    list_link *l;
    while ((l = list_pop_front(&ep->graveyard)) != NULL)
        quic_conn_free(list_entry(l, quic_conn, all_link));
}

// --- Dialling

int quic_endpoint_connect(quic_endpoint *ep, const quic_connect_config *connect, uint64_t now, quic_conn **out) {
    if (connect->remote_count == 0 || connect->remote_count > CONN_REMOTES_MAX || connect->alpn_count == 0)
        return IROH_ERR_ARG;
    if (ep->closing)
        return IROH_ERR_CLOSED;
    ep->now = now;
    quic_conn_new_config config = quic_endpoint_conn_config(ep, QUIC_CLIENT);
    config.alpns = connect->alpns;
    config.alpn_count = connect->alpn_count;
    config.remote = connect->remotes[0];
    config.connect = connect;
    if (connect->transport != NULL)
        config.transport = connect->transport;
    config.odcid.len = QUIC_CID_MAX;
    entropy_fill(&ep->config.random, config.odcid.bytes, QUIC_CID_MAX);
    quic_conn *c;
    int r = quic_conn_new(ep, &config, now, &c);
    if (r != 0)
        return r;
    r = quic_endpoint_add_conn(ep, c);
    if (r != 0) {
        c->state = CONN_DEAD;
        c->released = true;
        quic_endpoint_retire(ep, c);
        return r;
    }
    if (ep->config.qlog != NULL)
        c->qlog = ep->config.qlog(ep->config.qlog_user, QUIC_CLIENT, &config.odcid);
    quic_qlog_started(c->qlog, now, &c->path->local, &c->path->remote);
    quic_conn_update_timer(c, now);
    *out = c;
    return 0;
}

// --- Time

uint64_t quic_endpoint_deadline(const quic_endpoint *ep) {
    if (!list_empty(&ep->sending) || !list_empty(&ep->replies))
        return 0;
    heap_item *first = heap_first(&ep->timers);
    return time_min(first != NULL ? first->at : TIME_NEVER, quic_endpoint_incoming_deadline(ep));
}

void quic_endpoint_timeout(quic_endpoint *ep, uint64_t now) {
    ep->now = now;
    quic_endpoint_reap(ep);
    quic_endpoint_expire_incoming(ep, now);
    heap_item *first;
    while ((first = heap_first(&ep->timers)) != NULL && first->at <= now) {
        quic_conn *c = heap_entry(first, quic_conn, timer);
        // Each due connection acts once and is then asked to send, which sets its next deadline.
        heap_remove(&ep->timers, first);
        quic_conn_timeout(c, now);
        if (c->state < CONN_DEAD && !list_linked(&c->send_link))
            quic_conn_update_timer(c, now);
    }
}

// --- Sending

quic_reply *quic_endpoint_reply(quic_endpoint *ep, const quic_datagram *d) {
    if (ep->reply_count >= ENDPOINT_REPLIES_MAX)
        return NULL;
    quic_reply *r = malloc(sizeof *r);
    if (r == NULL)
        return NULL;
    r->remote = d->remote;
    r->local = d->local;
    r->len = 0;
    list_push_back(&ep->replies, &r->link);
    ep->reply_count++;
    return r;
}

void quic_endpoint_reply_drop(quic_endpoint *ep, quic_reply *r) {
    list_remove(&r->link);
    ep->reply_count--;
    free(r);
}

static bool transmit_reply(quic_endpoint *ep, uint8_t *room, quic_transmit *out) {
    if (list_empty(&ep->replies))
        return false;
    quic_reply *r = list_entry(ep->replies.next, quic_reply, link);
    memcpy(room, r->bytes, r->len);
    *out = (quic_transmit){.remote = r->remote, .local = r->local, .len = r->len, .segment = r->len};
    quic_endpoint_reply_drop(ep, r);
    return true;
}

static void count_sent(quic_endpoint *ep, const quic_transmit *t) {
    ep->stats.bytes_sent += t->len;
    ep->stats.datagrams_sent += (t->len + t->segment - 1) / t->segment;
}

bool quic_endpoint_transmit(quic_endpoint *ep, uint64_t now, uint8_t *room, size_t room_len, size_t max_segments,
                            quic_transmit *out) {
    ep->now = now;
    quic_endpoint_reap(ep);
    if (transmit_reply(ep, room, out)) {
        count_sent(ep, out);
        return true;
    }
    while (!list_empty(&ep->sending)) {
        quic_conn *c = list_entry(ep->sending.next, quic_conn, send_link);
        // One batch each in turn, so that no connection waits for another's whole window.
        list_remove(&c->send_link);
        if (c->state == CONN_DEAD)
            continue;
        if (quic_conn_transmit(c, now, room, room_len, max_segments, out)) {
            list_push_back(&ep->sending, &c->send_link);
            count_sent(ep, out);
            return true;
        }
        quic_conn_update_timer(c, now);
    }
    return false;
}

// --- Events and the end

quic_conn *quic_endpoint_next_event(quic_endpoint *ep, uint32_t *events) {
    quic_endpoint_reap(ep);
    list_link *l = list_pop_front(&ep->events);
    if (l == NULL)
        return NULL;
    quic_conn *c = list_entry(l, quic_conn, event_link);
    *events = c->events;
    c->events = 0;
    return c;
}

void quic_endpoint_close(quic_endpoint *ep, uint64_t code, const uint8_t *reason, size_t reason_len, uint64_t now) {
    ep->closing = true;
    for (list_link *l = ep->conns.next; l != &ep->conns; l = l->next)
        quic_conn_close(list_entry(l, quic_conn, all_link), code, reason, reason_len, now);
    list_link *l;
    while ((l = ep->incoming.next) != &ep->incoming)
        quic_incoming_refuse(list_entry(l, quic_incoming, link), now);
}

size_t quic_endpoint_unfinished(const quic_endpoint *ep) {
    size_t n = 0;
    for (const list_link *l = ep->conns.next; l != &ep->conns; l = l->next) {
        const quic_conn *c = list_entry(l, quic_conn, all_link);
        bool alone = c->transport.errand || c->packets_received == 0;
        n += c->state < (alone ? CONN_CLOSING : CONN_DRAINING);
    }
    return n;
}

void quic_endpoint_stats_get(const quic_endpoint *ep, quic_endpoint_stats *out) {
    *out = ep->stats;
    out->connections = ep->conn_count - ep->errand_count;
}
