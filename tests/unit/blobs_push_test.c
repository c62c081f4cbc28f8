// Pushing where the other side is like the original: a pusher that does not listen, and receivers that stop reading.
#include <stdio.h>
#include <stdlib.h>

#include "blobs/bao.h"
#include "blobs/proto.h"
#include "unit/blobs_support.h"

#define SIZE 8000000  // bytes, more than a stream takes before its reader has read

static size_t push_head(uint8_t *out, size_t room, const iroh_hash *hash) {
    static const uint8_t whole[] = {2, 0, 1, 0, 1, 0};
    writer w = writer_of(out, room);
    writer_u8(&w, PROTO_PUSH);
    writer_u8(&w, 32 + sizeof whole);
    writer_bytes(&w, hash->bytes, sizeof hash->bytes);
    writer_bytes(&w, whole, sizeof whole);
    assert_false(w.failed);
    return writer_len(&w);
}

// The original's pusher stops the half that it will not read before it sends anything.
static void pushers_that_do_not_listen_are_heard(void **state) {
    (void)state;
    blobs_duo d;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.serve |= IROH_SERVE_PUSH;
    blobs_duo_open(&d, &config);
    uint8_t *data = blobs_data(SIZE), head[64];
    iroh_hash hash;
    iroh_stream *s;
    size_t len;
    uint8_t *encoding = blobs_encoding(data, SIZE, 0, BAO_END, &len);
    iroh_hash_of(data, SIZE, &hash);
    size_t head_len = push_head(head, sizeof head, &hash);
    assert_int_equal(iroh_connection_open_bi(d.c, LONG_MS, &s), 0);
    assert_int_equal(iroh_stream_stop(s, 0), 0);
    assert_int_equal(iroh_stream_write_all(s, head, head_len, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_write_all(s, encoding, len, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_finish(s), 0);
    assert_int_equal(iroh_stream_wait_finished(s, LONG_MS), 0);
    iroh_stream_free(s);
    iroh_content content = blobs_raw(hash);
    while (iroh_content_is_complete(d.there, &content) != 1)
        (void)iroh_blobs_get(d.c, d.here, &content, NULL);
    blobs_assert_there(d.there, SIZE);
    blobs_duo_free(&d);
    free(encoding);
    free(data);
}

// Who reads `len` bytes of what is pushed, says that the push is taken, and reads no more.
typedef struct taker {
    iroh_endpoint *endpoint;
    size_t len;
    pthread_t thread;
} taker;

static void *take(void *user) {
    const taker *t = user;
    static uint8_t block[65536];
    iroh_connection *c;
    iroh_stream *s;
    thread_check(iroh_endpoint_accept(t->endpoint, LONG_MS, &c) == 0, "accept");
    thread_check(iroh_connection_accept_bi(c, LONG_MS, &s) == 0, "accept_bi");
    for (size_t left = t->len; left > 0;) {
        int64_t n = iroh_stream_read(s, block, left < sizeof block ? left : sizeof block, LONG_MS);
        thread_check(n > 0, "read");
        left -= (size_t)n;
    }
    // The pusher may have heard by now that all has arrived, and be gone.
    (void)iroh_stream_finish(s);
    (void)iroh_stream_stop(s, 0);
    (void)iroh_connection_closed(c, LONG_MS);
    iroh_stream_free(s);
    iroh_connection_free(c);
    return NULL;
}

static int push_to(size_t len) {
    iroh_endpoint_config config;
    iroh_slice alpn = {IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN)};
    duo_config(&config, OWN_THREAD);
    config.alpns = &alpn;
    config.alpn_count = 1;
    taker t = {.endpoint = duo_bind(&config), .len = len};
    iroh_endpoint *client = duo_bind(&config);
    iroh_connection *c;
    iroh_store *s;
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    iroh_content content = blobs_raw(blobs_add(s, SIZE));
    assert_int_equal(pthread_create(&t.thread, NULL, take, &t), 0);
    assert_int_equal(duo_dial(client, t.endpoint, IROH_BLOBS_ALPN, NULL, LONG_MS, &c), 0);
    int r = iroh_blobs_push(c, s, &content, NULL);
    iroh_connection_free(c);
    assert_int_equal(pthread_join(t.thread, NULL), 0);
    iroh_endpoint_free(client);
    iroh_endpoint_free(t.endpoint);
    iroh_store_free(s);
    return r;
}

static size_t pushed_size(void) {
    ranges all = RANGES_INIT;
    assert_int_equal(ranges_add(&all, 0, BAO_END), 0);
    size_t size = (size_t)bao_encoded_size(SIZE, &all);
    ranges_dispose(&all);
    return 40 + size;  // type, length, hash and ranges before it
}

// The original stops without a code, maybe before it has seen the end.
static void receivers_that_have_it_all_may_stop(void **state) {
    (void)state;
    assert_int_equal(push_to(pushed_size()), 0);
}

static void receivers_that_stop_in_the_middle_have_not_got_it(void **state) {
    (void)state;
    assert_int_equal(push_to(1), IROH_ERR_STOPPED);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushers_that_do_not_listen_are_heard),
        cmocka_unit_test(receivers_that_have_it_all_may_stop),
        cmocka_unit_test(receivers_that_stop_in_the_middle_have_not_got_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
