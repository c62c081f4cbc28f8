// Streams and datagrams of the public API: data both ways, limits, ends of every kind, misuse, threads.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "endpoint_support.h"

#define BIG (3 << 20)

typedef struct echo_job {
    iroh_stream *s;
    int64_t end;  // what ended it
} echo_job;

static void *echo(void *user) {
    echo_job *j = user;
    uint8_t data[16384];
    int r = 0;
    while (r == 0 && (j->end = iroh_stream_read(j->s, data, sizeof data, LONG_MS)) > 0)
        r = iroh_stream_write_all(j->s, data, (size_t)j->end, LONG_MS, NULL);
    if (r == 0 && j->end == 0)
        r = iroh_stream_finish(j->s);
    if (r != 0)
        j->end = r;
    return NULL;
}

// Accepts `count` streams one after the other and echoes each in a thread.
typedef struct echo_server {
    iroh_connection *c;
    size_t count;
    pthread_t thread;
} echo_server;

static void *serve(void *user) {
    echo_server *server = user;
    echo_job jobs[100];
    pthread_t threads[100];
    for (size_t i = 0; i < server->count; i++) {
        thread_check(iroh_connection_accept_bi(server->c, LONG_MS, &jobs[i].s) == 0, "accept");
        thread_check(pthread_create(&threads[i], NULL, echo, &jobs[i]) == 0, "start");
    }
    for (size_t i = 0; i < server->count; i++) {
        pthread_join(threads[i], NULL);
        thread_check(jobs[i].end == 0, "echo");
        iroh_stream_free(jobs[i].s);
    }
    return NULL;
}

static void serve_start(echo_server *server, iroh_connection *c, size_t count) {
    *server = (echo_server){.c = c, .count = count};
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static uint8_t byte_at(size_t at, uint8_t salt) {
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16) + salt);
}

// Sends and receives at the same time, without ever waiting for only one of them.
static void transfer(iroh_stream *s, size_t size, uint8_t salt) {
    uint8_t data[10000];
    size_t sent = 0, received = 0;
    bool ended = false;
    while (!ended) {
        iroh_pollitem item = {.stream = s, .fd = -1, .events = IROH_POLL_READ | (sent < size ? IROH_POLL_WRITE : 0u)};
        thread_check(iroh_poll(&item, 1, LONG_MS) == 1, "poll");
        if ((item.revents & IROH_POLL_WRITE) != 0) {
            size_t piece = size - sent < sizeof data ? size - sent : sizeof data;
            for (size_t i = 0; i < piece; i++)
                data[i] = byte_at(sent + i, salt);
            int64_t n = iroh_stream_write(s, data, piece, 0);
            thread_check(n > 0, "write");
            sent += (size_t)n;
            if (sent == size)
                thread_check(iroh_stream_finish(s) == 0, "finish");
        }
        if ((item.revents & IROH_POLL_READ) != 0) {
            int64_t n = iroh_stream_read(s, data, sizeof data, 0);
            thread_check(n >= 0, "read");
            for (int64_t i = 0; i < n; i++)
                thread_check(data[i] == byte_at(received + (size_t)i, salt), "bytes");
            received += (size_t)n;
            ended = n == 0;
        }
    }
    thread_check(received == size, "size");
}

static void megabytes_come_back_unchanged(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        echo_server server;
        iroh_stream *s;
        duo_open(&d, mode == OWN_THREAD);
        serve_start(&server, d.s, 1);
        assert_int_equal(iroh_connection_open_bi(d.c, LONG_MS, &s), 0);
        transfer(s, BIG, 3);
        assert_int_equal(iroh_stream_wait_finished(s, LONG_MS), 0);
        pthread_join(server.thread, NULL);
        iroh_stream_free(s);
        duo_free(&d);
    }
}

typedef struct client_job {
    iroh_connection *c;
    uint8_t salt;
    pthread_t thread;
} client_job;

static void *client_main(void *user) {
    const client_job *j = user;
    iroh_stream *s;
    thread_check(iroh_connection_open_bi(j->c, LONG_MS, &s) == 0, "open");
    transfer(s, 20000 + 100u * j->salt, j->salt);
    iroh_stream_free(s);
    return NULL;
}

