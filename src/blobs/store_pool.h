// Worker threads of a store. They start with the first large task and sleep otherwise.
#ifndef BLOBS_STORE_POOL_H
#define BLOBS_STORE_POOL_H

#include "crypto/blake3.h"

typedef struct store_pool store_pool;

// `threads` counts the caller, so 1 is none. IROH_ERR_NOMEM.
int store_pool_new(unsigned threads, store_pool **out);
void store_pool_free(store_pool *p);  // null is ignored

// Null when there are no threads. Callers share the workers, and a caller always works itself; where no thread can be
// started, it does all.
const blake3_executor *store_pool_executor(store_pool *p);

#endif
