// Providers, byte by byte: what they answer to requests of all kinds, good and bad.
#include <stdio.h>
#include <stdlib.h>

#include "base/hex.h"
#include "blobs/bao.h"
#include "blobs/proto.h"
#include "unit/blobs_support.h"

#define ANSWER_MAX 4000000

// Sends bytes on a stream of its own, and the end if `end`.
static iroh_stream *ask(blobs_duo *d, const void *bytes, size_t len, bool end) {
    iroh_stream *s;
    assert_int_equal(iroh_connection_open_bi(d->c, LONG_MS, &s), 0);
    int r = iroh_stream_write_all(s, bytes, len, LONG_MS, NULL);
    if (end && r == 0)
        r = iroh_stream_finish(s);
    // Who is refused may be stopped before the end.
    assert_true(r == 0 || r == IROH_ERR_STOPPED);
    return s;
}

// Reads the whole answer: its length, or the error at its end. Gives the stream back.
static int64_t answer(iroh_stream *s, uint8_t **out, uint64_t *code) {
    uint8_t *bytes = malloc(ANSWER_MAX);
    size_t len = 0;
    int64_t n;
    assert_non_null(bytes);
    while ((n = iroh_stream_read(s, bytes + len, ANSWER_MAX - len, LONG_MS)) > 0)
        len += (size_t)n;
    if (n == IROH_ERR_RESET && code != NULL)
        assert_int_equal(iroh_stream_reset_code(s, code), 0);
    iroh_stream_free(s);
    *out = bytes;
    return n == 0 ? (int64_t)len : n;
}

static void assert_serves(blobs_duo *d) {
    iroh_store *s;
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    iroh_content content = blobs_raw(blobs_add(d->there, 12345));
    assert_int_equal(iroh_blobs_get(d->c, s, &content, NULL), 0);
    iroh_store_free(s);
}

static void assert_nothing_said(blobs_duo *d, const void *bytes, size_t len) {
    uint8_t *got;
    assert_int_equal(answer(ask(d, bytes, len, true), &got, NULL), 0);
    free(got);
}

static void malformed_requests_get_an_empty_answer(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    uint8_t request[64] = {0};
    assert_nothing_said(&d, "", 0);
    for (int type = 0; type < 256; type++) {
        request[0] = (uint8_t)type;
        assert_nothing_said(&d, request, 20);  // cut short, for those that exist
        if (type > PROTO_GET_MANY)
            assert_nothing_said(&d, request, 60);
    }
    memset(request, 0, sizeof request);
    memcpy(request + 33, "\x02\x00\x01\x00\x00\x00", 6);  // an index twice
    assert_nothing_said(&d, request, 39);
    assert_serves(&d);
    blobs_duo_free(&d);
}

static void requests_that_are_too_large_are_not_read(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    size_t len = PROTO_MESSAGE_MAX + 5000;
    uint8_t *request = calloc(1, len), *got;
    assert_non_null(request);
    iroh_stream *s = ask(&d, request, len, true);
    int64_t n = answer(s, &got, NULL);
    assert_int_equal(n, 0);
    free(got);
    free(request);
    assert_serves(&d);
    blobs_duo_free(&d);
}

// A request that never ends holds up nobody but itself.
static void unfinished_requests_wait(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_stream *waiting[20];
    for (int i = 0; i < 20; i++)
        waiting[i] = ask(&d, "\0abc", 4, false);
    assert_serves(&d);
    uint8_t byte;
    assert_int_equal(iroh_stream_read(waiting[7], &byte, 1, 0), IROH_ERR_AGAIN);
    for (int i = 0; i < 20; i++)
        iroh_stream_free(waiting[i]);
    assert_serves(&d);
    blobs_duo_free(&d);
}

