// The few calls to the operating system that differ between systems or need care, with errors as IROH_ERR_*.
#ifndef BLOBS_STORE_OS_H
#define BLOBS_STORE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "blobs/store_backend.h"

int store_os_error(int number);  // from errno

// Opens a regular file for reading, with its stamp. IROH_ERR_KIND for anything but a regular file.
int store_os_open(const char *path, int *fd, store_stamp *stamp);
int store_os_stamp(int fd, store_stamp *out);
int store_os_stat(const char *path, store_stamp *out);

// Gives the file a time of modification that no write gives it from now on, however coarse the system's clock is: it is
// set back. IROH_ERR_UNSUPPORTED where that did not work.
int store_os_mark(int fd, store_stamp *out);

// Whether a write from now on must change the stamp.
bool store_os_is_settled(const store_stamp *stamp);

bool store_os_same(const store_stamp *a, const store_stamp *b);

// Makes an empty file share all blocks of another. IROH_ERR_UNSUPPORTED where the file system cannot.
int store_os_clone(int to, int from);

// Renames to a name that nothing has yet. IROH_ERR_EXISTS, IROH_ERR_UNSUPPORTED where that cannot be done at once.
int store_os_rename_new(const char *from, const char *to);

// Starts writing to the disk what was written to the file, without waiting. Only a hint.
void store_os_start_writing(int fd, uint64_t offset, uint64_t len);

// Takes disk space for bytes that will be written, without changing the file's size. Only a hint.
void store_os_reserve(int fd, uint64_t offset, uint64_t len);

#define STORE_OS_HUGE ((size_t)2 << 20)  // bytes of a huge page

// Zeroed memory, apart from that of malloc: it goes back to the system when it is given back. In huge pages where
// the system has them. Null when there is none.
void *store_os_map(size_t len);
// Takes the memory now, in one call instead of one fault for each page. Only a hint.
void store_os_populate(void *bytes, size_t len);
void store_os_unmap(void *bytes, size_t len);

int store_os_sync_directory(const char *path);  // names in it outlast a power failure
int store_os_sync_all(int fd);                  // everything on the file system of `fd`
unsigned store_os_processors(void);
uint64_t store_os_now(void);  // ns on a clock that only runs forward

#endif
