// Providers that lie, break off or fall silent: a clear error, nothing unverified in the store, and what was verified kept.
#include <stdio.h>
#include <stdlib.h>

#include "unit/blobs_support.h"

#include "blobs/bao.h"
#include "blobs/proto.h"

#define SIZE 300000
#define STALL_MS 300

typedef struct scene {
    uint8_t *data, *encoding;
    size_t len;  // of the encoding
    iroh_content content;
    blobs_liar liar;
    iroh_get_options options;
} scene;

// A liar whose answer begins as the truth about SIZE bytes.
static void scene_set(scene *s) {
    *s = (scene){.data = blobs_data(SIZE)};
    s->encoding = blobs_encoding(s->data, SIZE, 0, BAO_END, &s->len);
    iroh_hash_of(s->data, SIZE, &s->content.hash);
    s->liar.bytes = s->encoding;
    s->liar.len = s->len;
    iroh_get_options_default(&s->options);
}

static int scene_play(scene *s) {
    blobs_liar_open(&s->liar);
    return iroh_blobs_get(s->liar.c, s->liar.here, &s->content, &s->options);
}

static void scene_end(scene *s) {
    blobs_liar_free(&s->liar);
    free(s->data);
    free(s->encoding);
}

// What the store has of the blob is right, and at least `least` bytes of it.
static void assert_prefix(scene *s, size_t least) {
    uint8_t *got = malloc(SIZE);
    size_t there = 0;
    assert_non_null(got);
    for (size_t at = 0; at < SIZE; at += 1024) {
        int64_t n = iroh_store_read(s->liar.here, &s->content.hash, at, got, SIZE - at < 1024 ? SIZE - at : 1024);
        if (n < 0)
            continue;
        assert_memory_equal(got, s->data + at, (size_t)n);
        there += (size_t)n;
    }
    assert_true(there >= least);
    free(got);
}

static void assert_incomplete(scene *s) {
    iroh_blob_status status;
    assert_int_equal(iroh_store_status(s->liar.here, &s->content.hash, &status), 0);
    assert_int_not_equal(status.state, IROH_BLOB_COMPLETE);
}

static void the_truth_is_taken(void **state) {
    (void)state;
    scene s;
    scene_set(&s);
    assert_int_equal(scene_play(&s), 0);
    assert_prefix(&s, SIZE);
    scene_end(&s);
}

static void wrong_bytes_are_not_stored(void **state) {
    (void)state;
    for (size_t part = 0; part < 4; part++) {
        scene s;
        scene_set(&s);
        size_t at = part == 0 ? 8 : s.len * part / 3 - 1;
        s.encoding[at] ^= 1;
        assert_int_equal(scene_play(&s), IROH_ERR_PROTOCOL);
        assert_incomplete(&s);
        size_t groups = at / (BAO_GROUP + 64);  // about so many come before the wrong one
        assert_prefix(&s, groups > 2 ? (groups - 2) * BAO_GROUP : 0);
        scene_end(&s);
    }
}

static void claim_size(scene *s, uint64_t size) {
    for (int i = 0; i < 8; i++)
        s->encoding[i] = (uint8_t)(size >> (8 * i));
}

static void wrong_sizes_are_noticed(void **state) {
    (void)state;
    static const uint64_t sizes[] = {SIZE - 1, SIZE + 1, 1, 16384, SIZE * 2, UINT64_C(1) << 40, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        scene s;
        scene_set(&s);
        claim_size(&s, sizes[i]);
        s.liar.then = LIAR_FINISHES;
        int r = scene_play(&s);
        // Where the tree looks alike until the stream ends, there is just an end where more should be.
        assert_true(r == IROH_ERR_PROTOCOL || r == IROH_ERR_FINISHED || r == IROH_ERR_NOT_FOUND);
        assert_incomplete(&s);
        assert_prefix(&s, 0);
        scene_end(&s);
    }
}

