#include "unit/report_world_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/certificate_support.h"

static char chain_path[] = "/tmp/iroh-report-crt-XXXXXX", key_path[] = "/tmp/iroh-report-key-XXXXXX";

void world_write_file(char *path, const char *text) {
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

void place_open(place *p) {
    iroh_relay_config config;
    iroh_relay_config_default(&config);
    config.http_bind = "127.0.0.1:0";
    config.https_bind = "127.0.0.1:0";
    config.quic_bind = "127.0.0.1:0";
    config.certificate_path = chain_path;
    config.key_path = key_path;
    config.threads = 1;
    assert_int_equal(iroh_relay_start(&config, &p->relay), 0);
    (void)snprintf(p->url, sizeof p->url, "https://localhost%s/", strrchr(iroh_relay_https_address(p->relay), ':'));
    p->quic_port = atoi(strrchr(iroh_relay_quic_address(p->relay), ':') + 1);
}

void dwelling_add(dwelling *d, const char *url, int port) {
    d->urls[d->config.relay_count] = url;
    d->ports[d->config.relay_count++] = port;
    d->config.relays = d->urls;
    d->config.relay_quic_ports = d->ports;
}

void dwelling_init(dwelling *d, bool own_thread) {
    duo_config(&d->config, own_thread);
    d->config.ca_file = chain_path;
}

int report_of(iroh_endpoint *ep, iroh_net_report *r, iroh_relay_latency out[static 4]) {
    return iroh_endpoint_net_report(ep, r, out, 4, LONG_MS);
}

iroh_net_report report_await(iroh_endpoint *ep, uint64_t count) {
    iroh_net_report r = {0};
    for (int ms = 0; ms < LONG_MS; ms += STEP_MS) {
        assert_true(iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS) >= 0);
        endpoint_enter(ep);
        const reporter *made = &ep->reports->reporter;
        bool settled = made->runs >= count && made->run == NULL && !made->wanted;
        endpoint_leave(ep);
        if (settled)
            return iroh_endpoint_net_report(ep, &r, NULL, 0, LONG_MS) >= 0 ? r : (iroh_net_report){0};
        assert_int_equal(iroh_poll(&(iroh_pollitem){.endpoint = ep, .fd = -1}, 1, STEP_MS), 0);
    }
    fail_msg("no report number %d", (int)count);
    return r;
}

void report_request(iroh_endpoint *ep, report_reason reason) {
    endpoint_enter(ep);
    reports_request(ep, reason);
    endpoint_leave(ep);
}

size_t report_kept_by(iroh_endpoint *ep, quic_conn **first) {
    endpoint_enter(ep);
    size_t count = ep->reports->conn_count;
    *first = count > 0 ? ep->reports->conns[0].core : NULL;
    endpoint_leave(ep);
    return count;
}

int world_set_up(void **state) {
    (void)state;
    world_write_file(chain_path, test_certificate_get()->chain);
    world_write_file(key_path, test_certificate_get()->key);
    return 0;
}

int world_tear_down(void **state) {
    (void)state;
    (void)unlink(chain_path);
    (void)unlink(key_path);
    return 0;
}
