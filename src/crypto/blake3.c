// The tree of BLAKE3 over the kernels: incremental hashing and output. Subtrees are in blake3_tree.c.
//
// CVs of finished subtrees wait on a stack. Two are merged only when more input comes, because the last merge of all
// needs the flag ROOT: with n chunks on the stack there are as many finished subtrees as n has one bits, but the
// stack may hold one more that is not merged yet.
#include "crypto/blake3.h"

#include <string.h>

#include "crypto/blake3_rows.h"
#include "crypto/blake3_tree.h"

// Leaves the stack and the buffer as they are: clearing them is noticeable for small blobs.
static void start(blake3 *h, const uint32_t key[8], uint64_t chunk, uint8_t flags) {
    memcpy(h->key, key, sizeof h->key);
    memcpy(h->cv, key, sizeof h->cv);
    h->first = h->chunk = chunk;
    h->block_len = h->blocks = h->depth = 0;
    h->flags = flags;
}

static void load_key(const uint8_t bytes[BLAKE3_LEN], uint32_t key[8]) {
    for (size_t i = 0; i < 8; i++)
        key[i] = (uint32_t)bytes[4 * i] | (uint32_t)bytes[4 * i + 1] << 8 | (uint32_t)bytes[4 * i + 2] << 16 |
                 (uint32_t)bytes[4 * i + 3] << 24;
}

void blake3_init(blake3 *h) {
    start(h, blake3_iv, 0, 0);
}

void blake3_init_keyed(blake3 *h, const uint8_t key[static BLAKE3_LEN]) {
    uint32_t words[8];
    load_key(key, words);
    start(h, words, 0, BLAKE3_KEYED);
}

void blake3_init_derive(blake3 *h, const void *context, size_t len) {
    uint8_t context_key[BLAKE3_LEN];
    uint32_t words[8];
    start(h, blake3_iv, 0, BLAKE3_DERIVE_CONTEXT);
    blake3_update(h, context, len);
    blake3_final(h, context_key, sizeof context_key);
    load_key(context_key, words);
    start(h, words, 0, BLAKE3_DERIVE_KEY);
}

static size_t chunk_len(const blake3 *h) {
    return (size_t)h->blocks * BLAKE3_BLOCK + h->block_len;
}

static uint32_t chunk_start(const blake3 *h) {
    return h->blocks == 0 ? BLAKE3_CHUNK_START : 0;
}

static void take_block(blake3 *h, blake3_compress *compress, const uint8_t *block) {
    compress(h->cv, block, BLAKE3_BLOCK, h->chunk, h->flags | chunk_start(h), h->cv, NULL);
    h->blocks++;
}

// Adds to the chunk, which has room for it. The last block stays in the buffer: it may be the end of the chunk.
static void fill_chunk(blake3 *h, const uint8_t *data, size_t len) {
    blake3_compress *compress = blake3_best()->compress;
    while (len > 0) {
        if (h->block_len == BLAKE3_BLOCK) {
            take_block(h, compress, h->block);
            h->block_len = 0;
        }
        for (; h->block_len == 0 && len > BLAKE3_BLOCK; data += BLAKE3_BLOCK, len -= BLAKE3_BLOCK)
            take_block(h, compress, data);
        size_t n = BLAKE3_BLOCK - (size_t)h->block_len;
        n = n < len ? n : len;
        memcpy(h->block + h->block_len, data, n);
        h->block_len = (uint8_t)(h->block_len + n);
        data += n;
        len -= n;
    }
}

// The last compression of a node, which gives its CV or, with ROOT, the output.
typedef struct node {
    uint32_t cv[8];
    uint8_t block[BLAKE3_BLOCK];
    uint32_t len;
    uint64_t counter;
    uint32_t flags;
} node;

static node chunk_node(const blake3 *h) {
    node n = {.len = h->block_len, .counter = h->chunk, .flags = h->flags | chunk_start(h) | BLAKE3_CHUNK_END};
    memcpy(n.cv, h->cv, sizeof n.cv);
    memcpy(n.block, h->block, h->block_len);
    return n;
}

