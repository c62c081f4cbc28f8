// What the files of the store share: the store and its open blobs.
//
// Locks are taken in this order: the store's, a blob's, the backend's. Under a blob's lock files may be read and written;
// the store's is only ever held for a moment.
#ifndef BLOBS_STORE_STATE_H
#define BLOBS_STORE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "blobs/store.h"
#include "blobs/store_backend.h"
#include "blobs/store_known.h"
#include "blobs/store_pool.h"
#include "blobs/store_set.h"
#include "blobs/store_tree.h"

#define STORE_SAVE_BYTES (UINT64_C(64) << 20)  // written to a partial blob before its progress goes to its row

struct iroh_store {
    store_backend *backend;
    store_pool *pool;
    store_known known;
    pthread_mutex_t collection;  // held by the one collection or verification at a time
    pthread_mutex_t lock;        // of all that follows
    store_tree open;             // store_blob
    uint64_t random;             // for the priorities in `open`
    list_link temps, batches;    // iroh_temp_tag, iroh_batch
    bool collecting;
    store_set fresh;    // hashes opened since the collection began; it leaves them alone
    bool fresh_failed;  // memory failed while adding to it: the collection ends
};

struct store_blob {
    store_node node;  // in store->open
    iroh_store *store;
    iroh_hash hash;
    unsigned refs;                // under the store's lock
    bool detached;                // not in store->open; under the store's lock
    atomic_ullong from, to;       // the transactions that the latest change may have gone into
    atomic_bool lost;             // that transaction was lost: nothing here can be relied on
    pthread_mutex_t lock;         // of all that follows
    bool loaded;                  // the row was read
    bool inherited;               // chunks were there when it was: of another opening, or another process
    store_row row;                // state IROH_BLOB_ABSENT: nothing is there; `outboard` inline or null
    store_file *data, *outboard;  // where they are in files, external ones too
    uint64_t unsaved;             // bytes written since the row was put
    uint64_t unhinted;            // of them those that the disk was not told of
    unsigned writers;
    list_link watches;  // store_watch
};

struct store_watch {
    list_link link;
    store_blob *blob;
    void (*wake)(void *user);
    void *user;
};

// Blobs, under their lock

// Reads the row and opens the files; where they are not what the row says, the blob is absent.
int store_blob_load(store_blob *b);
// Forgets all about the blob but its hash; its row and files stay.
void store_blob_reset(store_blob *b);
// Puts the row as it is now, with the files that it speaks of.
int store_blob_put(store_blob *b);
void store_blob_notify(store_blob *b);
// All of the complete blob's data has been verified, where it lies now.
void store_blob_know(store_blob *b);
// All chunks, or those of a partial blob. What is complete has no ranges of its own.
int store_blob_have(const store_blob *b, ranges *out);
// True when all chunks are in row.have.
bool store_blob_covered(const store_blob *b);
// The blob has become whole.
int store_blob_complete(store_blob *b);
// A source over the blob as it lies there, without looking at `have`. The lock is held while it is used.
bao_source store_blob_raw_source(store_blob *b);
// What of a partial blob verifies is added to row.have.
int store_blob_recheck(store_blob *b, bool *proven);

// A complete blob that came from here; what is in files is published. Takes nothing over.
typedef struct store_arrival {
    uint64_t size;
    const uint8_t *data;    // inline
    store_file *data_file;  // or a temporary file
    const char *path;       // or an external one
    store_stamp stamp;
    const uint8_t *outboard;  // inline
    size_t outboard_len;
    store_file *outboard_file;  // or a temporary file
} store_arrival;

int store_blob_install(store_blob *b, const store_arrival *a);  // takes the lock itself

// Transactions, without locks

uint64_t store_transaction(iroh_store *s);
int store_commit(iroh_store *s, uint64_t from);  // also detaches what was lost
int store_settle(iroh_store *s);                 // commits when it is time to

bool store_is_empty_hash(const iroh_hash *hash);

// Tags

// Keeps an added blob alive, as the options say.
int store_keep(iroh_store *s, const iroh_hash *hash, const iroh_add_options *o);
// Calls `visit` for everything that temporary tags and batches protect; a result other than 0 ends it.
int store_each_temp(iroh_store *s, int (*visit)(void *user, const iroh_content *c), void *user);

#endif
