// Real sockets on the loopback interface: batches arrive whole and split as they were sent, with mark and addresses,
// whether or not the kernel takes and gives them at once.
#include "sys/udp.h"

#include <iroh/error.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define HANG_MS 20000  // far beyond what anything here takes
#define BYTES_MAX (SYS_UDP_SEGMENTS_MAX * 1500)

typedef struct way {
    const char *bind;  // of both ends
    bool gso;
    bool gro;
} way;

static const way ways[] = {
    {"127.0.0.1:0", true, true},   {"127.0.0.1:0", true, false}, {"127.0.0.1:0", false, true},
    {"127.0.0.1:0", false, false}, {"[::1]:0", true, true},      {"[::1]:0", true, false},
    {"[::1]:0", false, true},      {"[::1]:0", false, false},
};
#define WAYS (sizeof ways / sizeof *ways)

static addr parsed(const char *text) {
    addr a;
    assert_int_equal(addr_parse(&a, text, strlen(text)), 0);
    return a;
}

static addr with_port(const char *text, const sys_udp *u) {
    addr a = parsed(text);
    a.port = sys_udp_local(u).port;
    return a;
}

static sys_udp *opened(const char *bind, bool gso) {
    addr a = parsed(bind);
    sys_udp *u = NULL;
    assert_int_equal(sys_udp_open(&a, gso, &u), 0);
    return u;
}

static void switch_gro(sys_udp *u, bool on) {
    int value = on;
    assert_int_equal(setsockopt(sys_udp_fd(u), SOL_UDP, UDP_GRO, &value, sizeof value), 0);
}

static void wait_for(const sys_udp *u, short events) {
    struct pollfd p = {.fd = sys_udp_fd(u), .events = events};
    assert_int_equal(poll(&p, 1, HANG_MS), 1);
}

static int receive(sys_udp *u, uint8_t *room, sys_udp_batch *out) {
    int result;
    while ((result = sys_udp_receive(u, room, out)) == IROH_ERR_AGAIN)
        wait_for(u, POLLIN);
    return result;
}

static void send_all(sys_udp *u, const uint8_t *bytes, sys_udp_batch batch) {
    size_t sent;
    while (sys_udp_send(u, bytes, &batch, &sent) == IROH_ERR_AGAIN) {
        bytes += sent;
        batch.len -= sent;
        wait_for(u, POLLOUT);
    }
    assert_int_equal(sent, batch.len);
}

static uint8_t *pattern(size_t len) {
    uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    uint32_t x = 0x9e3779b9u ^ (uint32_t)len;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (uint8_t)(x >> 24);
    }
    return bytes;
}

// Receives what was sent as `sent`, batch by batch. Returns the number of batches.
static size_t expect(sys_udp *to, const addr *from, const uint8_t *bytes, const sys_udp_batch *sent) {
    uint8_t *room = malloc(SYS_UDP_BATCH);
    assert_non_null(room);
    addr local = sys_udp_local(to);
    size_t got = 0, batches = 0;
    for (; got < sent->len; batches++) {
        sys_udp_batch b;
        assert_int_equal(receive(to, room, &b), 0);
        assert_true(b.len > 0 && b.len <= sent->len - got);
        assert_memory_equal(room, bytes + got, b.len);
        // Full datagrams but for the last of all.
        assert_true(b.segment == sent->segment || (b.segment == b.len && got + b.len == sent->len));
        assert_true(b.len % sent->segment == 0 || got + b.len == sent->len);
        assert_int_equal(b.ecn, sent->ecn);
        assert_true(addr_equal(&b.remote, from));
        assert_true(addr_equal(&b.local, &local));
        got += b.len;
    }
    free(room);
    return batches;
}

