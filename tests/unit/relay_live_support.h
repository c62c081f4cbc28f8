// What the tests of a whole relay server share: servers on loopback, lines to them, plain or over TLS, and clients that
// run our client machine over such a line. Everything blocks, but nothing longer than LIVE_PATIENCE_MS.
#ifndef UNIT_RELAY_LIVE_SUPPORT_H
#define UNIT_RELAY_LIVE_SUPPORT_H

#include <iroh/relay.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "relay/client.h"

#define LIVE_PATIENCE_MS 20000  // before a test gives up; nothing takes so long
#define LIVE_ANSWER_MAX 32768   // bytes
#define LIVE_UPGRADE                                                                                                   \
    "GET /relay HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                  \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"                                     \
    "Sec-WebSocket-Protocol: iroh-relay-v2\r\n\r\n"

// --- A server

// Binds to loopback, `tls` to HTTPS as well with a certificate made for it; two threads unless the configuration says more
// or less.
iroh_relay *live_start_with(iroh_relay_config *config, bool tls);
iroh_relay *live_start(bool tls);

uint16_t live_port_of(const char *address);
iroh_relay_stats live_stats(const iroh_relay *r);

// Waits until the server has so many clients and connections.
void live_await(const iroh_relay *r, uint64_t clients, uint64_t connections);

// Bytes that this process has allocated and not freed; the same measure in all builds, so that growth can be told.
size_t live_heap(void);

// --- A line: a socket to a server, perhaps with TLS on it

struct gnutls_session_int;

typedef struct live_line {
    int fd;                          // -1: closed
    struct gnutls_session_int *tls;  // null: plain
    bool slow;                       // each byte is written by itself
} live_line;

int live_socket(uint16_t port);                                      // connected
live_line live_dial(const iroh_relay *r, bool slow);                 // to its HTTPS port if it has one, TLS established
bool live_try_dial(const iroh_relay *r, bool slow, live_line *out);  // false when TLS fails; then *out is closed
void live_hang_up(live_line *l);                                     // closes it

bool live_readable(const live_line *l, int timeout_ms);
bool live_put(live_line *l, const void *bytes, size_t len);  // false when the server has gone
int live_read(live_line *l, void *out, size_t room);         // waits; 0 or less: the end

// Reads until the end, or until `until` has been seen: the text, terminated, valid until the next call.
const char *live_get(live_line *l, const char *until);

// The whole answer to a request on a connection of its own, which it must ask to be closed.
const char *live_ask(const iroh_relay *r, const char *request);

void live_expect_closed(live_line *l);  // and closes it
bool live_starts(const char *text, const char *start);

// Keying material as clients prove their ids with. False without TLS.
bool live_export(const live_line *l, const uint8_t id[static 32], uint8_t out[static 32]);

// --- A client

typedef struct live_client {
    live_line line;
    relay_client machine;
    relay_blocks blocks;
    entropy random;
    uint8_t seed[32], id[32];
    char url[64];
    uint8_t *bytes;  // read
    uint8_t *at;     // and not fed
    size_t left;
} live_client;

// The secret key is 32 bytes `key`. Says its request and no more; `token` null: none.
void live_client_open(live_client *c, const iroh_relay *r, uint8_t key, const char *token, bool slow);
bool live_client_try(live_client *c, const iroh_relay *r, uint8_t key);    // false when there is no line; to be closed
void live_client_ready(live_client *c, const iroh_relay *r, uint8_t key);  // and goes on until it is let in
void live_client_close(live_client *c);
void live_client_write(live_client *c);  // what its machine has queued

// The next event; 0: the connection has ended.
int live_client_next(live_client *c, relay_client_event *event);
void live_client_say(live_client *c, const live_client *to, const char *text);

// The next event must be this datagram. `live_client_hear` skips other events.
void live_client_expect(live_client *c, const live_client *from, const char *text);
void live_client_hear(live_client *c, const live_client *from, const char *text);

// Two clients come, talk and go.
void live_expect_two_talk(const iroh_relay *r);

#endif
