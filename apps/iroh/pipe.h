// iroh pipe: bytes between a stream of a connection and something local, which is standard input and output or a
// socket. Compatible with dumbpipe in both roles.
//
// One thread, one poller. Everything alive is a part: it frees itself when its work is over, and those left when the
// program ends are freed by it. A listener accepts connections (link), reads the greeting of each stream (greeting) and
// joins the stream to a local end (bridge); with sockets it first dials the local address (target). A connector dials
// the peer for each local end (dialer) and joins the same way.
#ifndef PIPE_H
#define PIPE_H

#include <netdb.h>

#include "cli.h"
#include "poller.h"

// The side that opens the stream sends this first, unless the protocol has a custom name.
#define PIPE_GREETING "hello"
#define PIPE_GREETING_LEN 5

typedef struct pipe_part pipe_part;
struct pipe_part {
    pipe_part *next, **link;
    void (*destroy)(pipe_part *part);  // takes it out of the list and frees it
};

// --- A local end: what is read and what is written

typedef struct pipe_local {
    int in, out;      // -1: closed, or never there
    bool socket;      // both are one socket
    bool both_owned;  // socket: neither half was closed yet
    bool send;        // `out` is a socket of any origin
} pipe_local;

// Standard input and output, made non-blocking for this process only where that can be done. With `receive_only`
// nothing is read.
void pipe_local_stdio(pipe_local *l, bool receive_only);
// Takes over a connected socket.
void pipe_local_socket(pipe_local *l, int fd);
// As read(2) and write(2), without waiting (but for odd standard output that cannot be made so): -1 with errno.
long pipe_local_read(pipe_local *l, void *out, size_t len);
long pipe_local_write(pipe_local *l, const void *bytes, size_t len);
void pipe_local_close_in(pipe_local *l);   // whoever writes to it is told
void pipe_local_close_out(pipe_local *l);  // whoever reads from it sees the end
void pipe_local_close(pipe_local *l);

// --- The program

typedef struct pipe_program pipe_program;

struct pipe_program {
    poller poller;
    iroh_endpoint *endpoint;
    iroh_slice alpn;
    bool greeting;  // streams start with PIPE_GREETING
    bool receive_only;
    const iroh_addr *peer;   // connectors: whom to dial
    struct addrinfo *local;  // listeners with sockets: what to dial for each stream; else null
    bool taken;              // once: that bridge exists
    bool once;               // standard input and output: the first bridge ends the program
    int status;              // what the program will exit with
    pipe_part *parts;
};

void pipe_part_add(pipe_program *p, pipe_part *part, void (*destroy)(pipe_part *part));
void pipe_part_remove(pipe_part *part);

// A bridge is over, or could not be made (`ok` false): ends a program that runs once.
void pipe_over(pipe_program *p, bool ok);

// Bridges until both directions have ended and the peer has everything, or until one fails, which cancels both. Takes
// over local end, reference and stream, on failure too. The outcome goes to pipe_over.
void pipe_bridge_start(pipe_program *p, pipe_local *l, iroh_connection *c, iroh_stream *s);

// Accepts connections and streams from now on. Standard input and output go to the first stream whose greeting is
// right; others stay unanswered. False after a message.
bool pipe_accept_start(pipe_program *p);

// Dials the peer and bridges a new stream to the local end, which is taken over.
void pipe_dial_start(pipe_program *p, pipe_local *l);

// Dials the local address and bridges. Takes over reference and stream.
void pipe_target_start(pipe_program *p, iroh_connection *c, iroh_stream *s);

// Listens on local sockets and dials the peer for each that connects. Takes over the listening socket.
bool pipe_door_start(pipe_program *p, int fd);

// Sockets of the two families. -1 after a message.
int pipe_listen_tcp(const char *address);
int pipe_listen_unix(const char *path);  // replaces a socket that nobody listens on
// What to dial: freed with pipe_address_free. Null after a message.
struct addrinfo *pipe_address_tcp(const char *address);
struct addrinfo *pipe_address_unix(const char *path);
void pipe_address_free(struct addrinfo *list);

#endif
