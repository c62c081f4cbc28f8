#include "relays.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "crypto/ed25519.h"

#define URL "http://relay.sim/"
#define BLOCKS 4000

typedef struct piece {
    struct piece *next;
    uint64_t arrival;
    size_t len;
    uint8_t bytes[];
} piece;

// What is on its way in one direction, in order.
typedef struct stream {
    piece *first, *last;
    size_t bytes;
    uint64_t busy_until;
} stream;

typedef struct sim_line {
    struct sim_line *next;
    sim_relay_end *end;
    relay_session session;
    stream up, down;
    bool silent;       // nothing arrives
    bool left, ended;  // the client, the server has closed its side
    uint64_t left_at;  // when the other side learns of that
    uint64_t ended_at;
    http_scan scan;  // of the request
    uint8_t head[RELAY_BLOCK_ROOM];
    size_t head_len;
    bool upgraded;
} sim_line;

static void fill(void *user, void *out, size_t len) {
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)sim_random(user);
}

// --- Streams

static void send_bytes(const sim_relay *r, stream *s, const uint8_t *bytes, size_t len) {
    piece *p = malloc(sizeof *p + len);
    if (p == NULL)
        abort();
    s->busy_until = time_max(s->busy_until, r->world->now) + (r->rate > 0 ? len * NS_PER_S / r->rate : 0);
    *p = (piece){.arrival = s->busy_until + r->delay, .len = len};
    memcpy(p->bytes, bytes, len);
    if (s->last != NULL)
        s->last->next = p;
    else
        s->first = p;
    s->last = p;
    s->bytes += len;
}

static piece *arrived(stream *s, uint64_t now) {
    piece *p = s->first;
    if (p == NULL || p->arrival > now)
        return NULL;
    s->first = p->next;
    if (s->first == NULL)
        s->last = NULL;
    s->bytes -= p->len;
    return p;
}

static void drop_stream(stream *s) {
    for (piece *p; (p = arrived(s, TIME_NEVER)) != NULL;)
        free(p);
}

// What a queue holds, as far as there is room: whether that was all.
static bool pump(const sim_relay *r, relay_queue *q, stream *s, bool *any) {
    *any = false;
    while (relay_queue_pending(q)) {
        if (s->bytes >= SIM_RELAY_WINDOW)
            return false;
        relay_block *b = relay_queue_take(q);
        send_bytes(r, s, b->bytes + b->start, b->end - b->start);
        relay_queue_done(q, b);
        *any = true;
    }
    return true;
}

static void pump_client(sim_relay *r, sim_relay_end *e) {
    bool any;
    if (e->line == NULL || e->line->left)
        return;
    bool all = pump(r, &e->client.queue, &e->line->up, &any);
    relay_client_wrote(&e->client, all, any, r->world->now);
}

static void pump_server(sim_relay *r, sim_line *l) {
    bool any;
    if (l->ended)
        return;
    bool all = pump(r, &l->session.queue, &l->down, &any);
    relay_session_wrote(&l->session, all, any, r->world->now);
}

// --- The ends of a connection

// One side has closed it; the other learns that when it is open to the network.
static void leave(const sim_relay *r, sim_line *l) {
    if (l->left)
        return;
    l->left = true;
    l->left_at = l->silent ? TIME_NEVER : r->world->now + r->delay;
    l->end->line = NULL;
}

static void end_session(const sim_relay *r, sim_line *l) {
    if (l->ended)
        return;
    relay_session_close(&l->session, r->world->now);
    l->ended = true;
    l->ended_at = l->silent ? TIME_NEVER : r->world->now + r->delay;
}

static void learn(sim_relay *r, sim_line *l) {
    if (l->left && !l->ended && l->left_at <= r->world->now)
        end_session(r, l);
    if (l->ended && !l->left && l->ended_at <= r->world->now) {
        sim_relay_end *e = l->end;
        leave(r, l);
        relay_client_lost(&e->client, IROH_ERR_IO, r->world->now);
    }
}

static void free_line(sim_line *l) {
    drop_stream(&l->up);
    drop_stream(&l->down);
    free(l);
}

// Those that both sides have left.
static void sweep(sim_relay *r) {
    for (sim_line **at = &r->lines; *at != NULL;) {
        sim_line *l = *at;
        if (!l->left || !l->ended) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free_line(l);
    }
}

// --- What arrives

static void answer(sim_relay *r, sim_line *l) {
    char accept[WS_ACCEPT_SIZE];
    uint8_t text[256];
    http_head h;
    if (http_request_parse(l->head, l->head_len, &h) != 0 || !http_text_is_nocase(&h.method, "GET"))
        sim_fail(r->world, "the request cannot be read");
    const http_text *key = http_field_find(&h, "sec-websocket-key", NULL);
    if (key == NULL) {
        sim_fail(r->world, "the request has no key");
        return;
    }
    ws_accept(key->p, key->len, accept);
    writer w = writer_of(text, sizeof text);
    http_put_status(&w, 101);
    http_put_text(&w, "sec-websocket-accept", accept);
    http_put_text(&w, "sec-websocket-protocol", RELAY_V2_NAME);
    http_put_end(&w);
    send_bytes(r, &l->down, text, writer_len(&w));
    l->upgraded = true;
    (void)relay_session_start(&l->session, RELAY_V2, NULL, r->world->now);
}

