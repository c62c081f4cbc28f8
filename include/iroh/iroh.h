// iroh: connect to any device by its public key.
//
// An endpoint has an Ed25519 key; its public half is the address that others dial. A connection is an authenticated,
// encrypted QUIC connection between two endpoints, with any number of streams in both directions and with datagrams.
//
// Waiting: whatever can wait takes a timeout in milliseconds: 0 does not wait and gives IROH_ERR_AGAIN, -1 waits for
// ever, anything else ends in IROH_ERR_TIMEOUT. iroh_poll waits for any of a set of handles.
//
// Threads: by default an endpoint runs a thread of its own, and every call on it, its connections and its streams is
// safe from any thread; but freeing a handle while another thread uses the same handle is not. With
// `iroh_endpoint_config.own_thread` false there is no thread: the program calls iroh_endpoint_process when
// iroh_endpoint_fd is readable (waiting calls do so themselves while they wait), and calls must not overlap.
//
// Handles: every `iroh_connection *` and `iroh_stream *` that a call gives out is the caller's and is given back with
// the matching `_free`, at any time and in any order. Those of an endpoint that was freed answer IROH_ERR_CLOSED.
#ifndef IROH_IROH_H
#define IROH_IROH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/error.h>
#include <iroh/id.h>

#ifdef __cplusplus
extern "C" {
#endif

// The library's version, such as "0.1.0".
IROH_API const char *iroh_version(void);

typedef struct iroh_endpoint iroh_endpoint;
typedef struct iroh_incoming iroh_incoming;
typedef struct iroh_connection iroh_connection;
typedef struct iroh_stream iroh_stream;

#define IROH_WAIT_FOREVER (-1)

// A borrowed piece of memory.
typedef struct iroh_slice {
    const void *data;
    size_t len;
} iroh_slice;

// ---------------------------------------------------------------------------------------------------------------------
// Endpoint

// Cipher suites of TLS 1.3, for iroh_endpoint_config.cipher_suites.
enum { IROH_AES_128_GCM = 0x1301, IROH_AES_256_GCM = 0x1302, IROH_CHACHA20_POLY1305 = 0x1303 };

typedef struct iroh_endpoint_config {
    const iroh_secret_key *secret_key;  // null: a fresh one
    const iroh_slice *alpns;            // protocols to accept, in order of preference; none: dials only
    size_t alpn_count;
    // "127.0.0.1:0", "[::1]:0"; each is required, at most 16. None: 0.0.0.0:0, and [::]:0 if there is IPv6.
    const char *const *bind;
    size_t bind_count;
    bool own_thread;                // true: a thread runs the endpoint; false: the program does
    bool keylog;                    // append TLS secrets to the file named by the environment's SSLKEYLOGFILE
    const char *qlog_dir;           // null: none; else one .sqlog file for each connection goes there
    const uint16_t *cipher_suites;  // in order of preference; null: AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305
    size_t cipher_suite_count;
    const char *congestion;      // "cubic" (default), "newreno", "bbr3"
    uint64_t idle_timeout_ms;    // 30 000; 0: none
    uint64_t keep_alive_ms;      // 5 000; 0: none
    uint64_t max_streams_bidi;   // that the peer may have open at once; 100
    uint64_t max_streams_uni;    // 100
    uint64_t stream_window;      // bytes a peer may send ahead on one stream; 1 250 000
    uint64_t connection_window;  // bytes a peer may send ahead on all streams; 16 MiB
    uint64_t send_buffer;        // bytes written but not yet acknowledged, for each connection; 10 000 000
    // Relays, over which peers reach this endpoint when no direct path is there yet, or ever: their URLs, or "default" or
    // "staging" for the public ones. The nearest becomes the home relay, and part of the endpoint's address. At most
    // IROH_RELAYS_MAX. None: the relays that the addresses of peers name are used for dialling, but there is no home.
    const char *const *relays;
    size_t relay_count;
    const char *relay_token;          // sent to these relays, and to no others, for their access control; null: none
    const char *const *relay_tokens;  // one for each of `relays` instead, where not null; null: none
    // Of each of `relays`, the UDP port of its QUIC address discovery: 0 the usual 7842, IROH_NO_QUIC it has none. Null: 7842
    // for all.
    const int *relay_quic_ports;
    const char *ca_file;  // PEM file of roots to trust for relays instead of the system's; null: the system's
    // For connections to relays, never for UDP: "http://", "https://" (HTTP CONNECT), "socks5://", "socks5h://",
    // "socks4://" or "socks4a://", then "[USER:PASSWORD@]HOST[:PORT]", user and password percent-encoded; with "h" or "a"
    // the proxy looks names up. The port is 1080 unless said otherwise, for "https" 443. Null: none.
    const char *proxy;
    // Without `proxy`: that of the first of these that is set: HTTP_PROXY (unless REQUEST_METHOD is set, since in a CGI
    // program it is the client's), http_proxy, HTTPS_PROXY, https_proxy. False: nothing of the environment counts.
    bool proxy_from_env;
    bool direct_only;       // no relays at all
    bool relay_only;        // no direct paths: no socket is bound
    uint64_t max_incoming;  // connections waiting to be accepted; beyond it they are dropped; 65 536
    // Largest datagram to try, 1 200..65 527 bytes; 8 848, which networks with jumbo frames and the loopback device carry.
    // Above 1 452, which Ethernet carries, only this very size is tried, and not through relays.
    uint16_t mtu_max;
    bool segmentation_offload;  // true
    // Relays are asked from time to time how far they are and from which address we come: see iroh_endpoint_net_report.
    // Without it the first relay that answers is home. All three: true.
    bool net_report;
    bool https_probes;          // ask for latencies over HTTPS where UDP does not answer
    bool captive_portal_check;  // see whether the network wants a login first
    bool network_monitor;       // true: changes of the machine's network are noticed; see iroh_endpoint_network_change
    // Null: silent. Level 0 error .. 4 trace. From any thread; must not call the library.
    void (*log)(void *user, int level, const char *line);
    void *log_user;
    int log_level;
} iroh_endpoint_config;

#define IROH_PATH_TEXT 256  // room for the text of a path's address, or of a relay's URL; longer URLs are cut
#define IROH_RELAYS_MAX 32
#define IROH_NO_QUIC (-1)  // for iroh_endpoint_config.relay_quic_ports

IROH_API void iroh_endpoint_config_default(iroh_endpoint_config *config);

// Binds sockets and starts. Everything in `config` is copied. IROH_ERR_BIND, IROH_ERR_ARG, IROH_ERR_SYNTAX (an address),
// IROH_ERR_NOMEM, IROH_ERR_IO. Relays are dialled afterwards: see iroh_endpoint_wait_online.
IROH_API int iroh_endpoint_bind(const iroh_endpoint_config *config, iroh_endpoint **out);

// Closes all connections with code 0 and waits until the peers know (or 3 s passed), then no further calls but _free make
// sense. Idempotent. 0, IROH_ERR_TIMEOUT, or IROH_ERR_AGAIN with timeout 0.
IROH_API int iroh_endpoint_close(iroh_endpoint *ep, int timeout_ms);

// Closes at once if that was not done, stops the thread, frees everything. Null is ignored.
IROH_API void iroh_endpoint_free(iroh_endpoint *ep);

IROH_API iroh_public_key iroh_endpoint_id(const iroh_endpoint *ep);
IROH_API iroh_secret_key iroh_endpoint_secret_key(const iroh_endpoint *ep);

// How to reach this endpoint now: id, home relay, and all its addresses (for wildcard sockets, those of the machine's
// interfaces), and at which relays see it. The home relay is named as soon as it is chosen, connected or not.
// The caller frees it.
IROH_API int iroh_endpoint_addr(iroh_endpoint *ep, iroh_addr **out);

// Waits until the home relay is connected, so that peers can reach this endpoint through it. IROH_ERR_ARG when there is
// no relay to wait for, IROH_ERR_CLOSED, IROH_ERR_TIMEOUT, IROH_ERR_AGAIN.
IROH_API int iroh_endpoint_wait_online(iroh_endpoint *ep, int timeout_ms);

typedef struct iroh_relay_status {
    bool connected;
    int error;        // why the latest attempt failed or the connection ended; 0: it did not
    bool denied;      // the relay refuses this endpoint, for `reason`; it is asked again and again all the same
    bool home;        // it is the home relay
    bool configured;  // it may become that; else the address of a peer named it
    // Of the relay if it denies, else of the resolver, the proxy or TLS if they failed; terminated, may be empty and may
    // hold any byte.
    char reason[256];
} iroh_relay_status;

// The URL of the home relay in `url` (null: not wanted), and how it is. The URL's length; IROH_ERR_NOT_FOUND when there is
// none, IROH_ERR_TOO_LARGE.
IROH_API int iroh_endpoint_home_relay(iroh_endpoint *ep, char *url, size_t room, iroh_relay_status *out);

// The same of relay `i` of all that the endpoint knows, which keep their numbers. IROH_ERR_RANGE: there are no more.
IROH_API int iroh_endpoint_relay(iroh_endpoint *ep, size_t i, char *url, size_t room, iroh_relay_status *out);

// Adds a relay to those of the configuration, or changes its port; "default" and "staging" add their set. The home relay
// is chosen anew. `token` may be null; that of a relay which is in use already stays. IROH_ERR_SYNTAX, IROH_ERR_ARG (also
// with direct_only), IROH_ERR_LIMIT (64 relays known), IROH_ERR_NOMEM, IROH_ERR_CLOSED.
IROH_API int iroh_endpoint_insert_relay(iroh_endpoint *ep, const char *url, const char *token, int quic_port);

// Takes one away. If it is home, it stays so until another is chosen; with the last one there is no home relay any more.
// IROH_ERR_NOT_FOUND, IROH_ERR_SYNTAX, IROH_ERR_ARG, IROH_ERR_CLOSED.
IROH_API int iroh_endpoint_remove_relay(iroh_endpoint *ep, const char *url);

#define IROH_ADDRESS_TEXT 64  // room for the text of an address

// What relays tell of the network between them and this endpoint.
typedef struct iroh_net_report {
    bool udp_v4, udp_v6;                // a relay answered over UDP
    char global_v4[IROH_ADDRESS_TEXT];  // the address and port at which it sees us, "192.0.2.1:4433"; empty: unknown
    char global_v6[IROH_ADDRESS_TEXT];
    // 1: yes, 0: no, -1: not known.
    int mapping_varies_v4,
        mapping_varies_v6;  // other relays see another address: the NAT has a mapping for each destination
    int captive_portal;     // the network answers in a relay's place
    char preferred_relay[IROH_PATH_TEXT];  // the one that is to be home; empty: none answered yet
    uint64_t age_ms;
    uint64_t reports, full_reports;  // begun so far
} iroh_net_report;

// Microseconds; 0: not measured.
typedef struct iroh_relay_latency {
    char url[IROH_PATH_TEXT];  // cut if longer
    uint64_t https_us, quic_v4_us, quic_v6_us;
} iroh_relay_latency;

// The latest report, made every 20 to 26 seconds and when the network or the relays changed; waits for the first one. The
// number of relays with a latency, of which at most `room` are stored in `latencies` (null with `room` 0).
// IROH_ERR_UNSUPPORTED: no relays, or switched off. IROH_ERR_ARG, IROH_ERR_CLOSED, IROH_ERR_TIMEOUT, IROH_ERR_AGAIN.
IROH_API int iroh_endpoint_net_report(iroh_endpoint *ep, iroh_net_report *out, iroh_relay_latency *latencies,
                                      size_t room, int timeout_ms);

// The machine's network changed: paths and relays are tested at once and better ways are looked for. With
// `iroh_endpoint_config.network_monitor` that happens by itself: on Linux within a second of the change, elsewhere within
// half a minute while there are peers or a home relay. Never waits. 0, IROH_ERR_ARG.
IROH_API int iroh_endpoint_network_change(iroh_endpoint *ep);

// The local addresses of the sockets: number of them; address `i` as text ("0.0.0.0:4433") in `out`.
IROH_API int iroh_endpoint_socket_count(const iroh_endpoint *ep);
IROH_API int iroh_endpoint_socket(const iroh_endpoint *ep, int i, char *out, size_t room);

// Replaces the accepted protocols for future handshakes.
IROH_API int iroh_endpoint_set_alpns(iroh_endpoint *ep, const iroh_slice *alpns, size_t count);

typedef struct iroh_endpoint_stats {
    uint64_t datagrams_sent, datagrams_received, bytes_sent, bytes_received;  // UDP payloads
    uint64_t send_calls, receive_calls;                                       // system calls
    uint64_t datagrams_dropped;  // received but useless: garbage, unknown connection, failed decryption
    uint64_t connections;        // alive now
    uint64_t handshakes;         // completed so far
    uint64_t relay_datagrams_sent, relay_datagrams_received, relay_bytes_sent, relay_bytes_received;
    uint64_t home_relay_changes;
} iroh_endpoint_stats;

IROH_API int iroh_endpoint_stats_get(iroh_endpoint *ep, iroh_endpoint_stats *out);

// Without own thread: a file descriptor that becomes readable when iroh_endpoint_process has something to do, timers
// included; -1 when the endpoint runs a thread.
IROH_API int iroh_endpoint_fd(iroh_endpoint *ep);
// Does what is due without waiting. 0, or IROH_ERR_ARG when the endpoint runs a thread.
IROH_API int iroh_endpoint_process(iroh_endpoint *ep);

// ---------------------------------------------------------------------------------------------------------------------
// Connecting

typedef struct iroh_connect_options {
    const iroh_slice *more_alpns;  // offered after the main one
    size_t more_alpn_count;
    // Return at once when a session ticket of this peer is known: what is sent before the handshake completes goes as
    // 0-RTT data, which an attacker can replay. See iroh_connection_early.
    bool early;
} iroh_connect_options;

IROH_API void iroh_connect_options_default(iroh_connect_options *options);

// Dials the key in `addr` at its addresses and waits for the handshake. `options` may be null. IROH_ERR_TIMEOUT,
// IROH_ERR_NO_ADDRESS, IROH_ERR_SELF, IROH_ERR_HANDSHAKE (wrong key, no common protocol), IROH_ERR_REFUSED,
// IROH_ERR_IDLE (nobody answered), IROH_ERR_CLOSED (endpoint closed), IROH_ERR_ARG (empty ALPN). With timeout 0 the
// connection is given out at once while it still connects: wait with iroh_connection_handshake.
IROH_API int iroh_endpoint_connect(iroh_endpoint *ep, const iroh_addr *addr, const void *alpn, size_t alpn_len,
                                   const iroh_connect_options *options, int timeout_ms, iroh_connection **out);

// ---------------------------------------------------------------------------------------------------------------------
// Accepting. Until the first call of iroh_endpoint_accept or iroh_endpoint_next_incoming says who decides, peers that
// connect wait for their handshake.

// The next connection whose handshake completed; from the first call on, whatever comes is accepted. It may be closed
// already. IROH_ERR_CLOSED when the endpoint is; IROH_ERR_ARG after iroh_endpoint_next_incoming, which then has them all.
IROH_API int iroh_endpoint_accept(iroh_endpoint *ep, int timeout_ms, iroh_connection **out);

// The next attempt to connect, to be decided on. Once called, iroh_endpoint_accept no longer accepts by itself. The
// attempt is the caller's: it must be given to exactly one of accept, refuse, retry or ignore, which free it whatever
// they return (but for retry's IROH_ERR_ARG).
IROH_API int iroh_endpoint_next_incoming(iroh_endpoint *ep, int timeout_ms, iroh_incoming **out);

// The connection is given out while its handshake runs (see iroh_connection_handshake).
IROH_API int iroh_incoming_accept(iroh_incoming *in, iroh_connection **out);
IROH_API int iroh_incoming_refuse(iroh_incoming *in);
// Asks the peer to prove its address (Retry). IROH_ERR_ARG when it has already; then nothing was done.
IROH_API int iroh_incoming_retry(iroh_incoming *in);
IROH_API int iroh_incoming_ignore(iroh_incoming *in);
IROH_API int iroh_incoming_remote(const iroh_incoming *in, char *out, size_t room);
IROH_API bool iroh_incoming_validated(const iroh_incoming *in);
// The protocols that the peer offers: their number, at most `room` of them stored, borrowed from `in`. No more than 64
// are reported. IROH_ERR_TRUNCATED when they are not known yet, IROH_ERR_SYNTAX.
IROH_API int iroh_incoming_alpns(const iroh_incoming *in, iroh_slice *out, size_t room);

// ---------------------------------------------------------------------------------------------------------------------
// Connection

// Waits until the handshake is complete. 0, or why it failed (see iroh_endpoint_connect).
IROH_API int iroh_connection_handshake(iroh_connection *c, int timeout_ms);

// 0-RTT, after the handshake: 1 accepted, 0 rejected (streams opened before are dead: IROH_ERR_REJECTED_0RTT; send
// again), IROH_ERR_AGAIN not known yet, IROH_ERR_ARG not attempted.
IROH_API int iroh_connection_early(const iroh_connection *c);
IROH_API bool iroh_connection_resumed(const iroh_connection *c);

// Closes with an application code (< 2^62) and a reason of at most 1024 bytes, cut if longer. Idempotent.
IROH_API int iroh_connection_close(iroh_connection *c, uint64_t code, const void *reason, size_t reason_len);

// Waits until the connection is closed by either side. 0, IROH_ERR_AGAIN, IROH_ERR_TIMEOUT.
IROH_API int iroh_connection_closed(iroh_connection *c, int timeout_ms);

typedef struct iroh_close_info {
    int error;  // IROH_ERR_*: PEER_CLOSED, CLOSED, TRANSPORT, IDLE, STATELESS, REFUSED, HANDSHAKE, VERSION; 0: open
    bool by_peer;
    bool application;  // `code` is the application's, else a QUIC transport code
    uint64_t code;
    uint64_t frame_type;  // transport close: the frame that caused it, 0: unknown
    char reason[1025];    // as the closer gave it, terminated, cut at 1024 bytes; may hold any byte
    size_t reason_len;
} iroh_close_info;

IROH_API int iroh_connection_close_info(const iroh_connection *c, iroh_close_info *out);

// Gives the handle back. The last reference closes an open connection with code 0; stream handles count as references.
IROH_API void iroh_connection_free(iroh_connection *c);
IROH_API iroh_connection *iroh_connection_ref(iroh_connection *c);

IROH_API int iroh_connection_remote_id(const iroh_connection *c,
                                       iroh_public_key *out);                         // IROH_ERR_AGAIN: not known yet
IROH_API int iroh_connection_alpn(const iroh_connection *c, void *out, size_t room);  // its length
IROH_API bool iroh_connection_is_client(const iroh_connection *c);
IROH_API uint64_t iroh_connection_stable_id(const iroh_connection *c);
// The peer's address on the path in use, as text: "192.0.2.1:443", or the URL of the relay. Its length.
IROH_API int iroh_connection_remote(const iroh_connection *c, char *out, size_t room);
// TLS exporter (RFC 8446, section 7.5).
IROH_API int iroh_connection_export_keying_material(const iroh_connection *c, const void *label, size_t label_len,
                                                    const void *context, size_t context_len, void *out, size_t len);

typedef struct iroh_connection_stats {
    uint64_t rtt_us, rtt_min_us, rtt_variation_us;
    uint64_t congestion_window, bytes_in_flight;  // bytes
    uint64_t congestion_events, lost_packets, lost_bytes, spurious_losses;
    uint64_t packets_sent, packets_received, bytes_sent, bytes_received;  // UDP payload bytes
    uint64_t datagrams_sent, datagrams_received;                          // UDP datagrams
    uint64_t key_updates, mtu_probes_sent, mtu_probes_lost, black_holes;
    uint64_t streams_opened, streams_accepted;
    uint16_t mtu;
    uint16_t cipher_suite;  // IROH_AES_128_GCM...; 0 before the handshake
} iroh_connection_stats;

IROH_API int iroh_connection_stats_get(const iroh_connection *c, iroh_connection_stats *out);

// One of the ways that a connection has to its peer.
typedef struct iroh_path {
    uint64_t id;
    char remote[IROH_PATH_TEXT];  // as iroh_connection_remote
    bool relay;                   // through a relay, else direct
    bool selected;                // data is sent on it
    bool validated;               // it was shown to work both ways
    bool backup;                  // kept for when the others fail
    uint64_t rtt_us, congestion_window, bytes_in_flight;
    uint64_t bytes_sent, bytes_received, datagrams_sent, datagrams_received, lost_packets, lost_bytes;
    uint16_t mtu;
} iroh_path;

// The open paths: their number, at most `room` of them stored. No more than 16 are reported. IROH_ERR_CLOSED.
IROH_API int iroh_connection_paths(const iroh_connection *c, iroh_path *out, size_t room);

enum { IROH_PATH_OPENED = 1, IROH_PATH_CLOSED, IROH_PATH_SELECTED };

#define IROH_PATH_EVENTS_MAX 16  // that wait to be taken

typedef struct iroh_path_event {
    int kind;
    uint64_t missed;  // events before this one that were lost, since nobody took them in time
    iroh_path path;   // as it was when that happened; of one that was closed, with its last figures
} iroh_path_event;

// The next change of the connection's paths. The first call begins with those that are there: each opened, one selected.
// From then on changes are kept, the oldest are lost. IROH_ERR_AGAIN, IROH_ERR_TIMEOUT; once the connection is closed and
// all was taken, its error. See also IROH_POLL_PATH.
IROH_API int iroh_connection_path_event(iroh_connection *c, int timeout_ms, iroh_path_event *out);

// Changes how many streams the peer may have open at once.
IROH_API int iroh_connection_set_max_streams(iroh_connection *c, bool bidi, uint64_t count);

// Starts a key update now (RFC 9001, section 6). IROH_ERR_AGAIN while one is under way.
IROH_API int iroh_connection_update_keys(iroh_connection *c);

// Datagrams: unreliable messages. Send never waits for the peer: when the queue is full the oldest is dropped
// (iroh_connection_send_datagram) or the call waits (…_wait). IROH_ERR_TOO_LARGE, IROH_ERR_UNSUPPORTED (peer).
IROH_API int iroh_connection_send_datagram(iroh_connection *c, const void *data, size_t len);
IROH_API int iroh_connection_send_datagram_wait(iroh_connection *c, const void *data, size_t len, int timeout_ms);
// The next datagram: its length; IROH_ERR_TOO_LARGE with the datagram lost when it exceeds `room`.
IROH_API int iroh_connection_read_datagram(iroh_connection *c, void *out, size_t room, int timeout_ms);
IROH_API int iroh_connection_max_datagram(const iroh_connection *c);  // bytes, or IROH_ERR_UNSUPPORTED

// ---------------------------------------------------------------------------------------------------------------------
// Streams. One handle has both halves of a bidirectional stream; a unidirectional one has only the half that fits.

// The peer learns of a stream with its first bytes (or its end), not before. Opening waits while the peer's limit is
// reached.
IROH_API int iroh_connection_open_bi(iroh_connection *c, int timeout_ms, iroh_stream **out);
IROH_API int iroh_connection_open_uni(iroh_connection *c, int timeout_ms, iroh_stream **out);
IROH_API int iroh_connection_accept_bi(iroh_connection *c, int timeout_ms, iroh_stream **out);
IROH_API int iroh_connection_accept_uni(iroh_connection *c, int timeout_ms, iroh_stream **out);

// Gives the handle back: an unfinished sending half is finished, an unread receiving half is stopped with code 0.
IROH_API void iroh_stream_free(iroh_stream *s);

IROH_API uint64_t iroh_stream_id(const iroh_stream *s);

// Queues at least one and at most `len` bytes: their number. Waits for room in the send buffer. IROH_ERR_STOPPED,
// IROH_ERR_CLOSED (finished or reset before), or the connection's error.
IROH_API int64_t iroh_stream_write(iroh_stream *s, const void *data, size_t len, int timeout_ms);
// Queues all of it. On an error or timeout *written (may be null) says how much was taken.
IROH_API int iroh_stream_write_all(iroh_stream *s, const void *data, size_t len, int timeout_ms, size_t *written);
// Queues all `len` bytes (1..IROH_LEND_MAX) without copying them, as soon as there is room for one. They must stay as they
// are until `release` is called, on any thread: when the peer has acknowledged them all, or when nobody wants them any
// more, at the latest when the endpoint is freed. It runs with locks held, so it must not call the library and should only
// put the bytes aside. 0, or an error as iroh_stream_write's: then the bytes were not taken and nothing is released.
#define IROH_LEND_MAX 1048576
IROH_API int iroh_stream_lend(iroh_stream *s, const void *data, size_t len,
                              void (*release)(void *user, const void *data), void *user, int timeout_ms);
IROH_API int iroh_stream_finish(iroh_stream *s);                // no more bytes follow
IROH_API int iroh_stream_reset(iroh_stream *s, uint64_t code);  // abandons what was not delivered
// Waits until the peer acknowledged everything including the end: 0; IROH_ERR_STOPPED when it stopped reading.
IROH_API int iroh_stream_wait_finished(iroh_stream *s, int timeout_ms);
IROH_API int iroh_stream_set_priority(iroh_stream *s, int32_t priority);  // higher first; 0

// Reads at least one and at most `len` bytes: their number; 0 at the end. IROH_ERR_RESET, or the connection's error.
IROH_API int64_t iroh_stream_read(iroh_stream *s, void *out, size_t len, int timeout_ms);
// Exactly `len` bytes: 0, or IROH_ERR_FINISHED at an early end. *got (may be null): bytes stored.
IROH_API int iroh_stream_read_exact(iroh_stream *s, void *out, size_t len, int timeout_ms, size_t *got);
IROH_API int iroh_stream_stop(iroh_stream *s, uint64_t code);  // asks the peer to stop sending

// The peer's code after IROH_ERR_RESET and IROH_ERR_STOPPED. IROH_ERR_ARG when there is none.
IROH_API int iroh_stream_reset_code(const iroh_stream *s, uint64_t *out);
IROH_API int iroh_stream_stop_code(const iroh_stream *s, uint64_t *out);

// ---------------------------------------------------------------------------------------------------------------------
// Waiting for any of several things

enum {
    IROH_POLL_READ = 1,       // stream: data, end or reset; connection: a datagram; fd: readable
    IROH_POLL_WRITE = 2,      // stream: room, or stopped; fd: writable
    IROH_POLL_ACCEPT_BI = 4,  // connection: a bidirectional stream; endpoint: a connection or an attempt to connect
    IROH_POLL_ACCEPT_UNI = 8,
    IROH_POLL_OPEN_BI = 16,  // connection: a bidirectional stream can be opened
    IROH_POLL_OPEN_UNI = 32,
    IROH_POLL_CONNECTED = 64,  // connection: the handshake is complete
    IROH_POLL_FINISHED = 128,  // stream: everything was acknowledged
    IROH_POLL_CLOSED = 256,    // connection, endpoint: closed; stream: its connection is closed. Reported unasked
    IROH_POLL_ERROR = 512,     // fd: POLLERR or POLLHUP. Reported unasked
    IROH_POLL_PATH = 1024,     // connection: iroh_connection_path_event has something, as before its first call
};

// Exactly one of the handles is set, or none and `fd`. A call that would not wait any more because it would fail counts
// as ready.
typedef struct iroh_pollitem {
    iroh_endpoint *endpoint;
    iroh_connection *connection;
    iroh_stream *stream;
    int fd;
    unsigned events;   // IROH_POLL_* to wait for
    unsigned revents;  // result
} iroh_pollitem;

// Waits until at least one item is ready: their number; 0 when the timeout passed. All handles must belong to one
// endpoint. IROH_ERR_ARG, IROH_ERR_NOMEM.
IROH_API int iroh_poll(iroh_pollitem *items, size_t count, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
