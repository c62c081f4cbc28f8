// Our endpoint behind the line protocol of tests/interop/README.md: one program that serves or runs one scenario.
//
// Only the public API is used. The server has a thread for each connection and stream, with waiting calls; the client
// has one thread, with iroh_poll. So both styles of the API meet every real peer.
#ifndef INTEROP_PEER_H
#define INTEROP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/iroh.h>

#include "peer_data.h"

#define PEER_CHUNK 65536
#define PEER_ADDRS_MAX 8
#define PEER_ALPNS_MAX 8
#define PEER_WAIT_MS 20000
#define SETTLE_MS 2000  // for a slow peer to notice before the connection is closed

typedef struct peer_args {
    const char *secret;  // 64 hex digits, or null for a fresh key
    const char *alpn;    // names with commas between them
    const char *bind;
    const char *cipher;  // null, or the only suite to offer and accept
    const char *id;      // of the peer, 64 hex digits
    const char *addrs[PEER_ADDRS_MAX];
    size_t addr_count;
    const char *relay;        // URL of a relay; null: none
    const char *other_relay;  // of another one
    const char *relay_token;
    const char *ca_file;
    bool relay_only;
    unsigned limit_s;  // how long the program may run
    bool retry;
    bool refuse;
    char **script;  // the scenario and its arguments
    int script_len;
} peer_args;

// Binds as the arguments say, for the comma-separated `alpns` (null: none). An IROH_ERR_* or 0.
int peer_bind(const peer_args *args, const char *alpns, iroh_endpoint **out);

// "aes128", "aes256", "chacha20" or "none".
const char *peer_cipher_name(uint16_t suite);

// How a connection ended, as a JSON object. `out` is always terminated.
void peer_close_json(const iroh_close_info *info, char *out, size_t room);

// How data goes now: "relay", "direct" or "none"; and whether it goes like that within the time.
const char *peer_path_kind(const iroh_connection *c);
bool peer_path_wait(iroh_connection *c, const char *kind, int timeout_ms);

// The exit status of the program.
int peer_serve(const peer_args *args);
int peer_client(const peer_args *args);

#endif