static void check_batch(const way *w, size_t count, size_t segment, size_t last) {
    sys_udp *a = opened(w->bind, w->gso), *b = opened(w->bind, true);
    switch_gro(b, w->gro);
    sys_udp_batch batch = {
        .remote = sys_udp_local(b),
        .len = (count - 1) * segment + last,
        .segment = segment,
        .ecn = (uint8_t)(count % 4),
    };
    uint8_t *bytes = pattern(batch.len);
    addr from = sys_udp_local(a);
    send_all(a, bytes, batch);
    size_t batches = expect(b, &from, bytes, &batch);
    sys_udp_stats out, in;
    sys_udp_stats_get(a, &out);
    sys_udp_stats_get(b, &in);
    assert_int_equal(out.datagrams_out, count);
    assert_int_equal(out.bytes_out, batch.len);
    assert_int_equal(out.send_errors, 0);
    assert_int_equal(in.datagrams_in, count);
    assert_int_equal(in.bytes_in, batch.len);
    assert_int_equal(in.receive_calls, batches);
    if (!w->gso)
        assert_int_equal(out.send_calls, count);
    if (!w->gro)
        assert_int_equal(batches, count);
    free(bytes);
    sys_udp_close(a);
    sys_udp_close(b);
}

static void batches_arrive_whole_and_split_as_sent(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 7, 333, 1199, 1200, 1452, 1500};
    for (size_t w = 0; w < WAYS; w++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            for (size_t count = 1; count <= SYS_UDP_SEGMENTS_MAX; count += count < 4 ? 1 : 15) {
                check_batch(&ways[w], count, sizes[s], sizes[s]);
                check_batch(&ways[w], count, sizes[s], 1 + sizes[s] / 2);
            }
        }
    }
}

static void skip_without_gso(sys_udp *a, sys_udp *b) {
    sys_udp_close(a);
    sys_udp_close(b);
    print_message("skipped: the system has no GSO\n");
    skip();
}

static void one_call_carries_a_batch_each_way(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", true), *b = opened("127.0.0.1:0", true);
    if (sys_udp_max_segments(a) == 1)
        skip_without_gso(a, b);
    uint8_t *bytes = pattern(44 * 1452), *room = malloc(SYS_UDP_BATCH);
    assert_non_null(room);
    send_all(a, bytes, (sys_udp_batch){.remote = sys_udp_local(b), .len = 44 * 1452, .segment = 1452});
    sys_udp_batch got;
    assert_int_equal(receive(b, room, &got), 0);
    assert_int_equal(got.len, 44 * 1452);
    assert_int_equal(got.segment, 1452);
    sys_udp_stats s;
    sys_udp_stats_get(a, &s);
    assert_int_equal(s.send_calls, 1);
    assert_int_equal(s.datagrams_out, 44);
    free(room);
    free(bytes);
    sys_udp_close(a);
    sys_udp_close(b);
}

static void a_batch_beyond_one_call_is_cut_between_datagrams(void **state) {
    (void)state;
    static const struct { size_t count, segment; } rows[] = {{200, 11}, {65, 1000}, {90, 1452}, {3, 40000}, {9, 32000}};
    for (size_t w = 0; w < WAYS; w++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            check_batch(&ways[w], rows[i].count, rows[i].segment, rows[i].segment - 3);
    }
}

static void every_mark_is_carried(void **state) {
    (void)state;
    for (size_t w = 0; w < WAYS; w++) {
        sys_udp *a = opened(ways[w].bind, ways[w].gso), *b = opened(ways[w].bind, true);
        switch_gro(b, ways[w].gro);
        uint8_t *bytes = pattern(2500);
        addr from = sys_udp_local(a);
        // Twice round, so that each mark also follows each other one and none sticks.
        for (unsigned i = 0; i < 8; i++) {
            sys_udp_batch batch = {
                .remote = sys_udp_local(b), .len = 2500, .segment = 1200, .ecn = (uint8_t)(i * 3 % 4)};
            send_all(a, bytes, batch);
            (void)expect(b, &from, bytes, &batch);
        }
        free(bytes);
        sys_udp_close(a);
        sys_udp_close(b);
    }
}

// From `a` to host `to` of `b`, which must be told as local; returns where it came from.
static addr sent_to(sys_udp *a, sys_udp *b, const char *to, addr source) {
    uint8_t room[SYS_UDP_BATCH];
    sys_udp_batch batch = {.remote = with_port(to, b), .local = source, .len = 5, .segment = 2, .ecn = 2}, got;
    send_all(a, (const uint8_t *)"hello", batch);
    for (size_t left = 5; left > 0; left -= got.len) {
        assert_int_equal(receive(b, room, &got), 0);
        assert_true(addr_equal(&got.local, &batch.remote));
        assert_int_equal(got.ecn, 2);
        assert_true(got.len <= left);
    }
    return got.remote;
}

