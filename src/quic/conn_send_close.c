// The last words of a connection: CONNECTION_CLOSE in every packet number space that the peer may be able to read.
#include "quic/conn_send.h"
#include "quic/endpoint.h"

static quic_frame close_frame(const quic_conn *c, quic_packet_type type) {
    const quic_close_info *info = c->close;
    if (c->state == CONN_DRAINING)
        return (quic_frame){.type = FRAME_CONNECTION_CLOSE};
    // The application's code and reason are not for those who can read the handshake (RFC 9000, section 10.2.3).
    if (info->application && type != QUIC_1RTT)
        return (quic_frame){.type = FRAME_CONNECTION_CLOSE, .close = {.code = QUIC_APPLICATION_ERROR}};
    quic_frame f = {.type = info->application ? FRAME_APPLICATION_CLOSE : FRAME_CONNECTION_CLOSE};
    f.close.code = info->code;
    f.close.frame_type = info->frame_type;
    f.close.reason = info->reason;
    f.close.reason_len = info->reason_len;
    return f;
}

static bool put_close(const quic_conn *c, quic_open_packet *k) {
    const size_t head = 1 + 3 * VARINT_SIZE_MAX;
    quic_frame f = close_frame(c, k->type);
    if (writer_left(&k->b.w) < head)
        return false;
    if (f.close.reason_len > writer_left(&k->b.w) - head)
        f.close.reason_len = writer_left(&k->b.w) - head;
    quic_frame_encode(&k->b.w, &f);
    return !k->b.w.failed;
}

// Everything that was received, whether it was said before or not: nothing is said later, and without it a peer could
// not tell a close after all of its data had arrived from a loss.
static void put_acks(quic_conn *c, quic_path *p, quic_open_packet *k, quic_space_id id, uint64_t now) {
    if (id != QUIC_SPACE_DATA) {
        quic_open_packet_put_ack(c, p, k->space, k, now, false);
        return;
    }
    for (size_t i = 0; i < c->path_count; i++)
        quic_open_packet_put_ack(c, c->paths[i], &c->paths[i]->data, k, now, false);
}

static bool close_packet(quic_conn *c, quic_path *p, quic_open_packet *k, quic_space_id id, uint8_t *at, size_t room,
                         uint64_t now) {
    static const quic_packet_type types[QUIC_SPACES] = {QUIC_INITIAL, QUIC_HANDSHAKE, QUIC_1RTT};
    if ((c->close_spaces & (1 << id)) == 0 || (id != QUIC_SPACE_DATA && c->hs == NULL))
        return false;
    if (!quic_open_packet_begin(c, p, k, types[id], at, room, now))
        return false;
    // First the close: acknowledgements only where they fit.
    if (!put_close(c, k)) {
        quic_open_packet_abandon(k);
        return false;
    }
    put_acks(c, p, k, id, now);
    return true;
}

size_t quic_conn_build_close(quic_conn *c, quic_path *p, uint8_t *room, uint64_t now) {
    uint8_t *end = room + QUIC_MIN_INITIAL;
    uint8_t *at = room;
    quic_open_packet last = {0};
    bool pad = false;
    if (quic_path_credit(p) < QUIC_MIN_INITIAL) {
        c->close_spaces = 0;
        return 0;
    }
    for (int id = QUIC_SPACE_INITIAL; id < QUIC_SPACES; id++) {
        uint8_t *next = last.open ? last.b.w.p + AEAD_TAG : at;
        quic_open_packet k;
        if (end - next <= PACKET_ROOM_MIN ||
            !close_packet(c, p, &k, (quic_space_id)id, next, (size_t)(end - next), now))
            continue;
        if (last.open)
            at += quic_open_packet_finish(c, p, &last, now);
        last = k;
        pad |= k.type == QUIC_INITIAL && c->role == QUIC_CLIENT;
    }
    c->close_spaces = 0;
    if (!last.open)
        return 0;
    if (pad)
        quic_open_packet_pad(&last, (size_t)(end - last.start));
    at += quic_open_packet_finish(c, p, &last, now);
    quic_conn_account(c, p, (size_t)(at - room), false, now);
    return (size_t)(at - room);
}
