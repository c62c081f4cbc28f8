#include "blobs/series.h"

#include <string.h>

void series_start(series *s, iroh_store *store, const proto_request *request) {
    *s = (series){.store = store, .request = request, .children = HASH_SEQ_INIT};
    proto_walk_start(&s->walk, &request->seq);
}

void series_dispose(series *s) {
    hash_seq_close(&s->children);
    proto_walk_dispose(&s->walk);
}

static int child(series *s, uint64_t index, iroh_hash *hash) {
    int r = 0;
    if (s->children.reader == NULL) {
        iroh_hash root;
        memcpy(root.bytes, s->request->hashes, PROTO_HASH);
        r = hash_seq_open(&s->children, s->store, &root);
    }
    return r == 0 ? hash_seq_get(&s->children, index, hash) : r;
}

int series_next(series *s, uint64_t *index, iroh_hash *hash) {
    const proto_request *request = s->request;
    int r = proto_walk_next(&s->walk, index);
    if (r != 1)
        return r;
    if (*index < request->count) {
        memcpy(hash->bytes, request->hashes + *index * PROTO_HASH, PROTO_HASH);
        return 1;
    }
    r = request->type == PROTO_GET_MANY ? IROH_ERR_RANGE : child(s, *index - 1, hash);
    if (r == IROH_ERR_RANGE)
        return 0;
    return r == 0 ? 1 : r;
}
