// One packet on its way out: header, frames by others, padding, sealing, and the record of what was sent.
#include <iroh/error.h>

#include "quic/conn_send.h"
#include "quic/endpoint.h"

#define CRYPTO_HEAD_MAX 13            // type, offset and length of a CRYPTO frame
#define UPDATE_MARGIN 10000           // packets before the confidentiality limit at which keys are updated
#define ACK_EXPONENT 3                // of our ack_delay, as in the transport parameters
#define SENT_MAX (UINT64_C(1) << 18)  // unacknowledged numbers of a space beyond which only probes leave

static void maybe_update_keys(quic_conn *c, uint64_t now) {
    quic_key_phases *k = &c->keys;
    if (k->sealed < k->update_after || !c->confirmed || (k->generation > 0 && !k->update_acked))
        return;
    if (quic_conn_phase_update(c, now, false) != 0)
        return;
    uint64_t limit = k->suite->confidentiality_limit;
    k->update_after = limit > UPDATE_MARGIN ? limit - UPDATE_MARGIN : limit;
}

static bool choose_keys(quic_conn *c, quic_open_packet *k) {
    switch (k->type) {
    case QUIC_INITIAL:
        k->keys = &c->hs->write[0];
        break;
    case QUIC_HANDSHAKE:
        k->keys = &c->hs->write[1];
        break;
    case QUIC_0RTT:
        k->keys = &c->hs->early;
        break;
    default:
        k->keys = &c->keys.write;
        break;
    }
    k->hp = k->keys->hp;
    return quic_keys_present(k->keys);
}

static void write_header(quic_conn *c, const quic_cid *dcid, quic_open_packet *k, writer *w) {
    if (k->type == QUIC_1RTT) {
        k->pn_offset = quic_packet_write_short(w, dcid, c->spin, c->keys.phase, k->pn, k->pn_size);
        return;
    }
    bool token = k->type == QUIC_INITIAL && c->role == QUIC_CLIENT;
    k->pn_offset = quic_packet_write_long(w, k->type, dcid, &c->scid, token ? c->hs->token : NULL,
                                          token ? c->hs->token_len : 0, k->pn, k->pn_size);
}

// Takes the next number, after one that is left out on purpose if it is that one's turn.
static bool take_number(quic_conn *c, quic_path *p, quic_open_packet *k, bool data) {
    quic_sent *sent = &k->space->sent;
    // Congestion control does not hold back acknowledgements; a peer that never acknowledges them must not fill memory.
    if (k->space->probes == 0 && c->state < CONN_CLOSING && quic_sent_full(sent, SENT_MAX))
        return false;
    if (quic_sent_reserve(sent) != 0)
        return false;
    if (data && p->skip_at == sent->next) {
        if (quic_sent_skip(sent) != 0 || quic_sent_reserve(sent) != 0)
            return false;
        quic_path_choose_skip(p, quic_endpoint_random(c->ep));
    }
    k->pn = sent->next;
    k->pn_size = quic_pn_size(k->pn, sent->largest_acked);
    return true;
}

bool quic_open_packet_begin(quic_conn *c, quic_path *p, quic_open_packet *k, quic_packet_type type, uint8_t *at,
                            size_t room, uint64_t now) {
    *k = (quic_open_packet){.type = type, .start = at};
    quic_space_id id = type == QUIC_INITIAL     ? QUIC_SPACE_INITIAL
                       : type == QUIC_HANDSHAKE ? QUIC_SPACE_HANDSHAKE
                                                : QUIC_SPACE_DATA;
    const quic_cid *dcid = quic_path_dcid(p);
    k->space = quic_conn_space(c, p, id);
    if (type == QUIC_1RTT)
        maybe_update_keys(c, now);
    if (k->space == NULL || dcid == NULL || !choose_keys(c, k) || !take_number(c, p, k, id == QUIC_SPACE_DATA))
        return false;
    writer w = writer_of(at, room);
    write_header(c, dcid, k, &w);
    if (w.failed || writer_left(&w) < AEAD_TAG + 4)
        return false;
    k->b = (quic_builder){
        .w = writer_of(w.p, writer_left(&w) - AEAD_TAG),
        .pool = quic_endpoint_frames(c->ep),
    };
    k->open = true;
    return true;
}

static void pad_payload(quic_builder *b, size_t payload) {
    size_t now = writer_len(&b->w);
    if (payload <= now)
        return;
    uint8_t *at = writer_room(&b->w, payload - now);
    if (at != NULL)
        memset(at, FRAME_PADDING, payload - now);
}

void quic_open_packet_pad(quic_open_packet *k, size_t size) {
    size_t head = k->pn_offset + k->pn_size + AEAD_TAG;
    if (size > head)
        pad_payload(&k->b, size - head);
}

static void note_elicited(quic_conn *c, quic_path *p, uint64_t now) {
    p->unelicited = 0;
    // The first packet after a receive that asks for an answer restarts the idle timers, further ones do not.
    if (!c->idle_restarted_by_send) {
        quic_conn_idle_restart(c, now);
        c->idle_restarted_by_send = true;
    }
    if (!p->idle_restarted_by_send) {
        quic_conn_path_active(c, p, now);
        p->idle_restarted_by_send = true;
    }
}

