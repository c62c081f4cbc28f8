// Relays as the program sees them: which ones it wants, and how the home relay is.
#include <stdlib.h>
#include <string.h>

#include "endpoint/state.h"
#include "net/qad.h"

// The public relays of the makers of iroh, by the name of the set. The dot at the end is part of the URL.
static const struct {
    const char *set, *url;
} presets[] = {
    {"default", "https://use1-1.relay.n0.iroh.link./"},
    {"default", "https://usw1-1.relay.n0.iroh.link./"},
    {"default", "https://euc1-1.relay.n0.iroh.link./"},
    {"default", "https://aps1-1.relay.n0.iroh.link./"},
    {"staging", "https://use1-1.staging-relay.n0.iroh.link./"},
    {"staging", "https://euc1-1.staging-relay.n0.iroh.link./"},
};

static int add(iroh_endpoint *ep, const char *url, const char *token, int quic_port) {
    int number = relays_add(&ep->relays, url, strlen(url), true, token, sys_now());
    if (number < 0)
        return number;
    ep->relays.list[number]->quic_port = quic_port == 0              ? QAD_PORT
                                         : quic_port == IROH_NO_QUIC ? 0
                                                                     : (uint16_t)quic_port;
    return 0;
}

// A name adds its whole set.
static int add_relay(iroh_endpoint *ep, const char *name, const char *token, int quic_port) {
    bool known = false;
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(presets[i].set, name) != 0)
            continue;
        known = true;
        r = add(ep, presets[i].url, token, quic_port);
    }
    return known ? r : add(ep, name, token, quic_port);
}

static int copy_text(const char *text, char **out) {
    if (text != NULL)
        *out = strdup(text);
    return text != NULL && *out == NULL ? IROH_ERR_NOMEM : 0;
}

void online_leave_removed_home(iroh_endpoint *ep) {
    int all[RELAYS_MAX];
    const net_relay *home = relays_home(&ep->relays);
    if (home != NULL && !home->configured && relays_configured(&ep->relays, all) > 0)
        relays_prefer(&ep->relays, all[0], sys_now());
}

// Nobody needs to measure who is the nearest of one.
static void take_only_choice(iroh_endpoint *ep) {
    int all[RELAYS_MAX];
    if (relays_configured(&ep->relays, all) == 1)
        relays_prefer(&ep->relays, all[0], sys_now());
}

int online_configure(iroh_endpoint *ep, const iroh_endpoint_config *config) {
    ep->no_relays = config->direct_only;
    if (config->net_report)
        relays_await(&ep->relays);
    int r = copy_text(config->ca_file, &ep->ca_file);
    if (r == 0)
        r = copy_text(config_proxy(config), &ep->proxy);
    for (size_t i = 0; r == 0 && i < config->relay_count; i++) {
        const char *own = config->relay_tokens != NULL ? config->relay_tokens[i] : NULL;
        const char *token = own != NULL ? own : config->relay_token;
        int port = config->relay_quic_ports != NULL ? config->relay_quic_ports[i] : 0;
        r = config->relays[i] != NULL ? add_relay(ep, config->relays[i], token, port) : IROH_ERR_ARG;
    }
    if (r == 0)
        take_only_choice(ep);
    return r;
}

int online_add(const iroh_endpoint *ep, iroh_addr *out) {
    const net_relay *home = relays_home(&ep->relays);
    return home != NULL ? iroh_addr_add_relay(out, home->url) : 0;
}

static int64_t is_online(void *arg) {
    const iroh_endpoint *ep = arg;
    if (ep->closed)
        return IROH_ERR_CLOSED;
    int all[RELAYS_MAX];
    if (relays_home(&ep->relays) == NULL && relays_configured(&ep->relays, all) == 0)
        return IROH_ERR_ARG;
    return relays_online(&ep->relays) ? 0 : IROH_ERR_AGAIN;
}

int iroh_endpoint_wait_online(iroh_endpoint *ep, int timeout_ms) {
    if (ep == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    int r = (int)wait_for(ep, &ep->waiters, WAIT_ONLINE, wait_until(timeout_ms), is_online, ep);
    endpoint_leave(ep);
    return r;
}

int iroh_endpoint_insert_relay(iroh_endpoint *ep, const char *url, const char *token, int quic_port) {
    if (ep == NULL || url == NULL || !config_quic_port_possible(quic_port))
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    int r = ep->closed ? IROH_ERR_CLOSED : ep->no_relays ? IROH_ERR_ARG : add_relay(ep, url, token, quic_port);
    if (r == 0) {
        if (relays_home(&ep->relays) == NULL)
            take_only_choice(ep);
        reports_request(ep, REPORT_RELAYS_CHANGED);
    }
    endpoint_leave(ep);
    return r;
}

int iroh_endpoint_remove_relay(iroh_endpoint *ep, const char *url) {
    if (ep == NULL || url == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    int r = ep->closed ? IROH_ERR_CLOSED : relays_remove(&ep->relays, url, strlen(url), sys_now());
    if (r >= 0) {
        if (!ep->makes_reports)
            online_leave_removed_home(ep);  // without reports nobody else does
        reports_request(ep, REPORT_RELAYS_CHANGED);
        wait_fire(ep, &ep->waiters, WAIT_ONLINE | WAIT_REPORT);
    }
    endpoint_leave(ep);
    return r < 0 ? r : 0;
}

static void describe_client(const net_relay *r, iroh_relay_status *out) {
    const relay_client *c = &r->client;
    out->connected = relay_client_state(c) == RELAY_CLIENT_READY;
    out->error = c->error;
    out->denied = c->denied;
    const char *reason = c->denied ? c->denial : r->trouble;
    if (c->denied || (c->error != 0 && !out->connected))
        memcpy(out->reason, reason, strlen(reason) + 1);
}

static int describe(const iroh_endpoint *ep, const net_relay *r, char *url, size_t room, iroh_relay_status *out) {
    out->home = r == relays_home(&ep->relays);
    out->configured = r->configured;
    if (r->live)
        describe_client(r, out);
    if (url != NULL && r->url_len >= room)
        return IROH_ERR_TOO_LARGE;
    if (url != NULL)
        memcpy(url, r->url, r->url_len + 1);
    return (int)r->url_len;
}

int iroh_endpoint_home_relay(iroh_endpoint *ep, char *url, size_t room, iroh_relay_status *out) {
    iroh_relay_status ignored;
    if (ep == NULL)
        return IROH_ERR_ARG;
    if (out == NULL)
        out = &ignored;
    *out = (iroh_relay_status){0};
    endpoint_enter(ep);
    const net_relay *home = relays_home(&ep->relays);
    int r = home != NULL ? describe(ep, home, url, room, out) : IROH_ERR_NOT_FOUND;
    endpoint_leave(ep);
    return r;
}

int iroh_endpoint_relay(iroh_endpoint *ep, size_t i, char *url, size_t room, iroh_relay_status *out) {
    iroh_relay_status ignored;
    if (ep == NULL)
        return IROH_ERR_ARG;
    if (out == NULL)
        out = &ignored;
    *out = (iroh_relay_status){0};
    endpoint_enter(ep);
    int r = i < ep->relays.count ? describe(ep, ep->relays.list[i], url, room, out) : IROH_ERR_RANGE;
    endpoint_leave(ep);
    return r;
}
