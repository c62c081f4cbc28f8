// What each frame does to a connection: one small function a frame, found through a table by type.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_state.h"
#include "quic/endpoint.h"

#define AMPLIFICATION 3  // bytes to an unproven address for each that came from it

static int on_nothing(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)c, (void)r, (void)f;
    return 0;
}

// A type that the table of frames knows and nobody handles.
static int on_unknown(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)c, (void)r, (void)f;
    return QUIC_PROTOCOL_VIOLATION;
}

static int on_ack(quic_conn *c, quic_received *r, const quic_frame *f) {
    return quic_conn_on_ack(c, r->space, r->path, &f->ack, r->path, r->now);
}

static int on_crypto(quic_conn *c, quic_received *r, const quic_frame *f) {
    static const tls_level levels[QUIC_SPACES] = {TLS_INITIAL, TLS_HANDSHAKE, TLS_APPLICATION};
    quic_crypto *crypto = quic_conn_crypto(c, r->space);
    if (c->tls == NULL && r->space == QUIC_SPACE_DATA)
        return 0;  // session tickets that nobody waits for any more
    if (f->crypto.offset + f->crypto.len > crypto->in.read + CONN_CRYPTO_MAX)
        return QUIC_CRYPTO_BUFFER_EXCEEDED;
    if (quic_recvbuf_insert(&crypto->in, f->crypto.offset, f->crypto.data, f->crypto.len) != 0)
        return QUIC_INTERNAL_ERROR;
    return quic_conn_crypto_received(c, levels[r->space], r->now);
}

static int on_stream(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    return quic_streams_on_stream(&c->streams, f);
}

static int on_reset_stream(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    return quic_streams_on_reset(&c->streams, f);
}

static int on_stop_sending(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    return quic_streams_on_stop_sending(&c->streams, f);
}

static int on_max_data(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    return quic_streams_on_max_data(&c->streams, f);
}

static int on_max_stream_data(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    return quic_streams_on_max_stream_data(&c->streams, f);
}

static int on_max_streams(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    quic_conn_event(c, CONN_OPENABLE);
    return quic_streams_on_max_streams(&c->streams, f);
}

static int on_blocked(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    return quic_streams_on_blocked(&c->streams, f);
}

static int on_new_token(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    if (c->role == QUIC_SERVER)
        return QUIC_PROTOCOL_VIOLATION;
    if (f->new_token.len > QUIC_PEER_TOKEN_MAX)
        return 0;
    uint8_t *copy = malloc(f->new_token.len);
    if (copy == NULL)
        return 0;  // a token only saves a round trip later
    memcpy(copy, f->new_token.token, f->new_token.len);
    free(c->new_token);
    c->new_token = copy;
    c->new_token_len = f->new_token.len;
    quic_conn_event(c, CONN_TOKEN);
    return 0;
}

static bool proven(const quic_conn *c, const addr *remote) {
    for (size_t i = 0; i < c->path_count; i++) {
        if (c->paths[i]->validated && addr_equal(&c->paths[i]->remote, remote))
            return true;
    }
    return false;
}

// Challenges are answered where they came from. From another address than the path's it may be a probe of NAT
// traversal: the answer is a packet of its own, and padded only as far as an unproven address may be answered (RFC 9000,
// section 8.2.2). Only the latest challenge of an address is, so that many in one datagram get no more than one.
static int on_path_challenge(quic_conn *c, quic_received *r, const quic_frame *f) {
    if (addr_equal(r->remote, &r->path->remote)) {
        if (!r->path->abandoned) {
            quic_path_queue_response(r->path, f->path_data.data);
            // Makes the answer more than a probe, so that the peer keeps to this path and learns our address on it
            // (RFC 9000, section 9.3.3).
            r->path->ping_wanted = true;
        }
        return 0;
    }
    quic_off_path *o = quic_conn_off_path_answer(c, r->path->id, r->remote, r->local);
    if (o == NULL)
        return 0;  // the peer repeats what it wants to know
    uint64_t allowed = proven(c, r->remote) ? QUIC_MIN_INITIAL : AMPLIFICATION * r->datagram_len;
    o->room = allowed < QUIC_MIN_INITIAL ? (size_t)allowed : QUIC_MIN_INITIAL;
    memcpy(o->response, f->path_data.data, sizeof o->response);
    if (!o->has_challenge)
        quic_conn_nat_challenged(c, o);
    return 0;
}

static int on_path_response(quic_conn *c, quic_received *r, const quic_frame *f) {
    if (quic_conn_nat_responded(c, f->path_data.data, r->remote, r->now))
        return 0;
    if (!r->path->abandoned && quic_path_responded(r->path, f->path_data.data, r->now))
        quic_conn_path_established(c, r->path, r->now);
    return 0;
}

static int on_close(quic_conn *c, quic_received *r, const quic_frame *f) {
    quic_conn_peer_closed(c, f, r->now);
    return 0;
}

static int on_handshake_done(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)f;
    if (c->role == QUIC_SERVER)
        return QUIC_PROTOCOL_VIOLATION;
    quic_conn_confirm(c, r->now);
    return 0;
}

