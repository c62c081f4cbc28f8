// n0's NAT traversal without packets: the candidate addresses of both sides, rounds, and when to probe whom.
//
// The server names its candidates with ADD_ADDRESS; the client starts rounds, in which it names its own with REACH_OUT,
// and then both send PATH_CHALLENGE to every candidate of the other side at the same time. A probe that is answered
// from the very address it went to proves that address; the client opens a path to it. Probes of one address are
// repeated up to NAT_TRIES times at growing intervals, each with fresh data; a new round forgets the old one.
//
// Pure state over a clock and entropy that the caller passes in. Addresses are canonical. Not thread-safe.
#ifndef QUIC_NAT_H
#define QUIC_NAT_H

#include "base/addr.h"
#include "base/entropy.h"
#include "quic/frame.h"
#include "quic/sent.h"

#define NAT_TRIES 9                      // probes of one address in a round
#define NAT_INTERVAL UINT64_C(33300000)  // ns, the first two intervals; later ones double
#define NAT_INTERVAL_CAP UINT64_C(2000000000)
#define NAT_SEQ_NONE UINT64_MAX

typedef struct quic_nat quic_nat;

// `own_limit`: candidates of the peer that we store; `peer_limit`: how many the peer stores of ours. Null: no memory.
quic_nat *quic_nat_new(quic_role role, uint8_t own_limit, uint8_t peer_limit);
void quic_nat_free(quic_nat *n);  // null is ignored

// Own candidates. Adding a known one changes nothing. A server's ADD_ADDRESS waits to be sent. IROH_ERR_LIMIT,
// IROH_ERR_NOMEM.
int quic_nat_add(quic_nat *n, const addr *address);
// IROH_ERR_NOT_FOUND. A server's REMOVE_ADDRESS waits to be sent.
int quic_nat_remove(quic_nat *n, const addr *address);
size_t quic_nat_own(const quic_nat *n, addr *out, size_t room);    // their number, at most `room` stored
size_t quic_nat_peers(const quic_nat *n, addr *out, size_t room);  // the peer's candidates

// Client: begins a round; REACH_OUT frames wait to be sent and probes are due at once. IROH_ERR_ARG at a server.
int quic_nat_start_round(quic_nat *n, uint64_t now);

// Frames of the peer. 0 or a transport error code; memory failure costs a candidate only.
int quic_nat_on_frame(quic_nat *n, const quic_frame *f, uint64_t now);

// The next frame that waits to be sent, with the note by which quic_nat_frame_lost knows it again; false: none.
// quic_nat_frame_sent takes it off.
bool quic_nat_next_frame(quic_nat *n, quic_frame *f, quic_sent_frame *note);
void quic_nat_frame_sent(quic_nat *n, const quic_sent_frame *note);
void quic_nat_frame_lost(quic_nat *n, const quic_sent_frame *note);
void quic_nat_frame_acked(quic_nat *n, const quic_sent_frame *note);

// When quic_nat_next_probe has something, ns; TIME_NEVER: not in this round.
uint64_t quic_nat_deadline(const quic_nat *n);

// A probe that is due at `now`: its address and fresh data, remembered as outstanding. False: none.
bool quic_nat_next_probe(quic_nat *n, uint64_t now, const entropy *random, addr *to, uint8_t data[static 8]);

// Client: an answer to a challenge from `to` may carry a challenge of ours: its data, outstanding but not repeated.
// False when that address is proven already, there is no memory, or too many are known.
bool quic_nat_bundle(quic_nat *n, const addr *to, const entropy *random, uint8_t data[static 8]);

// PATH_RESPONSE `data` came from `from`: true when it answers an outstanding probe of that very address, which is then
// proven and probed no more in this round.
bool quic_nat_responded(quic_nat *n, const uint8_t data[static 8], const addr *from);

// Client: a proven address to which a path is still to be opened; false: none. *at starts at 0.
bool quic_nat_next_open(const quic_nat *n, size_t *at, addr *out);
void quic_nat_opened(quic_nat *n, const addr *address);

#endif
