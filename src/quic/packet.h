// Packet headers (RFC 9000, section 17): parsing what a datagram holds and writing our own.
#ifndef QUIC_PACKET_H
#define QUIC_PACKET_H

#include "base/bytes.h"
#include "quic/types.h"

// One packet inside a datagram, before header protection is removed. Everything is borrowed from the datagram.
typedef struct quic_packet {
    quic_packet_type type;
    uint32_t version;  // long headers
    const uint8_t *dcid;
    size_t dcid_len;
    const uint8_t *scid;  // long headers
    size_t scid_len;
    const uint8_t *token;  // Initial, Retry (without the integrity tag)
    size_t token_len;
    uint8_t *bytes;    // first byte of the packet
    size_t len;        // bytes of this packet in the datagram; what follows is the next one
    size_t pn_offset;  // where the protected packet number starts
} quic_packet;

// Parses the header of the first packet in [bytes, bytes + len). Short headers have a connection id of QUIC_LOCAL_CID
// bytes. 0; IROH_ERR_SYNTAX: not a packet (fixed bit 0, truncated, connection id over 20 bytes in version 1);
// IROH_ERR_UNSUPPORTED: long header of an unknown version, only version, dcid and scid are set (each at most 255 bytes).
int quic_packet_parse(uint8_t *bytes, size_t len, quic_packet *out);

// Bytes of a packet number on the wire so that the peer, who has acknowledged at most `largest_acked` (QUIC_PN_NONE:
// nothing), decodes it (RFC 9000, A.2). 1..4
size_t quic_pn_size(uint64_t pn, uint64_t largest_acked);

// The full number of a truncated one, given the largest received so far in its space, QUIC_PN_NONE: none (A.3).
uint64_t quic_pn_decode(uint64_t truncated, size_t size, uint64_t largest);

// Writes a long header up to and with the packet number; the Length field takes 2 bytes and stays zero. Returns the
// offset of the packet number from `start`, or 0 when the header does not fit. Token only for Initial.
size_t quic_packet_write_long(writer *w, quic_packet_type type, const quic_cid *dcid, const quic_cid *scid,
                              const uint8_t *token, size_t token_len, uint64_t pn, size_t pn_size);

// Fills in the Length field of the long header that starts at `packet`, once the packet's whole size, tag included, is
// known.
void quic_packet_set_length(uint8_t *packet, size_t pn_offset, size_t packet_len);

// Writes a short header; returns the offset of the packet number.
size_t quic_packet_write_short(writer *w, const quic_cid *dcid, bool spin, bool key_phase, uint64_t pn, size_t pn_size);

// Whole packets that need no connection. Return the length, 0 when `room` is too small.
size_t quic_packet_write_version_negotiation(uint8_t *out, size_t room, const quic_packet *received, uint8_t random);
size_t quic_packet_write_retry(uint8_t *out, size_t room, const quic_cid *dcid, const quic_cid *scid,
                               const quic_cid *original_dcid, const uint8_t *token, size_t token_len, uint8_t random);

// True when the integrity tag of a received Retry is right (RFC 9001, section 5.8).
bool quic_packet_retry_valid(const quic_packet *retry, const quic_cid *original_dcid);

// Calls for each version of a Version Negotiation packet: true when `version` is in it.
bool quic_packet_lists_version(const quic_packet *vn, uint32_t version);

#endif
