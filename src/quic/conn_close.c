// The end of a connection (RFC 9000, section 10): closed by the application, by an error, by the peer, or in silence.
//
// Closing keeps just enough to answer late packets with the close again, at most once for 1, 2, 4, ... datagrams, so
// that two closing peers cannot keep each other busy. Draining says nothing at all.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_state.h"

#define CLOSE_PTOS 3
#define ALL_SPACES 7

static int error_of_transport_code(uint64_t code) {
    if (code == QUIC_CONNECTION_REFUSED)
        return IROH_ERR_REFUSED;
    if (code >= QUIC_CRYPTO_ERROR && code < QUIC_CRYPTO_ERROR + 256)
        return IROH_ERR_HANDSHAKE;
    if (code == QUIC_NO_VIABLE_PATH)
        return IROH_ERR_UNREACHABLE;
    return IROH_ERR_TRANSPORT;
}

static void set_reason(quic_close_info *info, const void *reason, size_t len) {
    info->reason_len = len < sizeof info->reason ? len : sizeof info->reason;
    if (info->reason_len > 0)
        memcpy(info->reason, reason, info->reason_len);
}

// The first end counts. Null when there was one, or no memory is left to say which: then it is an internal error.
static quic_close_info *begin_close(quic_conn *c) {
    static const quic_close_info none = {0};
    if (c->close != NULL)
        return NULL;
    c->close = malloc(sizeof *c->close);
    if (c->close != NULL)
        *c->close = none;
    return c->close;
}

static void release_resources(quic_conn *c) {
    quic_dgrams_dispose(&c->dgrams_out);
    quic_sendbuf_dispose(&c->crypto.out);
    quic_sendbuf_init(&c->crypto.out);
}

static void enter(quic_conn *c, conn_state state, uint64_t now) {
    if (c->state == CONN_HANDSHAKING)
        quic_endpoint_handshake_over(c->ep, c, false);
    bool news = c->state < CONN_CLOSING;
    c->state = state;
    c->end_at = now + CLOSE_PTOS * quic_conn_max_pto(c);
    c->keep_alive_at = TIME_NEVER;
    release_resources(c);
    if (news)
        quic_conn_event(c, CONN_CLOSED);
    if (state != CONN_DEAD)
        quic_endpoint_schedule(c->ep, c);
}

void quic_conn_close(quic_conn *c, uint64_t code, const uint8_t *reason, size_t reason_len, uint64_t now) {
    if (c->state >= CONN_CLOSING)
        return;
    quic_close_info *info = begin_close(c);
    if (info == NULL) {
        quic_conn_end(c, IROH_ERR_NOMEM, now);
        return;
    }
    info->error = IROH_ERR_CLOSED;
    info->application = true;
    info->code = code;
    set_reason(info, reason, reason_len);
    c->close_spaces = ALL_SPACES;
    c->close_answer_at = 1;
    enter(c, CONN_CLOSING, now);
    quic_qlog_closed(c->qlog, now, true, true, code, (const char *)reason, reason_len);
}

void quic_conn_fail(quic_conn *c, int transport_code, uint64_t frame_type, const char *reason, uint64_t now) {
    if (c->state >= CONN_CLOSING)
        return;
    quic_close_info *info = begin_close(c);
    if (info == NULL) {
        quic_conn_end(c, IROH_ERR_NOMEM, now);
        return;
    }
    info->error = error_of_transport_code((uint64_t)transport_code);
    info->code = (uint64_t)transport_code;
    info->frame_type = frame_type;
    set_reason(info, reason, strlen(reason));
    c->close_spaces = ALL_SPACES;
    c->close_answer_at = 1;
    enter(c, CONN_CLOSING, now);
    quic_qlog_closed(c->qlog, now, true, false, (uint64_t)transport_code, reason, strlen(reason));
}

void quic_conn_peer_closed(quic_conn *c, const quic_frame *f, uint64_t now) {
    if (c->state >= CONN_DRAINING)
        return;
    bool answered = c->state == CONN_CLOSING;
    quic_close_info *info = begin_close(c);
    bool application = f->type == FRAME_APPLICATION_CLOSE;
    if (info != NULL) {
        info->error = application ? IROH_ERR_PEER_CLOSED : error_of_transport_code(f->close.code);
        // The peer's application closed before it could say so to everybody (RFC 9000, section 10.2.3).
        if (!application && (f->close.code == QUIC_APPLICATION_ERROR || f->close.code == QUIC_NO_ERROR))
            info->error = IROH_ERR_PEER_CLOSED;
        info->by_peer = true;
        info->application = application;
        info->code = f->close.code;
        info->frame_type = application ? 0 : f->close.frame_type;
        set_reason(info, f->close.reason, f->close.reason_len);
    }
    // One answer, so that the peer knows and need not repeat itself.
    c->close_spaces = answered || c->close == NULL ? 0 : ALL_SPACES;
    enter(c, CONN_DRAINING, now);
    quic_qlog_closed(c->qlog, now, false, application, f->close.code, (const char *)f->close.reason,
                     f->close.reason_len);
}

void quic_conn_end(quic_conn *c, int error, uint64_t now) {
    bool first = c->close == NULL;
    quic_close_info *info = begin_close(c);
    if (info != NULL) {
        info->error = error;
        info->by_peer = error == IROH_ERR_STATELESS;
    }
    if (first && error != 0)
        quic_qlog_closed(c->qlog, now, error != IROH_ERR_STATELESS, false, 0, iroh_strerror(error),
                         strlen(iroh_strerror(error)));
    enter(c, CONN_DEAD, now);
    c->close_spaces = 0;
    quic_endpoint_retire(c->ep, c);
}

void quic_conn_close_datagram(quic_conn *c) {
    c->close_received++;
    if (c->close_received < c->close_answer_at)
        return;
    c->close_answer_at *= 2;
    c->close_spaces = ALL_SPACES;
}
