// The receiving half of a transfer, fed by a provider that lies: the true answer to a request, tampered with, in pieces of
// any size, or bytes of the input's own. There may be two of them at a time, with lies of their own. Whatever the store
// then says to be there has to be the truth, and what an honest provider sends afterwards is taken.
//
// Input: which request, and its top bits; 2 bytes of its first chunk and of how many; 2 bytes of the pieces; then either
// steps that tamper (kind, place, amount; PAUSE ends those of the first provider), or the answer itself.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "blobs/incoming.h"
#include "blobs/outgoing.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BLOBS 4
#define MAX 50000                      // bytes of the largest blob
#define ROOM (8 * MAX)                 // of an answer
#define SEQUENCE (BLOBS * BLAKE3_LEN)  // bytes of the hash sequence of them all
#define KINDS 4                        // of requests
#define LIMIT (1 << 20)                // bytes that a blob may claim
#define OWN_BYTES 0x80                 // in the first byte: the first answer is the rest of the input
#define TWO 0x40                       // two providers
#define PAUSE 0xff                     // instead of a step that tampers

static const size_t sizes[BLOBS] = {MAX, 0, 16385, 900};

static struct {
    iroh_store *store;  // has it all
    uint8_t data[MAX];  // of which each blob is the start
    uint8_t sequence[SEQUENCE];
    iroh_hash hashes[BLOBS], root;
} world;

static void make_world(void) {
    if (world.store != NULL)
        return;
    require(iroh_store_memory(NULL, &world.store) == 0);
    for (size_t i = 0; i < MAX; i++)
        world.data[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < BLOBS; i++) {
        require(iroh_store_add_bytes(world.store, world.data, sizes[i], NULL, &world.hashes[i]) == 0);
        memcpy(world.sequence + i * BLAKE3_LEN, world.hashes[i].bytes, BLAKE3_LEN);
    }
    require(iroh_store_add_bytes(world.store, world.sequence, SEQUENCE, NULL, &world.root) == 0);
}

// A blob from a chunk on, or so many chunks of it; a sequence with its children; many; or what is pushed.
static void make_request(uint8_t kind, reader *in, proto_builder *b, proto_request *q) {
    ranges wanted = RANGES_INIT, none = RANGES_INIT;
    uint64_t first = reader_u8(in), count = reader_u8(in);
    require(ranges_add(&wanted, first, count > 0 ? first + count : BAO_END) == 0);
    *q = (proto_request){.type = PROTO_GET, .hashes = world.root.bytes, .count = 1};
    if (kind % KINDS == 0)
        q->hashes = world.hashes[0].bytes;
    require(proto_builder_add(b, 0, &wanted) == 0);
    if (kind % KINDS == 0) {
        require(proto_builder_add(b, 1, &none) == 0);
    } else if (kind % KINDS == 2) {
        q->type = PROTO_GET_MANY;
        q->hashes = world.hashes[0].bytes;
        q->count = BLOBS;
    } else if (kind % KINDS == 3) {
        q->type = PROTO_PUSH;
    }
    require(proto_builder_seq(b, &q->seq) == 0);
    ranges_dispose(&wanted);
}

static size_t make_answer(const proto_request *q, uint8_t *out) {
    outgoing *o;
    size_t len = 0, n;
    int r;
    require(outgoing_new(world.store, q, &o) == 0);
    do {
        r = outgoing_write(o, out + len, ROOM - len, &n);
        len += n;
    } while (r == 0 && ROOM - len >= OUTGOING_ROOM_MIN);
    require(r == 1);
    outgoing_free(o);
    return len;
}

static size_t tamper(uint8_t *bytes, size_t len, reader *in) {
    while (reader_left(in) > 0 && len > 0) {
        uint8_t kind = reader_u8(in);
        if (kind == PAUSE)
            break;
        size_t at = (reader_u32(in) & 0xffffff) % len, amount = reader_u16(in);
        if (kind % 4 == 0) {
            bytes[at] ^= (uint8_t)amount;
        } else if (kind % 4 == 1) {
            amount = amount < len - at ? amount : len - at;
            memmove(bytes + at, bytes + at + amount, len - at - amount);
            len -= amount;
        } else if (kind % 4 == 2) {
            len = at;
        } else if (len + amount <= ROOM) {
            memmove(bytes + at + amount, bytes + at, len - at);
            len += amount;
        }
    }
    return len;
}

// A provider's answer on its way in.
typedef struct source {
    incoming *in;
    uint8_t bytes[ROOM];
    size_t len, at, step;
    int end;  // what `in` said; 0: not all was fed
} source;