static node parent_node(const blake3 *h, const uint8_t *left, const uint8_t *right) {
    node n = {.len = BLAKE3_BLOCK, .flags = h->flags | BLAKE3_PARENT};
    memcpy(n.cv, h->key, sizeof n.cv);
    memcpy(n.block, left, BLAKE3_LEN);
    memcpy(n.block + BLAKE3_LEN, right, BLAKE3_LEN);
    return n;
}

static void node_cv(const node *n, uint8_t out[BLAKE3_LEN]) {
    uint32_t words[8];
    blake3_best()->compress(n->cv, n->block, n->len, n->counter, n->flags, words, NULL);
    blake3_store_cv(out, words);
}

static unsigned one_bits(uint64_t n) {
    unsigned count = 0;
    for (; n != 0; n &= n - 1)
        count++;
    return count;
}

// Something follows at `chunk`: what is finished before it is merged, none of it can be the root any more.
static void settle(blake3 *h, uint64_t chunk) {
    while (h->depth > one_bits(chunk - h->first)) {
        node n = parent_node(h, h->stack[h->depth - 2], h->stack[h->depth - 1]);
        node_cv(&n, h->stack[h->depth - 2]);
        h->depth--;
    }
}

// Puts the CV of the subtree that starts at `chunk` on the stack.
static void push(blake3 *h, const uint8_t *cv, uint64_t chunk) {
    settle(h, chunk);
    memcpy(h->stack[h->depth++], cv, BLAKE3_LEN);
}

static void end_chunk(blake3 *h) {
    uint8_t cv[BLAKE3_LEN];
    node n = chunk_node(h);
    node_cv(&n, cv);
    push(h, cv, h->chunk);
    h->chunk++;
    memcpy(h->cv, h->key, sizeof h->cv);
    h->blocks = 0;
    h->block_len = 0;
}

// The largest subtree that can come next: a power of two of chunks that starts at a multiple of itself, within
// `chunks`.
static uint64_t next_subtree(uint64_t at, uint64_t chunks) {
    uint64_t n = 1;
    while (2 * n <= chunks && at % (2 * n) == 0)
        n *= 2;
    return n;
}

// The next `n` < BLAKE3_LANES_MAX chunks, hashed in one go, as the subtrees that they consist of: one for each one
// bit of n, when they start at a multiple of BLAKE3_LANES_MAX.
static void push_subtrees(blake3 *h, const blake3_tree *t, uint8_t (*cvs)[BLAKE3_LEN], size_t n) {
    uint8_t whole[BLAKE3_LANES_MAX][BLAKE3_LEN], halves[2][BLAKE3_LEN];
    size_t last = n & (~n + 1);  // chunks of the last subtree, which may be all there is: pushed as halves
    uint64_t chunk = h->chunk;
    for (size_t size = 1, m = n; m > 0; size *= 2, m /= 2) {
        if (2 * size == last)
            memcpy(halves, cvs[m - 2], sizeof halves);
        else if ((n & size) != 0)
            memcpy(whole[size], cvs[m - 1], BLAKE3_LEN);
        blake3_tree_merge(t, cvs, m / 2);
    }
    for (size_t size = BLAKE3_LANES_MAX / 2; size > 0; size /= 2) {
        if ((n & size) == 0)
            continue;
        if (size == last && size > 1) {
            push(h, halves[0], chunk);
            push(h, halves[1], chunk + size / 2);
        } else {
            push(h, whole[size], chunk);
        }
        chunk += size;
    }
}

// The next whole chunks of `data`, of which there are `chunks`, onto the stack; their number.
static uint64_t take_chunks(blake3 *h, const uint8_t *data, uint64_t chunks, const blake3_executor *executor) {
    blake3_tree t = {.variant = blake3_best(), .key = h->key, .flags = h->flags};
    uint64_t n = next_subtree(h->chunk, chunks);
    if (n >= BLAKE3_LANES_MAX) {
        // As two halves, for their parent may be the root.
        uint8_t pair[BLAKE3_PAIR];
        blake3_tree_pair(&t, data, h->chunk, n, executor, pair);
        push(h, pair, h->chunk);
        push(h, pair + BLAKE3_LEN, h->chunk + n / 2);
    } else {
        // Up to the next multiple of the lanes in one go, whatever their subtrees.
        uint8_t cvs[BLAKE3_LANES_MAX][BLAKE3_LEN];
        uint64_t passed = h->chunk % BLAKE3_LANES_MAX, room = BLAKE3_LANES_MAX - passed;
        n = chunks < room ? chunks : room;
        blake3_tree_chunks(&t, data, h->chunk, (size_t)n, cvs);
        if (passed == 0)
            push_subtrees(h, &t, cvs, (size_t)n);
        for (uint64_t i = 0; passed != 0 && i < n; i++)
            push(h, cvs[i], h->chunk + i);
    }
    h->chunk += n;
    return n;
}

