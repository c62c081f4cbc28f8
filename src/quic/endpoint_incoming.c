// Attempts to connect, from the first Initial packet until they are decided on (RFC 9000, sections 5.2.2 and 8.1).
//
// An attempt is remembered only if its first packet opens, so noise costs one decryption and nothing else. What else
// arrives for it meanwhile (the rest of a long ClientHello, 0-RTT data) is kept, within INCOMING_DATAGRAMS.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/endpoint_state.h"

#define INITIAL_DCID_MIN 8

// --- Answers without a connection

// One Initial packet with a close in it: the attempt ends here.
static void send_initial_close(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d, uint64_t code) {
    quic_cid dcid = {.len = (uint8_t)packet->scid_len}, scid = {.len = QUIC_LOCAL_CID};
    quic_cid original = {.len = (uint8_t)packet->dcid_len};
    memcpy(dcid.bytes, packet->scid, packet->scid_len);
    memcpy(original.bytes, packet->dcid, packet->dcid_len);
    entropy_fill(&ep->config.random, scid.bytes, scid.len);
    quic_keys client = {0}, server = {0};
    quic_reply *r = quic_endpoint_reply(ep, d);
    if (r == NULL)
        return;
    int len = IROH_ERR_NOMEM;
    if (quic_keys_initial(&original, &client, &server) == 0) {
        writer w = writer_of(r->bytes, sizeof r->bytes - AEAD_TAG);
        size_t pn_offset = quic_packet_write_long(&w, QUIC_INITIAL, &dcid, &scid, NULL, 0, 0, 1);
        uint8_t *payload = w.p;
        quic_frame f = {.type = FRAME_CONNECTION_CLOSE, .close = {.code = code}};
        quic_frame_encode(&w, &f);
        size_t payload_len = (size_t)(w.p - payload);
        quic_packet_set_length(r->bytes, pn_offset, pn_offset + 1 + payload_len + AEAD_TAG);
        len = quic_packet_seal(&server, server.hp, r->bytes, pn_offset, 1, payload_len, 0, 0);
    }
    quic_keys_dispose(&client);
    quic_keys_dispose(&server);
    if (len > 0)
        r->len = (uint16_t)len;
    else
        quic_endpoint_reply_drop(ep, r);
}

static void send_retry(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d, uint64_t now) {
    quic_cid client = {.len = (uint8_t)packet->scid_len}, fresh = {.len = QUIC_LOCAL_CID};
    quic_cid original = {.len = (uint8_t)packet->dcid_len};
    memcpy(client.bytes, packet->scid, packet->scid_len);
    memcpy(original.bytes, packet->dcid, packet->dcid_len);
    entropy_fill(&ep->config.random, fresh.bytes, fresh.len);
    uint8_t token[QUIC_TOKEN_MAX], nonce[QUIC_TOKEN_NONCE], random;
    entropy_fill(&ep->config.random, nonce, sizeof nonce);
    entropy_fill(&ep->config.random, &random, 1);
    int token_len = quic_token_make(&ep->token_key, QUIC_TOKEN_RETRY, &d->remote, &original,
                                    ep->config.wall_clock + now, nonce, token, sizeof token);
    quic_reply *r = token_len > 0 ? quic_endpoint_reply(ep, d) : NULL;
    if (r == NULL)
        return;
    r->len = (uint16_t)quic_packet_write_retry(r->bytes, sizeof r->bytes, &client, &fresh, &original, token,
                                               (size_t)token_len, random);
    if (r->len == 0)
        quic_endpoint_reply_drop(ep, r);
}

// --- The first packet

// The CRYPTO bytes of an Initial packet in order; false when the packet does not open or holds no start of a handshake.
static bool read_hello(quic_incoming *in, const quic_packet *packet, const quic_datagram *d) {
    quic_keys client = {0}, server = {0};
    uint8_t *copy = malloc(d->len);
    bool ok = copy != NULL && quic_keys_initial(&in->route.dcid, &client, &server) == 0;
    if (ok) {
        memcpy(copy, d->bytes, d->len);
        uint64_t truncated;
        int pn_size = quic_packet_unprotect(client.hp, copy, packet->len, packet->pn_offset, &truncated);
        int len = pn_size < 0 ? pn_size
                              : quic_packet_open(&client, copy, packet->len, packet->pn_offset, (size_t)pn_size, 0,
                                                 quic_pn_decode(truncated, (size_t)pn_size, QUIC_PN_NONE));
        ok = len > 0;
        reader r = reader_of(ok ? copy + packet->pn_offset + pn_size : copy, ok ? (size_t)len : 0);
        quic_frame f;
        const quic_frame_info *info;
        size_t have = 0;
        while (ok && reader_left(&r) > 0 && quic_frame_decode(&r, &f, &info) == 0) {
            if (f.type != FRAME_CRYPTO || f.crypto.offset != have)
                continue;
            // In place: frames are read in order and never grow.
            memmove(copy + have, f.crypto.data, f.crypto.len);
            have += f.crypto.len;
        }
        in->hello_len = have;
    }
    quic_keys_dispose(&client);
    quic_keys_dispose(&server);
    if (ok)
        in->hello = copy;
    else
        free(copy);
    return ok;
}

