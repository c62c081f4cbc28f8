// iroh_poll over every kind of handle in both modes, and the loop of a program of its own by file descriptor.
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint_support.h"

static unsigned poll_one(iroh_pollitem item, int timeout_ms) {
    item.revents = 12345;
    int r = iroh_poll(&item, 1, timeout_ms);
    assert_int_equal(r, item.revents != 0);
    return item.revents;
}

static unsigned poll_stream(iroh_stream *s, unsigned events, int timeout_ms) {
    return poll_one((iroh_pollitem){.stream = s, .fd = -1, .events = events}, timeout_ms);
}

static unsigned poll_connection(iroh_connection *c, unsigned events, int timeout_ms) {
    return poll_one((iroh_pollitem){.connection = c, .fd = -1, .events = events}, timeout_ms);
}

static unsigned poll_endpoint(iroh_endpoint *ep, unsigned events, int timeout_ms) {
    return poll_one((iroh_pollitem){.endpoint = ep, .fd = -1, .events = events}, timeout_ms);
}

static void streams_become_readable_writable_and_finished(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs, *ss;
        char got[8];
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ, 0), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ, 5), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ | IROH_POLL_WRITE, LONG_MS), IROH_POLL_WRITE);
        assert_int_equal(poll_stream(cs, IROH_POLL_FINISHED, 5), 0);
        assert_int_equal(iroh_stream_write_all(ss, "xyz", 3, LONG_MS, NULL), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ, LONG_MS), IROH_POLL_READ);
        assert_int_equal(iroh_stream_read(cs, got, sizeof got, 0), 3);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ, 0), 0);
        assert_int_equal(iroh_stream_finish(ss), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ, LONG_MS), IROH_POLL_READ);
        assert_int_equal(iroh_stream_read(cs, got, sizeof got, 0), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_READ, 0), IROH_POLL_READ);
        assert_int_equal(iroh_stream_finish(cs), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_FINISHED, LONG_MS), IROH_POLL_FINISHED);
        assert_int_equal(iroh_connection_close(d.s, 3, NULL, 0), 0);
        assert_true((poll_stream(cs, 0, LONG_MS) & IROH_POLL_CLOSED) != 0);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void a_full_stream_becomes_writable_when_read(void **state) {
    (void)state;
    enum { ROOM = 20000 };
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint_config server, client;
        duo_config(&server, OWN_THREAD);
        duo_config(&client, mode == OWN_THREAD);
        server.stream_window = ROOM / 2;
        client.send_buffer = ROOM;
        duo d;
        iroh_stream *cs, *ss;
        static uint8_t data[4 * ROOM];
        duo_open_with(&d, &server, &client);
        duo_stream(&d, "abc", &cs, &ss);
        size_t all = 0;
        while (poll_stream(cs, IROH_POLL_WRITE, 100) != 0) {
            int64_t n = iroh_stream_write(cs, data, sizeof data, 0);
            assert_true(n > 0);
            all += (size_t)n;
        }
        assert_in_range(all, ROOM, ROOM + ROOM / 2);
        assert_int_equal(iroh_stream_read_exact(ss, data, ROOM / 4, LONG_MS, NULL), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_WRITE, LONG_MS), IROH_POLL_WRITE);
        assert_true(iroh_stream_write(cs, data, 10, 0) > 0);
        assert_int_equal(iroh_stream_stop(ss, 5), 0);
        assert_int_equal(poll_stream(cs, IROH_POLL_FINISHED, LONG_MS), IROH_POLL_FINISHED);
        assert_int_equal(iroh_stream_write(cs, data, 10, 0), IROH_ERR_STOPPED);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void connections_report_what_can_be_done(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint_config server, client;
        duo_config(&server, OWN_THREAD);
        duo_config(&client, mode == OWN_THREAD);
        server.max_streams_uni = 0;
        duo d;
        iroh_stream *s, *got;
        char byte;
        duo_open_with(&d, &server, &client);
        assert_int_equal(poll_connection(d.c, IROH_POLL_CONNECTED, LONG_MS), IROH_POLL_CONNECTED);
        assert_int_equal(poll_connection(d.c, IROH_POLL_OPEN_BI | IROH_POLL_OPEN_UNI, LONG_MS), IROH_POLL_OPEN_BI);
        assert_int_equal(poll_connection(d.c, IROH_POLL_OPEN_UNI, 5), 0);
        assert_int_equal(iroh_connection_set_max_streams(d.s, false, 2), 0);
        assert_int_equal(poll_connection(d.c, IROH_POLL_OPEN_UNI, LONG_MS), IROH_POLL_OPEN_UNI);
        assert_int_equal(
            poll_connection(d.c, IROH_POLL_ACCEPT_BI | IROH_POLL_ACCEPT_UNI | IROH_POLL_READ | IROH_POLL_CLOSED, 5), 0);
        assert_int_equal(iroh_connection_send_datagram(d.s, "x", 1), 0);
        assert_int_equal(poll_connection(d.c, IROH_POLL_READ, LONG_MS), IROH_POLL_READ);
        assert_int_equal(iroh_connection_read_datagram(d.c, &byte, 1, 0), 1);
        assert_int_equal(poll_connection(d.c, IROH_POLL_READ, 0), 0);
        assert_int_equal(iroh_connection_open_uni(d.s, LONG_MS, &s), 0);
        assert_int_equal(iroh_stream_write_all(s, "y", 1, LONG_MS, NULL), 0);
        assert_int_equal(poll_connection(d.c, IROH_POLL_ACCEPT_BI | IROH_POLL_ACCEPT_UNI, LONG_MS),
                         IROH_POLL_ACCEPT_UNI);
        assert_int_equal(iroh_connection_accept_uni(d.c, 0, &got), 0);
        assert_int_equal(poll_connection(d.c, IROH_POLL_ACCEPT_UNI, 0), 0);
        assert_int_equal(iroh_connection_close(d.s, 3, NULL, 0), 0);
        assert_int_equal(poll_connection(d.c, IROH_POLL_ACCEPT_BI, LONG_MS), IROH_POLL_ACCEPT_BI | IROH_POLL_CLOSED);
        iroh_stream_free(s);
        iroh_stream_free(got);
        duo_free(&d);
    }
}

