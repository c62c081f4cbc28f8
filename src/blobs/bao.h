// Verified streaming of blobs: any set of chunks of a blob with the parts of its hash tree that prove them.
//
// The tree is that of BLAKE3. Stored is a pair of chaining values (64 bytes) for every subtree larger than a group of
// 16 chunks: the outboard, in pre-order and without a size in front. Sent is, after the size, a pre-order walk of the
// subtrees that hold wanted chunks, pairs before what they prove. A group wanted whole goes as one leaf; below that
// the walk goes down to single chunks. What is sent is a function of the blob and the wanted chunks alone.
//
// Everything here is a state machine over bytes and callbacks, without input or output, threads or recursion, and
// with bounded memory. Objects are made once and started any number of times.
//
// Sets of chunks are `ranges` of chunk numbers. A range that ends at BAO_END has no end. A wanted chunk beyond the
// end of the blob means its last chunk, which is how a size is proven; BAO_LAST is the first chunk of the range that
// asks for nothing else (2^64 - 1 on the wire, which a half-open range cannot hold).
#ifndef BLOBS_BAO_H
#define BLOBS_BAO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ranges.h"
#include "crypto/blake3.h"

#define BAO_CHUNK BLAKE3_CHUNK
#define BAO_GROUP_CHUNKS 16
#define BAO_GROUP 16384         // bytes
#define BAO_PAIR BLAKE3_PAIR    // bytes
#define BAO_HEADER 8            // bytes: the size, little endian
#define BAO_SIZE_MAX INT64_MAX  // larger sizes are refused
#define BAO_END UINT64_MAX
#define BAO_LAST (UINT64_MAX - 1)
#define BAO_NO_PAIR UINT64_MAX
#define BAO_SIZE_UNKNOWN UINT64_MAX

// Geometry; sizes are at most BAO_SIZE_MAX

uint64_t bao_chunks(uint64_t size);         // 0 for the empty blob
uint64_t bao_groups(uint64_t size);         // 1 for the empty blob
uint64_t bao_outboard_size(uint64_t size);  // bytes: a pair less than there are groups

// Index of the pair of the subtree of `groups` >= 2 groups from group `group` on, as the tree of the blob has it.
uint64_t bao_pre_index(uint64_t size, uint64_t group, uint64_t groups);
uint64_t bao_post_index(uint64_t group, uint64_t groups);

// From the index of a pair in the pre-order outboard to its index in the post-order one, in which a builder yields
// the pairs of a stream of unknown size. `pre` < number of pairs.
uint64_t bao_pre_to_post(uint64_t size, uint64_t pre);

// The number of a node as the reference counts (in-order): of a parent over `chunks` >= 2 chunks from `chunk` on.
uint64_t bao_node(uint64_t chunk, uint64_t chunks);

// The walk

typedef struct bao_item {
    bool leaf;
    uint64_t chunk;        // first chunk
    uint64_t chunks;       // of the subtree; a leaf has 1..16, also that of the empty blob
    uint64_t pair;         // parent: its index in the pre-order outboard, BAO_NO_PAIR inside a group
    size_t len;            // leaf: bytes, fewer than 1024 * chunks only at the end of the blob; parent: BAO_PAIR
    const uint8_t *bytes;  // null from bao_walk
} bao_item;

#define BAO_DEPTH 64

typedef struct bao_subtree {
    uint64_t chunk, chunks, pair;
} bao_subtree;

// The items of an encoding, without their bytes. `wanted` is borrowed and stays unchanged until the walk ends.
typedef struct bao_walk {
    uint64_t size;
    const ranges *wanted;
    bool whole;    // every group that holds wanted chunks is a leaf; for validation
    size_t at;     // first range that may still reach what comes
    size_t depth;  // of `todo`
    bao_subtree todo[BAO_DEPTH];
} bao_walk;