static void absurd_sizes_are_refused(void **state) {
    (void)state;
    scene s;
    scene_set(&s);
    claim_size(&s, UINT64_MAX);
    assert_int_equal(scene_play(&s), IROH_ERR_TOO_LARGE);
    scene_end(&s);
    scene_set(&s);
    s.options.max_size = SIZE - 1;
    assert_int_equal(scene_play(&s), IROH_ERR_TOO_LARGE);
    assert_incomplete(&s);
    scene_end(&s);
}

static void a_size_of_nothing_means_not_found(void **state) {
    (void)state;
    scene s;
    scene_set(&s);
    claim_size(&s, 0);
    s.liar.len = 8;
    assert_int_equal(scene_play(&s), IROH_ERR_NOT_FOUND);
    scene_end(&s);
}

static void early_ends_are_told_apart(void **state) {
    (void)state;
    scene s;
    scene_set(&s);
    s.liar.len = 0;
    assert_int_equal(scene_play(&s), IROH_ERR_NOT_FOUND);
    scene_end(&s);
    scene_set(&s);
    s.liar.len = s.len / 2 + 1;  // in the middle of a group
    assert_int_equal(scene_play(&s), IROH_ERR_FINISHED);
    assert_prefix(&s, SIZE / 2 - 2 * BAO_GROUP);
    scene_end(&s);
    scene_set(&s);
    s.liar.len = 8 + 64;  // between two parents
    assert_int_equal(scene_play(&s), IROH_ERR_NOT_FOUND);
    scene_end(&s);
}