static void server_hears(sim_relay *r, sim_line *l, uint8_t *bytes, size_t len) {
    for (; !l->upgraded && len > 0; bytes++, len--) {
        l->head[l->head_len++] = *bytes;
        if (http_scan_end(&l->scan, l->head, l->head_len) > 0)
            answer(r, l);
        else if (l->head_len == sizeof l->head)
            sim_fail(r->world, "the request does not end");
    }
    if (len > 0)
        (void)relay_session_receive(&l->session, bytes, len, r->world->now);
}

static void take_datagram(const sim_relay *r, sim_node *n, const relay_frame *f) {
    size_t segment = f->segment != 0 ? f->segment : f->len;
    for (size_t at = 0; at < f->len; at += segment) {
        size_t len = f->len - at < segment ? f->len - at : segment;
        uint8_t *copy = malloc(len);
        if (copy == NULL)
            abort();
        memcpy(copy, f->data + at, len);
        quic_datagram d = {.bytes = copy, .len = len, .remote = {.kind = ADDR_RELAY}, .ecn = f->ecn};
        memcpy(d.remote.bytes, f->id, RELAY_ID);
        n->datagrams_in++;
        n->bytes_in += len;
        quic_endpoint_receive(n->ep, &d, r->world->now);
        free(copy);
    }
}

static void client_hears(sim_relay *r, sim_line *l, uint8_t *bytes, size_t len, bool *touched) {
    sim_relay_end *e = l->end;
    relay_client_event event;
    int result;
    while ((result = relay_client_receive(&e->client, &bytes, &len, r->world->now, &event)) > 0) {
        e->ready += event.kind == RELAY_EVENT_READY;
        if (event.kind != RELAY_EVENT_DATAGRAM)
            continue;
        take_datagram(r, e->node, &event.frame);
        *touched = true;
    }
    if (result < 0)
        sim_fail(r->world, "a client gave up its connection: %s", iroh_strerror(result));
}

static void deliver(sim_relay *r, sim_line *l, bool touched[static SIM_NODES_MAX]) {
    for (piece *p; (p = arrived(&l->up, r->world->now)) != NULL; free(p)) {
        if (!l->silent && !l->ended)
            server_hears(r, l, p->bytes, p->len);
    }
    for (piece *p; (p = arrived(&l->down, r->world->now)) != NULL; free(p)) {
        if (!l->silent && !l->left)
            client_hears(r, l, p->bytes, p->len, &touched[l->end->node->index]);
    }
}

// --- Time

static void serve(sim_relay *r) {
    unsigned wants;
    relay_hub_tick(&r->hub, r->world->now);
    for (relay_session *s; (s = relay_hub_next(&r->hub, &wants)) != NULL;) {
        sim_line *l = s->user;
        if ((wants & RELAY_WANTS_ACCESS) != 0)
            relay_session_allow(s, r->world->now);
        pump_server(r, l);
        if ((wants & RELAY_WANTS_END) != 0)
            end_session(r, l);
    }
}

static void open_line(sim_relay *r, sim_relay_end *e) {
    sim_line *l = calloc(1, sizeof *l);
    if (l == NULL)
        abort();
    l->end = e;
    l->left_at = l->ended_at = TIME_NEVER;
    l->next = r->lines;
    r->lines = e->line = l;
    relay_session_init(&l->session, &r->hub, l);
    relay_client_connected(&e->client, NULL, r->world->now);
}

static void run_client(sim_relay *r, sim_relay_end *e) {
    uint64_t now = r->world->now;
    if (relay_client_deadline(&e->client) <= now)
        relay_client_tick(&e->client, now);
    if (e->client.state == RELAY_CLIENT_DIAL) {
        if (e->line != NULL)
            leave(r, e->line);
        relay_client_dialling(&e->client, now);
        e->dialled_at = now + 2 * r->delay;
    }
    if (e->client.state == RELAY_CLIENT_WAIT && e->line != NULL)
        leave(r, e->line);
    if (e->dialled_at <= now) {
        e->dialled_at = TIME_NEVER;
        if (r->away)
            relay_client_lost(&e->client, IROH_ERR_REFUSED, now);
        else
            open_line(r, e);
    }
    pump_client(r, e);
}

static uint64_t line_deadline(const sim_line *l) {
    uint64_t at = l->up.first != NULL ? l->up.first->arrival : TIME_NEVER;
    at = time_min(at, l->down.first != NULL ? l->down.first->arrival : TIME_NEVER);
    if (!l->ended)
        at = time_min(at, l->left_at);
    return l->left ? at : time_min(at, l->ended_at);
}

static uint64_t deadline(const void *user) {
    const sim_relay *r = user;
    uint64_t at = relay_hub_deadline(&r->hub);
    for (const sim_line *l = r->lines; l != NULL; l = l->next)
        at = time_min(at, line_deadline(l));
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        const sim_relay_end *e = &r->ends[i];
        if (e->node != NULL)
            at = time_min(at, time_min(e->dialled_at, relay_client_deadline(&e->client)));
    }
    return at;
}

