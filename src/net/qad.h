// QUIC address discovery, the client's side: a connection over which a relay tells from which address we come. Ordinary
// web TLS with the relay's host name; no streams, no datagrams, nothing but that report and, if it is kept, a ping now
// and then, which keeps the mapping of a NAT alive.
//
// It is a connection of the endpoint's own QUIC, so that it leaves from the sockets that peers are to find. What follows
// are its events: CONN_PATH with PATH_EVENT_OBSERVED (qad_observed), CONN_CLOSED.
#ifndef NET_QAD_H
#define NET_QAD_H

#include "quic/endpoint.h"

#define QAD_PORT 7842
#define QAD_HOST_MAX 256  // bytes of a host name, terminator included

struct web_roots;

// `host` is the relay's, as in its URL: an IPv6 address may have its brackets, a name its final dot. IROH_ERR_TOO_LARGE,
// IROH_ERR_ARG (no IP address), and those of quic_endpoint_connect.
int qad_connect(quic_endpoint *ep, struct web_roots *roots, const char *host, size_t host_len, const addr *relay,
                uint64_t now, quic_conn **out);

// The latest address that the relay told since the last call, IPv4 in its own form; false: none.
bool qad_observed(quic_conn *c, addr *out);

// The round trip, ns; 0: not known yet.
uint64_t qad_rtt(const quic_conn *c);

// Says goodbye in the way that relays expect. The connection must still be released.
void qad_close(quic_conn *c, uint64_t now);

#endif
