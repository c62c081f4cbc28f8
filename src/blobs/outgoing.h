// What answers a request: the encodings of all blobs that it asks for, one after the other, out of a store. Providers
// send it, and pushers.
#ifndef BLOBS_OUTGOING_H
#define BLOBS_OUTGOING_H

#include "blobs/proto.h"
#include "blobs/store.h"

typedef struct outgoing outgoing;

// `request` (get, get many or push) and its bytes are borrowed. IROH_ERR_NOMEM.
int outgoing_new(iroh_store *s, const proto_request *request, outgoing **out);
void outgoing_free(outgoing *o);  // null is ignored

#define OUTGOING_ROOM_MIN 65536  // bytes of room that a call needs; 256 KiB is fastest

// Writes the next bytes: *len <= room of them, as many as there are but for a rest of room smaller than a group. 1 when
// that was all, 0 when there is more. On an error, which stays, what verifies before it has been written all the same:
// IROH_ERR_NOT_FOUND (a blob or a part of one is not there), IROH_ERR_LENGTH (no hash sequence), IROH_ERR_CRYPTO (damaged),
// or the store's.
int outgoing_write(outgoing *o, uint8_t *out, size_t room, size_t *len);

typedef struct outgoing_state {
    uint64_t index;  // of the latest blob in the request
    iroh_hash hash;
    uint64_t size;   // bytes
    uint64_t blobs;  // begun so far
} outgoing_state;

const outgoing_state *outgoing_get(const outgoing *o);

#endif
