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

// The data of every transfer repeats a block of this size: prime, so that chunks swapped at any power of two show.
#define PATTERN_PERIOD 65521
#define PEER_CHUNK 65536
#define PEER_ADDRS_MAX 8
#define PEER_ALPNS_MAX 8
#define PEER_WAIT_MS 20000

typedef struct peer_args {
    const char *secret;  // 64 hex digits, or null for a fresh key
    const char *alpn;    // names with commas between them
    const char *bind;
    const char *cipher;  // null, or the only suite to offer and accept
    const char *id;      // of the peer, 64 hex digits
    const char *addrs[PEER_ADDRS_MAX];
    size_t addr_count;
    unsigned limit_s;  // how long the program may run
    bool retry;
    bool refuse;
    char **script;  // the scenario and its arguments
    int script_len;
} peer_args;

// Two periods of the pattern, so that any run of up to one period is contiguous.
typedef struct pattern {
    uint8_t bytes[2 * PATTERN_PERIOD];
} pattern;

void pattern_init(pattern *p);

// The bytes at position `at` of the endless pattern: at least PATTERN_PERIOD of them.
const uint8_t *pattern_at(const pattern *p, size_t at);
bool pattern_matches(const pattern *p, size_t at, const uint8_t *data, size_t len);

// Binds as the arguments say, for the comma-separated `alpns` (null: none). An IROH_ERR_* or 0.
int peer_bind(const peer_args *args, const char *alpns, iroh_endpoint **out);

// "aes128", "aes256", "chacha20" or "none".
const char *peer_cipher_name(uint16_t suite);

// Writes 64 hex digits and a terminator.
void peer_hex(const uint8_t bytes[static 32], char out[static 65]);
bool peer_unhex(const char *text, uint8_t out[static 32]);

// How a connection ended, as a JSON object. `out` is always terminated.
void peer_close_json(const iroh_close_info *info, char *out, size_t room);

// The exit status of the program.
int peer_serve(const peer_args *args);
int peer_client(const peer_args *args);

#endif
