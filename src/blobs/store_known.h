// Which of its own files a store knows to be right because this process wrote them, or read all of them, and verified
// them. What is sent from such a file is not verified again for each requester, as long as nothing has written to it.
//
// A table with one place for each few bits of the hash: a newer blob takes the place of an older one, which only costs
// verifying that one again. From any thread.
#ifndef BLOBS_STORE_KNOWN_H
#define BLOBS_STORE_KNOWN_H

#include <pthread.h>
#include <stdbool.h>

#include <iroh/blobs.h>

#include "blobs/store_backend.h"

#define STORE_KNOWN_PLACES 1024  // 48 bytes each

typedef struct store_known_place {
    iroh_hash hash;
    store_stamp stamp;  // the file's when it was right; size 0: the place is free
} store_known_place;

typedef struct store_known {
    pthread_mutex_t lock;       // taken last, and for a moment
    store_known_place *places;  // null until there is something to remember
} store_known;

void store_known_init(store_known *k);
void store_known_dispose(store_known *k);

// Remembers the blob's file as it is. Without memory it is not remembered.
void store_known_add(store_known *k, const iroh_hash *hash, const store_stamp *stamp);

// Whether the blob's file is right and has not been written to since.
bool store_known_has(store_known *k, const iroh_hash *hash, const store_stamp *stamp);

// The file was found damaged.
void store_known_forget(store_known *k, const iroh_hash *hash);

#endif
