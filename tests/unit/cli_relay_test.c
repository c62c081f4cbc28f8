// The program `iroh` and relays: every command over a relay alone and without any, tokens, proxies, roots.
#include <iroh/relay.h>

#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "unit/certificate_support.h"
#include "unit/process_support.h"
#include "unit/proxy_support.h"
#include "unit/relay_live_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define WORDS(...) ((const char *const[]){IROH, __VA_ARGS__, NULL})
#define TICKET_MAX 4096
#define TOKEN "open sesame"
#define LOGIN "user:secret"
#define CHANCES 8  // to say what became of a relay

typedef struct home {
    iroh_relay *relay;
    char url[64];
} home;

static void home_open_with(home *h, iroh_relay_config *config, bool tls) {
    h->relay = live_start_with(config, tls);
    const char *address = tls ? iroh_relay_https_address(h->relay) : iroh_relay_http_address(h->relay);
    (void)snprintf(h->url, sizeof h->url, "%s://localhost:%u/", tls ? "https" : "http", live_port_of(address));
}

static void home_open(home *h, bool tls) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    home_open_with(h, &config, tls);
}

static void home_open_for_token(home *h, const char *const *token) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.access = IROH_RELAY_TOKENS;
    config.tokens = token;
    config.token_count = 1;
    home_open_with(h, &config, false);
}

static void start(process *p, char ticket[static TICKET_MAX], const char *const words[], const char *mark) {
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
    (void)snprintf(ticket, TICKET_MAX, "%s", process_word(p, mark));
}

// Standard error is in p->text then.
static void end(process *p) {
    process_signal(p, SIGTERM);
    assert_int_equal(process_wait(p), 0);
}

// Runs to the end: the status.
static int run(process *p, const char *const words[], char *out, size_t room) {
    process_start(p, words, PROCESS_NULL, PROCESS_PIPE);
    out[process_read_all(p->out, out, room - 1)] = '\0';
    return process_wait(p);
}

static void says(const char *text, const char *words) {
    if (strstr(text, words) == NULL)
        fail_msg("no '%s' in: %s", words, text);
}

static void says_nothing_of(const char *text, const char *words) {
    if (strstr(text, words) != NULL)
        fail_msg("'%s' in: %s", words, text);
}

// The program waits only so long for a relay before it tells its ticket and how the relay is, and on a machine with much
// else to do nothing may have become of it by then. So it gets several chances to say this.
static void start_and_hear(process *p, char ticket[static TICKET_MAX], const char *const words[], const char *said) {
    for (int i = 0; i < CHANCES; i++) {
        start(p, ticket, words, "iroh ping ");
        if (strstr(p->text, said) != NULL)
            return;
        end(p);
    }
    fail_msg("no '%s' in: %s", said, p->text);
}

// Waits until a client is at one of two relays, which may be the same.
static void await_client(const home *a, const home *b) {
    for (int i = 0; i < LIVE_PATIENCE_MS; i++) {
        if (live_stats(a->relay).clients + live_stats(b->relay).clients > 0)
            return;
        (void)usleep(1000);
    }
    fail_msg("nobody comes to %s or %s", a->url, b->url);
}

// --- Every command

static void ping_goes_over_a_relay_alone(void **state) {
    (void)state;
    home h;
    process server, client;
    char ticket[TICKET_MAX], out[4096];
    home_open(&h, false);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only"), "iroh ping ");
    assert_int_equal(
        run(&client, WORDS("ping", ticket, "--relay-only", "--count", "2", "--interval", "1"), out, sizeof out), 0);
    says(out, "(relay)");
    says_nothing_of(out, "(direct)");
    // What became of the paths goes to standard error.
    says(client.text, h.url);
    says(client.text, "(relay) opened");
    says(client.text, "(relay) selected");
    says_nothing_of(out, "opened");
    assert_true(live_stats(h.relay).datagrams_out > 0);
    end(&server);
    iroh_relay_stop(h.relay);
}

