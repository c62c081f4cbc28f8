// Net reports of whole endpoints, with relays of our own in the same process.
#include <stdio.h>
#include <unistd.h>

#include "unit/certificate_support.h"
#include "unit/report_world_support.h"

static void expect_own_address(iroh_endpoint *ep, const iroh_net_report *r) {
    char socket[64];
    assert_true(iroh_endpoint_socket(ep, 0, socket, sizeof socket) > 0);
    assert_true(r->udp_v4);
    assert_string_equal(r->global_v4, socket);
}

static void relay_tells_our_address(void **state) {
    (void)state;
    for (int own_thread = 0; own_thread < 2; own_thread++) {
        place p;
        dwelling d = {0};
        iroh_net_report r;
        iroh_relay_latency l[4];
        iroh_endpoint_stats stats;
        place_open(&p);
        dwelling_init(&d, own_thread != 0);
        dwelling_add(&d, p.url, p.quic_port);
        iroh_endpoint *ep = duo_bind(&d.config);
        assert_int_equal(report_of(ep, &r, l), 1);
        expect_own_address(ep, &r);
        assert_false(r.udp_v6);
        assert_string_equal(r.global_v6, "");
        assert_int_equal(r.mapping_varies_v4, -1);
        assert_string_equal(r.preferred_relay, p.url);
        assert_string_equal(l[0].url, p.url);
        assert_true(l[0].quic_v4_us > 0 && l[0].quic_v6_us == 0);
        assert_true(l[0].https_us > 0);  // with one relay a full report waits for it
        assert_int_equal(r.full_reports, 1);
        // Its connections are nobody's business.
        assert_int_equal(iroh_endpoint_stats_get(ep, &stats), 0);
        assert_int_equal(stats.connections, 0);
        assert_int_equal(stats.handshakes, 0);
        iroh_endpoint_free(ep);
        iroh_relay_stop(p.relay);
    }
}

static void two_relays_show_whether_the_mapping_varies(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64];
    iroh_relay_status status;
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, q.url, q.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    expect_own_address(ep, &r);
    assert_int_equal(r.mapping_varies_v4, 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, &status) > 0);
    assert_string_equal(home, r.preferred_relay);
    assert_true(status.connected);
    // The one that is not home was not dialled as a relay.
    const place *other = strcmp(home, p.url) == 0 ? &q : &p;
    iroh_relay_stats there;
    iroh_relay_stats_get(other->relay, &there);
    assert_int_equal(there.accepts, 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

static void relay_without_discovery_is_measured_over_https(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    dwelling_add(&d, p.url, IROH_NO_QUIC);
    d.config.captive_portal_check = false;
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    assert_false(r.udp_v4);
    assert_string_equal(r.global_v4, "");
    assert_int_equal(r.captive_portal, -1);
    assert_string_equal(r.preferred_relay, p.url);
    assert_true(l[0].https_us > 0 && l[0].quic_v4_us == 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void unknown_certificate_tells_nothing(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char path[] = "/tmp/iroh-report-other-XXXXXX", home[64];
    test_certificate other = test_certificate_new(false);
    (void)state;
    world_write_file(path, other.chain);
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    d.config.ca_file = path;
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 0);
    assert_false(r.udp_v4);
    assert_string_equal(r.preferred_relay, "");
    // Nobody is the nearest, so all are tried.
    assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, 0), IROH_ERR_AGAIN);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    (void)unlink(path);
    test_certificate_free(&other);
}

