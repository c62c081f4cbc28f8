// Dialling: which addresses, which session to resume from, and the wait for the handshake.
#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"
#include "endpoint/state.h"

#define REMOTES_MAX 16  // addresses dialled at once; the others are not tried

void iroh_connect_options_default(iroh_connect_options *options) {
    if (options != NULL)
        *options = (iroh_connect_options){0};
}

static bool has_socket_for(const iroh_endpoint *ep, const addr *a) {
    for (size_t i = 0; i < ep->socket_count; i++) {
        if (ep->sockets[i].local.kind == a->kind)
            return true;
    }
    return false;
}

static bool can_reach(const iroh_endpoint *ep, const addr *a) {
    return a->port != 0 && !addr_is_unspecified(a) && !addr_is_multicast(a) && has_socket_for(ep, a);
}

// What the peer's address book entry is told: usable IP addresses, and relays unless they are unwanted.
static void learn(iroh_endpoint *ep, const iroh_addr *peer, endpoint_remote *p) {
    char text[IROH_RELAY_URL_SIZE];
    for (size_t i = 0; i < iroh_addr_count(peer); i++) {
        addr a = {0};
        int kind = iroh_addr_kind(peer, i), len = iroh_addr_text(peer, i, text, sizeof text);
        if (len < 0)
            continue;
        if (kind == IROH_ADDR_IP && addr_parse(&a, text, (size_t)len) == 0) {
            a = addr_canonical(&a);
            if (!can_reach(ep, &a))
                continue;
        } else if (kind == IROH_ADDR_RELAY && !ep->no_relays) {
            int number = relays_add(&ep->relays, text, (size_t)len, false, NULL, sys_now());
            if (number < 0)
                continue;
            a = relays_address(number, p->remote.id);
        }
        remote_learn(&p->remote, &a, sys_now());
    }
}

// With the lock held. Their number, IROH_ERR_NO_ADDRESS or IROH_ERR_NOMEM.
static int find_remotes(iroh_endpoint *ep, const iroh_addr *peer, addr out[static REMOTES_MAX]) {
    iroh_public_key key = iroh_addr_id(peer);
    endpoint_remote *p = paths_peer(ep, key.bytes);
    if (p == NULL)
        return IROH_ERR_NOMEM;
    learn(ep, peer, p);
    size_t count = remote_dial_addresses(&p->remote, out, REMOTES_MAX);
    return count > 0 ? (int)count : IROH_ERR_NO_ADDRESS;
}

static int offer(const void *alpn, size_t alpn_len, const iroh_connect_options *options,
                 tls_alpn out[static ALPNS_MAX + 1]) {
    const iroh_slice first = {alpn, alpn_len};
    int r = config_alpns(&first, 1, out);
    if (r == 0)
        r = config_alpns(options->more_alpns, options->more_alpn_count, out + 1);
    return r;
}

// Dials with what is kept of earlier connections to that peer.
static int dial_core(iroh_endpoint *ep, quic_connect_config *config, quic_conn **out) {
    uint8_t *session = sessions_take(&ep->sessions, config->peer_key, config->alpns[0].name, config->alpns[0].len,
                                     &config->session_len);
    uint8_t *token = sessions_take(&ep->tokens, config->peer_key, NULL, 0, &config->token_len);
    config->session = session;
    config->token = token;
    config->early = config->early && session != NULL;
    int r = quic_endpoint_connect(ep->core, config, sys_now(), out);
    if (session != NULL)
        wipe(session, config->session_len);
    free(session);
    free(token);
    return r;
}

// With the lock held.
static int dial(iroh_endpoint *ep, quic_connect_config *config, iroh_connection **out) {
    iroh_connection *c = connection_new(ep);
    if (c == NULL)
        return IROH_ERR_NOMEM;
    c->claimed = true;
    quic_conn *core = NULL;
    int r = dial_core(ep, config, &core);
    if (r != 0) {
        connection_drop(c);
        return r;
    }
    connection_attach(c, core);
    *out = c;
    return 0;
}

int iroh_endpoint_connect(iroh_endpoint *ep, const iroh_addr *peer, const void *alpn, size_t alpn_len,
                          const iroh_connect_options *options, int timeout_ms, iroh_connection **out) {
    static const iroh_connect_options defaults = {0};
    tls_alpn alpns[ALPNS_MAX + 1];
    addr remotes[REMOTES_MAX];
    if (out != NULL)
        *out = NULL;
    if (options == NULL)
        options = &defaults;
    if (ep == NULL || peer == NULL || out == NULL || offer(alpn, alpn_len, options, alpns) != 0)
        return IROH_ERR_ARG;
    iroh_public_key key = iroh_addr_id(peer);
    if (memcmp(key.bytes, ep->id.bytes, sizeof key.bytes) == 0)
        return IROH_ERR_SELF;
    quic_connect_config config = {
        .remotes = remotes,
        .peer_key = key.bytes,
        .alpns = alpns,
        .alpn_count = 1 + options->more_alpn_count,
        .early = options->early,
    };
    endpoint_enter(ep);
    iroh_connection *c = NULL;
    int r = find_remotes(ep, peer, remotes);
    if (r > 0) {
        config.remote_count = (size_t)r;
        r = dial(ep, &config, &c);
    }
    if (r == 0) {
        driver_push(ep, c->core, 0, true);
        r = connection_finish_dial(c, wait_until(timeout_ms));
        if (r == 0)
            *out = c;
    }
    endpoint_leave(ep);
    return r;
}