// What a token proves. False: the attempt ends (the close was sent).
static bool check_token(quic_endpoint *ep, quic_incoming *in, const quic_packet *packet, const quic_datagram *d,
                        uint64_t now) {
    if (packet->token_len == 0)
        return true;
    int kind;
    quic_cid original;
    int r = quic_token_open(&ep->token_key, packet->token, packet->token_len, &d->remote, ep->config.wall_clock + now,
                            &kind, &original);
    if (r == QUIC_TOKEN_STALE && kind == QUIC_TOKEN_RETRY) {
        send_initial_close(ep, packet, d, QUIC_INVALID_TOKEN);
        return false;
    }
    if (r != QUIC_TOKEN_VALID)
        return true;  // not ours, or of an earlier life: as if it were not there
    in->validated = true;
    if (kind == QUIC_TOKEN_RETRY) {
        in->retried = true;
        in->odcid = original;
        in->retry_scid = in->route.dcid;
    }
    return true;
}

void quic_incoming_add(quic_incoming *in, const quic_datagram *d) {
    if (in->count == INCOMING_DATAGRAMS || !addr_equal(&in->remote, &d->remote))
        return;
    uint8_t *copy = malloc(d->len);
    if (copy == NULL)
        return;
    memcpy(copy, d->bytes, d->len);
    in->datagrams[in->count].bytes = copy;
    in->datagrams[in->count].len = d->len;
    in->count++;
}

void quic_incoming_free(quic_incoming *in) {
    if (in->route.linked)
        quic_endpoint_drop_route(in->ep, &in->route);
    for (size_t i = 0; i < in->count; i++)
        free(in->datagrams[i].bytes);
    free(in->hello);
    free(in);
}

static void incoming_end(quic_incoming *in) {
    list_remove(&in->link);
    in->ep->incoming_count--;
    quic_incoming_free(in);
}

static quic_incoming *incoming_make(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d,
                                    uint64_t now) {
    quic_incoming *in = calloc(1, sizeof *in);
    if (in == NULL)
        return NULL;
    in->ep = ep;
    list_init(&in->link);
    in->route.incoming = in;
    in->route.dcid.len = (uint8_t)packet->dcid_len;
    memcpy(in->route.dcid.bytes, packet->dcid, packet->dcid_len);
    in->odcid = in->route.dcid;
    in->scid.len = (uint8_t)packet->scid_len;
    memcpy(in->scid.bytes, packet->scid, packet->scid_len);
    in->remote = d->remote;
    in->local = d->local;
    in->ecn = d->ecn;
    in->arrived = now;
    return in;
}

void quic_endpoint_new_incoming(quic_endpoint *ep, const quic_packet *packet, const quic_datagram *d, uint64_t now) {
    if (d->len < QUIC_MIN_INITIAL || ep->incoming_count >= ep->config.incoming_max) {
        ep->stats.datagrams_dropped++;
        return;
    }
    if (packet->dcid_len < INITIAL_DCID_MIN) {
        send_initial_close(ep, packet, d, QUIC_PROTOCOL_VIOLATION);
        return;
    }
    quic_incoming *in = incoming_make(ep, packet, d, now);
    if (in == NULL)
        return;
    if (!read_hello(in, packet, d) || !check_token(ep, in, packet, d, now)) {
        ep->stats.datagrams_dropped++;
        quic_incoming_free(in);
        return;
    }
    // Under load an address must be proven before it costs a handshake.
    bool loaded = ep->handshakes + ep->incoming_count > RETRY_HANDSHAKES && !in->validated;
    if (loaded || ep->closing) {
        if (ep->closing)
            send_initial_close(ep, packet, d, QUIC_CONNECTION_REFUSED);
        else
            send_retry(ep, packet, d, now);
        quic_incoming_free(in);
        return;
    }
    quic_incoming_add(in, d);
    if (in->count == 0 || quic_endpoint_add_route(ep, &in->route) != 0) {
        quic_incoming_free(in);
        return;
    }
    list_push_back(&ep->incoming, &in->link);
    ep->incoming_count++;
}

