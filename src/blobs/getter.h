// One request over a connection, and its answer into a store.
#ifndef BLOBS_GETTER_H
#define BLOBS_GETTER_H

#include <iroh/blobs_transfer.h>

#include "blobs/incoming.h"

typedef struct getter {
    iroh_connection *connection;
    iroh_store *store;
    const iroh_get_options *options;
    iroh_get_progress progress;  // of all requests of this getter
    uint8_t *buffer;
} getter;

// `o` null: the default. IROH_ERR_NOMEM, IROH_ERR_ARG.
int getter_init(getter *g, iroh_connection *c, iroh_store *s, const iroh_get_options *o);
void getter_dispose(getter *g);

// Sends a request (get or get many) and stores what comes. `limits` is about what blobs may claim. Results as
// iroh_blobs_get.
int getter_run(getter *g, const proto_request *request, const incoming_limits *limits);

// Opens a stream and sends the beginning of a request. IROH_ERR_TOO_LARGE, the connection's errors.
int getter_open(getter *g, const proto_request *request, iroh_stream **out);

// Before the children of a hash sequence are fetched: their sizes, as the options want, into the progress. Results as
// iroh_blobs_get; that the other side has not got all of it is none.
int getter_sizes(getter *g, const iroh_hash *hash);

// Says what an error of a stream, which may be null, means to who asked.
int getter_explain(iroh_connection *c, iroh_stream *s, int error);

// The chunks that the options want, added to `out`. IROH_ERR_ARG, IROH_ERR_NOMEM.
int getter_wanted(const iroh_get_options *o, ranges *out);

// Keeps a content that is there as the options say; a temporary tag is the caller's. Errors of the store.
int getter_keep(iroh_store *s, const iroh_content *content, const iroh_get_options *o);

// All that an observer has heard so far.
const proto_have *getter_observed(const iroh_remote_observer *o);

// What it means that the other side ended a stream with a code.
int getter_refusal(uint64_t code);

#endif
