// Two connected endpoints and a stranger for tests of one connection: what each side says can be put into its mouth, and
// every datagram that leaves is noted.
#ifndef UNIT_DUO_SUPPORT_H
#define UNIT_DUO_SUPPORT_H

#include "quic/conn_state.h"
#include "sim/forge.h"
#include "sim/transfer.h"

#define DUO_OPEN (-1)
#define DUO_OTHER (-2)
#define DUO_LOG 256
#define DUO_FRAMES_MAX 1200  // bytes of frames in one packet

enum { CLIENT = 0, SERVER = 1, STRANGER = 2 };

typedef struct duo_datagram {
    size_t from, len;
    addr local, remote;
    uint64_t time;
} duo_datagram;

typedef struct duo {
    sim_world w;
    sim_transfer t;  // of the client, one small stream
    duo_datagram log[DUO_LOG];
    size_t count;          // in `log`; a test sets it to 0 to begin anew
    uint64_t to_stranger;  // bytes that left for its address, whatever the port
} duo;

// Not connected yet; `transport` null: the default. Nothing reaches the stranger, so that it answers nothing.
duo *duo_new(const quic_transport *transport);
void duo_dial(duo *d, const uint8_t *session, size_t session_len);  // with early data if there is a session
duo *duo_start(const quic_transport *transport);                    // connected and at rest
void duo_free(duo *d);

// The newest connection of a node; null: it has none.
quic_conn *duo_conn(duo *d, size_t node);
void duo_run(duo *d, uint64_t ms);

// The transport error with which the node itself closed; DUO_OPEN: its connection goes on; DUO_OTHER: it ended otherwise.
int duo_outcome(duo *d, size_t node);

// The connection of `from` says these frames, and its datagram arrives at the other side from `source`; then a
// millisecond passes. Returns the bytes of the datagram.
size_t duo_say_from(duo *d, size_t source, size_t from, const uint8_t *frames, size_t len);
size_t duo_say(duo *d, size_t from, const uint8_t *frames, size_t len);

// Hexadecimal digits, blanks between them are skipped. Returns the number of bytes.
size_t duo_hex(const char *hex, uint8_t out[static DUO_FRAMES_MAX]);

#endif
