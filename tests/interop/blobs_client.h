// The cases of our getter against a peer that serves the world.
#ifndef INTEROP_BLOBS_CLIENT_H
#define INTEROP_BLOBS_CLIENT_H

#include <stdbool.h>

#include <iroh/blobs_transfer.h>

// Runs all of them over a connection and prints a line for each. With `push`, the peer takes pushes; without, it has to
// refuse them. True when all went well.
bool blobs_client(iroh_connection *c, bool push);

#endif
