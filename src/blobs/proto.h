// The messages of the blobs protocol, ALPN "/iroh-bytes/4": what is asked for, and what an observed blob is like.
//
// One request is one bidirectional stream: a byte for its type, a body in postcard, and the end of the stream (a push has
// the length of its body before it, and data after it). Nothing here reads or writes a stream. A request stays in the
// bytes that it came in, at most PROTO_BODY_MAX of them, and is walked through there: a small message cannot make much
// memory of itself. Reading is strict where the original is since 0.104: one set of chunks has one encoding.
//
// Sets of chunks are `ranges` as in blobs/bao.h.
#ifndef BLOBS_PROTO_H
#define BLOBS_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/postcard.h"
#include "base/ranges.h"

#define PROTO_MESSAGE_MAX 1048576  // bytes of a type and its body, of an observed item, and of a push's body
#define PROTO_BODY_MAX (PROTO_MESSAGE_MAX - 1)
#define PROTO_HASH 32

enum { PROTO_GET = 0, PROTO_OBSERVE = 1, PROTO_PUSH = 8, PROTO_GET_MANY = 9 };

// Codes with which a stream is reset or stopped.
enum { PROTO_PERMISSION = 1, PROTO_LIMIT = 2, PROTO_INTERNAL = 3 };

// A set of chunks

// Adds the set to `out`, or only checks it when `out` is null. What is wrong is in p->error: IROH_ERR_SYNTAX (an empty
// range), IROH_ERR_RANGE, IROH_ERR_TRUNCATED, IROH_ERR_NOMEM.
void proto_set_read(postcard *p, ranges *out);
void proto_set_write(writer *w, const ranges *set);
size_t proto_set_size(const ranges *set);

// Sets of chunks for a row of blobs: entries of an index and the set that holds from there on, the last one for ever. For
// a sequence of hashes, 0 is the sequence itself and i its i-th child.

// Checked, and borrowed from where it was read.
typedef struct proto_seq {
    const uint8_t *bytes;
    size_t len;
} proto_seq;

void proto_seq_read(postcard *p, proto_seq *out);  // errors as for a set; an entry like the one before: IROH_ERR_SYNTAX

// True when it is about the first blob alone, in the form which says that the blob is no sequence of hashes.
bool proto_seq_is_blob(const proto_seq *q);

typedef struct proto_walk {
    postcard in;
    uint64_t left;   // entries not read yet
    uint64_t at;     // the next index
    uint64_t until;  // where the next entry begins
    ranges set;      // that of the index that came last
} proto_walk;

void proto_walk_start(proto_walk *w, const proto_seq *q);  // w->set is to be disposed of with proto_walk_dispose
void proto_walk_dispose(proto_walk *w);

// The next index for which chunks are wanted, which are then in w->set: 1. 0 after the last, which need not come.
// IROH_ERR_NOMEM.
int proto_walk_next(proto_walk *w, uint64_t *index);

// Builds the shortest encoding.
typedef struct proto_builder {
    uint8_t *bytes;  // room for the count, then the entries
    size_t len, room;
    uint64_t count, index;           // entries, and where the latest one begins
    size_t previous, previous_size;  // the latest set in `bytes`
} proto_builder;

#define PROTO_BUILDER_INIT ((proto_builder){0})

// From `index` on, which is greater than that of the call before, `set` is wanted. IROH_ERR_NOMEM, with nothing changed.
int proto_builder_add(proto_builder *b, uint64_t index, const ranges *set);
size_t proto_builder_size(const proto_builder *b);        // bytes of the sequence
int proto_builder_seq(proto_builder *b, proto_seq *out);  // good until the next call; IROH_ERR_NOMEM
void proto_builder_dispose(proto_builder *b);

// Requests

typedef struct proto_request {
    int type;
    const uint8_t *hashes;  // PROTO_HASH bytes each, borrowed
    size_t count;           // 1, but for PROTO_GET_MANY
    proto_seq seq;          // not for PROTO_OBSERVE, whose chunks nobody looks at
} proto_request;

// Reads a body without what frames it. Bytes after it are ignored, as by the original. IROH_ERR_UNSUPPORTED (the type),
// and what reading a sequence gives.
int proto_request_read(int type, const uint8_t *body, size_t len, proto_request *out);

// The whole beginning of the stream: type, for a push the length, and body.
size_t proto_request_size(const proto_request *r);
void proto_request_write(writer *w, const proto_request *r);

// Observed blobs

// Boundaries of what is there: from the first on it is, from the second on not, and so on.
typedef struct proto_have {
    uint64_t size;  // claimed
    uint64_t *at;   // ascending
    size_t count, room;
} proto_have;

void proto_have_dispose(proto_have *h);
int proto_have_resize(proto_have *h, size_t count);  // makes room, sets the count; IROH_ERR_NOMEM

// The item without the length in front of it. IROH_ERR_SYNTAX (not ascending), IROH_ERR_TRUNCATED, IROH_ERR_NOMEM.
int proto_have_read(const uint8_t *item, size_t len, proto_have *out);
size_t proto_have_size(const proto_have *h);  // with the length in front
void proto_have_write(writer *w, const proto_have *h);

// What changed from `a` to `b`: the chunks in one and not in the other, and the size of the one that knows it better. `out`
// is neither of them. IROH_ERR_NOMEM.
int proto_have_difference(const proto_have *a, const proto_have *b, proto_have *out);

// Adds what came to what was known. IROH_ERR_TOO_LARGE, and nothing is added, when that has more boundaries than any
// message could tell of. IROH_ERR_NOMEM.
int proto_have_merge(proto_have *h, const proto_have *more);

// Items that came together. Merging takes as long as what was known is large, so many small ones are merged at once.
typedef struct proto_news {
    range *items;  // what is there, in the order in which it was told
    size_t count, room;
    uint64_t size, end;  // of the item that knows the size best: what it claims, and where what it has ends
} proto_news;

void proto_news_dispose(proto_news *n);
int proto_news_add(proto_news *n, const proto_have *item);  // IROH_ERR_NOMEM, with nothing changed
int proto_news_merge(proto_news *n, proto_have *h);         // as proto_have_merge; the news are used up in any case

#endif