static void source_start(source *s, iroh_store *store, const proto_request *q) {
    static const incoming_limits limits = {.root = LIMIT, .blob = LIMIT};
    require(incoming_new(store, q, &limits, &s->in) == 0);
    s->at = 0;
    s->step = 1;
    s->end = 0;
}

// A piece whose size goes up and down between 1 and `piece`. False: that was all, and `end` says how it went.
static bool feed_one(source *s, size_t piece) {
    size_t n = s->step < s->len - s->at ? s->step : s->len - s->at, used;
    if (n == 0 || s->end != 0) {
        s->end = s->end == 0 ? incoming_end(s->in) : s->end;
        return false;
    }
    // A block of its own lets AddressSanitizer see a read past the end.
    uint8_t *copy = malloc(n);
    require(copy != NULL);
    memcpy(copy, s->bytes + s->at, n);
    s->end = incoming_take(s->in, copy, n, &used);
    require(used <= n && (s->end != 0 || used == n));
    free(copy);
    s->at += n;
    s->step = s->step * 7 % piece + 1;
    return true;
}

static void check_chunk(iroh_store *s, const iroh_hash *hash, const uint8_t *bytes, size_t size, size_t at) {
    uint8_t chunk[BAO_CHUNK];
    size_t len = size - at < BAO_CHUNK ? size - at : BAO_CHUNK;
    int64_t n = iroh_store_read(s, hash, at, chunk, len);
    require(n == IROH_ERR_NOT_FOUND || (n == (int64_t)len && memcmp(chunk, bytes + at, len) == 0));
}

// What is there of a blob is right, and if all of it is said to be there, it is.
static void check_blob(iroh_store *s, const iroh_hash *hash, const uint8_t *bytes, size_t size, bool complete) {
    iroh_blob_status status;
    require(iroh_store_status(s, hash, &status) == 0);
    require(status.state == IROH_BLOB_COMPLETE || !complete);
    require(!status.size_proven || status.size == size);
    if (status.state == IROH_BLOB_COMPLETE) {
        uint8_t *got;
        size_t len;
        require(iroh_store_get(s, hash, LIMIT, &got, &len) == 0 && len == size && memcmp(got, bytes, size) == 0);
        free(got);
    }
    for (size_t at = 0; at < size; at += BAO_CHUNK)
        check_chunk(s, hash, bytes, size, at);
}

static void check_store(iroh_store *s) {
    for (size_t i = 0; i < BLOBS; i++)
        check_blob(s, &world.hashes[i], world.data, sizes[i], false);
    check_blob(s, &world.root, world.sequence, SEQUENCE, false);
}

// The honest provider.
static void check_truth(iroh_store *store, const proto_request *q, const uint8_t *good, size_t len) {
    static source honest;
    memcpy(honest.bytes, good, len);
    honest.len = len;
    source_start(&honest, store, q);
    while (feed_one(&honest, BAO_CHUNK)) {}
    require(honest.end >= 0);
    incoming_free(honest.in);
}

static void lie(source *s, bool own, const uint8_t *good, size_t len, reader *r) {
    if (own) {
        s->len = reader_left(r) < ROOM ? reader_left(r) : ROOM;
        memcpy(s->bytes, reader_bytes(r, s->len), s->len);
    } else {
        memcpy(s->bytes, good, len);
        s->len = tamper(s->bytes, len, r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t good[ROOM];
    static source liars[2];
    proto_builder b = PROTO_BUILDER_INIT;
    proto_request q;
    iroh_store *store;
    make_world();
    reader r = reader_of(data, size);
    uint8_t kind = reader_u8(&r);
    size_t count = (kind & TWO) != 0 ? 2 : 1;
    make_request(kind, &r, &b, &q);
    size_t piece = 1 + (size_t)reader_u16(&r), len = make_answer(&q, good);
    require(iroh_store_memory(NULL, &store) == 0);
    for (size_t i = 0; i < count; i++) {
        lie(&liars[i], i == 0 && (kind & OWN_BYTES) != 0, good, len, &r);
        source_start(&liars[i], store, &q);
    }
    for (bool more = true; more;) {
        more = feed_one(&liars[0], piece);
        more |= count > 1 && feed_one(&liars[1], piece);
    }
    for (size_t i = 0; i < count; i++) {
        bool same = liars[i].len >= len && memcmp(liars[i].bytes, good, len) == 0;
        require(!same || liars[i].end >= 0);
        incoming_free(liars[i].in);
    }
    check_store(store);
    check_truth(store, &q, good, len);
    check_store(store);
    iroh_store_free(store);
    proto_builder_dispose(&b);
    return 0;
}