void bao_walk_start(bao_walk *w, uint64_t size, const ranges *wanted);
bool bao_walk_next(bao_walk *w, bao_item *item);          // false at the end; leaves item->bytes null
void bao_walk_skip(bao_walk *w, const bao_item *parent);  // leaves out what is below the parent that came last

// Bytes of the whole encoding, header included. Takes time in proportion to the number of items.
uint64_t bao_encoded_size(uint64_t size, const ranges *wanted);

// Decoding

typedef enum bao_fault {
    BAO_FINE = 0,
    BAO_SIZE_NOT_FOUND,    // the stream ended before its size
    BAO_SIZE_REFUSED,      // above BAO_SIZE_MAX, or 0 for a hash that is not that of the empty blob
    BAO_PARENT_NOT_FOUND,  // the stream ended exactly before a parent
    BAO_LEAF_NOT_FOUND,    // the stream ended exactly before a leaf
    BAO_CUT,               // the stream ended inside an item
    BAO_PARENT_MISMATCH,   // bytes that do not belong to the blob
    BAO_LEAF_MISMATCH
} bao_fault;

typedef struct bao_decoder bao_decoder;

// 0 or IROH_ERR_NOMEM. Objects are 25 to 45 KiB.
int bao_decoder_new(bao_decoder **out);
void bao_decoder_free(bao_decoder *d);  // null is fine

// Starts on the encoding of `wanted` of the blob `root`. `wanted` is borrowed and unchanged until the decoder is
// restarted or freed.
void bao_decoder_start(bao_decoder *d, const uint8_t root[static BLAKE3_LEN], const ranges *wanted);

#define BAO_ITEMS 48  // most items of one call

// Takes bytes of the encoding and gives the items that they complete, verified and in order: *count items at *items.
// The bytes of an item lie in `in` or in the decoder; both are good until the next call. *used <= len bytes were
// taken; call again with the rest while *used < len. Large pieces (256 KiB and more) are fastest, and are not copied.
// Returns 1 when the encoding is complete (what follows it is not taken), 0 when more is needed, or
// IROH_ERR_PROTOCOL, from then on, when bytes do not verify: bao_decoder_fault tells, and the items before them are
// given all the same. `in` may be empty.
int bao_decoder_read(bao_decoder *d, const uint8_t *in, size_t len, size_t *used, const bao_item **items,
                     size_t *count);

// The stream ended. 0 when the encoding is complete, IROH_ERR_PROTOCOL for an earlier fault, else IROH_ERR_FINISHED.
int bao_decoder_end(bao_decoder *d);

// The claimed size, true once it is there. It is proven when the last chunk is verified (bao_item_ends).
bool bao_decoder_size(const bao_decoder *d, uint64_t *size);

// What went wrong, and where: node number of a parent, first chunk of a leaf. `where` may be null.
bao_fault bao_decoder_fault(const bao_decoder *d, uint64_t *where);

// True for a leaf that holds the last chunk of a blob of `size` bytes; a verified one proves that size.
bool bao_item_ends(const bao_item *item, uint64_t size);

// Sources: where an outboard and the data are kept

// A place for bytes.
typedef struct bao_place {
    uint8_t *out;
    size_t len;
} bao_place;

// All fill `out` with exactly what is asked and return 0, or a negative code: IROH_ERR_NOT_FOUND for what is missing.
// `parts` is `data` to several places, at most BAO_ITEMS, one after the other; when it fails, nothing is said about any
// of them. It may be null.
typedef struct bao_source {
    void *user;
    int (*pair)(void *user, uint64_t index, uint8_t out[BAO_PAIR]);  // pre-order
    int (*data)(void *user, uint64_t offset, uint8_t *out, size_t len);
    int (*parts)(void *user, uint64_t offset, const bao_place *parts, size_t count);
    bool data_trusted;  // all data was verified before and is what it was: encoders do not hash whole leaves again
} bao_source;

