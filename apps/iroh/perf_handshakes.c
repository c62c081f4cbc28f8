// Whole handshakes, one after the other, on an endpoint of its own. Each connection is closed as soon as it stands, before
// a session ticket can arrive, so that none is a resumption.
#include <stdlib.h>

#include "perf.h"

static int handshake(iroh_endpoint *ep, const iroh_addr *peer) {
    iroh_connection *c;
    int r = iroh_endpoint_connect(ep, peer, PERF_ALPN, sizeof PERF_ALPN - 1, NULL, IROH_WAIT_FOREVER, &c);
    if (r != 0)
        return r;
    if (iroh_connection_resumed(c))
        r = IROH_ERR_INTERNAL;
    (void)iroh_connection_close(c, 0, NULL, 0);
    iroh_connection_free(c);
    return r;
}

int perf_handshakes(perf_client *c, const cli_options *o) {
    iroh_endpoint *ep = cli_endpoint(o, NULL, 0, false);
    if (ep == NULL)
        return EXIT_FAILED;
    int r = handshake(ep, c->peer);
    uint64_t start = cli_now_ns(), cpu = perf_cpu_us(), now = start, count = 0;
    while (r == 0 && (count == 0 || now - start < c->ns)) {
        r = handshake(ep, c->peer);
        now = cli_now_ns();
        count++;
    }
    if (r == 0) {
        perf_figure_add(&c->figures, "handshakes_per_s", (double)count * 1e9 / (double)(now - start), 0);
        perf_figure_add(&c->figures, "handshake_cpu_us", (double)(perf_cpu_us() - cpu) / (double)count, 0);
    }
    (void)iroh_endpoint_close(ep, PERF_CLOSE_MS);
    iroh_endpoint_free(ep);
    return r == 0 ? EXIT_OK : cli_failed("handshakes", r);
}
