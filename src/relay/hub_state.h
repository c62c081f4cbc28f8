// What the hub and its sessions share beyond their public headers.
#ifndef RELAY_HUB_STATE_H
#define RELAY_HUB_STATE_H

#include "relay/hub.h"
#include "relay/session.h"

// Notes that the shell has something to do for the session.
void hub_want(relay_hub *h, relay_session *s, unsigned wants);

// Gives the session, whose id is proven, its place; it is the active one of its id from then on. IROH_ERR_NOMEM.
int hub_join(relay_hub *h, relay_session *s);

// Takes the place away, and with the last of an id tells those whom it had sent to.
void hub_leave(relay_hub *h, relay_session *s);

// Hands a message to the active connection of the route: true when it was queued, here or for another hub.
bool hub_pass(relay_hub *h, relay_route *route, bool bulk, const uint8_t *message, size_t len);

// Session timers; see session.c.
void session_timer(relay_session *s, uint64_t now);
void session_too_slow(relay_session *s);
void session_activity_changed(relay_session *s, bool active);  // after a change among the connections of its id

#endif
