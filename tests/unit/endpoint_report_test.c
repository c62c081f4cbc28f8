// Net reports of whole endpoints, with relays of our own in the same process.
#include <iroh/relay.h>

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint/reports.h"
#include "endpoint_support.h"
#include "unit/certificate_support.h"

#define STEP_MS 10
#define NOBODY "http://127.0.0.1:9/"  // the discard port: nobody listens there

static char chain_path[] = "/tmp/iroh-report-crt-XXXXXX", key_path[] = "/tmp/iroh-report-key-XXXXXX";

typedef struct place {
    iroh_relay *relay;
    char url[64];
    int quic_port;
} place;

static void write_file(char *path, const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void place_open(place *p) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.http_bind = "127.0.0.1:0";
    config.https_bind = "127.0.0.1:0";
    config.quic_bind = "127.0.0.1:0";
    config.certificate_path = chain_path;
    config.key_path = key_path;
    config.threads = 1;
    assert_int_equal(iroh_relay_start(&config, &p->relay), 0);
    (void)snprintf(p->url, sizeof p->url, "https://localhost%s/", strrchr(iroh_relay_https_address(p->relay), ':'));
    p->quic_port = atoi(strrchr(iroh_relay_quic_address(p->relay), ':') + 1);
}

// An endpoint with these relays; a port of 0 is IROH_NO_QUIC.
typedef struct dwelling {
    const char *urls[4];
    int ports[4];
    iroh_endpoint_config config;
} dwelling;

static void dwelling_add(dwelling *d, const char *url, int port) {
    d->urls[d->config.relay_count] = url;
    d->ports[d->config.relay_count++] = port;
    d->config.relays = d->urls;
    d->config.relay_quic_ports = d->ports;
}

static void dwelling_init(dwelling *d, bool own_thread) {
    duo_config(&d->config, own_thread);
    d->config.ca_file = chain_path;
}

// The report of an endpoint, once there.
static int report_of(iroh_endpoint *ep, iroh_net_report *r, iroh_relay_latency out[static 4]) {
    return iroh_endpoint_net_report(ep, r, out, 4, LONG_MS);
}

static void expect_own_address(iroh_endpoint *ep, const iroh_net_report *r) {
    char socket[64];
    assert_true(iroh_endpoint_socket(ep, 0, socket, sizeof socket) > 0);
    assert_true(r->udp_v4);
    assert_string_equal(r->global_v4, socket);
}

static void relay_tells_our_address(void **state) {
    (void)state;
    for (int own_thread = 0; own_thread < 2; own_thread++) {
        place p;
        dwelling d = {0};
        iroh_net_report r;
        iroh_relay_latency l[4];
        iroh_endpoint_stats stats;
        place_open(&p);
        dwelling_init(&d, own_thread != 0);
        dwelling_add(&d, p.url, p.quic_port);
        iroh_endpoint *ep = duo_bind(&d.config);
        assert_int_equal(report_of(ep, &r, l), 1);
        expect_own_address(ep, &r);
        assert_false(r.udp_v6);
        assert_string_equal(r.global_v6, "");
        assert_int_equal(r.mapping_varies_v4, -1);
        assert_string_equal(r.preferred_relay, p.url);
        assert_string_equal(l[0].url, p.url);
        assert_true(l[0].quic_v4_us > 0 && l[0].quic_v6_us == 0);
        assert_true(l[0].https_us > 0);  // with one relay a full report waits for it
        assert_int_equal(r.full_reports, 1);
        // Its connections are nobody's business.
        assert_int_equal(iroh_endpoint_stats_get(ep, &stats), 0);
        assert_int_equal(stats.connections, 0);
        assert_int_equal(stats.handshakes, 0);
        iroh_endpoint_free(ep);
        iroh_relay_stop(p.relay);
    }
}