// The complete example of the protocol's description: a collection of one file.
static void a_collection_is_sent_as_by_the_original(void **state) {
    (void)state;
    static const char expected_hex[] = "4000000000000000"
                                       "e0b5dbfc7c6f62cca4342ed5198d80839487991dac4f5d3612bebbf45be6810d"
                                       "d74981efa70a0c880b8d8c1985d075dbcbf679b99a5f9914e5aaf96b831a9e24"
                                       "1700000000000000436f6c6c656374696f6e56302e01"
                                       "08746573742e747874"
                                       "0b0000000000000068656c6c6f20776f726c64";
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_collection *c;
    iroh_hash file, root;
    uint8_t request[37] = {PROTO_GET}, expected[122], *got;
    assert_int_equal(iroh_store_add_bytes(d.there, "hello world", 11, NULL, &file), 0);
    assert_int_equal(iroh_collection_new(&c), 0);
    assert_int_equal(iroh_collection_add(c, "test.txt", 8, &file), 0);
    assert_int_equal(iroh_collection_save(c, d.there, NULL, &root), 0);
    memcpy(request + 1, root.bytes, 32);
    memcpy(request + 33, "\x01\x00\x01\x00", 4);
    assert_true(hex_decode(expected_hex, sizeof expected_hex - 1, expected));
    assert_int_equal(answer(ask(&d, request, sizeof request, true), &got, NULL), sizeof expected);
    assert_memory_equal(got, expected, sizeof expected);
    free(got);
    iroh_collection_free(c);
    blobs_duo_free(&d);
}

static size_t make_request(uint8_t *out, const iroh_hash *hash, uint64_t first, uint64_t end) {
    ranges wanted = RANGES_INIT, none = RANGES_INIT;
    proto_builder b = PROTO_BUILDER_INIT;
    proto_request r = {.type = PROTO_GET, .hashes = hash->bytes, .count = 1};
    assert_int_equal(ranges_add(&wanted, first, end), 0);
    assert_int_equal(proto_builder_add(&b, 0, &wanted), 0);
    assert_int_equal(proto_builder_add(&b, 1, &none), 0);
    assert_int_equal(proto_builder_seq(&b, &r.seq), 0);
    writer w = writer_of(out, 128);
    proto_request_write(&w, &r);
    assert_false(w.failed);
    proto_builder_dispose(&b);
    ranges_dispose(&wanted);
    return writer_len(&w);
}

static void chunks_are_sent_exactly(void **state) {
    (void)state;
    static const uint64_t rows[][2] = {{0, BAO_END}, {0, 16},  {16, 17},  {3, 20},        {17, 33},
                                       {90, 95},     {97, 98}, {50, 400}, {400, BAO_END}, {BAO_LAST, BAO_END}};
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, 100000);
    uint8_t *data = blobs_data(100000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t request[128], *got;
        size_t len, request_len = make_request(request, &hash, rows[i][0], rows[i][1]);
        uint8_t *expected = blobs_encoding(data, 100000, rows[i][0], rows[i][1], &len);
        assert_int_equal(answer(ask(&d, request, request_len, true), &got, NULL), len);
        assert_memory_equal(got, expected, len);
        free(got);
        free(expected);
    }
    free(data);
    blobs_duo_free(&d);
}

static void unknown_blobs_are_reset_with_internal(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_hash none = {{9}};
    uint8_t request[128], *got;
    uint64_t code = 0;
    size_t len = make_request(request, &none, 0, BAO_END);
    assert_int_equal(answer(ask(&d, request, len, true), &got, &code), IROH_ERR_RESET);
    assert_int_equal(code, PROTO_INTERNAL);
    free(got);
    blobs_duo_free(&d);
}

// Of a sequence that is there in part, the children are served whose hashes are there.
static void children_of_partial_sequences_are_served(void **state) {
    (void)state;
    enum { CHILDREN = 2000 };
    blobs_duo whole, part;
    iroh_hash *hashes = calloc(CHILDREN, sizeof *hashes), root;
    assert_non_null(hashes);
    blobs_duo_open(&whole, NULL);
    blobs_duo_open(&part, NULL);
    for (size_t i = 0; i < CHILDREN; i++)
        hashes[i].bytes[0] = (uint8_t)i;
    hashes[5] = blobs_add(part.there, 777);
    hashes[1500] = blobs_add(part.there, 778);
    assert_int_equal(iroh_store_add_bytes(whole.there, hashes, CHILDREN * 32, NULL, &root), 0);
    uint64_t chunks[] = {0, 16};
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.chunks = chunks;
    o.chunk_count = 2;
    iroh_content content = blobs_raw(root);
    assert_int_equal(iroh_blobs_get(whole.c, part.there, &content, &o), 0);
    // Child 5 is index 6; child 1500, index 1501, lies in a chunk that is not there.
    uint8_t request[64] = {PROTO_GET}, *got;
    memcpy(request + 1, root.bytes, 32);
    memcpy(request + 33, "\x02\x06\x01\x00\x01\x00", 6);
    assert_int_equal(answer(ask(&part, request, 39, true), &got, NULL), 8 + 777);
    free(got);
    memcpy(request + 33, "\x02\xdd\x0b\x01\x00\x01\x00", 7);
    assert_int_equal(answer(ask(&part, request, 40, true), &got, NULL), IROH_ERR_RESET);
    free(got);
    blobs_duo_free(&whole);
    blobs_duo_free(&part);
    free(hashes);
}

