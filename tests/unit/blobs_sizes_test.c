// Sizes that a getter asks for before it fetches the children of a hash sequence.
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/blobs_support.h"

#define CHILDREN 20

static atomic_uint requests;
static iroh_get_progress first, last;

static int on_event(void *user, const iroh_provider_event *e) {
    (void)user;
    requests += e->kind == IROH_PROVIDER_REQUEST;
    return 0;
}

static void on_progress(void *user, const iroh_get_progress *p) {
    (void)user;
    if (first.count == 0)
        first = *p;
    last = *p;
}

static size_t child_size(size_t i) {
    return i * 9001;
}

// All but the children from `missing` on are in the store.
static iroh_content add_sequence(iroh_store *s, size_t missing) {
    iroh_hash hashes[CHILDREN], root;
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    for (size_t i = 0; i < CHILDREN; i++) {
        uint8_t *data = blobs_data(child_size(i));
        iroh_hash_of(data, child_size(i), &hashes[i]);
        if (i < missing)
            assert_int_equal(iroh_store_add_bytes(s, data, child_size(i), NULL, &hashes[i]), 0);
        free(data);
    }
    assert_int_equal(iroh_store_add_bytes(s, hashes, sizeof hashes, &o, &root), 0);
    return blobs_seq(root);
}

static uint64_t sum(void) {
    uint64_t n = CHILDREN * sizeof(iroh_hash);
    for (size_t i = 0; i < CHILDREN; i++)
        n += child_size(i);
    return n;
}

static void open_duo(blobs_duo *d) {
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.event = on_event;
    blobs_duo_open(d, &config);
    requests = 0;
    first = last = (iroh_get_progress){0};
}

static int get(const blobs_duo *d, const iroh_content *content, size_t sizes_of) {
    iroh_get_options o;
    iroh_get_options_default(&o);
    o.sizes_of = sizes_of;
    o.progress = on_progress;
    return iroh_blobs_get(d->c, d->here, content, &o);
}

// One request for the sequence, one for the sizes, one for the rest.
static void the_total_is_known_at_once(void **state) {
    (void)state;
    blobs_duo d;
    open_duo(&d);
    iroh_content content = add_sequence(d.there, CHILDREN);
    assert_int_equal(get(&d, &content, CHILDREN), 0);
    assert_int_equal(iroh_content_is_complete(d.here, &content), 1);
    assert_int_equal(requests, 3);
    assert_true(first.total == sum() && last.total == sum());
    assert_int_equal(last.blobs, CHILDREN);  // with the sequence, without the empty one
    assert_in_range(last.have + last.bytes, sum(), sum() + CHILDREN * 1024);
    // Nothing is asked for again.
    assert_int_equal(get(&d, &content, CHILDREN), 0);
    assert_int_equal(requests, 3);
    blobs_duo_free(&d);
}

static void of_too_many_nothing_is_asked(void **state) {
    (void)state;
    blobs_duo d;
    open_duo(&d);
    iroh_content content = add_sequence(d.there, CHILDREN);
    assert_int_equal(get(&d, &content, CHILDREN - 1), 0);
    assert_int_equal(requests, 2);
    assert_int_equal(last.total, 0);
    assert_int_equal(last.blobs, CHILDREN);
    blobs_duo_free(&d);
}

// It is told by the request for the children, as without sizes.
static void what_is_missing_is_told_as_ever(void **state) {
    (void)state;
    blobs_duo d;
    iroh_blob_status status;
    open_duo(&d);
    iroh_content content = add_sequence(d.there, CHILDREN - 1);
    assert_int_equal(get(&d, &content, CHILDREN), IROH_ERR_NOT_FOUND);
    assert_int_equal(last.total, 0);
    assert_int_equal(requests, 3);
    // What is not even a sequence is told as ever.
    iroh_content none = blobs_seq(blobs_add(d.there, 33));
    assert_int_equal(get(&d, &none, CHILDREN), IROH_ERR_LENGTH);
    iroh_content absent = blobs_seq(blobs_add(d.here, 3));
    absent.hash.bytes[0] ^= 1;
    assert_int_equal(get(&d, &absent, CHILDREN), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_store_status(d.here, &absent.hash, &status), 0);
    assert_int_equal(status.state, IROH_BLOB_ABSENT);
    blobs_duo_free(&d);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_total_is_known_at_once),
        cmocka_unit_test(of_too_many_nothing_is_asked),
        cmocka_unit_test(what_is_missing_is_told_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