static void ping_tells_of_the_direct_path(void **state) {
    (void)state;
    process server, client;
    char ticket[TICKET_MAX], out[4096];
    start(&server, ticket, WORDS("ping", "serve", "--bind", "127.0.0.1:0", "--direct-only"), "iroh ping ");
    assert_int_equal(run(&client, WORDS("ping", ticket, "--direct-only", "--count", "1"), out, sizeof out), 0);
    says(out, "(direct)");
    says(client.text, "(direct) opened");
    says(client.text, "(direct) selected");
    assert_int_equal(run(&client, WORDS("ping", ticket, "--count", "1", "--json"), out, sizeof out), 0);
    assert_string_equal(client.text, "");
    end(&server);
}

static void pipe_goes_over_a_relay_alone(void **state) {
    (void)state;
    home h;
    process server, client;
    char ticket[TICKET_MAX], got[16] = "";
    home_open(&h, false);
    process_start(&server, WORDS("pipe", "listen", "--recv-only", "--relay", h.url, "--relay-only"), PROCESS_NULL,
                  PROCESS_PIPE);
    (void)snprintf(ticket, sizeof ticket, "%s", process_word(&server, "iroh pipe connect "));
    process_start(&client, WORDS("pipe", "connect", ticket, "--relay-only"), PROCESS_PIPE, PROCESS_NULL);
    process_write_all(client.in, "relayed", 7);
    close(client.in);
    client.in = -1;
    assert_int_equal(process_read_all(server.out, got, sizeof got), 7);
    assert_memory_equal(got, "relayed", 7);
    assert_int_equal(process_wait(&client), 0);
    assert_int_equal(process_wait(&server), 0);
    assert_true(live_stats(h.relay).datagrams_out > 0);
    iroh_relay_stop(h.relay);
}

// The text of a peer's id, which its ticket has.
static void id_of(const char *ticket, char out[static IROH_KEY_HEX_SIZE]) {
    iroh_addr *addr;
    assert_int_equal(iroh_ticket_parse(ticket, &addr), 0);
    iroh_public_key id = iroh_addr_id(addr);
    iroh_public_key_to_hex(&id, out);
    iroh_addr_free(addr);
}

static void pipe_needs_no_more_than_an_id_and_a_relay(void **state) {
    (void)state;
    home h;
    process server, client;
    char id[IROH_KEY_HEX_SIZE], got[16] = "";
    home_open(&h, false);
    process_start(&server, WORDS("pipe", "listen", "--recv-only", "--relay", h.url), PROCESS_NULL, PROCESS_PIPE);
    id_of(process_word(&server, "iroh pipe connect "), id);
    process_start(&client, WORDS("pipe", "connect", id, "--relay", h.url), PROCESS_PIPE, PROCESS_NULL);
    process_write_all(client.in, "by id", 5);
    close(client.in);
    client.in = -1;
    assert_int_equal(process_read_all(server.out, got, sizeof got), 5);
    assert_memory_equal(got, "by id", 5);
    assert_int_equal(process_wait(&client), 0);
    assert_int_equal(process_wait(&server), 0);
    assert_true(live_stats(h.relay).datagrams_out > 0);
    iroh_relay_stop(h.relay);
}

static void an_id_without_a_relay_is_refused(void **state) {
    (void)state;
    process client;
    char out[256], id[IROH_KEY_HEX_SIZE];
    iroh_secret_key secret;
    iroh_public_key public;
    iroh_secret_key_generate(&secret);
    iroh_secret_key_public(&secret, &public);
    iroh_public_key_to_hex(&public, id);
    assert_int_not_equal(run(&client, WORDS("ping", id), out, sizeof out), 0);
    says(client.text, "--relay URL");
}

