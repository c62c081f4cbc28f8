// Builder: whole subtrees of up to 16 groups are hashed where they lie, and merged on a stack like the one of BLAKE3:
// two only when more comes, since the last merge of all is the root's. So something is always held back, unless the
// size was announced and says that more will come.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/bao.h"

#define RUN_LEVEL 4  // most groups hashed together, as a power of two
#define RUN_GROUPS (1 << RUN_LEVEL)
#define RUNS 16  // most runs of an executor at once

typedef struct bao_run {
    const uint8_t *data;
    uint64_t group;
    unsigned level;
    // Level by level: the values of the groups, then of their parents, and so on; the last is that of the run.
    uint8_t cvs[2 * RUN_GROUPS - 1][BLAKE3_LEN];
} bao_run;

typedef struct bao_part {
    uint64_t group, groups;
} bao_part;

struct bao_builder {
    bao_sink sink;
    int error;
    uint64_t size;    // announced, or BAO_SIZE_UNKNOWN
    uint64_t bytes;   // added
    uint64_t groups;  // on the stack
    size_t carry_len;
    size_t depth;
    bao_part parts[BAO_DEPTH];
    uint8_t stack[BAO_DEPTH][BLAKE3_LEN];  // apart, so that neighbours are a pair
    bao_run runs[RUNS];
    uint8_t carry[BAO_GROUP];
};

int bao_builder_new(bao_builder **out) {
    *out = malloc(sizeof **out);
    return *out != NULL ? 0 : IROH_ERR_NOMEM;
}

void bao_builder_free(bao_builder *b) {
    free(b);
}

void bao_builder_start(bao_builder *b, uint64_t size, const bao_sink *sink) {
    b->sink = *sink;
    b->error = 0;
    b->size = size;
    b->bytes = b->groups = 0;
    b->carry_len = b->depth = 0;
}

static void emit(bao_builder *b, uint64_t group, uint64_t groups, const uint8_t *pair) {
    if (b->error != 0 || b->sink.pair == NULL)
        return;
    uint64_t pre = b->size != BAO_SIZE_UNKNOWN ? bao_pre_index(b->size, group, groups) : BAO_NO_PAIR;
    b->error = b->sink.pair(b->sink.user, pre, bao_post_index(group, groups), pair);
}

static void merge(bao_builder *b, bool root) {
    bao_part *left = &b->parts[b->depth - 2], *right = &b->parts[b->depth - 1];
    uint8_t *pair = b->stack[b->depth - 2];
    left->groups += right->groups;
    emit(b, left->group, left->groups, pair);
    blake3_parent(pair, root, pair);
    b->depth--;
}

// Something follows: what stands before it as two halves is whole.
static void settle(bao_builder *b) {
    while (b->depth >= 2 && b->parts[b->depth - 2].groups == b->parts[b->depth - 1].groups)
        merge(b, false);
}

static void push(bao_builder *b, uint64_t groups, const uint8_t *cv) {
    settle(b);
    b->parts[b->depth] = (bao_part){.group = b->groups, .groups = groups};
    memcpy(b->stack[b->depth++], cv, BLAKE3_LEN);
    b->groups += groups;
}

static void hash_run(void *arg, size_t i) {
    bao_run *r = (bao_run *)arg + i;
    blake3_piece pieces[RUN_GROUPS];
    size_t n = (size_t)1 << r->level;
    for (size_t g = 0; g < n; g++)
        pieces[g] = (blake3_piece){.data = r->data + g * BAO_GROUP, .chunk = (r->group + g) * BAO_GROUP_CHUNKS};
    blake3_subtrees(pieces, n, BLAKE3_PIECE_LEVEL, r->cvs);
    for (uint8_t(*level)[BLAKE3_LEN] = r->cvs; n > 1; level += n, n /= 2) {
        const uint8_t *pairs[RUN_GROUPS / 2];
        for (size_t j = 0; j < n / 2; j++)
            pairs[j] = level[2 * j];
        blake3_parents(pairs, n / 2, level + n);
    }
}

// The pairs of a run in post-order: after group g come the subtrees that end with it.
static void push_run(bao_builder *b, const bao_run *r) {
    size_t n = (size_t)1 << r->level;
    settle(b);
    for (size_t end = 1; end <= n; end++) {
        size_t start_of_level = 0;
        for (size_t groups = 2; end % groups == 0 && groups <= n; groups *= 2) {
            size_t pair = end / groups - 1;
            emit(b, r->group + end - groups, groups, r->cvs[start_of_level + 2 * pair]);
            start_of_level += n / (groups / 2);
        }
    }
    push(b, n, r->cvs[2 * n - 2]);
}

