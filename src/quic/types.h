// Words that every QUIC file shares: connection ids, packet and space kinds, error codes, limits (RFC 9000).
#ifndef QUIC_TYPES_H
#define QUIC_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define QUIC_VERSION_1 UINT32_C(1)
#define QUIC_CID_MAX 20
#define QUIC_LOCAL_CID 8  // length of every connection id that we issue
#define QUIC_RESET_TOKEN 16
#define QUIC_PEER_TOKEN_MAX 512  // longer address tokens are not taken: every Initial packet carries one
#define QUIC_MIN_INITIAL 1200    // smallest datagram that carries a client Initial (RFC 9000, section 14.1)
#define QUIC_MAX_UDP_PAYLOAD 65527
#define QUIC_PN_NONE UINT64_MAX  // no packet number yet

typedef struct quic_cid {
    uint8_t len;  // 0..QUIC_CID_MAX
    uint8_t bytes[QUIC_CID_MAX];
} quic_cid;

static inline bool quic_cid_equal(const quic_cid *a, const quic_cid *b) {
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

typedef enum quic_packet_type {
    QUIC_INITIAL = 0,
    QUIC_0RTT = 1,
    QUIC_HANDSHAKE = 2,
    QUIC_RETRY = 3,
    QUIC_1RTT = 4,
    QUIC_VERSION_NEGOTIATION = 5,
} quic_packet_type;

// Packet number spaces. 0-RTT and 1-RTT share the data space; Initial and Handshake exist on path 0 only.
typedef enum quic_space_id { QUIC_SPACE_INITIAL = 0, QUIC_SPACE_HANDSHAKE = 1, QUIC_SPACE_DATA = 2 } quic_space_id;
#define QUIC_SPACES 3

typedef enum quic_role { QUIC_CLIENT = 0, QUIC_SERVER = 1 } quic_role;

// Transport error codes (RFC 9000, section 20.1; the multipath draft for 0x10). Functions that handle a peer's input
// return 0 or such a code as a positive int; memory failure is QUIC_INTERNAL_ERROR.
enum {
    QUIC_NO_ERROR = 0x00,
    QUIC_INTERNAL_ERROR = 0x01,
    QUIC_CONNECTION_REFUSED = 0x02,
    QUIC_FLOW_CONTROL_ERROR = 0x03,
    QUIC_STREAM_LIMIT_ERROR = 0x04,
    QUIC_STREAM_STATE_ERROR = 0x05,
    QUIC_FINAL_SIZE_ERROR = 0x06,
    QUIC_FRAME_ENCODING_ERROR = 0x07,
    QUIC_TRANSPORT_PARAMETER_ERROR = 0x08,
    QUIC_CONNECTION_ID_LIMIT_ERROR = 0x09,
    QUIC_PROTOCOL_VIOLATION = 0x0a,
    QUIC_INVALID_TOKEN = 0x0b,
    QUIC_APPLICATION_ERROR = 0x0c,
    QUIC_CRYPTO_BUFFER_EXCEEDED = 0x0d,
    QUIC_KEY_UPDATE_ERROR = 0x0e,
    QUIC_AEAD_LIMIT_REACHED = 0x0f,
    QUIC_NO_VIABLE_PATH = 0x10,
    QUIC_CRYPTO_ERROR = 0x100,  // + TLS alert
};

// Explicit congestion notification codepoints of the IP header.
enum { QUIC_ECN_NONE = 0, QUIC_ECN_ECT1 = 1, QUIC_ECN_ECT0 = 2, QUIC_ECN_CE = 3 };

#endif
