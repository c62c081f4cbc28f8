// Packets that nobody sent, made with the right keys: what a hostile peer can say, and what anybody on the way can. They
// are sealed with the keys that the victim itself reads with, so that their frames reach its handlers.
#ifndef SIM_FORGE_H
#define SIM_FORGE_H

#include "quic/conn_state.h"

#define FORGE_PACKET_MAX 1500
#define FORGE_OVERHEAD 100  // bytes of a packet beside its frames at most

typedef enum forge_level { FORGE_1RTT = 0, FORGE_INITIAL = 1, FORGE_HANDSHAKE = 2, FORGE_0RTT = 3 } forge_level;

typedef struct forge_options {
    forge_level level;
    bool next_phase;  // 1-RTT: of the key phase after the current one
    size_t path;      // 1-RTT: n-th path id that has connection ids, modulo their number
    uint64_t ahead;   // packet numbers left out after the largest that the victim has received
} forge_options;

// Each writes a datagram for `c` into `out` of FORGE_PACKET_MAX bytes and returns its length; 0: not possible in the
// state that `c` is in (no such keys, the handshake is over).

// `len` <= FORGE_PACKET_MAX - FORGE_OVERHEAD bytes of frames, which need not be such.
size_t forge_packet(const quic_conn *c, const forge_options *o, const uint8_t *frames, size_t len, uint8_t *out);
// The connection `c` itself says these frames, in a packet of its path in use that its books know of. 0: it cannot.
size_t forge_own(quic_conn *c, const uint8_t *frames, size_t len, uint64_t now, uint8_t *out);
// To a client: a Retry with a right tag.
size_t forge_retry(const quic_conn *c, const uint8_t *token, size_t len, uint8_t *out);
// `list` stands for the versions.
size_t forge_version_negotiation(const quic_conn *c, const uint8_t *list, size_t len, uint8_t *out);
// A stateless reset with the token that the peer of `c` gave for path 0, behind `len` bytes of noise.
size_t forge_reset(const quic_conn *c, const uint8_t *noise, size_t len, uint8_t *out);

// The first packet of a client of the simulator's TLS (ALPN "sim", connection id "stranger"), with transport parameters
// that need not be such, at most 512 bytes. `dcid` tells connections apart. 0: too long.
size_t forge_hello(uint64_t dcid, const uint8_t *params, size_t len, uint8_t *out);
// CRYPTO with that client's last message of the handshake: FORGE_FINISH bytes.
#define FORGE_FINISH 39
void forge_finish(uint8_t out[static FORGE_FINISH]);

#endif
