#include "crypto/blake3_tree.h"

#include <string.h>

#define CHUNK_BLOCKS (BLAKE3_CHUNK / BLAKE3_BLOCK)
#define WIDTH BLAKE3_LANES_MAX
#define TASKS_MAX 64
#define TASK_CHUNKS 256  // least of one task: 256 KiB, a multiple of what its start costs

static void hash_chunks(const blake3_tree *t, const uint8_t *const *chunks, const blake3_counters *counters, size_t n,
                        uint8_t *out) {
    blake3_job job = {.key = t->key,
                      .blocks = CHUNK_BLOCKS,
                      .flags = t->flags,
                      .first_flags = BLAKE3_CHUNK_START,
                      .last_flags = BLAKE3_CHUNK_END};
    blake3_hash_many(t->variant, &job, chunks, counters, n, out);
}

static void hash_parents(const blake3_tree *t, const uint8_t *const *pairs, size_t n, uint8_t *out) {
    blake3_job job = {.key = t->key, .blocks = 1, .flags = t->flags | BLAKE3_PARENT};
    blake3_hash_many(t->variant, &job, pairs, NULL, n, out);
}

// `n` neighbouring pairs to their parents, which may take the place of the pairs.
static void merge(const blake3_tree *t, uint8_t (*cvs)[BLAKE3_LEN], size_t n, uint8_t (*out)[BLAKE3_LEN]) {
    while (n > 0) {
        const uint8_t *pairs[WIDTH];
        size_t part = n < WIDTH ? n : WIDTH;
        for (size_t i = 0; i < part; i++)
            pairs[i] = cvs[2 * i];
        hash_parents(t, pairs, part, out[0]);
        cvs += 2 * part;
        out += part;
        n -= part;
    }
}

void blake3_tree_merge(const blake3_tree *t, uint8_t (*cvs)[BLAKE3_LEN], size_t n) {
    merge(t, cvs, n, cvs);
}

void blake3_tree_chunks(const blake3_tree *t, const uint8_t *data, uint64_t chunk, size_t n,
                        uint8_t (*out)[BLAKE3_LEN]) {
    const uint8_t *chunks[WIDTH];
    uint32_t low[WIDTH], high[WIDTH];
    for (size_t i = 0; i < n; i++) {
        chunks[i] = data + i * BLAKE3_CHUNK;
        low[i] = (uint32_t)(chunk + i);
        high[i] = (uint32_t)((chunk + i) >> 32);
    }
    hash_chunks(t, chunks, &(blake3_counters){low, high}, n, out[0]);
}

// The WIDTH subtrees that a subtree of `n` chunks consists of: each level keeps all lanes in use. The recursion is as
// deep as n is large, which is what the caller has in memory.
static void wide(const blake3_tree *t, const uint8_t *data, uint64_t chunk, uint64_t n, uint8_t (*out)[BLAKE3_LEN]) {
    if (n == WIDTH) {
        blake3_tree_chunks(t, data, chunk, WIDTH, out);
        return;
    }
    uint8_t cvs[2 * WIDTH][BLAKE3_LEN];
    uint64_t half = n / 2;
    wide(t, data, chunk, half, cvs);
    wide(t, data + half * BLAKE3_CHUNK, chunk + half, half, cvs + WIDTH);
    merge(t, cvs, WIDTH, out);
}

// From `n` CVs, a power of two, down to `last` of them.
static void reduce(const blake3_tree *t, uint8_t (*cvs)[BLAKE3_LEN], size_t n, size_t last) {
    for (; n > last; n /= 2)
        merge(t, cvs, n / 2, cvs);
}

typedef struct split {
    const blake3_tree *tree;
    const uint8_t *data;
    uint64_t chunk, chunks;  // chunks: of each task
    uint8_t (*out)[BLAKE3_LEN];
} split;

static void run_task(void *arg, size_t i) {
    const split *s = arg;
    uint8_t cvs[WIDTH][BLAKE3_LEN];
    wide(s->tree, s->data + i * s->chunks * BLAKE3_CHUNK, s->chunk + i * s->chunks, s->chunks, cvs);
    reduce(s->tree, cvs, WIDTH, 1);
    memcpy(s->out[i], cvs[0], BLAKE3_LEN);
}

static void pair_by_tasks(const blake3_tree *t, const uint8_t *data, uint64_t chunk, uint64_t n,
                          const blake3_executor *executor, uint8_t *out) {
    uint8_t cvs[TASKS_MAX][BLAKE3_LEN];
    size_t tasks = n / TASK_CHUNKS < TASKS_MAX ? (size_t)(n / TASK_CHUNKS) : TASKS_MAX;
    split s = {.tree = t, .data = data, .chunk = chunk, .chunks = n / tasks, .out = cvs};
    executor->run(executor->user, run_task, &s, tasks);
    reduce(t, cvs, tasks, 2);
    memcpy(out, cvs, BLAKE3_PAIR);
}

