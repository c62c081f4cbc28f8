// Blobs: bytes named by their BLAKE3 hash, and the store that keeps them.
//
// A store holds complete blobs, and partial ones of which some chunks are there and verified. Tags keep blobs alive;
// what no tag keeps, iroh_store_gc removes. Everything here may be called from any thread, but a batch, an observer or a
// temporary tag must not be freed while another thread uses it. Calls do their work before they return.
//
// What the store promises is in docs/blobs.md. In short: when a call that changes the store has returned 0 and no batch
// was given, the change outlasts a crash of the process, and of the machine if `power_safe` is set. With a batch that
// holds from iroh_batch_commit on. A store never gives out bytes that it has not verified once.
#ifndef IROH_BLOBS_H
#define IROH_BLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---------------------------------------------------------------------------------------------------------------------
// Hashes

typedef struct iroh_hash {
    uint8_t bytes[32];
} iroh_hash;

enum {
    IROH_BLOB_RAW = 0,
    IROH_BLOB_HASH_SEQ = 1  // its bytes are hashes of other blobs, one after the other
};

typedef struct iroh_content {
    iroh_hash hash;
    int format;  // IROH_BLOB_...
} iroh_content;

#define IROH_HASH_HEX_SIZE 65  // 64 digits and the terminator
#define IROH_CONTENT_TEXT_SIZE 66

IROH_API void iroh_hash_of(const void *data, size_t len, iroh_hash *out);
IROH_API void iroh_hash_to_hex(const iroh_hash *hash, char out[IROH_HASH_HEX_SIZE]);

// 64 lower-case hex digits, or 52 characters of base32 in any case. IROH_ERR_LENGTH, IROH_ERR_SYNTAX.
IROH_API int iroh_hash_from_text(iroh_hash *out, const char *text);

// The hex digits, with an `s` in front for a hash sequence.
IROH_API void iroh_content_to_text(const iroh_content *content, char out[IROH_CONTENT_TEXT_SIZE]);
IROH_API int iroh_content_from_text(iroh_content *out, const char *text);  // also the forms of iroh_hash_from_text

// ---------------------------------------------------------------------------------------------------------------------
// Stores

typedef struct iroh_store iroh_store;
typedef struct iroh_batch iroh_batch;
typedef struct iroh_temp_tag iroh_temp_tag;
typedef struct iroh_observer iroh_observer;

typedef struct iroh_store_config {
    unsigned threads;  // that hash a large blob; 0: as many as there are processors
    bool power_safe;  // true: what was acknowledged also outlasts a power failure, at the price of waiting for the disk
} iroh_store_config;

IROH_API void iroh_store_config_default(iroh_store_config *config);

// Opens the store in the directory `dir`, which is created if it is not there, and puts right what a crash left behind.
// One process at a time: IROH_ERR_AGAIN when another has it open. IROH_ERR_VERSION (written by a newer version),
// IROH_ERR_CORRUPT, IROH_ERR_NO_SPACE, IROH_ERR_ACCESS, IROH_ERR_IO, IROH_ERR_NOMEM. `config` may be null.
IROH_API int iroh_store_open(const char *dir, const iroh_store_config *config, iroh_store **out);

// A store in memory, which is gone when it is freed. Files that it refers to stay where they are.
IROH_API int iroh_store_memory(const iroh_store_config *config, iroh_store **out);

// Makes everything durable and closes. Batches, observers and temporary tags are freed before. Null is ignored.
IROH_API void iroh_store_free(iroh_store *s);

// Makes durable all that was done so far, by anyone. The error of the disk if that failed; what was not acknowledged is
// then lost, and the store goes on.
IROH_API int iroh_store_sync(iroh_store *s);

// ---------------------------------------------------------------------------------------------------------------------
// Adding

enum {
    IROH_ADD_COPY = 0,  // shares blocks with the original where the file system can, else copies
    // Leaves the file where it is and remembers its path. A file that changes later is no longer served. The store on
    // disk still copies files of 16 KiB and less.
    IROH_ADD_REFERENCE = 1
};

// How to add; zeroes are the defaults. What keeps the blob alive: the batch if given, the temporary tag if asked for, the
// named tag if named, and if none of these, a new tag whose name begins with `auto-`.
typedef struct iroh_add_options {
    int format;  // IROH_BLOB_...
    int mode;    // IROH_ADD_..., for paths
    iroh_batch *batch;
    const void *tag;  // any bytes, at most IROH_TAG_MAX
    size_t tag_len;
    iroh_temp_tag **temp_tag;
    // Called now and then with the bytes done and the size (0 while unknown); false ends the call with IROH_ERR_CLOSED.
    bool (*progress)(void *user, uint64_t done, uint64_t size);
    void *user;
} iroh_add_options;

