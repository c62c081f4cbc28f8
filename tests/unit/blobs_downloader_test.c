// Downloads of a blob from several providers at once, some of which lie, fall silent, die, or have only a part.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobs/bao.h"
#include "unit/blobs_scene_support.h"

static void blobs_of_all_sizes_arrive(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 1024, 1025, 16384, 16385, 100000, 1048576, 1048577, SIZE, LARGE};
    scene s;
    scene_open(&s, 2, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        scene_want(&s, scene_everywhere(&s, sizes[i]));
        assert_int_equal(scene_fetch(&s), 0);
        blobs_assert_there(s.here, sizes[i]);
        if (sizes[i] > 0) {
            assert_int_equal(s.last.blobs, 1);
            assert_true(scene_sum(&s, 2) >= sizes[i]);
        }
        assert_int_equal(scene_fetch(&s), 0);  // again, with nothing to do
    }
    scene_free(&s);
}

// Of two that are equally fast, each sends about a half, and nothing much comes twice.
static void equals_send_equal_parts(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 2, 8000000);
    scene_want(&s, scene_everywhere(&s, LARGE));
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, LARGE);
    for (size_t i = 0; i < 2; i++)
        assert_true(scene_source(&s, i).bytes > LARGE / 5);
    assert_true(scene_sum(&s, 2) >= LARGE);
    assert_true(scene_sum(&s, 2) < LARGE + LARGE / 5);
    scene_free(&s);
}

static void play_villain(int how, size_t limit, int error) {
    scene s;
    villain v;
    scene_open(&s, 2, 6000000);
    iroh_content content = scene_everywhere(&s, LARGE);
    villain_open(&v, how, limit, s.parties[0].store);
    assert_int_equal(iroh_download_new(s.downloader, &content, &s.download), 0);
    scene_add(&s, v.ep);
    scene_add(&s, s.parties[0].ep);
    scene_add(&s, s.parties[1].ep);
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, LARGE);
    assert_int_equal(scene_source(&s, 0).error, error);
    assert_true(scene_source(&s, 0).bytes <= limit + 3 * VILLAIN_PIECE);
    villain_free(&v);
    scene_free(&s);
}

static void liars_are_not_asked_again(void **state) {
    (void)state;
    play_villain(LIES, 0, IROH_ERR_PROTOCOL);
    play_villain(LIES, 700000, IROH_ERR_PROTOCOL);
}

static void who_stalls_loses_its_part(void **state) {
    (void)state;
    play_villain(STALLS, 0, IROH_ERR_TIMEOUT);
    play_villain(STALLS, 700000, IROH_ERR_TIMEOUT);
}

static void who_dies_loses_its_part(void **state) {
    (void)state;
    play_villain(DIES, 700000, IROH_ERR_PEER_CLOSED);
}

static void who_refuses_is_not_asked_again(void **state) {
    (void)state;
    play_villain(REFUSES, 300000, IROH_ERR_ACCESS);
}

// Somebody tells for ever what he has, and it is not true: nobody listens for ever.
static void who_tells_without_end_is_not_listened_to(void **state) {
    (void)state;
    scene s;
    villain v;
    scene_open(&s, 1, 2000000);
    iroh_content content = scene_everywhere(&s, SIZE);
    villain_open(&v, FLOODS, 0, s.parties[0].store);
    assert_int_equal(iroh_download_new(s.downloader, &content, &s.download), 0);
    scene_add(&s, v.ep);
    scene_add(&s, s.parties[0].ep);
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, SIZE);
    assert_true(v.items > 0);
    villain_free(&v);
    scene_free(&s);
}

// An id with an address of nobody's, or none, and the same id with the right one.
static void addresses_of_an_id_are_put_together(void **state) {
    (void)state;
    scene s;
    party good;
    iroh_addr *bare;
    scene_open(&s, 0, 0);
    party_open(&good, NULL, 0);
    scene_want(&s, blobs_raw(blobs_add(good.store, SIZE)));
    iroh_addr *whole = duo_addr(good.ep);
    iroh_public_key id = iroh_addr_id(whole);
    assert_int_equal(iroh_addr_new(&id, &bare), 0);
    assert_int_equal(iroh_download_add(s.download, bare), 0);
    assert_int_equal(iroh_download_add(s.download, whole), 0);
    iroh_addr_free(bare);
    iroh_addr_free(whole);
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, SIZE);
    iroh_download_source none;
    assert_int_equal(iroh_download_source_get(s.download, 1, &none), IROH_ERR_RANGE);
    scene_free(&s);
    party_free(&good);
}

// What is only partly there

#define MIDDLE ((uint64_t)1504)  // chunks of SIZE, a bit more than half, in whole groups

static void two_halves_make_a_whole(void **state) {
    (void)state;
    scene s;
    iroh_store *all;
    assert_int_equal(iroh_store_memory(NULL, &all), 0);
    scene_open(&s, 2, 0);
    iroh_content content = blobs_raw(blobs_add(all, SIZE));
    copy_chunks(all, s.parties[0].store, &content, 0, MIDDLE);
    copy_chunks(all, s.parties[1].store, &content, MIDDLE, UINT64_MAX);
    scene_want(&s, content);
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, SIZE);
    assert_int_equal(scene_source(&s, 0).bytes, MIDDLE * 1024);
    assert_int_equal(scene_source(&s, 1).bytes, SIZE - MIDDLE * 1024);
    scene_free(&s);
    iroh_store_free(all);
}

