// iroh perf: the protocol `iroh-c/perf/0` (tests/interop/README.md), which the native baseline speaks too. The client
// opens a bidirectional stream for each request and sends a head; integers are big-endian.
#ifndef PERF_H
#define PERF_H

#include "cli.h"

#define PERF_ALPN "iroh-c/perf/0"
#define PERF_HEAD 17            // u8 op, u64 a, u64 b
#define PERF_REQUEST_MAX 65536  // bytes of a request, and of its answer
#define PERF_CHUNK ((size_t)256 << 10)
#define PERF_CLOSE_MS 3000

enum { PERF_UPLOAD = 1, PERF_DOWNLOAD = 2, PERF_REQUEST = 3, PERF_MEMORY = 4 };

typedef struct perf_head {
    uint8_t op;
    uint64_t a, b;
} perf_head;

void perf_head_write(uint8_t out[static PERF_HEAD], const perf_head *h);
void perf_head_read(perf_head *h, const uint8_t bytes[static PERF_HEAD]);
void perf_u64_write(uint8_t out[static 8], uint64_t v);
uint64_t perf_u64_read(const uint8_t bytes[static 8]);

// Memory that only this process has, in bytes; 0 if the system does not tell.
uint64_t perf_private_bytes(void);
// CPU time of this process, user and system.
uint64_t perf_cpu_us(void);

// Figures in the order in which they were added.
#define PERF_FIGURES_MAX 32
typedef struct perf_figure {
    const char *name;  // of the key in JSON, static
    double value;
    int decimals;  // to print
} perf_figure;

typedef struct perf_figures {
    perf_figure rows[PERF_FIGURES_MAX];
    size_t count;
} perf_figures;

void perf_figure_add(perf_figures *f, const char *name, double value, int decimals);
// One JSON object in a line, or a table, on standard output.
void perf_figures_print(const perf_figures *f, bool json);

// A client: its endpoint and one connection, made by perf_client_open. All waits are for ever: a dead peer ends them by
// the idle timeout of the connection.
typedef struct perf_client {
    iroh_endpoint *endpoint;
    iroh_connection *connection;
    const iroh_addr *peer;
    uint64_t ns;     // how long a test takes
    uint64_t bytes;  // of a transfer
    perf_figures figures;
} perf_client;

// The functions below give an exit status, and a message before EXIT_FAILED.
int perf_client_open(perf_client *c, const cli_options *o, const iroh_addr *peer);
void perf_client_close(perf_client *c);  // in order; what was not opened is ignored
int perf_failed(const perf_client *c, const char *what, int error);
// Opens a stream and sends the head, with `len` bytes after it (at most 64).
int perf_open(iroh_connection *c, const perf_head *h, const void *bytes, size_t len, int timeout_ms, iroh_stream **out);
// Reads exactly `len` bytes and the end. 0 or IROH_ERR_*; IROH_ERR_PROTOCOL when more follows.
int perf_read_answer(iroh_stream *s, uint8_t *out, size_t len);

int perf_upload(perf_client *c);
int perf_download(perf_client *c);
int perf_requests(perf_client *c);
int perf_handshakes(perf_client *c, const cli_options *o);

int perf_serve(const cli_options *o);
int perf_run(const cli_options *o, const iroh_addr *peer);
int perf_idle(const cli_options *o, const iroh_addr *peer, uint64_t count);

#endif
