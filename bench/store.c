// The blob store without a network: files a second and bytes a second into stores and out of them. Scratch files go to
// $TMPDIR; a file system in memory leaves the disk out of it. One line for each figure: best and median of the rounds.
//
// usage: bench_store [small|large|between|memory]...        default: all
#define _GNU_SOURCE 1  // nftw, mallinfo2

#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <iroh/blobs.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/store.h"

#define ROUNDS 3
#define PATH 4096
#define SMALL_FILES 20000
#define SMALL_BYTES 4096
#define FOLDER 1000  // files in a folder
#define LARGE_BYTES (UINT64_C(1) << 30)
#define BLOBS_BETWEEN 50000
#define BETWEEN_BYTES 1024
#define STEP (256 << 10)

static char scratch[PATH];

static void need(int r, const char *what) {
    if (r < 0) {
        fprintf(stderr, "store: %s: %s\n", what, iroh_strerror(r));
        exit(1);
    }
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void path_of(char out[PATH], const char *name, int i) {
    if (snprintf(out, PATH, "%.3000s/%s%d", scratch, name, i) >= PATH)
        exit(1);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

static void remove_tree(const char *path) {
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

// `cpu` is what all rounds took, with opening and closing.
static void print(const char *name, double seconds[ROUNDS], double cpu, double amount, const char *unit) {
    qsort(seconds, ROUNDS, sizeof *seconds, compare);
    printf("%-54s best %8.3f s %10.2f %-8s median %8.3f s, CPU %8.3f s\n", name, seconds[0], amount / seconds[0], unit,
           seconds[ROUNDS / 2], cpu / ROUNDS);
    fflush(stdout);
}

// Stores

enum { MEMORY, DISK, DISK_SAFE, KINDS };

static const char *const kinds[] = {"memory", "disk", "disk, power-safe"};

static iroh_store *open_store(int kind, int number) {
    iroh_store_config config;
    iroh_store_config_default(&config);
    config.power_safe = kind == DISK_SAFE;
    char path[PATH];
    path_of(path, "store", number);
    iroh_store *s;
    need(kind == MEMORY ? iroh_store_memory(&config, &s) : iroh_store_open(path, &config, &s), "opening a store");
    return s;
}

static void close_store(iroh_store *s, int number) {
    char path[PATH];
    path_of(path, "store", number);
    iroh_store_free(s);
    remove_tree(path);
}

// Small files

static void small_path(char out[PATH], int i) {
    char folder[PATH];
    path_of(folder, "tree", i / FOLDER);
    if (snprintf(out, PATH, "%.3500s/file-%d", folder, i) >= PATH)
        exit(1);
}

static void fill(uint8_t *out, size_t len, uint64_t seed) {
    uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(out + i, &x, 8);
    }
}

static void write_file(const char *path, const uint8_t *data, size_t len) {
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, len, f) != len || fclose(f) != 0)
        need(IROH_ERR_IO, path);
}

static void make_tree(void) {
    uint8_t data[SMALL_BYTES];
    char path[PATH];
    for (int i = 0; i < SMALL_FILES; i++) {
        if (i % FOLDER == 0) {
            path_of(path, "tree", i / FOLDER);
            (void)mkdir(path, 0777);
        }
        fill(data, sizeof data, (uint64_t)i);
        small_path(path, i);
        write_file(path, data, sizeof data);
    }
}

static double add_tree(int kind, int mode) {
    iroh_store *s = open_store(kind, 0);
    iroh_batch *batch;
    uint64_t start = now();
    need(iroh_batch_new(s, &batch), "batch");
    iroh_add_options o = {.batch = batch, .mode = mode};
    for (int i = 0; i < SMALL_FILES; i++) {
        char path[PATH];
        iroh_hash hash;
        small_path(path, i);
        need(iroh_store_add_path(s, path, &o, &hash), path);
    }
    need(iroh_batch_commit(batch), "commit");
    double seconds = (double)(now() - start) / 1e9;
    iroh_batch_free(batch);
    close_store(s, 0);
    return seconds;
}

static void bench_small(void) {
    make_tree();
    for (int kind = 0; kind < KINDS; kind++)
        for (int mode = IROH_ADD_COPY; mode <= IROH_ADD_REFERENCE; mode++) {
            char name[64];
            double seconds[ROUNDS], cpu = cpu_seconds();
            for (int i = 0; i < ROUNDS; i++)
                seconds[i] = add_tree(kind, mode);
            (void)snprintf(name, sizeof name, "20 000 files by %s (%s)", mode == IROH_ADD_COPY ? "copy" : "reference",
                           kinds[kind]);
            print(name, seconds, cpu_seconds() - cpu, SMALL_FILES, "files/s");
        }
}