static void tell_congestion(quic_conn *c, quic_path *p, quic_open_packet *k, size_t len, uint64_t now) {
    uint64_t in_flight = quic_conn_in_flight(c, p), rate = p->cc.pacing_rate;
    p->cc.ops->on_sent(&p->cc, now, len, in_flight);
    quic_stamp *stamp = quic_sent_stamp(&k->space->sent);
    if (stamp != NULL)
        *stamp = p->cc.ops->stamp(&p->cc, in_flight);
    if (p->cc.pacing_rate != rate)
        quic_conn_refresh_pacer(p, now);
}

size_t quic_open_packet_finish(quic_conn *c, quic_path *p, quic_open_packet *k, uint64_t now) {
    if (writer_len(&k->b.w) + k->pn_size < 4)
        pad_payload(&k->b, 4 - k->pn_size);
    size_t payload = writer_len(&k->b.w);
    size_t len = k->pn_offset + k->pn_size + payload + AEAD_TAG;
    if (k->type != QUIC_1RTT)
        quic_packet_set_length(k->start, k->pn_offset, len);
    quic_qlog_packet_sent(c->qlog, now, &(quic_qlog_packet){k->type, p->id, k->pn, len}, k->b.w.start, payload);
    int r = quic_packet_seal(k->keys, k->hp, k->start, k->pn_offset, k->pn_size, payload, p->id, k->pn);
    if (r < 0)
        return 0;
    if (k->type == QUIC_1RTT)
        c->keys.sealed++;
    if (p->ecn_state != PATH_ECN_FAILED && !k->unmarked)
        k->b.flags |= SENT_ECT;
    if (k->type == QUIC_0RTT)
        k->b.flags |= SENT_EARLY;
    quic_sent_add(&k->space->sent, now, (uint16_t)len, k->b.flags, p->generation, k->b.frames);
    k->open = false;
    c->packets_sent++;
    if ((k->b.flags & SENT_ACK_ELICITING) != 0)
        note_elicited(c, p, now);
    else
        p->unelicited++;
    if ((k->b.flags & SENT_IN_FLIGHT) != 0 && p->cc.ops->on_sent != NULL)
        tell_congestion(c, p, k, len, now);
    return len;
}

void quic_open_packet_abandon(quic_open_packet *k) {
    while (k->b.frames != NULL)
        quic_builder_unnote(&k->b);
    k->open = false;
}

void quic_open_packet_put(quic_open_packet *k, uint64_t type) {
    if (writer_left(&k->b.w) < 1)
        return;
    writer_u8(&k->b.w, (uint8_t)type);
    k->b.flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
}

void quic_open_packet_put_ack(quic_conn *c, const quic_path *p, quic_space *s, quic_open_packet *k, uint64_t now,
                              bool eliciting) {
    bool multipath = c->mp != NULL && k->type == QUIC_1RTT;
    uint64_t largest = s->acks.largest;
    if (largest == QUIC_PN_NONE || !quic_acks_write(&s->acks, &k->b.w, now, ACK_EXPONENT, multipath, p->id))
        return;
    if (k->type == QUIC_1RTT)
        c->keys.unanswered = false;
    if (!eliciting)
        return;
    // Noted without asking for an acknowledgement by itself.
    quic_sent_frame *f = pool_take(k->b.pool);
    if (f == NULL)
        return;
    *f = (quic_sent_frame){.next = k->b.frames, .type = FRAME_ACK, .id = largest, .offset = p->id};
    k->b.frames = f;
}

void quic_open_packet_put_crypto(quic_open_packet *k, quic_crypto *crypto) {
    quic_builder *b = &k->b;
    uint64_t offset;
    while (!b->full && writer_left(&b->w) > CRYPTO_HEAD_MAX) {
        size_t n = quic_sendbuf_next(&crypto->out, writer_left(&b->w) - CRYPTO_HEAD_MAX, UINT64_MAX, &offset);
        if (n == 0)
            return;
        quic_sent_frame *note = quic_builder_note(b, FRAME_CRYPTO);
        if (note == NULL)
            return;
        note->offset = offset;
        note->len = (uint32_t)n;
        writer_u8(&b->w, FRAME_CRYPTO);
        writer_varint(&b->w, offset);
        writer_varint(&b->w, n);
        quic_sendbuf_copy(&crypto->out, offset, writer_room(&b->w, n), n);
        quic_sendbuf_sent(&crypto->out, offset, n);
    }
}

void quic_conn_account(quic_conn *c, quic_path *p, size_t len, bool paced, uint64_t now) {
    p->bytes_out += len;
    p->datagrams_out++;
    if (!p->validated)
        p->sent += len;
    if (paced)
        quic_pacer_spend(&p->pacer, len);
    if (c->mp != NULL)
        p->keep_alive_at = p->keep_alive != 0 && !p->abandoned ? now + p->keep_alive : TIME_NEVER;
    if (c->transport.keep_alive != 0 && c->state == CONN_OPEN)
        c->keep_alive_at = now + c->transport.keep_alive;
}
