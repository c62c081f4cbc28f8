// Notices that the machine's network changed (net/netwatch.h says when), and makes relays and paths cope with it.
#include "endpoint/state.h"
#include "sys/netif.h"

#define INTERFACES_MAX 256  // addresses looked at

// All addresses of the machine.
typedef struct interfaces {
    addr list[INTERFACES_MAX];
    int count;  // negative: could not be read; INTERFACES_MAX: there may be more
} interfaces;

// --- What is done

// When in doubt it is.
static bool is_there(const interfaces *machine, const addr *a) {
    for (int i = 0; i < machine->count; i++) {
        if (addr_same_host(&machine->list[i], a))
            return true;
    }
    return machine->count < 0 || machine->count == INTERFACES_MAX;
}

static bool is_recoverable(void *user, const addr *local, const addr *to) {
    return !addr_is_ip(to) || local->kind == ADDR_NONE || addr_is_unspecified(local) || is_there(user, local);
}

// A connection from an address that is gone would take long to find out.
static void leave_gone_addresses(iroh_endpoint *ep, const interfaces *machine, uint64_t now) {
    for (size_t i = 0; i < ep->relays.count; i++) {
        net_relay *r = ep->relays.list[i];
        addr local = relay_io_local(r);
        if (local.kind != ADDR_NONE && !is_there(machine, &local))
            relay_client_lost(&r->client, IROH_ERR_UNREACHABLE, now);
    }
}

void network_changed(iroh_endpoint *ep, bool major) {
    uint64_t now = sys_now();
    interfaces machine;
    machine.count = sys_netif_addresses(machine.list, INTERFACES_MAX);
    if (log_on(&ep->log, LOG_DEBUG))
        log_line(&ep->log, LOG_DEBUG, "the network changed (%s)", major ? "major" : "minor");
    ep->reopen_at = now;
    paths_look_at_locals(ep, now);
    leave_gone_addresses(ep, &machine, now);
    relays_network_changed(&ep->relays, now);
    reports_request(ep, major ? REPORT_LINK_MAJOR : REPORT_LINK_MINOR);
    for (list_link *l = ep->conns.next; l != &ep->conns; l = l->next) {
        iroh_connection *c = list_entry(l, iroh_connection, all);
        if (c->core != NULL)
            quic_conn_network_changed(c->core, is_recoverable, &machine, now);
    }
    if (major)
        paths_begin_rounds(ep, now);
}

int iroh_endpoint_network_change(iroh_endpoint *ep) {
    if (ep == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    if (!ep->closed)
        network_changed(ep, true);
    endpoint_leave(ep);
    return 0;
}

// --- Watching

static bool is_needed(const iroh_endpoint *ep) {
    return ep->remotes.count > 0 || ep->relays.home >= 0;
}

int network_open(iroh_endpoint *ep, bool wanted) {
    uint64_t now = sys_now();
    netwatch_init(&ep->netwatch, now, sys_wall_clock());
    ep->watches_network = wanted && sys_netstate_read(&ep->network) == 0;
    if (!ep->watches_network)
        return 0;
    int r = sys_netmon_open(ep->loop, &ep->netmon);
    return r == IROH_ERR_NOMEM ? r : 0;  // without news the network is looked at from time to time
}

void network_close(iroh_endpoint *ep) {
    sys_netmon_close(ep->netmon);
    ep->netmon = NULL;
    ep->watches_network = false;
}

uint64_t network_deadline(const iroh_endpoint *ep) {
    return ep->watches_network && !ep->closed ? netwatch_deadline(&ep->netwatch) : TIME_NEVER;
}

static void hear_news(iroh_endpoint *ep, uint64_t now) {
    if (ep->netmon == NULL || !sys_netmon_has_news(ep->netmon))
        return;
    if (sys_netmon_take(ep->netmon))
        netwatch_on_news(&ep->netwatch, now);
    else
        sys_netmon_listen(ep->netmon);
}

static void look(iroh_endpoint *ep, uint64_t now) {
    static const int changes[] = {
        [SYS_NET_SAME] = NETWATCH_NOTHING, [SYS_NET_MINOR] = NETWATCH_MINOR, [SYS_NET_MAJOR] = NETWATCH_MAJOR};
    sys_netstate fresh;
    int change = SYS_NET_SAME;
    if (ep->netmon != NULL)
        sys_netmon_listen(ep->netmon);
    if (sys_netstate_read(&fresh) == 0) {
        change = sys_netstate_compare(&ep->network, &fresh);
        ep->network = fresh;
    }
    // Peers may try our new addresses while we wait for a way out.
    paths_look_at_locals(ep, now);
    int told =
        netwatch_looked(&ep->netwatch, changes[change], sys_netstate_leads_out(&ep->network), now, sys_wall_clock());
    if (told != NETWATCH_NOTHING)
        network_changed(ep, told == NETWATCH_MAJOR);
}

void network_tick(iroh_endpoint *ep, uint64_t now) {
    if (!ep->watches_network || ep->closed)
        return;
    hear_news(ep, now);
    netwatch_rest(&ep->netwatch, !is_needed(ep), now);
    if (netwatch_deadline(&ep->netwatch) > now)
        return;
    bool more = ep->netmon != NULL && sys_netmon_take(ep->netmon);
    if (netwatch_wants_look(&ep->netwatch, more, now))
        look(ep, now);
}
