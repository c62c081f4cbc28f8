// The addresses at which this machine is reached: those at which relays see it, in the latest net report, then those that
// sockets are bound to, and for wildcard sockets the interfaces' addresses of the family.
//
// Addresses that mean something only nearby (unique local IPv6, link-local IPv4) are named when there is nothing better,
// and loopback ones when there is nothing else at all. IPv6 link-local ones are of no use without the peer's interface.
#include "endpoint/state.h"
#include "sys/netif.h"

#define INTERFACES_MAX 256  // addresses looked at

enum { REACH_NONE = 0, REACH_HOST = 1, REACH_NEAR = 2, REACH_WORLD = 3 };

static int reach_of(const addr *a) {
    if (addr_is_loopback(a))
        return REACH_HOST;
    if (addr_is_unspecified(a) || addr_is_multicast(a))
        return REACH_NONE;
    if (addr_is_link_local(a))
        return a->kind == ADDR_IP4 ? REACH_NEAR : REACH_NONE;
    bool unique_local = a->kind == ADDR_IP6 && (a->bytes[0] & 0xfe) == 0xfc;
    return unique_local ? REACH_NEAR : REACH_WORLD;
}

// A list that is being filled.
typedef struct list {
    addr *out;
    size_t count, room;
} list;

static void add(list *l, const addr *a) {
    for (size_t i = 0; i < l->count; i++) {
        if (addr_equal(&l->out[i], a))
            return;
    }
    if (l->count < l->room)
        l->out[l->count++] = *a;
}

// The interfaces' addresses of the best reach that wildcard sockets have.
static int add_interfaces(const iroh_endpoint *ep, list *out) {
    addr found[INTERFACES_MAX];
    int count = sys_netif_addresses(found, INTERFACES_MAX);
    if (count < 0)
        return count;
    int best = REACH_NONE;
    for (int i = 0; i < count; i++) {
        int reach = reach_of(&found[i]);
        best = reach > best ? reach : best;
    }
    for (size_t k = 0; k < ep->socket_count; k++) {
        const endpoint_socket *s = &ep->sockets[k];
        for (int i = 0; s->wildcard && i < count; i++) {
            if (found[i].kind != s->local.kind || best == REACH_NONE || reach_of(&found[i]) != best)
                continue;
            addr a = found[i];
            a.port = s->local.port;
            add(out, &a);
        }
    }
    return 0;
}

// With a mapping that is another for each destination, that which a relay sees is of no use to others; but somebody who
// chose a port may have told the router to forward it.
static void add_forwarded(const iroh_endpoint *ep, const report *r, list *out) {
    for (size_t i = 0; r->varies4 == REPORT_YES && i < ep->socket_count; i++) {
        const endpoint_socket *s = &ep->sockets[i];
        addr a = r->global4;
        a.port = s->local.port;
        if (s->fixed_port && s->local.kind == ADDR_IP4)
            add(out, &a);
    }
}

static void add_observed(const iroh_endpoint *ep, list *out) {
    const report *r = reports_last(ep);
    if (r == NULL)
        return;
    if (addr_is_ip(&r->global4)) {
        add(out, &r->global4);
        add_forwarded(ep, r, out);
    }
    if (addr_is_ip(&r->global6))
        add(out, &r->global6);
}

int direct_list(const iroh_endpoint *ep, addr *out, size_t room) {
    list found = {.out = out, .room = room};
    bool wildcard = false;
    add_observed(ep, &found);
    for (size_t i = 0; i < ep->socket_count; i++) {
        if (ep->sockets[i].wildcard)
            wildcard = true;
        else
            add(&found, &ep->sockets[i].local);
    }
    int r = wildcard ? add_interfaces(ep, &found) : 0;
    return r == 0 ? (int)found.count : r;
}

int direct_add(const iroh_endpoint *ep, iroh_addr *out) {
    addr all[INTERFACES_MAX];
    char text[ADDR_TEXT_MAX];
    int count = direct_list(ep, all, INTERFACES_MAX), r = count < 0 ? count : 0;
    for (int i = 0; r == 0 && i < count; i++) {
        (void)addr_format(&all[i], text);
        r = iroh_addr_add_ip(out, text);
    }
    return r;
}