static void a_wildcard_socket_tells_the_destination_address(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", true), *b = opened("0.0.0.0:0", true);
    addr from = sys_udp_local(a);
    for (int i = 1; i < 4; i++) {
        char to[] = "127.0.0.1:0";
        to[8] = (char)('0' + i);
        addr seen = sent_to(a, b, to, (addr){.kind = ADDR_NONE});
        assert_true(addr_equal(&seen, &from));
    }
    sys_udp_close(a);
    sys_udp_close(b);
    a = opened("[::]:0", true), b = opened("[::]:0", true);
    addr seen = sent_to(a, b, "[::1]:0", (addr){.kind = ADDR_NONE});
    from = with_port("[::1]:0", a);
    assert_true(addr_equal(&seen, &from));
    sys_udp_close(a);
    sys_udp_close(b);
}

static void a_wildcard_socket_sends_from_the_address_asked_for(void **state) {
    (void)state;
    sys_udp *a = opened("0.0.0.0:0", true), *b = opened("127.0.0.1:0", true);
    for (int i = 1; i < 4; i++) {
        char from[] = "127.0.0.1:0";
        from[8] = (char)('0' + i);
        addr source = with_port(from, a);
        addr seen = sent_to(a, b, "127.0.0.1:0", source);
        assert_true(addr_equal(&seen, &source));
    }
    sys_udp_close(a);
    sys_udp_close(b);
    a = opened("[::]:0", true), b = opened("[::1]:0", true);
    addr source = with_port("[::1]:0", a), seen = sent_to(a, b, "[::1]:0", source);
    assert_true(addr_equal(&seen, &source));
    sys_udp_close(a);
    sys_udp_close(b);
}

static void an_empty_datagram_is_a_batch_of_one(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", true), *b = opened("127.0.0.1:0", true);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(sys_udp_local(b).port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(sendto(sys_udp_fd(a), "", 0, 0, (struct sockaddr *)&to, sizeof to), 0);
    uint8_t room[SYS_UDP_BATCH];
    sys_udp_batch got;
    assert_int_equal(receive(b, room, &got), 0);
    assert_int_equal(got.len, 0);
    sys_udp_stats s;
    sys_udp_stats_get(b, &s);
    assert_int_equal(s.datagrams_in, 1);
    sys_udp_close(a);
    sys_udp_close(b);
}

static void an_empty_socket_says_again(void **state) {
    (void)state;
    uint8_t room[SYS_UDP_BATCH];
    sys_udp_batch got;
    sys_udp *a = opened("127.0.0.1:0", true);
    assert_int_equal(sys_udp_receive(a, room, &got), IROH_ERR_AGAIN);
    sys_udp_stats s;
    sys_udp_stats_get(a, &s);
    assert_int_equal(s.receive_calls, 0);
    sys_udp_close(a);
}

static void ports_that_nobody_has_do_not_disturb(void **state) {
    (void)state;
    static const char *const binds[] = {"127.0.0.1:0", "[::1]:0"};
    for (size_t i = 0; i < 2; i++) {
        sys_udp *a = opened(binds[i], true), *b = opened(binds[i], true), *gone = opened(binds[i], true);
        addr nowhere = sys_udp_local(gone), from = sys_udp_local(a);
        sys_udp_close(gone);
        uint8_t *bytes = pattern(5000);
        for (int k = 0; k < 5; k++) {
            send_all(a, bytes, (sys_udp_batch){.remote = nowhere, .len = 5000, .segment = 1200});
            sys_udp_batch batch = {.remote = sys_udp_local(b), .len = 5000, .segment = 1200};
            send_all(a, bytes, batch);
            (void)expect(b, &from, bytes, &batch);
            sys_udp_batch got;
            uint8_t room[SYS_UDP_BATCH];
            assert_int_equal(sys_udp_receive(a, room, &got), IROH_ERR_AGAIN);
        }
        free(bytes);
        sys_udp_close(a);
        sys_udp_close(b);
    }
}