static void endpoints_report_attempts_and_connections(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        iroh_endpoint_config config;
        duo_config(&config, mode == OWN_THREAD);
        iroh_endpoint *server = duo_bind(&config);
        config.own_thread = true;
        iroh_endpoint *client = duo_bind(&config);
        iroh_addr *a = duo_addr(server);
        iroh_connection *c = NULL, *s = NULL;
        iroh_incoming *in = NULL;
        assert_int_equal(poll_endpoint(server, IROH_POLL_ACCEPT_BI, 5), 0);
        assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, 0, &c), 0);
        assert_int_equal(poll_endpoint(server, IROH_POLL_ACCEPT_BI, LONG_MS), IROH_POLL_ACCEPT_BI);
        assert_int_equal(iroh_endpoint_accept(server, 0, &s), IROH_ERR_AGAIN);
        assert_int_equal(poll_endpoint(server, IROH_POLL_ACCEPT_BI, LONG_MS), IROH_POLL_ACCEPT_BI);
        assert_int_equal(iroh_endpoint_accept(server, 0, &s), 0);
        assert_int_equal(poll_endpoint(server, IROH_POLL_ACCEPT_BI, 0), 0);
        iroh_connection_free(s);
        iroh_connection_free(c);
        assert_int_equal(iroh_endpoint_next_incoming(server, 0, &in), IROH_ERR_AGAIN);
        assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, 0, &c), 0);
        assert_int_equal(poll_endpoint(server, IROH_POLL_ACCEPT_BI, LONG_MS), IROH_POLL_ACCEPT_BI);
        assert_int_equal(iroh_endpoint_next_incoming(server, 0, &in), 0);
        assert_int_equal(iroh_incoming_refuse(in), 0);
        iroh_connection_free(c);
        assert_int_equal(iroh_endpoint_close(server, LONG_MS), 0);
        assert_true((poll_endpoint(server, 0, LONG_MS) & IROH_POLL_CLOSED) != 0);
        iroh_addr_free(a);
        iroh_endpoint_free(client);
        iroh_endpoint_free(server);
    }
}

