// What a connection costs that does nothing: many are opened and held, and both sides' private memory is compared.
#include <stdlib.h>

#include "perf.h"

#define HOLD_DEFAULT 3  // seconds
#define TRIES 100
#define TRY_MS 20

static int memory(perf_client *c, uint64_t *bytes, uint64_t *connections) {
    iroh_stream *s = NULL;
    uint8_t answer[16];
    int r = perf_open(c->connection, &(perf_head){PERF_MEMORY, 0, 0}, NULL, 0, IROH_WAIT_FOREVER, &s);
    if (r == 0)
        r = iroh_stream_finish(s);
    if (r == 0)
        r = perf_read_answer(s, answer, sizeof answer);
    iroh_stream_free(s);
    if (r != 0)
        return r;
    *bytes = perf_u64_read(answer);
    *connections = perf_u64_read(answer + 8);
    return 0;
}

// Lets the endpoint work for so long.
static int hold(iroh_endpoint *ep, uint64_t ms) {
    uint64_t now = cli_now_ns(), end = now + ms * UINT64_C(1000000);
    iroh_pollitem item = {.endpoint = ep, .fd = -1};
    while (now < end) {
        int r = iroh_poll(&item, 1, (int)((end - now) / 1000000 + 1));
        if (r != 0)
            return r < 0 ? r : IROH_ERR_CLOSED;
        now = cli_now_ns();
    }
    return 0;
}

// As soon as the server has more than `count` connections: here the last one stands earlier than there.
static int memory_with(perf_client *c, uint64_t count, uint64_t *bytes) {
    uint64_t open = 0;
    int r = memory(c, bytes, &open);
    for (int i = 0; r == 0 && open <= count && i < TRIES; i++) {
        r = hold(c->endpoint, TRY_MS);
        if (r == 0)
            r = memory(c, bytes, &open);
    }
    return r == 0 && open <= count ? IROH_ERR_PROTOCOL : r;
}

static int measure(perf_client *c, uint64_t count, iroh_connection **held, uint64_t seconds) {
    uint64_t server_before = 0, server_after = 0, own_before, own_after;
    int r = memory_with(c, 0, &server_before);
    own_before = perf_private_bytes();
    for (uint64_t i = 0; r == 0 && i < count; i++)
        r = iroh_endpoint_connect(c->endpoint, c->peer, PERF_ALPN, sizeof PERF_ALPN - 1, NULL, IROH_WAIT_FOREVER,
                                  &held[i]);
    if (r == 0)
        r = hold(c->endpoint, seconds * 1000);
    own_after = perf_private_bytes();
    if (r == 0)
        r = memory_with(c, count, &server_after);
    if (r != 0)
        return r;
    double n = (double)count;
    perf_figure_add(&c->figures, "count", n, 0);
    perf_figure_add(&c->figures, "server_private_before", (double)server_before, 0);
    perf_figure_add(&c->figures, "server_private_after", (double)server_after, 0);
    perf_figure_add(&c->figures, "server_bytes_per_connection", ((double)server_after - (double)server_before) / n, 0);
    perf_figure_add(&c->figures, "client_private_before", (double)own_before, 0);
    perf_figure_add(&c->figures, "client_bytes_per_connection", ((double)own_after - (double)own_before) / n, 0);
    return 0;
}

int perf_idle(const cli_options *o, const iroh_addr *peer, uint64_t count) {
    uint64_t seconds;
    if (!cli_number("--seconds", o->seconds, 0, 3600, HOLD_DEFAULT, &seconds))
        return EXIT_USAGE;
    perf_client c = {0};
    int status = perf_client_open(&c, o, peer);
    iroh_connection **held = calloc(count, sizeof(iroh_connection *));
    if (status == EXIT_OK) {
        int r = held == NULL ? IROH_ERR_NOMEM : measure(&c, count, held, seconds);
        status = r == 0 ? EXIT_OK : perf_failed(&c, "idle connections", r);
    }
    for (uint64_t i = 0; held != NULL && i < count; i++)
        iroh_connection_free(held[i]);
    free(held);
    perf_client_close(&c);
    if (status == EXIT_OK)
        perf_figures_print(&c.figures, o->json);
    return status;
}
