// A script for connection_fuzz.c: what it works on, and how it goes on.
//   connection_fuzz.c   the world, its applications, and what must hold
//   connection_steps.c  what a script can do
#ifndef FUZZ_CONNECTION_SCRIPT_H
#define FUZZ_CONNECTION_SCRIPT_H

#include "sim/transfer.h"

enum { SERVER = 0, PEER = 1, BYSTANDER = 2, STRANGER = 3 };

typedef struct script {
    sim_world w;
    reader in;
    sim_transfer calm, later;
    void (*echo)(sim_node *n, quic_conn *c, uint32_t events);
    uint64_t hellos, dials;
    uint8_t *session;  // newest of the peer's connections
    size_t session_len;
    uint8_t *token;  // newest, likewise
    size_t token_len;
    size_t memory;  // allocated before it began
} script;

// --- connection_fuzz.c

// Lets time pass, and checks what must always hold.
void script_run(script *s, uint64_t ns);
// Another connection from the peer to the server, with the newest session and token.
quic_conn *script_dial(script *s, bool early);

// --- connection_steps.c

// Reads one step and does it.
void script_step(script *s);

#endif
