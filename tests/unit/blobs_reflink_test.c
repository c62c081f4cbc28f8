// Adding and exporting where the file system can share blocks: nothing is copied, and both sides are safe from each other.
//
// Needs the right to mount, mkfs.btrfs and a loop device; without them it says that it was not tested.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>
#include <iroh/blobs.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "unit/blobs_support.h"

#define SIZE ((size_t)20 << 20)
#define EXTENTS_MAX 256
#define ROOM 256

static char dir[64];
static bool mounted;

static bool shell(const char *format) {
    char command[ROOM];
    (void)snprintf(command, sizeof command, format, dir, dir);
    return system(command) == 0;
}

static int mount_disk(void **state) {
    (void)state;
    strcpy(dir, "/tmp/blobs-reflink-XXXXXX");
    assert_non_null(mkdtemp(dir));
    mounted = shell("cd %s && mkdir disk && truncate -s 300M image && mkfs.btrfs -q image >/dev/null 2>&1 && "
                    "mount -o loop image disk 2>/dev/null");
    return 0;
}

static int unmount_disk(void **state) {
    (void)state;
    if (mounted && !shell("umount %s/disk"))
        return -1;
    return shell("rm -rf %s") ? 0 : -1;
}

static const char *path_in(const char *name, char out[static ROOM]) {
    (void)snprintf(out, ROOM, "%s/disk/%s", dir, name);
    return out;
}

static void write_at(const char *path, size_t at, const void *bytes, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(close(fd), 0);
}

// Whether other files have all the blocks of this one too.
static bool is_shared(const char *path) {
    struct fiemap *map = calloc(1, sizeof *map + EXTENTS_MAX * sizeof(struct fiemap_extent));
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_non_null(map);
    map->fm_length = UINT64_MAX;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = EXTENTS_MAX;
    assert_int_equal(ioctl(fd, FS_IOC_FIEMAP, map), 0);
    assert_true(map->fm_mapped_extents > 0 && map->fm_mapped_extents < EXTENTS_MAX);
    bool shared = true;
    for (unsigned i = 0; i < map->fm_mapped_extents; i++)
        shared &= (map->fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED) != 0;
    free(map);
    close(fd);
    return shared;
}

static void blocks_are_shared_and_safe(void **state) {
    (void)state;
    if (!mounted) {
        print_message("not tested: no btrfs can be made and mounted here\n");
        return;
    }
    char file[ROOM], copy[ROOM], store_dir[ROOM], name[ROOM], data_file[ROOM], hex[IROH_HASH_HEX_SIZE];
    uint8_t *data = blobs_data(SIZE), *got;
    size_t len;
    iroh_store *s;
    iroh_hash hash;
    write_at(path_in("file", file), 0, data, SIZE);
    assert_false(is_shared(file));
    assert_int_equal(iroh_store_open(path_in("store", store_dir), NULL, &s), 0);
    assert_int_equal(iroh_store_add_path(s, file, NULL, &hash), 0);
    iroh_hash_to_hex(&hash, hex);
    (void)snprintf(name, sizeof name, "store/data/%s.data", hex);
    assert_true(is_shared(path_in(name, data_file)));
    assert_int_equal(iroh_store_export(s, &hash, path_in("copy", copy), NULL), 0);
    assert_true(is_shared(copy));
    // Neither what happens to the original nor to a copy reaches the store.
    write_at(file, SIZE / 2, "changed", 7);
    write_at(copy, SIZE / 3, "changed", 7);
    assert_int_equal(iroh_store_get(s, &hash, SIZE, &got, &len), 0);
    assert_int_equal(len, SIZE);
    assert_memory_equal(got, data, SIZE);
    free(got);
    free(data);
    iroh_store_free(s);
}

int main(void) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_are_shared_and_safe)};
    return cmocka_run_group_tests(tests, mount_disk, unmount_disk);
}