static void a_hundred_streams_with_a_thread_each(void **state) {
    (void)state;
    enum { COUNT = 100 };
    duo d;
    echo_server server;
    client_job jobs[COUNT];
    duo_open(&d, OWN_THREAD);
    serve_start(&server, d.s, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        jobs[i] = (client_job){.c = d.c, .salt = (uint8_t)i};
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, client_main, &jobs[i]), 0);
    }
    for (size_t i = 0; i < COUNT; i++)
        pthread_join(jobs[i].thread, NULL);
    pthread_join(server.thread, NULL);
    duo_free(&d);
}

static void reading_waits_as_long_as_it_is_told(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs, *ss, *more;
        uint8_t data[8];
        size_t got = 99;
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(iroh_stream_read(cs, data, 8, 0), IROH_ERR_AGAIN);
        assert_int_equal(iroh_stream_read(cs, data, 8, 5), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_accept_bi(d.c, 0, &more), IROH_ERR_AGAIN);
        assert_null(more);
        assert_int_equal(iroh_connection_accept_uni(d.c, 5, &more), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_stream_write_all(ss, "xyz", 3, LONG_MS, NULL), 0);
        assert_int_equal(iroh_stream_read_exact(cs, data, 8, 200, &got), IROH_ERR_TIMEOUT);
        assert_int_equal(got, 3);
        assert_memory_equal(data, "xyz", 3);
        assert_int_equal(iroh_stream_finish(ss), 0);
        assert_int_equal(iroh_stream_read(cs, data, 8, LONG_MS), 0);
        assert_int_equal(iroh_stream_read(cs, data, 8, LONG_MS), 0);
        assert_int_equal(iroh_stream_read_exact(cs, data, 8, LONG_MS, &got), IROH_ERR_FINISHED);
        assert_int_equal(got, 0);
        assert_int_equal(iroh_stream_read_exact(cs, data, 0, LONG_MS, NULL), 0);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void writing_waits_for_room(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint_config server, client;
        duo_config(&server, OWN_THREAD);
        duo_config(&client, mode == OWN_THREAD);
        server.stream_window = 10000;
        client.send_buffer = 20000;
        duo d;
        iroh_stream *cs, *ss;
        size_t written = 0;
        uint8_t *data = calloc(1, 100000);
        assert_non_null(data);
        duo_open_with(&d, &server, &client);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(iroh_stream_write_all(cs, data, 100000, 0, &written), IROH_ERR_AGAIN);
        assert_in_range(written, 1, 30003);
        size_t all = written;
        while (iroh_stream_write_all(cs, data, 1000, 100, &written) == 0)
            all += written;
        // What the peer's window takes and what the send buffer holds.
        assert_in_range(all + written, 20000, 30000);
        assert_int_equal(iroh_stream_read_exact(ss, data, 9000, LONG_MS, NULL), 0);
        assert_true(iroh_stream_write(cs, data, 100, LONG_MS) > 0);
        free(data);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

// Bytes that are lent, and how many such there are.
typedef struct lender {
    atomic_int out;
} lender;

static void take_back(void *user, const void *data) {
    lender *l = user;
    atomic_fetch_sub(&l->out, 1);
    free((void *)(uintptr_t)data);
}

static int lend(iroh_stream *s, lender *l, size_t at, size_t len, int timeout_ms) {
    uint8_t *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = byte_at(at + i, 9);
    atomic_fetch_add(&l->out, 1);
    int r = iroh_stream_lend(s, data, len, take_back, l, timeout_ms);
    if (r != 0)
        take_back(l, data);
    return r;
}

typedef struct reading {
    iroh_stream *s;
    size_t size;
    pthread_t thread;
} reading;

static void *read_all(void *user) {
    const reading *j = user;
    uint8_t data[50000];
    size_t at = 0;
    int64_t n;
    while ((n = iroh_stream_read(j->s, data, sizeof data, LONG_MS)) > 0) {
        for (int64_t i = 0; i < n; i++)
            thread_check(data[i] == byte_at(at + (size_t)i, 9), "bytes");
        at += (size_t)n;
    }
    thread_check(n == 0 && at == j->size, "end");
    return NULL;
}

static void lent_bytes_arrive_and_are_given_back(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 70000, 1200, IROH_LEND_MAX, 3, 262144};
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        lender l = {0};
        iroh_stream *cs, *ss;
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "abc", &cs, &ss);
        reading r = {.s = ss, .size = BIG};
        assert_int_equal(pthread_create(&r.thread, NULL, read_all, &r), 0);
        for (size_t at = 0, i = 0; at < BIG; i++) {
            size_t len = sizes[i % 6] < BIG - at ? sizes[i % 6] : BIG - at;
            if (i % 4 == 3 && len < 5000) {
                uint8_t data[5000];
                for (size_t k = 0; k < len; k++)
                    data[k] = byte_at(at + k, 9);
                assert_int_equal(iroh_stream_write_all(cs, data, len, LONG_MS, NULL), 0);
            } else {
                assert_int_equal(lend(cs, &l, at, len, LONG_MS), 0);
            }
            at += len;
        }
        assert_int_equal(iroh_stream_finish(cs), 0);
        assert_int_equal(iroh_stream_wait_finished(cs, LONG_MS), 0);
        assert_int_equal(atomic_load(&l.out), 0);
        pthread_join(r.thread, NULL);
        assert_int_equal(lend(cs, &l, 0, 10, 0), IROH_ERR_CLOSED);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void lent_bytes_that_nobody_wants_are_given_back(void **state) {
    (void)state;
    duo d;
    lender l = {0};
    iroh_stream *cs, *ss, *other_cs, *other_ss;
    uint8_t byte = 0;
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "abc", &cs, &ss);
    duo_stream(&d, "abc", &other_cs, &other_ss);
    assert_int_equal(iroh_stream_lend(NULL, &byte, 1, take_back, &l, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_lend(cs, NULL, 1, take_back, &l, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_lend(cs, &byte, 0, take_back, &l, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_lend(cs, &byte, IROH_LEND_MAX + 1, take_back, &l, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_lend(cs, &byte, 1, NULL, &l, 0), IROH_ERR_ARG);
    // Nobody reads: the window and what may be buffered beyond it fill up.
    int r, taken = 0;
    while ((r = lend(cs, &l, 0, 262144, 0)) == 0)
        taken++;
    assert_int_equal(r, IROH_ERR_AGAIN);
    assert_int_equal(lend(cs, &l, 0, 262144, 5), IROH_ERR_TIMEOUT);
    assert_in_range(atomic_load(&l.out), 1, taken);
    assert_int_equal(iroh_stream_reset(cs, 7), 0);
    assert_int_equal(atomic_load(&l.out), 0);
    assert_int_equal(lend(cs, &l, 0, 10, 0), IROH_ERR_CLOSED);
    assert_int_equal(lend(other_cs, &l, 0, 10, 0), 0);
    iroh_stream_free(cs);
    iroh_stream_free(ss);
    iroh_stream_free(other_cs);
    iroh_stream_free(other_ss);
    duo_free(&d);
    assert_int_equal(atomic_load(&l.out), 0);
}

static void codes_of_reset_and_stop_arrive(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs, *ss;
        uint64_t code = 0;
        uint8_t byte = 0;
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(iroh_stream_reset_code(cs, &code), IROH_ERR_ARG);
        assert_int_equal(iroh_stream_stop_code(cs, &code), IROH_ERR_ARG);
        assert_int_equal(iroh_stream_reset(ss, UINT64_C(1) << 62), IROH_ERR_ARG);
        assert_int_equal(iroh_stream_stop(ss, UINT64_C(1) << 62), IROH_ERR_ARG);
        assert_int_equal(iroh_stream_reset(ss, 71), 0);
        assert_int_equal(iroh_stream_reset(ss, 72), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_write(ss, "x", 1, LONG_MS), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_finish(ss), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_wait_finished(ss, LONG_MS), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_read(cs, &byte, 1, LONG_MS), IROH_ERR_RESET);
        assert_int_equal(iroh_stream_reset_code(cs, &code), 0);
        assert_int_equal(code, 71);
        assert_int_equal(iroh_stream_stop(ss, 73), 0);
        assert_int_equal(iroh_stream_read(ss, &byte, 1, LONG_MS), IROH_ERR_CLOSED);
        assert_int_equal(iroh_stream_wait_finished(cs, LONG_MS), IROH_ERR_STOPPED);
        assert_int_equal(iroh_stream_write(cs, "x", 1, LONG_MS), IROH_ERR_STOPPED);
        assert_int_equal(iroh_stream_stop_code(cs, &code), 0);
        assert_int_equal(code, 73);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void one_way_streams_have_one_half(void **state) {
    (void)state;
    duo d;
    iroh_stream *out, *in;
    uint8_t byte;
    duo_open(&d, OWN_THREAD);
    assert_int_equal(iroh_connection_open_uni(d.c, LONG_MS, &out), 0);
    assert_int_equal(iroh_stream_write_all(out, "x", 1, LONG_MS, NULL), 0);
    assert_int_equal(iroh_connection_accept_uni(d.s, LONG_MS, &in), 0);
    assert_int_equal(iroh_stream_id(out), 2);
    assert_int_equal(iroh_stream_id(in), 2);
    assert_int_equal(iroh_stream_read(out, &byte, 1, LONG_MS), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_stop(out, 1), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_write(in, &byte, 1, LONG_MS), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_finish(in), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_reset(in, 1), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_wait_finished(in, LONG_MS), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_set_priority(in, 1), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_set_priority(out, 1), 0);
    assert_int_equal(iroh_stream_read(in, &byte, 1, LONG_MS), 1);
    iroh_stream_free(out);
    assert_int_equal(iroh_stream_read(in, &byte, 1, LONG_MS), 0);
    iroh_stream_free(in);
    duo_free(&d);
}

static void null_and_nothing_are_handled(void **state) {
    (void)state;
    duo d;
    iroh_stream *cs, *ss, *none;
    uint64_t code;
    uint8_t byte;
    size_t n = 1;
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "abc", &cs, &ss);
    assert_int_equal(iroh_stream_write(NULL, "x", 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_write(cs, NULL, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_write(cs, NULL, 0, 0), 0);
    assert_int_equal(iroh_stream_write_all(NULL, "x", 1, 0, &n), IROH_ERR_ARG);
    assert_int_equal(n, 0);
    assert_int_equal(iroh_stream_read(NULL, &byte, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_read(cs, NULL, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_read(cs, &byte, 0, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_read_exact(NULL, &byte, 1, 0, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_finish(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_reset(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_stop(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_wait_finished(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_set_priority(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_reset_code(cs, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_stream_stop_code(NULL, &code), IROH_ERR_ARG);
    assert_true(iroh_stream_id(NULL) == UINT64_MAX);
    assert_int_equal(iroh_connection_open_bi(NULL, 0, &none), IROH_ERR_ARG);
    assert_null(none);
    assert_int_equal(iroh_connection_accept_uni(d.c, 0, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_handshake(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_closed(NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_close(NULL, 0, NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_close_info(d.c, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_remote_id(d.c, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_stats_get(NULL, NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_read_datagram(NULL, &byte, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_send_datagram(d.c, NULL, 1), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_max_datagram(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_update_keys(NULL), IROH_ERR_ARG);
    assert_int_equal(iroh_connection_set_max_streams(d.c, true, (UINT64_C(1) << 60) + 1), IROH_ERR_ARG);
    assert_null(iroh_connection_ref(NULL));
    iroh_stream_free(NULL);
    iroh_connection_free(NULL);
    duo_free(&d);
    iroh_stream_free(ss);
    iroh_stream_free(cs);
}

static void opening_waits_for_the_peers_limit(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint_config server, client;
        duo_config(&server, OWN_THREAD);
        duo_config(&client, mode == OWN_THREAD);
        server.max_streams_bidi = 1;
        server.max_streams_uni = 0;
        duo d;
        iroh_stream *cs, *ss, *next = NULL;
        duo_open_with(&d, &server, &client);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(iroh_connection_open_bi(d.c, 0, &next), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_open_bi(d.c, 5, &next), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_open_uni(d.c, 5, &next), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_set_max_streams(d.s, false, 1), 0);
        assert_int_equal(iroh_connection_open_uni(d.c, LONG_MS, &next), 0);
        iroh_stream_free(next);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        assert_int_equal(iroh_connection_open_bi(d.c, LONG_MS, &next), 0);
        iroh_stream_free(next);
        duo_free(&d);
    }
}

static void end_of_the_connection_ends_every_call(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs, *ss, *next = NULL;
        uint8_t data[8];
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(iroh_stream_write_all(ss, "last", 4, LONG_MS, NULL), 0);
        // The client has the bytes when it has answered them.
        assert_int_equal(iroh_stream_finish(ss), 0);
        while (mode == NO_THREAD && iroh_stream_wait_finished(ss, 0) == IROH_ERR_AGAIN)
            (void)iroh_stream_wait_finished(cs, 1);
        assert_int_equal(iroh_stream_wait_finished(ss, LONG_MS), 0);
        assert_int_equal(iroh_connection_close(d.s, 9, "end", 3), 0);
        assert_int_equal(iroh_connection_closed(d.c, LONG_MS), 0);
        assert_int_equal(iroh_stream_read(cs, data, 8, LONG_MS), 4);
        assert_int_equal(iroh_stream_read(cs, data, 8, LONG_MS), 0);
        assert_int_equal(iroh_stream_write(cs, data, 8, LONG_MS), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_stream_finish(cs), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_stream_wait_finished(cs, LONG_MS), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_stream_read(ss, data, 8, LONG_MS), IROH_ERR_CLOSED);
        assert_int_equal(iroh_connection_open_bi(d.c, LONG_MS, &next), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_connection_accept_bi(d.c, LONG_MS, &next), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_connection_accept_uni(d.s, LONG_MS, &next), IROH_ERR_CLOSED);
        assert_int_equal(iroh_connection_read_datagram(d.c, data, 8, LONG_MS), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_connection_send_datagram(d.c, data, 8), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_connection_max_datagram(d.c), IROH_ERR_PEER_CLOSED);
        assert_int_equal(iroh_connection_update_keys(d.c), IROH_ERR_PEER_CLOSED);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void *read_for_ever(void *user) {
    uint8_t byte;
    return (void *)(intptr_t)iroh_stream_read(user, &byte, 1, IROH_WAIT_FOREVER);
}

static void *accept_for_ever(void *user) {
    iroh_stream *s;
    return (void *)(intptr_t)iroh_connection_accept_bi(user, IROH_WAIT_FOREVER, &s);
}

static void *accept_connection_for_ever(void *user) {
    iroh_connection *c;
    return (void *)(intptr_t)iroh_endpoint_accept(user, IROH_WAIT_FOREVER, &c);
}

static void closing_the_endpoint_frees_waiting_threads(void **state) {
    (void)state;
    duo d;
    iroh_stream *cs, *ss;
    pthread_t threads[3];
    void *results[3];
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "abc", &cs, &ss);
    assert_int_equal(pthread_create(&threads[0], NULL, read_for_ever, ss), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, accept_for_ever, d.s), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, accept_connection_for_ever, d.server), 0);
    assert_int_equal(iroh_endpoint_close(d.server, LONG_MS), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], &results[i]);
        assert_int_equal((intptr_t)results[i], IROH_ERR_CLOSED);
    }
    iroh_stream_free(cs);
    iroh_stream_free(ss);
    duo_free(&d);
}

static void streams_keep_their_connection(void **state) {
    (void)state;
    duo d;
    iroh_stream *cs, *ss;
    char got[4];
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "abc", &cs, &ss);
    iroh_connection_free(d.c);
    d.c = NULL;
    assert_int_equal(iroh_stream_write_all(ss, "more", 4, LONG_MS, NULL), 0);
    assert_int_equal(iroh_stream_read_exact(cs, got, 4, LONG_MS, NULL), 0);
    iroh_stream_free(cs);
    assert_int_equal(iroh_connection_closed(d.s, LONG_MS), 0);
    iroh_stream_free(ss);
    duo_free(&d);
}

static void freeing_a_stream_finishes_and_stops_it(void **state) {
    (void)state;
    duo d;
    iroh_stream *cs, *ss;
    uint64_t code = 1;
    uint8_t byte;
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "abc", &cs, &ss);
    iroh_stream_free(ss);
    assert_int_equal(iroh_stream_read(cs, &byte, 1, LONG_MS), 0);
    assert_int_equal(iroh_stream_wait_finished(cs, LONG_MS), IROH_ERR_STOPPED);
    assert_int_equal(iroh_stream_stop_code(cs, &code), 0);
    assert_int_equal(code, 0);
    iroh_stream_free(cs);
    duo_free(&d);
}

// --- Datagrams

static void datagrams_cross_both_ways(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        uint8_t data[2000] = {1, 2, 3}, got[2000];
        duo_open(&d, mode == OWN_THREAD);
        int max = iroh_connection_max_datagram(d.c);
        assert_in_range(max, 1100, sizeof data - 1);
        assert_int_equal(iroh_connection_send_datagram(d.c, data, sizeof data), IROH_ERR_TOO_LARGE);
        assert_int_equal(iroh_connection_read_datagram(d.c, got, sizeof got, 0), IROH_ERR_AGAIN);
        assert_int_equal(iroh_connection_read_datagram(d.c, got, sizeof got, 5), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_send_datagram(d.s, data, 100), 0);
        assert_int_equal(iroh_connection_read_datagram(d.c, got, sizeof got, LONG_MS), 100);
        assert_memory_equal(got, data, 100);
        assert_int_equal(iroh_connection_send_datagram_wait(d.c, data, (size_t)max, LONG_MS), 0);
        assert_int_equal(iroh_connection_send_datagram_wait(d.c, NULL, 0, LONG_MS), 0);
        assert_int_equal(iroh_connection_read_datagram(d.c, got, sizeof got, 1), IROH_ERR_TIMEOUT);
        assert_int_equal(iroh_connection_read_datagram(d.s, got, 10, LONG_MS), IROH_ERR_TOO_LARGE);
        assert_int_equal(iroh_connection_read_datagram(d.s, got, 10, LONG_MS), 0);
        duo_free(&d);
    }
}

static void waiting_sender_gets_every_datagram_into_the_queue(void **state) {
    (void)state;
    enum { COUNT = 5000, SIZE = 1000 };  // five times what the queue holds
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        uint8_t data[SIZE] = {0};
        duo_open(&d, mode == OWN_THREAD);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(iroh_connection_send_datagram_wait(d.c, data, SIZE, LONG_MS), 0);
        assert_int_equal(iroh_connection_read_datagram(d.s, data, SIZE, LONG_MS), SIZE);
        duo_free(&d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(megabytes_come_back_unchanged),
        cmocka_unit_test(a_hundred_streams_with_a_thread_each),
        cmocka_unit_test(reading_waits_as_long_as_it_is_told),
        cmocka_unit_test(writing_waits_for_room),
        cmocka_unit_test(lent_bytes_arrive_and_are_given_back),
        cmocka_unit_test(lent_bytes_that_nobody_wants_are_given_back),
        cmocka_unit_test(codes_of_reset_and_stop_arrive),
        cmocka_unit_test(one_way_streams_have_one_half),
        cmocka_unit_test(null_and_nothing_are_handled),
        cmocka_unit_test(opening_waits_for_the_peers_limit),
        cmocka_unit_test(end_of_the_connection_ends_every_call),
        cmocka_unit_test(closing_the_endpoint_frees_waiting_threads),
        cmocka_unit_test(streams_keep_their_connection),
        cmocka_unit_test(freeing_a_stream_finishes_and_stops_it),
        cmocka_unit_test(datagrams_cross_both_ways),
        cmocka_unit_test(waiting_sender_gets_every_datagram_into_the_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
