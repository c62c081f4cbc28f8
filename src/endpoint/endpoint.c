// An endpoint's life, and what it tells about itself.
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "endpoint/state.h"
#include "sys/entropy.h"

#define CLOSE_LIMIT (3 * NS_PER_S)  // how long iroh_endpoint_close waits for peers at most

// --- Binding

static int open_socket(iroh_endpoint *ep, const addr *at, bool gso) {
    endpoint_socket *s = &ep->sockets[ep->socket_count];
    int r = sys_udp_open(at, gso, &s->udp);
    if (r != 0)
        return r;
    s->local = sys_udp_local(s->udp);
    s->wildcard = addr_is_unspecified(&s->local);
    s->fixed_port = at->port != 0;
    ep->socket_count++;
    return 0;
}

// Every address of both families; a machine without IPv6 does without.
static int open_default_sockets(iroh_endpoint *ep, bool gso) {
    static const uint8_t any[16];
    addr at4 = addr_ip4(any, 0), at6 = addr_ip6(any, 0, 0);
    int r = open_socket(ep, &at4, gso);
    if (r == 0)
        (void)open_socket(ep, &at6, gso);
    return r;
}

static int open_sockets(iroh_endpoint *ep, const iroh_endpoint_config *config) {
    if (config->relay_only)
        return 0;
    if (config->bind_count == 0)
        return open_default_sockets(ep, config->segmentation_offload);
    for (size_t i = 0; i < config->bind_count; i++) {
        addr at;
        if (config->bind[i] == NULL)
            return IROH_ERR_ARG;
        if (addr_parse(&at, config->bind[i], strlen(config->bind[i])) != 0)
            return IROH_ERR_SYNTAX;
        int r = open_socket(ep, &at, config->segmentation_offload);
        if (r != 0)
            return r == IROH_ERR_UNSUPPORTED ? IROH_ERR_BIND : r;
    }
    return 0;
}

static int make_core(iroh_endpoint *ep, const iroh_endpoint_config *config) {
    quic_endpoint_config core;
    tls_alpn alpns[ALPNS_MAX];
    config_translate(config, &core);
    int r = config_alpns(config->alpns, config->alpn_count, alpns);
    if (r != 0)
        return r;
    core.alpns = alpns;
    core.alpn_count = config->alpn_count;
    core.log = &ep->log;
    memcpy(core.identity.seed, ep->secret.bytes, sizeof core.identity.seed);
    memcpy(core.identity.public_key, ep->id.bytes, sizeof core.identity.public_key);
    if (ep->keylog_fd >= 0) {
        core.keylog = diary_keylog;
        core.keylog_user = ep;
    }
    if (ep->qlog_dir != NULL) {
        core.qlog = diary_qlog;
        core.qlog_user = ep;
    }
    r = quic_endpoint_new(&core, &ep->core);
    wipe(&core, sizeof core);
    return r;
}

// The lock is held for microseconds at a time, for which nobody need sleep.
static bool init_lock(uv_mutex_t *lock) {
#if defined(__GLIBC__)
    pthread_mutexattr_t how;
    if (pthread_mutexattr_init(&how) != 0)
        return false;
    (void)pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
    int r = pthread_mutex_init(lock, &how);
    (void)pthread_mutexattr_destroy(&how);
    return r == 0;
#else
    return uv_mutex_init(lock) == 0;
#endif
}

static iroh_endpoint *endpoint_new(const iroh_endpoint_config *config) {
    iroh_endpoint *ep = calloc(1, sizeof *ep);
    if (ep == NULL || !init_lock(&ep->lock)) {
        free(ep);
        return NULL;
    }
    ep->refs = 1;
    ep->keylog_fd = -1;
    ep->poll_pipe[0] = ep->poll_pipe[1] = -1;
    ep->own_thread = config->own_thread;
    ep->accepts = config->alpn_count > 0;
    ep->max_unclaimed = (size_t)config->max_incoming;
    ep->log = (logger){.level = config->log_level, .write = config->log, .user = config->log_user};
    list_init(&ep->conns);
    list_init(&ep->acceptable);
    list_init(&ep->incoming);
    list_init(&ep->waiters);
    list_init(&ep->fired);
    list_init(&ep->bells);
    list_init(&ep->followed);
    sessions_init(&ep->sessions);
    sessions_init(&ep->tokens);
    if (config->secret_key != NULL)
        ep->secret = *config->secret_key;
    else
        iroh_secret_key_generate(&ep->secret);
    iroh_secret_key_public(&ep->secret, &ep->id);
    ep->random = sys_entropy();
    relays_init(&ep->relays, ep->secret.bytes, &ep->random, &ep->log);
    paths_init(ep);
    return ep;
}

