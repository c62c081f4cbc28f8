// Whether a network wants a login first: in a network of the test's own, since the question goes to port 80.
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netns_support.h"
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_there_is_no_answer),
        cmocka_unit_test(relay_itself_means_no_login),
        cmocka_unit_test(login_page_is_told_from_the_relay),
    };
    (void)netns_enter();
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