static int on_datagram(quic_conn *c, quic_received *r, const quic_frame *f) {
    (void)r;
    if (!c->transport.datagrams || f->datagram.len > DGRAM_RECEIVE_MAX - DGRAM_OVERHEAD)
        return QUIC_PROTOCOL_VIOLATION;
    if (quic_dgrams_push(&c->dgrams_in, f->datagram.data, f->datagram.len, true) == 0)
        quic_conn_event(c, CONN_DATAGRAM);
    return 0;
}

#define HANDLERS_COUNT 0x40

static const quic_frame_handler handlers[HANDLERS_COUNT] = {
    [FRAME_PADDING] = on_nothing,
    [FRAME_PING] = on_nothing,
    [FRAME_ACK] = on_ack,
    [FRAME_ACK_ECN] = on_ack,
    [FRAME_RESET_STREAM] = on_reset_stream,
    [FRAME_STOP_SENDING] = on_stop_sending,
    [FRAME_CRYPTO] = on_crypto,
    [FRAME_NEW_TOKEN] = on_new_token,
    [FRAME_STREAM] = on_stream,
    [FRAME_STREAM + 1] = on_stream,
    [FRAME_STREAM + 2] = on_stream,
    [FRAME_STREAM + 3] = on_stream,
    [FRAME_STREAM + 4] = on_stream,
    [FRAME_STREAM + 5] = on_stream,
    [FRAME_STREAM + 6] = on_stream,
    [FRAME_STREAM + 7] = on_stream,
    [FRAME_MAX_DATA] = on_max_data,
    [FRAME_MAX_STREAM_DATA] = on_max_stream_data,
    [FRAME_MAX_STREAMS_BIDI] = on_max_streams,
    [FRAME_MAX_STREAMS_UNI] = on_max_streams,
    [FRAME_DATA_BLOCKED] = on_blocked,
    [FRAME_STREAM_DATA_BLOCKED] = on_blocked,
    [FRAME_STREAMS_BLOCKED_BIDI] = on_blocked,
    [FRAME_STREAMS_BLOCKED_UNI] = on_blocked,
    [FRAME_NEW_CONNECTION_ID] = quic_conn_on_new_cid,
    [FRAME_RETIRE_CONNECTION_ID] = quic_conn_on_retire_cid,
    [FRAME_PATH_CHALLENGE] = on_path_challenge,
    [FRAME_PATH_RESPONSE] = on_path_response,
    [FRAME_CONNECTION_CLOSE] = on_close,
    [FRAME_APPLICATION_CLOSE] = on_close,
    [FRAME_HANDSHAKE_DONE] = on_handshake_done,
    [FRAME_DATAGRAM] = on_datagram,
    [FRAME_DATAGRAM_LEN] = on_datagram,
};

static quic_frame_handler handler_of(uint64_t type) {
    if (type < HANDLERS_COUNT && handlers[type] != NULL)
        return handlers[type];
    quic_frame_handler extension = quic_conn_path_frame_handler(type);
    return extension != NULL ? extension : on_unknown;
}

// New peer streams and stream events become events of the connection, once for a whole packet.
static void report_streams(quic_conn *c) {
    uint32_t events = 0;
    if (quic_streams_incoming(&c->streams, true))
        events |= CONN_INCOMING_BIDI;
    if (quic_streams_incoming(&c->streams, false))
        events |= CONN_INCOMING_UNI;
    if (!list_empty(&c->streams.events))
        events |= CONN_STREAMS;
    if (events != 0)
        quic_conn_event(c, events);
}

// noq puts reports of observed addresses into 0-RTT packets too, where they do not belong: they are left out.
static bool early_report(const quic_received *r, const quic_frame *f) {
    return r->type == QUIC_0RTT && (f->type == FRAME_OBSERVED_ADDRESS_V4 || f->type == FRAME_OBSERVED_ADDRESS_V6);
}

int quic_conn_frames(quic_conn *c, quic_received *r, const uint8_t *payload, size_t len, uint64_t *frame_type) {
    reader in = reader_of(payload, len);
    quic_frame f;
    const quic_frame_info *info;
    while (reader_left(&in) > 0 && c->state < CONN_DRAINING) {
        int error = quic_frame_decode(&in, &f, &info);
        *frame_type = f.type;
        if (error != 0)
            return error;
        if ((info->allowed & (1 << r->type)) == 0 && !early_report(r, &f))
            return QUIC_PROTOCOL_VIOLATION;
        r->eliciting |= info->ack_eliciting;
        r->probing_only &= info->probing;
        // Once we have closed, or this very packet has ended the life of its level, only the peer's close still matters.
        bool over = c->state == CONN_CLOSING || quic_conn_space(c, r->path, r->space) == NULL;
        if ((over && f.type != FRAME_CONNECTION_CLOSE && f.type != FRAME_APPLICATION_CLOSE) || early_report(r, &f))
            continue;
        error = handler_of(f.type)(c, r, &f);
        if (error != 0)
            return error;
    }
    report_streams(c);
    return 0;
}