static void descriptors_are_waited_for_beside_handles(void **state) {
    (void)state;
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs, *ss;
        int ends[2];
        char byte;
        duo_open(&d, mode == OWN_THREAD);
        duo_stream(&d, "abc", &cs, &ss);
        assert_int_equal(pipe(ends), 0);
        iroh_pollitem items[] = {
            {.stream = cs, .fd = -1, .events = IROH_POLL_READ},
            {.fd = ends[0], .events = IROH_POLL_READ},
        };
        assert_int_equal(iroh_poll(items, 2, 0), 0);
        assert_int_equal(iroh_poll(items, 2, 5), 0);
        assert_int_equal(write(ends[1], "p", 1), 1);
        assert_int_equal(iroh_poll(items, 2, LONG_MS), 1);
        assert_int_equal(items[0].revents, 0);
        assert_int_equal(items[1].revents, IROH_POLL_READ);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        assert_int_equal(iroh_stream_write_all(ss, "x", 1, LONG_MS, NULL), 0);
        assert_int_equal(iroh_poll(items, 2, LONG_MS), 1);
        assert_int_equal(items[0].revents, IROH_POLL_READ);
        assert_int_equal(items[1].revents, 0);
        close(ends[1]);
        assert_int_equal(iroh_poll(items, 2, LONG_MS), 2);
        assert_int_equal(items[1].revents & IROH_POLL_ERROR, IROH_POLL_ERROR);
        assert_int_equal(poll_one((iroh_pollitem){.fd = ends[0], .events = 0}, LONG_MS), IROH_POLL_ERROR);
        close(ends[0]);
        assert_int_equal(poll_one((iroh_pollitem){.fd = ends[0], .events = 0}, 0), IROH_POLL_ERROR);
        iroh_stream_free(cs);
        iroh_stream_free(ss);
        duo_free(&d);
    }
}

static void descriptors_alone_are_polled(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(poll_one((iroh_pollitem){.fd = ends[0], .events = IROH_POLL_READ}, 5), 0);
    assert_int_equal(poll_one((iroh_pollitem){.fd = ends[1], .events = IROH_POLL_WRITE}, LONG_MS), IROH_POLL_WRITE);
    close(ends[0]);
    close(ends[1]);
}