static void two_relays_show_whether_the_mapping_varies(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64];
    iroh_relay_status status;
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, q.url, q.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    expect_own_address(ep, &r);
    assert_int_equal(r.mapping_varies_v4, 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, &status) > 0);
    assert_string_equal(home, r.preferred_relay);
    assert_true(status.connected);
    // The one that is not home was not dialled as a relay.
    const place *other = strcmp(home, p.url) == 0 ? &q : &p;
    iroh_relay_stats there;
    iroh_relay_stats_get(other->relay, &there);
    assert_int_equal(there.accepts, 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

static void relay_without_discovery_is_measured_over_https(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    dwelling_add(&d, p.url, IROH_NO_QUIC);
    d.config.captive_portal_check = false;
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    assert_false(r.udp_v4);
    assert_string_equal(r.global_v4, "");
    assert_int_equal(r.captive_portal, -1);
    assert_string_equal(r.preferred_relay, p.url);
    assert_true(l[0].https_us > 0 && l[0].quic_v4_us == 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void unknown_certificate_tells_nothing(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char path[] = "/tmp/iroh-report-other-XXXXXX", home[64];
    test_certificate other = test_certificate_new(false);
    (void)state;
    write_file(path, other.chain);
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    d.config.ca_file = path;
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 0);
    assert_false(r.udp_v4);
    assert_string_equal(r.preferred_relay, "");
    // Nobody is the nearest, so all are tried.
    assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, 0), IROH_ERR_AGAIN);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    (void)unlink(path);
    test_certificate_free(&other);
}

