// The messages of the blobs protocol, against the vectors of the original and by their rules.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <iroh/error.h>

#include "base/hex.h"
#include "blobs/bao.h"
#include "blobs/proto.h"

#define NO_END BAO_END

typedef struct set_row {
    const char *hex;
    size_t count;
    range items[3];
} set_row;

static const set_row sets[] = {
    {"00", 0, {{0, 0}}},
    {"0100", 1, {{0, NO_END}}},
    {"0140", 1, {{64, NO_END}}},
    {"01904e", 1, {{10000, NO_END}}},
    {"020040", 1, {{0, 64}}},
    {"0401020604", 2, {{1, 3}, {9, 13}}},
    {"0402050301", 2, {{2, 7}, {10, 11}}},
    {"01ffffffffffffffffff01", 1, {{BAO_LAST, NO_END}}},
};

static size_t bytes_of(const char *hex, uint8_t *out) {
    size_t len = strlen(hex);
    assert_true(hex_decode(hex, len, out));
    return len / 2;
}

static void make_set(ranges *set, const range *items, size_t count) {
    *set = RANGES_INIT;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ranges_add(set, items[i].start, items[i].end), 0);
}

static void assert_set(const ranges *set, const range *items, size_t count) {
    assert_int_equal(ranges_count(set), count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(ranges_items(set)[i].start, items[i].start);
        assert_int_equal(ranges_items(set)[i].end, items[i].end);
    }
}

static void sets_are_written_and_read_as_by_the_original(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        uint8_t expected[32], room[32];
        size_t len = bytes_of(sets[i].hex, expected);
        ranges set, read = RANGES_INIT;
        make_set(&set, sets[i].items, sets[i].count);
        writer w = writer_of(room, sizeof room);
        proto_set_write(&w, &set);
        assert_int_equal(writer_len(&w), len);
        assert_int_equal(proto_set_size(&set), len);
        assert_memory_equal(room, expected, len);
        postcard p = postcard_of(expected, len);
        proto_set_read(&p, &read);
        assert_int_equal(p.error, 0);
        assert_set(&read, sets[i].items, sets[i].count);
        ranges_dispose(&set);
        ranges_dispose(&read);
    }
}

// Entries: index and set.
typedef struct seq_row {
    const char *hex;
    bool blob;
    size_t count;
    struct {
        uint64_t index;
        size_t count;
        range items[2];
    } entries[4];
} seq_row;

static const seq_row seqs[] = {
    {"00", false, 0, {{0, 0, {{0, 0}}}}},
    {"01000100", false, 1, {{0, 1, {{0, NO_END}}}}},
    {"020001000100", true, 2, {{0, 1, {{0, NO_END}}}, {1, 0, {{0, 0}}}}},
    {"0300020102010207060100", false, 3, {{0, 1, {{1, 3}}}, {1, 1, {{7, 13}}}, {2, 0, {{0, 0}}}}},
    {"02030107010100", false, 2, {{3, 1, {{7, NO_END}}}, {4, 1, {{0, NO_END}}}}},
    {"020001ffffffffffffffffff010100", true, 2, {{0, 1, {{BAO_LAST, NO_END}}}, {1, 0, {{0, 0}}}}},
    {"02000200010100", true, 2, {{0, 1, {{0, 1}}}, {1, 0, {{0, 0}}}}},
    {"020004000a5a0a0100", true, 2, {{0, 2, {{0, 10}, {100, 110}}}, {1, 0, {{0, 0}}}}},
    {"020001000101ffffffffffffffffff01", false, 2, {{0, 1, {{0, NO_END}}}, {1, 1, {{BAO_LAST, NO_END}}}}},
    {"020201c0843d010100", false, 2, {{2, 1, {{1000000, NO_END}}}, {3, 1, {{0, NO_END}}}}},
    {"020201000100", false, 2, {{2, 1, {{0, NO_END}}}, {3, 0, {{0, 0}}}}},
    {"04000100010002020001"
     "0100",
     false,
     4,
     {{0, 1, {{0, NO_END}}}, {1, 0, {{0, 0}}}, {3, 1, {{0, 1}}}, {4, 0, {{0, 0}}}}},
};

