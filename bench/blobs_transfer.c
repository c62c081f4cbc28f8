// Blobs from one store to another over loopback, both in this process: one large blob, and many small ones as a hash
// sequence.
//
// usage: bench_blobs_transfer [MIB] [COUNT]     default: 1024 MiB in one blob, 50 000 blobs of 1 KiB
//
// Prints a line for each: seconds, rate, and CPU seconds of both sides together. Stores on disk are in a folder of their
// own below the current one, which is deleted.
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
    iroh_batch *batch;
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

static void transfer(server *v, const side *to, const iroh_content *content, const char *what, double amount,
                     const char *unit) {
    iroh_addr *addr;
    iroh_connection *c;
    double start = now(), spent = cpu();
    check(iroh_endpoint_addr(v->s.endpoint, &addr), "address");
    check(iroh_endpoint_connect(to->endpoint, addr, IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, TIMEOUT_MS, &c),
          "connect");
    check(iroh_blobs_get(c, to->store, content, NULL), "get");
    double seconds = now() - start;
    printf("%-24s %8.3f s  %10.3f %s/s  %6.2f CPU s\n", what, seconds, amount / seconds, unit, cpu() - spent);
    iroh_connection_free(c);
    iroh_addr_free(addr);
}

static void run(const char *from, const char *to, const char *where, size_t mib, size_t count) {
    server v;
    side other;
    pthread_t thread;
    char what[64];
    open_side(&v.s, from);
    open_side(&other, to);
    iroh_content large = add_large(v.s.store, mib), small = add_small(v.s.store, count);
    check(iroh_provider_new(v.s.store, NULL, &v.provider), "provider");
    if (pipe(v.stop) != 0 || pthread_create(&thread, NULL, serve, &v) != 0)
        check(IROH_ERR_IO, "thread");
    (void)snprintf(what, sizeof what, "%s, one blob", where);
    transfer(&v, &other, &large, what, (double)mib * 1048576 / 1e9, "GB");
    (void)snprintf(what, sizeof what, "%s, small blobs", where);
    transfer(&v, &other, &small, what, (double)count / 1000, "k");
    if (write(v.stop[1], "", 1) != 1)
        check(IROH_ERR_IO, "stop");
    (void)pthread_join(thread, NULL);
    iroh_provider_free(v.provider);
    iroh_endpoint_free(other.endpoint);
    iroh_endpoint_free(v.s.endpoint);
    iroh_store_free(other.store);
    iroh_store_free(v.s.store);
    (void)close(v.stop[0]);
    (void)close(v.stop[1]);
}

int main(int argc, char **argv) {
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024, count = argc > 2 ? strtoul(argv[2], NULL, 10) : 50000;
    char folder[] = "blobs-bench-XXXXXX", from[64], to[64], command[96];
    if (mib == 0 || count == 0 || mkdtemp(folder) == NULL)
        return 1;
    run(NULL, NULL, "memory", mib, count);
    (void)snprintf(from, sizeof from, "%s/from", folder);
    (void)snprintf(to, sizeof to, "%s/to", folder);
    run(from, to, "disk", mib, count);
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? 0 : 1;
}
