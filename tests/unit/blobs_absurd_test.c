// Requesters that ask for absurd things: each gets what the protocol says, at the price of no more than its own stream.
#include <stdio.h>
#include <stdlib.h>

#include "blobs/bao.h"
#include "blobs/proto.h"
#include "unit/blobs_support.h"

#define SIZE 2000000
#define MANY 30000  // hashes in one request
#define AT_ONCE 20  // streams
#define BLOCK 65536

// Sends a request and its end.
static iroh_stream *ask(iroh_connection *c, const void *bytes, size_t len) {
    iroh_stream *s;
    assert_int_equal(iroh_connection_open_bi(c, LONG_MS, &s), 0);
    int r = iroh_stream_write_all(s, bytes, len, LONG_MS, NULL);
    assert_true(r == 0 || r == IROH_ERR_STOPPED);
    if (r == 0)
        assert_int_equal(iroh_stream_finish(s), 0);
    return s;
}

// Reads to the end: how many bytes, or the error there. Gives the stream back.
static int64_t length_of_answer(iroh_stream *s) {
    static uint8_t block[BLOCK];
    int64_t n, len = 0;
    while ((n = iroh_stream_read(s, block, sizeof block, LONG_MS)) > 0)
        len += n;
    iroh_stream_free(s);
    return n == 0 ? len : n;
}

static int64_t ask_all(blobs_duo *d, const void *bytes, size_t len) {
    return length_of_answer(ask(d->c, bytes, len));
}

static void assert_serves_over(blobs_duo *d, iroh_connection *c) {
    iroh_store *s;
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    iroh_content content = blobs_raw(blobs_add(d->there, 12345));
    assert_int_equal(iroh_blobs_get(c, s, &content, NULL), 0);
    iroh_store_free(s);
}

static void assert_serves(blobs_duo *d) {
    assert_serves_over(d, d->c);
}

static size_t begin(uint8_t *out, const iroh_hash *hash, const void *row, size_t len) {
    out[0] = PROTO_GET;
    memcpy(out + 1, hash->bytes, 32);
    memcpy(out + 33, row, len);
    return 33 + len;
}

static void sums_beyond_64_bits_are_malformed(void **state) {
    // Boundaries 2^64 - 1 and one more; index 2^64 - 1 and one more.
    static const uint8_t chunks[] = "\x02\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x01\x00";
    static const uint8_t index[] = "\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x00\x01\x00";
    (void)state;
    blobs_duo d;
    uint8_t request[64];
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, SIZE);
    assert_int_equal(ask_all(&d, request, begin(request, &hash, chunks, sizeof chunks - 1)), 0);
    assert_int_equal(ask_all(&d, request, begin(request, &hash, index, sizeof index - 1)), 0);
    assert_serves(&d);
    blobs_duo_free(&d);
}

static void children_beyond_the_end_are_an_empty_answer(void **state) {
    static const uint8_t row[] = "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01\x00";
    (void)state;
    blobs_duo d;
    uint8_t request[64];
    blobs_duo_open(&d, NULL);
    iroh_hash hash, child = blobs_add(d.there, 10);
    assert_int_equal(iroh_store_add_bytes(d.there, &child, sizeof child, NULL, &hash), 0);
    assert_int_equal(ask_all(&d, request, begin(request, &hash, row, sizeof row - 1)), 0);
    assert_serves(&d);
    blobs_duo_free(&d);
}

static void children_of_what_is_no_sequence_are_an_error(void **state) {
    (void)state;
    blobs_duo d;
    uint8_t request[64];
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, 1001);
    assert_int_equal(ask_all(&d, request, begin(request, &hash, "\x01\x00\x01\x00", 4)), IROH_ERR_RESET);
    assert_serves(&d);
    blobs_duo_free(&d);
}

static size_t make_many(uint8_t *out, const iroh_hash *hash) {
    writer w = writer_of(out, PROTO_MESSAGE_MAX);
    writer_u8(&w, PROTO_GET_MANY);
    postcard_write_u64(&w, MANY);
    for (size_t i = 0; i < MANY; i++)
        writer_bytes(&w, hash->bytes, sizeof hash->bytes);
    writer_bytes(&w, "\x01\x00\x01\x00", 4);
    assert_false(w.failed);
    return writer_len(&w);
}

static void the_same_blob_very_often_comes_very_often(void **state) {
    (void)state;
    blobs_duo d;
    uint8_t *request = malloc(PROTO_MESSAGE_MAX);
    assert_non_null(request);
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, 10), none = {{1}};
    assert_int_equal(ask_all(&d, request, make_many(request, &hash)), MANY * (8 + 10));
    assert_int_equal(ask_all(&d, request, make_many(request, &none)), IROH_ERR_RESET);
    assert_serves(&d);
    blobs_duo_free(&d);
    free(request);
}

// A body of a megabyte: every other chunk, to far beyond the end.
static size_t make_holes(uint8_t *out, const iroh_hash *hash) {
    const size_t widths = 1000000;
    writer w = writer_of(out, PROTO_MESSAGE_MAX);
    writer_u8(&w, PROTO_GET);
    writer_bytes(&w, hash->bytes, sizeof hash->bytes);
    writer_bytes(&w, "\x02\x00", 2);
    postcard_write_u64(&w, widths);
    for (size_t i = 0; i < widths; i++)
        writer_u8(&w, 1);
    writer_bytes(&w, "\x01\x00", 2);
    assert_false(w.failed);
    return writer_len(&w);
}

static void very_many_ranges_are_answered_exactly(void **state) {
    (void)state;
    blobs_duo d;
    uint8_t *request = malloc(PROTO_MESSAGE_MAX);
    ranges odd = RANGES_INIT;
    assert_non_null(request);
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, SIZE);
    for (uint64_t i = 1; i < SIZE / 1024 + 10; i += 2)
        assert_int_equal(ranges_add(&odd, i, i + 1), 0);
    assert_int_equal(ask_all(&d, request, make_holes(request, &hash)), (int64_t)bao_encoded_size(SIZE, &odd));
    ranges_dispose(&odd);
    blobs_duo_free(&d);
    free(request);
}

// Whoever does not read what comes is in nobody's way but his own.
static void many_absurd_requests_at_once_leave_others_served(void **state) {
    (void)state;
    blobs_duo d;
    uint8_t *request = malloc(PROTO_MESSAGE_MAX);
    iroh_stream *streams[AT_ONCE];
    assert_non_null(request);
    blobs_duo_open(&d, NULL);
    iroh_hash hash = blobs_add(d.there, SIZE);
    size_t len = make_holes(request, &hash);
    for (size_t i = 0; i < AT_ONCE; i++)
        streams[i] = ask(d.c, request, len);
    iroh_connection *other = blobs_duo_connect(&d);
    assert_serves_over(&d, other);
    iroh_connection_free(other);
    for (size_t i = 0; i < AT_ONCE; i++)
        iroh_stream_free(streams[i]);
    assert_serves(&d);
    blobs_duo_free(&d);
    free(request);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_beyond_64_bits_are_malformed),
        cmocka_unit_test(children_beyond_the_end_are_an_empty_answer),
        cmocka_unit_test(children_of_what_is_no_sequence_are_an_error),
        cmocka_unit_test(the_same_blob_very_often_comes_very_often),
        cmocka_unit_test(very_many_ranges_are_answered_exactly),
        cmocka_unit_test(many_absurd_requests_at_once_leave_others_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
