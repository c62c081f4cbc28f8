// Clients of a relay server whose access a web server is asked about, which takes its time.
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay_server/state.h"
#include "unit/relay_live_support.h"

#define CLIENTS 4

// A web server that takes connections and says nothing.
static int listen_silently(char *url, size_t size) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, CLIENTS) == 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    (void)snprintf(url, size, "http://127.0.0.1:%d/", ntohs(a.sin_port));
    return fd;
}

static size_t count_handshakes(const iroh_relay *r) {
    size_t count = 0;
    for (uint32_t i = 0; i < r->loop_count; i++)
        count += r->loops[i]->handshake_count;
    return count;
}

// Those who do not wait for the answer leave nothing behind, and are not taken for handshakes that have ended.
static void clients_go_while_they_are_asked_about(void **state) {
    (void)state;
    char url[64];
    int web = listen_silently(url, sizeof url), asked[CLIENTS];
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.access = IROH_RELAY_CALLBACK;
    config.callback_url = url;
    iroh_relay *r = live_start_with(&config, true);
    for (uint8_t i = 0; i < CLIENTS; i++) {
        live_client c;
        live_client_open(&c, r, 7, NULL, false);
        asked[i] = accept(web, NULL, NULL);  // the question has come
        assert_true(asked[i] >= 0);
        if (i % 2 == 0) {  // a frame without a mask, after which the server closes first
            assert_true(live_put(&c.line, "\x82\0", 2));
            live_expect_closed(&c.line);
        }
        live_client_close(&c);
    }
    live_await(r, 0, 0);
    assert_int_equal(count_handshakes(r), 0);
    for (size_t i = 0; i < CLIENTS; i++)
        close(asked[i]);
    close(web);
    iroh_relay_stop(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clients_go_while_they_are_asked_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
