#include "relay/hub.h"

#include <string.h>

#include <iroh/error.h>

#include "relay/hub_state.h"

#define SHARD_BITS 8                     // of a serial: those below the clock
#define GONE_MESSAGE (2 + 1 + RELAY_ID)  // bytes of the notice that an id is gone; every datagram is longer

void relay_hub_config_default(relay_hub_config *c) {
    *c = (relay_hub_config){.shards = 1};
}

int relay_hub_init(relay_hub *h, const relay_hub_config *config) {
    if (config->random == NULL || config->shards == 0 || config->shards > RELAY_HUB_SHARDS_MAX ||
        config->shard >= config->shards ||
        (config->shards > 1 && (config->hooks.announce == NULL || config->hooks.deliver == NULL)))
        return IROH_ERR_ARG;
    *h = (relay_hub){
        .config = *config,
        .bulk_limits = {RELAY_HUB_PACKETS, RELAY_HUB_BYTES},
        .urgent_limits = {RELAY_HUB_NOTICES, RELAY_HUB_NOTICE_BYTES},
    };
    relay_routes_init(&h->routes, config->random);
    relay_blocks_init(&h->blocks, config->blocks != 0 ? config->blocks : RELAY_HUB_BLOCKS);
    list_init(&h->blocked);
    list_init(&h->ready);
    return 0;
}

void relay_hub_dispose(relay_hub *h) {
    relay_routes_dispose(&h->routes);
    relay_blocks_dispose(&h->blocks);
    heap_dispose(&h->timers);
}

void relay_hub_set_rx_limit(relay_hub *h, uint32_t rate, uint32_t burst) {
    h->config.rx_rate = rate;
    h->config.rx_burst = burst;
    h->limit_epoch++;
}

// --- What there is to do

void hub_want(relay_hub *h, relay_session *s, unsigned wants) {
    s->wants |= wants;
    if (!list_linked(&s->ready_link))
        list_push_back(&h->ready, &s->ready_link);
}

struct relay_session *relay_hub_next(relay_hub *h, unsigned *wants) {
    list_link *link = list_pop_front(&h->ready);
    if (link == NULL)
        return NULL;
    relay_session *s = list_entry(link, relay_session, ready_link);
    *wants = s->wants;
    s->wants = 0;
    return s;
}

// --- Time

// The session whose output has stood still for longest is the first of the list.
static relay_session *slowest(const relay_hub *h) {
    return list_empty(&h->blocked) ? NULL : list_entry(h->blocked.next, relay_session, blocked_link);
}

static uint64_t slow_at(const relay_session *s) {
    return s == NULL ? TIME_NEVER : time_add(s->progress, RELAY_SLOW_TIMEOUT);
}

uint64_t relay_hub_deadline(const relay_hub *h) {
    const heap_item *first = heap_first(&h->timers);
    return time_min(first != NULL ? first->at : TIME_NEVER, slow_at(slowest(h)));
}

void relay_hub_tick(relay_hub *h, uint64_t now) {
    for (heap_item *first; (first = heap_first(&h->timers)) != NULL && first->at <= now;)
        session_timer(heap_entry(first, relay_session, timer), now);
    for (relay_session *s; (s = slowest(h)) != NULL && slow_at(s) <= now;)
        session_too_slow(s);
}

// --- Passing messages on

// A session whose socket is full is written to when it drains, without being told of every message.
static bool queue_here(relay_hub *h, relay_session *s, bool bulk, const uint8_t *message, size_t len) {
    const relay_queue_limits *limits = bulk ? &h->bulk_limits : &h->urgent_limits;
    if (relay_queue_push(&s->queue, bulk, message, len, limits) != 0)
        return false;
    if (!list_linked(&s->blocked_link))
        hub_want(h, s, RELAY_WANTS_WRITE);
    return true;
}

bool hub_pass(relay_hub *h, relay_route *route, bool bulk, const uint8_t *message, size_t len) {
    const relay_place *place = relay_route_active(route);
    if (place->session != NULL)
        return queue_here(h, place->session, bulk, message, len);
    return h->config.hooks.deliver(h->config.hooks.user, place->shard, route->id, bulk, message, len);
}

