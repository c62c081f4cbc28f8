// Net reports of endpoints behind a NAT, which is a thread that moves datagrams between sockets.
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/report_world_support.h"

// What we send leaves from a port of its own, until it is given another one.
typedef struct nat {
    int inside, outside[2];
    int inside_port, relay_port;
    atomic_int now;  // which outside socket is in use
    atomic_bool stop;
    pthread_t thread;
} nat;

static int loopback_socket(int *port) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *port = ntohs(a.sin_port);
    return fd;
}

static void *nat_main(void *user) {
    nat *n = user;
    struct sockaddr_in inner = {0}, relay = {.sin_family = AF_INET, .sin_port = htons((uint16_t)n->relay_port)};
    uint8_t bytes[65536];
    relay.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (!atomic_load(&n->stop)) {
        int out = n->outside[atomic_load(&n->now)];
        struct pollfd fds[] = {{.fd = n->inside, .events = POLLIN}, {.fd = out, .events = POLLIN}};
        socklen_t len = sizeof inner;
        (void)poll(fds, 2, STEP_MS);
        ssize_t got = recvfrom(n->inside, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&inner, &len);
        if (got > 0)
            (void)sendto(out, bytes, (size_t)got, 0, (struct sockaddr *)&relay, sizeof relay);
        got = recv(out, bytes, sizeof bytes, MSG_DONTWAIT);
        if (got > 0)
            (void)sendto(n->inside, bytes, (size_t)got, 0, (struct sockaddr *)&inner, sizeof inner);
    }
    return NULL;
}

static void nat_open(nat *n, const place *p, int ports[static 2]) {
    *n = (nat){.relay_port = p->quic_port};
    n->inside = loopback_socket(&n->inside_port);
    for (int i = 0; i < 2; i++)
        n->outside[i] = loopback_socket(&ports[i]);
    assert_int_equal(pthread_create(&n->thread, NULL, nat_main, n), 0);
}

static void nat_close(nat *n) {
    atomic_store(&n->stop, true);
    assert_int_equal(pthread_join(n->thread, NULL), 0);
    (void)close(n->inside);
    (void)close(n->outside[0]);
    (void)close(n->outside[1]);
}

static bool is_at(const iroh_net_report *r, int port) {
    char text[32];
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", port);
    return strcmp(r->global_v4, text) == 0;
}

static bool has_address(iroh_endpoint *ep, int port) {
    char wanted[32], text[128];
    iroh_addr *a;
    bool found = false;
    (void)snprintf(wanted, sizeof wanted, "127.0.0.1:%d", port);
    assert_int_equal(iroh_endpoint_addr(ep, &a), 0);
    for (size_t i = 0; i < iroh_addr_count(a); i++) {
        assert_true(iroh_addr_text(a, i, text, sizeof text) > 0);
        found |= strcmp(text, wanted) == 0;
    }
    iroh_addr_free(a);
    return found;
}

static bool all_recover(void *user, const addr *local, const addr *to) {
    (void)user;
    (void)local;
    (void)to;
    return true;
}

static void mapping_of_a_nat_is_our_address_and_followed(void **state) {
    place p;
    nat n;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    int ports[2];
    quic_conn *kept;
    (void)state;
    place_open(&p);
    nat_open(&n, &p, ports);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, n.inside_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    assert_true(is_at(&r, ports[0]));
    assert_true(has_address(ep, ports[0]));
    assert_false(has_address(ep, ports[1]));
    // The NAT forgets; the next ping of the kept connection, which comes at once here, shows it.
    assert_int_equal(report_kept_by(ep, &kept), 1);
    atomic_store(&n.now, 1);
    endpoint_enter(ep);
    quic_conn_network_changed(kept, all_recover, NULL, sys_now());
    endpoint_leave(ep);
    for (int ms = 0; ms < LONG_MS && !is_at(&r, ports[1]); ms += STEP_MS) {
        assert_true(report_of(ep, &r, l) >= 0);
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    assert_true(is_at(&r, ports[1]));
    assert_true(has_address(ep, ports[1]));
    assert_false(has_address(ep, ports[0]));
    iroh_endpoint_free(ep);
    nat_close(&n);
    iroh_relay_stop(p.relay);
}

static void mapping_that_varies_names_the_port_of_our_choice(void **state) {
    place p, q;
    nat n, m;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char bind[32];
    int ports[2], other[2], ours;
    (void)state;
    place_open(&p);
    place_open(&q);
    nat_open(&n, &p, ports);
    nat_open(&m, &q, other);
    (void)close(loopback_socket(&ours));
    (void)snprintf(bind, sizeof bind, "0.0.0.0:%d", ours);
    const char *binds[] = {bind};
    dwelling_init(&d, OWN_THREAD);
    d.config.bind = binds;
    dwelling_add(&d, p.url, n.inside_port);
    dwelling_add(&d, q.url, m.inside_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    assert_int_equal(r.mapping_varies_v4, 1);
    assert_true(is_at(&r, ports[0]) || is_at(&r, other[0]));
    assert_true(has_address(ep, ours));
    iroh_endpoint_free(ep);
    nat_close(&n);
    nat_close(&m);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapping_of_a_nat_is_our_address_and_followed),
        cmocka_unit_test(mapping_that_varies_names_the_port_of_our_choice),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