// Everything but the lock and the memory, which belong to the last reference.
static void dismantle(iroh_endpoint *ep) {
    reports_close(ep);
    relay_io_close(ep);
    paths_dispose(ep);
    quic_endpoint_free(ep->core);
    ep->core = NULL;
    for (size_t i = 0; i < ep->socket_count; i++)
        sys_watch_free(ep->sockets[i].watch);
    network_close(ep);
    sys_loop_free(ep->loop);
    ep->loop = NULL;
    for (size_t i = 0; i < ep->socket_count; i++)
        sys_udp_close(ep->sockets[i].udp);
    ep->socket_count = 0;
    blocks_dispose(&ep->rx);
    poll_close_pipe(ep->poll_pipe);
    free(ep->tx);
    ep->tx = NULL;
    sessions_dispose(&ep->sessions);
    sessions_dispose(&ep->tokens);
    diary_close(ep);
    free(ep->ca_file);
    free(ep->proxy);
    ep->ca_file = ep->proxy = NULL;
    wipe(&ep->secret, sizeof ep->secret);
}

int iroh_endpoint_bind(const iroh_endpoint_config *config, iroh_endpoint **out) {
    if (config == NULL || out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    int r = config_check(config);
    if (r != 0)
        return r;
    iroh_endpoint *ep = endpoint_new(config);
    if (ep == NULL)
        return IROH_ERR_NOMEM;
    r = open_sockets(ep, config);
    if (r == 0)
        r = online_configure(ep, config);
    if (r == 0)
        r = diary_open(ep, config);
    if (r == 0)
        r = make_core(ep, config);
    if (r == 0)
        r = driver_init(ep);
    if (r == 0)
        r = network_open(ep, config->network_monitor);
    if (r == 0)
        r = reports_open(ep, config);
    if (r == 0 && ep->own_thread)
        r = driver_start(ep);
    if (r != 0) {
        dismantle(ep);
        endpoint_enter(ep);
        endpoint_leave_for_good(ep);
        return r;
    }
    *out = ep;
    return 0;
}

// --- Ending

static void close_all(iroh_endpoint *ep) {
    if (ep->closed)
        return;
    ep->closed = true;
    ep->close_by = sys_now() + CLOSE_LIMIT;
    reports_stop(ep);
    quic_endpoint_close(ep->core, 0, NULL, 0, sys_now());
    driver_flush(ep);
    wait_fire(ep, &ep->waiters, (unsigned)WAIT_ANY);
}

static int64_t peers_know(void *arg) {
    iroh_endpoint *ep = arg;
    return quic_endpoint_unfinished(ep->core) == 0 || sys_now() >= ep->close_by ? 0 : IROH_ERR_AGAIN;
}

int iroh_endpoint_close(iroh_endpoint *ep, int timeout_ms) {
    if (ep == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    close_all(ep);
    uint64_t until = time_min(wait_until(timeout_ms), ep->close_by);
    int r = (int)wait_for(ep, &ep->waiters, WAIT_DRAINED, until, peers_know, ep);
    endpoint_leave(ep);
    return r;
}

// Handles that the program still has lose what they stand for.
static void orphan_handles(iroh_endpoint *ep) {
    for (list_link *l = ep->conns.next, *next; l != &ep->conns; l = next) {
        iroh_connection *c = list_entry(l, iroh_connection, all);
        next = l->next;
        paths_left(c);
        if (!c->claimed) {
            connection_drop(c);
            continue;
        }
        for (list_link *k = c->streams.next; k != &c->streams; k = k->next) {
            list_entry(k, iroh_stream, all)->core = NULL;
            wait_fire(ep, &list_entry(k, iroh_stream, all)->waiters, (unsigned)WAIT_ANY);
        }
        c->core = NULL;
        wait_fire(ep, &c->waiters, (unsigned)WAIT_ANY);
    }
    for (list_link *l = ep->incoming.next; l != &ep->incoming; l = l->next) {
        iroh_incoming *in = list_entry(l, iroh_incoming, all);
        quic_incoming_ignore(in->core);
        in->core = NULL;
    }
}

void iroh_endpoint_free(iroh_endpoint *ep) {
    if (ep == NULL)
        return;
    endpoint_enter(ep);
    close_all(ep);
    endpoint_leave(ep);
    if (ep->own_thread)
        driver_stop(ep);
    endpoint_enter(ep);
    endpoint_settle(ep);  // they use the loop
    orphan_handles(ep);
    dismantle(ep);
    endpoint_leave_for_good(ep);
}

// --- Information

static void copy_or_zero(void *out, const void *value, size_t size) {
    if (value != NULL)
        memcpy(out, value, size);
    else
        memset(out, 0, size);
}

iroh_public_key iroh_endpoint_id(const iroh_endpoint *ep) {
    iroh_public_key key;
    copy_or_zero(&key, ep != NULL ? &ep->id : NULL, sizeof key);
    return key;
}

iroh_secret_key iroh_endpoint_secret_key(const iroh_endpoint *ep) {
    iroh_secret_key key;
    copy_or_zero(&key, ep != NULL ? &ep->secret : NULL, sizeof key);
    return key;
}

int iroh_endpoint_addr(iroh_endpoint *ep, iroh_addr **out) {
    if (ep == NULL || out == NULL)
        return IROH_ERR_ARG;
    int r = iroh_addr_new(&ep->id, out);
    if (r != 0)
        return r;
    endpoint_enter(ep);
    r = direct_add(ep, *out);
    if (r == 0)
        r = online_add(ep, *out);
    endpoint_leave(ep);
    if (r != 0) {
        iroh_addr_free(*out);
        *out = NULL;
    }
    return r;
}

int iroh_endpoint_socket_count(const iroh_endpoint *ep) {
    return ep != NULL ? (int)ep->socket_count : IROH_ERR_ARG;
}

int iroh_endpoint_socket(const iroh_endpoint *ep, int i, char *out, size_t room) {
    char text[ADDR_TEXT_MAX];
    if (ep == NULL || out == NULL)
        return IROH_ERR_ARG;
    if (i < 0 || (size_t)i >= ep->socket_count)
        return IROH_ERR_RANGE;
    size_t len = addr_format(&ep->sockets[i].local, text);
    if (len >= room)
        return IROH_ERR_TOO_LARGE;
    memcpy(out, text, len + 1);
    return (int)len;
}

int iroh_endpoint_set_alpns(iroh_endpoint *ep, const iroh_slice *names, size_t count) {
    tls_alpn alpns[ALPNS_MAX];
    if (ep == NULL || config_alpns(names, count, alpns) != 0)
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    int r = quic_endpoint_set_alpns(ep->core, alpns, count);
    if (r == 0)
        ep->accepts = count > 0;
    endpoint_leave(ep);
    return r;
}

int iroh_endpoint_stats_get(iroh_endpoint *ep, iroh_endpoint_stats *out) {
    if (ep == NULL || out == NULL)
        return IROH_ERR_ARG;
    quic_endpoint_stats core;
    *out = (iroh_endpoint_stats){0};
    endpoint_enter(ep);
    quic_endpoint_stats_get(ep->core, &core);
    for (size_t i = 0; i < ep->socket_count; i++) {
        sys_udp_stats s;
        sys_udp_stats_get(ep->sockets[i].udp, &s);
        out->datagrams_sent += s.datagrams_out;
        out->datagrams_received += s.datagrams_in;
        out->bytes_sent += s.bytes_out;
        out->bytes_received += s.bytes_in;
        out->send_calls += s.send_calls;
        out->receive_calls += s.receive_calls;
    }
    out->relay_datagrams_sent = ep->relays.sent;
    out->relay_datagrams_received = ep->relays.received;
    out->relay_bytes_sent = ep->relays.bytes_sent;
    out->relay_bytes_received = ep->relays.bytes_received;
    out->home_relay_changes = ep->relays.home_changes;
    endpoint_leave(ep);
    out->datagrams_dropped = core.datagrams_dropped;
    out->connections = core.connections;
    out->handshakes = core.handshakes;
    return 0;
}

int iroh_endpoint_fd(iroh_endpoint *ep) {
    if (ep == NULL || ep->own_thread)
        return -1;
    endpoint_enter(ep);
    ep->foreign = true;
    driver_arm(ep);
    int fd = sys_loop_fd(ep->loop);
    endpoint_leave(ep);
    return fd;
}

int iroh_endpoint_process(iroh_endpoint *ep) {
    if (ep == NULL || ep->own_thread)
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    int r = driver_turn(ep, 0);
    if (r == 0 && ep->foreign)
        driver_arm(ep);
    endpoint_leave(ep);
    return r;
}
