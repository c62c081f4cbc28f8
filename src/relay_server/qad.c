// QUIC address discovery: clients connect over UDP to be told which address they come from. Our own QUIC, with the relay's
// certificate; no streams, no datagrams, nothing but the report. The first loop does it all.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/ed25519.h"
#include "quic/endpoint.h"
#include "relay_server/state.h"
#include "sys/udp.h"

#define ALPN "/iroh-qad/0"
#define CLOSE_CODE 1
#define CLOSE_REASON "finished"
#define IDLE_TIMEOUT (30 * NS_PER_S)
#define SOCKETS 2              // [::] is an IPv6 and an IPv4 socket
#define RECEIVE_BATCHES 32     // of one turn
#define TRANSMITS_MAX 256      // of one turn
#define VALIDATE_FROM 1024     // connections, beyond which addresses must be validated first
#define CONNECTIONS_MAX 32768  // beyond which no more are taken
#define INCOMING_WAITING 1024

struct qad {
    relay_loop *loop;
    sys_udp *sockets[SOCKETS];
    sys_watch *watches[SOCKETS];
    quic_endpoint *core;
    size_t conns;  // that were accepted and not released
    uint8_t in[SYS_UDP_BATCH], out[SYS_UDP_BATCH];
};

// --- Receiving

static void deliver(struct qad *q, const sys_udp_batch *b) {
    for (size_t at = 0; at < b->len; at += b->segment) {
        quic_datagram d = {
            .bytes = q->in + at,
            .len = b->len - at < b->segment ? b->len - at : b->segment,
            .remote = b->remote,
            .local = b->local,
            .ecn = b->ecn,
        };
        quic_endpoint_receive(q->core, &d, loop_now(q->loop));
    }
}

static void receive(struct qad *q, sys_udp *from) {
    sys_udp_batch b;
    for (int i = 0; i < RECEIVE_BATCHES && sys_udp_receive(from, q->in, &b) == 0; i++)
        deliver(q, &b);
}

static void on_ready(void *user, unsigned events) {
    struct qad *q = user;
    relay_loop *l = q->loop;
    (void)events;
    loop_begin(l);
    // A letter may have ended it.
    for (int i = 0; l->qad == q && i < SOCKETS; i++) {
        if (q->sockets[i] != NULL)
            receive(q, q->sockets[i]);
    }
}

// --- Connections

static void take(struct qad *q, quic_incoming *in) {
    uint64_t *counters = q->loop->counters, now = loop_now(q->loop);
    quic_conn *c;
    counters[COUNT_QAD_INCOMING]++;
    if (q->conns >= CONNECTIONS_MAX) {
        counters[COUNT_QAD_INCOMING_ERROR]++;
        quic_incoming_refuse(in, now);
    } else if (q->conns >= VALIDATE_FROM && !quic_incoming_validated(in)) {
        (void)quic_incoming_retry(in, now);
    } else if (quic_incoming_accept(in, now, &c) != 0) {
        counters[COUNT_QAD_INCOMING_ERROR]++;
    } else {
        q->conns++;
    }
}

static bool ended_well(const quic_conn *c) {
    const quic_close_info *info = quic_conn_close_info(c);
    return info->application && info->code == CLOSE_CODE;
}

static void on_events(struct qad *q, quic_conn *c, uint32_t events) {
    uint64_t *counters = q->loop->counters;
    if ((events & CONN_CONNECTED) != 0)
        counters[COUNT_QAD_CONNECTIONS]++;
    if ((events & CONN_CLOSED) == 0)
        return;
    if (!quic_conn_connected(c)) {
        counters[COUNT_QAD_INCOMING_ERROR]++;
    } else {
        counters[COUNT_QAD_CLOSED]++;
        counters[COUNT_QAD_ERRORED] += !ended_well(c);
    }
    q->conns--;
    quic_conn_release(c, loop_now(q->loop));
}

// --- Sending

static sys_udp *socket_for(const struct qad *q, const addr *remote) {
    for (int i = 0; i < SOCKETS; i++) {
        if (q->sockets[i] != NULL && sys_udp_local(q->sockets[i]).kind == remote->kind)
            return q->sockets[i];
    }
    return NULL;
}

