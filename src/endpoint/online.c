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
        r = copy_text(config->proxy, &ep->proxy);
    for (size_t i = 0; r == 0 && i < config->relay_count; i++)
        r = config->relays[i] != NULL ? add_relay(ep, config->relays[i], config->relay_token) : IROH_ERR_ARG;
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

static int describe(const net_relay *home, char *url, size_t room, iroh_relay_status *out) {
    const relay_client *c = &home->client;
    *out = (iroh_relay_status){
        .connected = relay_client_state(c) == RELAY_CLIENT_READY, .error = c->error, .denied = c->denied};
    if (c->denied)
        memcpy(out->reason, c->denial, strlen(c->denial) + 1);
    if (url != NULL && home->url_len >= room)
        return IROH_ERR_TOO_LARGE;
    if (url != NULL)
        memcpy(url, home->url, home->url_len + 1);
    return (int)home->url_len;
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
    int r = home != NULL ? describe(home, url, room, out) : IROH_ERR_NOT_FOUND;
    endpoint_leave(ep);
    return r;
}