static void perf_goes_over_a_relay_alone(void **state) {
    (void)state;
    home h;
    process server, client;
    char ticket[TICKET_MAX], out[4096];
    home_open(&h, false);
    start(&server, ticket, WORDS("perf", "serve", "--relay", h.url, "--relay-only"), "iroh perf run ");
    assert_int_equal(run(&client,
                         WORDS("perf", "run", ticket, "--relay-only", "--only", "download", "--bytes", "100000",
                               "--seconds", "0", "--json"),
                         out, sizeof out),
                     0);
    says(out, "download_bytes_per_s");
    assert_true(live_stats(h.relay).bytes_out > 100000);
    end(&server);
    iroh_relay_stop(h.relay);
}

static void files_go_over_a_relay_alone(void **state) {
    (void)state;
    home h;
    process server, client;
    char ticket[TICKET_MAX], out[4096], folder[] = "/tmp/cli-relay-XXXXXX", file[64], copy[64];
    home_open(&h, false);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)snprintf(copy, sizeof copy, "%s/to", folder);
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs("relayed", f) >= 0);
    assert_int_equal(fclose(f), 0);
    start(&server, ticket, WORDS("send", file, "--relay", h.url, "--relay-only"), "iroh receive ");
    assert_int_equal(run(&client, WORDS("receive", ticket, "--relay-only", "--to", copy), out, sizeof out), 0);
    assert_true(live_stats(h.relay).datagrams_out > 0);
    end(&server);
    iroh_relay_stop(h.relay);
    (void)snprintf(out, sizeof out, "cmp %s %s/file && rm -r %s", file, copy, folder);
    assert_int_equal(system(out), 0);
}

static void direct_only_leaves_relays_alone(void **state) {
    (void)state;
    home h;
    process server, client;
    char ticket[TICKET_MAX], out[4096];
    home_open(&h, false);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only"), "iroh ping ");
    await_client(&h, &h);
    assert_int_equal(run(&client, WORDS("ping", ticket, "--direct-only"), out, sizeof out), 1);
    says(client.text, "cannot connect");
    assert_int_equal(live_stats(h.relay).clients, 1);
    end(&server);
    iroh_relay_stop(h.relay);
}

// --- Tokens, proxies, roots

static void refusals_are_shown(void **state) {
    (void)state;
    const char *token = TOKEN;
    home h, other;
    process server;
    char ticket[TICKET_MAX];
    home_open_for_token(&h, &token);
    home_open(&other, false);
    start_and_hear(&server, ticket, WORDS("ping", "serve", "--relay", h.url), "the relay refuses us: ");
    end(&server);
    start_and_hear(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-token", "wrong"),
                   "the relay refuses us: ");
    end(&server);
    // A single one may stand anywhere.
    start(&server, ticket, WORDS("ping", "serve", "--relay-token", TOKEN, "--relay", h.url), "iroh ping ");
    await_client(&h, &h);
    says_nothing_of(server.text, "relay refuses");
    end(&server);
    live_await(h.relay, 0, 0);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-token", TOKEN), "iroh ping ");
    await_client(&h, &h);
    says_nothing_of(server.text, "relay refuses");
    end(&server);
    iroh_relay_stop(other.relay);
    iroh_relay_stop(h.relay);
}

