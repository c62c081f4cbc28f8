// The rows and tags of a store on disk, in SQLite. Not thread-safe: store_disk.c locks.
//
// A transaction begins with the first change and ends with store_db_commit. When SQLite gives a transaction up by itself,
// as it does when the disk is full, the call that saw it fails and store_db_lost tells.
#ifndef BLOBS_STORE_DB_H
#define BLOBS_STORE_DB_H

#include "blobs/store_backend.h"

typedef struct store_db store_db;

int store_db_open(const char *path, bool power_safe, store_db **out);
void store_db_close(store_db *db);  // what is not committed is lost

int store_db_get(store_db *db, const uint8_t hash[32], bool bytes, store_row *out);
int store_db_put(store_db *db, const uint8_t hash[32], const store_row *row);
int store_db_remove(store_db *db, const uint8_t hash[32]);
int store_db_next(store_db *db, const uint8_t *after, uint8_t out[32]);

int store_db_tag_get(store_db *db, const void *name, size_t len, iroh_content *out);
int store_db_tag_put(store_db *db, const void *name, size_t len, const iroh_content *content);
int store_db_tag_remove(store_db *db, const void *name, size_t len);
int store_db_tag_rename(store_db *db, const void *from, size_t from_len, const void *to, size_t to_len);
int store_db_tag_next(store_db *db, const void *from, size_t len, bool after, iroh_tag *out);

bool store_db_changed(const store_db *db);  // something waits for a commit

// Commits; on an error all changes since the last commit are gone.
int store_db_commit(store_db *db);
void store_db_rollback(store_db *db);

// True once after a transaction was given up.
bool store_db_lost(store_db *db);

#endif
