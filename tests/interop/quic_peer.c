#include "quic_peer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "crypto/ed25519.h"
#include "sys/entropy.h"
#include "sys/loop.h"

enum { LINES_MAX = 4096, RECEIVE_BATCHES = 16 };

// --- Sockets

static bool is_deaf(const quic_peer *p, const addr *local, const addr *remote) {
    for (size_t i = 0; i < p->deaf_count; i++) {
        if (addr_equal(&p->deaf[i], local) || addr_equal(&p->deaf[i], remote))
            return true;
    }
    return false;
}

static int open_sockets(quic_peer *p, bool fresh_ports) {
    for (size_t i = 0; i < p->args.bind_count; i++) {
        addr at = p->args.binds[i];
        if (fresh_ports)
            at.port = 0;
        qp_socket *s = &p->sockets[i];
        int r = sys_udp_open(&at, true, &s->udp);
        if (r != 0)
            return r;
        s->local = sys_udp_local(s->udp);
        s->wildcard = addr_is_unspecified(&s->local);
        p->socket_count = i + 1;
    }
    return 0;
}

static void close_sockets(quic_peer *p) {
    for (size_t i = 0; i < p->socket_count; i++)
        sys_udp_close(p->sockets[i].udp);
    p->socket_count = 0;
}

int quic_peer_rebind(quic_peer *p) {
    close_sockets(p);
    return open_sockets(p, true);
}

// The socket with the address to send from, else one of the family.
static qp_socket *socket_for(quic_peer *p, const quic_transmit *t) {
    qp_socket *found = NULL;
    for (size_t i = 0; i < p->socket_count; i++) {
        qp_socket *s = &p->sockets[i];
        if (s->local.kind != t->remote.kind)
            continue;
        if (found == NULL || addr_equal(&s->local, &t->local))
            found = s;
    }
    return found;
}

static void send_batch(quic_peer *p, const quic_transmit *t) {
    qp_socket *s = socket_for(p, t);
    if (s == NULL || is_deaf(p, &t->local, &t->remote))
        return;
    sys_udp_batch b = {.remote = t->remote, .len = t->len, .segment = t->segment, .ecn = t->ecn};
    if (s->wildcard)
        b.local = t->local;
    const uint8_t *bytes = p->tx;
    size_t sent = 0;
    while (sys_udp_send(s->udp, bytes, &b, &sent) == IROH_ERR_AGAIN && sent < b.len) {
        bytes += sent;
        b.len -= sent;
        struct pollfd full = {.fd = sys_udp_fd(s->udp), .events = POLLOUT};
        (void)poll(&full, 1, 100);
    }
}

static void send_all(quic_peer *p) {
    quic_transmit t;
    while (quic_endpoint_transmit(p->core, sys_now(), p->tx, SYS_UDP_BATCH, SYS_UDP_SEGMENTS_MAX, &t))
        send_batch(p, &t);
}

static void receive_batch(quic_peer *p, const qp_socket *s, const sys_udp_batch *b) {
    quic_datagram d = {.remote = b->remote, .local = b->local, .ecn = b->ecn};
    if (d.local.kind == ADDR_NONE && !s->wildcard)
        d.local = s->local;
    if (is_deaf(p, &d.local, &d.remote))
        return;
    size_t segment = b->segment > 0 ? b->segment : b->len;
    for (size_t at = 0; at < b->len; at += segment) {
        d.bytes = p->rx + at;
        d.len = b->len - at < segment ? b->len - at : segment;
        quic_endpoint_receive(p->core, &d, sys_now());
    }
}

static void receive_all(quic_peer *p) {
    sys_udp_batch b;
    for (size_t i = 0; i < p->socket_count; i++) {
        for (int k = 0; k < RECEIVE_BATCHES && sys_udp_receive(p->sockets[i].udp, p->rx, &b) == 0; k++)
            receive_batch(p, &p->sockets[i], &b);
    }
}

// --- Standard input

static void read_lines(quic_peer *p) {
    static char text[LINES_MAX];
    static size_t have;
    ssize_t n = read(STDIN_FILENO, text + have, sizeof text - have);
    if (n <= 0) {
        p->ended = true;
        return;
    }
    have += (size_t)n;
    char *end;
    while ((end = memchr(text, '\n', have)) != NULL) {
        *end++ = 0;
        quic_peer_obey(p, text);
        have -= (size_t)(end - text);
        memmove(text, end, have);
    }
}

// --- The loop

static void turn(quic_peer *p, uint64_t until) {
    struct pollfd fds[QP_SOCKETS_MAX + 1];
    size_t n = 0;
    for (; n < p->socket_count; n++)
        fds[n] = (struct pollfd){.fd = sys_udp_fd(p->sockets[n].udp), .events = POLLIN};
    fds[n] = (struct pollfd){.fd = p->ended ? -1 : STDIN_FILENO, .events = POLLIN};
    uint64_t now = sys_now();
    uint64_t at = time_min(quic_endpoint_deadline(p->core), until);
    uint64_t wait = at > now ? at - now : 0;
    // Rounded down: pacing must not wait for a whole millisecond, rather turn in vain.
    (void)poll(fds, n + 1, (int)(wait / NS_PER_MS));
    receive_all(p);
    quic_endpoint_timeout(p->core, sys_now());
    quic_peer_events(p);
    if ((fds[n].revents & (POLLIN | POLLHUP)) != 0)
        read_lines(p);
    send_all(p);
    quic_peer_events(p);
}

