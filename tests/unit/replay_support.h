// An observer of QUIC connections: finds connection, direction, path and keys of every packet of a capture, as the two
// ends did, and opens it with the decoders of src/quic.
//
// A connection begins with a client's Initial to an unknown connection id. From then on packets are found by destination
// connection id alone: ids come from long headers, from Retry and from the frames that the caller hands to
// replay_frame. TLS is read as far as it matters here: the client's random (which names the secrets in the key log), the
// cipher suite, the transport parameters.
#ifndef UNIT_REPLAY_SUPPORT_H
#define UNIT_REPLAY_SUPPORT_H

#include "quic/frame.h"
#include "quic/packet.h"
#include "quic/params.h"
#include "quic/protect.h"
#include "unit/capture_support.h"

#define REPLAY_CONNS 4
#define REPLAY_PATHS 16
#define REPLAY_CIDS 512
#define REPLAY_CRYPTO 4096  // bytes of TLS messages in one direction of a level

typedef enum replay_dir { REPLAY_C2S = 0, REPLAY_S2C = 1 } replay_dir;

// The messages of one direction of a level, from offset 0 on.
typedef struct replay_crypto {
    uint8_t bytes[REPLAY_CRYPTO];
    size_t len;   // contiguous
    size_t read;  // of it, whole messages that were looked at
} replay_crypto;

typedef struct replay_conn {
    size_t number;
    quic_cid original_dcid;
    quic_keys initial[2], handshake[2], early;  // by replay_dir
    quic_key_phases app[2];                     // the read side opens; the write side is there to take part in updates
    uint64_t largest[2][QUIC_SPACES][REPLAY_PATHS];
    replay_crypto crypto[2][QUIC_SPACES];
    uint8_t random[CAPTURE_RANDOM];
    bool random_known;
    const aead_suite *suite;  // null before the ServerHello
    quic_params params[2];
    bool params_known[2];
} replay_conn;

typedef struct replay_cid {
    quic_cid cid;
    replay_conn *conn;
    replay_dir dir;  // of packets to this id
    uint32_t path;
    bool has_token;
    uint8_t token[QUIC_RESET_TOKEN];
} replay_cid;

typedef struct replay {
    key_log keys;
    replay_conn *conns[REPLAY_CONNS];
    size_t conn_count;
    replay_cid cids[REPLAY_CIDS];
    size_t cid_count;
} replay;

typedef enum replay_kind {
    REPLAY_OPENED,   // everything below is set
    REPLAY_SEALED,   // a connection whose secrets are not known; no packet number, no plaintext
    REPLAY_CONTROL,  // Retry or Version Negotiation
    REPLAY_RESET,    // ends with a stateless reset token of `conn`
    REPLAY_UNKNOWN,  // none of these, and nothing behind it in the datagram can be read
} replay_kind;

typedef struct replay_packet {
    replay_kind kind;
    int parsed;          // result of quic_packet_parse, on the packet as captured
    quic_packet header;  // unless UNKNOWN; of a packet whose fixed bit is clear it was read as if it were set
    replay_conn *conn;   // null for Version Negotiation
    replay_dir dir;
    uint32_t path;
    quic_space_id space;
    uint64_t pn;
    size_t pn_size;
    uint64_t generation;    // key updates of this direction before the packet
    const quic_keys *keys;  // those that opened it, until the next packet
    const hp_key *hp;
    uint8_t *plain;
    size_t plain_len;
} replay_packet;

// `keys` names the key log. Ends the program when out of memory.
void replay_init(replay *r, const char *keys);
void replay_dispose(replay *r);

// The first packet of the `len` > 0 bytes, opened in place. Returns its size. A packet that should open and does not
// ends the program with a message.
size_t replay_next(replay *r, uint8_t *bytes, size_t len, replay_packet *out);

// Takes from a frame of an opened packet what matters for later ones. True when it completed the transport parameters of
// its direction.
bool replay_frame(replay *r, const replay_packet *p, const quic_frame *f);

#endif
