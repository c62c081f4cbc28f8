// What the core reports becomes a wake-up of exactly the calls that wait for it.
#include <stdlib.h>

#include "base/wipe.h"
#include "endpoint/state.h"

// --- Handles of connections come and go

iroh_connection *connection_new(iroh_endpoint *ep) {
    iroh_connection *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->ep = ep;
    c->refs = 1;
    c->id = ep->next_id++;
    list_init(&c->queue);
    list_init(&c->waiters);
    list_init(&c->streams);
    list_push_back(&ep->conns, &c->all);
    ep->refs++;
    return c;
}

void connection_attach(iroh_connection *c, quic_conn *core) {
    c->core = core;
    quic_conn_set_user(core, c);
}

void connection_drop(iroh_connection *c) {
    iroh_endpoint *ep = c->ep;
    paths_left(c);
    path_events_free(c);
    if (c->core != NULL)
        quic_conn_release(c->core, sys_now());
    if (!c->claimed && ep->unclaimed > 0)
        ep->unclaimed--;
    list_remove(&c->all);
    list_remove(&c->queue);
    ep->refs--;
    free(c);
}

// --- Events of a connection

static void fire_all(iroh_connection *c) {
    wait_fire(c->ep, &c->waiters, (unsigned)WAIT_ANY);
    for (list_link *l = c->streams.next; l != &c->streams; l = l->next)
        wait_fire(c->ep, &list_entry(l, iroh_stream, all)->waiters, (unsigned)WAIT_ANY);
}

void events_drain_streams(iroh_connection *c) {
    uint8_t events;
    quic_stream *st;
    while ((st = quic_streams_next_event(quic_conn_streams(c->core), &events)) != NULL) {
        iroh_stream *s = st->user;
        unsigned what = 0;
        if (s == NULL)
            continue;
        if ((events & STREAM_READABLE) != 0)
            what |= IROH_POLL_READ;
        if ((events & STREAM_WRITABLE) != 0)
            what |= IROH_POLL_WRITE;
        if ((events & STREAM_STOPPED) != 0)
            what |= IROH_POLL_WRITE | IROH_POLL_FINISHED;
        if ((events & STREAM_FINISHED) != 0)
            what |= IROH_POLL_FINISHED;
        wait_fire(c->ep, &s->waiters, what);
    }
}

static void remember_session(iroh_connection *c) {
    const uint8_t *peer = quic_conn_peer_key(c->core);
    size_t alpn_len = 0, len = 0;
    const uint8_t *alpn = quic_conn_alpn(c->core, &alpn_len);
    uint8_t *session = quic_conn_take_session(c->core, &len);
    if (session == NULL)
        return;
    if (peer != NULL && alpn != NULL) {
        sessions_put(&c->ep->sessions, peer, alpn, alpn_len, session, len);
        return;
    }
    wipe(session, len);
    free(session);
}

static void remember_token(iroh_connection *c) {
    const uint8_t *peer = quic_conn_peer_key(c->core);
    size_t len = 0;
    uint8_t *token = quic_conn_take_token(c->core, &len);
    if (token != NULL && peer != NULL)
        sessions_put(&c->ep->tokens, peer, NULL, 0, token, len);
    else
        free(token);
}

static unsigned news_of(uint32_t events) {
    static const struct {
        uint32_t event;
        unsigned news;
    } rows[] = {
        {CONN_CONNECTED, IROH_POLL_CONNECTED | IROH_POLL_OPEN_BI | IROH_POLL_OPEN_UNI},
        {CONN_INCOMING_BIDI, IROH_POLL_ACCEPT_BI},
        {CONN_INCOMING_UNI, IROH_POLL_ACCEPT_UNI},
        {CONN_OPENABLE, IROH_POLL_OPEN_BI | IROH_POLL_OPEN_UNI},
        {CONN_DATAGRAM, IROH_POLL_READ},
        {CONN_DATAGRAM_ROOM, WAIT_DATAGRAM_ROOM},
    };
    unsigned news = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        news |= (events & rows[i].event) != 0 ? rows[i].news : 0;
    return news;
}

static void connection_events(iroh_connection *c, uint32_t events) {
    iroh_endpoint *ep = c->ep;
    if ((events & CONN_SESSION) != 0)
        remember_session(c);
    if ((events & CONN_TOKEN) != 0)
        remember_token(c);
    if ((events & CONN_CONNECTED) != 0 && !c->claimed) {
        list_push_back(&ep->acceptable, &c->queue);
        wait_fire(ep, &ep->waiters, IROH_POLL_ACCEPT_BI);
    }
    if ((events & CONN_CONNECTED) != 0 && !quic_conn_closed(c->core))
        paths_connected(c);
    if ((events & CONN_CONNECTED) != 0)
        path_events_look(c);
    if ((events & CONN_PATH) != 0)
        paths_news(c);
    if ((events & (CONN_STREAMS | CONN_EARLY_REJECTED)) != 0)
        events_drain_streams(c);
    unsigned news = news_of(events);
    if (news != 0 && !list_empty(&c->waiters))
        wait_fire(ep, &c->waiters, news);
    if ((events & CONN_CLOSED) == 0)
        return;
    paths_left(c);
    if (!c->claimed && !list_linked(&c->queue))
        connection_drop(c);  // its handshake failed: nobody knows of it
    else
        fire_all(c);
}

// --- Attempts to connect

static void accept_one(iroh_endpoint *ep, quic_incoming *in) {
    iroh_connection *c = connection_new(ep);
    quic_conn *core;
    if (c == NULL) {
        quic_incoming_ignore(in);
        return;
    }
    ep->unclaimed++;
    if (quic_incoming_accept(in, sys_now(), &core) == 0)
        connection_attach(c, core);
    else
        connection_drop(c);
}

static void drain_incoming(iroh_endpoint *ep) {
    quic_incoming *in;
    if (!ep->accepts) {
        while ((in = quic_endpoint_next_incoming(ep->core)) != NULL)
            quic_incoming_refuse(in, sys_now());
        return;
    }
    if (ep->accepting != ACCEPT_ALL) {
        if (quic_endpoint_has_incoming(ep->core))
            wait_fire(ep, &ep->waiters, IROH_POLL_ACCEPT_BI);
        return;
    }
    while (ep->unclaimed < ep->max_unclaimed && (in = quic_endpoint_next_incoming(ep->core)) != NULL)
        accept_one(ep, in);
}

void events_drain(iroh_endpoint *ep) {
    uint32_t events;
    quic_conn *core;
    drain_incoming(ep);
    while ((core = quic_endpoint_next_event(ep->core, &events)) != NULL) {
        iroh_connection *c = quic_conn_user(core);
        if (c != NULL)
            connection_events(c, events);
        else
            reports_on_event(ep, core, events);
    }
    path_events_look_at_all(ep);
}
