#include "unit/pool_fake_support.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

// A handle is the place of its connection, which nobody looks through.
static iroh_connection *handle_of(fake *f) {
    return (iroh_connection *)(void *)f;
}

static fake *fake_of(iroh_connection *c) {
    return (fake *)(void *)c;
}

static int dial(void *user, const iroh_addr *to, iroh_connection **out) {
    fake_endpoint *e = user;
    (void)to;
    if (e->dial_error != 0)
        return e->dial_error;
    fake *f = &e->connections[e->dialled++ % FAKES];
    *f = (fake){.open = true, .state = IROH_ERR_AGAIN};
    *out = handle_of(f);
    return 0;
}

static int state(void *user, iroh_connection *c) {
    (void)user;
    return fake_of(c)->state;
}

static int greet(void *user, iroh_connection *c) {
    fake_endpoint *e = user;
    (void)c;
    e->greeted++;
    return e->greet_error;
}

static void drop(void *user, iroh_connection *c, const char *reason) {
    (void)user;
    fake *f = fake_of(c);
    f->open = false;
    (void)snprintf(f->reason, sizeof f->reason, "%s", reason);
}

conn_pool_config fake_config(fake_endpoint *e) {
    return (conn_pool_config){.max = 4,
                              .max_dialling = 2,
                              .idle_ns = 5 * NS_PER_S,
                              .dial_ns = NS_PER_S,
                              .dial = dial,
                              .state = state,
                              .greet = greet,
                              .drop = drop,
                              .user = e};
}

iroh_addr *fake_addr(unsigned number) {
    iroh_public_key id = {{0}};
    iroh_addr *a;
    memcpy(id.bytes, &number, sizeof number);
    return iroh_addr_new(&id, &a) == 0 ? a : NULL;
}

size_t fake_number(const fake_endpoint *e, const conn_use *u) {
    return (size_t)(fake_of(conn_use_handle(u)) - e->connections);
}

size_t fake_open(const fake_endpoint *e) {
    size_t n = 0;
    for (size_t i = 0; i < FAKES; i++)
        n += e->connections[i].open;
    return n;
}
