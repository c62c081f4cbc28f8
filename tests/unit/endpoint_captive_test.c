// Whether a network wants a login first, and how HTTP questions go through proxies: in a network of the test's own, since
// some go to port 80.
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns_support.h"
#include "unit/proxy_support.h"
#include "unit/relay_live_support.h"
#include "unit/report_world_support.h"

#define LOGIN_PAGE "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nContent-Length: 0\r\n\r\n"

// The report of an endpoint whose relays answer nothing but, perhaps, this question.
static iroh_net_report look(bool check) {
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    dwelling_init(&d, OWN_THREAD);
    d.config.captive_portal_check = check;
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 0);
    iroh_endpoint_free(ep);
    return r;
}

static void nobody_there_is_no_answer(void **state) {
    (void)state;
    netns_needed();
    assert_int_equal(look(true).captive_portal, -1);
}

static void relay_itself_means_no_login(void **state) {
    iroh_relay_config config;
    iroh_relay *relay;
    (void)state;
    netns_needed();
    iroh_relay_config_default(&config);
    config.http_bind = "127.0.0.1:80";
    config.threads = 1;
    assert_int_equal(iroh_relay_start(&config, &relay), 0);
    assert_int_equal(look(true).captive_portal, 0);
    assert_int_equal(look(false).captive_portal, -1);
    iroh_relay_stop(relay);
}

// --- A network that answers everything with its login page

typedef struct portal {
    int listener;
    atomic_bool stop;
    atomic_int asked;
    pthread_t thread;
} portal;

static void *portal_main(void *user) {
    portal *p = user;
    while (!atomic_load(&p->stop)) {
        struct pollfd item = {.fd = p->listener, .events = POLLIN};
        char request[4096];
        if (poll(&item, 1, STEP_MS) <= 0)
            continue;
        int fd = accept(p->listener, NULL, NULL);
        if (fd < 0)
            continue;
        if (recv(fd, request, sizeof request, 0) > 0 && send(fd, LOGIN_PAGE, sizeof LOGIN_PAGE - 1, MSG_NOSIGNAL) > 0)
            atomic_fetch_add(&p->asked, 1);
        (void)close(fd);
    }
    return NULL;
}

static void login_page_is_told_from_the_relay(void **state) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(80)};
    portal p = {0};
    const int on = 1;
    (void)state;
    netns_needed();
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(p.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(p.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p.listener, 8), 0);
    assert_int_equal(pthread_create(&p.thread, NULL, portal_main, &p), 0);
    assert_int_equal(look(true).captive_portal, 1);
    assert_int_equal(atomic_load(&p.asked), 1);
    atomic_store(&p.stop, true);
    assert_int_equal(pthread_join(p.thread, NULL), 0);
    (void)close(p.listener);
}

// --- Through a proxy

// The report of an endpoint with this proxy and one relay: the number of relays that answered.
static int look_through(const char *proxy_url, const char *relay_url, iroh_net_report *r) {
    dwelling d = {0};
    iroh_relay_latency l[4];
    dwelling_init(&d, OWN_THREAD);
    d.config.proxy = proxy_url;
    dwelling_add(&d, relay_url, IROH_NO_QUIC);
    iroh_endpoint *ep = duo_bind(&d.config);
    int count = report_of(ep, r, l);
    iroh_endpoint_free(ep);
    return count;
}

// Questions over plain HTTP need no tunnel. The relay's name leads nowhere but for the proxy, whose answer tells that there is
// no login page.
static void plain_questions_are_forwarded(proxy *p, const char *login) {
    char url[128];
    iroh_net_report r;
    proxy_start(p);
    (void)snprintf(url, sizeof url, "http://%s127.0.0.1:%u", login, p->port);
    assert_int_equal(look_through(url, "http://relay.invalid:1/", &r), 0);
    assert_int_equal(r.captive_portal, 0);
    assert_true(proxy_forwarded(p) >= 2);  // the other one is whether the relay is there
    proxy_stop(p);
}

static void login_page_is_looked_for_through_the_proxy(void **state) {
    (void)state;
    plain_questions_are_forwarded(&(proxy){.login = NULL}, "");
    plain_questions_are_forwarded(&(proxy){.login = "user:pass word"}, "user:pass%20word@");
}

static void plain_relay_is_asked_through_the_proxy(void **state) {
    (void)state;
    char url[128], home[128];
    proxy p = {0};
    iroh_net_report r;
    iroh_relay *relay = live_start(false);
    proxy_start(&p);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", p.port);
    (void)snprintf(home, sizeof home, "http://127.0.0.1:%u/", live_port_of(iroh_relay_http_address(relay)));
    assert_int_equal(look_through(url, home, &r), 1);
    assert_true(proxy_forwarded(&p) >= 1);
    proxy_stop(&p);
    iroh_relay_stop(relay);
}

// What goes over TLS takes a tunnel, and the login page is asked for over plain HTTP all the same.
static void proxy_without_a_port_is_at_the_usual_one(void **state) {
    (void)state;
    proxy p = {.port = 80};
    place home;
    iroh_net_report r;
    netns_needed();
    place_open(&home);
    proxy_start(&p);
    assert_int_equal(look_through("http://127.0.0.1", home.url, &r), 1);
    assert_int_equal(r.captive_portal, 0);
    assert_true(proxy_tunnels(&p) >= 1);
    assert_true(proxy_forwarded(&p) >= 1);
    proxy_stop(&p);
    iroh_relay_stop(home.relay);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_there_is_no_answer),
        cmocka_unit_test(relay_itself_means_no_login),
        cmocka_unit_test(login_page_is_told_from_the_relay),
        cmocka_unit_test(login_page_is_looked_for_through_the_proxy),
        cmocka_unit_test(plain_relay_is_asked_through_the_proxy),
        cmocka_unit_test(proxy_without_a_port_is_at_the_usual_one),
    };
    (void)netns_enter();
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