// What none of them has is missed in the end, and everything else is there.
static void a_gap_is_not_found_and_the_rest_kept(void **state) {
    (void)state;
    scene s;
    iroh_store *all;
    iroh_blob_status status;
    assert_int_equal(iroh_store_memory(NULL, &all), 0);
    scene_open(&s, 2, 0);
    iroh_content content = blobs_raw(blobs_add(all, SIZE));
    copy_chunks(all, s.parties[0].store, &content, 0, MIDDLE - 160);
    copy_chunks(all, s.parties[1].store, &content, MIDDLE, UINT64_MAX);
    scene_want(&s, content);
    assert_int_equal(scene_fetch(&s), IROH_ERR_NOT_FOUND);
    assert_int_equal(s.last.bytes, SIZE - (size_t)160 * 1024);
    assert_int_equal(iroh_store_status(s.here, &content.hash, &status), 0);
    assert_int_equal(status.state, IROH_BLOB_PARTIAL);
    // Somebody who has it comes, and another run fetches it and no more.
    party late;
    party_open(&late, all, 0);
    scene_add(&s, late.ep);
    assert_int_equal(scene_fetch(&s), 0);
    assert_int_equal(s.last.bytes, (size_t)160 * 1024);
    blobs_assert_there(s.here, SIZE);
    scene_free(&s);
    party_free(&late);
    iroh_store_free(all);
}

// Waiting for others

typedef struct helper {
    scene *scene;
    iroh_endpoint *ep;      // is added
    iroh_store *from, *to;  // or a blob is completed
    const iroh_content *content;
} helper;

static void *help_later(void *user) {
    helper *h = user;
    usleep(200000);
    if (h->ep != NULL) {
        iroh_addr *a = NULL;
        thread_check(iroh_endpoint_addr(h->ep, &a) == 0, "address");
        thread_check(iroh_download_add(h->scene->download, a) == 0, "add");
        iroh_addr_free(a);
    } else {
        copy_chunks(h->from, h->to, h->content, MIDDLE, UINT64_MAX);
    }
    return NULL;
}

static int fetch_helped(scene *s, helper *h) {
    pthread_t thread;
    h->scene = s;
    assert_int_equal(pthread_create(&thread, NULL, help_later, h), 0);
    int r = iroh_download_run(s->download, LONG_MS, &s->options);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return r;
}

// The first to come has nothing, the second one is silent; who comes while it runs has it.
static void a_provider_may_be_added_later(void **state) {
    (void)state;
    scene s;
    villain v;
    party late;
    scene_open(&s, 1, 0);
    party_open(&late, NULL, 0);
    iroh_content content = blobs_raw(blobs_add(late.store, SIZE));
    villain_open(&v, STALLS, 100000, late.store);
    scene_want(&s, content);
    scene_add(&s, v.ep);
    helper h = {.ep = late.ep};
    assert_int_equal(fetch_helped(&s, &h), 0);
    blobs_assert_there(s.here, SIZE);
    assert_true(scene_source(&s, 2).bytes > SIZE / 2);
    villain_free(&v);
    scene_free(&s);
    party_free(&late);
}

// It has the first half, and gets the second while the download waits for that.
static void what_a_provider_gets_meanwhile_is_asked_for(void **state) {
    (void)state;
    scene s;
    iroh_store *all;
    assert_int_equal(iroh_store_memory(NULL, &all), 0);
    scene_open(&s, 1, 0);
    iroh_content content = blobs_raw(blobs_add(all, SIZE));
    copy_chunks(all, s.parties[0].store, &content, 0, MIDDLE);
    scene_want(&s, content);
    helper h = {.from = all, .to = s.parties[0].store, .content = &content};
    assert_int_equal(fetch_helped(&s, &h), 0);
    blobs_assert_there(s.here, SIZE);
    assert_int_equal(scene_source(&s, 0).bytes, SIZE);
    scene_free(&s);
    iroh_store_free(all);
}

// Ends

static int cancel_pipe[2];

static void cancel_after_some(void *user, const iroh_get_progress *p) {
    scene_progress(user, p);
    if (p->bytes > SIZE / 4 && cancel_pipe[1] >= 0) {
        assert_int_equal(write(cancel_pipe[1], "", 1), 1);
        close(cancel_pipe[1]);
        cancel_pipe[1] = -1;
    }
}

static void what_was_cancelled_goes_on(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 2, 2000000);
    scene_want(&s, scene_everywhere(&s, SIZE));
    assert_int_equal(pipe(cancel_pipe), 0);
    s.options.cancel_fd = cancel_pipe[0];
    s.options.progress = cancel_after_some;
    assert_int_equal(scene_fetch(&s), IROH_ERR_CLOSED);
    uint64_t before = s.last.bytes;
    assert_true(before > SIZE / 4 && before < SIZE);
    s.options.cancel_fd = -1;
    assert_int_equal(scene_fetch(&s), 0);
    assert_true(s.last.bytes <= SIZE - before + (size_t)4 * BAO_GROUP);
    blobs_assert_there(s.here, SIZE);
    close(cancel_pipe[0]);
    scene_free(&s);
}