static void roots_that_cannot_be_read_are_no_crash(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    d.config.ca_file = "/nonexistent/roots.pem";
    dwelling_add(&d, p.url, p.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void removed_home_is_left_for_one_that_nobody_reaches(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64] = "";
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    assert_int_equal(iroh_endpoint_insert_relay(ep, NOBODY, NULL, IROH_NO_QUIC), 0);
    assert_int_equal(iroh_endpoint_remove_relay(ep, p.url), 0);
    for (int ms = 0; ms < LONG_MS && strcmp(home, NOBODY) != 0; ms += STEP_MS) {
        assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    assert_string_equal(home, NOBODY);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void sockets_are_not_needed_for_a_home(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    d.config.bind_count = 0;
    d.config.relay_only = true;
    dwelling_add(&d, NOBODY, 0);
    dwelling_add(&d, p.url, p.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    assert_false(r.udp_v4 || r.udp_v6);
    assert_string_equal(r.preferred_relay, p.url);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    // Nor is a way to measure: then the first that answers is home.
    d.config.https_probes = false;
    ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 0);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void relays_come_and_go(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64];
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), IROH_ERR_UNSUPPORTED);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_insert_relay(ep, p.url, NULL, p.quic_port), 0);
    assert_int_equal(report_of(ep, &r, l), 1);
    expect_own_address(ep, &r);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    // The only one left becomes home.
    assert_int_equal(iroh_endpoint_insert_relay(ep, q.url, NULL, q.quic_port), 0);
    assert_int_equal(iroh_endpoint_remove_relay(ep, p.url), 0);
    for (int ms = 0; ms < LONG_MS; ms += STEP_MS) {
        assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
        if (strcmp(home, q.url) == 0)
            break;
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    assert_string_equal(home, q.url);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_int_equal(iroh_endpoint_remove_relay(ep, p.url), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_endpoint_remove_relay(ep, q.url), 0);
    assert_int_equal(iroh_endpoint_home_relay(ep, home, sizeof home, NULL), IROH_ERR_NOT_FOUND);
    assert_int_equal(report_of(ep, &r, l), IROH_ERR_UNSUPPORTED);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

static void kept_connection_makes_the_next_report(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    quic_conn *before, *after;
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, q.url, q.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    assert_int_equal(report_kept_by(ep, &before), 1);
    // That to the home relay.
    endpoint_enter(ep);
    assert_int_equal(ep->reports->conns[0].relay, ep->relays.home);
    endpoint_leave(ep);
    report_request(ep, REPORT_PORT_MAPPED);
    r = report_await(ep, 2);
    assert_int_equal(r.full_reports, 1);
    expect_own_address(ep, &r);
    assert_int_equal(r.mapping_varies_v4, 0);
    assert_int_equal(report_kept_by(ep, &after), 1);
    assert_ptr_equal(before, after);
    // After a change of the network it is not believed.
    report_request(ep, REPORT_LINK_MINOR);
    assert_int_equal(report_kept_by(ep, &after), 0);
    r = report_await(ep, 3);
    assert_int_equal(r.full_reports, 1);
    expect_own_address(ep, &r);
    assert_int_equal(report_kept_by(ep, &after), 1);
    // The relay that is left is what remains to be asked.
    assert_int_equal(report_of(ep, &r, l), 2);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
    iroh_relay_stop(q.relay);
}

static void home_moves_to_a_relay_that_lives(void **state) {
    place p, q;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    char home[64] = "";
    (void)state;
    place_open(&p);
    place_open(&q);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, q.url, q.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 2);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    place *dead = strcmp(r.preferred_relay, p.url) == 0 ? &p : &q, *alive = dead == &p ? &q : &p;
    iroh_relay_stop(dead->relay);
    report_request(ep, REPORT_LINK_MAJOR);
    for (int ms = 0; ms < LONG_MS && strcmp(home, alive->url) != 0; ms += STEP_MS) {
        assert_true(iroh_endpoint_home_relay(ep, home, sizeof home, NULL) > 0);
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    assert_string_equal(home, alive->url);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    iroh_endpoint_free(ep);
    iroh_relay_stop(alive->relay);
}

static void relay_that_is_gone_tells_nothing(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(report_of(ep, &r, l), 1);
    iroh_relay_stop(p.relay);
    report_request(ep, REPORT_LINK_MAJOR);
    r = report_await(ep, 2);
    assert_int_equal(r.full_reports, 2);
    assert_false(r.udp_v4);
    assert_string_equal(r.global_v4, "");
    place_open(&p);
    assert_int_equal(iroh_endpoint_insert_relay(ep, p.url, NULL, p.quic_port), 0);
    r = report_await(ep, 3);
    expect_own_address(ep, &r);
    report_request(ep, REPORT_LINK_MINOR);
    r = report_await(ep, 4);
    assert_int_equal(r.full_reports, 3);
    expect_own_address(ep, &r);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void switched_off_means_off(void **state) {
    place p;
    dwelling d = {0};
    iroh_net_report r;
    iroh_relay_latency l[4];
    (void)state;
    place_open(&p);
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, p.url, p.quic_port);
    dwelling_add(&d, NOBODY, IROH_NO_QUIC);
    d.config.net_report = false;
    iroh_endpoint *ep = duo_bind(&d.config);
    assert_int_equal(iroh_endpoint_wait_online(ep, LONG_MS), 0);
    assert_int_equal(report_of(ep, &r, l), IROH_ERR_UNSUPPORTED);
    iroh_endpoint_free(ep);
    iroh_relay_stop(p.relay);
}

static void endpoints_end_at_any_time(void **state) {
    place p;
    (void)state;
    place_open(&p);
    for (int i = 0; i < 20; i++) {
        dwelling d = {0};
        dwelling_init(&d, i % 2 == 0);
        dwelling_add(&d, p.url, p.quic_port);
        dwelling_add(&d, NOBODY, 9);
        iroh_endpoint *ep = duo_bind(&d.config);
        iroh_net_report r;
        (void)iroh_endpoint_net_report(ep, &r, NULL, 0, i * 13);
        if (i % 3 == 0)
            assert_int_equal(iroh_endpoint_close(ep, LONG_MS), 0);
        if (i % 3 == 0)
            assert_int_equal(iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS), IROH_ERR_CLOSED);
        iroh_endpoint_free(ep);
    }
    iroh_relay_stop(p.relay);
}

static void settings_must_make_sense(void **state) {
    dwelling d = {0};
    iroh_endpoint *ep;
    iroh_net_report r;
    (void)state;
    dwelling_init(&d, OWN_THREAD);
    dwelling_add(&d, NOBODY, 65536);
    assert_int_equal(iroh_endpoint_bind(&d.config, &ep), IROH_ERR_ARG);
    d.ports[0] = -2;
    assert_int_equal(iroh_endpoint_bind(&d.config, &ep), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(NULL, &r, NULL, 0, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_insert_relay(NULL, NOBODY, NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_remove_relay(NULL, NOBODY), IROH_ERR_ARG);
    d.config.relay_count = 0;
    d.config.direct_only = true;
    ep = duo_bind(&d.config);
    assert_int_equal(iroh_endpoint_insert_relay(ep, NOBODY, NULL, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_insert_relay(ep, NOBODY, NULL, 65536), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(ep, NULL, NULL, 0, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(ep, &r, NULL, 1, 0), IROH_ERR_ARG);
    assert_int_equal(iroh_endpoint_net_report(ep, &r, NULL, 0, 0), IROH_ERR_UNSUPPORTED);
    iroh_endpoint_free(ep);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_tells_our_address),
        cmocka_unit_test(two_relays_show_whether_the_mapping_varies),
        cmocka_unit_test(relay_without_discovery_is_measured_over_https),
        cmocka_unit_test(unknown_certificate_tells_nothing),
        cmocka_unit_test(roots_that_cannot_be_read_are_no_crash),
        cmocka_unit_test(relays_come_and_go),
        cmocka_unit_test(removed_home_is_left_for_one_that_nobody_reaches),
        cmocka_unit_test(sockets_are_not_needed_for_a_home),
        cmocka_unit_test(kept_connection_makes_the_next_report),
        cmocka_unit_test(home_moves_to_a_relay_that_lives),
        cmocka_unit_test(relay_that_is_gone_tells_nothing),
        cmocka_unit_test(switched_off_means_off),
        cmocka_unit_test(endpoints_end_at_any_time),
        cmocka_unit_test(settings_must_make_sense),
    };
    return cmocka_run_group_tests(tests, world_set_up, world_tear_down);
}
