// Memory that runs out at any allocation of a net report makes it poorer or later: nothing crashes or leaks.
//
// Only allocations of the thread under test fail; the relay has threads of its own.
#include <iroh/relay.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint_support.h"
#include "net/reporter.h"
#include "unit/certificate_support.h"
#include "unit/nomem_support.h"
#include "unit/relay_support.h"

#define ATTEMPTS_MAX 2000

static void run_that_cannot_begin_is_tried_again(void **state) {
    static const int numbers[] = {0};
    static const report_plan world = {.relays = numbers,
                                      .relay_count = 1,
                                      .qad = 1,
                                      .ip4 = true,
                                      .home = -1,
                                      .known = {{.relay = -1}, {.relay = -1}}};
    relay_random randomness;
    reporter r;
    (void)state;
    relay_random_init(&randomness, 1);
    reporter_init(&r, true, true, &randomness.source, NS_PER_S);
    nomem_arm_here(0);
    assert_int_equal(reporter_begin(&r, &world, NS_PER_S), IROH_ERR_NOMEM);
    assert_true(nomem_disarm());
    assert_int_equal(reporter_deadline(&r), NS_PER_S + REPORT_RETRY);
    assert_true(reporter_wants_full(&r, NS_PER_S));
    assert_int_equal(reporter_begin(&r, &world, NS_PER_S + REPORT_RETRY), 0);
    assert_true(r.run->full);
    reporter_dispose(&r);
}

static void choice_needs_no_memory(void **state) {
    report_history h = {0};
    report r;
    (void)state;
    report_init(&r);
    r.asked = 3;
    report_add_latency(&r, 0, REPORT_QAD4, 2 * NS_PER_MS);
    report_add_latency(&r, 1, REPORT_QAD4, NS_PER_MS);
    nomem_arm_here(0);
    report_history_add(&h, &r, NS_PER_S);
    assert_true(nomem_disarm());
    assert_in_range(h.count, 0, 1);
    assert_int_equal(report_history_choose(&h, &r, -1), 1);
    report_history_dispose(&h);
}

static void write_file(char *path, const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

// A report with one allocation that fails, and then another without.
static bool report_with(const iroh_endpoint_config *config, int n, bool *told) {
    iroh_net_report r = {0};
    iroh_endpoint *ep = duo_bind(config);
    nomem_arm_here(n);
    int count = iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS);
    bool all = !nomem_disarm();
    assert_true(count >= 0 || (!all && count == IROH_ERR_NOMEM));
    *told = r.udp_v4;
    nomem_arm_here(n);
    (void)iroh_endpoint_net_report(ep, &r, NULL, 0, 0);
    (void)nomem_disarm();
    iroh_endpoint_free(ep);
    return all;
}

static void reports_of_an_endpoint(void **state) {
    char chain[] = "/tmp/iroh-nomem-crt-XXXXXX", key[] = "/tmp/iroh-nomem-key-XXXXXX", url[64];
    iroh_relay_config relay_config;
    iroh_endpoint_config config;
    iroh_relay *relay;
    (void)state;
    write_file(chain, test_certificate_get()->chain);
    write_file(key, test_certificate_get()->key);
    iroh_relay_config_default(&relay_config);
    relay_config.http_bind = relay_config.https_bind = relay_config.quic_bind = "127.0.0.1:0";
    relay_config.certificate_path = chain;
    relay_config.key_path = key;
    relay_config.threads = 1;
    assert_int_equal(iroh_relay_start(&relay_config, &relay), 0);
    (void)snprintf(url, sizeof url, "https://localhost%s/", strrchr(iroh_relay_https_address(relay), ':'));
    const char *urls[] = {url};
    int ports[] = {atoi(strrchr(iroh_relay_quic_address(relay), ':') + 1)};
    duo_config(&config, NO_THREAD);
    config.relays = urls;
    config.relay_quic_ports = ports;
    config.relay_count = 1;
    config.ca_file = chain;
    bool told = false;
    for (int https = 0; https < 2; https++) {
        config.https_probes = config.captive_portal_check = https != 0;
        int n = https != 0 ? 40 : 0;
        // With HTTPS every report lasts a fifth of a second: then every seventh allocation is enough.
        while (!report_with(&config, n, &told)) {
            assert_true(n < ATTEMPTS_MAX);
            n += https != 0 ? 7 : 1;
        }
        assert_true(told);
        assert_true(n > 10);
    }
    iroh_relay_stop(relay);
    (void)unlink(chain);
    (void)unlink(key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_that_cannot_begin_is_tried_again),
        cmocka_unit_test(choice_needs_no_memory),
        cmocka_unit_test(reports_of_an_endpoint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
