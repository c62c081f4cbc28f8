// What is one for all threads: the configuration, the sockets, the certificate, and the sums of what each has counted.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "relay_server/state.h"

#define FILE_MAX (1 << 20)        // bytes of a certificate or key file
#define DESCRIPTORS_SPARE 128     // that are no connections
#define CONNECTIONS_DEFAULT 4096  // when the number of descriptors is not known

// --- Configuration: a copy

static bool copy_text(const char **text) {
    if (*text == NULL)
        return true;
    *text = strdup(*text);
    return *text != NULL;
}

// Texts of the caller's that were not copied yet must not be freed: they are cleared first.
static int copy_config(iroh_relay *r, const iroh_relay_config *config) {
    const char **texts[] = {&r->config.http_bind,    &r->config.https_bind,       &r->config.quic_bind,
                            &r->config.metrics_bind, &r->config.certificate_path, &r->config.key_path,
                            &r->config.callback_url, &r->config.callback_bearer};
    bool good = true;
    r->config = *config;
    r->config.ids = NULL;
    r->config.tokens = NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!good)
            *texts[i] = NULL;
        good = good && copy_text(texts[i]);
    }
    return good ? 0 : IROH_ERR_NOMEM;
}

static void free_config(iroh_relay_config *c) {
    const char *texts[] = {c->http_bind,        c->https_bind, c->quic_bind,    c->metrics_bind,
                           c->certificate_path, c->key_path,   c->callback_url, c->callback_bearer};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free((char *)(uintptr_t)texts[i]);
}

static int access_mode(int access) {
    static const int modes[] = {
        [IROH_RELAY_EVERYONE] = RELAY_ACCESS_EVERYONE, [IROH_RELAY_ALLOWLIST] = RELAY_ACCESS_ALLOWLIST,
        [IROH_RELAY_DENYLIST] = RELAY_ACCESS_DENYLIST, [IROH_RELAY_TOKENS] = RELAY_ACCESS_TOKENS,
        [IROH_RELAY_CALLBACK] = RELAY_ACCESS_ASK,
    };
    return access >= 0 && access < (int)(sizeof modes / sizeof modes[0]) ? modes[access] : -1;
}

static int set_access(iroh_relay *r, const iroh_relay_config *config) {
    int mode = access_mode(config->access), result = 0;
    if (mode < 0 || (mode == RELAY_ACCESS_ASK && config->callback_url == NULL))
        return IROH_ERR_ARG;
    relay_access_init(&r->access, mode);
    for (size_t i = 0; i < config->id_count && result == 0; i++)
        result = relay_access_add_id(&r->access, config->ids[i].bytes);
    for (size_t i = 0; i < config->token_count && result == 0; i++)
        result = relay_access_add_token(&r->access, config->tokens[i], strlen(config->tokens[i]));
    return result == 0 ? relay_access_seal(&r->access) : result;
}

// --- Certificates

// The content of a file, which the caller frees; null with errno set.
static uint8_t *read_file(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return NULL;
    uint8_t *bytes = malloc(FILE_MAX);
    if (bytes != NULL) {
        *len = fread(bytes, 1, FILE_MAX, f);
        bool good = !ferror(f) && *len < FILE_MAX;
        if (!good) {
            errno = ferror(f) ? EIO : EFBIG;
            free(bytes);
            bytes = NULL;
        }
    }
    (void)fclose(f);
    return bytes;
}

static void free_file(uint8_t *bytes, size_t len) {
    if (bytes != NULL)
        wipe(bytes, len);
    free(bytes);
}

