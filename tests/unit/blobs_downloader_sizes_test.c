// Sizes that a download asks for before it fetches children: with one request, from whoever answers.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/blobs_scene_support.h"

#define FEW 20            // children, all of one group at most
#define SOME ((size_t)4)  // children, some of them large
#define LIMIT 10          // bytes after which villains misbehave: before anything verifies

static size_t few_size(size_t i) {
    return i * 800;
}

static size_t some_size(size_t i) {
    return 1000000 * i + 17;
}

// With `modulo` > 0 only the children whose number leaves that rest are there.
static iroh_content add_sequence(iroh_store *s, size_t count, size_t (*size)(size_t), size_t modulo, size_t rest) {
    iroh_hash hashes[FEW], root;
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    for (size_t i = 0; i < count; i++) {
        uint8_t *data = blobs_data(size(i));
        if (modulo == 0 || i % modulo == rest)
            assert_int_equal(iroh_store_add_bytes(s, data, size(i), NULL, &hashes[i]), 0);
        else
            iroh_hash_of(data, size(i), &hashes[i]);
        free(data);
    }
    assert_int_equal(iroh_store_add_bytes(s, hashes, count * sizeof *hashes, &o, &root), 0);
    return blobs_seq(root);
}

static uint64_t sum_of(size_t count, size_t (*size)(size_t)) {
    uint64_t sum = count * sizeof(iroh_hash);
    for (size_t i = 0; i < count; i++)
        sum += size(i);
    return sum;
}

// One for the sequence, one for the ends of all children, and one or two for all of them. The last chunks come twice.
static void one_request_is_enough(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 1, 0);
    scene_want(&s, add_sequence(s.parties[0].store, FEW, few_size, 0, 0));
    s.options.sizes_of = FEW;
    assert_int_equal(scene_fetch(&s), 0);
    assert_true(s.last.total == sum_of(FEW, few_size));
    assert_in_range(s.last.bytes, s.last.total, s.last.total + FEW * 1024);
    assert_int_equal(s.last.blobs, FEW);  // with the sequence, without the empty one
    assert_in_range(scene_source(&s, 0).requests, 3, 4);
    scene_free(&s);
}

static uint64_t total_at_end_of_first;

static void watch(void *user, const iroh_get_progress *p) {
    scene_progress(user, p);
    if (p->blobs == 2)
        total_at_end_of_first = p->total;
}

static void the_total_is_known_before_the_first_child_is_there(void **state) {
    (void)state;
    scene s;
    iroh_content content = {{{0}}, 0};
    scene_open(&s, 3, 0);
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, SOME, some_size, 0, 0);
    scene_want(&s, content);
    s.options.sizes_of = SOME;
    s.options.progress = watch;
    total_at_end_of_first = 0;
    assert_int_equal(scene_fetch(&s), 0);
    assert_true(total_at_end_of_first == sum_of(SOME, some_size));
    assert_int_equal(s.last.blobs, SOME + 1);
    assert_int_equal(iroh_content_is_complete(s.here, &content), 1);
    scene_free(&s);
}

static void nobody_is_asked_about_too_many(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 1, 0);
    scene_want(&s, add_sequence(s.parties[0].store, FEW, few_size, 0, 0));
    s.options.sizes_of = FEW - 1;
    assert_int_equal(scene_fetch(&s), 0);
    assert_int_equal(s.last.total, 0);
    // Nothing to ask for, and nobody to wait for.
    scene_want(&s, add_sequence(s.parties[0].store, 0, few_size, 0, 0));
    assert_int_equal(scene_fetch(&s), 0);
    scene_free(&s);
}

// A download of something else leaves a connection to the villain, who is therefore asked first.
static void connect_to(scene *s, const villain *v) {
    iroh_hash nothing;
    iroh_hash_of("nothing", 7, &nothing);
    scene_want(s, blobs_raw(nothing));
    scene_add(s, v->ep);
    assert_int_equal(scene_fetch(s), IROH_ERR_NOT_FOUND);
}