// One large file

static void make_large(const char *path) {
    uint8_t *block = malloc(1 << 20);
    FILE *f = fopen(path, "wb");
    if (block == NULL || f == NULL)
        need(IROH_ERR_IO, path);
    for (uint64_t i = 0; i < LARGE_BYTES >> 20; i++) {
        fill(block, 1 << 20, i);
        if (fwrite(block, 1, 1 << 20, f) != 1 << 20)
            need(IROH_ERR_IO, path);
    }
    fclose(f);
    free(block);
}

static double add_large(int kind, int mode, const char *path, iroh_hash *hash) {
    iroh_store *s = open_store(kind, 0);
    iroh_add_options o = {.mode = mode};
    uint64_t start = now();
    need(iroh_store_add_path(s, path, &o, hash), path);
    double seconds = (double)(now() - start) / 1e9;
    close_store(s, 0);
    return seconds;
}

typedef struct pipe {
    bao_encoder *encoder;
    bao_decoder *decoder;
    ranges wanted;
    uint8_t *bytes;
} pipe_;

static void pipe_open(pipe_ *p) {
    p->wanted = RANGES_INIT;
    need(bao_encoder_new(&p->encoder), "encoder");
    need(bao_decoder_new(&p->decoder), "decoder");
    need(ranges_add(&p->wanted, 0, BAO_END), "ranges");
    p->bytes = malloc(STEP);
}

static void pipe_close(pipe_ *p) {
    bao_encoder_free(p->encoder);
    bao_decoder_free(p->decoder);
    ranges_dispose(&p->wanted);
    free(p->bytes);
}

static void pour(pipe_ *p, store_writer *w, size_t len) {
    size_t at = 0;
    do {
        const bao_item *items;
        size_t used, count;
        need(bao_decoder_read(p->decoder, p->bytes + at, len - at, &used, &items, &count), "decoding");
        at += used;
        need(store_writer_put(w, items, count), "writing");
    } while (at < len);
}

// A blob from one store to another, as a transfer does it: encoded and verified, decoded and verified, written.
static void move_blob(pipe_ *p, iroh_store *from, iroh_store *to, const iroh_hash *hash) {
    store_blob *a, *b;
    store_reader *reader;
    store_writer *writer;
    iroh_blob_status status;
    need(store_blob_open(from, hash, &a), "open");
    need(store_blob_open(to, hash, &b), "open");
    need(store_blob_state(a, &status, NULL), "state");
    need(store_reader_new(a, &reader), "reader");
    need(store_writer_new(b, status.size, &writer), "writer");
    bao_source source = store_reader_source(reader);
    need(bao_encoder_start(p->encoder, hash->bytes, status.size, &p->wanted, &source), "encoder");
    bao_decoder_start(p->decoder, hash->bytes, &p->wanted);
    int r = 0;
    while (r == 0) {
        size_t len;
        need(r = bao_encoder_write(p->encoder, p->bytes, STEP, &len), "encoding");
        pour(p, writer, len);
    }
    need(bao_decoder_end(p->decoder), "end");
    need(store_writer_close(writer), "close");
    store_reader_free(reader);
    store_blob_close(a);
    store_blob_close(b);
}

static double move_large(int kind, const char *path) {
    iroh_store *from = open_store(DISK, 1), *to = open_store(kind, 0);
    iroh_add_options o = {.mode = IROH_ADD_REFERENCE};
    iroh_hash hash;
    need(iroh_store_add_path(from, path, &o, &hash), path);
    pipe_ p;
    pipe_open(&p);
    uint64_t start = now();
    move_blob(&p, from, to, &hash);
    need(iroh_store_sync(to), "sync");
    double seconds = (double)(now() - start) / 1e9;
    pipe_close(&p);
    close_store(from, 1);
    close_store(to, 0);
    return seconds;
}

static void bench_large(void) {
    char path[PATH], name[64];
    path_of(path, "large", 0);
    make_large(path);
    for (int kind = DISK; kind < KINDS; kind++) {
        double seconds[ROUNDS], cpu;
        iroh_hash hash;
        for (int mode = IROH_ADD_COPY; mode <= IROH_ADD_REFERENCE; mode++) {
            cpu = cpu_seconds();
            for (int i = 0; i < ROUNDS; i++)
                seconds[i] = add_large(kind, mode, path, &hash);
            (void)snprintf(name, sizeof name, "1 GiB by %s (%s)", mode == IROH_ADD_COPY ? "copy" : "reference",
                           kinds[kind]);
            print(name, seconds, cpu_seconds() - cpu, (double)LARGE_BYTES / 1e9, "GB/s");
        }
        cpu = cpu_seconds();
        for (int i = 0; i < ROUNDS; i++)
            seconds[i] = move_large(kind, path);
        (void)snprintf(name, sizeof name, "1 GiB from store to store (%s)", kinds[kind]);
        print(name, seconds, cpu_seconds() - cpu, (double)LARGE_BYTES / 1e9, "GB/s");
    }
    (void)unlink(path);
}

