// An encoding that was tampered with, or one of a damaged copy. The input chooses a blob and the wanted chunks, the
// pieces in which the decoder gets the bytes, and then what is done to them. Whatever the decoder gives is the
// blob's, where it says; it is content with the true encoding only, but for a size that nothing has proven. An
// encoder over damaged data or pairs writes the start of the true encoding and nothing else.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "blobs/bao.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOB_MAX 140000
#define BOUNDS_MAX 8
#define ROOM (BLOB_MAX * 2)

static const uint32_t sizes[] = {0,     1,     1023,  1024,  1025,  3000,   5000,   16384,
                                 16385, 17409, 32768, 32769, 50000, 100000, 131072, BLOB_MAX};

#define SIZES (sizeof sizes / sizeof *sizes)

typedef struct blob {
    size_t size, outboard_size;
    uint8_t root[BLAKE3_LEN];
    uint8_t outboard[BLOB_MAX / BAO_GROUP * BAO_PAIR + BAO_PAIR];
} blob;

static struct {
    bool made;
    uint8_t data[BLOB_MAX];  // of which each blob is the start
    blob blobs[SIZES];
    bao_decoder *decoder;
    bao_encoder *encoder;
} world;

static void make_world(void) {
    if (world.made)
        return;
    world.made = true;
    for (size_t i = 0; i < BLOB_MAX; i++)
        world.data[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < SIZES; i++) {
        blob *b = &world.blobs[i];
        b->size = sizes[i];
        b->outboard_size = (size_t)bao_outboard_size(b->size);
        require(bao_outboard(world.data, b->size, b->outboard, b->root) == 0);
    }
    require(bao_decoder_new(&world.decoder) == 0 && bao_encoder_new(&world.encoder) == 0);
}

// Boundaries as steps of a byte; a large one is beyond every end.
static ranges read_wanted(reader *in) {
    ranges r = RANGES_INIT;
    uint64_t at = 0, start = 0;
    size_t count = reader_u8(in) % (BOUNDS_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        at += (uint64_t)reader_u8(in) + (i > 0);
        if (i % 2 == 0)
            start = at;
        else
            require(ranges_add(&r, start, at) == 0);
    }
    if (count % 2 == 1)
        require(ranges_add(&r, start, BAO_END) == 0);
    return r;
}

// Everything that a source gives is written, as far as it verifies; the length, and whether that was all.
static size_t encode(const blob *b, const ranges *wanted, const bao_memory *m, uint8_t *out, size_t room, bool *all) {
    const bao_source source = bao_memory_source(m);
    size_t len = 0, n;
    int result;
    require(bao_encoder_start(world.encoder, b->root, b->size, wanted, &source) == 0);
    do {
        size_t left = ROOM - len < room ? ROOM - len : room;
        result = bao_encoder_write(world.encoder, out + len, left, &n);
        require(n <= left && (n > 0 || result != 0));
        len += n;
    } while (result == 0);
    *all = result == 1;
    return len;
}

static void check_leaf(const blob *b, const bao_item *item, uint64_t *next) {
    uint64_t start = item->chunk * BAO_CHUNK, claimed;
    require(item->chunk >= *next && start <= b->size && item->len <= b->size - start);
    *next = item->chunk + item->chunks;
    require(item->len == 0 || memcmp(item->bytes, world.data + start, item->len) == 0);
    require(bao_decoder_size(world.decoder, &claimed));
    if (bao_item_ends(item, claimed))
        require(claimed == b->size);
}

// Returns what the decoder said in the end; `used` is how far it read.
static int decode(const blob *b, const ranges *wanted, const uint8_t *in, size_t len, size_t piece, size_t *used) {
    uint64_t next = 0;
    int result = 0;
    *used = 0;
    bao_decoder_start(world.decoder, b->root, wanted);
    while (result == 0 && *used < len) {
        const bao_item *items;
        size_t count, n, part = piece < len - *used ? piece : len - *used;
        // A block of its own lets AddressSanitizer see a read past the end.
        uint8_t *copy = malloc(part);
        require(copy != NULL);
        memcpy(copy, in + *used, part);
        result = bao_decoder_read(world.decoder, copy, part, &n, &items, &count);
        require(n <= part && count <= BAO_ITEMS && (n > 0 || count > 0 || result != 0));
        for (size_t i = 0; i < count; i++)
            if (items[i].leaf)
                check_leaf(b, &items[i], &next);
        *used += n;
        free(copy);
    }
    return result != 0 ? result : bao_decoder_end(world.decoder);
}