static void when_all_fail_the_most_telling_error_is_told(void **state) {
    (void)state;
    scene s;
    villain liar;
    iroh_downloader_options o;
    iroh_store *all;
    iroh_secret_key nobody;
    iroh_public_key id;
    iroh_addr *a;
    assert_int_equal(iroh_store_memory(NULL, &all), 0);
    scene_open(&s, 1, 0);
    iroh_content content = blobs_raw(blobs_add(all, SIZE));
    iroh_downloader_options_default(&o);
    o.tries = 1;  // else each run waits four seconds for an address
    scene_downloader(&s, &o);
    assert_int_equal(iroh_download_new(s.downloader, &content, &s.download), 0);
    assert_int_equal(scene_fetch(&s), IROH_ERR_NOT_FOUND);  // nobody to ask
    iroh_secret_key_generate(&nobody);
    iroh_secret_key_public(&nobody, &id);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_download_add(s.download, a), 0);
    iroh_addr_free(a);
    assert_int_equal(scene_fetch(&s), IROH_ERR_NO_ADDRESS);
    scene_add(&s, s.parties[0].ep);  // which has nothing
    assert_int_equal(scene_fetch(&s), IROH_ERR_NOT_FOUND);
    villain_open(&liar, LIES, 500000, all);
    scene_add(&s, liar.ep);
    assert_int_equal(scene_fetch(&s), IROH_ERR_PROTOCOL);
    assert_true(s.last.bytes > 0);
    assert_true(scene_source(&s, 2).given_up);
    iroh_download_source none;
    assert_int_equal(iroh_download_source_get(s.download, 3, &none), IROH_ERR_RANGE);
    villain_free(&liar);
    scene_free(&s);
    iroh_store_free(all);
}

static void silence_of_all_ends_in_a_timeout(void **state) {
    (void)state;
    scene s;
    villain v;
    iroh_downloader_options o;
    iroh_store *all;
    assert_int_equal(iroh_store_memory(NULL, &all), 0);
    scene_open(&s, 0, 0);
    iroh_content content = blobs_raw(blobs_add(all, SIZE));
    iroh_downloader_options_default(&o);
    o.tries = 1;
    scene_downloader(&s, &o);
    villain_open(&v, STALLS, 200000, all);
    scene_want(&s, content);
    scene_add(&s, v.ep);
    s.options.stall_ms = 200;
    assert_int_equal(scene_fetch(&s), IROH_ERR_TIMEOUT);
    assert_true(s.last.bytes > 100000);
    villain_free(&v);
    scene_free(&s);
    iroh_store_free(all);
}

static void limits_hold(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 2, 0);
    scene_want(&s, scene_everywhere(&s, SIZE));
    s.options.max_size = SIZE - 1;
    assert_int_equal(scene_fetch(&s), IROH_ERR_TOO_LARGE);
    s.options.max_size = SIZE;
    assert_int_equal(scene_fetch(&s), 0);
    scene_free(&s);
}

static void some_chunks_alone_may_be_wanted(void **state) {
    (void)state;
    scene s;
    iroh_blob_status status;
    scene_open(&s, 1, 0);
    iroh_content content = scene_everywhere(&s, SIZE);
    uint64_t chunks[] = {160, 320, UINT64_MAX};
    scene_want(&s, content);
    s.options.chunks = chunks;
    s.options.chunk_count = 3;
    assert_int_equal(scene_fetch(&s), 0);
    assert_int_equal(s.last.bytes, 160 * 1024 + SIZE % 1024);
    assert_int_equal(iroh_store_status(s.here, &content.hash, &status), 0);
    assert_true(status.size_proven);
    assert_int_equal(status.size, SIZE);
    scene_free(&s);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blobs_of_all_sizes_arrive),
        cmocka_unit_test(equals_send_equal_parts),
        cmocka_unit_test(liars_are_not_asked_again),
        cmocka_unit_test(who_stalls_loses_its_part),
        cmocka_unit_test(who_dies_loses_its_part),
        cmocka_unit_test(who_refuses_is_not_asked_again),
        cmocka_unit_test(who_tells_without_end_is_not_listened_to),
        cmocka_unit_test(addresses_of_an_id_are_put_together),
        cmocka_unit_test(two_halves_make_a_whole),
        cmocka_unit_test(a_gap_is_not_found_and_the_rest_kept),
        cmocka_unit_test(a_provider_may_be_added_later),
        cmocka_unit_test(what_a_provider_gets_meanwhile_is_asked_for),
        cmocka_unit_test(what_was_cancelled_goes_on),
        cmocka_unit_test(when_all_fail_the_most_telling_error_is_told),
        cmocka_unit_test(silence_of_all_ends_in_a_timeout),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(some_chunks_alone_may_be_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
