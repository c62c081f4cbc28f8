// Sessions of earlier connections, to resume from: a bounded store by peer and protocol, each session used once.
//
// The least recently stored ones go first, both when a peer has more than its share and when the store is full. Sessions
// hold secrets: they are wiped when freed. Address tokens are kept in the same way, in a store of their own; they go with
// every protocol, so theirs is empty.
#ifndef ENDPOINT_SESSIONS_H
#define ENDPOINT_SESSIONS_H

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define SESSIONS_MAX 256
#define SESSIONS_PER_PEER 8

typedef struct session_cache {
    list_link entries;  // newest first
    size_t count;
} session_cache;

void sessions_init(session_cache *c);
void sessions_dispose(session_cache *c);

// Takes over `bytes` (of malloc). Without memory the session is forgotten. `alpn` may be null when it is empty.
void sessions_put(session_cache *c, const uint8_t peer[static 32], const uint8_t *alpn, size_t alpn_len, uint8_t *bytes,
                  size_t len);

// The newest session with this peer and protocol, removed; the caller wipes and frees it. Null: none.
uint8_t *sessions_take(session_cache *c, const uint8_t peer[static 32], const uint8_t *alpn, size_t alpn_len,
                       size_t *len);

#endif