static int read_certificate(const iroh_relay *r, web_certificate **out) {
    const iroh_relay_config *c = &r->config;
    size_t chain_len = 0, key_len = 0;
    uint8_t *chain = read_file(c->certificate_path, &chain_len);
    uint8_t *key = chain != NULL ? read_file(c->key_path, &key_len) : NULL;
    int result = key != NULL ? 0 : errno == ENOMEM ? IROH_ERR_NOMEM : IROH_ERR_IO;
    if (result != 0)
        log_line(&r->log, LOG_ERROR, "cannot read %s: %s", chain == NULL ? c->certificate_path : c->key_path,
                 strerror(errno));
    if (result == 0 && (result = web_certificate_new(chain, chain_len, key, key_len, out)) != 0)
        log_line(&r->log, LOG_ERROR, "cannot use the certificate %s with the key %s: %s", c->certificate_path,
                 c->key_path, iroh_strerror(result));
    free_file(chain, chain_len);
    free_file(key, key_len);
    return result;
}

static bool wants_certificate(const iroh_relay_config *c) {
    return c->https_bind != NULL || c->quic_bind != NULL;
}

static int load_certificate(iroh_relay *r) {
    if (!wants_certificate(&r->config))
        return 0;
    if (r->config.certificate_path == NULL || r->config.key_path == NULL)
        return IROH_ERR_ARG;
    return read_certificate(r, &r->certificate);
}

static int spread_certificate(iroh_relay *r) {
    for (uint32_t i = 0; i < r->loop_count; i++) {
        letter_certificate *mail = malloc(sizeof *mail);
        if (mail == NULL)
            return IROH_ERR_NOMEM;
        mail->letter.kind = LETTER_CERTIFICATE;
        mail->certificate = web_certificate_ref(r->certificate);
        mailbox_push(&r->loops[i]->mailbox, &mail->letter);
    }
    return 0;
}

int iroh_relay_reload(iroh_relay *r) {
    web_certificate *fresh;
    if (!wants_certificate(&r->config))
        return 0;
    uv_mutex_lock(&r->reload_lock);
    int result = read_certificate(r, &fresh);
    if (result == 0) {
        web_certificate_unref(r->certificate);
        r->certificate = fresh;
        result = spread_certificate(r);
    }
    uv_mutex_unlock(&r->reload_lock);
    if (result == 0)
        log_line(&r->log, LOG_INFO, "read the certificate %s again", r->config.certificate_path);
    return result;
}

// --- Listening

static int bind_error(const iroh_relay *r, const char *text, int error) {
    log_line(&r->log, LOG_ERROR, "cannot listen on %s: %s", text,
             error == IROH_ERR_BIND ? strerror(errno) : iroh_strerror(error));
    return error;
}

// One socket for each of the first `count` loops. An exclusive socket comes first, to find out whether somebody else has
// the address: sharing would let another server have a part of the clients.
static int open_listener(iroh_relay *r, int which, const char *text, int serves, bool tls, uint32_t count) {
    addr *bound = &r->bound[which];
    if (text == NULL)
        return 0;
    if (addr_parse(bound, text, strlen(text)) != 0) {
        log_line(&r->log, LOG_ERROR, "%s is no address with a port", text);
        return IROH_ERR_ARG;
    }
    addr local;
    int probe = sys_tcp_listen(bound, false, &local);
    if (probe < 0)
        return bind_error(r, text, probe);
    uint16_t port = local.port;
    if (count > 1)
        sys_tcp_close(probe);
    bound->port = port;
    for (uint32_t i = 0; i < count; i++) {
        int fd = count > 1 ? sys_tcp_listen(bound, true, &local) : probe;
        if (fd < 0)
            return bind_error(r, text, fd);
        listener *l = &r->loops[i]->listeners[which];
        l->fd = fd;
        l->tls = tls;
        l->serves = serves;
    }
    *bound = local;
    (void)addr_format(bound, r->texts[which]);
    log_line(&r->log, LOG_INFO, "listening on %s%s", r->texts[which],
             which == LISTEN_METRICS ? " for metrics"
             : tls                   ? " with TLS"
                                     : "");
    return 0;
}

