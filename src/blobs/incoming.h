// The answer to a request on its way into a store: verified, one blob after the other. Getters use it, and providers for
// what is pushed to them.
#ifndef BLOBS_INCOMING_H
#define BLOBS_INCOMING_H

#include "blobs/proto.h"
#include "blobs/store.h"

// What a blob may claim to be, bytes.
typedef struct incoming_limits {
    uint64_t root;  // a hash sequence whose children are wanted too
    uint64_t blob;  // any other
} incoming_limits;

typedef struct incoming incoming;

// `request` (get, get many or push) and its bytes are borrowed. IROH_ERR_NOMEM.
int incoming_new(iroh_store *s, const proto_request *request, const incoming_limits *limits, incoming **out);
// Before incoming_free, by those who want to know: hands what came of the latest blob to the store, if that has not been
// done. 0 or the store's error; then what came of that blob may be lost. Null is ignored.
int incoming_close(incoming *in);
void incoming_free(incoming *in);  // null is ignored; what was verified stays in the store

// Takes the next bytes. 1 when all that was asked for is there; *used <= len bytes were taken. 0: more is needed, all were
// taken. An error stays: IROH_ERR_PROTOCOL (bytes that do not verify, or a size that contradicts what is proven),
// IROH_ERR_NOT_FOUND (the other side has not got it), IROH_ERR_TOO_LARGE (claims more than the limits), IROH_ERR_LENGTH (no
// hash sequence), or the store's.
int incoming_take(incoming *in, const uint8_t *bytes, size_t len, size_t *used);

// The stream has ended. 0 when all was there, IROH_ERR_NOT_FOUND when it ended before a blob or between two items of one,
// IROH_ERR_FINISHED inside an item, or an error as above.
int incoming_end(incoming *in);

typedef struct incoming_state {
    uint64_t index;  // of the latest blob in the request
    iroh_hash hash;
    uint64_t size;        // claimed, 0 while unknown
    uint64_t blobs;       // done
    uint64_t bytes;       // of data, verified
    uint64_t blob_bytes;  // of them those of the latest blob
} incoming_state;

const incoming_state *incoming_get(const incoming *in);

#endif
