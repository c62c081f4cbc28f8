#include "blobs/missing.h"

#include "blobs/hash_seq.h"

// Bytes that chunk ranges may take in a request, with room for another set and the entry that ends them, and, for many
// hashes at once, for those.
#define SEQ_MAX (PROTO_BODY_MAX / 4)
#define RANGE_SIZE_MAX 20

static uint64_t group_start(uint64_t chunk) {
    return chunk - chunk % BAO_GROUP_CHUNKS;
}

static uint64_t group_end(uint64_t chunk) {
    return chunk > BAO_LAST - BAO_GROUP_CHUNKS ? BAO_END : group_start(chunk + BAO_GROUP_CHUNKS - 1);
}

static int round_out(ranges *wanted) {
    ranges rounded = RANGES_INIT;
    int r = 0;
    for (size_t i = 0; i < ranges_count(wanted) && r == 0; i++) {
        range item = ranges_items(wanted)[i];
        // Who asks for a chunk that no blob has wants the last one and no more.
        if (item.start <= BAO_SIZE_MAX / BAO_CHUNK)
            item.start = group_start(item.start);
        r = ranges_add(&rounded, item.start, group_end(item.end));
    }
    if (r != 0) {
        ranges_dispose(&rounded);
        return r;
    }
    ranges_dispose(wanted);
    *wanted = rounded;
    return 0;
}

// Whole groups that are there, and the end of the blob.
static int take_away(ranges *wanted, const ranges *have, const iroh_blob_status *status, uint64_t *bytes) {
    uint64_t chunks = bao_chunks(status->size);
    int r = 0;
    for (size_t i = 0; i < ranges_count(have) && r == 0; i++) {
        range item = ranges_items(have)[i];
        uint64_t start = group_end(item.start), end = group_start(item.end);
        *bytes += (item.end - item.start) * BAO_CHUNK;
        if (item.end == chunks && status->size_proven)
            end = BAO_END;
        if (start < end)
            r = ranges_remove(wanted, start, end);
    }
    return r;
}

static int missing_of_open(store_blob *b, ranges *wanted, uint64_t *bytes, bool *complete) {
    iroh_blob_status status;
    ranges have = RANGES_INIT;
    int r = store_blob_finish(b);
    if (r == 0)
        r = store_blob_state(b, &status, &have);
    *bytes = 0;
    *complete = r == 0 && status.state == IROH_BLOB_COMPLETE;
    if (*complete) {
        ranges_clear(wanted);
        *bytes = status.size;
    } else if (r == 0) {
        r = take_away(wanted, &have, &status, bytes);
    }
    ranges_dispose(&have);
    return r;
}

int missing_chunks(iroh_store *s, const iroh_hash *hash, ranges *wanted, uint64_t *there, bool *complete) {
    store_blob *b;
    uint64_t bytes = 0;
    int r = store_blob_open(s, hash, &b);
    if (r != 0)
        return r;
    r = missing_of_open(b, wanted, &bytes, complete);
    if (r == 0 && !*complete)
        r = round_out(wanted);
    store_blob_close(b);
    if (there != NULL)
        *there = bytes;
    return r;
}

static int missing_of(missing_sequence *m, iroh_store *s, const iroh_hash *hash, ranges *wanted) {
    uint64_t there;
    bool complete;
    ranges_clear(wanted);
    int r = ranges_add(wanted, 0, BAO_END);
    if (r == 0)
        r = missing_chunks(s, hash, wanted, &there, &complete);
    if (r == 0)
        m->there += there;
    return r;
}

// 1 with the part that is about the sequence itself, 0 when that is there.
static int root_part(missing_sequence *m, iroh_store *s, const iroh_hash *hash, proto_builder *b, ranges *wanted) {
    uint64_t before = m->there;
    int r = missing_of(m, s, hash, wanted);
    if (r != 0)
        return r;
    m->root_done = ranges_count(wanted) == 0;
    if (m->root_done)
        return 0;
    r = proto_builder_add(b, 0, wanted);
    m->all_done = m->there == before;
    m->there = before;
    if (r == 0 && !m->all_done) {
        ranges_clear(wanted);
        r = proto_builder_add(b, 1, wanted);
    }
    return r == 0 ? 1 : r;
}

bool missing_fit(ranges *wanted) {
    if (proto_set_size(wanted) <= SEQ_MAX)
        return true;
    for (size_t n = ranges_count(wanted) - SEQ_MAX / RANGE_SIZE_MAX; n > 0; n--)
        ranges_drop_first(wanted);
    return false;
}

// 1 with a part about children, 0 when they are all there.
static int child_part(missing_sequence *m, iroh_store *s, hash_seq *q, proto_builder *b, ranges *wanted) {
    bool whole = true;
    int r = 0;
    while (m->next < m->count && whole && r == 0) {
        iroh_hash hash;
        r = hash_seq_get(q, m->next, &hash);
        if (r == 0)
            r = missing_of(m, s, &hash, wanted);
        whole = missing_fit(wanted);
        if (b->count > 0 && proto_builder_size(b) + proto_set_size(wanted) > SEQ_MAX)
            break;
        if (r == 0)
            r = proto_builder_add(b, m->next + 1, wanted);
        m->next++;
    }
    if (r != 0)
        return r;
    ranges_clear(wanted);
    if (b->count > 0)
        r = proto_builder_add(b, m->next + 1, wanted);
    if (!whole)
        m->next--;  // to be looked at again
    m->all_done = m->next == m->count;
    return r == 0 && b->count > 0 ? 1 : r;
}

int missing_sequence_next(missing_sequence *m, iroh_store *s, const iroh_hash *hash, proto_builder *b) {
    ranges wanted = RANGES_INIT;
    hash_seq q;
    int r = m->root_done ? 0 : root_part(m, s, hash, b, &wanted);
    if (r == 0 && (r = hash_seq_open(&q, s, hash)) == 0) {
        m->count = q.count;
        r = child_part(m, s, &q, b, &wanted);
        hash_seq_close(&q);
    }
    ranges_dispose(&wanted);
    return r;
}