static int open_discovery(iroh_relay *r) {
    const char *text = r->config.quic_bind;
    addr bind;
    if (text == NULL)
        return 0;
    if (addr_parse(&bind, text, strlen(text)) != 0) {
        log_line(&r->log, LOG_ERROR, "%s is no address with a port", text);
        return IROH_ERR_ARG;
    }
    int result = qad_new(r->loops[0], &bind, &r->quic_bound, &r->loops[0]->qad);
    if (result != 0)
        return bind_error(r, text, result);
    (void)addr_format(&r->quic_bound, r->texts[LISTENERS]);
    log_line(&r->log, LOG_INFO, "listening on %s for address discovery", r->texts[LISTENERS]);
    return 0;
}

static int open_listeners(iroh_relay *r) {
    const iroh_relay_config *c = &r->config;
    int serves = c->https_bind != NULL ? SERVES_CAPTIVE : SERVES_ALL;
    int result = open_listener(r, LISTEN_HTTP, c->http_bind, serves, false, r->loop_count);
    if (result == 0)
        result = open_listener(r, LISTEN_HTTPS, c->https_bind, SERVES_ALL, true, r->loop_count);
    if (result == 0)
        result = open_listener(r, LISTEN_METRICS, c->metrics_bind, SERVES_METRICS, false, 1);
    return result == 0 ? open_discovery(r) : result;
}

// --- Start and stop

static uint32_t threads_wanted(const iroh_relay_config *c) {
    unsigned count = c->threads != 0 ? c->threads : uv_available_parallelism();
    return count < SERVER_THREADS_MAX ? count : SERVER_THREADS_MAX;
}

static void set_limits(iroh_relay *r) {
    size_t descriptors = sys_tcp_raise_limit();
    size_t most = descriptors > 2 * DESCRIPTORS_SPARE ? descriptors - DESCRIPTORS_SPARE : CONNECTIONS_DEFAULT;
    if (r->config.connections_max != 0 && r->config.connections_max < most)
        most = r->config.connections_max;
    r->conns_per_loop = (most + r->loop_count - 1) / r->loop_count;
}

// Each loop has its share; in thousandths, for rates below one a second.
static void set_accept_rate(const iroh_relay *r, relay_loop *l) {
    double rate = r->config.accepts_per_second / r->loop_count * ACCEPT_COST;
    double burst = (double)r->config.accept_burst / r->loop_count * ACCEPT_COST;
    if (rate <= 0)
        return;
    burst = burst > 0 ? burst : rate;
    bucket_init(&l->accepts, rate < 1 ? 1 : (uint64_t)rate, burst < ACCEPT_COST ? ACCEPT_COST : (uint64_t)burst,
                sys_now());
}

static uint64_t reload_time(const iroh_relay *r) {
    uint32_t seconds = r->config.certificate_reload;
    return seconds != 0 && r->certificate != NULL ? time_add(sys_now(), seconds * NS_PER_S) : TIME_NEVER;
}

// On the thread of the first loop. Two small files every day are no reason for a thread of their own.
void server_reload_due(iroh_relay *r) {
    (void)iroh_relay_reload(r);
    r->loops[0]->reload_at = reload_time(r);
}

static int make_loops(iroh_relay *r) {
    r->loops = calloc(r->loop_count, sizeof(relay_loop *));
    if (r->loops == NULL)
        return IROH_ERR_NOMEM;
    for (uint32_t i = 0; i < r->loop_count; i++) {
        int result = loop_new(r, i, &r->loops[i]);
        if (result != 0)
            return result;
        set_accept_rate(r, r->loops[i]);
        r->loops[i]->reload_at = i == 0 ? reload_time(r) : TIME_NEVER;
        if (r->certificate != NULL)
            r->loops[i]->certificate = web_certificate_ref(r->certificate);
    }
    return 0;
}

static int start_loops(iroh_relay *r) {
    int result = 0;
    if (r->config.access == IROH_RELAY_CALLBACK)
        result = callback_new(r, &r->callback);
    for (uint32_t i = 0; i < r->loop_count && result == 0; i++)
        result = loop_start(r->loops[i]);
    return result;
}

static int start(iroh_relay *r, const iroh_relay_config *config) {
    int result = copy_config(r, config);
    if (result == 0)
        result = set_access(r, config);
    if (result == 0)
        result = load_certificate(r);
    if (result == 0)
        result = make_loops(r);
    if (result == 0)
        result = open_listeners(r);
    if (result != 0)
        return result;
    set_limits(r);
    return start_loops(r);
}

