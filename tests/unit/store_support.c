#define _GNU_SOURCE 1

#include "unit/store_support.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blobs/bao.h"

static void need(bool fine, const char *what) {
    if (!fine) {
        perror(what);
        abort();
    }
}

void store_scratch(char out[STORE_PATH]) {
    const char *base = getenv("TMPDIR");
    (void)snprintf(out, STORE_PATH, "%s/iroh-store-XXXXXX", base != NULL ? base : "/tmp");
    need(mkdtemp(out) != NULL, "mkdtemp");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st, (void)type, (void)at;
    return remove(path);
}

void store_scratch_remove(const char *dir) {
    need(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0, "nftw");
}

uint8_t *store_bytes(uint64_t seed, size_t len) {
    uint8_t *data = malloc(len + 8);
    need(data != NULL, "malloc");
    uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < len; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(data + i, &x, 8);
    }
    return data;
}

iroh_hash store_hash(const uint8_t *data, size_t len) {
    iroh_hash hash;
    iroh_hash_of(data, len, &hash);
    return hash;
}

void store_write_file(const char *path, const void *data, size_t len) {
    FILE *f = fopen(path, "wb");
    need(f != NULL && fwrite(data, 1, len, f) == len && fclose(f) == 0, path);
}

bool store_file_is(const char *path, const void *data, size_t len) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    uint8_t *got = malloc(len + 1);
    need(got != NULL, "malloc");
    size_t n = fread(got, 1, len + 1, f);
    fclose(f);
    bool same = n == len && memcmp(got, data, len) == 0;
    free(got);
    return same;
}

static ranges chunks(uint64_t from, uint64_t to) {
    ranges r = RANGES_INIT;
    need(ranges_add(&r, from, to) == 0, "ranges_add");
    return r;
}

// The whole encoding of `wanted` from a source; null on the first error.
static uint8_t *encode(const iroh_hash *root, uint64_t size, const ranges *wanted, const bao_source *source,
                       size_t *len) {
    bao_encoder *e = NULL;
    size_t room = (size_t)bao_encoded_size(size, wanted);
    uint8_t *out = malloc(room + 1);
    need(out != NULL && bao_encoder_new(&e) == 0, "encoder");
    int r = bao_encoder_start(e, root->bytes, size, wanted, source);
    *len = 0;
    while (r == 0) {
        size_t n = 0;
        r = bao_encoder_write(e, out + *len, room - *len, &n);
        *len += n;
    }
    bao_encoder_free(e);
    if (r == 1 && *len == room)
        return out;
    free(out);
    return NULL;
}

uint8_t *store_encode(const uint8_t *data, size_t len, uint64_t from, uint64_t to, size_t *encoded) {
    iroh_hash hash;
    bao_memory m = {.data = data, .size = len, .outboard_size = (size_t)bao_outboard_size(len)};
    uint8_t *outboard = malloc(m.outboard_size + 1);
    need(outboard != NULL && bao_outboard(data, len, outboard, hash.bytes) == 0, "bao_outboard");
    m.outboard = outboard;
    bao_source source = bao_memory_source(&m);
    ranges wanted = chunks(from, to);
    uint8_t *out = encode(&hash, len, &wanted, &source, encoded);
    need(out != NULL, "encode");
    ranges_dispose(&wanted);
    free(outboard);
    return out;
}

static int decode_piece(bao_decoder *d, store_blob *b, store_writer **w, const uint8_t *bytes, size_t len) {
    int r = 0;
    size_t at = 0;
    do {
        const bao_item *items;
        size_t used, count;
        uint64_t size;
        r = bao_decoder_read(d, bytes + at, len - at, &used, &items, &count);
        at += used;
        if (*w == NULL && bao_decoder_size(d, &size)) {
            int made = store_writer_new(b, size, w);
            if (made != 0)
                return made;
        }
        if (count > 0) {
            int put = store_writer_put(*w, items, count);
            if (put != 0)
                return put;
        }
    } while (r == 0 && at < len);
    return r;
}

int store_decode(iroh_store *s, const iroh_hash *hash, const uint8_t *encoded, size_t len, uint64_t from, uint64_t to,
                 size_t step) {
    bao_decoder *d;
    store_blob *b;
    store_writer *w = NULL;
    ranges wanted = chunks(from, to);
    need(bao_decoder_new(&d) == 0, "decoder");
    bao_decoder_start(d, hash->bytes, &wanted);
    int r = store_blob_open(s, hash, &b);
    for (size_t at = 0; at < len && r == 0; at += step)
        r = decode_piece(d, b, &w, encoded + at, len - at < step ? len - at : step);
    if (r >= 0)
        r = bao_decoder_end(d);
    if (w != NULL) {
        int closed = store_writer_close(w);
        r = r == 0 ? closed : r;
    }
    store_blob_close(b);
    bao_decoder_free(d);
    ranges_dispose(&wanted);
    return r;
}

int store_receive(iroh_store *s, const uint8_t *data, size_t len, uint64_t from, uint64_t to) {
    size_t encoded;
    uint8_t *bytes = store_encode(data, len, from, to, &encoded);
    iroh_hash hash = store_hash(data, len);
    int r = store_decode(s, &hash, bytes, encoded, from, to, 65536);
    free(bytes);
    return r;
}

bool store_serves(iroh_store *s, const iroh_hash *hash, const uint8_t *data, size_t len) {
    store_blob *b;
    store_reader *reader;
    size_t expected, got = 0;
    if (store_blob_open(s, hash, &b) != 0)
        return false;
    need(store_reader_new(b, &reader) == 0, "reader");
    bao_source source = store_reader_source(reader);
    ranges wanted = chunks(0, BAO_END);
    uint8_t *right = store_encode(data, len, 0, BAO_END, &expected);
    uint8_t *ours = encode(hash, len, &wanted, &source, &got);
    bool same = ours != NULL && got == expected && memcmp(ours, right, got) == 0;
    ranges_dispose(&wanted);
    store_reader_free(reader);
    store_blob_close(b);
    free(right);
    free(ours);
    return same;
}

int64_t store_verified_chunks(iroh_store *s, const iroh_hash *hash) {
    store_blob *b;
    store_reader *reader = NULL;
    iroh_blob_status status;
    ranges have = RANGES_INIT;
    if (store_blob_open(s, hash, &b) != 0)
        return -1;
    need(store_blob_state(b, &status, &have) == 0 && store_reader_new(b, &reader) == 0, "reader");
    bao_source source = store_reader_source(reader);
    size_t len;
    uint8_t *ours = ranges_count(&have) > 0 ? encode(hash, status.size, &have, &source, &len) : NULL;
    int64_t sum = ours == NULL && ranges_count(&have) > 0 ? -1 : 0;
    for (size_t i = 0; i < ranges_count(&have) && sum >= 0; i++)
        sum += (int64_t)(ranges_items(&have)[i].end - ranges_items(&have)[i].start);
    free(ours);
    ranges_dispose(&have);
    store_reader_free(reader);
    store_blob_close(b);
    return sum;
}

iroh_blob_status store_status_of(iroh_store *s, const iroh_hash *hash) {
    iroh_blob_status status;
    need(iroh_store_status(s, hash, &status) == 0, "iroh_store_status");
    return status;
}