// A relay that takes connections and says nothing has not failed yet.
static void silence_is_no_error(void **state) {
    (void)state;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    process server;
    char ticket[TICKET_MAX], url[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(url, sizeof url, "https://localhost:%u/", ntohs(at.sin_port));
    start(&server, ticket, WORDS("ping", "serve", "--relay", url), "iroh ping ");
    says(server.text, "the relay does not answer yet");
    says_nothing_of(server.text, "success");
    end(&server);
    close(fd);
}

static void tokens_follow_their_relays(void **state) {
    (void)state;
    const char *tokens[2] = {"first", "second"};
    home a, b;
    process server;
    char ticket[TICKET_MAX];
    home_open_for_token(&a, &tokens[0]);
    home_open_for_token(&b, &tokens[1]);
    start(&server, ticket,
          WORDS("ping", "serve", "--relay", a.url, "--relay-token", tokens[0], "--relay", b.url, "--relay-token",
                tokens[1]),
          "iroh ping ");
    await_client(&a, &b);
    says_nothing_of(server.text, "relay refuses");
    end(&server);
    start_and_hear(&server, ticket,
                   WORDS("ping", "serve", "--relay", a.url, "--relay-token", tokens[1], "--relay", b.url,
                         "--relay-token", tokens[0]),
                   "the relay refuses us: ");
    end(&server);
    iroh_relay_stop(a.relay);
    iroh_relay_stop(b.relay);
}

static void proxies_are_used_and_their_refusal_shown(void **state) {
    (void)state;
    home h;
    proxy p = {.login = LOGIN};
    process server;
    char ticket[TICKET_MAX], url[128];
    home_open(&h, false);
    proxy_start(&p);
    (void)snprintf(url, sizeof url, "http://" LOGIN "@localhost:%u", p.port);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only", "--proxy", url), "iroh ping ");
    await_client(&h, &h);
    int tunnels = proxy_tunnels(&p);
    assert_true(tunnels > 0);
    end(&server);
    live_await(h.relay, 0, 0);
    tunnels = proxy_tunnels(&p);
    assert_int_equal(setenv("http_proxy", url, 1), 0);
    assert_int_equal(unsetenv("HTTP_PROXY"), 0);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only"), "iroh ping ");
    await_client(&h, &h);
    assert_int_equal(proxy_tunnels(&p), tunnels);
    end(&server);
    live_await(h.relay, 0, 0);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only", "--proxy-from-env"), "iroh ping ");
    await_client(&h, &h);
    assert_true(proxy_tunnels(&p) > tunnels);
    end(&server);
    assert_int_equal(unsetenv("http_proxy"), 0);
    (void)snprintf(url, sizeof url, "http://localhost:%u", p.port);
    start_and_hear(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only", "--proxy", url), "407");
    says(server.text, "the relay does not answer yet: ");
    end(&server);
    proxy_stop(&p);
    iroh_relay_stop(h.relay);
}

static void own_roots_are_trusted(void **state) {
    (void)state;
    home h;
    process server;
    char ticket[TICKET_MAX], file[] = "/tmp/cli-relay-XXXXXX";
    home_open(&h, true);
    const test_certificate *c = test_certificate_get();
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, c->chain, strlen(c->chain)), strlen(c->chain));
    close(fd);
    start(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only", "--ca-file", file), "iroh ping ");
    await_client(&h, &h);
    end(&server);
    start_and_hear(&server, ticket, WORDS("ping", "serve", "--relay", h.url, "--relay-only"), "certificate");
    says(server.text, "the relay does not answer yet: ");
    end(&server);
    unlink(file);
    iroh_relay_stop(h.relay);
}

static int set_up(void **state) {
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(ping_goes_over_a_relay_alone, process_kill_all),
        cmocka_unit_test_teardown(ping_tells_of_the_direct_path, process_kill_all),
        cmocka_unit_test_teardown(pipe_goes_over_a_relay_alone, process_kill_all),
        cmocka_unit_test_teardown(pipe_needs_no_more_than_an_id_and_a_relay, process_kill_all),
        cmocka_unit_test_teardown(an_id_without_a_relay_is_refused, process_kill_all),
        cmocka_unit_test_teardown(perf_goes_over_a_relay_alone, process_kill_all),
        cmocka_unit_test_teardown(files_go_over_a_relay_alone, process_kill_all),
        cmocka_unit_test_teardown(direct_only_leaves_relays_alone, process_kill_all),
        cmocka_unit_test_teardown(refusals_are_shown, process_kill_all),
        cmocka_unit_test_teardown(silence_is_no_error, process_kill_all),
        cmocka_unit_test_teardown(tokens_follow_their_relays, process_kill_all),
        cmocka_unit_test_teardown(proxies_are_used_and_their_refusal_shown, process_kill_all),
        cmocka_unit_test_teardown(own_roots_are_trusted, process_kill_all),
    };
    return cmocka_run_group_tests_name("cli_relay", tests, set_up, NULL);
}