static void check(const sim_relay *r, const sim_relay_end *e) {
    const relay_queue *q = &e->client.queue;
    if (q->bulk.messages > RELAY_CLIENT_QUEUE || q->bulk.bytes > RELAY_CLIENT_QUEUE_BYTES)
        sim_fail(r->world, "a client's queue is larger than it may be");
    for (const sim_line *l = r->lines; l != NULL; l = l->next) {
        if (l->session.queue.bulk.messages > RELAY_HUB_PACKETS || l->session.queue.bulk.bytes > RELAY_HUB_BYTES)
            sim_fail(r->world, "a queue of the relay is larger than it may be");
    }
}

static void run(void *user, bool touched[static SIM_NODES_MAX]) {
    sim_relay *r = user;
    for (sim_line *l = r->lines; l != NULL; l = l->next) {
        deliver(r, l, touched);
        learn(r, l);
    }
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (r->ends[i].node != NULL)
            run_client(r, &r->ends[i]);
    }
    serve(r);
    for (sim_line *l = r->lines; l != NULL; l = l->next)
        pump_server(r, l);
    serve(r);
    sweep(r);
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (r->ends[i].node != NULL)
            check(r, &r->ends[i]);
    }
}

// --- The way out of a node

static bool send(void *user, sim_node *from, const quic_transmit *t, const uint8_t *bytes) {
    sim_relay *r = user;
    sim_relay_end *e = &r->ends[from->index];
    if (t->remote.kind != ADDR_RELAY)
        return false;
    if (e->node == NULL) {
        sim_fail(r->world, "a node without relay sends to one");
        return true;
    }
    from->datagrams_out += (t->len + t->segment - 1) / t->segment;
    from->bytes_out += t->len;
    uint16_t segment = t->segment < t->len ? (uint16_t)t->segment : 0;
    (void)relay_client_send(&e->client, t->remote.bytes, t->ecn, segment, bytes, t->len, r->world->now);
    pump_client(r, e);
    return true;
}

// --- Life

static void seed_of(const sim_node *n, uint8_t seed[static 32]) {
    memset(seed, (int)n->index + 1, 32);
}

addr sim_relay_address(const sim_node *n) {
    addr a = {.kind = ADDR_RELAY};
    uint8_t seed[32];
    seed_of(n, seed);
    ed25519_public(seed, a.bytes);
    return a;
}

static void start_hub(sim_relay *r) {
    relay_hub_config config;
    relay_hub_config_default(&config);
    config.random = &r->random;
    if (relay_hub_init(&r->hub, &config) != 0)
        sim_fail(r->world, "the relay does not start");
}

void sim_relay_init(sim_relay *r, sim_world *w, uint64_t delay) {
    *r = (sim_relay){.world = w, .random = {fill, &w->rng}, .delay = delay};
    start_hub(r);
    w->way = (sim_way){.send = send, .deadline = deadline, .run = run, .user = r};
}

void sim_relay_join(sim_relay *r, sim_node *n) {
    sim_relay_end *e = &r->ends[n->index];
    relay_blocks_init(&e->blocks, BLOCKS);
    relay_client_config config = {.url = URL, .url_len = sizeof URL - 1, .random = &r->random, .blocks = &e->blocks};
    seed_of(n, config.seed);
    if (relay_client_init(&e->client, &config, r->world->now) != 0)
        sim_fail(r->world, "no client");
    relay_client_set_home(&e->client, true, r->world->now);
    e->node = n;
    e->dialled_at = TIME_NEVER;
    run_client(r, e);
}

void sim_relay_break(sim_relay *r, const sim_node *n, int how) {
    sim_relay_end *e = &r->ends[n->index];
    if (how == SIM_BREAK_RESTART) {
        for (sim_line *l = r->lines; l != NULL; l = l->next)
            end_session(r, l);
        relay_hub_dispose(&r->hub);
        start_hub(r);
        r->away = true;
    } else if (e->line != NULL && how == SIM_BREAK_SILENTLY) {
        e->line->silent = true;
    } else if (e->line != NULL) {
        end_session(r, e->line);
        e->line->ended_at = r->world->now;
    }
}

void sim_relay_changed(sim_relay *r, const sim_node *n) {
    relay_client_network_changed(&r->ends[n->index].client, r->world->now);
    run_client(r, &r->ends[n->index]);
}

void sim_relay_dispose(sim_relay *r) {
    for (size_t i = 0; i < SIM_NODES_MAX; i++) {
        if (r->ends[i].node == NULL)
            continue;
        relay_client_dispose(&r->ends[i].client);
        relay_blocks_dispose(&r->ends[i].blocks);
    }
    for (sim_line *l; (l = r->lines) != NULL; free_line(l)) {
        r->lines = l->next;
        end_session(r, l);
    }
    if (r->hub.sessions != 0 || r->hub.routes.count != 0)
        sim_fail(r->world, "sessions or routes stay in the relay");
    relay_hub_dispose(&r->hub);
    r->world->way = (sim_way){0};
}
