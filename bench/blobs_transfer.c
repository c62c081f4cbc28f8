// Blobs from one store to another over loopback, both in this process: one large blob, and many small ones as a hash
// sequence.
//
// usage: bench_blobs_transfer memory|disk blob|small AMOUNT
//
// The amount is in MiB of one blob, or in blobs of 1 KiB. The first transfer is to a store that is deleted at once: it
// leaves memory that a hypervisor need not find anew. Prints a line of JSON for the second: seconds from the connect on,
// CPU seconds of both sides together, the peak of the process's memory. Stores on disk are in a folder of their own below
// the current one, which is deleted. tests/interop/rust/blobs_bench does the same with the crate iroh-blobs.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <iroh/blobs_transfer.h>

#define SMALL 1024  // bytes
#define TIMEOUT_MS 60000

typedef struct side {
    iroh_store *store;
    iroh_endpoint *endpoint;
} side;

typedef struct server {
    side s;
    iroh_provider *provider;
    int stop[2];
} server;

static void check(int r, const char *what) {
    if (r >= 0)
        return;
    (void)fprintf(stderr, "%s: %s\n", what, iroh_strerror(r));
    exit(1);
}

static double now(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void open_side(side *s, const char *dir) {
    static const char *const bind[] = {"127.0.0.1:0"};
    static const iroh_slice alpn = {IROH_BLOBS_ALPN, sizeof IROH_BLOBS_ALPN - 1};
    iroh_store_config store;
    iroh_endpoint_config config;
    iroh_store_config_default(&store);
    store.power_safe = false;
    check(dir != NULL ? iroh_store_open(dir, &store, &s->store) : iroh_store_memory(&store, &s->store), "store");
    iroh_endpoint_config_default(&config);
    config.bind = bind;
    config.bind_count = 1;
    config.alpns = &alpn;
    config.alpn_count = 1;
    config.direct_only = true;
    check(iroh_endpoint_bind(&config, &s->endpoint), "bind");
}

static void *serve(void *user) {
    server *v = user;
    check(iroh_provider_run(v->provider, v->s.endpoint, v->stop[0], IROH_WAIT_FOREVER), "provider");
    return NULL;
}

static uint64_t noise(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static iroh_content add_large(iroh_store *s, size_t mib) {
    size_t len = mib << 20;
    uint64_t state = 88172645463325252U, *data = malloc(len);
    iroh_content content = {.format = IROH_BLOB_RAW};
    if (data == NULL)
        check(IROH_ERR_NOMEM, "data");
    for (size_t i = 0; i < len / sizeof *data; i++)
        data[i] = noise(&state);
    check(iroh_store_add_bytes(s, data, len, NULL, &content.hash), "add");
    free(data);
    return content;
}

static iroh_content add_small(iroh_store *s, size_t count) {
    uint64_t state = 88172645463325252U, data[SMALL / sizeof(uint64_t)];
    iroh_hash *hashes = malloc(count * sizeof *hashes);
    iroh_batch *batch = NULL;
    iroh_content content = {.format = IROH_BLOB_HASH_SEQ};
    iroh_add_options root = {.format = IROH_BLOB_HASH_SEQ};
    check(hashes != NULL ? iroh_batch_new(s, &batch) : IROH_ERR_NOMEM, "batch");
    iroh_add_options o = {.batch = batch};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sizeof data / sizeof *data; j++)
            data[j] = noise(&state);
        check(iroh_store_add_bytes(s, data, sizeof data, &o, &hashes[i]), "add");
    }
    check(iroh_store_add_bytes(s, hashes, count * sizeof *hashes, &root, &content.hash), "add");
    iroh_batch_free(batch);
    free(hashes);
    return content;
}

// The clock too, so that a profile can be cut to it.
static void print_figures(double start, double end, double spent) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    printf("{\"seconds\": %.4f, \"cpu_seconds\": %.4f, \"peak_kib\": %ld, \"from\": %.6f, \"to\": %.6f}\n", end - start,
           spent, u.ru_maxrss, start, end);
}

static void transfer(server *v, const char *dir, const iroh_content *content, bool print) {
    side to;
    iroh_addr *addr;
    iroh_connection *c;
    open_side(&to, dir);
    double start = now(), spent = cpu();
    check(iroh_endpoint_addr(v->s.endpoint, &addr), "address");
    check(iroh_endpoint_connect(to.endpoint, addr, IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, TIMEOUT_MS, &c),
          "connect");
    check(iroh_blobs_get(c, to.store, content, NULL), "get");
    double end = now();
    if (print)
        print_figures(start, end, cpu() - spent);
    iroh_connection_free(c);
    iroh_addr_free(addr);
    iroh_endpoint_free(to.endpoint);
    iroh_store_free(to.store);
}

static void remove_folder(const char *folder) {
    char command[96];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    check(system(command) == 0 ? 0 : IROH_ERR_IO, "rm");
}

// Null for stores in memory.
static void run(const char *from, const char *to, bool small, size_t amount) {
    server v;
    pthread_t thread;
    open_side(&v.s, from);
    iroh_content content = small ? add_small(v.s.store, amount) : add_large(v.s.store, amount);
    check(iroh_provider_new(v.s.store, NULL, &v.provider), "provider");
    check(pipe(v.stop) == 0 ? 0 : IROH_ERR_IO, "pipe");
    check(pthread_create(&thread, NULL, serve, &v) == 0 ? 0 : IROH_ERR_IO, "thread");
    transfer(&v, to, &content, false);
    if (to != NULL)
        remove_folder(to);
    transfer(&v, to, &content, true);
    if (write(v.stop[1], "", 1) != 1)
        check(IROH_ERR_IO, "stop");
    (void)pthread_join(thread, NULL);
    iroh_provider_free(v.provider);
    iroh_endpoint_free(v.s.endpoint);
    iroh_store_free(v.s.store);
    (void)close(v.stop[0]);
    (void)close(v.stop[1]);
}

static void run_on_disk(bool small, size_t amount) {
    char folder[] = "blobs-bench-XXXXXX", from[64], to[64];
    check(mkdtemp(folder) != NULL ? 0 : IROH_ERR_IO, "mkdtemp");
    (void)snprintf(from, sizeof from, "%s/from", folder);
    (void)snprintf(to, sizeof to, "%s/to", folder);
    run(from, to, small, amount);
    remove_folder(folder);
}

int main(int argc, char **argv) {
    size_t amount = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
    bool disk = argc == 4 && strcmp(argv[1], "disk") == 0, small = argc == 4 && strcmp(argv[2], "small") == 0;
    if (amount == 0 || (!disk && strcmp(argv[1], "memory") != 0) || (!small && strcmp(argv[2], "blob") != 0)) {
        (void)fprintf(stderr, "usage: bench_blobs_transfer memory|disk blob|small AMOUNT\n");
        return 2;
    }
    if (disk)
        run_on_disk(small, amount);
    else
        run(NULL, NULL, small, amount);
    return 0;
}