static void a_row_without_end_ends_with_the_sequence(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_hash hashes[2] = {blobs_add(d.there, 10), blobs_add(d.there, 20)}, root;
    assert_int_equal(iroh_store_add_bytes(d.there, hashes, 64, NULL, &root), 0);
    uint8_t request[64] = {PROTO_GET}, *got;
    memcpy(request + 1, root.bytes, 32);
    memcpy(request + 33, "\x01\x02\x01\x00", 4);  // from the second child on, for ever
    assert_int_equal(answer(ask(&d, request, 37, true), &got, NULL), 8 + 20);
    free(got);
    memcpy(request + 33, "\x01\x09\x01\x00", 4);  // all of it beyond the end
    assert_int_equal(answer(ask(&d, request, 37, true), &got, NULL), 0);
    free(got);
    blobs_duo_free(&d);
}

static void readers_that_leave_disturb_nobody(void **state) {
    (void)state;
    blobs_duo d;
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, 30000000);
    uint8_t request[128], byte;
    size_t len = make_request(request, &hash, 0, BAO_END);
    for (int i = 0; i < 30; i++) {
        iroh_stream *s = ask(&d, request, len, true);
        if (i % 2 == 0)
            assert_int_equal(iroh_stream_read(s, &byte, 1, LONG_MS), 1);
        iroh_stream_free(s);
    }
    assert_serves(&d);
    blobs_duo_free(&d);
}

// Those who ask and do not read take no more memory than the limit allows.
static void requests_beyond_the_limit_are_refused(void **state) {
    (void)state;
    enum { LIMIT = 5 };
    blobs_duo d;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.max_requests = LIMIT;
    blobs_duo_open(&d, &config);
    iroh_hash hash = blobs_add(d.there, 40000000);
    uint8_t request[128], *got, byte;
    uint64_t code = 0;
    size_t len = make_request(request, &hash, 0, BAO_END);
    iroh_stream *held[LIMIT];
    for (int i = 0; i < LIMIT; i++) {
        held[i] = ask(&d, request, len, true);
        assert_int_equal(iroh_stream_read(held[i], &byte, 1, LONG_MS), 1);
    }
    assert_int_equal(answer(ask(&d, request, len, true), &got, &code), IROH_ERR_RESET);
    assert_int_equal(code, PROTO_LIMIT);
    free(got);
    iroh_stream_free(held[0]);
    // Once the provider has heard of it, there is room for another.
    int64_t n = IROH_ERR_RESET;
    while (n == IROH_ERR_RESET) {
        iroh_stream *s = ask(&d, request, len, true);
        n = iroh_stream_read(s, &byte, 1, LONG_MS);
        iroh_stream_free(s);
    }
    assert_int_equal(n, 1);
    for (int i = 1; i < LIMIT; i++)
        iroh_stream_free(held[i]);
    blobs_duo_free(&d);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_requests_get_an_empty_answer),
        cmocka_unit_test(requests_that_are_too_large_are_not_read),
        cmocka_unit_test(unfinished_requests_wait),
        cmocka_unit_test(a_collection_is_sent_as_by_the_original),
        cmocka_unit_test(chunks_are_sent_exactly),
        cmocka_unit_test(unknown_blobs_are_reset_with_internal),
        cmocka_unit_test(children_of_partial_sequences_are_served),
        cmocka_unit_test(a_row_without_end_ends_with_the_sequence),
        cmocka_unit_test(readers_that_leave_disturb_nobody),
        cmocka_unit_test(requests_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
