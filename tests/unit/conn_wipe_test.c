// Whoever gets memory after a connection or an endpoint finds no secrets in it: the build links this with --wrap for free,
// so that each block can be searched when it is given back.
#define _GNU_SOURCE 1  // memmem
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/wipe.h"
#include "linked_support.h"
#include "quic/endpoint_state.h"

#define SECRETS_MAX 8
#define SECRET_MAX 64  // bytes
#define MARK 0xa7

void __real_free(void *p);
void __wrap_free(void *p);

// --- The search

static struct {
    uint8_t bytes[SECRET_MAX];
    size_t len;
    const char *name;
} secrets[SECRETS_MAX];
static size_t secret_count;
static bool searching;
static size_t blocks;
static const char *found;  // null: nothing

void __wrap_free(void *p) {
    for (size_t i = 0; searching && p != NULL && i < secret_count; i++) {
        if (memmem(p, malloc_usable_size(p), secrets[i].bytes, secrets[i].len) != NULL)
            found = secrets[i].name;
    }
    blocks += searching && p != NULL;
    __real_free(p);
}

static int forget_all(void **state) {
    (void)state;
    searching = false;
    secret_count = blocks = 0;
    found = NULL;
    return 0;
}

// Secrets that are all zero are none.
static void remember(const char *name, const uint8_t *bytes, size_t len) {
    static const uint8_t zeros[SECRET_MAX];
    assert_true(len > 0 && len <= SECRET_MAX && secret_count < SECRETS_MAX);
    assert_memory_not_equal(bytes, zeros, len);
    memcpy(secrets[secret_count].bytes, bytes, len);
    secrets[secret_count].len = len;
    secrets[secret_count++].name = name;
}

static void begin(void) {
    searching = true;
}

static void end(void) {
    searching = false;
    assert_true(blocks > 0);
    if (found != NULL)
        fail_msg("left in memory: %s", found);
}

static void keep_all(sim_node *n, quic_conn *c, uint32_t events) {
    (void)n;
    (void)c;
    (void)events;
}

// Connected, and a session waits for the client's application. What it says is ours, since the simulator's TLS sends its
// sessions as they are.
static linked *start_with_session(void) {
    linked *d = linked_new(NULL);
    linked_dial(d, NULL, 0);
    d->w.nodes[CLIENT].on_event = keep_all;
    linked_run(d, 1000);
    quic_conn *c = linked_conn(d, CLIENT);
    assert_non_null(c);
    assert_int_equal(c->state, CONN_OPEN);
    assert_non_null(c->session);
    memset(c->session, MARK, c->session_len);
    return d;
}

// --- Cases

static void what_stays_is_found(void **state) {
    (void)state;
    static const uint8_t secret[] = "a secret that nobody wipes";
    uint8_t *block = malloc(100);
    assert_non_null(block);
    memcpy(block + 10, secret, sizeof secret);
    __asm__ __volatile__("" : : "r"(block) : "memory");  // else a compiler leaves out what nobody reads
    remember("the secret", secret, sizeof secret);
    begin();
    free(block);
    searching = false;
    assert_int_equal(blocks, 1);
    assert_non_null(found);
}

static void connections_leave_no_secrets(void **state) {
    (void)state;
    linked *d = start_with_session();
    const quic_conn *client = linked_conn(d, CLIENT), *server = linked_conn(d, SERVER);
    assert_non_null(server);
    size_t hash_len = client->keys.suite->hash_len;
    remember("the client's exporter secret", client->exporter, client->exporter_len);
    remember("the server's exporter secret", server->exporter, server->exporter_len);
    remember("the client's session", client->session, client->session_len);
    remember("the client's secret for reading", client->keys.read_secret, hash_len);
    remember("the client's secret for writing", client->keys.write_secret, hash_len);
    remember("the server's secret for reading", server->keys.read_secret, hash_len);
    remember("the server's secret for writing", server->keys.write_secret, hash_len);
    begin();
    linked_free(d);
    end();
}

static void session_that_is_taken_leaves_no_copy(void **state) {
    (void)state;
    linked *d = start_with_session();
    quic_conn *c = linked_conn(d, CLIENT);
    size_t len;
    remember("the session", c->session, c->session_len);
    begin();
    uint8_t *session = quic_conn_take_session(c, &len);
    end();
    assert_non_null(session);
    assert_non_null(memmem(session, len, secrets[0].bytes, secrets[0].len));
    assert_null(c->session);
    wipe(session, len);
    free(session);
    linked_free(d);
}

static void endpoints_leave_no_secrets(void **state) {
    (void)state;
    linked *d = linked_new(NULL);
    quic_endpoint *ep = d->w.nodes[SERVER].ep;
    uint8_t seed[32];
    memset(seed, SERVER + 1, sizeof seed);                                 // of the simulator
    assert_memory_not_equal(ep->config.identity.seed, seed, sizeof seed);  // it is TLS's
    remember("the seed", seed, sizeof seed);
    remember("the key of stateless resets", ep->reset_key, sizeof ep->reset_key);
    begin();
    linked_free(d);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_stays_is_found, forget_all),
        cmocka_unit_test_setup(connections_leave_no_secrets, forget_all),
        cmocka_unit_test_setup(session_that_is_taken_leaves_no_copy, forget_all),
        cmocka_unit_test_setup(endpoints_leave_no_secrets, forget_all),
    };
    return cmocka_run_group_tests_name("conn_wipe", tests, NULL, NULL);
}
