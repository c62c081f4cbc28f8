// An application for the simulator: clients open streams, send bytes that follow from stream and offset, and check that
// a server echoes exactly those.
#ifndef SIM_TRANSFER_H
#define SIM_TRANSFER_H

#include "world.h"

#define TRANSFER_STREAMS_MAX 64

typedef struct sim_stream {
    quic_stream *stream;
    uint64_t size, written, read;
    bool finished, done;
} sim_stream;

typedef struct sim_transfer {
    sim_node *node;
    quic_conn *conn;
    uint64_t seed;
    sim_stream streams[TRANSFER_STREAMS_MAX];
    size_t count, opened;
    bool connected, closed;
    int error;  // of the close, 0: open
    uint64_t code;
    bool early_rejected;
    uint64_t progress_at;  // when the latest byte was read
    uint64_t longest_gap;  // ns between two reads since transfer_watch; 0: not watching
    uint64_t watched_from;
    uint64_t datagrams;  // that came back
    uint8_t *session;    // newest, freed by transfer_dispose
    size_t session_len;
    uint8_t *token;  // newest, likewise
    size_t token_len;
} sim_transfer;

// Makes the node echo every stream of every connection.
void sim_echo_server(sim_node *n);

// Dials `to` and moves `count` streams of up to `size` bytes each (sizes vary with the seed).
void sim_transfer_start(sim_transfer *t, sim_node *from, sim_node *to, size_t count, uint64_t size,
                        const uint8_t *session, size_t session_len, bool early);
// The same with the token of an earlier one, and its session if `resume`; no early data.
void sim_transfer_again(sim_transfer *t, sim_node *from, sim_node *to, size_t count, uint64_t size,
                        const sim_transfer *first, bool resume);
// The same to these addresses of `to`.
void sim_transfer_dial(sim_transfer *t, sim_node *from, sim_node *to, const addr *remotes, size_t remote_count,
                       size_t count, uint64_t size);
// How long nothing comes, from now on: kept in longest_gap.
void sim_transfer_watch(sim_transfer *t);
bool sim_transfer_done(const sim_transfer *t);
void sim_transfer_close(sim_transfer *t);
void sim_transfer_dispose(sim_transfer *t);

#endif