// Many small blobs from store to store

static double move_many(int kind) {
    iroh_store *from = open_store(kind == MEMORY ? MEMORY : DISK, 1), *to = open_store(kind, 0);
    iroh_hash *hashes = malloc(BLOBS_BETWEEN * sizeof *hashes);
    iroh_batch *batch;
    need(iroh_batch_new(from, &batch), "batch");
    iroh_add_options o = {.batch = batch};
    for (uint64_t i = 0; i < BLOBS_BETWEEN; i++) {
        uint8_t data[BETWEEN_BYTES];
        fill(data, sizeof data, i);
        need(iroh_store_add_bytes(from, data, sizeof data, &o, &hashes[i]), "add");
    }
    pipe_ p;
    pipe_open(&p);
    uint64_t start = now();
    for (uint64_t i = 0; i < BLOBS_BETWEEN; i++)
        move_blob(&p, from, to, &hashes[i]);
    need(iroh_store_sync(to), "sync");
    double seconds = (double)(now() - start) / 1e9;
    pipe_close(&p);
    iroh_batch_free(batch);
    free(hashes);
    close_store(from, 1);
    close_store(to, 0);
    return seconds;
}

static void bench_between(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        double seconds[ROUNDS], cpu = cpu_seconds();
        char name[64];
        for (int i = 0; i < ROUNDS; i++)
            seconds[i] = move_many(kind);
        (void)snprintf(name, sizeof name, "50 000 blobs of 1 KiB between stores (%s)", kinds[kind]);
        print(name, seconds, cpu_seconds() - cpu, BLOBS_BETWEEN, "blobs/s");
    }
}

// Memory

// Bytes that are allocated now, with what the allocator adds to each.
static long allocated(void) {
    struct mallinfo2 m = mallinfo2();
    return (long)(m.uordblks + m.hblkhd);
}

static void memory_of_small(int kind) {
    iroh_store *s = open_store(kind, 0);
    iroh_batch *batch;
    need(iroh_batch_new(s, &batch), "batch");
    iroh_add_options o = {.batch = batch, .mode = IROH_ADD_REFERENCE};
    long before = 0;
    for (int i = 0; i < SMALL_FILES; i++) {
        char path[PATH];
        iroh_hash hash;
        small_path(path, i);
        need(iroh_store_add_path(s, path, &o, &hash), path);
        if (i == SMALL_FILES / 4) {  // caches are full by then; what a transaction takes is bounded, and left out
            need(iroh_batch_commit(batch), "commit");
            before = allocated();
        }
    }
    need(iroh_batch_commit(batch), "commit");
    printf("%-44s %ld bytes a small file\n", kind == MEMORY ? "memory, by reference (memory)" : "memory (disk)",
           (allocated() - before) / (SMALL_FILES - SMALL_FILES / 4));
    iroh_batch_free(batch);
    close_store(s, 0);
}

// The large ones come first: what is counted is the most that the process has ever had.
static void bench_memory(void) {
    char path[PATH];
    iroh_hash hash;
    path_of(path, "sparse", 0);
    write_file(path, (const uint8_t *)"", 0);
    for (uint64_t size = LARGE_BYTES; size <= 10 * LARGE_BYTES; size += 9 * LARGE_BYTES) {
        if (truncate(path, (off_t)size) != 0)
            need(IROH_ERR_IO, path);
        double seconds = add_large(DISK, IROH_ADD_REFERENCE, path, &hash);
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        printf("%2d GiB by reference: %.3f s, at most %ld KiB of memory\n", (int)(size >> 30), seconds,
               usage.ru_maxrss);
    }
    (void)unlink(path);
    make_tree();
    memory_of_small(MEMORY);
    memory_of_small(DISK);
}

static const struct {
    const char *name;
    void (*run)(void);
} parts[] = {{"memory", bench_memory}, {"small", bench_small}, {"large", bench_large}, {"between", bench_between}};

int main(int argc, char **argv) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(scratch, sizeof scratch, "%.2000s/iroh-bench-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(scratch) == NULL)
        need(IROH_ERR_IO, scratch);
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++)
            wanted |= strcmp(argv[i], parts[k].name) == 0;
        if (wanted)
            parts[k].run();
    }
    remove_tree(scratch);
    return 0;
}