static void update(blake3 *h, const uint8_t *data, size_t len, const blake3_executor *executor) {
    size_t filled = chunk_len(h);
    if (filled > 0) {
        size_t n = BLAKE3_CHUNK - filled;
        n = n < len ? n : len;
        fill_chunk(h, data, n);
        data += n;
        len -= n;
        if (len > 0)
            end_chunk(h);
    }
    while (len > BLAKE3_CHUNK) {
        size_t n = (size_t)take_chunks(h, data, len / BLAKE3_CHUNK, executor) * BLAKE3_CHUNK;
        data += n;
        len -= n;
    }
    if (len > 0) {
        settle(h, h->chunk);
        fill_chunk(h, data, len);
    }
}

void blake3_update(blake3 *h, const void *data, size_t len) {
    if (len > 0)
        update(h, data, len, NULL);
}

void blake3_update_parallel(blake3 *h, const void *data, size_t len, const blake3_executor *executor) {
    if (len > 0)
        update(h, data, len, executor);
}

// The node that everything so far ends in.
static node last_node(const blake3 *h) {
    size_t depth = h->depth;
    node n;
    if (depth == 0 || chunk_len(h) > 0) {
        n = chunk_node(h);
    } else {
        depth -= 2;
        n = parent_node(h, h->stack[depth], h->stack[depth + 1]);
    }
    while (depth > 0) {
        uint8_t cv[BLAKE3_LEN];
        node_cv(&n, cv);
        n = parent_node(h, h->stack[--depth], cv);
    }
    return n;
}

void blake3_final_seek(const blake3 *h, uint64_t from, uint8_t *out, size_t len) {
    node n = last_node(h);
    uint64_t block = from / BLAKE3_BLOCK;
    size_t skip = from % BLAKE3_BLOCK;
    while (len > 0) {
        uint32_t words[16];
        uint8_t bytes[BLAKE3_BLOCK];
        size_t part = BLAKE3_BLOCK - skip < len ? BLAKE3_BLOCK - skip : len;
        blake3_best()->compress(n.cv, n.block, n.len, block++, n.flags | BLAKE3_ROOT, words, words + 8);
        blake3_store_cv(bytes, words);
        blake3_store_cv(bytes + BLAKE3_LEN, words + 8);
        memcpy(out, bytes + skip, part);
        out += part;
        len -= part;
        skip = 0;
    }
}

void blake3_final(const blake3 *h, uint8_t *out, size_t len) {
    blake3_final_seek(h, 0, out, len);
}

void blake3_hash(const void *data, size_t len, uint8_t out[static BLAKE3_LEN]) {
    blake3_subtree(0, data, len, true, out);
}

void blake3_subtree(uint64_t chunk, const uint8_t *data, size_t len, bool root, uint8_t out[static BLAKE3_LEN]) {
    if (len <= BLAKE3_LANES_MAX * BLAKE3_CHUNK) {
        blake3_tree t = {.variant = blake3_best(), .key = blake3_iv};
        blake3_tree_small(&t, chunk, data, len, root, out);
        return;
    }
    blake3 h;
    start(&h, blake3_iv, chunk, 0);
    blake3_update(&h, data, len);
    if (root) {
        blake3_final(&h, out, BLAKE3_LEN);
    } else {
        node n = last_node(&h);
        node_cv(&n, out);
    }
}

void blake3_parent(const uint8_t pair[static BLAKE3_PAIR], bool root, uint8_t out[static BLAKE3_LEN]) {
    uint32_t words[8];
    uint32_t flags = BLAKE3_PARENT | (root ? BLAKE3_ROOT : 0);
    blake3_best()->compress(blake3_iv, pair, BLAKE3_BLOCK, 0, flags, words, NULL);
    blake3_store_cv(out, words);
}