static void rows_are_written_as_by_the_original(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
        uint8_t expected[64];
        size_t len = bytes_of(seqs[i].hex, expected);
        proto_builder b = PROTO_BUILDER_INIT;
        for (size_t j = 0; j < seqs[i].count; j++) {
            ranges set;
            make_set(&set, seqs[i].entries[j].items, seqs[i].entries[j].count);
            assert_int_equal(proto_builder_add(&b, seqs[i].entries[j].index, &set), 0);
            // Saying it again changes nothing.
            assert_int_equal(proto_builder_add(&b, seqs[i].entries[j].index + 1, &set), 0);
            ranges_dispose(&set);
        }
        proto_seq q;
        assert_int_equal(proto_builder_size(&b), len);
        assert_int_equal(proto_builder_seq(&b, &q), 0);
        assert_int_equal(q.len, len);
        assert_memory_equal(q.bytes, expected, len);
        assert_int_equal(proto_seq_is_blob(&q), seqs[i].blob);
        proto_builder_dispose(&b);
    }
}

// The set that holds at an index, by the definition.
static size_t entry_at(const seq_row *row, uint64_t index) {
    size_t found = SIZE_MAX;
    for (size_t i = 0; i < row->count; i++) {
        if (row->entries[i].index <= index)
            found = i;
    }
    return found;
}

static void walks_give_what_holds_at_each_index(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof seqs / sizeof *seqs; i++) {
        uint8_t bytes[64];
        size_t len = bytes_of(seqs[i].hex, bytes);
        postcard p = postcard_of(bytes, len);
        proto_seq q;
        proto_walk w;
        proto_seq_read(&p, &q);
        assert_int_equal(p.error, 0);
        assert_int_equal(q.len, len);
        proto_walk_start(&w, &q);
        for (uint64_t index = 0; index < 10; index++) {
            size_t entry = entry_at(&seqs[i], index);
            uint64_t got = UINT64_MAX;
            if (entry == SIZE_MAX || seqs[i].entries[entry].count == 0)
                continue;
            assert_int_equal(proto_walk_next(&w, &got), 1);
            assert_int_equal(got, index);
            assert_set(&w.set, seqs[i].entries[entry].items, seqs[i].entries[entry].count);
        }
        if (seqs[i].count == 0 || seqs[i].entries[seqs[i].count - 1].count == 0) {
            uint64_t got;
            assert_int_equal(proto_walk_next(&w, &got), 0);
        }
        proto_walk_dispose(&w);
    }
}

static void other_encodings_of_a_row_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        int error;
    } rows[] = {
        {"0100020100", IROH_ERR_SYNTAX},  // a range of nothing
        {"020001000001"
         "00",
         IROH_ERR_SYNTAX},  // an entry at the index of the one before
        {"0200010001"
         "0100",
         IROH_ERR_SYNTAX},                                 // an entry like the one before
        {"010000", IROH_ERR_SYNTAX},                       // an empty set at the beginning
        {"010002ffffffffffffffffff0101", IROH_ERR_RANGE},  // a boundary beyond 2^64
        {"0201010001"
         "",
         IROH_ERR_TRUNCATED},
        {"02ffffffffffffffffff0101000100", IROH_ERR_RANGE},
        {"ffffffffffffffffff01", IROH_ERR_TRUNCATED},  // a count of what cannot be there
        {"0100ffffffffffffffffff01", IROH_ERR_TRUNCATED},
        {"", IROH_ERR_TRUNCATED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t bytes[64];
        size_t len = bytes_of(rows[i].hex, bytes);
        postcard p = postcard_of(bytes, len);
        proto_seq q;
        proto_seq_read(&p, &q);
        assert_int_equal(p.error, rows[i].error);
        assert_int_equal(q.len, 0);
    }
}