// `o` may be null. IROH_ERR_NOMEM, IROH_ERR_NO_SPACE, IROH_ERR_ACCESS, IROH_ERR_IO, IROH_ERR_ARG.
IROH_API int iroh_store_add_bytes(iroh_store *s, const void *data, size_t len, const iroh_add_options *o,
                                  iroh_hash *out);

// A regular file; symbolic links are followed. Also IROH_ERR_NOT_FOUND, IROH_ERR_KIND (not a regular file),
// IROH_ERR_CHANGED (changed while it was read).
IROH_API int iroh_store_add_path(iroh_store *s, const char *path, const iroh_add_options *o, iroh_hash *out);

// Bytes that come piece by piece: `read` fills up to `room` bytes and returns how many, 0 at the end, or a negative code,
// which ends the call.
typedef struct iroh_byte_source {
    void *user;
    int (*read)(void *user, void *out, size_t room);
} iroh_byte_source;

IROH_API int iroh_store_add_stream(iroh_store *s, const iroh_byte_source *source, const iroh_add_options *o,
                                   iroh_hash *out);

// A batch protects what is added with it until it is freed, and saves the wait for the disk at each addition.
IROH_API int iroh_batch_new(iroh_store *s, iroh_batch **out);
IROH_API int iroh_batch_add(iroh_batch *b, const iroh_content *content);  // protects what need not be there yet

// Waits until all additions are durable; an error if one of them was lost.
IROH_API int iroh_batch_commit(iroh_batch *b);
IROH_API void iroh_batch_free(iroh_batch *b);

// ---------------------------------------------------------------------------------------------------------------------
// Reading

enum { IROH_BLOB_ABSENT = 0, IROH_BLOB_PARTIAL = 1, IROH_BLOB_COMPLETE = 2 };

typedef struct iroh_blob_status {
    int state;      // IROH_BLOB_...
    uint64_t size;  // bytes; of a partial blob what was claimed, 0 when nothing is known
    bool size_proven;
} iroh_blob_status;

// The empty blob is always complete. A blob whose file is gone or changed is absent.
IROH_API int iroh_store_status(iroh_store *s, const iroh_hash *hash, iroh_blob_status *out);

// Copies bytes from `offset` on: returns how many, fewer than `len` only at the end of the blob. IROH_ERR_NOT_FOUND when
// some of them are not there, or lie beyond a size that is only claimed.
IROH_API int64_t iroh_store_read(iroh_store *s, const iroh_hash *hash, uint64_t offset, void *out, size_t len);

// A whole blob of at most `max` bytes in memory that the caller frees with free(). IROH_ERR_NOT_FOUND, IROH_ERR_TOO_LARGE.
IROH_API int iroh_store_get(iroh_store *s, const iroh_hash *hash, size_t max, uint8_t **data, size_t *len);

enum {
    IROH_EXPORT_COPY = 0,      // shares blocks where the file system can, else copies
    IROH_EXPORT_REFERENCE = 1  // the file becomes the only copy, and the store refers to it; copies if it must
};

typedef struct iroh_export_options {
    int mode;
    bool replace;  // an existing target; without it that is IROH_ERR_EXISTS
    bool (*progress)(void *user, uint64_t done, uint64_t size);
    void *user;
} iroh_export_options;

// Writes a complete blob to `target`, whose directory exists. The file appears there whole or not at all.
// IROH_ERR_NOT_FOUND (no complete blob, or no such directory), IROH_ERR_EXISTS, and those of iroh_store_add_bytes.
IROH_API int iroh_store_export(iroh_store *s, const iroh_hash *hash, const char *target, const iroh_export_options *o);

// The blob after `after` in order of hash (null: the first), complete or partial. IROH_ERR_NOT_FOUND after the last.
IROH_API int iroh_store_next(iroh_store *s, const iroh_hash *after, iroh_hash *out, iroh_blob_status *status);

// ---------------------------------------------------------------------------------------------------------------------
// Tags

#define IROH_TAG_MAX 1024  // bytes of a name

typedef struct iroh_tag {
    uint8_t name[IROH_TAG_MAX];
    size_t len;
    iroh_content content;
} iroh_tag;

