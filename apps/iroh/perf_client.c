#include <stdio.h>
#include <string.h>

#include "perf.h"

#define HEAD_AND_MORE (PERF_HEAD + 64)

int perf_client_open(perf_client *c, const cli_options *o, const iroh_addr *peer) {
    c->peer = peer;
    c->endpoint = cli_endpoint(o, NULL, 0, false);
    if (c->endpoint == NULL)
        return EXIT_FAILED;
    int r = iroh_endpoint_connect(c->endpoint, peer, PERF_ALPN, sizeof PERF_ALPN - 1, NULL, IROH_WAIT_FOREVER,
                                  &c->connection);
    return r == 0 ? EXIT_OK : cli_failed("cannot connect", r);
}

void perf_client_close(perf_client *c) {
    if (c->connection != NULL)
        (void)iroh_connection_close(c->connection, 0, "done", 4);
    iroh_connection_free(c->connection);
    if (c->endpoint != NULL)
        (void)iroh_endpoint_close(c->endpoint, PERF_CLOSE_MS);
    iroh_endpoint_free(c->endpoint);
    c->connection = NULL;
    c->endpoint = NULL;
}

int perf_failed(const perf_client *c, const char *what, int error) {
    return cli_connection_failed(what, error, c->connection);
}

int perf_open(iroh_connection *c, const perf_head *h, const void *bytes, size_t len, int timeout_ms,
              iroh_stream **out) {
    uint8_t start[HEAD_AND_MORE];
    if (len > sizeof start - PERF_HEAD)
        return IROH_ERR_LENGTH;
    int r = iroh_connection_open_bi(c, timeout_ms, out);
    if (r != 0)
        return r;
    perf_head_write(start, h);
    if (len > 0)
        memcpy(start + PERF_HEAD, bytes, len);
    r = iroh_stream_write_all(*out, start, PERF_HEAD + len, IROH_WAIT_FOREVER, NULL);
    if (r == 0)
        return 0;
    iroh_stream_free(*out);
    *out = NULL;
    return r;
}

int perf_read_answer(iroh_stream *s, uint8_t *out, size_t len) {
    uint8_t more;
    int r = iroh_stream_read_exact(s, out, len, IROH_WAIT_FOREVER, NULL);
    if (r != 0)
        return r;
    int64_t n = iroh_stream_read(s, &more, 1, IROH_WAIT_FOREVER);
    return n > 0 ? IROH_ERR_PROTOCOL : (int)n;
}
