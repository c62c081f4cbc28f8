#include "endpoint_support.h"

#include <stdio.h>
#include <stdlib.h>

void duo_config(iroh_endpoint_config *config, bool own_thread) {
    static const iroh_slice alpns[] = {{TEST_ALPN, sizeof TEST_ALPN - 1}};
    static const char *const bind[] = {"127.0.0.1:0"};
    iroh_endpoint_config_default(config);
    config->alpns = alpns;
    config->alpn_count = 1;
    config->bind = bind;
    config->bind_count = 1;
    config->own_thread = own_thread;
}

iroh_endpoint *duo_bind(const iroh_endpoint_config *config) {
    iroh_endpoint *ep = NULL;
    assert_int_equal(iroh_endpoint_bind(config, &ep), 0);
    assert_non_null(ep);
    return ep;
}

iroh_addr *duo_addr(iroh_endpoint *ep) {
    iroh_addr *a = NULL;
    assert_int_equal(iroh_endpoint_addr(ep, &a), 0);
    return a;
}

iroh_endpoint *duo_default(bool own_thread) {
    iroh_endpoint_config config;
    duo_config(&config, own_thread);
    return duo_bind(&config);
}

int duo_dial(iroh_endpoint *client, iroh_endpoint *server, const char *alpn, const iroh_connect_options *options,
             int timeout_ms, iroh_connection **out) {
    iroh_addr *a = duo_addr(server);
    int r = iroh_endpoint_connect(client, a, alpn, strlen(alpn), options, timeout_ms, out);
    iroh_addr_free(a);
    return r;
}

void duo_accept_all(iroh_endpoint *ep) {
    iroh_connection *c = NULL;
    assert_int_equal(iroh_endpoint_accept(ep, 0, &c), IROH_ERR_AGAIN);
    assert_null(c);
}

iroh_connection *duo_connect(iroh_endpoint *client, iroh_endpoint *server) {
    iroh_connection *c = NULL;
    assert_int_equal(duo_dial(client, server, TEST_ALPN, NULL, LONG_MS, &c), 0);
    return c;
}

void duo_open_with(duo *d, const iroh_endpoint_config *server, const iroh_endpoint_config *client) {
    *d = (duo){.server = duo_bind(server), .client = duo_bind(client)};
    duo_accept_all(d->server);
    d->c = duo_connect(d->client, d->server);
    assert_int_equal(iroh_endpoint_accept(d->server, LONG_MS, &d->s), 0);
}

void duo_open(duo *d, bool client_thread) {
    iroh_endpoint_config server, client;
    duo_config(&server, OWN_THREAD);
    duo_config(&client, client_thread);
    duo_open_with(d, &server, &client);
}

void duo_free(duo *d) {
    iroh_connection_free(d->c);
    iroh_connection_free(d->s);
    iroh_endpoint_free(d->client);
    iroh_endpoint_free(d->server);
    *d = (duo){0};
}

void duo_stream(duo *d, const char *text, iroh_stream **at_client, iroh_stream **at_server) {
    char got[256];
    size_t len = strlen(text);
    assert_true(len <= sizeof got);
    assert_int_equal(iroh_connection_open_bi(d->c, LONG_MS, at_client), 0);
    assert_int_equal(iroh_stream_write_all(*at_client, text, len, LONG_MS, NULL), 0);
    // A wait that cannot succeed drives a client without a thread.
    assert_int_equal(iroh_stream_wait_finished(*at_client, 1), IROH_ERR_TIMEOUT);
    assert_int_equal(iroh_connection_accept_bi(d->s, LONG_MS, at_server), 0);
    assert_int_equal(iroh_stream_read_exact(*at_server, got, len, LONG_MS, NULL), 0);
    assert_memory_equal(got, text, len);
}

void thread_check(bool ok, const char *what) {
    if (ok)
        return;
    fprintf(stderr, "failed in a thread: %s\n", what);
    abort();
}