// A blob and its outboard in memory, which stay the caller's: a source of them is good as long as `m` is.
typedef struct bao_memory {
    const uint8_t *data;
    size_t size;
    const uint8_t *outboard;
    size_t outboard_size;
} bao_memory;

bao_source bao_memory_source(const bao_memory *m);

// Encoding

typedef struct bao_encoder bao_encoder;

int bao_encoder_new(bao_encoder **out);  // as for the decoder
void bao_encoder_free(bao_encoder *e);

// IROH_ERR_RANGE for a size that cannot be, else 0.
int bao_encoder_start(bao_encoder *e, const uint8_t root[static BLAKE3_LEN], uint64_t size, const ranges *wanted,
                      const bao_source *source);

// Writes the next *len <= room bytes of the encoding, none that does not verify against the root; of trusted data, pairs
// and groups that are not sent whole still do. A leaf inside a group needs the whole group. Returns 1 when the encoding
// is complete, 0 when there is more, or an error, with what verifies before it written all the same: IROH_ERR_CRYPTO for
// data or pairs that do not match (bao_encoder_fault tells), else the source's. IROH_ERR_AGAIN of a source may be
// retried; every other error stays. Room of 256 KiB is fastest; with room for less than an item (BAO_GROUP) bytes are
// copied once more.
int bao_encoder_write(bao_encoder *e, uint8_t *out, size_t room, size_t *len);

bao_fault bao_encoder_fault(const bao_encoder *e, uint64_t *where);

// Outboards, in one pass over a stream

typedef struct bao_builder bao_builder;

// Takes pairs, in post-order: pair `pre` of the pre-order outboard (BAO_NO_PAIR when the size was not known), and pair
// `post` of the post-order one. 0, or an error that ends all.
typedef struct bao_sink {
    void *user;
    int (*pair)(void *user, uint64_t pre, uint64_t post, const uint8_t pair[BAO_PAIR]);
} bao_sink;

int bao_builder_new(bao_builder **out);  // as for the decoder
void bao_builder_free(bao_builder *b);

// `size` in bytes, or BAO_SIZE_UNKNOWN. `sink->pair` null: only the root is of interest.
void bao_builder_start(bao_builder *b, uint64_t size, const bao_sink *sink);

// Pieces of 1 MiB and more are fastest. `executor` spreads the work and may be null; the sink is called on this
// thread. IROH_ERR_LENGTH for more bytes than announced, or the sink's error; either stays.
int bao_builder_add(bao_builder *b, const uint8_t *data, size_t len, const blake3_executor *executor);

// The root and the size, when all bytes are there; IROH_ERR_LENGTH for fewer than announced. `size` may be null.
int bao_builder_finish(bao_builder *b, uint8_t root[static BLAKE3_LEN], uint64_t *size);

// The whole in memory: `outboard` gets bao_outboard_size(len) bytes in pre-order. 0 or IROH_ERR_NOMEM.
int bao_outboard(const uint8_t *data, size_t len, uint8_t *outboard, uint8_t root[static BLAKE3_LEN]);

// Validation: which chunks of a partial copy can be proven

typedef struct bao_checker bao_checker;

int bao_checker_new(bao_checker **out);  // 0 or IROH_ERR_NOMEM; about 260 KiB
void bao_checker_free(bao_checker *c);

// Checks the groups that hold wanted chunks. With `data` false only the pairs are read, and groups count as valid
// when the pairs above them verify. IROH_ERR_RANGE for a size that cannot be, else 0.
int bao_checker_start(bao_checker *c, const uint8_t root[static BLAKE3_LEN], uint64_t size, const ranges *wanted,
                      const bao_source *source, bool data);

// Looks at some groups and adds the valid chunks among them, whole groups, to `valid`. Returns 1 when all is done, 0
// when there is more, or an error. Below a pair that is wrong or that the source does not find (IROH_ERR_NOT_FOUND)
// nothing is valid; other errors of a source end the check.
int bao_checker_step(bao_checker *c, ranges *valid);

#endif