// The level of the next run of `groups` groups at most: an aligned subtree.
static unsigned run_level(const bao_builder *b, uint64_t groups) {
    unsigned level = 0;
    while (level < RUN_LEVEL && (UINT64_C(2) << level) <= groups && b->groups % (UINT64_C(2) << level) == 0)
        level++;
    return level;
}

// The next runs from `groups` whole groups at `data`; the groups that they took.
static uint64_t take_runs(bao_builder *b, const uint8_t *data, uint64_t groups, const blake3_executor *executor) {
    unsigned level = run_level(b, groups);
    uint64_t each = UINT64_C(1) << level, count = 1;
    if (executor != NULL && level == RUN_LEVEL)
        count = groups / each < RUNS ? groups / each : RUNS;
    for (size_t i = 0; i < count; i++) {
        b->runs[i].data = data + i * each * BAO_GROUP;
        b->runs[i].group = b->groups + i * each;
        b->runs[i].level = level;
    }
    if (count > 1)
        executor->run(executor->user, hash_run, b->runs, (size_t)count);
    else
        hash_run(b->runs, 0);
    for (size_t i = 0; i < count; i++)
        push_run(b, &b->runs[i]);
    return count * each;
}

// Groups of the `len` bytes that come next that are not the last of the blob.
static uint64_t inner_groups(const bao_builder *b, size_t len) {
    bool more = b->size != BAO_SIZE_UNKNOWN && b->groups * BAO_GROUP + len < b->size;
    return more || len == 0 ? len / BAO_GROUP : (len - 1) / BAO_GROUP;
}

static size_t fill_carry(bao_builder *b, const uint8_t *data, size_t len) {
    size_t n = BAO_GROUP - b->carry_len;
    n = n < len ? n : len;
    if (n > 0)
        memcpy(b->carry + b->carry_len, data, n);
    b->carry_len += n;
    return n;
}

static bool announced_less(const bao_builder *b, size_t len) {
    uint64_t most = b->size != BAO_SIZE_UNKNOWN ? b->size : BAO_SIZE_MAX;
    return len > most - b->bytes;
}

int bao_builder_add(bao_builder *b, const uint8_t *data, size_t len, const blake3_executor *executor) {
    if (b->error == 0 && announced_less(b, len))
        b->error = IROH_ERR_LENGTH;
    if (b->error != 0)
        return b->error;
    b->bytes += len;
    if (b->carry_len > 0) {
        size_t n = fill_carry(b, data, len);
        data += n;
        len -= n;
        // A full group that may be the last one stays.
        if (b->carry_len < BAO_GROUP || (len == 0 && inner_groups(b, BAO_GROUP) == 0))
            return 0;
        b->carry_len = 0;
        (void)take_runs(b, b->carry, 1, NULL);
    }
    uint64_t groups;
    while (b->error == 0 && (groups = inner_groups(b, len)) > 0) {
        size_t n = (size_t)take_runs(b, data, groups, executor) * BAO_GROUP;
        data += n;
        len -= n;
    }
    if (b->error == 0)
        (void)fill_carry(b, data, len);
    return b->error;
}

int bao_builder_finish(bao_builder *b, uint8_t root[static BLAKE3_LEN], uint64_t *size) {
    if (b->error == 0 && b->size != BAO_SIZE_UNKNOWN && b->bytes < b->size)
        b->error = IROH_ERR_LENGTH;
    if (b->error != 0)
        return b->error;
    uint8_t cv[BLAKE3_LEN];
    blake3_subtree(b->groups * BAO_GROUP_CHUNKS, b->carry, b->carry_len, b->groups == 0, cv);
    push(b, 1, cv);
    while (b->depth > 1)
        merge(b, b->depth == 2);
    memcpy(root, b->stack[0], BLAKE3_LEN);
    if (size != NULL)
        *size = b->bytes;
    return b->error;
}

static int store_pair(void *user, uint64_t pre, uint64_t post, const uint8_t pair[BAO_PAIR]) {
    (void)post;
    memcpy((uint8_t *)user + pre * BAO_PAIR, pair, BAO_PAIR);
    return 0;
}

int bao_outboard(const uint8_t *data, size_t len, uint8_t *outboard, uint8_t root[static BLAKE3_LEN]) {
    bao_sink sink = {.user = outboard, .pair = store_pair};
    bao_builder *b;
    int error = bao_builder_new(&b);
    if (error != 0)
        return error;
    bao_builder_start(b, len, &sink);
    error = bao_builder_add(b, data, len, NULL);
    if (error == 0)
        error = bao_builder_finish(b, root, NULL);
    bao_builder_free(b);
    return error;
}
