// Accepting: whole connections, or attempts to connect that the program decides on.
#include <stdlib.h>
#include <string.h>

#include "endpoint/state.h"

#define INCOMING_ALPNS_MAX 64  // names of a ClientHello that are reported

// --- Whole connections

static int64_t take_connection(void *arg) {
    iroh_endpoint *ep = *(iroh_endpoint **)arg;
    if (ep->closed)
        return IROH_ERR_CLOSED;
    if (!list_empty(&ep->acceptable))
        return 0;
    // What the program decides on never comes here.
    return ep->accepting == ACCEPT_BY_PROGRAM && ep->unclaimed == 0 ? IROH_ERR_ARG : IROH_ERR_AGAIN;
}

int iroh_endpoint_accept(iroh_endpoint *ep, int timeout_ms, iroh_connection **out) {
    if (ep == NULL || out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    endpoint_enter(ep);
    if (ep->accepting == ACCEPT_UNDECIDED)
        ep->accepting = ACCEPT_ALL;
    if (!ep->closed)
        events_drain(ep);
    int r = (int)wait_to_take(ep, &ep->waiters, IROH_POLL_ACCEPT_BI, wait_until(timeout_ms), take_connection, &ep);
    if (r == 0) {
        iroh_connection *c = list_entry(list_pop_front(&ep->acceptable), iroh_connection, queue);
        c->claimed = true;
        ep->unclaimed--;
        if (!list_empty(&ep->acceptable))
            wait_fire(ep, &ep->waiters, IROH_POLL_ACCEPT_BI);
        *out = c;
    }
    endpoint_leave(ep);
    return r;
}

// --- Attempts

static int64_t take_incoming(void *arg) {
    iroh_incoming *in = arg;
    if (in->ep->closed)
        return IROH_ERR_CLOSED;
    in->core = quic_endpoint_next_incoming(in->ep->core);
    return in->core == NULL ? IROH_ERR_AGAIN : 0;
}

int iroh_endpoint_next_incoming(iroh_endpoint *ep, int timeout_ms, iroh_incoming **out) {
    if (ep == NULL || out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    iroh_incoming *in = calloc(1, sizeof *in);
    if (in == NULL)
        return IROH_ERR_NOMEM;
    in->ep = ep;
    list_init(&in->all);
    endpoint_enter(ep);
    ep->accepting = ACCEPT_BY_PROGRAM;
    int r = (int)wait_to_take(ep, &ep->waiters, IROH_POLL_ACCEPT_BI, wait_until(timeout_ms), take_incoming, in);
    if (r == 0) {
        if (quic_endpoint_has_incoming(ep->core))
            wait_fire(ep, &ep->waiters, IROH_POLL_ACCEPT_BI);
        list_push_back(&ep->incoming, &in->all);
        ep->refs++;
        *out = in;
    }
    endpoint_leave(ep);
    if (r != 0)
        free(in);
    return r;
}

// Ends what `incoming_begin` began: the lock goes, and with `gone` the handle.
static void incoming_end(iroh_incoming *in, bool gone) {
    iroh_endpoint *ep = in->ep;
    if (!gone) {
        endpoint_leave(ep);
        return;
    }
    list_remove(&in->all);
    free(in);
    endpoint_leave_for_good(ep);
}

static int accept_incoming(iroh_incoming *in, iroh_connection **out) {
    iroh_connection *c = connection_new(in->ep);
    quic_conn *core;
    if (c == NULL) {
        quic_incoming_ignore(in->core);
        return IROH_ERR_NOMEM;
    }
    c->claimed = true;
    int r = quic_incoming_accept(in->core, sys_now(), &core);
    if (r != 0) {
        connection_drop(c);
        return r;
    }
    connection_attach(c, core);
    driver_push(in->ep, core, 0, true);
    *out = c;
    return 0;
}

int iroh_incoming_accept(iroh_incoming *in, iroh_connection **out) {
    if (in == NULL || out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    endpoint_enter(in->ep);
    int r = in->core != NULL ? accept_incoming(in, out) : IROH_ERR_CLOSED;
    incoming_end(in, true);
    return r;
}

int iroh_incoming_refuse(iroh_incoming *in) {
    if (in == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(in->ep);
    if (in->core != NULL)
        quic_incoming_refuse(in->core, sys_now());
    incoming_end(in, true);
    return 0;
}

int iroh_incoming_retry(iroh_incoming *in) {
    if (in == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(in->ep);
    int r = in->core != NULL ? quic_incoming_retry(in->core, sys_now()) : 0;
    incoming_end(in, r == 0);
    return r;
}

int iroh_incoming_ignore(iroh_incoming *in) {
    if (in == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(in->ep);
    if (in->core != NULL)
        quic_incoming_ignore(in->core);
    incoming_end(in, true);
    return 0;
}

int iroh_incoming_remote(const iroh_incoming *in, char *out, size_t room) {
    char text[IROH_PATH_TEXT];
    if (in == NULL || out == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(in->ep);
    bool there = in->core != NULL;
    addr a = there ? quic_incoming_remote(in->core) : (addr){0};
    size_t len = paths_text(in->ep, &a, text);
    endpoint_leave(in->ep);
    if (!there)
        return IROH_ERR_CLOSED;
    if (len >= room)
        return IROH_ERR_TOO_LARGE;
    memcpy(out, text, len + 1);
    return (int)len;
}

bool iroh_incoming_validated(const iroh_incoming *in) {
    if (in == NULL)
        return false;
    endpoint_enter(in->ep);
    bool validated = in->core != NULL && quic_incoming_validated(in->core);
    endpoint_leave(in->ep);
    return validated;
}

int iroh_incoming_alpns(const iroh_incoming *in, iroh_slice *out, size_t room) {
    tls_alpn names[INCOMING_ALPNS_MAX];
    if (in == NULL || (out == NULL && room > 0))
        return IROH_ERR_ARG;
    endpoint_enter(in->ep);
    int count = in->core != NULL ? quic_incoming_alpns(in->core, names, INCOMING_ALPNS_MAX) : IROH_ERR_CLOSED;
    endpoint_leave(in->ep);
    for (int i = 0; i < count && i < INCOMING_ALPNS_MAX && (size_t)i < room; i++)
        out[i] = (iroh_slice){names[i].name, names[i].len};
    return count;
}