// What the kernel does not take now is lost, as on the way.
static void transmit(struct qad *q) {
    quic_transmit t;
    for (int i = 0; i < TRANSMITS_MAX; i++) {
        size_t sent = 0;
        if (!quic_endpoint_transmit(q->core, loop_now(q->loop), q->out, sizeof q->out, SYS_UDP_SEGMENTS_MAX, &t))
            return;
        sys_udp *u = socket_for(q, &t.remote);
        const sys_udp_batch b = {
            .remote = t.remote, .local = t.local, .len = t.len, .segment = t.segment, .ecn = t.ecn};
        if (u != NULL)
            (void)sys_udp_send(u, q->out, &b, &sent);
    }
}

uint64_t qad_deadline(const struct qad *q) {
    return quic_endpoint_deadline(q->core);
}

void qad_turn(struct qad *q, uint64_t now) {
    uint32_t events;
    if (quic_endpoint_deadline(q->core) <= now)
        quic_endpoint_timeout(q->core, now);
    for (quic_incoming *in; (in = quic_endpoint_next_incoming(q->core)) != NULL;)
        take(q, in);
    for (quic_conn *c; (c = quic_endpoint_next_event(q->core, &events)) != NULL;)
        on_events(q, c, events);
    transmit(q);
}

// --- Beginning and end

static void set_transport(quic_transport *t) {
    t->idle_timeout = IDLE_TIMEOUT;
    t->keep_alive = 0;
    t->streams_bidi = t->streams_uni = 0;
    t->datagrams = false;
    t->paths = 0;
    t->nat_candidates = 0;
    t->send_observed = true;
    t->receive_observed = false;
    t->send_new_tokens = false;
}

static int make_core(struct qad *q) {
    static const tls_alpn alpn = {.name = (const uint8_t *)ALPN, .len = sizeof ALPN - 1};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    set_transport(&config.transport);
    config.tls = &tls_gnutls;
    // The certificate speaks for the server; this key only fills its place.
    entropy_fill(&q->loop->random, config.identity.seed, sizeof config.identity.seed);
    ed25519_public(config.identity.seed, config.identity.public_key);
    config.identity.certificate = &q->loop->certificate;
    config.random = q->loop->random;
    config.log = &q->loop->server->log;
    config.alpns = &alpn;
    config.alpn_count = 1;
    config.incoming_max = INCOMING_WAITING;
    config.wall_clock = sys_wall_clock() - sys_now();
    int r = quic_endpoint_new(&config, &q->core);
    wipe(&config.identity, sizeof config.identity);
    return r;
}

static int open_socket(struct qad *q, int which, const addr *bind) {
    int r = sys_udp_open(bind, true, &q->sockets[which]);
    if (r != 0)
        return r;
    return sys_loop_watch(q->loop->sys, sys_udp_fd(q->sockets[which]), SYS_READABLE, on_ready, q, &q->watches[which]);
}

// An unspecified IPv6 address stands for both families; without IPv4 on the machine, for one.
static int open_sockets(struct qad *q, addr *bind) {
    static const uint8_t any[4];
    int r = open_socket(q, 0, bind);
    if (r != 0)
        return r;
    *bind = sys_udp_local(q->sockets[0]);
    if (bind->kind != ADDR_IP6 || !addr_is_unspecified(bind))
        return 0;
    const addr ip4 = addr_ip4(any, bind->port);
    r = open_socket(q, 1, &ip4);
    return r == IROH_ERR_UNSUPPORTED ? 0 : r;
}

int qad_new(relay_loop *l, const addr *bind, addr *bound, struct qad **out) {
    struct qad *q = calloc(1, sizeof *q);
    if (q == NULL)
        return IROH_ERR_NOMEM;
    q->loop = l;
    *bound = *bind;
    int r = make_core(q);
    if (r == 0)
        r = open_sockets(q, bound);
    if (r != 0) {
        qad_free(q);
        return r;
    }
    *out = q;
    return 0;
}

void qad_free(struct qad *q) {
    if (q == NULL)
        return;
    if (q->core != NULL) {
        quic_endpoint_close(q->core, CLOSE_CODE, (const uint8_t *)CLOSE_REASON, sizeof CLOSE_REASON - 1,
                            loop_now(q->loop));
        transmit(q);
        quic_endpoint_free(q->core);
    }
    for (int i = 0; i < SOCKETS; i++) {
        sys_watch_free(q->watches[i]);
        sys_udp_close(q->sockets[i]);
    }
    free(q);
}