IROH_API int iroh_tag_set(iroh_store *s, const void *name, size_t len, const iroh_content *content);  // replaces
IROH_API int iroh_tag_get(iroh_store *s, const void *name, size_t len, iroh_content *out);  // IROH_ERR_NOT_FOUND

// A tag with a name of its own, `auto-` and the time; `out` may be null.
IROH_API int iroh_tag_create(iroh_store *s, const iroh_content *content, iroh_tag *out);

// Renames at one stroke, over an existing tag if there is one. IROH_ERR_NOT_FOUND.
IROH_API int iroh_tag_rename(iroh_store *s, const void *from, size_t from_len, const void *to, size_t to_len);

// The first tag whose name is at least `from` (or greater, with `after`), in order of bytes. IROH_ERR_NOT_FOUND.
IROH_API int iroh_tag_next(iroh_store *s, const void *from, size_t len, bool after, iroh_tag *out);

// Removes one, or all whose names begin with a prefix (all, for the empty one): how many there were, or an error.
IROH_API int iroh_tag_remove(iroh_store *s, const void *name, size_t len);
IROH_API int64_t iroh_tag_remove_prefix(iroh_store *s, const void *prefix, size_t len);

// Protects from collection until it is freed, or the process ends.
IROH_API int iroh_temp_tag_new(iroh_store *s, const iroh_content *content, iroh_temp_tag **out);
IROH_API iroh_content iroh_temp_tag_content(const iroh_temp_tag *t);
IROH_API void iroh_temp_tag_free(iroh_temp_tag *t);

// Copies up to `room` contents that temporary tags and batches protect: how many there are in all.
IROH_API size_t iroh_store_temp_contents(iroh_store *s, iroh_content *out, size_t room);

// ---------------------------------------------------------------------------------------------------------------------
// Upkeep

// Names further hashes to keep: calls `keep` for each. A negative result ends the collection.
typedef int (*iroh_gc_roots)(void *user, int (*keep)(void *arg, const iroh_hash *hash), void *arg);

typedef struct iroh_gc_stats {
    uint64_t kept, removed;  // blobs
} iroh_gc_stats;

// Removes the blobs that no tag, temporary tag or batch keeps, nor a hash sequence that is kept itself, that nobody has
// open and that were not written since the call began. `roots` and `out` may be null.
IROH_API int iroh_store_gc(iroh_store *s, iroh_gc_roots roots, void *user, iroh_gc_stats *out);

enum {
    IROH_VERIFY_GOOD = 0,
    IROH_VERIFY_PARTIAL = 1,   // incomplete; what is there is good
    IROH_VERIFY_OUTBOARD = 2,  // the data is good, its outboard is not
    IROH_VERIFY_DAMAGED = 3,   // some of the data is not what it was
    IROH_VERIFY_MISSING = 4    // nothing of it is left
};

typedef struct iroh_verify_options {
    // Outboards are made anew; damaged blobs become partial ones that lack what is damaged, and can be fetched again.
    bool repair;
    // Called for every blob; false ends the call with IROH_ERR_CLOSED. `bad` is how many chunks are damaged.
    bool (*report)(void *user, const iroh_hash *hash, int result, uint64_t bad);
    void *user;
} iroh_verify_options;

typedef struct iroh_verify_stats {
    uint64_t blobs, bytes;  // looked at
    uint64_t damaged;       // blobs that are neither good nor partial
    uint64_t repaired;
} iroh_verify_stats;

// Reads everything again. `o` and `out` may be null.
IROH_API int iroh_store_verify(iroh_store *s, const iroh_verify_options *o, iroh_verify_stats *out);

// ---------------------------------------------------------------------------------------------------------------------
// Observing

// Watches which chunks of a blob are there, which need not be known yet. IROH_ERR_NOMEM, IROH_ERR_IO.
IROH_API int iroh_observer_new(iroh_store *s, const iroh_hash *hash, iroh_observer **out);
IROH_API void iroh_observer_free(iroh_observer *o);  // null is ignored

// Readable while there is news. Stays the observer's.
IROH_API int iroh_observer_fd(const iroh_observer *o);

// The state, when it is another than at the last call (the first call always has one): 1; else 0. The boundaries of the
// chunks that are there, first on, then off, and so on, at most `room` of them go to `out`, their number to *count; an odd
// number means that the last range has no end, as when the last chunk is there. `out` may be null when `room` is 0.
IROH_API int iroh_observer_next(iroh_observer *o, iroh_blob_status *status, uint64_t *out, size_t room, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
