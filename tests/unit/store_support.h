// Stores, blobs and encodings for the tests of the store.
#ifndef STORE_SUPPORT_H
#define STORE_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/blobs.h>

#include "blobs/store.h"

#define STORE_PATH 4096

// A fresh directory, removed by store_scratch_remove with all that is in it.
void store_scratch(char out[STORE_PATH]);
void store_scratch_remove(const char *dir);

// Bytes that depend on the seed alone. The caller frees them.
uint8_t *store_bytes(uint64_t seed, size_t len);
iroh_hash store_hash(const uint8_t *data, size_t len);

void store_write_file(const char *path, const void *data, size_t len);
bool store_file_is(const char *path, const void *data, size_t len);

// The encoding of the chunks [from, to) of a blob. The caller frees it.
uint8_t *store_encode(const uint8_t *data, size_t len, uint64_t from, uint64_t to, size_t *encoded);

// Decodes an encoding of those chunks into the blob, in pieces of `step` bytes: 0 or the first error.
int store_decode(iroh_store *s, const iroh_hash *hash, const uint8_t *encoded, size_t len, uint64_t from, uint64_t to,
                 size_t step);

// The chunks [from, to) of the blob go into the store, as a download would bring them.
int store_receive(iroh_store *s, const uint8_t *data, size_t len, uint64_t from, uint64_t to);

// Whether the whole blob comes out of the store as a verified encoding.
bool store_serves(iroh_store *s, const iroh_hash *hash, const uint8_t *data, size_t len);

// Whether every chunk that the store says it has verifies, and how many there are: -1 if one does not.
int64_t store_verified_chunks(iroh_store *s, const iroh_hash *hash);

iroh_blob_status store_status_of(iroh_store *s, const iroh_hash *hash);

#endif