// Only a connected socket is told of an ICMP message, by the error of some later call.
static void errors_of_earlier_datagrams_are_passed_over(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", true), *b = opened("127.0.0.1:0", true), *gone = opened("127.0.0.1:0", true);
    addr nowhere = sys_udp_local(gone), from = sys_udp_local(a);
    sys_udp_close(gone);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(nowhere.port)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(sys_udp_fd(a), (struct sockaddr *)&peer, sizeof peer), 0);
    uint8_t *bytes = pattern(5000), room[SYS_UDP_BATCH];
    for (int i = 0; i < 4; i++) {
        sys_udp_batch got, batch = {.remote = sys_udp_local(b), .len = 5000, .segment = 1200};
        send_all(a, bytes, (sys_udp_batch){.remote = nowhere, .len = 1, .segment = 1});
        wait_for(a, POLLERR);
        if (i % 2 == 0)
            assert_int_equal(sys_udp_receive(a, room, &got), IROH_ERR_AGAIN);
        send_all(a, bytes, batch);
        (void)expect(b, &from, bytes, &batch);
    }
    sys_udp_stats s;
    sys_udp_stats_get(a, &s);
    assert_int_equal(s.send_errors, 0);
    free(bytes);
    sys_udp_close(a);
    sys_udp_close(b);
}

static void check_refused(sys_udp *a, sys_udp_batch batch, size_t datagrams) {
    sys_udp_stats before, after;
    sys_udp_stats_get(a, &before);
    uint8_t *bytes = pattern(batch.len);
    size_t sent;
    assert_int_equal(sys_udp_send(a, bytes, &batch, &sent), 0);
    assert_int_equal(sent, batch.len);
    sys_udp_stats_get(a, &after);
    assert_int_equal(after.send_errors - before.send_errors, datagrams);
    assert_int_equal(after.datagrams_out, before.datagrams_out);
    free(bytes);
}

static void what_the_kernel_refuses_is_counted_as_lost(void **state) {
    (void)state;
    sys_udp *a = opened("0.0.0.0:0", true), *b = opened("127.0.0.1:0", true);
    size_t segments = sys_udp_max_segments(a);
    addr there = sys_udp_local(b), foreign = parsed("198.51.100.7:0");
    // Too large; from an address that is not ours, alone and as a batch; of the other family; no address at all.
    check_refused(a, (sys_udp_batch){.remote = there, .len = 65508, .segment = 65508}, 1);
    check_refused(a, (sys_udp_batch){.remote = there, .len = 3 * 65508, .segment = 65508}, 3);
    check_refused(a, (sys_udp_batch){.remote = there, .local = foreign, .len = 9, .segment = 9}, 1);
    check_refused(a, (sys_udp_batch){.remote = there, .local = foreign, .len = 9, .segment = 2}, 5);
    check_refused(a, (sys_udp_batch){.remote = parsed("[::1]:9"), .len = 9, .segment = 2}, 5);
    check_refused(a, (sys_udp_batch){.len = 9, .segment = 9}, 1);
    // None of it was the fault of GSO, and the socket is as good as before.
    assert_int_equal(sys_udp_max_segments(a), segments);
    addr from = with_port("127.0.0.1:0", a);
    uint8_t *bytes = pattern(5000);
    sys_udp_batch batch = {.remote = there, .len = 5000, .segment = 1200, .ecn = 1};
    send_all(a, bytes, batch);
    (void)expect(b, &from, bytes, &batch);
    free(bytes);
    sys_udp_close(a);
    sys_udp_close(b);
}

static void gso_that_fails_is_given_up_without_loss(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", true), *b = opened("127.0.0.1:0", true);
    if (sys_udp_max_segments(a) == 1)
        skip_without_gso(a, b);
    // The kernel refuses to split without checksums, as it does for a device that cannot compute them.
    int on = 1;
    assert_int_equal(setsockopt(sys_udp_fd(a), SOL_SOCKET, SO_NO_CHECK, &on, sizeof on), 0);
    uint8_t *bytes = pattern(40 * 1300);
    addr from = sys_udp_local(a);
    sys_udp_batch batch = {.remote = sys_udp_local(b), .len = 40 * 1300, .segment = 1300, .ecn = 2};
    for (int i = 0; i < 3; i++) {
        send_all(a, bytes, batch);
        (void)expect(b, &from, bytes, &batch);
        assert_int_equal(sys_udp_max_segments(a), 1);
    }
    sys_udp_stats s;
    sys_udp_stats_get(a, &s);
    assert_int_equal(s.send_errors, 0);
    assert_int_equal(s.send_calls, 120);
    free(bytes);
    sys_udp_close(a);
    sys_udp_close(b);
}

