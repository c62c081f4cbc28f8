// `iroh pipe` between two processes: both directions, half-closing, and the tcp and unix forms.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "unit/process_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define LOOPBACK "--bind", "127.0.0.1:0"
#define WORDS(...) ((const char *const[]){IROH, __VA_ARGS__, NULL})
#define SIZE ((size_t)10000000)
#define TICKET_MAX 4096

static char folder[64];

static int make_folder(void **state) {
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(folder, sizeof folder, "/tmp/iroh-pipe-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state) {
    (void)process_kill_all(state);
    return rmdir(folder);
}

// Bytes that depend on their position and on `seed`, so that a lost, doubled or swapped piece shows.
static uint8_t *pattern(size_t len, uint64_t seed) {
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    uint64_t x = seed;
    for (size_t i = 0; i < len; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407U;
        bytes[i] = (uint8_t)(x >> 56);
    }
    return bytes;
}

// A file without a name.
static int scratch(const void *bytes, size_t len) {
    char path[96];
    (void)snprintf(path, sizeof path, "%s/XXXXXX", folder);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    process_write_all(fd, bytes, len);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void must_hold(int fd, const uint8_t *bytes, size_t len) {
    uint8_t *got = malloc(len + 1);
    assert_non_null(got);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(process_read_all(fd, got, len + 1), len);
    assert_memory_equal(got, bytes, len);
    free(got);
}

// Starts the listening side and copies its ticket.
static void start_listener(process *p, char ticket[static TICKET_MAX], const char *const words[], int in, int out) {
    process_start(p, words, in, out);
    (void)snprintf(ticket, TICKET_MAX, "endpoint%s", process_word(p, " endpoint"));
}

static void ten_megabytes_cross_both_ways(void **state) {
    (void)state;
    uint8_t *there = pattern(SIZE, 1), *back = pattern(SIZE + 12345, 2);
    int in_a = scratch(there, SIZE), in_b = scratch(back, SIZE + 12345), out_a = scratch("", 0), out_b = scratch("", 0);
    process listener, connector;
    char ticket[TICKET_MAX];
    start_listener(&listener, ticket, WORDS("pipe", "listen", LOOPBACK), in_b, out_b);
    process_start(&connector, WORDS("pipe", "connect", ticket, LOOPBACK), in_a, out_a);
    assert_int_equal(process_wait(&connector), 0);
    assert_int_equal(process_wait(&listener), 0);
    must_hold(out_b, there, SIZE);
    must_hold(out_a, back, SIZE + 12345);
    (void)close(in_a);
    (void)close(in_b);
    (void)close(out_a);
    (void)close(out_b);
    free(there);
    free(back);
}

static void one_end_may_go_on_after_the_other_ended(void **state) {
    (void)state;
    process listener, connector;
    char ticket[TICKET_MAX], got[64];
    start_listener(&listener, ticket, WORDS("pipe", "listen", LOOPBACK), PROCESS_PIPE, PROCESS_PIPE);
    process_start(&connector, WORDS("pipe", "connect", ticket, LOOPBACK), PROCESS_PIPE, PROCESS_PIPE);
    process_write_all(connector.in, "question", 8);
    (void)close(connector.in);
    connector.in = -1;
    // Only after its end has crossed, which proves that it did not end the other direction.
    assert_int_equal(process_read_all(listener.out, got, sizeof got), 8);
    assert_memory_equal(got, "question", 8);
    process_write_all(listener.in, "late answer", 11);
    (void)close(listener.in);
    listener.in = -1;
    assert_int_equal(process_read_all(connector.out, got, sizeof got), 11);
    assert_memory_equal(got, "late answer", 11);
    assert_int_equal(process_wait(&connector), 0);
    assert_int_equal(process_wait(&listener), 0);
}

static void bytes_pass_before_the_end(void **state) {
    (void)state;
    process listener, connector;
    char ticket[TICKET_MAX], got[4];
    start_listener(&listener, ticket, WORDS("pipe", "listen", LOOPBACK), PROCESS_PIPE, PROCESS_PIPE);
    process_start(&connector, WORDS("pipe", "connect", ticket, LOOPBACK), PROCESS_PIPE, PROCESS_PIPE);
    for (int i = 0; i < 10; i++) {
        process_write_all(connector.in, "ping", 4);
        assert_int_equal(process_read_all(listener.out, got, 4), 4);
        process_write_all(listener.in, "pong", 4);
        assert_int_equal(process_read_all(connector.out, got, 4), 4);
        assert_memory_equal(got, "pong", 4);
    }
    process_signal(&connector, SIGTERM);
    assert_int_equal(process_wait(&connector), 130);
    // The other side did not get an end, so it must not claim one.
    assert_int_equal(process_wait(&listener), 1);
}

static void receivers_do_not_read_their_input(void **state) {
    (void)state;
    uint8_t *bytes = pattern(100000, 3);
    int in = scratch(bytes, 100000), out = scratch("", 0);
    process listener, connector;
    char ticket[TICKET_MAX];
    start_listener(&listener, ticket, WORDS("pipe", "listen", LOOPBACK, "--recv-only"), PROCESS_PIPE, out);
    process_start(&connector, WORDS("pipe", "connect", ticket, LOOPBACK), in, PROCESS_NULL);
    assert_int_equal(process_wait(&connector), 0);
    assert_int_equal(process_wait(&listener), 0);
    must_hold(out, bytes, 100000);
    (void)close(in);
    (void)close(out);
    free(bytes);
}

static void custom_protocols_have_no_greeting_and_must_agree(void **state) {
    (void)state;
    int in = scratch("without greeting", 16), out = scratch("", 0);
    process listener, connector;
    char ticket[TICKET_MAX];
    start_listener(&listener, ticket, WORDS("pipe", "listen", LOOPBACK, "--custom-alpn", "utf8:my/pipe"), PROCESS_NULL,
                   out);
    process_start(&connector, WORDS("pipe", "connect", ticket, LOOPBACK), PROCESS_NULL, PROCESS_NULL);
    assert_int_equal(process_wait(&connector), 1);
    process_start(&connector, WORDS("pipe", "connect", ticket, LOOPBACK, "--custom-alpn", "6d792f70697065"), in,
                  PROCESS_NULL);
    assert_int_equal(process_wait(&connector), 0);
    assert_int_equal(process_wait(&listener), 0);
    must_hold(out, (const uint8_t *)"without greeting", 16);
    (void)close(in);
    (void)close(out);
}

// --- Sockets

// Echoes each connection until its end, in turn; the listening socket's end ends it.
static void *echo_server(void *user) {
    int listening = *(int *)user, fd;
    uint8_t bytes[16384];
    while ((fd = accept(listening, NULL, NULL)) >= 0) {
        ssize_t n;
        while ((n = read(fd, bytes, sizeof bytes)) > 0)
            process_write_all(fd, bytes, (size_t)n);
        (void)close(fd);
    }
    return NULL;
}

static int listen_on(struct sockaddr *a, socklen_t len) {
    int fd = socket(a->sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, a, len), 0);
    assert_int_equal(getsockname(fd, a, &len), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int dial(const struct sockaddr *a, socklen_t len) {
    int fd = socket(a->sa_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, a, len), 0);
    return fd;
}

// As large as what sockets and windows hold meanwhile allows without reading at the same time.
static void echo_through(const struct sockaddr *a, socklen_t len, uint64_t seed) {
    enum { PIECE = 60000 };
    uint8_t *bytes = pattern(PIECE, seed), got[PIECE + 1];
    int fd = dial(a, len);
    for (int i = 0; i < 3; i++) {
        process_write_all(fd, bytes, PIECE);
        assert_int_equal(process_read_all(fd, got, PIECE), PIECE);
        assert_memory_equal(got, bytes, PIECE);
    }
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_int_equal(process_read_all(fd, got, 1), 0);
    (void)close(fd);
    free(bytes);
}

static void end_forwarder(process *p) {
    process_signal(p, SIGTERM);
    assert_int_equal(process_wait(p), 130);
}

// Connections one after the other through listener and connector, to an echo server.
static void forwards(int server, const struct sockaddr *entry, socklen_t len, const char *const listen_words[],
                     const char *connect_words[], size_t ticket_at) {
    pthread_t thread;
    process listener, connector;
    char ticket[TICKET_MAX];
    assert_int_equal(pthread_create(&thread, NULL, echo_server, &server), 0);
    start_listener(&listener, ticket, listen_words, PROCESS_NULL, PROCESS_NULL);
    connect_words[ticket_at] = ticket;
    process_start(&connector, connect_words, PROCESS_NULL, PROCESS_NULL);
    (void)process_word(&connector, "Listening on ");
    for (uint64_t i = 0; i < 3; i++)
        echo_through(entry, len, i);
    end_forwarder(&connector);
    end_forwarder(&listener);
    (void)shutdown(server, SHUT_RDWR);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)close(server);
}

static void tcp_connections_are_forwarded(void **state) {
    (void)state;
    struct sockaddr_in inside = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, entry = inside;
    int server = listen_on((struct sockaddr *)&inside, sizeof inside);
    int held = listen_on((struct sockaddr *)&entry, sizeof entry);  // finds a port that is free
    (void)close(held);
    char host[64], addr[64];
    (void)snprintf(host, sizeof host, "localhost:%u", ntohs(inside.sin_port));
    (void)snprintf(addr, sizeof addr, "127.0.0.1:%u", ntohs(entry.sin_port));
    const char *connect_words[] = {IROH, "pipe", "connect-tcp", "--addr", addr, NULL, LOOPBACK, NULL};
    forwards(server, (struct sockaddr *)&entry, sizeof entry, WORDS("pipe", "listen-tcp", "--host", host, LOOPBACK),
             connect_words, 5);
}

static void unix_connections_are_forwarded(void **state) {
    (void)state;
    struct sockaddr_un inside = {.sun_family = AF_UNIX}, entry = inside;
    (void)snprintf(inside.sun_path, sizeof inside.sun_path, "%s/inside", folder);
    (void)snprintf(entry.sun_path, sizeof entry.sun_path, "%s/entry", folder);
    int server = listen_on((struct sockaddr *)&inside, sizeof inside);
    // What a killed program leaves behind is no obstacle.
    int dead = listen_on((struct sockaddr *)&entry, sizeof entry);
    (void)close(dead);
    const char *connect_words[] = {IROH, "pipe", "connect-unix", "--socket-path", entry.sun_path, NULL, LOOPBACK, NULL};
    forwards(server, (struct sockaddr *)&entry, sizeof entry,
             WORDS("pipe", "listen-unix", "--socket-path", inside.sun_path, LOOPBACK), connect_words, 5);
    assert_int_not_equal(access(entry.sun_path, F_OK), 0);
    assert_int_equal(unlink(inside.sun_path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(ten_megabytes_cross_both_ways, process_kill_all),
        cmocka_unit_test_teardown(one_end_may_go_on_after_the_other_ended, process_kill_all),
        cmocka_unit_test_teardown(bytes_pass_before_the_end, process_kill_all),
        cmocka_unit_test_teardown(receivers_do_not_read_their_input, process_kill_all),
        cmocka_unit_test_teardown(custom_protocols_have_no_greeting_and_must_agree, process_kill_all),
        cmocka_unit_test_teardown(tcp_connections_are_forwarded, process_kill_all),
        cmocka_unit_test_teardown(unix_connections_are_forwarded, process_kill_all),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