static void run(quic_peer *p) {
    uint64_t end = sys_now() + p->args.limit;
    while (!p->ended && sys_now() < end)
        turn(p, end);
    p->ended = true;
    quic_endpoint_close(p->core, 0, (const uint8_t *)"done", 4, sys_now());
    for (end = sys_now() + 2 * NS_PER_S; quic_endpoint_unfinished(p->core) > 0 && sys_now() < end;)
        turn(p, end);
}

// --- Beginning

static int make_endpoint(quic_peer *p) {
    static const tls_alpn alpn = {(const uint8_t *)"interop/echo/0", 14};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    config.tls = &tls_gnutls;
    config.random = sys_entropy();
    config.wall_clock = sys_wall_clock() - sys_now();
    if (p->args.secret == NULL)
        ed25519_generate(config.identity.seed);
    else if (!peer_unhex(p->args.secret, config.identity.seed))
        return IROH_ERR_SYNTAX;
    ed25519_public(config.identity.seed, config.identity.public_key);
    config.alpns = &alpn;
    config.alpn_count = p->args.serving ? 1 : 0;
    quic_transport *t = &config.transport;
    t->send_observed = t->receive_observed = p->args.observe;
    t->send_new_tokens = p->args.tokens;
    t->path_idle_timeout = p->args.path_idle;
    t->path_keep_alive = time_min(t->path_keep_alive, p->args.path_idle / 3);
    char id[65];
    peer_hex(config.identity.public_key, id);
    printf("{\"id\": \"%s\", \"addrs\": [", id);
    return quic_endpoint_new(&config, &p->core);
}

static void announce(const quic_peer *p) {
    const char *comma = "";
    for (size_t i = 0; i < p->args.host_count; i++, comma = ", ")
        printf("%s\"%s:%u\"", comma, p->args.hosts[i], (unsigned)p->sockets[0].local.port);
    for (size_t i = 0; p->args.host_count == 0 && i < p->socket_count; i++, comma = ", ") {
        char text[ADDR_TEXT_MAX];
        addr_format(&p->sockets[i].local, text);
        printf("%s\"%s\"", comma, text);
    }
    printf("]}\n");
}

static bool flag(qp_args *a, const char *word) {
    if (strcmp(word, "--retry") == 0)
        return a->retry = true;
    if (strcmp(word, "--observe") == 0)
        return a->observe = true;
    if (strcmp(word, "--tokens") == 0)
        return a->tokens = true;
    return false;
}

static bool option(qp_args *a, const char *word, const char *value) {
    if (strcmp(word, "--secret") == 0)
        a->secret = value;
    else if (strcmp(word, "--id") == 0)
        a->id = value;
    else if (strcmp(word, "--host") == 0 && a->host_count < QP_HOSTS_MAX)
        a->hosts[a->host_count++] = value;
    else if (strcmp(word, "--bind") == 0 && a->bind_count < QP_SOCKETS_MAX)
        return addr_parse(&a->binds[a->bind_count++], value, strlen(value)) == 0;
    else if (strcmp(word, "--addr") == 0)
        return a->remote.kind != ADDR_NONE || addr_parse(&a->remote, value, strlen(value)) == 0;
    else if (strcmp(word, "--path-idle") == 0)
        a->path_idle = strtoull(value, NULL, 10) * NS_PER_MS;
    else if (strcmp(word, "--for") == 0)
        a->limit = strtoull(value, NULL, 10) * NS_PER_S;
    else
        return false;
    return true;
}

static bool args_parse(qp_args *a, char **words, int count) {
    *a = (qp_args){.path_idle = 15 * NS_PER_S, .limit = 120 * NS_PER_S};
    if (count < 1 || (strcmp(words[0], "serve") != 0 && strcmp(words[0], "client") != 0))
        return false;
    a->serving = words[0][0] == 's';
    for (int i = 1; i < count; i++) {
        if (flag(a, words[i]))
            continue;
        if (i + 1 == count || !option(a, words[i], words[i + 1]))
            return false;
        i++;
    }
    if (a->bind_count == 0)
        a->binds[a->bind_count++] = addr_ip4((const uint8_t[]){127, 0, 0, 1}, 0);
    return true;
}

int main(int argc, char **argv) {
    quic_peer p = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!args_parse(&p.args, argv + 1, argc - 1) || (p.args.id != NULL && !peer_unhex(p.args.id, p.peer_key))) {
        fprintf(stderr, "usage: interop_quic_peer serve|client ... (see tests/interop/README.md)\n");
        return 2;
    }
    list_init(&p.transfers);
    pattern_init(&p.data);
    p.rx = malloc(SYS_UDP_BATCH);
    p.tx = malloc(SYS_UDP_BATCH);
    int r = p.rx == NULL || p.tx == NULL ? IROH_ERR_NOMEM : open_sockets(&p, false);
    if (r == 0)
        r = make_endpoint(&p);
    if (r == 0) {
        announce(&p);
        run(&p);
    } else {
        fprintf(stderr, "interop_quic_peer: %s\n", iroh_strerror(r));
    }
    quic_endpoint_free(p.core);
    close_sockets(&p);
    free(p.session);
    free(p.token);
    free(p.rx);
    free(p.tx);
    return r == 0 ? 0 : 1;
}
