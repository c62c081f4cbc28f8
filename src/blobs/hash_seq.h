// A hash sequence in a store, read a chunk at a time: memory does not grow with its length, and of a sequence that is only
// partly there, what is there can be used.
#ifndef BLOBS_HASH_SEQ_H
#define BLOBS_HASH_SEQ_H

#include "blobs/bao.h"
#include "blobs/store.h"

#define HASH_SEQ_WINDOW (BAO_CHUNK / sizeof(iroh_hash))  // hashes read at once

typedef struct hash_seq {
    store_reader *reader;  // null: not open
    uint64_t count;        // of hashes
    bool proven;           // the count is
    uint64_t window;       // index of the first hash in `hashes`
    size_t held;
    iroh_hash hashes[HASH_SEQ_WINDOW];
} hash_seq;

#define HASH_SEQ_INIT ((hash_seq){.reader = NULL})

// IROH_ERR_NOT_FOUND (nothing of it is there), IROH_ERR_LENGTH (its size is not that of a sequence), and errors of the
// store; closed then.
int hash_seq_open(hash_seq *q, iroh_store *s, const iroh_hash *hash);
void hash_seq_close(hash_seq *q);  // also when it is not open

// IROH_ERR_RANGE past the end; IROH_ERR_NOT_FOUND for a hash, or an end, that is not known.
int hash_seq_get(hash_seq *q, uint64_t index, iroh_hash *out);

// Bytes of the sequence and all its children; 0 as long as one of them is not proven to be as long as claimed. Errors of
// hash_seq_get and of the store.
int hash_seq_total(hash_seq *q, iroh_store *s, uint64_t *out);

#endif
