// What a store stands on: rows about blobs, tags, and files, behind one table of functions. There are two: SQLite with a
// directory (store_disk.c), and memory (store_memory.c).
//
// Changes are collected in a transaction, which has a number. `commit` makes a transaction durable, together with the
// files that were named to it, in this order: files, their names, rows. A transaction that cannot be made durable is lost
// as a whole. Backends lock themselves; a call sees what earlier calls did, durable or not.
#ifndef BLOBS_STORE_BACKEND_H
#define BLOBS_STORE_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/blobs.h>

#include "base/ranges.h"
#include "blobs/store_file.h"

#define STORE_INLINE_MAX 16384           // bytes of data, and of an outboard, that are kept with the row
#define STORE_TRANSACTION_OPS 4096       // changes after which a transaction ends by itself,
#define STORE_TRANSACTION_BYTES 8388608  // bytes with rows,
#define STORE_TRANSACTION_MS 500         // and age, seen at the next change

// Where data and outboards are. Small ones are with the row; an outboard of no bytes is one of them.
enum { STORE_INLINE = 0, STORE_FILE = 1, STORE_EXTERNAL = 2 };

// What a file was when it was read: enough to notice that it was written to since.
typedef struct store_stamp {
    uint64_t size;
    int64_t modified;  // ns since 1970
} store_stamp;

typedef struct store_row {
    uint8_t state;  // IROH_BLOB_PARTIAL or IROH_BLOB_COMPLETE
    uint8_t place;  // of the data
    uint8_t outboard_place;
    bool proven;  // the size is
    bool dirty;   // somebody was writing: files may hold more than `have` says
    uint64_t size;
    ranges have;    // partial: chunks that are there, on disk before the row was
    uint8_t *data;  // inline: `size` bytes, also when partial
    uint8_t *outboard;
    size_t outboard_len;
    char *path;  // external
    store_stamp stamp;
} store_row;

void store_row_dispose(store_row *row);

enum { STORE_DATA = 0, STORE_OUTBOARD = 1 };  // kinds of files of a blob

typedef struct store_backend store_backend;

// Results are 0 or a negative IROH_ERR_*; IROH_ERR_NOT_FOUND where something may be missing.
typedef struct store_backend_ops {
    // Without `bytes` the row comes without inline data and outboard. The caller disposes of it.
    int (*get)(store_backend *b, const uint8_t hash[32], bool bytes, store_row *out);
    int (*put)(store_backend *b, const uint8_t hash[32], const store_row *row);  // copies
    int (*remove)(store_backend *b, const uint8_t hash[32]);
    int (*next)(store_backend *b, const uint8_t *after, uint8_t out[32]);  // in order of hash; null: the first

    int (*tag_get)(store_backend *b, const void *name, size_t len, iroh_content *out);
    int (*tag_put)(store_backend *b, const void *name, size_t len, const iroh_content *content);
    int (*tag_remove)(store_backend *b, const void *name, size_t len);
    int (*tag_rename)(store_backend *b, const void *from, size_t from_len, const void *to, size_t to_len);
    int (*tag_next)(store_backend *b, const void *from, size_t len, bool after, iroh_tag *out);

    // The number of the transaction that the latest change went into; the next one is greater or equal.
    uint64_t (*transaction)(store_backend *b);
    // Makes durable all up to now. An error if that fails, or if one of the transactions since `from` was lost.
    int (*commit)(store_backend *b, uint64_t from);
    bool (*due)(store_backend *b);  // the transaction is large or old enough to be committed
    // A transaction that was lost and not told yet.
    bool (*lost)(store_backend *b, uint64_t *transaction);

    // Files of blobs. `create` opens what is there, or makes an empty one.
    int (*open)(store_backend *b, const uint8_t hash[32], int kind, store_file **out);
    int (*create)(store_backend *b, const uint8_t hash[32], int kind, store_file **out);
    int (*temporary)(store_backend *b, store_file **out);  // without a name that lasts
    // Gives a temporary file its name, in place of what is there; it becomes part of the transaction.
    int (*publish)(store_backend *b, store_file *file, const uint8_t hash[32], int kind);
    // Makes what was written to `file` part of the transaction.
    int (*include)(store_backend *b, store_file *file);
    void (*unlink)(store_backend *b, const uint8_t hash[32], int kind);  // what is not there is fine
    // A second name for a blob's file. IROH_ERR_UNSUPPORTED where that cannot be, IROH_ERR_EXISTS.
    int (*link)(store_backend *b, const uint8_t hash[32], const char *target);

    void (*free)(store_backend *b);
} store_backend_ops;

struct store_backend {
    const store_backend_ops *ops;
    bool keeps_small;  // small blobs are copied, even when they could be referred to
    bool power_safe;   // files are synced
    bool in_memory;    // nobody else can change what it holds
};

int store_disk_open(const char *dir, bool power_safe, store_backend **out);
int store_memory_open(store_backend **out);

#endif