int iroh_relay_start(const iroh_relay_config *config, iroh_relay **out) {
    iroh_relay *r = calloc(1, sizeof *r);
    if (r == NULL)
        return IROH_ERR_NOMEM;
    if (uv_mutex_init(&r->reload_lock) != 0) {
        free(r);
        return IROH_ERR_NOMEM;
    }
    r->loop_count = threads_wanted(config);
    r->log = (logger){.level = config->log_level, .write = config->log, .user = config->log_user};
    r->started = sys_now();
    int result = start(r, config);
    if (result != 0) {
        iroh_relay_stop(r);
        return result;
    }
    *out = r;
    return 0;
}

static void stop_loops(iroh_relay *r) {
    for (uint32_t i = 0; i < r->loop_count && r->loops[i] != NULL; i++) {
        relay_loop *l = r->loops[i];
        if (!l->running)
            continue;
        l->stop_letter.kind = LETTER_STOP;
        mailbox_push(&l->mailbox, &l->stop_letter);
    }
    for (uint32_t i = 0; i < r->loop_count && r->loops[i] != NULL; i++) {
        if (r->loops[i]->running)
            (void)uv_thread_join(&r->loops[i]->thread);
    }
}

void iroh_relay_stop(iroh_relay *r) {
    if (r == NULL)
        return;
    if (r->loops != NULL) {
        stop_loops(r);
        callback_free(r->callback);
        for (uint32_t i = 0; i < r->loop_count; i++)
            loop_free(r->loops[i]);
    }
    free(r->loops);
    relay_access_dispose(&r->access);
    web_certificate_unref(r->certificate);
    free_config(&r->config);
    uv_mutex_destroy(&r->reload_lock);
    free(r);
}

// --- What others want to know

static const char *address_of(const iroh_relay *r, int which) {
    return r->texts[which][0] != '\0' ? r->texts[which] : NULL;
}

const char *iroh_relay_http_address(const iroh_relay *r) {
    return address_of(r, LISTEN_HTTP);
}

const char *iroh_relay_https_address(const iroh_relay *r) {
    return address_of(r, LISTEN_HTTPS);
}

const char *iroh_relay_metrics_address(const iroh_relay *r) {
    return address_of(r, LISTEN_METRICS);
}

const char *iroh_relay_quic_address(const iroh_relay *r) {
    return address_of(r, LISTENERS);
}

static uint64_t sum(const iroh_relay *r, size_t at) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < r->loop_count; i++)
        total += atomic_load_explicit(&r->loops[i]->shown[at], memory_order_relaxed);
    return total;
}

uint64_t server_count(const iroh_relay *r, size_t counter) {
    return sum(r, counter);
}

void server_hub_counters(const iroh_relay *r, relay_counters *out) {
    uint64_t counters[HUB_COUNTERS];
    for (size_t i = 0; i < HUB_COUNTERS; i++)
        counters[i] = sum(r, COUNTERS + i);
    memcpy(out, counters, sizeof *out);
}

void iroh_relay_stats_get(const iroh_relay *r, iroh_relay_stats *out) {
    relay_counters hubs;
    server_hub_counters(r, &hubs);
    *out = (iroh_relay_stats){
        .uptime_ms = (sys_now() - r->started) / NS_PER_MS,
        .accepts = hubs.accepts,
        .datagrams_in = hubs.send_packets_recv,
        .datagrams_out = hubs.send_packets_sent,
        .datagrams_dropped = hubs.send_packets_dropped,
        .bytes_in = hubs.bytes_recv,
        .bytes_out = hubs.bytes_sent,
    };
    for (uint32_t i = 0; i < r->loop_count; i++) {
        out->connections += atomic_load_explicit(&r->loops[i]->shown_conns, memory_order_relaxed);
        out->clients += atomic_load_explicit(&r->loops[i]->shown_clients, memory_order_relaxed);
    }
}