// The sequence is there, so that the first request is that for sizes.
static void another_one_is_asked(void **state) {
    (void)state;
    static const int hows[] = {STALLS, LIES, DIES, REFUSES};
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        scene s;
        villain v;
        party good;
        scene_open(&s, 0, 0);
        party_open(&good, NULL, 0);
        iroh_content content = add_sequence(good.store, SOME, some_size, 0, 0);
        (void)add_sequence(s.here, SOME, some_size, SOME, SOME);
        villain_open(&v, hows[i], LIMIT, good.store);
        connect_to(&s, &v);
        scene_want(&s, content);
        scene_add(&s, v.ep);
        scene_add(&s, good.ep);
        s.options.sizes_of = SOME;
        assert_int_equal(scene_fetch(&s), 0);
        assert_int_equal(v.sent, LIMIT);
        assert_int_equal(iroh_content_is_complete(s.here, &content), 1);
        assert_true(s.last.total == sum_of(SOME, some_size));
        villain_free(&v);
        scene_free(&s);
        party_free(&good);
    }
}

// Each of two has every second child.
static void several_know_it_together(void **state) {
    (void)state;
    scene s;
    iroh_content content = {{{0}}, 0};
    scene_open(&s, 2, 0);
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, FEW, few_size, 2, i);
    scene_want(&s, content);
    s.options.sizes_of = FEW;
    assert_int_equal(scene_fetch(&s), 0);
    assert_int_equal(iroh_content_is_complete(s.here, &content), 1);
    scene_free(&s);
}

static void what_nobody_knows_is_not_waited_for(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 2, 0);
    iroh_content content = {{{0}}, 0};
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, FEW, few_size, 3, i);
    scene_want(&s, content);
    s.options.sizes_of = FEW;
    assert_int_equal(scene_fetch(&s), IROH_ERR_NOT_FOUND);
    assert_int_equal(s.last.total, 0);
    scene_free(&s);
}

static int cancel_pipe[2];

static void cancel_in_the_middle(void *user, const iroh_get_progress *p) {
    scene_progress(user, p);
    if (p->total > 0 && p->bytes > p->total / 2 && cancel_pipe[1] >= 0) {
        assert_int_equal(write(cancel_pipe[1], "", 1), 1);
        close(cancel_pipe[1]);
        cancel_pipe[1] = -1;
    }
}

// Sizes that are known are not asked for again, and what is there and what comes make the total.
static void a_later_run_knows_them(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 1, 4000000);
    iroh_content content = add_sequence(s.parties[0].store, SOME, some_size, 0, 0);
    scene_want(&s, content);
    s.options.sizes_of = SOME;
    assert_int_equal(pipe(cancel_pipe), 0);
    s.options.cancel_fd = cancel_pipe[0];
    s.options.progress = cancel_in_the_middle;
    assert_int_equal(scene_fetch(&s), IROH_ERR_CLOSED);
    s.options.cancel_fd = -1;
    assert_int_equal(scene_fetch(&s), 0);
    assert_true(s.last.total == sum_of(SOME, some_size));
    // Of a blob that is there in part, chunks are counted; the last one may be shorter.
    assert_in_range(s.last.have + s.last.bytes, s.last.total, s.last.total + SOME * 1024);
    assert_true(s.last.have > s.last.total / 3);
    close(cancel_pipe[0]);
    scene_free(&s);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_is_enough),
        cmocka_unit_test(the_total_is_known_before_the_first_child_is_there),
        cmocka_unit_test(nobody_is_asked_about_too_many),
        cmocka_unit_test(another_one_is_asked),
        cmocka_unit_test(several_know_it_together),
        cmocka_unit_test(what_nobody_knows_is_not_waited_for),
        cmocka_unit_test(a_later_run_knows_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
