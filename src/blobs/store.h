// What the blobs protocol sees of a store: open blobs, from which it reads and to which it writes verified chunks.
//
// A `store_blob` is an open blob in any state, also of one that is not there. All that open the same hash share one
// object; while it is open, collection leaves the blob alone. Every function is safe from any thread; a reader or a
// writer belongs to one thread at a time.
#ifndef BLOBS_STORE_H
#define BLOBS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/blobs.h>

#include "base/ranges.h"
#include "blobs/bao.h"

typedef struct store_blob store_blob;
typedef struct store_reader store_reader;
typedef struct store_writer store_writer;

// The caller closes *out. IROH_ERR_NOMEM, IROH_ERR_IO, IROH_ERR_CORRUPT.
int store_blob_open(iroh_store *s, const iroh_hash *hash, store_blob **out);
void store_blob_close(store_blob *b);  // null is ignored

const iroh_hash *store_blob_hash(const store_blob *b);

// The state, and with `have` the verified chunks, which are added to it: exact numbers of chunks, without BAO_END. 0 or
// IROH_ERR_NOMEM. The empty blob has no chunks and is complete.
int store_blob_state(store_blob *b, iroh_blob_status *status, ranges *have);

// Makes a blob complete that lacks nothing and is not yet, since an error kept the last change from being stored. 0, also
// when there is nothing to do. IROH_ERR_NOMEM, IROH_ERR_NO_SPACE, IROH_ERR_IO.
int store_blob_finish(store_blob *b);

// Reading. The source gives pairs and data as they are stored, IROH_ERR_NOT_FOUND for what is not there; whoever sends
// them verifies them on the way (bao_encoder), but for data that is trusted: a complete blob in memory, or a file of the
// store's own that this process has verified; reading that ends with IROH_ERR_CHANGED when it was written to since. Good
// until the reader is freed, which keeps the blob open.
int store_reader_new(store_blob *b, store_reader **out);
void store_reader_free(store_reader *r);
bao_source store_reader_source(store_reader *r);

// All of the blob was read by this reader and has verified.
void store_reader_verified(store_reader *r);

// Copies exactly `len` bytes, which must lie in chunks that are there: IROH_ERR_NOT_FOUND else.
int store_reader_read(store_reader *r, uint64_t offset, void *out, size_t len);

// Writing what a bao_decoder has verified. `size` is the claim that came with it. IROH_ERR_PROTOCOL for a claim that
// contradicts what is proven. The writer keeps the blob open.
int store_writer_new(store_blob *b, uint64_t size, store_writer **out);

// Takes items in the order of the decoder. Chunks count as there, and observers hear of them, once the call has returned.
// After an error the writer takes nothing more, but what was written before stays. Into a complete blob nothing is written.
int store_writer_put(store_writer *w, const bao_item *items, size_t count);

// Ends writing and hands all progress to the next transaction; iroh_store_sync makes it durable. The writer is freed in
// any case.
int store_writer_close(store_writer *w);

// Observing with a call instead of a descriptor: `wake` runs at every change, on the thread that made it and with locks
// held, so it may only leave a note. `user` stays valid until store_watch_free has returned.
typedef struct store_watch store_watch;
int store_watch_new(store_blob *b, void (*wake)(void *user), void *user, store_watch **out);
void store_watch_free(store_watch *w);

// Threads for hashing, shared by all who use the store. Null when there is just one processor.
const blake3_executor *store_executor(iroh_store *s);

#endif
