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

static size_t find_remotes(const iroh_endpoint *ep, const iroh_addr *peer, addr out[static REMOTES_MAX]) {
    char text[ADDR_TEXT_MAX];
    size_t found = 0;
    for (size_t i = 0; i < iroh_addr_count(peer) && found < REMOTES_MAX; i++) {
        addr a;
        if (iroh_addr_kind(peer, i) != IROH_ADDR_IP)
            continue;
        int len = iroh_addr_text(peer, i, text, sizeof text);
        if (len < 0 || addr_parse(&a, text, (size_t)len) != 0)
            continue;
        a = addr_canonical(&a);
        if (a.port != 0 && !addr_is_unspecified(&a) && !addr_is_multicast(&a) && has_socket_for(ep, &a))
            out[found++] = a;
    }
    return found;
}

static int offer(const void *alpn, size_t alpn_len, const iroh_connect_options *options,
                 tls_alpn out[static ALPNS_MAX + 1]) {
    const iroh_slice first = {alpn, alpn_len};
    int r = config_alpns(&first, 1, out);
    if (r == 0)
        r = config_alpns(options->more_alpns, options->more_alpn_count, out + 1);
    return r;
}

// With the lock held.
static int dial(iroh_endpoint *ep, quic_connect_config *config, iroh_connection **out) {
    iroh_connection *c = connection_new(ep);
    if (c == NULL)
        return IROH_ERR_NOMEM;
    c->claimed = true;
    quic_conn *core;
    size_t len = 0;
    uint8_t *session =
        sessions_take(&ep->sessions, config->peer_key, config->alpns[0].name, config->alpns[0].len, &len);
    config->session = session;
    config->session_len = len;
    config->early = config->early && session != NULL;
    int r = quic_endpoint_connect(ep->core, config, sys_now(), &core);
    if (session != NULL)
        wipe(session, len);
    free(session);
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
        .remote_count = find_remotes(ep, peer, remotes),
        .peer_key = key.bytes,
        .alpns = alpns,
        .alpn_count = 1 + options->more_alpn_count,
        .early = options->early,
    };
    if (config.remote_count == 0)
        return IROH_ERR_NO_ADDRESS;
    endpoint_enter(ep);
    iroh_connection *c;
    int r = dial(ep, &config, &c);
    if (r == 0) {
        driver_push(ep, c->core, 0, true);
        r = connection_finish_dial(c, wait_until(timeout_ms));
        if (r == 0)
            *out = c;
    }
    endpoint_leave(ep);
    return r;
}