static void requests_are_written_and_read_as_by_the_original(void **state) {
    (void)state;
    static const struct {
        int type;
        size_t count;
        const char *head, *seq;
    } rows[] = {
        {PROTO_GET, 1, "00", "020001000100"},        {PROTO_GET, 1, "00", "01000100"},
        {PROTO_GET_MANY, 2, "0902", "020001000200"}, {PROTO_GET_MANY, 2, "0902", "03000100010200010100"},
        {PROTO_PUSH, 1, "0826", "020001000100"},     {PROTO_OBSERVE, 1, "01", "0100"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t hashes[64], seq[16], expected[128], room[128];
        memset(hashes, rows[i].count == 1 ? 0xda : 1, 32);
        memset(hashes + 32, 2, 32);
        size_t seq_len = bytes_of(rows[i].seq, seq), head = bytes_of(rows[i].head, expected);
        size_t len = head + rows[i].count * 32 + seq_len;
        memcpy(expected + head, hashes, rows[i].count * 32);
        memcpy(expected + len - seq_len, seq, seq_len);
        proto_request r = {.type = rows[i].type, .hashes = hashes, .count = rows[i].count};
        if (r.type != PROTO_OBSERVE)
            r.seq = (proto_seq){seq, seq_len};
        writer w = writer_of(room, sizeof room);
        proto_request_write(&w, &r);
        assert_int_equal(writer_len(&w), len);
        assert_int_equal(proto_request_size(&r), len);
        assert_memory_equal(room, expected, len);
        size_t skip = r.type == PROTO_PUSH ? 2 : 1;
        proto_request read;
        expected[len] = 0x77;  // bytes after it are ignored
        assert_int_equal(proto_request_read(r.type, expected + skip, len + 1 - skip, &read), 0);
        assert_int_equal(read.count, rows[i].count);
        assert_memory_equal(read.hashes, hashes, rows[i].count * 32);
        assert_int_equal(read.seq.len, r.type == PROTO_OBSERVE ? 0 : seq_len);
        for (size_t cut = 0; cut < len - skip; cut++)
            assert_true(proto_request_read(r.type, expected + skip, cut, &read) < 0);
    }
}

static void unknown_types_are_refused(void **state) {
    (void)state;
    uint8_t body[40] = {0};
    proto_request r;
    for (int type = 0; type < 256; type++) {
        bool known = type == PROTO_GET || type == PROTO_OBSERVE || type == PROTO_PUSH || type == PROTO_GET_MANY;
        int error = proto_request_read(type, body, sizeof body, &r);
        assert_int_equal(error == IROH_ERR_UNSUPPORTED, !known);
    }
}

static proto_have have_of(uint64_t size, size_t count, const uint64_t *at) {
    proto_have h = {.size = size};
    assert_int_equal(proto_have_resize(&h, count), 0);
    if (count > 0)
        memcpy(h.at, at, count * sizeof *at);
    return h;
}

static void observed_items_are_those_of_the_original(void **state) {
    (void)state;
    static const struct {
        const char *hex;
        uint64_t size;
        size_t count;
        uint64_t at[3];
    } rows[] = {{"020000", 0, 0, {0}},
                {"05a08d060100", 100000, 1, {0}},
                {"06a08d06021020", 100000, 2, {16, 32}},
                {"07a08d0603001060", 100000, 3, {0, 16, 96}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t expected[16], room[16];
        size_t len = bytes_of(rows[i].hex, expected);
        proto_have h = have_of(rows[i].size, rows[i].count, rows[i].at), read = {0};
        writer w = writer_of(room, sizeof room);
        proto_have_write(&w, &h);
        assert_int_equal(writer_len(&w), len);
        assert_memory_equal(room, expected, len);
        assert_int_equal(proto_have_read(expected + 1, len - 1, &read), 0);
        assert_int_equal(read.size, rows[i].size);
        assert_int_equal(read.count, rows[i].count);
        if (read.count > 0)
            assert_memory_equal(read.at, rows[i].at, read.count * sizeof *read.at);
        for (size_t cut = 0; cut + 1 < len; cut++)
            assert_int_equal(proto_have_read(expected + 1, cut, &read), IROH_ERR_TRUNCATED);
        proto_have_dispose(&h);
        proto_have_dispose(&read);
    }
}

static void sizes_come_from_who_knows_of_later_chunks(void **state) {
    (void)state;
    uint64_t middle[] = {16, 32}, start[] = {0, 16}, tail[] = {96};
    proto_have a = have_of(100000, 2, middle), b = have_of(5, 0, NULL), out = {0};
    assert_int_equal(proto_have_difference(&a, &b, &out), 0);
    assert_int_equal(out.size, 100000);
    proto_have_dispose(&a);
    proto_have_dispose(&b);
    a = have_of(50000, 2, start);
    b = have_of(100000, 1, tail);
    assert_int_equal(proto_have_difference(&a, &b, &out), 0);
    assert_int_equal(out.size, 100000);
    proto_have_dispose(&a);
    proto_have_dispose(&b);
    proto_have_dispose(&out);
}

// Sets of the numbers below 64, against bit masks; bit 63 stands for "without end".
static void what_is_known_has_a_bound(void **state) {
    (void)state;
    proto_have known = {0};
    const uint64_t last = UINT64_C(2) * PROTO_MESSAGE_MAX;
    const uint64_t beyond[] = {last, last + 1}, between[] = {1, 3};
    assert_int_equal(proto_have_resize(&known, PROTO_MESSAGE_MAX), 0);
    for (size_t i = 0; i < PROTO_MESSAGE_MAX; i++)
        known.at[i] = UINT64_C(2) * i;
    proto_have more = have_of(5, 2, beyond);
    assert_int_equal(proto_have_merge(&known, &more), IROH_ERR_TOO_LARGE);
    assert_int_equal(known.count, PROTO_MESSAGE_MAX);
    proto_have_dispose(&more);
    more = have_of(5, 2, between);
    assert_int_equal(proto_have_merge(&known, &more), 0);
    assert_int_equal(known.count, PROTO_MESSAGE_MAX);
    assert_int_equal(known.at[1], 3);
    proto_have_dispose(&more);
    proto_have_dispose(&known);
}

static proto_have have_of_mask(uint64_t mask) {
    proto_have h = {0};
    uint64_t at[65];
    size_t count = 0;
    for (unsigned i = 0; i < 64; i++) {
        bool before = i > 0 && (mask >> (i - 1) & 1) != 0;
        if (before != ((mask >> i & 1) != 0))
            at[count++] = i;
    }
    h = have_of(0, count, at);
    return h;
}

static void differences_and_unions_are_those_of_sets(void **state) {
    (void)state;
    uint64_t random = 88172645463325252U;
    for (int i = 0; i < 2000; i++) {
        uint64_t masks[2];
        for (int j = 0; j < 2; j++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            masks[j] = random & (random << 3 | random >> 5);
        }
        proto_have a = have_of_mask(masks[0]), b = have_of_mask(masks[1]), out = {0};
        proto_have either = have_of_mask(masks[0] ^ masks[1]), both = have_of_mask(masks[0] | masks[1]);
        assert_int_equal(proto_have_difference(&a, &b, &out), 0);
        assert_int_equal(out.count, either.count);
        if (out.count > 0)
            assert_memory_equal(out.at, either.at, out.count * sizeof *out.at);
        assert_int_equal(proto_have_merge(&a, &b), 0);
        assert_int_equal(a.count, both.count);
        if (a.count > 0)
            assert_memory_equal(a.at, both.at, a.count * sizeof *a.at);
        proto_have_dispose(&a);
        proto_have_dispose(&b);
        proto_have_dispose(&out);
        proto_have_dispose(&either);
        proto_have_dispose(&both);
    }
}

static uint64_t next_random(uint64_t *random) {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

static void assert_is_mask(const proto_have *h, uint64_t mask) {
    proto_have expected = have_of_mask(mask);
    assert_int_equal(h->count, expected.count);
    if (h->count > 0)
        assert_memory_equal(h->at, expected.at, h->count * sizeof *h->at);
    proto_have_dispose(&expected);
}

// A run of bits: of any place and length, with bit 63 without end.
static uint64_t run_of_bits(uint64_t *random) {
    uint64_t first = next_random(random) % 64, len = 1 + next_random(random) % 9;
    return (UINT64_MAX >> (64 - len)) << first;
}

// A few ranges are put into what is known one by one.
static void a_little_is_added_in_its_place(void **state) {
    (void)state;
    uint64_t random = 88172645463325252U;
    for (int i = 0; i < 5000; i++) {
        uint64_t known = next_random(&random) & next_random(&random), fresh = run_of_bits(&random);
        fresh |= i % 2 == 0 ? run_of_bits(&random) : 0;
        proto_have a = have_of_mask(known), b = have_of_mask(fresh);
        assert_int_equal(proto_have_merge(&a, &b), 0);
        assert_is_mask(&a, known | fresh);
        proto_have_dispose(&a);
        proto_have_dispose(&b);
    }
}

static void news_are_the_union_of_their_items(void **state) {
    (void)state;
    uint64_t random = 362436069;
    proto_news news = {0};
    for (int i = 0; i < 2000; i++) {
        uint64_t known = next_random(&random) & next_random(&random), all = known;
        proto_have a = have_of_mask(known);
        for (int k = 0; k < i % 12; k++) {
            uint64_t mask = run_of_bits(&random);
            proto_have item = have_of_mask(mask);
            assert_int_equal(proto_news_add(&news, &item), 0);
            all |= mask;
            proto_have_dispose(&item);
        }
        assert_int_equal(proto_news_merge(&news, &a), 0);
        assert_is_mask(&a, all);
        proto_have_dispose(&a);
    }
    proto_news_dispose(&news);
}

static void news_have_the_size_of_who_knows_of_later_chunks(void **state) {
    (void)state;
    const uint64_t early[] = {0, 3}, late[] = {8, 9};
    proto_have a = have_of(70000, 2, early), b = have_of(9000, 2, late), known = {0};
    proto_news news = {0};
    assert_int_equal(proto_news_add(&news, &b), 0);
    assert_int_equal(proto_news_add(&news, &a), 0);
    assert_int_equal(proto_news_merge(&news, &known), 0);
    assert_int_equal(known.size, 9000);
    // Nothing of them is left for the next time.
    assert_int_equal(proto_news_add(&news, &a), 0);
    assert_int_equal(proto_news_merge(&news, &known), 0);
    assert_int_equal(known.size, 9000);
    assert_int_equal(known.count, 4);
    proto_have_dispose(&a);
    proto_have_dispose(&b);
    proto_have_dispose(&known);
    proto_news_dispose(&news);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_written_and_read_as_by_the_original),
        cmocka_unit_test(rows_are_written_as_by_the_original),
        cmocka_unit_test(walks_give_what_holds_at_each_index),
        cmocka_unit_test(other_encodings_of_a_row_are_refused),
        cmocka_unit_test(requests_are_written_and_read_as_by_the_original),
        cmocka_unit_test(unknown_types_are_refused),
        cmocka_unit_test(observed_items_are_those_of_the_original),
        cmocka_unit_test(sizes_come_from_who_knows_of_later_chunks),
        cmocka_unit_test(differences_and_unions_are_those_of_sets),
        cmocka_unit_test(what_is_known_has_a_bound),
        cmocka_unit_test(a_little_is_added_in_its_place),
        cmocka_unit_test(news_are_the_union_of_their_items),
        cmocka_unit_test(news_have_the_size_of_who_knows_of_later_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
