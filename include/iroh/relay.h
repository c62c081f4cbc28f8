// A relay server: it passes datagrams on between endpoints that cannot reach each other directly, by their ids.
//
// The server runs on threads of its own, one for each core unless told otherwise. All functions may be called from any
// thread, those of one server one at a time. They are in the static library (libiroh.a) only: a relay is a program of
// its own, and those who link the shared library should not carry one.
#ifndef IROH_RELAY_H
#define IROH_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/error.h>
#include <iroh/id.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct iroh_relay iroh_relay;

// Who may use the relay.
enum {
    IROH_RELAY_EVERYONE = 0,
    IROH_RELAY_ALLOWLIST,  // the ids that are listed
    IROH_RELAY_DENYLIST,   // all but those
    IROH_RELAY_TOKENS,     // who presents one of the tokens
    IROH_RELAY_CALLBACK,   // whom a web server accepts
};

enum { IROH_RELAY_ERROR = 0, IROH_RELAY_WARN, IROH_RELAY_INFO, IROH_RELAY_DEBUG };

// Addresses are text, "192.0.2.1:443" or "[::]:443"; null: that part of the server is off. Texts are copied.
typedef struct iroh_relay_config {
    const char *http_bind;     // plain HTTP; with https_bind for captive portal checks alone
    const char *https_bind;    // needs a certificate
    const char *quic_bind;     // QUIC address discovery, UDP; needs a certificate
    const char *metrics_bind;  // Prometheus metrics over plain HTTP
    bool relay;                // false: no relaying, only the other parts

    const char *certificate_path;  // PEM, the server's own certificate first, then its chain
    const char *key_path;          // PEM
    uint32_t certificate_reload;   // seconds between readings of both files; 0: only with iroh_relay_reload

    int access;                  // IROH_RELAY_*
    const iroh_public_key *ids;  // of the allow list or deny list
    size_t id_count;
    const char *const *tokens;
    size_t token_count;
    const char *callback_url;     // gets a POST for each client
    const char *callback_bearer;  // token for it; null: none

    uint32_t rx_bytes_per_second;  // that a client may send; 0: no limit
    uint32_t rx_burst_bytes;       // and at once; 0: a tenth of the rate
    double accepts_per_second;     // new connections, in all; 0: no limit
    uint32_t accept_burst;         // and at once; 0: as many as in a second
    size_t connections_max;        // at the same time; 0: what descriptors allow
    size_t queue_bytes_max;        // that may wait for clients, in all; 0: 256 MB for each thread
    unsigned threads;              // 0: one for each core

    // One line without newline, from any thread; null: silence. Lines above `log_level` are not made.
    void (*log)(void *user, int level, const char *line);
    void *log_user;
    int log_level;
} iroh_relay_config;

// Plain HTTP on [::]:3340, everyone, no metrics.
void iroh_relay_config_default(iroh_relay_config *c);

// A configuration as read from a file; owns its texts.
typedef struct iroh_relay_file iroh_relay_file;

#define IROH_RELAY_WHY_SIZE 256  // room for a message about what is wrong

// What the environment says beside the file; each null: not set.
typedef struct iroh_relay_environment {
    const char *access_token;     // replaces the shared tokens (IROH_RELAY_ACCESS_TOKEN)
    const char *callback_bearer;  // replaces the token of the callback (IROH_RELAY_HTTP_BEARER_TOKEN)
} iroh_relay_environment;

// Reads the TOML of the original's configuration file, version 1.4.1, with its defaults. `dev`: plain HTTP on port 3340,
// whatever the file says of TLS. IROH_ERR_SYNTAX, IROH_ERR_ARG (what does not fit together), IROH_ERR_UNSUPPORTED
// (certificates by ACME), IROH_ERR_NOMEM; `why` (IROH_RELAY_WHY_SIZE bytes) then says what is wrong where.
int iroh_relay_file_parse(const char *text, size_t len, bool dev, const iroh_relay_environment *environment,
                          iroh_relay_file **out, char *why);
const iroh_relay_config *iroh_relay_file_config(const iroh_relay_file *f);
void iroh_relay_file_free(iroh_relay_file *f);  // null is ignored

// IROH_ERR_ARG, IROH_ERR_BIND, IROH_ERR_IO (a certificate file), IROH_ERR_KEY and IROH_ERR_SYNTAX (their content),
// IROH_ERR_NOMEM; the reason is also logged.
int iroh_relay_start(const iroh_relay_config *config, iroh_relay **out);

// Ends it: closes all connections in good order, waits for the threads, frees everything. Null is ignored.
void iroh_relay_stop(iroh_relay *r);

// Reads the certificate files again; connections stay. On an error the old certificate goes on being used.
int iroh_relay_reload(iroh_relay *r);

// The bound addresses as text; null: off. `port` of a configuration may have been 0. Valid until the server is stopped.
const char *iroh_relay_http_address(const iroh_relay *r);
const char *iroh_relay_https_address(const iroh_relay *r);
const char *iroh_relay_quic_address(const iroh_relay *r);
const char *iroh_relay_metrics_address(const iroh_relay *r);

typedef struct iroh_relay_stats {
    uint64_t uptime_ms;
    uint64_t connections;                                     // TCP, now
    uint64_t clients;                                         // relay sessions, now
    uint64_t accepts;                                         // relay sessions since the start
    uint64_t datagrams_in, datagrams_out, datagrams_dropped;  // frames, of one datagram or a batch
    uint64_t bytes_in, bytes_out;                             // of their payload
} iroh_relay_stats;

void iroh_relay_stats_get(const iroh_relay *r, iroh_relay_stats *out);

#ifdef __cplusplus
}
#endif

#endif