static void resets_and_closes_say_why(void **state) {
    (void)state;
    static const struct {
        int then;
        uint64_t code;
        int error;
    } rows[] = {{LIAR_RESETS, 1, IROH_ERR_ACCESS},     {LIAR_RESETS, 2, IROH_ERR_LIMIT},
                {LIAR_RESETS, 3, IROH_ERR_NOT_FOUND},  {LIAR_RESETS, 77, IROH_ERR_RESET},
                {LIAR_CLOSES, 1, IROH_ERR_ACCESS},     {LIAR_CLOSES, 2, IROH_ERR_LIMIT},
                {LIAR_CLOSES, 9, IROH_ERR_PEER_CLOSED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scene s;
        scene_set(&s);
        s.liar.len /= 2;
        s.liar.then = rows[i].then;
        s.liar.code = rows[i].code;
        assert_int_equal(scene_play(&s), rows[i].error);
        assert_incomplete(&s);
        assert_prefix(&s, 0);
        scene_end(&s);
    }
}

static void silence_ends_in_a_timeout(void **state) {
    (void)state;
    scene s;
    scene_set(&s);
    s.liar.len = s.len - 5000;
    s.liar.then = LIAR_STALLS;
    s.options.stall_ms = STALL_MS;
    assert_int_equal(scene_play(&s), IROH_ERR_TIMEOUT);
    assert_prefix(&s, SIZE - 3 * BAO_GROUP);
    scene_end(&s);
}

static void endless_answers_are_not_read_to_the_end(void **state) {
    (void)state;
    scene s;
    scene_set(&s);
    s.liar.then = LIAR_GOES_ON;
    assert_int_equal(scene_play(&s), 0);
    assert_prefix(&s, SIZE);
    scene_end(&s);
}

// What a liar left is where an honest provider goes on.
static void an_honest_provider_brings_the_rest(void **state) {
    (void)state;
    scene s;
    blobs_duo d;
    scene_set(&s);
    s.liar.len = s.len - 100000;
    s.liar.then = LIAR_FINISHES;
    assert_true(scene_play(&s) < 0);
    assert_prefix(&s, SIZE - 100000 - 3 * BAO_GROUP);
    blobs_duo_open(&d, NULL);
    assert_memory_equal(blobs_add(d.there, SIZE).bytes, s.content.hash.bytes, 32);
    assert_int_equal(iroh_blobs_get(d.c, s.liar.here, &s.content, NULL), 0);
    blobs_assert_there(s.liar.here, SIZE);
    blobs_duo_free(&d);
    scene_end(&s);
}

// Sequences

static void set_sequence(scene *s, size_t size) {
    *s = (scene){.data = blobs_data(size)};
    s->encoding = blobs_encoding(s->data, size, 0, BAO_END, &s->len);
    iroh_hash_of(s->data, size, &s->content.hash);
    s->content.format = IROH_BLOB_HASH_SEQ;
    s->liar.bytes = s->encoding;
    s->liar.len = s->len;
    iroh_get_options_default(&s->options);
}

static void what_is_no_sequence_is_refused(void **state) {
    (void)state;
    scene s;
    set_sequence(&s, 100);
    assert_int_equal(scene_play(&s), IROH_ERR_LENGTH);
    scene_end(&s);
}

static void sequences_have_a_limit_of_their_own(void **state) {
    (void)state;
    scene s;
    set_sequence(&s, 64000);
    s.options.max_sequence = 63999;
    assert_int_equal(scene_play(&s), IROH_ERR_TOO_LARGE);
    scene_end(&s);
}

static void children_that_do_not_come_are_not_found(void **state) {
    (void)state;
    scene s;
    set_sequence(&s, 640);
    assert_int_equal(scene_play(&s), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_content_is_complete(s.liar.here, &s.content), 0);
    iroh_blob_status status;
    assert_int_equal(iroh_store_status(s.liar.here, &s.content.hash, &status), 0);
    assert_int_equal(status.state, IROH_BLOB_COMPLETE);
    scene_end(&s);
}

#define LITTLE_ITEMS 50000

// Ever another chunk, here and there, each in an item of its own.
static uint8_t *little_items(size_t *len) {
    size_t room = (size_t)LITTLE_ITEMS * 24;
    uint8_t *bytes = malloc(room);
    assert_non_null(bytes);
    writer w = writer_of(bytes, room);
    for (uint64_t i = 0; i < LITTLE_ITEMS; i++) {
        uint64_t chunk = 4 * (i * 7919 % LITTLE_ITEMS), at[] = {chunk, chunk + 1};
        proto_have item = {.size = UINT64_C(1) << 40, .count = 2, .at = at};
        proto_have_write(&w, &item);
    }
    *len = writer_len(&w);
    return bytes;
}

// All of what is known is gone through when there is news, so what came together has to be told together.
static void many_little_news_are_heard_together(void **state) {
    (void)state;
    static uint64_t got[2 * LITTLE_ITEMS];
    size_t len, count = 0, calls = 0;
    uint8_t *bytes = little_items(&len);
    blobs_liar l = {.bytes = bytes, .len = len, .then = LIAR_FINISHES};
    iroh_remote_observer *o;
    iroh_hash hash;
    int r = 0;
    iroh_hash_of("x", 1, &hash);
    blobs_liar_open(&l);
    assert_int_equal(iroh_remote_observer_new(l.c, &hash, LONG_MS, &o), 0);
    while ((r = iroh_remote_observer_next(o, LONG_MS, NULL, got, 2 * (size_t)LITTLE_ITEMS, &count, NULL)) == 0)
        calls++;
    assert_int_equal(r, IROH_ERR_FINISHED);
    assert_int_equal(count, 2 * LITTLE_ITEMS);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got[i], 4 * (i / 2) + i % 2);
    assert_true(calls < LITTLE_ITEMS / 10);
    iroh_remote_observer_free(o);
    blobs_liar_free(&l);
    free(bytes);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_truth_is_taken),
        cmocka_unit_test(wrong_bytes_are_not_stored),
        cmocka_unit_test(wrong_sizes_are_noticed),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(a_size_of_nothing_means_not_found),
        cmocka_unit_test(early_ends_are_told_apart),
        cmocka_unit_test(resets_and_closes_say_why),
        cmocka_unit_test(silence_ends_in_a_timeout),
        cmocka_unit_test(endless_answers_are_not_read_to_the_end),
        cmocka_unit_test(an_honest_provider_brings_the_rest),
        cmocka_unit_test(what_is_no_sequence_is_refused),
        cmocka_unit_test(sequences_have_a_limit_of_their_own),
        cmocka_unit_test(children_that_do_not_come_are_not_found),
        cmocka_unit_test(many_little_news_are_heard_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