// By the time that a message arrives, its receiver may have gone or moved to yet another hub: then it is lost.
void relay_hub_deliver(relay_hub *h, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message, size_t len) {
    relay_route *route = relay_routes_find(&h->routes, id);
    relay_session *s = route != NULL ? relay_route_active(route)->session : NULL;
    bool passed = s != NULL && queue_here(h, s, bulk, message, len);
    h->counters.send_packets_dropped += !passed && bulk && len > GONE_MESSAGE;
}

// --- Joining and leaving

// Behind the datagrams of the one that is gone, which would otherwise look like its return.
static void tell_gone(relay_hub *h, const relay_route *gone) {
    uint8_t message[GONE_MESSAGE];
    const relay_frame frame = {.type = RELAY_GONE, .id = gone->id};
    writer w = writer_of(message + 2, sizeof message - 2);
    relay_frame_encode(&w, &frame);
    uint8_t *start = ws_prepend_header(message + 2, writer_len(&w), WS_BINARY);
    size_t at = 0;
    for (const uint8_t *id; (id = relay_peers_next(&gone->peers, &at)) != NULL;) {
        relay_route *route = relay_routes_find(&h->routes, id);
        if (route != NULL && route->count > 0)
            (void)hub_pass(h, route, true, start, sizeof message);
    }
}

static const relay_place nowhere;

static relay_place active_of(const relay_route *route) {
    return route->count > 0 ? *relay_route_active(route) : nowhere;
}

// Tells the sessions of this hub that became active or inactive because another connection of the id came or went.
static void tell_change(const relay_place *before, const relay_route *route) {
    relay_place after = active_of(route);
    if (before->serial == after.serial)
        return;
    bool displaced = after.serial > before->serial;
    if (displaced && before->session != NULL)
        session_activity_changed(before->session, false);
    if (!displaced && after.session != NULL)
        session_activity_changed(after.session, true);
}

static int add_place(relay_hub *h, const uint8_t *id, const relay_place *place, relay_route **route) {
    relay_route *known = relay_routes_find(&h->routes, id);
    relay_place before = known != NULL ? active_of(known) : nowhere;
    int r = relay_routes_join(&h->routes, id, place, route);
    if (r == 0)
        tell_change(&before, *route);
    return r;
}

static int remove_place(relay_hub *h, relay_route *route, uint64_t serial) {
    relay_place before = active_of(route);
    int r = relay_routes_leave(route, serial);
    if (r != 0)
        return r;
    if (route->count > 0) {
        tell_change(&before, route);
        return 0;
    }
    tell_gone(h, route);
    relay_routes_release(&h->routes, route);
    return 0;
}

static void announce(const relay_hub *h, int notice, const uint8_t *id, uint64_t serial) {
    if (h->config.shards > 1)
        h->config.hooks.announce(h->config.hooks.user, notice, id, serial);
}

// Serials are a Lamport clock with the shard below it: higher than all that was heard of, and never the same twice.
int hub_join(relay_hub *h, relay_session *s) {
    const relay_place place = {(h->clock + 1) << SHARD_BITS | h->config.shard, h->config.shard, s};
    bool is_new = relay_routes_find(&h->routes, s->id) == NULL;
    int r = add_place(h, s->id, &place, &s->route);
    if (r != 0) {
        s->route = NULL;
        return r;
    }
    h->clock++;
    s->serial = place.serial;
    h->counters.unique_client_keys += is_new;
    h->sessions++;
    announce(h, RELAY_NOTICE_JOIN, s->id, s->serial);
    return 0;
}

void hub_leave(relay_hub *h, relay_session *s) {
    if (s->route == NULL)
        return;
    if (relay_route_active(s->route)->serial != s->serial)
        h->counters.clients_inactive_removed++;
    (void)remove_place(h, s->route, s->serial);
    s->route = NULL;
    h->sessions--;
    announce(h, RELAY_NOTICE_LEAVE, s->id, s->serial);
}

int relay_hub_heard(relay_hub *h, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    relay_route *route;
    if (notice == RELAY_NOTICE_JOIN) {
        const relay_place place = {serial, (uint32_t)(serial & ((1U << SHARD_BITS) - 1)), NULL};
        h->clock = serial >> SHARD_BITS > h->clock ? serial >> SHARD_BITS : h->clock;
        return add_place(h, id, &place, &route);
    }
    route = relay_routes_find(&h->routes, id);
    return route != NULL ? remove_place(h, route, serial) : IROH_ERR_NOT_FOUND;
}
