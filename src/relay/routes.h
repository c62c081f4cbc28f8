// Which connections stand for an id: the table that a forward looks into.
//
// Each loop of a server has a table of all connections of the server, its own and those of other loops, kept alike by
// notices of joins and leaves. A connection has a serial, unique in the server; of several with one id the one with the
// highest serial is active, whatever the order in which notices arrive, so the tables agree without asking each other.
#ifndef RELAY_ROUTES_H
#define RELAY_ROUTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "base/map.h"
#include "relay/frame.h"
#include "relay/peers.h"

struct relay_session;

typedef struct relay_place {
    uint64_t serial;
    uint32_t shard;                 // the loop that has the connection
    struct relay_session *session;  // null: of another loop
} relay_place;

typedef struct relay_route {
    uint8_t id[RELAY_ID];
    struct relay_route *chain;  // another id of the same hash
    relay_place *places;        // by serial, upwards; the last is active
    uint32_t count, room;
    relay_place one;    // where `places` points while one is enough
    relay_peers peers;  // whom connections of this loop with this id have sent to
} relay_route;

typedef struct relay_routes {
    map by_hash;
    uint64_t seed[4];
    size_t count;         // ids
    uint64_t generation;  // changes when a route is freed, so that a remembered route can be trusted until then
} relay_routes;

void relay_routes_init(relay_routes *r, const entropy *random);
void relay_routes_dispose(relay_routes *r);

relay_route *relay_routes_find(const relay_routes *r, const uint8_t id[static RELAY_ID]);  // null: nobody

static inline relay_place *relay_route_active(const relay_route *route) {
    return &route->places[route->count - 1];
}

// Adds a place; *out is its route. IROH_ERR_NOMEM, IROH_ERR_EXISTS (the serial).
int relay_routes_join(relay_routes *r, const uint8_t id[static RELAY_ID], const relay_place *place, relay_route **out);

// Removes the place with that serial; IROH_ERR_NOT_FOUND. The route stays, even without places, until released.
int relay_routes_leave(relay_route *route, uint64_t serial);

// Frees a route without places.
void relay_routes_release(relay_routes *r, relay_route *route);

#endif
