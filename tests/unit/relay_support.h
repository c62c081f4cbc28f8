// What the tests of the relay share: randomness that repeats, and a client that talks to a session of the server byte by
// byte, without a state machine of its own.
#ifndef UNIT_RELAY_SUPPORT_H
#define UNIT_RELAY_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "relay/hub.h"
#include "relay/session.h"

// Draws from a generator, after what was put in `next`.
typedef struct relay_random {
    uint64_t seed;
    uint8_t next[64];
    size_t next_len;
    entropy source;  // draws from this struct, which must not move
} relay_random;

void relay_random_init(relay_random *r, uint64_t seed);

// A socket's other end: what the session wrote and the test has not looked at.
typedef struct relay_wire {
    relay_session session;
    uint8_t seed[32], id[32];
    uint8_t *bytes;  // all that was written so far
    size_t len, room, seen;
    ws_decoder decoder;
    uint8_t *copy;  // of the message last decoded, which frames borrow from
} relay_wire;

// The secret key is 32 bytes `key`. The session is new.
void relay_wire_init(relay_wire *w, relay_hub *hub, uint8_t key);
void relay_wire_dispose(relay_wire *w, uint64_t now);

// Goes through the handshake with a proven id, and eats its `02`.
void relay_wire_open(relay_wire *w, relay_hub *hub, uint8_t key, int version, uint64_t now);

// Feeds one masked message, or one frame in such a message: what relay_session_receive says.
int relay_wire_message(relay_wire *w, int opcode, const void *data, size_t len, uint64_t now);
int relay_wire_frame(relay_wire *w, const relay_frame *f, uint64_t now);
int relay_wire_datagram(relay_wire *w, const uint8_t *to, const void *data, size_t len, uint64_t now);

// Moves what the session has queued to the wire, as a socket that takes everything.
void relay_wire_flush(relay_wire *w, uint64_t now);

// The next WebSocket message that the session wrote: true and a message, valid until the next call.
bool relay_wire_next(relay_wire *w, ws_message *m);

// The next frame; fails the test if there is none of `type` next.
relay_frame relay_wire_expect(relay_wire *w, uint8_t type);

bool relay_wire_silent(relay_wire *w);  // nothing left

void relay_wire_ping(relay_wire *w, const char data[static RELAY_PING], uint64_t now);  // the client sends one

// A server of one hub. Set-up and tear-down are cmocka's; after a test nobody may be left in it.
extern relay_hub relay_one_hub;
void relay_one_hub_start(uint32_t rx_rate);  // anew
int relay_one_hub_set_up(void **state);
int relay_one_hub_tear_down(void **state);

// What that hub wants of this session; what it wants of others is forgotten.
unsigned relay_wire_wants(const relay_wire *w);

#endif
