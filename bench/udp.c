// Bytes a second through two UDP sockets on the loopback interface, sent and received as endpoints do it but without
// QUIC: from one thread, then with a thread at each end. One line for each size of batch: min and median of the rounds.
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "sys/loop.h"
#include "sys/udp.h"

#define ROUNDS 7
#define ROUND_NS (200 * NS_PER_MS)
#define DATAGRAM 1452
#define IN_FLIGHT 4  // batches before the one thread receives

typedef struct world {
    sys_udp *from, *to;
    sys_udp_batch batch;
    uint8_t *out, *in;
    atomic_bool stop;
} world;

static void fail(const char *what) {
    fprintf(stderr, "udp: %s\n", what);
    exit(1);
}

static sys_udp *opened(void) {
    // To all addresses, as endpoints are by default, so that the local address travels along.
    static const uint8_t any[4] = {0};
    addr bind = addr_ip4(any, 0);
    sys_udp *u;
    if (sys_udp_open(&bind, true, &u) != 0)
        fail("no socket");
    return u;
}

static void set_up(world *w, size_t segments) {
    static const uint8_t localhost[4] = {127, 0, 0, 1};
    w->from = opened();
    w->to = opened();
    w->batch = (sys_udp_batch){
        .remote = addr_ip4(localhost, sys_udp_local(w->to).port),
        .local = addr_ip4(localhost, sys_udp_local(w->from).port),
        .len = segments * DATAGRAM,
        .segment = DATAGRAM,
        .ecn = 2,
    };
    atomic_store(&w->stop, false);
}

static void tear_down(world *w) {
    sys_udp_close(w->from);
    sys_udp_close(w->to);
}

static void send_batch(world *w) {
    size_t sent;
    int error = sys_udp_send(w->from, w->out, &w->batch, &sent);
    if (error != 0 && error != IROH_ERR_AGAIN)
        fail("send");
}

// What is there: its bytes.
static uint64_t receive_all(world *w) {
    uint64_t sum = 0;
    sys_udp_batch b;
    int error;
    while ((error = sys_udp_receive(w->to, w->in, &b)) == 0)
        sum += b.len;
    if (error != IROH_ERR_AGAIN)
        fail("receive");
    return sum;
}

static double round_in_one_thread(world *w) {
    uint64_t start = sys_now(), now, got = 0;
    while ((now = sys_now()) - start < ROUND_NS) {
        for (int i = 0; i < IN_FLIGHT; i++)
            send_batch(w);
        got += receive_all(w);
    }
    return (double)got / (double)(now - start);
}

static void *send_until_stopped(void *user) {
    world *w = user;
    while (!atomic_load_explicit(&w->stop, memory_order_relaxed))
        send_batch(w);
    return NULL;
}

// What the receiver is too slow for is lost, and does not count.
static double round_in_two_threads(world *w) {
    pthread_t sender;
    atomic_store(&w->stop, false);
    uint64_t start = sys_now(), now, got = 0;
    if (pthread_create(&sender, NULL, send_until_stopped, w) != 0)
        fail("no thread");
    while ((now = sys_now()) - start < ROUND_NS) {
        struct pollfd p = {.fd = sys_udp_fd(w->to), .events = POLLIN};
        (void)poll(&p, 1, 10);
        got += receive_all(w);
    }
    atomic_store(&w->stop, true);
    (void)pthread_join(sender, NULL);
    (void)receive_all(w);
    return (double)got / (double)(now - start);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(world *w, const char *how, size_t segments, double (*round)(world *w)) {
    double rates[ROUNDS];
    set_up(w, segments);
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = round(w);
    tear_down(w);
    qsort(rates, ROUNDS, sizeof *rates, ascending);
    printf("udp: %d-byte datagrams, batches of %zu, %s: min %.2f GB/s, median %.2f GB/s\n", DATAGRAM, segments, how,
           rates[0], rates[ROUNDS / 2]);
}

int main(void) {
    static const size_t batches[] = {1, 10, 44};
    world w = {.out = malloc(SYS_UDP_BATCH), .in = malloc(SYS_UDP_BATCH)};
    if (w.out == NULL || w.in == NULL)
        fail("out of memory");
    memset(w.out, 7, SYS_UDP_BATCH);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        measure(&w, "one thread", batches[i], round_in_one_thread);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        measure(&w, "two threads", batches[i], round_in_two_threads);
    free(w.out);
    free(w.in);
    return 0;
}
