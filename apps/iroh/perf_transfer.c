// One stream full of zeros in either direction. Each side's CPU time is that of its whole process meanwhile.
#include <stdlib.h>

#include "perf.h"

#define GIGABYTE 1e9

typedef struct span {
    uint64_t ns, cpu_us;
} span;

static span begin(void) {
    return (span){cli_now_ns(), perf_cpu_us()};
}

typedef struct names {
    const char *rate, *send, *receive;
} names;

static const names upload_names = {"upload_bytes_per_s", "upload_cpu_s_per_gb_send", "upload_cpu_s_per_gb_receive"};
static const names download_names = {"download_bytes_per_s", "download_cpu_s_per_gb_send",
                                     "download_cpu_s_per_gb_receive"};

static double per_gigabyte(uint64_t us, uint64_t bytes) {
    return (double)us / 1e6 / ((double)bytes / GIGABYTE);
}

static bool has(const perf_figures *f, const char *name) {
    for (size_t i = 0; i < f->count; i++)
        if (f->rows[i].name == name)
            return true;
    return false;
}

// Both transfers give both figures; the plain names are those of the upload if it was asked for.
static void report(perf_client *c, const names *n, uint64_t ns, uint64_t sender_us, uint64_t receiver_us) {
    static const char *const plain[] = {"cpu_s_per_gb_send", "cpu_s_per_gb_receive"};
    double send = per_gigabyte(sender_us, c->bytes), receive = per_gigabyte(receiver_us, c->bytes);
    perf_figure_add(&c->figures, n->rate, (double)c->bytes * 1e9 / (double)ns, 0);
    perf_figure_add(&c->figures, n->send, send, 3);
    perf_figure_add(&c->figures, n->receive, receive, 3);
    if (has(&c->figures, plain[0]))
        return;
    perf_figure_add(&c->figures, plain[0], send, 3);
    perf_figure_add(&c->figures, plain[1], receive, 3);
}

static int send_zeros(iroh_stream *s, const uint8_t *zeros, uint64_t bytes) {
    int r = 0;
    while (r == 0 && bytes > 0) {
        size_t piece = bytes < PERF_CHUNK ? (size_t)bytes : PERF_CHUNK;
        r = iroh_stream_write_all(s, zeros, piece, IROH_WAIT_FOREVER, NULL);
        bytes -= piece;
    }
    return r == 0 ? iroh_stream_finish(s) : r;
}

static int upload(perf_client *c, const uint8_t *zeros, iroh_stream *s, span from) {
    uint8_t answer[16];
    int r = send_zeros(s, zeros, c->bytes);
    if (r == 0)
        r = perf_read_answer(s, answer, sizeof answer);
    if (r == 0 && perf_u64_read(answer) != c->bytes)
        r = IROH_ERR_PROTOCOL;
    if (r == 0)
        report(c, &upload_names, cli_now_ns() - from.ns, perf_cpu_us() - from.cpu_us, perf_u64_read(answer + 8));
    return r;
}

int perf_upload(perf_client *c) {
    uint8_t *zeros = calloc(1, PERF_CHUNK);
    iroh_stream *s = NULL;
    span from = begin();
    int r = zeros == NULL ? IROH_ERR_NOMEM : 0;
    if (r == 0)
        r = perf_open(c->connection, &(perf_head){PERF_UPLOAD, c->bytes, 0}, NULL, 0, IROH_WAIT_FOREVER, &s);
    if (r == 0)
        r = upload(c, zeros, s, from);
    iroh_stream_free(s);
    free(zeros);
    return r == 0 ? EXIT_OK : perf_failed(c, "upload", r);
}

static int download(perf_client *c, uint8_t *sink, iroh_stream *s, span from) {
    uint8_t answer[8];
    int r = iroh_stream_finish(s);
    for (uint64_t left = c->bytes; r == 0 && left > 0;) {
        int64_t n = iroh_stream_read(s, sink, left < PERF_CHUNK ? (size_t)left : PERF_CHUNK, IROH_WAIT_FOREVER);
        if (n <= 0)
            return n == 0 ? IROH_ERR_FINISHED : (int)n;
        left -= (uint64_t)n;
    }
    if (r == 0)
        r = perf_read_answer(s, answer, sizeof answer);
    if (r == 0)
        report(c, &download_names, cli_now_ns() - from.ns, perf_u64_read(answer), perf_cpu_us() - from.cpu_us);
    return r;
}

int perf_download(perf_client *c) {
    uint8_t *sink = malloc(PERF_CHUNK);
    iroh_stream *s = NULL;
    span from = begin();
    int r = sink == NULL ? IROH_ERR_NOMEM : 0;
    if (r == 0)
        r = perf_open(c->connection, &(perf_head){PERF_DOWNLOAD, c->bytes, 0}, NULL, 0, IROH_WAIT_FOREVER, &s);
    if (r == 0)
        r = download(c, sink, s, from);
    iroh_stream_free(s);
    free(sink);
    return r == 0 ? EXIT_OK : perf_failed(c, "download", r);
}
