// Sockets that break under an endpoint, as some systems let them while a machine sleeps: the descriptor is there, but it
// is no socket any more.
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "endpoint_support.h"

#define DESCRIPTORS 1024  // looked at
#define STEP_MS 10

static unsigned port_of(const iroh_endpoint *ep) {
    char text[64];
    assert_true(iroh_endpoint_socket(ep, 0, text, sizeof text) > 0);
    return (unsigned)strtoul(strrchr(text, ':') + 1, NULL, 10);
}

// The descriptor of the endpoint's UDP socket.
static int descriptor_of(const iroh_endpoint *ep) {
    unsigned port = port_of(ep);
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        struct sockaddr_in at = {0};
        socklen_t size = sizeof at, kind_size = sizeof(int);
        int kind = 0;
        if (getsockname(fd, (struct sockaddr *)&at, &size) == 0 && at.sin_family == AF_INET &&
            ntohs(at.sin_port) == port && getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &kind_size) == 0 &&
            kind == SOCK_DGRAM)
            return fd;
    }
    fail_msg("no socket at port %u", port);
    return -1;
}

static void break_socket(const iroh_endpoint *ep) {
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC), fd = descriptor_of(ep);
    assert_true(nothing >= 0);
    assert_int_equal(dup2(nothing, fd), fd);
    close(nothing);
}

// The client may have no thread, and is served while the server's stream waits.
static void say(duo *d, iroh_stream *from, iroh_stream *to, const char *text) {
    char got[16] = "";
    size_t have = 0, len = strlen(text);
    iroh_pollitem client = {.endpoint = d->client};
    assert_int_equal(iroh_stream_write_all(from, text, len, LONG_MS, NULL), 0);
    for (int ms = 0; have < len && ms < LONG_MS; ms += STEP_MS) {
        int64_t n = iroh_stream_read(to, got + have, len - have, 0);
        if (n == IROH_ERR_AGAIN)
            assert_int_equal(iroh_poll(&client, 1, STEP_MS), 0);
        else
            have += n > 0 ? (size_t)n : 0;
    }
    assert_string_equal(got, text);
}

static void broken_sockets_are_opened_anew(bool thread) {
    duo d;
    iroh_stream *c, *s;
    duo_open(&d, thread);
    duo_stream(&d, "hello", &c, &s);
    unsigned client_port = port_of(d.client), server_port = port_of(d.server);
    for (int i = 0; i < 2; i++) {
        break_socket(d.client);
        say(&d, c, s, "from client");
        break_socket(d.server);
        say(&d, s, c, "from server");
    }
    // The same ports, really.
    assert_int_equal(port_of(d.client), client_port);
    assert_int_equal(port_of(d.server), server_port);
    assert_true(descriptor_of(d.client) >= 0 && descriptor_of(d.server) >= 0);
    iroh_stream_free(c);
    iroh_stream_free(s);
    // New connections, too.
    iroh_connection *again = duo_connect(d.client, d.server);
    iroh_connection_free(again);
    duo_free(&d);
}

static void broken_sockets_are_opened_anew_by_the_thread(void **state) {
    (void)state;
    broken_sockets_are_opened_anew(OWN_THREAD);
}

static void broken_sockets_are_opened_anew_without_a_thread(void **state) {
    (void)state;
    broken_sockets_are_opened_anew(NO_THREAD);
}

// Somebody took the port meanwhile: it is tried again until it is free.
static void taken_ports_are_waited_for(void **state) {
    (void)state;
    duo d;
    iroh_stream *c, *s;
    duo_open(&d, OWN_THREAD);
    duo_stream(&d, "hello", &c, &s);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)port_of(d.client));
    int thief = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    break_socket(d.client);
    assert_int_equal(bind(thief, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(iroh_stream_write_all(c, "late", 4, LONG_MS, NULL), 0);
    char got[5] = "";
    assert_int_equal(iroh_stream_read_exact(s, got, 4, 50, NULL), IROH_ERR_TIMEOUT);
    close(thief);
    assert_int_equal(iroh_stream_read_exact(s, got, 4, LONG_MS, NULL), 0);
    assert_string_equal(got, "late");
    iroh_stream_free(c);
    iroh_stream_free(s);
    duo_free(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_sockets_are_opened_anew_by_the_thread),
        cmocka_unit_test(broken_sockets_are_opened_anew_without_a_thread),
        cmocka_unit_test(taken_ports_are_waited_for),
    };
    return cmocka_run_group_tests_name("endpoint_broken", tests, NULL, NULL);
}
