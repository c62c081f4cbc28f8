// The blobs that a request is about, one after the other: named in it, or in a hash sequence that is in a store by the time
// its first child's turn comes.
#ifndef BLOBS_SERIES_H
#define BLOBS_SERIES_H

#include "blobs/hash_seq.h"
#include "blobs/proto.h"

typedef struct series {
    iroh_store *store;
    const proto_request *request;
    proto_walk walk;  // walk.set: the chunks that are wanted of the latest blob
    hash_seq children;
} series;

// `request` (not to observe) and its bytes are borrowed until series_dispose.
void series_start(series *s, iroh_store *store, const proto_request *request);
void series_dispose(series *s);

// The next blob and its index in the request: 1. 0 after the last one, also where the hash sequence ends before what is
// wanted of it does. Errors of hash_seq_open and hash_seq_get, IROH_ERR_NOMEM.
int series_next(series *s, uint64_t *index, iroh_hash *hash);

#endif