// The loopback interface takes whatever it is given. A pair of local sockets does not: with one of them in the place of
// the UDP socket, and no address to send to, the same code meets a queue that is full.
static void a_full_socket_says_how_much_is_gone(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", false);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(dup2(pair[0], sys_udp_fd(a)), sys_udp_fd(a));
    size_t count = 5000, got = 0, rounds = 0;
    uint8_t *bytes = pattern(count * 100), one[101];
    sys_udp_batch batch = {.len = count * 100 - 1, .segment = 100};
    for (size_t gone = 0, sent; gone < count * 100 - 1; gone += sent, rounds++) {
        batch.len = count * 100 - 1 - gone;
        int result = sys_udp_send(a, bytes + gone, &batch, &sent);
        assert_int_equal(result, sent == batch.len ? 0 : IROH_ERR_AGAIN);
        assert_true(sent % 100 == 0 || result == 0);
        for (ssize_t n; (n = recv(pair[1], one, sizeof one, 0)) > 0; got++)
            assert_memory_equal(one, bytes + got * 100, (size_t)n);
        wait_for(a, POLLOUT);
    }
    assert_int_equal(got, count);
    assert_true(rounds > 1);
    sys_udp_stats s;
    sys_udp_stats_get(a, &s);
    assert_int_equal(s.datagrams_out, count);
    assert_int_equal(s.send_errors, 0);
    free(bytes);
    assert_int_equal(close(pair[0]) | close(pair[1]), 0);
    sys_udp_close(a);
}

static void binding_fails_with_the_reason(void **state) {
    (void)state;
    sys_udp *a = opened("127.0.0.1:0", true), *b = NULL;
    addr same = sys_udp_local(a), foreign = parsed("198.51.100.7:0"), none = {.kind = ADDR_NONE};
    addr relay = {.kind = ADDR_RELAY};
    assert_int_not_equal(same.port, 0);
    errno = 0;
    assert_int_equal(sys_udp_open(&same, true, &b), IROH_ERR_BIND);
    assert_int_equal(errno, EADDRINUSE);
    errno = 0;
    assert_int_equal(sys_udp_open(&foreign, true, &b), IROH_ERR_BIND);
    assert_int_equal(errno, EADDRNOTAVAIL);
    assert_int_equal(sys_udp_open(&none, true, &b), IROH_ERR_UNSUPPORTED);
    assert_int_equal(sys_udp_open(&relay, true, &b), IROH_ERR_UNSUPPORTED);
    assert_null(b);
    sys_udp_close(a);
    sys_udp_close(NULL);
}

static void both_families_share_a_port(void **state) {
    (void)state;
    sys_udp *six = opened("[::]:0", true), *four = NULL;
    addr a = with_port("0.0.0.0:0", six);
    assert_int_equal(sys_udp_open(&a, true, &four), 0);
    addr got = sys_udp_local(four);
    assert_true(addr_equal(&got, &a));
    sys_udp_close(six);
    sys_udp_close(four);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_arrive_whole_and_split_as_sent),
        cmocka_unit_test(one_call_carries_a_batch_each_way),
        cmocka_unit_test(a_batch_beyond_one_call_is_cut_between_datagrams),
        cmocka_unit_test(every_mark_is_carried),
        cmocka_unit_test(a_wildcard_socket_tells_the_destination_address),
        cmocka_unit_test(a_wildcard_socket_sends_from_the_address_asked_for),
        cmocka_unit_test(an_empty_datagram_is_a_batch_of_one),
        cmocka_unit_test(an_empty_socket_says_again),
        cmocka_unit_test(ports_that_nobody_has_do_not_disturb),
        cmocka_unit_test(errors_of_earlier_datagrams_are_passed_over),
        cmocka_unit_test(what_the_kernel_refuses_is_counted_as_lost),
        cmocka_unit_test(gso_that_fails_is_given_up_without_loss),
        cmocka_unit_test(a_full_socket_says_how_much_is_gone),
        cmocka_unit_test(binding_fails_with_the_reason),
        cmocka_unit_test(both_families_share_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
