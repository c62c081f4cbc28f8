// A store that is served by a thread, and somebody who connects to it, for tests of blobs; and servers that lie.
#ifndef BLOBS_SUPPORT_H
#define BLOBS_SUPPORT_H

#include <pthread.h>

#include <iroh/blobs_transfer.h>

#include "unit/endpoint_support.h"

typedef struct blobs_duo {
    iroh_store *there, *here;  // in memory
    iroh_endpoint *server, *client;
    iroh_connection *c;  // from client to server
    iroh_provider *provider;
    pthread_t thread;
    int stop[2];
} blobs_duo;

// `config` null: the default.
void blobs_duo_open(blobs_duo *d, const iroh_provider_config *config);
void blobs_duo_free(blobs_duo *d);
iroh_connection *blobs_duo_connect(blobs_duo *d);

// Bytes that look random and follow from the length.
uint8_t *blobs_data(size_t len);

// Adds those bytes to a store; a tag keeps them.
iroh_hash blobs_add(iroh_store *s, size_t len);

// Fails unless the store has them.
void blobs_assert_there(iroh_store *s, size_t len);

iroh_content blobs_raw(iroh_hash hash);
iroh_content blobs_seq(iroh_hash hash);

// What a server that is no provider does with the first stream of each connection, once the request has ended.
typedef struct blobs_liar {
    const uint8_t *bytes;  // sent
    size_t len;
    enum { LIAR_FINISHES, LIAR_RESETS, LIAR_STALLS, LIAR_GOES_ON, LIAR_CLOSES } then;
    uint64_t code;  // of LIAR_RESETS and LIAR_CLOSES
    iroh_endpoint *server, *client;
    iroh_store *here;
    iroh_connection *c;
    pthread_t thread;
} blobs_liar;

void blobs_liar_open(blobs_liar *l);
void blobs_liar_free(blobs_liar *l);

// The encoding of the chunks [first, end) of bytes in memory, as a provider sends it. The caller frees it.
uint8_t *blobs_encoding(const uint8_t *data, size_t size, uint64_t first, uint64_t end, size_t *len);

#endif
