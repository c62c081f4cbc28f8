#include "net/qad.h"

#include <string.h>

#include <iroh/error.h>

#define ALPN "/iroh-qad/0"
#define CLOSE_CODE 1
#define CLOSE_REASON "finished"
#define INITIAL_RTT (111 * NS_PER_MS)
#define KEEP_ALIVE (25 * NS_PER_S)
#define IDLE_TIMEOUT (35 * NS_PER_S)

// As certificates name it. 0, or IROH_ERR_TOO_LARGE.
static int name_of(const char *host, size_t len, char out[static QAD_HOST_MAX]) {
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (len > 1 && host[len - 1] == '.') {
        len--;
    }
    if (len >= QAD_HOST_MAX)
        return IROH_ERR_TOO_LARGE;
    memcpy(out, host, len);
    out[len] = '\0';
    return 0;
}

static void set_transport(quic_transport *t) {
    quic_transport_default(t);
    t->idle_timeout = IDLE_TIMEOUT;
    t->keep_alive = KEEP_ALIVE;
    t->initial_rtt = INITIAL_RTT;
    t->mtu_max = QUIC_MIN_INITIAL;  // nothing large is ever sent
    t->streams_bidi = t->streams_uni = 0;
    t->datagrams = false;
    t->paths = 0;
    t->nat_candidates = 0;
    t->send_observed = false;
    t->receive_observed = true;
    t->errand = true;
}

int qad_connect(quic_endpoint *ep, struct web_roots *roots, const char *host, size_t host_len, const addr *relay,
                uint64_t now, quic_conn **out) {
    static const tls_alpn alpn = {.name = (const uint8_t *)ALPN, .len = sizeof ALPN - 1};
    char name[QAD_HOST_MAX];
    quic_transport transport;
    int r = name_of(host, host_len, name);
    if (r != 0)
        return r;
    if (!addr_is_ip(relay))
        return IROH_ERR_ARG;
    set_transport(&transport);
    const quic_connect_config config = {
        .remotes = relay,
        .remote_count = 1,
        .roots = roots,
        .server_name = name,
        .transport = &transport,
        .alpns = &alpn,
        .alpn_count = 1,
    };
    return quic_endpoint_connect(ep, &config, now, out);
}

bool qad_observed(quic_conn *c, addr *out) {
    quic_path_event event;
    bool told = false;
    while (quic_conn_next_path_event(c, &event)) {
        if (event.kind != PATH_EVENT_OBSERVED)
            continue;
        *out = addr_canonical(&event.address);
        told = true;
    }
    return told;
}

uint64_t qad_rtt(const quic_conn *c) {
    quic_conn_stats stats;
    quic_conn_stats_get(c, &stats);
    return stats.rtt.sampled ? stats.rtt.smoothed : 0;
}

void qad_close(quic_conn *c, uint64_t now) {
    quic_conn_close(c, CLOSE_CODE, (const uint8_t *)CLOSE_REASON, sizeof CLOSE_REASON - 1, now);
}
