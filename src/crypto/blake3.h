// BLAKE3: hash, keyed hash, key derivation, output of any length, and the pieces that verified streaming is made of.
//
// Source: the BLAKE3 paper. A message is cut into chunks of 1024 bytes; each gives a chaining value (CV), and pairs
// of CVs give the CV of a parent, up to the root. The flag ROOT is all that tells the hash of a whole message from
// the CV of a subtree that holds the same bytes, so the two differ.
//
// Nothing allocates and nothing can fail. The code for the processor is chosen at the first call, safely from any
// thread; a `blake3` belongs to one thread at a time, may be copied, and holds the key when there is one: wipe() it
// then.
#ifndef CRYPTO_BLAKE3_H
#define CRYPTO_BLAKE3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLAKE3_LEN 32   // bytes of a hash, a key and a CV
#define BLAKE3_PAIR 64  // bytes of a left and a right CV, and of a block
#define BLAKE3_CHUNK 1024
#define BLAKE3_STACK 55  // CVs of finished subtrees that wait for their right half: 2^64 bytes are 2^54 chunks

// Runs task(arg, i) once for every i < count, in any order and on any threads, and returns when all have ended.
typedef struct blake3_executor {
    void *user;
    void (*run)(void *user, void (*task)(void *arg, size_t i), void *arg, size_t count);
} blake3_executor;

typedef struct blake3 {
    uint32_t key[8];
    uint32_t cv[8];  // of the chunk being filled
    uint64_t chunk;  // index of that chunk
    uint64_t first;  // index of the first chunk: 0 but for a subtree
    uint8_t block[BLAKE3_PAIR];
    uint8_t block_len;  // bytes in `block`
    uint8_t blocks;     // of the chunk that went into `cv`
    uint8_t flags;      // of the mode
    uint8_t depth;      // of `stack`
    uint8_t stack[BLAKE3_STACK][BLAKE3_LEN];
} blake3;

void blake3_init(blake3 *h);
void blake3_init_keyed(blake3 *h, const uint8_t key[static BLAKE3_LEN]);

// What is hashed afterwards is key material; `context` says what the derived key is for.
void blake3_init_derive(blake3 *h, const void *context, size_t len);

// At most 2^64 - 1 bytes in all. The larger the pieces, the faster: from 32 KiB on at full speed.
void blake3_update(blake3 *h, const void *data, size_t len);

// The same, spread over the executor's threads; worth it from some MiB on.
void blake3_update_parallel(blake3 *h, const void *data, size_t len, const blake3_executor *executor);

// The first `len` bytes of the output, the usual hash for BLAKE3_LEN. The state stays as it is: more may be added.
void blake3_final(const blake3 *h, uint8_t *out, size_t len);

// The same from byte `from` of the output on; from + len at most 2^64 - 1.
void blake3_final_seek(const blake3 *h, uint64_t from, uint8_t *out, size_t len);

void blake3_hash(const void *data, size_t len, uint8_t out[static BLAKE3_LEN]);

// Subtrees, in the plain mode

// The CV of the subtree over `len` bytes whose first chunk has index `chunk` in the whole message. A subtree is what
// the tree of some message has as a node: `chunk` is a multiple of the chunks in it, rounded up to a power of two.
// `root` gives the hash of a message that ends here; `chunk` is then 0.
void blake3_subtree(uint64_t chunk, const uint8_t *data, size_t len, bool root, uint8_t out[static BLAKE3_LEN]);

// The CV of the parent of two CVs, left and right.
void blake3_parent(const uint8_t pair[static BLAKE3_PAIR], bool root, uint8_t out[static BLAKE3_LEN]);

// Many at once use the full width of the processor: that is what these two are for.

typedef struct blake3_piece {
    const uint8_t *data;
    uint64_t chunk;  // index of its first chunk
} blake3_piece;

#define BLAKE3_PIECES 16      // most pieces in a call
#define BLAKE3_PIECE_LEVEL 4  // most chunks of a piece, as a power of two

// The CVs, never as root, of `count` <= BLAKE3_PIECES subtrees of exactly 2^level chunks each, level <=
// BLAKE3_PIECE_LEVEL; they need not be neighbours. `out` gets them in the same order.
void blake3_subtrees(const blake3_piece *pieces, size_t count, unsigned level, uint8_t (*out)[BLAKE3_LEN]);

// The CVs, never as root, of the parents of any number of pairs. `out` may overlap the pairs as long as CV i does not
// reach beyond pair i: parents can take the place of their children.
void blake3_parents(const uint8_t *const *pairs, size_t count, uint8_t (*out)[BLAKE3_LEN]);

#endif
