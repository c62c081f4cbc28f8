// Our QUIC core alone behind the path protocol of tests/interop/README.md: one connection at a time, told what to do
// line by line. The inside of the library is used, since paths are below the public API.
//
//   quic_peer.c          arguments, sockets, the loop
//   quic_peer_conn.c     connections, their events, and the echo of streams
//   quic_peer_command.c  the lines of standard input
#ifndef INTEROP_QUIC_PEER_H
#define INTEROP_QUIC_PEER_H

#include "base/list.h"
#include "peer_data.h"
#include "quic/endpoint.h"
#include "sys/udp.h"

#define QP_SOCKETS_MAX 4
#define QP_HOSTS_MAX 4
#define QP_DEAF_MAX 8
#define QP_HELD 16384

typedef struct qp_args {
    bool serving, retry, observe, tokens;
    const char *secret, *id;
    addr binds[QP_SOCKETS_MAX];
    size_t bind_count;
    const char *hosts[QP_HOSTS_MAX];  // announced instead of the sockets' own addresses
    size_t host_count;
    addr remote;         // to dial
    uint64_t path_idle;  // ns
    uint64_t limit;      // ns
} qp_args;

typedef struct qp_socket {
    sys_udp *udp;
    addr local;
    bool wildcard;
} qp_socket;

// What we know of a connection beyond what the core does.
typedef struct qp_conn {
    bool validated;  // server: the client's address was proven before the handshake
} qp_conn;

// A stream: ours, which sends the pattern and compares what returns, or the peer's, which is echoed.
typedef struct qp_transfer {
    list_link link;
    quic_conn *conn;
    quic_stream *stream;
    bool mine, half_told, in_ended, out_ended;
    uint64_t size, sent, got;
    uint8_t held[QP_HELD];  // read and not written yet
    size_t held_len, held_at;
} qp_transfer;

typedef struct quic_peer {
    qp_args args;
    uint8_t peer_key[32];
    quic_endpoint *core;
    qp_socket sockets[QP_SOCKETS_MAX];
    size_t socket_count;
    addr deaf[QP_DEAF_MAX];  // nothing goes to or comes from these, whichever end they are
    size_t deaf_count;
    uint8_t *rx, *tx;  // SYS_UDP_BATCH bytes each
    quic_conn *conn;   // the newest, null: none
    uint8_t *session;
    size_t session_len;
    uint8_t *token;
    size_t token_len;
    list_link transfers;
    pattern data;
    bool ended;  // standard input is over
} quic_peer;

// --- quic_peer.c

// Replaces the sockets by new ones of other ports. An IROH_ERR_* or 0.
int quic_peer_rebind(quic_peer *p);

// --- quic_peer_conn.c

// Dials. `early`: bytes to send as early data, 0: none. IROH_ERR_NOT_FOUND: there is no session for early data.
int quic_peer_connect(quic_peer *p, uint64_t early);

// Opens a stream and sends the pattern on it, to be echoed.
int quic_peer_echo(quic_peer *p, quic_conn *c, uint64_t size);

// Takes new connections and prints what happened to those there are.
void quic_peer_events(quic_peer *p);

// --- quic_peer_command.c

void quic_peer_obey(quic_peer *p, char *line);

#endif
