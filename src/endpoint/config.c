// The program's settings: their defaults, what they may be, and the core's form of them.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "endpoint/state.h"
#include "quic/cc.h"
#include "sys/entropy.h"
#include "tls/tls.h"

static const struct {
    const char *name;
    const quic_cc_ops *ops;
} congestions[] = {
    {"cubic", &quic_cc_cubic},
    {"newreno", &quic_cc_newreno},
    {"bbr3", &quic_cc_bbr3},
};

static const quic_cc_ops *find_congestion(const char *name) {
    for (size_t i = 0; i < sizeof congestions / sizeof *congestions; i++) {
        if (strcmp(congestions[i].name, name) == 0)
            return congestions[i].ops;
    }
    return NULL;
}

void iroh_endpoint_config_default(iroh_endpoint_config *config) {
    quic_transport t;
    if (config == NULL)
        return;
    quic_transport_default(&t);
    *config = (iroh_endpoint_config){
        .own_thread = true,
        .congestion = congestions[0].name,
        .idle_timeout_ms = t.idle_timeout / NS_PER_MS,
        .keep_alive_ms = t.keep_alive / NS_PER_MS,
        .max_streams_bidi = t.streams_bidi,
        .max_streams_uni = t.streams_uni,
        .stream_window = t.stream_window,
        .connection_window = t.conn_window,
        .send_buffer = t.send_buffer,
        .max_incoming = 65536,
        .mtu_max = MTUD_MAX_JUMBO,
        .segmentation_offload = true,
        .network_monitor = true,
        .net_report = true,
        .https_probes = true,
        .captive_portal_check = true,
        .log_level = LOG_INFO,
    };
}

static bool suites_known(const uint16_t *suites, size_t count) {
    for (size_t i = 0; suites != NULL && i < count; i++) {
        if (suites[i] != IROH_AES_128_GCM && suites[i] != IROH_AES_256_GCM && suites[i] != IROH_CHACHA20_POLY1305)
            return false;
    }
    return count == 0 || suites != NULL;
}

static bool numbers_possible(const iroh_endpoint_config *c) {
    const uint64_t varints[] = {c->max_streams_bidi, c->max_streams_uni, c->stream_window, c->connection_window};
    for (size_t i = 0; i < sizeof varints / sizeof *varints; i++) {
        if (varints[i] > CODE_MAX)
            return false;
    }
    return c->idle_timeout_ms <= TIME_NEVER / NS_PER_S && c->keep_alive_ms <= TIME_NEVER / NS_PER_S &&
           c->send_buffer > 0 && c->max_incoming > 0 && c->mtu_max >= QUIC_MIN_INITIAL &&
           c->mtu_max <= QUIC_MAX_UDP_PAYLOAD;
}

// Also "HOST:PORT", as it is often found in the environment.
static bool proxy_known(const char *url) {
    static const char *const schemes[] = {"http", "https", "socks5", "socks5h", "socks4", "socks4a"};
    const char *mark = strstr(url, "://");
    for (size_t i = 0; mark != NULL && i < sizeof schemes / sizeof *schemes; i++) {
        if ((size_t)(mark - url) == strlen(schemes[i]) && strncasecmp(url, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    return mark == NULL && url[0] != '\0';
}

static const char *env_text(const char *name) {
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

const char *config_proxy(const iroh_endpoint_config *c) {
    static const char *const names[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"};
    const char *found = c->proxy;
    size_t first = getenv("REQUEST_METHOD") != NULL ? 1 : 0;
    for (size_t i = first; found == NULL && c->proxy_from_env && i < sizeof names / sizeof *names; i++)
        found = env_text(names[i]);
    return found;
}

bool config_quic_port_possible(int port) {
    return port >= IROH_NO_QUIC && port <= UINT16_MAX;
}

int config_check(const iroh_endpoint_config *c) {
    tls_alpn alpns[ALPNS_MAX];
    if (config_alpns(c->alpns, c->alpn_count, alpns) != 0)
        return IROH_ERR_ARG;
    if (c->bind_count > SOCKETS_MAX || (c->bind_count > 0 && c->bind == NULL))
        return IROH_ERR_ARG;
    if (c->direct_only && c->relay_only)
        return IROH_ERR_ARG;
    if (c->relay_count > IROH_RELAYS_MAX || (c->relay_count > 0 && (c->relays == NULL || c->direct_only)))
        return IROH_ERR_ARG;
    if (c->congestion != NULL && find_congestion(c->congestion) == NULL)
        return IROH_ERR_ARG;
    if (config_proxy(c) != NULL && !proxy_known(config_proxy(c)))
        return IROH_ERR_ARG;
    for (size_t i = 0; c->relay_quic_ports != NULL && i < c->relay_count; i++) {
        if (!config_quic_port_possible(c->relay_quic_ports[i]))
            return IROH_ERR_ARG;
    }
    return suites_known(c->cipher_suites, c->cipher_suite_count) && numbers_possible(c) ? 0 : IROH_ERR_ARG;
}

int config_alpns(const iroh_slice *names, size_t count, tls_alpn out[static ALPNS_MAX]) {
    if (count > ALPNS_MAX || (count > 0 && names == NULL))
        return IROH_ERR_ARG;
    for (size_t i = 0; i < count; i++) {
        if (names[i].data == NULL || names[i].len == 0 || names[i].len > UINT8_MAX)
            return IROH_ERR_ARG;
        out[i] = (tls_alpn){.name = names[i].data, .len = (uint8_t)names[i].len};
    }
    return 0;
}

void config_translate(const iroh_endpoint_config *c, quic_endpoint_config *out) {
    quic_endpoint_config_default(out);
    quic_transport *t = &out->transport;
    t->idle_timeout = c->idle_timeout_ms * NS_PER_MS;
    t->keep_alive = c->keep_alive_ms * NS_PER_MS;
    t->streams_bidi = c->max_streams_bidi;
    t->streams_uni = c->max_streams_uni;
    t->stream_window = c->stream_window;
    t->conn_window = c->connection_window;
    t->send_buffer = c->send_buffer;
    t->mtu_max = c->mtu_max;
    if (c->congestion != NULL)
        t->congestion = find_congestion(c->congestion);
    out->tls = &tls_gnutls;
    out->random = sys_entropy();
    out->suites = c->cipher_suite_count > 0 ? c->cipher_suites : NULL;
    out->suite_count = c->cipher_suite_count;
    out->incoming_max = c->max_incoming;
    out->wall_clock = sys_wall_clock() - sys_now();
}
