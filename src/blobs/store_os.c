#define _GNU_SOURCE 1

#include "blobs/store_os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#if defined(__linux__)
#include <linux/fs.h>
#include <sys/ioctl.h>
#endif

#define MARK_BACK_S 1  // coarser than any file system keeps time, but FAT

int store_os_error(int number) {
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        return IROH_ERR_NOT_FOUND;
    case EEXIST:
        return IROH_ERR_EXISTS;
    case ENOMEM:
        return IROH_ERR_NOMEM;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return IROH_ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return IROH_ERR_ACCESS;
    case EISDIR:
        return IROH_ERR_KIND;
    case ENAMETOOLONG:
        return IROH_ERR_TOO_LARGE;
    case EMFILE:
    case ENFILE:
        return IROH_ERR_LIMIT;
    case EXDEV:
    case EOPNOTSUPP:
    case EMLINK:
        return IROH_ERR_UNSUPPORTED;
    default:
        return IROH_ERR_IO;
    }
}

static void stamp_of(const struct stat *st, store_stamp *out) {
    out->size = (uint64_t)st->st_size;
    out->modified = (int64_t)st->st_mtim.tv_sec * (int64_t)NS_PER_S + st->st_mtim.tv_nsec;
}

int store_os_stamp(int fd, store_stamp *out) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return store_os_error(errno);
    if (!S_ISREG(st.st_mode))
        return IROH_ERR_KIND;
    stamp_of(&st, out);
    return 0;
}

int store_os_mark(int fd, store_stamp *out) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    (void)clock_gettime(CLOCK_REALTIME, &times[1]);
    times[1].tv_sec -= MARK_BACK_S;
    return futimens(fd, times) == 0 ? store_os_stamp(fd, out) : IROH_ERR_UNSUPPORTED;
}

bool store_os_is_settled(const store_stamp *stamp) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return stamp->modified < ((int64_t)now.tv_sec - MARK_BACK_S) * (int64_t)NS_PER_S;
}

int store_os_stat(const char *path, store_stamp *out) {
    struct stat st;
    if (stat(path, &st) != 0)
        return store_os_error(errno);
    if (!S_ISREG(st.st_mode))
        return IROH_ERR_KIND;
    stamp_of(&st, out);
    return 0;
}

bool store_os_same(const store_stamp *a, const store_stamp *b) {
    return a->size == b->size && a->modified == b->modified;
}

int store_os_open(const char *path, int *fd, store_stamp *stamp) {
    // Without waiting: the open of a pipe would wait for a writer.
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return store_os_error(errno);
    int r = store_os_stamp(*fd, stamp);
    if (r != 0) {
        close(*fd);
        *fd = -1;
    }
    return r;
}

int store_os_clone(int to, int from) {
#if defined(__linux__)
    // Any failure means that the bytes have to be copied, and copying then tells what is wrong.
    return ioctl(to, FICLONE, from) == 0 ? 0 : IROH_ERR_UNSUPPORTED;
#else
    (void)to, (void)from;
    return IROH_ERR_UNSUPPORTED;
#endif
}

int store_os_rename_new(const char *from, const char *to) {
#if defined(__linux__) && defined(RENAME_NOREPLACE)
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EINVAL || errno == ENOSYS ? IROH_ERR_UNSUPPORTED : store_os_error(errno);
#else
    (void)from, (void)to;
    return IROH_ERR_UNSUPPORTED;
#endif
}

void store_os_start_writing(int fd, uint64_t offset, uint64_t len) {
#if defined(__linux__)
    (void)sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd, (void)offset, (void)len;
#endif
}

void store_os_reserve(int fd, uint64_t offset, uint64_t len) {
#if defined(__linux__)
    (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
#else
    (void)fd, (void)offset, (void)len;
#endif
}

// What lies around the aligned part is given back.
void *store_os_map(size_t len) {
    uint8_t *bytes = mmap(NULL, len + STORE_OS_HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return NULL;
    size_t before = (STORE_OS_HUGE - (uintptr_t)bytes % STORE_OS_HUGE) % STORE_OS_HUGE;
    if (before > 0)
        (void)munmap(bytes, before);
    if (before < STORE_OS_HUGE)
        (void)munmap(bytes + before + len, STORE_OS_HUGE - before);
#if defined(MADV_HUGEPAGE)
    (void)madvise(bytes + before, len, MADV_HUGEPAGE);
#endif
    return bytes + before;
}

void store_os_populate(void *bytes, size_t len) {
#if defined(MADV_POPULATE_WRITE)
    (void)madvise(bytes, len, MADV_POPULATE_WRITE);
#else
    (void)bytes, (void)len;
#endif
}

void store_os_unmap(void *bytes, size_t len) {
    (void)munmap(bytes, len);
}

int store_os_sync_directory(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return store_os_error(errno);
    int r = fsync(fd) == 0 ? 0 : store_os_error(errno);
    close(fd);
    return r;
}

int store_os_sync_all(int fd) {
#if defined(__linux__)
    return syncfs(fd) == 0 ? 0 : store_os_error(errno);
#else
    (void)fd;
    return IROH_ERR_UNSUPPORTED;
#endif
}

unsigned store_os_processors(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (unsigned)count;
}

uint64_t store_os_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}