uint64_t quic_endpoint_incoming_deadline(const quic_endpoint *ep) {
    uint64_t limit = ep->config.transport.idle_timeout;
    if (limit == 0 || list_empty(&ep->incoming))
        return TIME_NEVER;
    return time_add(list_entry(ep->incoming.next, quic_incoming, link)->arrived, limit);
}

void quic_endpoint_expire_incoming(quic_endpoint *ep, uint64_t now) {
    while (quic_endpoint_incoming_deadline(ep) <= now)
        incoming_end(list_entry(ep->incoming.next, quic_incoming, link));
}

// --- Decisions

quic_incoming *quic_endpoint_next_incoming(quic_endpoint *ep) {
    list_link *l = list_pop_front(&ep->incoming);
    if (l == NULL)
        return NULL;
    quic_incoming *in = list_entry(l, quic_incoming, link);
    in->taken = true;
    return in;
}

bool quic_endpoint_has_incoming(const quic_endpoint *ep) {
    return !list_empty(&ep->incoming);
}

addr quic_incoming_remote(const quic_incoming *in) {
    return in->remote;
}

bool quic_incoming_validated(const quic_incoming *in) {
    return in->validated;
}

int quic_incoming_alpns(const quic_incoming *in, tls_alpn *out, size_t room) {
    return tls_client_hello_alpns(in->hello, in->hello_len, out, room);
}

static quic_datagram kept_datagram(const quic_incoming *in, size_t i) {
    return (quic_datagram){
        .bytes = in->datagrams[i].bytes,
        .len = in->datagrams[i].len,
        .remote = in->remote,
        .local = in->local,
        .ecn = in->ecn,
    };
}

// The header of the first packet again, for an answer.
static bool first_packet(const quic_incoming *in, quic_datagram *d, quic_packet *packet) {
    *d = kept_datagram(in, 0);
    return quic_packet_parse(d->bytes, d->len, packet) == 0;
}

int quic_incoming_accept(quic_incoming *in, uint64_t now, quic_conn **out) {
    quic_endpoint *ep = in->ep;
    quic_conn_new_config config = quic_endpoint_conn_config(ep, QUIC_SERVER);
    config.remote = in->remote;
    config.local = in->local;
    config.odcid = in->odcid;
    config.peer_scid = in->scid;
    config.retry_scid = in->retry_scid;
    config.retried = in->retried;
    config.validated = in->validated;
    quic_conn *c;
    int r = quic_conn_new(ep, &config, now, &c);
    if (r == 0) {
        quic_route route = in->route;
        quic_endpoint_drop_route(ep, &in->route);
        c->hs->route = (quic_route){.dcid = route.dcid, .conn = c};
        r = quic_endpoint_add_route(ep, &c->hs->route);
        if (r == 0)
            r = quic_endpoint_add_conn(ep, c);
        if (r != 0) {
            c->state = CONN_DEAD;
            c->released = true;
            quic_endpoint_retire(ep, c);
        }
    }
    if (r != 0) {
        incoming_end(in);
        return r;
    }
    if (ep->config.qlog != NULL)
        c->qlog = ep->config.qlog(ep->config.qlog_user, QUIC_SERVER, &config.odcid);
    quic_qlog_started(c->qlog, now, &c->path->local, &c->path->remote);
    for (size_t i = 0; i < in->count; i++) {
        quic_datagram d = kept_datagram(in, i);
        quic_conn_receive(c, c->path->cids, &d, now);
    }
    incoming_end(in);
    *out = c;
    return 0;
}

void quic_incoming_refuse(quic_incoming *in, uint64_t now) {
    quic_datagram d;
    quic_packet packet;
    (void)now;
    if (first_packet(in, &d, &packet))
        send_initial_close(in->ep, &packet, &d, QUIC_CONNECTION_REFUSED);
    incoming_end(in);
}

int quic_incoming_retry(quic_incoming *in, uint64_t now) {
    quic_datagram d;
    quic_packet packet;
    if (in->validated)
        return IROH_ERR_ARG;
    if (first_packet(in, &d, &packet))
        send_retry(in->ep, &packet, &d, now);
    incoming_end(in);
    return 0;
}

void quic_incoming_ignore(quic_incoming *in) {
    incoming_end(in);
}
