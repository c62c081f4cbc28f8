// What the tests of the relay's client share: one client, fed by hand, and what it says.
#ifndef UNIT_RELAY_CLIENT_SUPPORT_H
#define UNIT_RELAY_CLIENT_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/client.h"
#include "unit/relay_support.h"

typedef struct relay_near {
    relay_random randomness;
    relay_blocks blocks;
    relay_client client;
    relay_client_event event;  // the last one
    uint8_t peer[RELAY_ID];    // an id to send to
    ws_decoder said_decoder;
    uint8_t said[1 << 17];  // what the client wrote
    size_t said_len, said_seen;
} relay_near;

extern relay_near near;

// cmocka's; the client is of RELAY_NEAR_URL, without a token, and its relay is home.
#define RELAY_NEAR_URL "http://127.0.0.1:3340/?a=b"
int relay_near_set_up(void **state);
int relay_near_tear_down(void **state);
void relay_near_start(const char *url, const char *token);  // a client instead, the old one disposed of before

// What the client says: flush takes it, as a socket that takes everything.
void relay_near_flush(uint64_t now);
bool relay_near_next(ws_message *m);          // the next message of what was taken
relay_frame relay_near_expect(uint8_t type);  // the next frame, which must be of this type
bool relay_near_silent(void);                 // nothing more

// Feeds bytes from memory of their own, a message, a frame: the first result that is not 0.
int relay_near_hear(const void *bytes, size_t len, uint64_t now);
int relay_near_hear_message(int opcode, const void *data, size_t len, uint64_t now);
int relay_near_hear_frame(const relay_frame *f, uint64_t now);

// Writes the 101 that the client waits for; `version` null: none. The length.
size_t relay_near_answer(char *out, const char *version, int extra_fields);

// Brings the client to its handshake, or to be ready; answers the ping that is under way, after which the connection counts
// as working.
void relay_near_upgrade(const char *version, uint64_t now);
void relay_near_become_ready(const char *version, uint64_t now);
void relay_near_pong(uint64_t now);

#endif
