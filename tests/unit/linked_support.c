#include "linked_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/endpoint_state.h"

#define DELAY (5 * NS_PER_MS)
#define REST_MS 2000

static bool never(sim_world *w) {
    (void)w;
    return false;
}

static void watch(sim_world *w, sim_node *from, const addr *local, const addr *remote, const uint8_t *bytes,
                  size_t len) {
    (void)bytes;
    linked *d = w->watcher;
    if (addr_same_host(remote, &w->nodes[STRANGER].address))
        d->to_stranger += len;
    if (d->count < LINKED_LOG)
        d->log[d->count++] =
            (linked_datagram){.from = from->index, .len = len, .local = *local, .remote = *remote, .time = w->now};
}

linked *linked_new(const quic_transport *transport) {
    const sim_link line = {.delay = DELAY}, deaf = {.loss = 10000};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    if (transport != NULL)
        config.transport = *transport;
    linked *d = calloc(1, sizeof *d);
    assert_non_null(d);
    sim_world_init(&d->w, 11);
    for (size_t i = 0; i <= STRANGER; i++)
        (void)sim_add_node(&d->w, &config);
    sim_set_link(&d->w, CLIENT, SERVER, &line);
    sim_set_link(&d->w, CLIENT, STRANGER, &deaf);
    sim_set_link(&d->w, SERVER, STRANGER, &deaf);
    sim_echo_server(&d->w.nodes[SERVER]);
    d->w.watcher = d;
    d->w.tap = watch;
    return d;
}

void linked_dial(linked *d, const uint8_t *session, size_t session_len) {
    sim_transfer_start(&d->t, &d->w.nodes[CLIENT], &d->w.nodes[SERVER], 1, 100, session, session_len, session != NULL);
}

linked *linked_start(const quic_transport *transport) {
    linked *d = linked_new(transport);
    linked_dial(d, NULL, 0);
    linked_run(d, REST_MS);
    assert_true(d->t.connected);
    return d;
}

void linked_free(linked *d) {
    sim_transfer_dispose(&d->t);
    sim_world_dispose(&d->w);
    free(d);
}

quic_conn *linked_conn(linked *d, size_t node) {
    list_link *head = &d->w.nodes[node].ep->conns;
    return list_empty(head) ? NULL : list_entry(head->prev, quic_conn, all_link);
}

void linked_run(linked *d, uint64_t ms) {
    (void)sim_run(&d->w, never, ms * NS_PER_MS);
    if (d->w.failure[0] != '\0')
        fail_msg("%s", d->w.failure);
}

int linked_outcome(linked *d, size_t node) {
    const quic_conn *c = linked_conn(d, node);
    if (c == NULL)
        return LINKED_OTHER;
    if (c->close == NULL)
        return LINKED_OPEN;
    return c->close->by_peer || c->close->application ? LINKED_OTHER : (int)c->close->code;
}

size_t linked_say_from(linked *d, size_t source, size_t from, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    quic_conn *c = linked_conn(d, from);
    assert_non_null(c);
    size_t n = forge_own(c, frames, len, d->w.now, packet);
    assert_true(n > 0);
    sim_inject(&d->w, source, 1 - from, packet, n);
    linked_run(d, 1);
    return n;
}

size_t linked_say(linked *d, size_t from, const uint8_t *frames, size_t len) {
    return linked_say_from(d, from, from, frames, len);
}

size_t linked_hex(const char *hex, uint8_t out[static LINKED_FRAMES_MAX]) {
    size_t len = 0;
    for (const char *p = hex; *p != '\0'; p++) {
        if (*p == ' ')
            continue;
        const char two[3] = {p[0], p[1], '\0'};
        assert_true(len < LINKED_FRAMES_MAX);
        out[len++] = (uint8_t)strtoul(two, NULL, 16);
        p++;
    }
    return len;
}
