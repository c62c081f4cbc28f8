// Relays as the program sees them: which ones it wants, and how the home relay is.
#include <stdlib.h>
#include <string.h>

#include "endpoint/state.h"

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

static int add(iroh_endpoint *ep, const char *url, const char *token) {
    int number = relays_add(&ep->relays, url, strlen(url), true, token, sys_now());
    return number < 0 ? number : 0;
}

// A name adds its whole set.
static int add_relay(iroh_endpoint *ep, const char *name, const char *token) {
    bool known = false;
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(presets[i].set, name) != 0)
            continue;
        known = true;
        r = add(ep, presets[i].url, token);
    }
    return known ? r : add(ep, name, token);
}

static int copy_text(const char *text, char **out) {
    if (text != NULL)
        *out = strdup(text);
    return text != NULL && *out == NULL ? IROH_ERR_NOMEM : 0;
}

int online_configure(iroh_endpoint *ep, const iroh_endpoint_config *config) {
    ep->no_relays = config->direct_only;
    int r = copy_text(config->ca_file, &ep->ca_file);
    if (r == 0)
        r = copy_text(config_proxy(config), &ep->proxy);
    for (size_t i = 0; r == 0 && i < config->relay_count; i++) {
        const char *own = config->relay_tokens != NULL ? config->relay_tokens[i] : NULL;
        const char *token = own != NULL ? own : config->relay_token;
        r = config->relays[i] != NULL ? add_relay(ep, config->relays[i], token) : IROH_ERR_ARG;
    }
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
    if (relays_home(&ep->relays) == NULL)
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
