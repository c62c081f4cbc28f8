// Frames of the relay protocol, versions 1 and 2: a table of rows, and two functions that walk it.
//
// One frame is one binary WebSocket message: a type, as a QUIC varint in any of its sizes, and a body. Nothing here copies
// or allocates: a decoded frame borrows from the message. Keys are not checked to be points of the curve (see
// relay_frame_id_valid): a server needs that of no destination, and a client remembers whom it has checked.
#ifndef RELAY_FRAME_H
#define RELAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

#define RELAY_ID 32         // bytes of an endpoint id
#define RELAY_CHALLENGE 16  // bytes of a challenge
#define RELAY_SIGNATURE 64
#define RELAY_PING 8  // bytes of a ping and its pong

#define RELAY_FRAME_MAX 65536                   // bytes of a frame that is sent, type included
#define RELAY_BODY_MAX 65536                    // bytes after the type that are read
#define RELAY_MESSAGE_MAX (RELAY_BODY_MAX + 8)  // a type takes at most 8
#define RELAY_DATAGRAM_HEAD 34                  // type, id, ECN
#define RELAY_BATCH_HEAD 36                     // and the segment size
#define RELAY_DATAGRAM_MAX (RELAY_FRAME_MAX - RELAY_DATAGRAM_HEAD)
#define RELAY_BATCH_MAX (RELAY_FRAME_MAX - RELAY_BATCH_HEAD)

enum { RELAY_V1 = 1, RELAY_V2 = 2 };
#define RELAY_V1_NAME "iroh-relay-v1"
#define RELAY_V2_NAME "iroh-relay-v2"

enum {
    RELAY_SERVER_CHALLENGE = 0,
    RELAY_CLIENT_AUTH = 1,
    RELAY_SERVER_CONFIRMS = 2,
    RELAY_SERVER_DENIES = 3,
    RELAY_TO_RELAY = 4,
    RELAY_TO_RELAY_BATCH = 5,
    RELAY_TO_CLIENT = 6,
    RELAY_TO_CLIENT_BATCH = 7,
    RELAY_GONE = 8,
    RELAY_PING_FRAME = 9,
    RELAY_PONG_FRAME = 10,
    RELAY_HEALTH = 11,
    RELAY_RESTARTING = 12,
    RELAY_STATUS = 13,
};

enum { RELAY_STATUS_HEALTHY = 0, RELAY_STATUS_SAME_ID = 1, RELAY_STATUS_RATE_LIMITED = 2 };

enum { RELAY_ECN_MASK = 3 };

typedef struct relay_frame {
    uint8_t type;
    uint8_t ecn;            // datagrams: 0..3
    uint8_t code;           // status
    uint16_t segment;       // batches: bytes of each datagram but the last; 0: `data` is one datagram
    uint32_t reconnect_in;  // restarting, ms
    uint32_t try_for;       // restarting, ms
    const uint8_t *id;      // RELAY_ID bytes: client auth, datagrams, gone; else null
    const uint8_t *data;    // challenge, signature, reason, payload, ping data, health text; null: none
    size_t len;             // bytes of data
} relay_frame;

enum { RELAY_BY_CLIENT = 1, RELAY_BY_SERVER = 2 };  // who may send it, a set
enum { RELAY_IN_HANDSHAKE = 0, RELAY_IN_SESSION = 1 };

typedef struct relay_frame_info {
    uint8_t type;
    uint8_t senders;   // RELAY_BY_*
    uint8_t versions;  // set of 1 << version
    uint8_t phase;
    const char *name;
    void (*decode)(reader *r, relay_frame *f);
    void (*encode)(writer *w, const relay_frame *f);  // the body
} relay_frame_info;

// The row of a type; null for an unknown one.
const relay_frame_info *relay_frame_info_of(uint64_t type);

// Decodes the one frame that a message is. `sender` (RELAY_BY_*), `version` and `phase` say what is allowed.
// IROH_ERR_UNSUPPORTED: a type that is unknown or not allowed here; IROH_ERR_SYNTAX: the body does not fit its type, or the
// message is empty; IROH_ERR_TOO_LARGE: more than RELAY_BODY_MAX bytes follow the type. All are fatal to the connection.
int relay_frame_decode(const uint8_t *message, size_t len, uint8_t sender, uint8_t version, uint8_t phase,
                       relay_frame *out);

// Writes a frame with the shortest type. Fails the writer on what must not be sent: an empty payload or one beyond
// RELAY_FRAME_MAX, an unknown type, data of a wrong length.
void relay_frame_encode(writer *w, const relay_frame *f);

// Whether the frame has no id, or one that is a point of the curve; anything else is fatal to the connection.
bool relay_frame_id_valid(const relay_frame *f);

// Turns the message of a datagram to the relay into the one that the receiver gets, in place: the sender's id, and the
// other type. `frame` is what relay_frame_decode made of the message. The forwarded frame starts at *out, inside the
// message, and has the length that is returned: the same bytes but for the head, so that nothing is copied. 0: it must not
// be forwarded (no payload, or longer than a frame may be when sent); then nothing was changed. `frame->id` is overwritten:
// look the destination up before.
size_t relay_frame_forward(uint8_t *message, size_t len, const relay_frame *frame,
                           const uint8_t sender[static RELAY_ID], uint8_t **out);

#endif
