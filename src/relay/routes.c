#include "relay/routes.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

void relay_routes_init(relay_routes *r, const entropy *random) {
    uint64_t map_seed[2];
    *r = (relay_routes){0};
    entropy_fill(random, map_seed, sizeof map_seed);
    entropy_fill(random, r->seed, sizeof r->seed);
    map_init(&r->by_hash, map_seed);
}

static void free_route(relay_route *route) {
    if (route->places != &route->one)
        free(route->places);
    relay_peers_dispose(&route->peers);
    free(route);
}

void relay_routes_dispose(relay_routes *r) {
    size_t at = 0;
    uint64_t key;
    for (relay_route *route; (route = map_next(&r->by_hash, &at, &key)) != NULL;) {
        while (route != NULL) {
            relay_route *next = route->chain;
            free_route(route);
            route = next;
        }
    }
    map_dispose(&r->by_hash);
    r->count = 0;
}

// Strangers choose ids, so the hash is keyed: two sums of products of secret and word, folded (NH, then a mix).
static uint64_t hash_of(const relay_routes *r, const uint8_t *id) {
    uint64_t w[4];
    memcpy(w, id, sizeof w);
    uint64_t a = (w[0] + r->seed[0]) * ((w[1] + r->seed[1]) | 1);
    uint64_t b = (w[2] + r->seed[2]) * ((w[3] + r->seed[3]) | 1);
    a ^= a >> 29;
    b ^= b >> 31;
    return a * UINT64_C(0x9e3779b97f4a7c15) + b;
}

relay_route *relay_routes_find(const relay_routes *r, const uint8_t id[static RELAY_ID]) {
    relay_route *route = map_get(&r->by_hash, hash_of(r, id));
    while (route != NULL && memcmp(route->id, id, RELAY_ID) != 0)
        route = route->chain;
    return route;
}

static relay_route *make_route(relay_routes *r, const uint8_t *id) {
    relay_route *route = calloc(1, sizeof *route);
    if (route == NULL)
        return NULL;
    uint64_t hash = hash_of(r, id);
    memcpy(route->id, id, RELAY_ID);
    route->places = &route->one;
    route->room = 1;
    relay_peers_init(&route->peers, r->seed[0] ^ r->seed[2]);
    route->chain = map_get(&r->by_hash, hash);
    if (map_put(&r->by_hash, hash, route) != 0) {
        free(route);
        return NULL;
    }
    r->count++;
    return route;
}

static int make_room(relay_route *route) {
    if (route->count < route->room)
        return 0;
    relay_place *grown = malloc(2 * (size_t)route->room * sizeof *grown);
    if (grown == NULL)
        return IROH_ERR_NOMEM;
    memcpy(grown, route->places, route->count * sizeof *grown);
    if (route->places != &route->one)
        free(route->places);
    route->places = grown;
    route->room *= 2;
    return 0;
}

static int add_place(relay_route *route, const relay_place *place) {
    uint32_t at = route->count;
    while (at > 0 && route->places[at - 1].serial > place->serial)
        at--;
    if (at > 0 && route->places[at - 1].serial == place->serial)
        return IROH_ERR_EXISTS;
    int r = make_room(route);
    if (r != 0)
        return r;
    memmove(&route->places[at + 1], &route->places[at], (route->count - at) * sizeof *place);
    route->places[at] = *place;
    route->count++;
    return 0;
}

int relay_routes_join(relay_routes *r, const uint8_t id[static RELAY_ID], const relay_place *place, relay_route **out) {
    relay_route *route = relay_routes_find(r, id);
    if (route == NULL)
        route = make_route(r, id);
    if (route == NULL)
        return IROH_ERR_NOMEM;
    *out = route;
    return add_place(route, place);
}

int relay_routes_leave(relay_route *route, uint64_t serial) {
    for (uint32_t i = 0; i < route->count; i++) {
        if (route->places[i].serial != serial)
            continue;
        route->count--;
        memmove(&route->places[i], &route->places[i + 1], (route->count - i) * sizeof route->places[0]);
        return 0;
    }
    return IROH_ERR_NOT_FOUND;
}

void relay_routes_release(relay_routes *r, relay_route *route) {
    uint64_t hash = hash_of(r, route->id);
    relay_route *first = map_get(&r->by_hash, hash);
    if (first != route) {
        while (first->chain != route)
            first = first->chain;
        first->chain = route->chain;
    } else if (route->chain != NULL) {
        // Without memory for even that the route stays, as nobody's.
        if (map_put(&r->by_hash, hash, route->chain) != 0) {
            memset(route->id, 0, RELAY_ID);
            return;
        }
    } else {
        (void)map_remove(&r->by_hash, hash);
    }
    r->count--;
    r->generation++;
    free_route(route);
}
