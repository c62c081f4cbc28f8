// Many threads that take from one source: nothing is lost, nothing is given out twice, nobody sleeps on.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <uv.h>

#include "endpoint_support.h"

#define TAKERS 8
#define STREAMS 400
#define CONNECTIONS 40

typedef struct takers {
    iroh_connection *connection;  // null: they take connections
    iroh_endpoint *endpoint;
    atomic_int taken;
    atomic_int seen[STREAMS];  // by stream number
    uv_thread_t threads[TAKERS];
} takers;

static void take_streams(void *user) {
    takers *t = user;
    iroh_stream *s;
    int r;
    while ((r = iroh_connection_accept_bi(t->connection, IROH_WAIT_FOREVER, &s)) == 0) {
        uint64_t number = iroh_stream_id(s) / 4;
        thread_check(number < STREAMS, "a stream that was opened");
        atomic_fetch_add(&t->seen[number], 1);
        atomic_fetch_add(&t->taken, 1);
        iroh_stream_free(s);
    }
    thread_check(r == IROH_ERR_PEER_CLOSED, "an end by the peer");
}

static void take_connections(void *user) {
    takers *t = user;
    iroh_connection *c;
    int r;
    while ((r = iroh_endpoint_accept(t->endpoint, IROH_WAIT_FOREVER, &c)) == 0) {
        atomic_fetch_add(&t->taken, 1);
        iroh_connection_free(c);
    }
    thread_check(r == IROH_ERR_CLOSED, "an end of the endpoint");
}

static void start(takers *t, void (*take)(void *)) {
    for (size_t i = 0; i < TAKERS; i++)
        assert_int_equal(uv_thread_create(&t->threads[i], take, t), 0);
}

static void join(takers *t) {
    for (size_t i = 0; i < TAKERS; i++)
        uv_thread_join(&t->threads[i]);
}

static void await(takers *t, int count, iroh_endpoint *ep) {
    iroh_pollitem item = {.endpoint = ep, .events = 0};
    for (int ms = 0; atomic_load(&t->taken) < count && ms < LONG_MS; ms++)
        assert_int_equal(iroh_poll(&item, 1, 1), 0);
    assert_int_equal(atomic_load(&t->taken), count);
}

static void every_stream_is_taken_once(void **state) {
    (void)state;
    duo d;
    takers *t = calloc(1, sizeof *t);
    duo_open(&d, OWN_THREAD);
    t->connection = d.s;
    start(t, take_streams);
    for (int i = 0; i < STREAMS; i++) {
        iroh_stream *s;
        assert_int_equal(iroh_connection_open_bi(d.c, LONG_MS, &s), 0);
        assert_int_equal(iroh_stream_write_all(s, "x", 1, LONG_MS, NULL), 0);
        iroh_stream_free(s);
    }
    await(t, STREAMS, d.client);
    for (int i = 0; i < STREAMS; i++)
        assert_int_equal(atomic_load(&t->seen[i]), 1);
    assert_int_equal(iroh_connection_close(d.c, 0, NULL, 0), 0);
    join(t);
    free(t);
    duo_free(&d);
}

// A poller does not take, so that it must not be told instead of one who does.
static void a_poller_is_told_beside_the_takers(void **state) {
    (void)state;
    duo d;
    takers *t = calloc(1, sizeof *t);
    duo_open(&d, OWN_THREAD);
    t->connection = d.s;
    iroh_pollitem item = {.connection = d.s, .events = IROH_POLL_ACCEPT_UNI};
    start(t, take_streams);
    for (int i = 0; i < STREAMS; i++) {
        iroh_stream *s;
        assert_int_equal(iroh_connection_open_bi(d.c, LONG_MS, &s), 0);
        assert_int_equal(iroh_stream_write_all(s, "x", 1, LONG_MS, NULL), 0);
        iroh_stream_free(s);
        assert_int_equal(iroh_poll(&item, 1, 0), 0);
    }
    iroh_stream *uni;
    assert_int_equal(iroh_connection_open_uni(d.c, LONG_MS, &uni), 0);
    assert_int_equal(iroh_stream_write_all(uni, "x", 1, LONG_MS, NULL), 0);
    assert_int_equal(iroh_poll(&item, 1, LONG_MS), 1);
    assert_int_equal(item.revents, IROH_POLL_ACCEPT_UNI);
    await(t, STREAMS, d.client);
    iroh_stream_free(uni);
    assert_int_equal(iroh_connection_close(d.c, 0, NULL, 0), 0);
    join(t);
    free(t);
    duo_free(&d);
}

static void every_connection_is_taken_once(void **state) {
    (void)state;
    iroh_endpoint *server = duo_default(OWN_THREAD), *client = duo_default(OWN_THREAD);
    iroh_connection *all[CONNECTIONS];
    takers *t = calloc(1, sizeof *t);
    t->endpoint = server;
    start(t, take_connections);
    for (int i = 0; i < CONNECTIONS; i++)
        assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, 0, &all[i]), 0);
    await(t, CONNECTIONS, client);
    assert_int_equal(iroh_endpoint_close(server, LONG_MS), 0);
    join(t);
    for (int i = 0; i < CONNECTIONS; i++)
        iroh_connection_free(all[i]);
    free(t);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stream_is_taken_once),
        cmocka_unit_test(a_poller_is_told_beside_the_takers),
        cmocka_unit_test(every_connection_is_taken_once),
    };
    return cmocka_run_group_tests_name("endpoint_threads", tests, NULL, NULL);
}
