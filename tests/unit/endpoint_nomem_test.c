// Memory that runs out at any allocation of a call is an error of that call: nothing crashes, leaks, or is half done.
//
// Each call is made again and again, with its first, second, third... allocation failing, until it needs no more than it
// gets. Only allocations of the thread under test fail; the server has a thread of its own.
#include <stdlib.h>

#include "endpoint_support.h"
#include "unit/nomem_support.h"

#define ATTEMPTS_MAX 2000

static void binding(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, NO_THREAD);
    config.qlog_dir = "/tmp";
    for (int n = 0;; n++) {
        iroh_endpoint *ep = NULL;
        assert_true(n < ATTEMPTS_MAX);
        nomem_arm_here(n);
        int r = iroh_endpoint_bind(&config, &ep);
        if (!nomem_disarm()) {
            assert_int_equal(r, 0);
            iroh_endpoint_free(ep);
            assert_true(n > 5);
            return;
        }
        // The TLS library cannot say why it failed.
        assert_true(r == IROH_ERR_NOMEM || r == IROH_ERR_CRYPTO);
        assert_null(ep);
    }
}

static void own_addresses(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, NO_THREAD);
    iroh_endpoint *ep = duo_bind(&config);
    for (int n = 0;; n++) {
        iroh_addr *a = NULL;
        assert_true(n < ATTEMPTS_MAX);
        nomem_arm_here(n);
        int r = iroh_endpoint_addr(ep, &a);
        if (!nomem_disarm()) {
            assert_int_equal(r, 0);
            iroh_addr_free(a);
            break;
        }
        assert_int_equal(r, IROH_ERR_NOMEM);
        assert_null(a);
    }
    iroh_endpoint_free(ep);
}

// Dialling with the whole handshake: where the core has no memory it may also drop what came and get it again.
static void connecting(void **state) {
    (void)state;
    iroh_endpoint_config server_config, config;
    duo_config(&server_config, OWN_THREAD);
    duo_config(&config, NO_THREAD);
    iroh_endpoint *server = duo_bind(&server_config), *client = duo_bind(&config);
    iroh_addr *a = duo_addr(server);
    duo_accept_all(server);
    for (int n = 0;; n++) {
        iroh_connection *c = NULL;
        assert_true(n < ATTEMPTS_MAX);
        nomem_arm_here(n);
        int r = iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, LONG_MS, &c);
        bool all = !nomem_disarm();
        assert_true(r == 0 || (!all && c == NULL));
        iroh_connection_free(c);
        if (all)
            break;
    }
    iroh_addr_free(a);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

static void streams_and_polling(void **state) {
    (void)state;
    enum { ITEMS = 70 };
    duo d;
    duo_open(&d, NO_THREAD);
    iroh_pollitem items[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        items[i] = (iroh_pollitem){.connection = d.c, .fd = -1, .events = IROH_POLL_OPEN_BI};
    static const uint8_t data[5000];
    for (int n = 0;; n++) {
        iroh_stream *s = NULL;
        assert_true(n < ATTEMPTS_MAX);
        nomem_arm_here(n);
        int r = iroh_connection_open_bi(d.c, 0, &s);
        if (r == 0)
            r = iroh_stream_write_all(s, data, sizeof data, 0, NULL);
        if (r == 0)
            r = iroh_connection_send_datagram(d.c, data, 1000);
        if (r == 0)
            r = iroh_poll(items, ITEMS, 0);
        bool all = !nomem_disarm();
        iroh_stream_free(s);
        if (all) {
            assert_int_equal(r, ITEMS);
            assert_true(n > 4);
            break;
        }
        assert_true(r == IROH_ERR_NOMEM || r == 0 || r == ITEMS);
    }
    duo_free(&d);
}

static void accepting_by_hand(void **state) {
    (void)state;
    iroh_endpoint_config config;
    duo_config(&config, OWN_THREAD);
    iroh_endpoint *client = duo_bind(&config);
    config.own_thread = false;
    iroh_endpoint *server = duo_bind(&config);
    iroh_addr *a = duo_addr(server);
    for (int n = 0;; n++) {
        iroh_connection *c = NULL, *s = NULL;
        iroh_incoming *in = NULL;
        assert_true(n < ATTEMPTS_MAX);
        assert_int_equal(iroh_endpoint_connect(client, a, TEST_ALPN, 6, NULL, 0, &c), 0);
        assert_int_equal(iroh_endpoint_next_incoming(server, LONG_MS, &in), 0);
        nomem_arm_here(n);
        int r = iroh_incoming_accept(in, &s);
        bool all = !nomem_disarm();
        assert_true((r == 0) == (s != NULL));
        assert_true(r == 0 || !all);
        iroh_connection_free(s);
        iroh_connection_free(c);
        if (all)
            break;
    }
    iroh_addr_free(a);
    iroh_endpoint_free(client);
    iroh_endpoint_free(server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binding),           cmocka_unit_test(own_addresses),
        cmocka_unit_test(connecting),        cmocka_unit_test(streams_and_polling),
        cmocka_unit_test(accepting_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