void blake3_tree_pair(const blake3_tree *t, const uint8_t *data, uint64_t chunk, uint64_t n,
                      const blake3_executor *executor, uint8_t out[BLAKE3_PAIR]) {
    if (executor != NULL && n >= 2 * TASK_CHUNKS) {
        pair_by_tasks(t, data, chunk, n, executor, out);
        return;
    }
    uint8_t cvs[WIDTH][BLAKE3_LEN];
    wide(t, data, chunk, n, cvs);
    reduce(t, cvs, WIDTH, 2);
    memcpy(out, cvs, BLAKE3_PAIR);
}

// The CV of a chunk of at most BLAKE3_CHUNK bytes. Its last block is padded with zeros.
static void chunk_cv(const blake3_tree *t, uint64_t chunk, const uint8_t *data, size_t len, uint32_t last_flags,
                     uint8_t *out) {
    uint8_t padded[BLAKE3_BLOCK] = {0};
    uint32_t cv[8], flags = t->flags | BLAKE3_CHUNK_START;
    memcpy(cv, t->key, sizeof cv);
    for (; len > BLAKE3_BLOCK; data += BLAKE3_BLOCK, len -= BLAKE3_BLOCK) {
        t->variant->compress(cv, data, BLAKE3_BLOCK, chunk, flags, cv, NULL);
        flags = t->flags;
    }
    if (len > 0 && len < BLAKE3_BLOCK)
        memcpy(padded, data, len);
    t->variant->compress(cv, len == BLAKE3_BLOCK ? data : padded, (uint32_t)len, chunk,
                         flags | BLAKE3_CHUNK_END | last_flags, cv, NULL);
    blake3_store_cv(out, cv);
}

void blake3_tree_small(const blake3_tree *t, uint64_t chunk, const uint8_t *data, size_t len, bool root,
                       uint8_t out[BLAKE3_LEN]) {
    uint8_t cvs[WIDTH][BLAKE3_LEN];
    uint32_t root_flag = root ? BLAKE3_ROOT : 0, cv[8];
    if (len <= BLAKE3_CHUNK) {
        chunk_cv(t, chunk, data, len, root_flag, out);
        return;
    }
    size_t n = len / BLAKE3_CHUNK, rest = len % BLAKE3_CHUNK;
    blake3_tree_chunks(t, data, chunk, n, cvs);
    if (rest > 0) {
        chunk_cv(t, chunk + n, data + n * BLAKE3_CHUNK, rest, 0, cvs[n]);
        n++;
    }
    // One without a neighbour moves up a level.
    for (; n > 2; n = (n + 1) / 2) {
        merge(t, cvs, n / 2, cvs);
        if (n % 2 == 1)
            memcpy(cvs[n / 2], cvs[n - 1], BLAKE3_LEN);
    }
    t->variant->compress(t->key, cvs[0], BLAKE3_BLOCK, 0, t->flags | BLAKE3_PARENT | root_flag, cv, NULL);
    blake3_store_cv(out, cv);
}

static blake3_tree plain(void) {
    return (blake3_tree){.variant = blake3_best(), .key = blake3_iv};
}

void blake3_subtrees(const blake3_piece *pieces, size_t count, unsigned level, uint8_t (*out)[BLAKE3_LEN]) {
    enum { MOST = BLAKE3_PIECES << BLAKE3_PIECE_LEVEL };
    const uint8_t *chunks[MOST];
    uint32_t low[MOST], high[MOST];
    uint8_t cvs[MOST][BLAKE3_LEN];
    blake3_tree t = plain();
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < (size_t)1 << level; j++, n++) {
            chunks[n] = pieces[i].data + j * BLAKE3_CHUNK;
            low[n] = (uint32_t)(pieces[i].chunk + j);
            high[n] = (uint32_t)((pieces[i].chunk + j) >> 32);
        }
    }
    hash_chunks(&t, chunks, &(blake3_counters){low, high}, n, cvs[0]);
    for (; n > count; n /= 2)
        merge(&t, cvs, n / 2, cvs);
    memcpy(out, cvs, count * BLAKE3_LEN);
}

void blake3_parents(const uint8_t *const *pairs, size_t count, uint8_t (*out)[BLAKE3_LEN]) {
    blake3_tree t = plain();
    hash_parents(&t, pairs, count, out[0]);
}
