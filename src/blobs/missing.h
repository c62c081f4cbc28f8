// What a store lacks, as a request for it.
//
// What is asked for is rounded out to whole groups: a part of a group can neither be passed on to others nor be verified
// again after a crash.
#ifndef BLOBS_MISSING_H
#define BLOBS_MISSING_H

#include "blobs/proto.h"
#include "blobs/store.h"

// Takes from `wanted` what is there, and rounds out the rest. *there (may be null) gets the bytes of the blob that were
// there, wanted or not; *complete, whether all of it is. IROH_ERR_NOMEM, errors of the store.
int missing_chunks(iroh_store *s, const iroh_hash *hash, ranges *wanted, uint64_t *there, bool *complete);

// Leaves of a set with very many holes what fits into any request; true when that is all of it.
bool missing_fit(ranges *wanted);

// A hash sequence and its children, gone through in one or more parts.
typedef struct missing_sequence {
    uint64_t next;   // child that the next part begins with
    bool root_done;  // the sequence itself is there
    bool all_done;   // nothing is left once the latest part has been fetched
    uint64_t count;  // children, once the sequence is there
    uint64_t there;  // bytes that were found there so far, in the sequence and its children
} missing_sequence;

#define MISSING_SEQUENCE_INIT ((missing_sequence){0})

// The next part, which fits into a request for `hash`: 1 with what to ask for added to the empty builder `b`; 0 when
// nothing more is missing. When nothing of the sequence itself is there, everything is asked for at once. IROH_ERR_LENGTH
// (no hash sequence), IROH_ERR_NOMEM, errors of the store.
int missing_sequence_next(missing_sequence *m, iroh_store *s, const iroh_hash *hash, proto_builder *b);

#endif