static void misuse_is_an_error(void **state) {
    (void)state;
    duo d;
    duo_open(&d, OWN_THREAD);
    iroh_pollitem two[] = {{.connection = d.c, .endpoint = d.client, .fd = -1}};
    iroh_pollitem none[] = {{.fd = -1}};
    iroh_pollitem mixed[] = {{.connection = d.c, .fd = -1}, {.connection = d.s, .fd = -1}};
    assert_int_equal(iroh_poll(two, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_poll(none, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_poll(mixed, 2, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_poll(NULL, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_poll(mixed, SIZE_MAX, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_poll(NULL, 0, 5), 0);
    duo_free(&d);
}

static void more_items_than_fit_inline(void **state) {
    (void)state;
    enum { COUNT = 90 };
    for (int mode = NO_THREAD; mode <= OWN_THREAD; mode++) {
        duo d;
        iroh_stream *cs[COUNT], *ss[COUNT];
        iroh_pollitem items[COUNT] = {0};
        duo_open(&d, mode == OWN_THREAD);
        for (int i = 0; i < COUNT; i++) {
            duo_stream(&d, "abc", &cs[i], &ss[i]);
            items[i] = (iroh_pollitem){.stream = cs[i], .fd = -1, .events = IROH_POLL_READ};
        }
        assert_int_equal(iroh_poll(items, COUNT, 5), 0);
        assert_int_equal(iroh_stream_write_all(ss[77], "x", 1, LONG_MS, NULL), 0);
        assert_int_equal(iroh_poll(items, COUNT, LONG_MS), 1);
        for (int i = 0; i < COUNT; i++)
            assert_int_equal(items[i].revents, i == 77 ? IROH_POLL_READ : 0);
        for (int i = 0; i < COUNT; i++) {
            iroh_stream_free(cs[i]);
            iroh_stream_free(ss[i]);
        }
        duo_free(&d);
    }
}

// --- A program with a loop of its own: it sleeps in poll(2) only, and every call has timeout 0

static void *echo_once(void *user) {
    iroh_endpoint *server = user;
    iroh_connection *c;
    iroh_stream *s;
    uint8_t data[1000];
    int64_t n;
    thread_check(iroh_endpoint_accept(server, LONG_MS, &c) == 0, "accept");
    thread_check(iroh_connection_accept_bi(c, LONG_MS, &s) == 0, "bi");
    while ((n = iroh_stream_read(s, data, sizeof data, LONG_MS)) > 0)
        thread_check(iroh_stream_write_all(s, data, (size_t)n, LONG_MS, NULL) == 0, "all");
    thread_check(n == 0, "end");
    iroh_stream_free(s);
    thread_check(iroh_connection_closed(c, LONG_MS) == 0, "closed");
    iroh_connection_free(c);
    return NULL;
}

static void turn(iroh_endpoint *ep, int fd) {
    struct pollfd item = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, LONG_MS), 1);
    assert_int_equal(iroh_endpoint_process(ep), 0);
}

static void a_foreign_loop_drives_everything_by_descriptor(void **state) {
    (void)state;
    enum { SIZE = 500000 };
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    iroh_endpoint *server = duo_bind(&config);
    config.own_thread = false;
    iroh_endpoint *ep = duo_bind(&config);
    int fd = iroh_endpoint_fd(ep);
    iroh_addr *a = duo_addr(server);
    iroh_connection *c;
    iroh_stream *s = NULL;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, echo_once, server), 0);
    assert_int_equal(iroh_endpoint_connect(ep, a, TEST_ALPN, 6, NULL, 0, &c), 0);
    int r;
    while ((r = iroh_connection_handshake(c, 0)) == IROH_ERR_AGAIN)
        turn(ep, fd);
    assert_int_equal(r, 0);
    assert_int_equal(iroh_connection_open_bi(c, 0, &s), 0);
    static uint8_t data[SIZE];
    size_t sent = 0, received = 0;
    for (int64_t n = 1; n != 0;) {
        int64_t w = sent < SIZE ? iroh_stream_write(s, data, SIZE - sent, 0) : IROH_ERR_AGAIN;
        assert_true(w > 0 || w == IROH_ERR_AGAIN);
        sent += w > 0 ? (size_t)w : 0;
        if (w > 0 && sent == SIZE)
            assert_int_equal(iroh_stream_finish(s), 0);
        n = iroh_stream_read(s, data, sizeof data, 0);
        assert_true(n >= 0 || n == IROH_ERR_AGAIN);
        received += n > 0 ? (size_t)n : 0;
        if (n == IROH_ERR_AGAIN && w == IROH_ERR_AGAIN)
            turn(ep, fd);
    }
    assert_int_equal(received, SIZE);
    iroh_stream_free(s);
    iroh_connection_free(c);
    pthread_join(thread, NULL);
    iroh_addr_free(a);
    iroh_endpoint_free(ep);
    iroh_endpoint_free(server);
}

static void timers_make_the_descriptor_readable(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    iroh_endpoint *server = duo_bind(&config);  // never accepts
    config.own_thread = false;
    config.idle_timeout_ms = 300;
    iroh_endpoint *ep = duo_bind(&config);
    int fd = iroh_endpoint_fd(ep);
    iroh_addr *a = duo_addr(server);
    iroh_connection *c;
    assert_int_equal(iroh_endpoint_connect(ep, a, TEST_ALPN, 6, NULL, 0, &c), 0);
    while (iroh_connection_closed(c, 0) == IROH_ERR_AGAIN)
        turn(ep, fd);
    assert_int_equal(iroh_connection_handshake(c, 0), IROH_ERR_IDLE);
    iroh_connection_free(c);
    iroh_addr_free(a);
    iroh_endpoint_free(ep);
    iroh_endpoint_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_become_readable_writable_and_finished),
        cmocka_unit_test(a_full_stream_becomes_writable_when_read),
        cmocka_unit_test(connections_report_what_can_be_done),
        cmocka_unit_test(endpoints_report_attempts_and_connections),
        cmocka_unit_test(descriptors_are_waited_for_beside_handles),
        cmocka_unit_test(descriptors_alone_are_polled),
        cmocka_unit_test(misuse_is_an_error),
        cmocka_unit_test(more_items_than_fit_inline),
        cmocka_unit_test(a_foreign_loop_drives_everything_by_descriptor),
        cmocka_unit_test(timers_make_the_descriptor_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
