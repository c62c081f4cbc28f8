// Two connected endpoints and a stranger for tests of one connection: what each side says can be put into its mouth, and
// every datagram that leaves is noted.
#ifndef UNIT_LINKED_SUPPORT_H
#define UNIT_LINKED_SUPPORT_H

#include "quic/conn_state.h"
#include "sim/forge.h"
#include "sim/transfer.h"

#define LINKED_OPEN (-1)
#define LINKED_OTHER (-2)
#define LINKED_LOG 256
#define LINKED_FRAMES_MAX 1200  // bytes of frames in one packet

enum { CLIENT = 0, SERVER = 1, STRANGER = 2 };

typedef struct linked_datagram {
    size_t from, len;
    addr local, remote;
    uint64_t time;
} linked_datagram;

typedef struct linked {
    sim_world w;
    sim_transfer t;  // of the client, one small stream
    linked_datagram log[LINKED_LOG];
    size_t count;          // in `log`; a test sets it to 0 to begin anew
    uint64_t to_stranger;  // bytes that left for its address, whatever the port
} linked;

// Not connected yet; `transport` null: the default. Nothing reaches the stranger, so that it answers nothing.
linked *linked_new(const quic_transport *transport);
void linked_dial(linked *d, const uint8_t *session, size_t session_len);  // with early data if there is a session
linked *linked_start(const quic_transport *transport);                    // connected and at rest
void linked_free(linked *d);

// The newest connection of a node; null: it has none.
quic_conn *linked_conn(linked *d, size_t node);
void linked_run(linked *d, uint64_t ms);

// The transport error with which the node itself closed; LINKED_OPEN: its connection goes on; LINKED_OTHER: it ended otherwise.
int linked_outcome(linked *d, size_t node);

// The connection of `from` says these frames, and its datagram arrives at the other side from `source`; then a
// millisecond passes. Returns the bytes of the datagram.
size_t linked_say_from(linked *d, size_t source, size_t from, const uint8_t *frames, size_t len);
size_t linked_say(linked *d, size_t from, const uint8_t *frames, size_t len);

// Hexadecimal digits, blanks between them are skipped. Returns the number of bytes.
size_t linked_hex(const char *hex, uint8_t out[static LINKED_FRAMES_MAX]);

#endif