static void flip(uint8_t *bytes, size_t len, reader *in) {
    size_t at = reader_u32(in) & 0xffffff;
    uint8_t bits = reader_u8(in);
    if (len > 0)
        bytes[at % len] ^= bits;
}

static size_t erase(uint8_t *bytes, size_t len, reader *in) {
    size_t at = reader_u32(in) & 0xffffff, n = reader_u16(in);
    at = len > 0 ? at % len : 0;
    n = n < len - at ? n : len - at;
    memmove(bytes + at, bytes + at + n, len - at - n);
    return len - n;
}

// Copies bytes from one place to another, which moves the rest.
static size_t repeat(uint8_t *bytes, size_t len, reader *in) {
    size_t from = reader_u32(in) & 0xffffff, at = reader_u32(in) & 0xffffff, n = reader_u16(in) % 256;
    uint8_t part[256];
    if (len == 0 || len + n > ROOM)
        return len;
    from %= len;
    at %= len;
    n = n < len - from ? n : len - from;
    memcpy(part, bytes + from, n);
    memmove(bytes + at + n, bytes + at, len - at);
    memcpy(bytes + at, part, n);
    return len + n;
}

static size_t tamper(uint8_t *bytes, size_t len, reader *in) {
    while (reader_left(in) > 0) {
        switch (reader_u8(in) % 3) {
        case 0:
            flip(bytes, len, in);
            break;
        case 1:
            len = erase(bytes, len, in);
            break;
        default:
            len = repeat(bytes, len, in);
            break;
        }
    }
    return len;
}

static void check_decoder(const blob *b, const ranges *wanted, size_t piece, reader *in) {
    static uint8_t good[ROOM], bad[ROOM];
    const bao_memory m = {world.data, b->size, b->outboard, b->outboard_size};
    bool all;
    size_t len = encode(b, wanted, &m, good, piece, &all), used;
    uint64_t claimed;
    require(all && len == bao_encoded_size(b->size, wanted));
    memcpy(bad, good, len);
    size_t bad_len = tamper(bad, len, in);
    int result = decode(b, wanted, bad, bad_len, piece, &used);
    bool same = bad_len >= len && memcmp(bad, good, len) == 0;
    if (same)
        require(result == 1 && used == len);
    else if (result == 1 && bao_decoder_size(world.decoder, &claimed))
        require(claimed != b->size);
}

static void check_encoder(const blob *b, const ranges *wanted, size_t room, reader *in) {
    static uint8_t good[ROOM], out[ROOM], data[BLOB_MAX], outboard[sizeof b->outboard];
    const bao_memory whole = {world.data, b->size, b->outboard, b->outboard_size};
    const bao_memory damaged = {data, b->size, outboard, b->outboard_size};
    bool all;
    size_t len = encode(b, wanted, &whole, good, room, &all);
    require(all);
    memcpy(data, world.data, b->size);
    memcpy(outboard, b->outboard, b->outboard_size);
    while (reader_left(in) > 0) {
        bool pairs = reader_u8(in) % 2 == 0;
        flip(pairs ? outboard : data, pairs ? b->outboard_size : b->size, in);
    }
    size_t out_len = encode(b, wanted, &damaged, out, room, &all);
    require(out_len <= len && memcmp(out, good, out_len) == 0 && all == (out_len == len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_world();
    reader in = reader_of(data, size);
    uint8_t how = reader_u8(&in);
    const blob *b = &world.blobs[how % SIZES];
    ranges wanted = read_wanted(&in);
    size_t piece = 1 + (size_t)reader_u16(&in) * (1 + (how >> 5) % 4);
    if ((how & 0x10) == 0)
        check_decoder(b, &wanted, piece, &in);
    else
        check_encoder(b, &wanted, piece, &in);
    ranges_dispose(&wanted);
    return 0;
}
