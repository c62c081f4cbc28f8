// Our side of the interop tests with the crate iroh-blobs, over the public API only.
//
// usage: interop_blobs serve [push]           serves the world of blobs_world.h until its input ends
//        interop_blobs client TICKET [push]   asks a peer that serves it; with push, one that takes pushes
//
// `serve` prints `ticket TICKET`, `client` prints `ok NAME` or `FAIL NAME: why` for each case.
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blobs_client.h"
#include "blobs_world.h"

#define CONNECT_MS 20000
#define CLOSE_MS 5000
#define TICKET_MAX 1024

static int failed(const char *what, int error) {
    (void)fprintf(stderr, "%s: %s\n", what, iroh_strerror(error));
    return 1;
}

static iroh_endpoint *bind_endpoint(void) {
    static const char *const bind[] = {"127.0.0.1:0"};
    static const iroh_slice alpn = {IROH_BLOBS_ALPN, sizeof IROH_BLOBS_ALPN - 1};
    iroh_endpoint_config config;
    iroh_endpoint *ep = NULL;
    iroh_endpoint_config_default(&config);
    config.bind = bind;
    config.bind_count = 1;
    config.alpns = &alpn;
    config.alpn_count = 1;
    config.direct_only = true;
    config.own_thread = true;
    int r = iroh_endpoint_bind(&config, &ep);
    if (r != 0)
        (void)failed("cannot bind", r);
    return ep;
}

static int dial(iroh_endpoint *from, const iroh_addr *to, iroh_connection **out) {
    return iroh_endpoint_connect(from, to, IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, CONNECT_MS, out);
}

// A provider on a thread of its own.
typedef struct service {
    iroh_store *store;
    iroh_endpoint *endpoint;
    iroh_provider *provider;
    int stop[2];
    pthread_t thread;
} service;

static void *service_main(void *user) {
    service *s = user;
    int r = iroh_provider_run(s->provider, s->endpoint, s->stop[0], IROH_WAIT_FOREVER);
    if (r != 0)
        (void)failed("cannot serve", r);
    return NULL;
}

static int service_start(service *s, iroh_store *store, bool push) {
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.serve |= push ? (unsigned)IROH_SERVE_PUSH : 0;
    *s = (service){.store = store, .endpoint = bind_endpoint()};
    if (s->endpoint == NULL || pipe(s->stop) != 0)
        return IROH_ERR_IO;
    int r = iroh_provider_new(store, &config, &s->provider);
    if (r == 0 && pthread_create(&s->thread, NULL, service_main, s) != 0)
        r = IROH_ERR_IO;
    return r;
}

static void service_stop(service *s) {
    if (write(s->stop[1], "", 1) == 1)
        (void)pthread_join(s->thread, NULL);
    iroh_provider_free(s->provider);
    (void)iroh_endpoint_close(s->endpoint, CLOSE_MS);
    iroh_endpoint_free(s->endpoint);
    (void)close(s->stop[0]);
    (void)close(s->stop[1]);
}

// Only a transfer leaves a blob in part, so one is made here.
static int make_parts(iroh_store *store) {
    iroh_store *whole;
    service from;
    iroh_addr *addr;
    iroh_connection *c;
    int r = iroh_store_memory(NULL, &whole);
    if (r == 0)
        r = world_fill_whole(whole);
    if (r == 0)
        r = service_start(&from, whole, false);
    if (r != 0)
        return r;
    iroh_endpoint *ep = bind_endpoint();
    r = ep != NULL ? iroh_endpoint_addr(from.endpoint, &addr) : IROH_ERR_IO;
    if (r == 0 && (r = dial(ep, addr, &c)) == 0) {
        r = world_fill_parts(store, c);
        iroh_connection_free(c);
        iroh_addr_free(addr);
    }
    iroh_endpoint_free(ep);
    service_stop(&from);
    iroh_store_free(whole);
    return r;
}

static int announce(const service *s, const iroh_content *content) {
    char text[TICKET_MAX];
    iroh_addr *addr;
    int r = iroh_endpoint_addr(s->endpoint, &addr);
    if (r != 0)
        return r;
    r = iroh_blob_ticket_format(addr, content, text, sizeof text);
    iroh_addr_free(addr);
    if (r < 0)
        return r;
    printf("ticket %s\n", text);
    return fflush(stdout) == 0 ? 0 : IROH_ERR_IO;
}

static int serve(bool push) {
    iroh_store *store;
    service s;
    iroh_content content = {.format = IROH_BLOB_HASH_SEQ};
    int r = iroh_store_memory(NULL, &store);
    if (r == 0)
        r = world_fill(store, &content.hash);
    if (r == 0)
        r = make_parts(store);
    if (r == 0)
        r = service_start(&s, store, push);
    if (r != 0)
        return failed("cannot start", r);
    r = announce(&s, &content);
    char byte;
    while (r == 0 && read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    service_stop(&s);
    iroh_store_free(store);
    return r == 0 ? 0 : failed("cannot announce", r);
}

static int client(const char *ticket, bool push) {
    iroh_addr *addr;
    iroh_content content;
    iroh_connection *c;
    int r = iroh_blob_ticket_parse(ticket, &addr, &content);
    if (r != 0)
        return failed("not a ticket", r);
    iroh_endpoint *ep = bind_endpoint();
    r = ep != NULL ? dial(ep, addr, &c) : IROH_ERR_IO;
    iroh_addr_free(addr);
    if (r != 0)
        return failed("cannot connect", r);
    bool good = blobs_client(c, push);
    iroh_connection_free(c);
    (void)iroh_endpoint_close(ep, CLOSE_MS);
    iroh_endpoint_free(ep);
    return good ? 0 : 1;
}

int main(int argc, char **argv) {
    bool push = argc > 2 && strcmp(argv[argc - 1], "push") == 0;
    if (argc - (int)push == 2 && strcmp(argv[1], "serve") == 0)
        return serve(push);
    if (argc - (int)push == 3 && strcmp(argv[1], "client") == 0)
        return client(argv[2], push);
    (void)fprintf(stderr, "usage: interop_blobs serve [push] | client TICKET [push]\n");
    return 2;
}
