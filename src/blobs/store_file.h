// Files of a store: of the operating system, or pages in memory, behind a small table of functions. Shared by reference
// count; safe from several threads as long as they do not write to the same bytes.
#ifndef BLOBS_STORE_FILE_H
#define BLOBS_STORE_FILE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "blobs/bao.h"

typedef struct store_file store_file;

typedef struct store_piece {
    const void *data;
    size_t len;
} store_piece;

#define STORE_PIECES 64  // most pieces of one write, and parts of one read

typedef struct store_file_ops {
    int (*read)(store_file *f, uint64_t offset, const bao_place *parts, size_t count);
    int (*write)(store_file *f, uint64_t offset, const store_piece *pieces, size_t count);
    void (*reserve)(store_file *f, uint64_t offset, uint64_t len);
    int (*size)(store_file *f, uint64_t *out);
    int (*sync)(store_file *f);
    void (*dispose)(store_file *f);
} store_file_ops;

struct store_file {
    const store_file_ops *ops;
    atomic_uint refs;
};

store_file *store_file_ref(store_file *f);
void store_file_unref(store_file *f);  // null is ignored

// Exactly `len` bytes. IROH_ERR_NOT_FOUND when the file ends before them, IROH_ERR_IO.
int store_file_read(store_file *f, uint64_t offset, void *out, size_t len);
// The same, to several places.
int store_file_read_parts(store_file *f, uint64_t offset, const bao_place *parts, size_t count);

// All pieces one after the other, holes where nothing was written before. IROH_ERR_NO_SPACE, IROH_ERR_IO, IROH_ERR_NOMEM.
int store_file_write(store_file *f, uint64_t offset, const store_piece *pieces, size_t count);
int store_file_write_bytes(store_file *f, uint64_t offset, const void *data, size_t len);

// Says that these bytes will be written soon, which may make that cheaper. The size stays as it is; nothing fails.
void store_file_reserve(store_file *f, uint64_t offset, uint64_t len);

int store_file_size(store_file *f, uint64_t *out);
int store_file_sync(store_file *f);

// Takes over a descriptor, which is closed in any case. `path`, which may be null, is unlinked when the file is disposed of.
int store_file_of_fd(int fd, const char *path, store_file **out);
int store_file_fd(const store_file *f);  // -1 for pages
// The temporary file has got another name: it stays.
void store_file_keep(store_file *f);
const char *store_file_path(const store_file *f);

// An empty file in memory.
int store_file_of_pages(store_file **out);

#endif