static void roots_that_cannot_be_read_are_no_crash(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    d.config.ca_file = "/nonexistent/roots.pem";
    dwelling_add(&d, p.url, p.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void relays_come_and_go(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64];
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), IROH_ERR_UNSUPPORTED);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_insert_relay(ep, p.url, NULL, p.quic_port), 0);
    assert_int_equal(report_of(ep, &r, l), 1);
    expect_own_address(ep, &r);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    // The only one left becomes home.
    assert_int_equal(iroh_endpoint_insert_relay(ep, q.url, NULL, q.quic_port), 0);
    assert_int_equal(iroh_endpoint_remove_relay(ep, p.url), 0);
    for (int ms = 0; ms < LONG_MS; ms += STEP_MS) {
        assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
        if (strcmp(home, q.url) == 0)
            break;
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    assert_string_equal(home, q.url);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_int_equal(iroh_endpoint_remove_relay(ep, p.url), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_endpoint_remove_relay(ep, q.url), 0);
    assert_int_equal(iroh_endpoint_home_relay(ep, home, sizeof home, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(report_of(ep, &r, l), IROH_ERR_UNSUPPORTED);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

// Waits for the report number `count`.
static iroh_net_report await_report(iroh_endpoint *ep, uint64_t count) {
    iroh_net_report r = {0};
    for (int ms = 0; ms < LONG_MS; ms += STEP_MS) {
        assert_true(iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS) >= 0);
        endpoint_enter(ep);
        const reporter *made = &ep->reports->reporter;
        bool settled = made->runs >= count && made->run == NULL && !made->wanted;
        endpoint_leave(ep);
        if (settled)
            return iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS) >= 0 ? r : (iroh_net_report){0};
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    fail_msg("no report number %d", (int)count);
    return r;
}

static void request(iroh_endpoint *ep, report_reason reason) {
    endpoint_enter(ep);
    reports_request(ep, reason);
    endpoint_leave(ep);
}

// The number of connections for discovery that the endpoint has.
static size_t kept_by(iroh_endpoint *ep, quic_conn **first) {
    endpoint_enter(ep);
    size_t count = ep->reports->conn_count;
    *first = count > 0 ? ep->reports->conns[0].core : NULL;
    endpoint_leave(ep);
    return count;
}

static void kept_connection_makes_the_next_report(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    quic_conn *before, *after;
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, q.url, q.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    assert_int_equal(kept_by(ep, &before), 1);
    // That to the home relay.
    endpoint_enter(ep);
    assert_int_equal(ep->reports->conns[0].relay, ep->relays.home);
    endpoint_leave(ep);
    request(ep, REPORT_PORT_MAPPED);
    r = await_report(ep, 2);
    assert_int_equal(r.full_reports, 1);
    expect_own_address(ep, &r);
    assert_int_equal(r.mapping_varies_v4, 0);
    assert_int_equal(kept_by(ep, &after), 1);
    assert_ptr_equal(before, after);
    // After a change of the network it is not believed.
    request(ep, REPORT_LINK_MINOR);
    assert_int_equal(kept_by(ep, &after), 0);
    r = await_report(ep, 3);
    assert_int_equal(r.full_reports, 1);
    expect_own_address(ep, &r);
    assert_int_equal(kept_by(ep, &after), 1);
    // The relay that is left is what remains to be asked.
    assert_int_equal(report_of(ep, &r, l), 2);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

static void home_moves_to_a_relay_that_lives(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64] = "";
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, q.url, q.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    place *dead = strcmp(r.preferred_relay, p.url) == 0 ? &p : &q, *alive = dead == &p ? &q : &p;
    iroh_relay_stop(dead->relay);
    request(ep, REPORT_LINK_MAJOR);
    for (int ms = 0; ms < LONG_MS && strcmp(home, alive->url) != 0; ms += STEP_MS) {
        assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    assert_string_equal(home, alive->url);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(alive->relay);
}

// --- Behind a NAT: what we send leaves from a port of its own, until it is given another one

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
    assert_int_equal(kept_by(ep, &kept), 1);
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

static void relay_that_is_gone_tells_nothing(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    iroh_relay_stop(p.relay);
    request(ep, REPORT_LINK_MAJOR);
    r = await_report(ep, 2);
    assert_int_equal(r.full_reports, 2);
    assert_false(r.udp_v4);
    assert_string_equal(r.global_v4, "");
    place_open(&p);
    assert_int_equal(iroh_endpoint_insert_relay(ep, p.url, NULL, p.quic_port), 0);
    r = await_report(ep, 3);
    expect_own_address(ep, &r);
    request(ep, REPORT_LINK_MINOR);
    r = await_report(ep, 4);
    assert_int_equal(r.full_reports, 3);
    expect_own_address(ep, &r);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void switched_off_means_off(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    d.config.net_report = false;
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_int_equal(report_of(ep, &r, l), IROH_ERR_UNSUPPORTED);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void endpoints_end_at_any_time(void **state) {
    place p;
    (void)state;
    place_open(&p);
    for (int i = 0; i < 20; i++) {
        dwelling d = {0};
        dwelling_init(&d, i % 2 == 0);
        dwelling_add(&d, p.url, p.quic_port);
        dwelling_add(&d, NOBODY, 9);
        iroh_endpoint *ep = duo_bind(&d.config);
        iroh_net_report r;
        (void)iroh_endpoint_net_report(ep, &r, NULL, 0, i * 13);
        if (i % 3 == 0)
            assert_int_equal(iroh_endpoint_close(ep, LONG_MS), 0);
        if (i % 3 == 0)
            assert_int_equal(iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS), IROH_ERR_CLOSED);
        iroh_endpoint_free(ep);
    }
    iroh_relay_stop(p.relay);
}

static void settings_must_make_sense(void **state) {
    dwelling d = {0};
    iroh_endpoint *ep;
    iroh_net_report r;
    (void)state;
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, NOBODY, 65536);
    assert_int_equal(iroh_endpoint_bind(&d.config, &ep), IROH_ERR_ARG);
    d.ports[0] = -2;
    assert_int_equal(iroh_endpoint_bind(&d.config, &ep), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(NULL, &r, NULL, 0, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_insert_relay(NULL, NOBODY, NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_remove_relay(NULL, NOBODY), IROH_ERR_ARG);
    d.config.relay_count = 0;
    d.config.direct_only = true;
    ep = duo_bind(&d.config);
    assert_int_equal(iroh_endpoint_insert_relay(ep, NOBODY, NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_insert_relay(ep, NOBODY, NULL, 65536), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(ep, NULL, NULL, 0, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(ep, &r, NULL, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(ep, &r, NULL, 0, 0), IROH_ERR_UNSUPPORTED);
    iroh_endpoint_free(ep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_tells_our_address),
        cmocka_unit_test(two_relays_show_whether_the_mapping_varies),
        cmocka_unit_test(relay_without_discovery_is_measured_over_https),
        cmocka_unit_test(unknown_certificate_tells_nothing),
        cmocka_unit_test(roots_that_cannot_be_read_are_no_crash),
        cmocka_unit_test(relays_come_and_go),
        cmocka_unit_test(kept_connection_makes_the_next_report),
        cmocka_unit_test(home_moves_to_a_relay_that_lives),
        cmocka_unit_test(mapping_of_a_nat_is_our_address_and_followed),
        cmocka_unit_test(mapping_that_varies_names_the_port_of_our_choice),
        cmocka_unit_test(relay_that_is_gone_tells_nothing),
        cmocka_unit_test(switched_off_means_off),
        cmocka_unit_test(endpoints_end_at_any_time),
        cmocka_unit_test(settings_must_make_sense),
    };
    write_file(chain_path, test_certificate_get()->chain);
    write_file(key_path, test_certificate_get()->key);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(chain_path);
    (void)unlink(key_path);
    return failed;
}
