// How a relay is dialled whose name has addresses of both families, the IPv6 one first, when the net report says that UDP
// passes over IPv4 alone. The test stands in for the system's resolver.
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/relay_live_support.h"
#include "unit/report_world_support.h"

#define BOTH "both.example"

// --- The resolver

static struct addrinfo *entry_of(const struct sockaddr *at, socklen_t size, const struct addrinfo *hints) {
    struct addrinfo *e = calloc(1, sizeof *e + sizeof(struct sockaddr_in6));
    if (e == NULL)
        abort();
    e->ai_family = at->sa_family;
    e->ai_socktype = hints->ai_socktype;
    e->ai_protocol = hints->ai_protocol;
    e->ai_addrlen = size;
    e->ai_addr = (struct sockaddr *)(void *)(e + 1);
    memcpy(e->ai_addr, at, size);
    return e;
}

// Calls of libraries come here too, since a program's own definitions go before theirs. Every name leads to this machine.
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **out) {
    in_port_t port = htons(service != NULL ? (uint16_t)strtoul(service, NULL, 10) : 0);
    const struct sockaddr_in ip4 = {.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct sockaddr_in6 ip6 = {.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct addrinfo **end = out;
    *out = NULL;
    if (strcmp(name, BOTH) == 0 && hints->ai_family != AF_INET) {
        *end = entry_of((const struct sockaddr *)&ip6, sizeof ip6, hints);
        end = &(*end)->ai_next;
    }
    if (hints->ai_family != AF_INET6)
        *end = entry_of((const struct sockaddr *)&ip4, sizeof ip4, hints);
    return *out != NULL ? 0 : EAI_NONAME;
}

__attribute__((visibility("default"))) void freeaddrinfo(struct addrinfo *all) {
    while (all != NULL) {
        struct addrinfo *next = all->ai_next;
        free(all);
        all = next;
    }
}

// --- The world

// A listener at [::1], which takes connections and says nothing. Skips without IPv6.
static int mute_at(uint16_t port) {
    const struct sockaddr_in6 at = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 8) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

// An endpoint that has its report, which says so.
static iroh_endpoint *dwell(const place *home) {
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, home->url, home->quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    assert_true(r.udp_v4 && !r.udp_v6);
    return ep;
}

// Dials somebody at that relay, which must then have a client.
static void go_to(iroh_endpoint *ep, const iroh_relay *relay) {
    iroh_connection *c;
    iroh_secret_key key;
    iroh_addr *peer;
    char url[64];
    iroh_public_key id;
    (void)snprintf(url, sizeof url, "http://" BOTH ":%u/", live_port_of(iroh_relay_http_address(relay)));
    iroh_secret_key_generate(&key);
    iroh_secret_key_public(&key, &id);
    assert_int_equal(iroh_addr_new(&id, &peer), 0);
    assert_int_equal(iroh_addr_add_relay(peer, url), 0);
    assert_int_equal(iroh_endpoint_connect(ep, peer, TEST_ALPN, strlen(TEST_ALPN), NULL, 0, &c), 0);
    live_await(relay, 1, 1);
    iroh_connection_free(c);
    iroh_addr_free(peer);
}

static void ip6_is_not_tried_first(void **state) {
    (void)state;
    place home;
    iroh_relay *relay = live_start(false);
    int mute = mute_at(live_port_of(iroh_relay_http_address(relay)));
    struct pollfd tried = {.fd = mute, .events = POLLIN};
    place_open(&home);
    iroh_endpoint *ep = dwell(&home);
    go_to(ep, relay);
    if (mute >= 0)
        assert_int_equal(poll(&tried, 1, 0), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(home.relay);
    iroh_relay_stop(relay);
    if (mute < 0) {
        print_message("this machine has no IPv6\n");
        skip();
    }
    (void)close(mute);
}

static void ip6_is_tried_when_ip4_fails(void **state) {
    (void)state;
    iroh_relay_config config;
    iroh_relay *relay;
    place home;
    int any = mute_at(0);
    if (any < 0) {
        print_message("this machine has no IPv6\n");
        skip();
    }
    (void)close(any);
    iroh_relay_config_default(&config);
    config.http_bind = "[::1]:0";
    config.threads = 1;
    assert_int_equal(iroh_relay_start(&config, &relay), 0);
    place_open(&home);
    iroh_endpoint *ep = dwell(&home);
    go_to(ep, relay);
    iroh_endpoint_free(ep);
    iroh_relay_stop(home.relay);
    iroh_relay_stop(relay);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ip6_is_not_tried_first),
        cmocka_unit_test(ip6_is_tried_when_ip4_fails),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
