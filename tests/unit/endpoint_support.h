// Two endpoints of the public API on the loopback interface, for tests.
//
// The server runs a thread of its own and accepts whatever comes; the client runs in the mode under test.
#ifndef ENDPOINT_SUPPORT_H
#define ENDPOINT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <iroh/iroh.h>

#define LONG_MS 20000  // longer than anything here takes on a loaded machine
#define TEST_ALPN "test/0"

typedef struct duo {
    iroh_endpoint *server, *client;
    iroh_connection *s, *c;  // the two ends of one connection
} duo;

enum { OWN_THREAD = 1, NO_THREAD = 0 };

// The default with ALPN, on 127.0.0.1. Change it, then bind.
void duo_config(iroh_endpoint_config *config, bool own_thread);

// Fails the test unless `config` binds.
iroh_endpoint *duo_bind(const iroh_endpoint_config *config);

// One as duo_config says.
iroh_endpoint *duo_default(bool own_thread);

iroh_addr *duo_addr(iroh_endpoint *ep);

// iroh_endpoint_connect with the server's own address.
int duo_dial(iroh_endpoint *client, iroh_endpoint *server, const char *alpn, const iroh_connect_options *options,
             int timeout_ms, iroh_connection **out);

// From now on `ep` accepts everything by itself.
void duo_accept_all(iroh_endpoint *ep);

// Dials `server` from `client`, which must work.
iroh_connection *duo_connect(iroh_endpoint *client, iroh_endpoint *server);

// Two endpoints and a connection between them.
void duo_open(duo *d, bool client_thread);
void duo_open_with(duo *d, const iroh_endpoint_config *server, const iroh_endpoint_config *client);
void duo_free(duo *d);

// A bidirectional stream with `text` sent on it by the client and read by the server.
void duo_stream(duo *d, const char *text, iroh_stream **at_client, iroh_stream **at_server);

// An assertion for threads that a test starts, where those of cmocka do not work: prints and aborts.
void thread_check(bool ok, const char *what);

#endif
