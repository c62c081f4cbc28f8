#include "unit/blobs_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobs/bao.h"

static iroh_endpoint *bind_blobs(void) {
    iroh_endpoint_config config;
    iroh_slice alpn = {IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN)};
    duo_config(&config, OWN_THREAD);
    config.alpns = &alpn;
    config.alpn_count = 1;
    return duo_bind(&config);
}

static iroh_connection *connect_to(iroh_endpoint *client, iroh_endpoint *server) {
    iroh_connection *c;
    assert_int_equal(duo_dial(client, server, IROH_BLOBS_ALPN, NULL, LONG_MS, &c), 0);
    return c;
}

static void *run_provider(void *user) {
    blobs_duo *d = user;
    thread_check(iroh_provider_run(d->provider, d->server, d->stop[0], IROH_WAIT_FOREVER) == 0, "provider");
    return NULL;
}

void blobs_duo_open(blobs_duo *d, const iroh_provider_config *config) {
    assert_int_equal(iroh_store_memory(NULL, &d->there), 0);
    assert_int_equal(iroh_store_memory(NULL, &d->here), 0);
    d->server = bind_blobs();
    d->client = bind_blobs();
    assert_int_equal(iroh_provider_new(d->there, config, &d->provider), 0);
    assert_int_equal(pipe(d->stop), 0);
    assert_int_equal(pthread_create(&d->thread, NULL, run_provider, d), 0);
    d->c = blobs_duo_connect(d);
}

iroh_connection *blobs_duo_connect(blobs_duo *d) {
    return connect_to(d->client, d->server);
}

void blobs_duo_free(blobs_duo *d) {
    assert_int_equal(write(d->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(d->thread, NULL), 0);
    iroh_connection_free(d->c);
    iroh_provider_free(d->provider);
    iroh_endpoint_free(d->client);
    iroh_endpoint_free(d->server);
    iroh_store_free(d->there);
    iroh_store_free(d->here);
    close(d->stop[0]);
    close(d->stop[1]);
}

uint8_t *blobs_data(size_t len) {
    uint8_t *data = malloc(len + 1);
    uint64_t random = len + 1;
    assert_non_null(data);
    for (size_t i = 0; i < len; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        data[i] = (uint8_t)(random >> 56);
    }
    return data;
}

iroh_hash blobs_add(iroh_store *s, size_t len) {
    uint8_t *data = blobs_data(len);
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, data, len, NULL, &hash), 0);
    free(data);
    return hash;
}

void blobs_assert_there(iroh_store *s, size_t len) {
    uint8_t *data = blobs_data(len), *got;
    size_t got_len;
    iroh_hash hash;
    iroh_hash_of(data, len, &hash);
    assert_int_equal(iroh_store_get(s, &hash, SIZE_MAX, &got, &got_len), 0);
    assert_int_equal(got_len, len);
    assert_memory_equal(got, data, len);
    free(got);
    free(data);
}

iroh_content blobs_raw(iroh_hash hash) {
    return (iroh_content){hash, IROH_BLOB_RAW};
}

iroh_content blobs_seq(iroh_hash hash) {
    return (iroh_content){hash, IROH_BLOB_HASH_SEQ};
}

// Liars

static void lie(const blobs_liar *l, iroh_connection *c, iroh_stream *s) {
    uint8_t request[4096];
    while (iroh_stream_read(s, request, sizeof request, LONG_MS) > 0)
        continue;
    // The other side may have had enough before the end.
    (void)iroh_stream_write_all(s, l->bytes, l->len, LONG_MS, NULL);
    if (l->then == LIAR_FINISHES)
        (void)iroh_stream_finish(s);
    while (l->then == LIAR_GOES_ON && iroh_stream_write_all(s, request, sizeof request, LONG_MS, NULL) == 0)
        continue;
    if (l->then == LIAR_RESETS)
        (void)iroh_stream_reset(s, l->code);
    if (l->then == LIAR_CLOSES)
        (void)iroh_connection_close(c, l->code, "so it is", 8);
    (void)iroh_connection_closed(c, LONG_MS);
}

static void *run_liar(void *user) {
    const blobs_liar *l = user;
    iroh_connection *c;
    while (iroh_endpoint_accept(l->server, IROH_WAIT_FOREVER, &c) == 0) {
        iroh_stream *s;
        if (iroh_connection_accept_bi(c, LONG_MS, &s) == 0) {
            lie(l, c, s);
            iroh_stream_free(s);
        }
        iroh_connection_free(c);
    }
    return NULL;
}

void blobs_liar_open(blobs_liar *l) {
    assert_int_equal(iroh_store_memory(NULL, &l->here), 0);
    l->server = bind_blobs();
    l->client = bind_blobs();
    assert_int_equal(pthread_create(&l->thread, NULL, run_liar, l), 0);
    l->c = connect_to(l->client, l->server);
}

void blobs_liar_free(blobs_liar *l) {
    iroh_connection_free(l->c);
    (void)iroh_endpoint_close(l->client, LONG_MS);
    (void)iroh_endpoint_close(l->server, LONG_MS);
    assert_int_equal(pthread_join(l->thread, NULL), 0);
    iroh_endpoint_free(l->client);
    iroh_endpoint_free(l->server);
    iroh_store_free(l->here);
}

uint8_t *blobs_encoding(const uint8_t *data, size_t size, uint64_t first, uint64_t end, size_t *len) {
    uint8_t *outboard = malloc((size_t)bao_outboard_size(size) + 1), root[BLAKE3_LEN];
    ranges wanted = RANGES_INIT;
    bao_encoder *e;
    assert_non_null(outboard);
    assert_int_equal(bao_outboard(data, size, outboard, root), 0);
    assert_int_equal(ranges_add(&wanted, first, end), 0);
    bao_memory m = {data, size, outboard, (size_t)bao_outboard_size(size)};
    bao_source source = bao_memory_source(&m);
    size_t room = (size_t)bao_encoded_size(size, &wanted);
    uint8_t *out = malloc(room);
    assert_non_null(out);
    assert_int_equal(bao_encoder_new(&e), 0);
    assert_int_equal(bao_encoder_start(e, root, size, &wanted, &source), 0);
    assert_int_equal(bao_encoder_write(e, out, room, len), 1);
    assert_int_equal(*len, room);
    bao_encoder_free(e);
    ranges_dispose(&wanted);
    free(outboard);
    return out;
}
