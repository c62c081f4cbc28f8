#include "blobs/hash_seq.h"

static int open_reader(hash_seq *q, store_blob *b) {
    iroh_blob_status status;
    int r = store_blob_state(b, &status, NULL);
    if (r != 0)
        return r;
    if (status.state == IROH_BLOB_ABSENT)
        return IROH_ERR_NOT_FOUND;
    if (status.size % sizeof(iroh_hash) != 0)
        return IROH_ERR_LENGTH;
    q->count = status.size / sizeof(iroh_hash);
    q->proven = status.size_proven || status.state == IROH_BLOB_COMPLETE;
    q->held = 0;
    return store_reader_new(b, &q->reader);
}

int hash_seq_open(hash_seq *q, iroh_store *s, const iroh_hash *hash) {
    store_blob *b;
    *q = HASH_SEQ_INIT;
    int r = store_blob_open(s, hash, &b);
    if (r == 0)
        r = open_reader(q, b);
    store_blob_close(b);
    return r;
}

void hash_seq_close(hash_seq *q) {
    store_reader_free(q->reader);
    q->reader = NULL;
}

static int fill(hash_seq *q, uint64_t index) {
    uint64_t first = index - index % HASH_SEQ_WINDOW;
    uint64_t left = q->count - first;
    size_t held = left < HASH_SEQ_WINDOW ? (size_t)left : HASH_SEQ_WINDOW;
    q->held = 0;
    int r = store_reader_read(q->reader, first * sizeof(iroh_hash), q->hashes, held * sizeof(iroh_hash));
    if (r == 0) {
        q->window = first;
        q->held = held;
    }
    return r;
}

int hash_seq_get(hash_seq *q, uint64_t index, iroh_hash *out) {
    int r = 0;
    if (index >= q->count)
        return q->proven ? IROH_ERR_RANGE : IROH_ERR_NOT_FOUND;
    if (q->held == 0 || index < q->window || index - q->window >= q->held)
        r = fill(q, index);
    if (r == 0)
        *out = q->hashes[index - q->window];
    return r;
}

int hash_seq_total(hash_seq *q, iroh_store *s, uint64_t *out) {
    iroh_blob_status status;
    uint64_t sum = q->count * sizeof(iroh_hash);
    *out = 0;
    for (uint64_t i = 0; i < q->count; i++) {
        iroh_hash hash;
        int r = hash_seq_get(q, i, &hash);
        if (r == 0)
            r = iroh_store_status(s, &hash, &status);
        if (r != 0 || (status.state != IROH_BLOB_COMPLETE && !status.size_proven) || status.size > UINT64_MAX - sum)
            return r;
        sum += status.size;
    }
    *out = sum;
    return 0;
}
