#include "duo_support.h"

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
    duo *d = w->watcher;
    if (addr_same_host(remote, &w->nodes[STRANGER].address))
        d->to_stranger += len;
    if (d->count < DUO_LOG)
        d->log[d->count++] =
            (duo_datagram){.from = from->index, .len = len, .local = *local, .remote = *remote, .time = w->now};
}

duo *duo_new(const quic_transport *transport) {
    const sim_link line = {.delay = DELAY}, deaf = {.loss = 10000};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    if (transport != NULL)
        config.transport = *transport;
    duo *d = calloc(1, sizeof *d);
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

void duo_dial(duo *d, const uint8_t *session, size_t session_len) {
    sim_transfer_start(&d->t, &d->w.nodes[CLIENT], &d->w.nodes[SERVER], 1, 100, session, session_len, session != NULL);
}

duo *duo_start(const quic_transport *transport) {
    duo *d = duo_new(transport);
    duo_dial(d, NULL, 0);
    duo_run(d, REST_MS);
    assert_true(d->t.connected);
    return d;
}

void duo_free(duo *d) {
    sim_transfer_dispose(&d->t);
    sim_world_dispose(&d->w);
    free(d);
}

quic_conn *duo_conn(duo *d, size_t node) {
    list_link *head = &d->w.nodes[node].ep->conns;
    return list_empty(head) ? NULL : list_entry(head->prev, quic_conn, all_link);
}

void duo_run(duo *d, uint64_t ms) {
    (void)sim_run(&d->w, never, ms * NS_PER_MS);
    if (d->w.failure[0] != '\0')
        fail_msg("%s", d->w.failure);
}

int duo_outcome(duo *d, size_t node) {
    const quic_conn *c = duo_conn(d, node);
    if (c == NULL)
        return DUO_OTHER;
    if (c->close == NULL)
        return DUO_OPEN;
    return c->close->by_peer || c->close->application ? DUO_OTHER : (int)c->close->code;
}

size_t duo_say_from(duo *d, size_t source, size_t from, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    quic_conn *c = duo_conn(d, from);
    assert_non_null(c);
    size_t n = forge_own(c, frames, len, d->w.now, packet);
    assert_true(n > 0);
    sim_inject(&d->w, source, 1 - from, packet, n);
    duo_run(d, 1);
    return n;
}

size_t duo_say(duo *d, size_t from, const uint8_t *frames, size_t len) {
    return duo_say_from(d, from, from, frames, len);
}

size_t duo_hex(const char *hex, uint8_t out[static DUO_FRAMES_MAX]) {
    size_t len = 0;
    for (const char *p = hex; *p != '\0'; p++) {
        if (*p == ' ')
            continue;
        const char two[3] = {p[0], p[1], '\0'};
        assert_true(len < DUO_FRAMES_MAX);
        out[len++] = (uint8_t)strtoul(two, NULL, 16);
        p++;
    }
    return len;
}
