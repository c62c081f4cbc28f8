// What the files that build packets share.
//   conn_packet.c          one packet: header, padding, sealing, the record of what was sent
//   conn_send.c            1-RTT and 0-RTT packets, batches, which path sends next
//   conn_send_handshake.c  coalesced datagrams of the handshake, the first flight to several addresses
//   conn_send_path.c       packets about paths: validation, probes of the MTU, NAT traversal
//   conn_send_close.c      CONNECTION_CLOSE
//
// A packet stays open until it is known whether another follows in the datagram, because padding belongs into the last
// one. Frames are written straight into the caller's buffer and sealed in place.
#ifndef QUIC_CONN_SEND_H
#define QUIC_CONN_SEND_H

#include "quic/conn_state.h"

#define PACKET_ROOM_MIN 87  // no further packet is begun in a datagram with less room

typedef struct quic_open_packet {
    quic_packet_type type;
    quic_space *space;
    uint8_t *start;
    size_t pn_offset, pn_size;
    uint64_t pn;
    const quic_keys *keys;
    const hp_key *hp;
    quic_builder b;
    bool open;
    bool unmarked;  // leaves without an ECN mark
} quic_open_packet;

// --- conn_packet.c

// Begins a packet at `at`; false when there is no room, no key, no connection id or no memory.
bool quic_open_packet_begin(quic_conn *c, quic_path *p, quic_open_packet *k, quic_packet_type type, uint8_t *at,
                            size_t room, uint64_t now);
// Seals the packet and records it as sent. Returns its length, 0 on a failure of the cipher (then nothing is sent).
size_t quic_open_packet_finish(quic_conn *c, quic_path *p, quic_open_packet *k, uint64_t now);
// For a packet that turns out to be empty or cannot be sent.
void quic_open_packet_abandon(quic_open_packet *k);
// Pads so that the whole packet, tag included, has `size` bytes; a larger one stays as it is.
void quic_open_packet_pad(quic_open_packet *k, size_t size);
// A frame without fields that elicits an acknowledgement, if there is room.
void quic_open_packet_put(quic_open_packet *k, uint64_t type);
// An ACK of `p`'s space `s`, with a note when the packet elicits an acknowledgement itself.
void quic_open_packet_put_ack(quic_conn *c, const quic_path *p, quic_space *s, quic_open_packet *k, uint64_t now,
                              bool eliciting);
void quic_open_packet_put_crypto(quic_open_packet *k, quic_crypto *crypto);
// A datagram leaves: everything costs pacing budget and, while the address is unproven, credit.
void quic_conn_account(quic_conn *c, quic_path *p, size_t len, bool paced, uint64_t now);

// --- conn_send.c

typedef enum quic_allowance { ALLOW_NOTHING, ALLOW_ACKS, ALLOW_ALL } quic_allowance;

// What congestion window and pacing let a path send; probes and path validation pass regardless.
quic_allowance quic_conn_allowance(quic_conn *c, quic_path *p, uint64_t now);
uint64_t quic_conn_window_left(const quic_conn *c, const quic_path *p);  // bytes
bool quic_conn_can_send_1rtt(const quic_conn *c);
bool quic_conn_can_send_0rtt(const quic_conn *c);
bool quic_conn_data_wants(quic_conn *c, quic_path *p, bool carries, bool early, quic_allowance allowed, uint64_t now);
void quic_conn_fill_data(quic_conn *c, quic_path *p, quic_open_packet *k, bool carries, quic_allowance allowed,
                         uint64_t now);

// --- conn_send_handshake.c
bool quic_conn_handshake_waits(const quic_conn *c, uint64_t now);
size_t quic_conn_build_handshake(quic_conn *c, uint8_t *room, uint64_t now);
bool quic_conn_repeat_flight(quic_conn *c, uint8_t *room, quic_transmit *out);

// --- conn_send_path.c
bool quic_conn_path_frames_wait(const quic_path *p);
void quic_conn_put_path_frames(quic_conn *c, quic_path *p, quic_builder *b, uint64_t now);
size_t quic_conn_build_mtu_probe(quic_conn *c, quic_path *p, uint8_t *at, size_t room, uint64_t now);
// An answer or a probe to an address that is not the path's: alone, to where *out says, without ECN. False: none.
bool quic_conn_build_off_path(quic_conn *c, uint8_t *at, size_t room, uint64_t now, quic_transmit *out);

// --- conn_send_close.c
size_t quic_conn_build_close(quic_conn *c, quic_path *p, uint8_t *room, uint64_t now);

// --- conn_cids.c
void quic_conn_put_cids(quic_conn *c, quic_builder *b);

// --- conn_path_frames.c
void quic_conn_put_control(quic_conn *c, quic_path *p, quic_builder *b);

#endif
