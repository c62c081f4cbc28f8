// Acknowledgements, loss and probes of a connection (RFC 9002): what the packet number spaces find out is turned into
// round-trip samples, congestion events and frames to send again.
#include <iroh/error.h>

#include "quic/conn_state.h"
#include "quic/endpoint.h"

#define PTO_EXPONENT_MAX 16
#define PTO_STEP_CAP NS_PER_S  // consecutive probe timeouts grow by at most this
#define PERSISTENT_PTOS 3
#define SILENT_ROUND_TRIPS 2  // of a path without an answer, after which another one is tried at the latest
#define ACK_DELAY_MAX (UINT64_C(1) << 32)    // larger ones make no difference and would not fit once scaled
#define FRAME_EXTENSIONS FRAME_PATH_ABANDON  // the first type of the control frames in conn_path_frames.c
#define CLIENT_PROBES 1
#define PROBES 2

// Where a reported frame was sent.
typedef struct frame_origin {
    quic_conn *c;
    quic_path *path;
    quic_space_id space;
    uint64_t now;  // for log_packet_lost alone
} frame_origin;

quic_space *quic_conn_space(quic_conn *c, quic_path *path, quic_space_id id) {
    if (id == QUIC_SPACE_DATA)
        return &path->data;
    return c->hs != NULL ? &c->hs->spaces[id] : NULL;
}

uint64_t quic_conn_in_flight(const quic_conn *c, const quic_path *path) {
    uint64_t sum = path->data.sent.in_flight;
    if (c->hs != NULL && path->id == 0)
        sum += c->hs->spaces[0].sent.in_flight + c->hs->spaces[1].sent.in_flight;
    return sum;
}

uint64_t quic_conn_pto(const quic_conn *c, const quic_path *path) {
    uint64_t delay = c->confirmed ? c->peer.max_ack_delay_ms * NS_PER_MS : 0;
    return quic_rtt_pto(&path->rtt) + delay;
}

// --- What happens to frames

// The ranges of an ACK need no repeating; it may have been about another path than the one that carried it.
static void ack_confirmed(const frame_origin *o, const quic_sent_frame *f) {
    quic_path *about = o->space == QUIC_SPACE_DATA ? quic_conn_path(o->c, (uint32_t)f->offset) : o->path;
    if (about != NULL)
        quic_acks_confirmed(&quic_conn_space(o->c, about, o->space)->acks, f->id);
}

static void frame_acked(void *user, const quic_sent_frame *f, uint64_t pn) {
    frame_origin *o = user;
    (void)pn;
    quic_crypto *crypto;
    switch (f->type) {
    case FRAME_CRYPTO:
        crypto = quic_conn_crypto(o->c, o->space);
        if (crypto != NULL)
            quic_sendbuf_acked(&crypto->out, f->offset, f->len);
        break;
    case FRAME_ACK:
        ack_confirmed(o, f);
        break;
    case FRAME_RETIRE_CONNECTION_ID:
        quic_conn_retire_acked(o->c, (uint32_t)f->offset);
        break;
    case FRAME_NEW_CONNECTION_ID:
    case FRAME_HANDSHAKE_DONE:
    case FRAME_NEW_TOKEN:
    case FRAME_OBSERVED_ADDRESS_V4:
        break;
    default:
        if (f->type >= FRAME_EXTENSIONS)
            quic_conn_control_acked(o->c, f);
        else
            quic_streams_acked(&o->c->streams, f);
        break;
    }
}

static void frame_lost(void *user, const quic_sent_frame *f, uint64_t pn) {
    frame_origin *o = user;
    (void)pn;
    quic_crypto *crypto;
    switch (f->type) {
    case FRAME_CRYPTO:
        crypto = quic_conn_crypto(o->c, o->space);
        if (crypto != NULL)
            quic_sendbuf_lost(&crypto->out, f->offset, f->len);
        break;
    case FRAME_ACK:
        break;
    case FRAME_NEW_CONNECTION_ID:
        quic_conn_cids_lost(o->c, (uint32_t)f->offset, f->id);
        break;
    case FRAME_RETIRE_CONNECTION_ID:
        quic_conn_retire_lost(o->c, (uint32_t)f->offset, f->id);
        break;
    case FRAME_HANDSHAKE_DONE:
        o->c->handshake_done_wanted = true;
        break;
    case FRAME_NEW_TOKEN:
        o->c->new_tokens_wanted++;
        break;
    case FRAME_OBSERVED_ADDRESS_V4:
        // A newer address has its own report.
        o->path->observed_wanted |= f->offset == o->path->generation && !o->path->abandoned;
        break;
    default:
        if (f->type >= FRAME_EXTENSIONS)
            quic_conn_control_lost(o->c, f);
        else
            quic_streams_lost(&o->c->streams, f);
        break;
    }
}

void quic_conn_frames_lost(quic_conn *c, quic_path *path, quic_space_id id, quic_sent *sent) {
    frame_origin o = {.c = c, .path = path, .space = id};
    quic_sent_drop_all(sent, quic_endpoint_frames(c->ep), frame_lost, &o);
}

void quic_conn_probe_frames(quic_conn *c, quic_path *path, quic_space_id id) {
    frame_origin o = {.c = c, .path = path, .space = id};
    quic_space *s = quic_conn_space(c, path, id);
    (void)quic_sent_probe_oldest(&s->sent, quic_endpoint_frames(c->ep), frame_lost, &o);
}

// --- Congestion

void quic_conn_refresh_pacer(quic_path *p, uint64_t now) {
    quic_pacer_update(&p->pacer, now, p->cc.window, p->rtt.smoothed, p->mtud.current, p->cc.pacing_rate,
                      p->cc.send_quantum);
}

static void report_loss(quic_conn *c, quic_path *p, const quic_loss_result *lost, uint64_t now) {
    if (lost->mtu_probe != 0) {
        quic_mtud_probe_lost(&p->mtud, now, (uint16_t)lost->mtu_probe);
        p->mtu_probes_lost++;
    }
    p->lost_packets += lost->lost_packets;
    p->lost_bytes += lost->lost_bytes;
    if (lost->lost_bytes == 0)
        return;
    if (quic_mtud_lost(&p->mtud, now, lost->largest_lost_pn, (uint16_t)lost->largest_lost_size)) {
        p->black_holes++;
        quic_cc_set_mss(&p->cc, p->mtud.current);
    }
    // Without a round trip known when they were sent, long silence says nothing (RFC 9002, section 7.6.2).
    bool measured = p->rtt_since <= lost->first_lost_time;
    uint64_t span = lost->last_lost_time - lost->first_lost_time;
    quic_cc_loss event = {
        .now = now,
        .bytes = lost->lost_bytes,
        .sent_time = lost->largest_lost_time,
        .in_flight = quic_conn_in_flight(c, p),
        .persistent = measured && span > PERSISTENT_PTOS * quic_conn_pto(c, p),
    };
    uint64_t events = p->cc.events;
    p->cc.ops->on_loss(&p->cc, &event);
    if (p->cc.events != events)
        p->event_lost = 0;
    p->event_lost += lost->lost_packets;
}

static void log_packet_lost(void *user, const quic_sent_packet *p, uint64_t pn, bool by_time) {
    const frame_origin *o = user;
    quic_packet_type type = o->space == QUIC_SPACE_INITIAL     ? QUIC_INITIAL
                            : o->space == QUIC_SPACE_HANDSHAKE ? QUIC_HANDSHAKE
                            : (p->flags & SENT_EARLY) != 0     ? QUIC_0RTT
                                                               : QUIC_1RTT;
    const quic_qlog_packet packet = {.type = type, .path = o->path->id, .pn = pn, .len = p->size};
    quic_qlog_packet_lost(o->c->qlog, o->now, &packet, (p->flags & SENT_MTU_PROBE) != 0, by_time);
}

static void detect_loss(quic_conn *c, quic_path *p, quic_space_id id, uint64_t now) {
    quic_space *s = quic_conn_space(c, p, id);
    frame_origin o = {.c = c, .path = p, .space = id, .now = now};
    const quic_loss_listener listener = {
        .packet = c->qlog != NULL ? log_packet_lost : NULL, .frame = frame_lost, .user = &o};
    quic_loss_result lost = {0};
    quic_sent_detect_loss(&s->sent, now, quic_rtt_loss_delay(&p->rtt), p->generation, quic_endpoint_frames(c->ep),
                          &listener, &lost);
    report_loss(c, p, &lost, now);
}

// ECN counts must cover what was marked; a rise of CE is a congestion event (RFC 9000, section 13.4.2; RFC 9002, 7.1).
static void check_ecn(quic_conn *c, quic_path *p, const quic_ack_frame *ack, const quic_ack_result *r, uint64_t now) {
    if (p->ecn_state == PATH_ECN_FAILED || r->acked_packets == 0)
        return;
    // An ACK that was overtaken carries older counts.
    if (!r->largest_newly_acked)
        return;
    uint64_t marked = ack->ect0 + ack->ce;
    if (!ack->ecn || marked < p->ecn_ect0_seen + p->ecn_ce_seen + r->acked_ect || marked > p->ecn_sent) {
        p->ecn_state = PATH_ECN_FAILED;
        return;
    }
    if (ack->ce > p->ecn_ce_seen) {
        quic_cc_loss event = {
            .now = now, .sent_time = r->latest_time, .in_flight = quic_conn_in_flight(c, p), .ecn = true};
        p->cc.ops->on_loss(&p->cc, &event);
    }
    p->ecn_state = PATH_ECN_CAPABLE;
    p->ecn_ect0_seen = ack->ect0;
    p->ecn_ce_seen = ack->ce;
}

// --- Acknowledgements

static void sample_rtt(quic_conn *c, quic_path *p, quic_space_id space, const quic_ack_frame *ack,
                       const quic_ack_result *r, const quic_path *via, uint64_t now) {
    if (!r->largest_newly_acked || !r->acked_eliciting)
        return;
    uint64_t sample = now > r->largest_time ? now - r->largest_time : 0;
    // An acknowledgement that had to find another way measures how long that took.
    if (via != p && sample > quic_conn_pto(c, p))
        return;
    uint64_t delay = 0;
    if (space == QUIC_SPACE_DATA)
        delay = (time_min(ack->delay, ACK_DELAY_MAX) << c->peer.ack_delay_exponent) * NS_PER_US;
    uint64_t max = c->peer.max_ack_delay_ms * NS_PER_MS;
    if (c->confirmed && delay > max)
        delay = max;
    if (!p->rtt.sampled)
        p->rtt_since = now;
    quic_rtt_sample(&p->rtt, sample, delay);
}

// A congestion event was none when every packet that it declared lost has arrived.
static void note_spurious(quic_path *p, uint64_t packets) {
    if (packets == 0)
        return;
    p->spurious += packets;
    bool all = p->event_lost > 0 && packets >= p->event_lost;
    p->event_lost -= time_min(packets, p->event_lost);
    if (all && p->cc.ops->on_spurious != NULL)
        p->cc.ops->on_spurious(&p->cc);
}

static void grow_window(quic_conn *c, quic_path *p, const quic_ack_result *r, uint64_t now) {
    if (r->mtu_probe != 0 && quic_mtud_probe_acked(&p->mtud, now, (uint16_t)r->mtu_probe))
        quic_cc_set_mss(&p->cc, p->mtud.current);
    note_spurious(p, r->spurious);
    if (r->acked_bytes == 0)
        return;
    quic_cc_ack event = {
        .now = now,
        .bytes = r->acked_bytes,
        .sent_time = r->latest_time,
        .in_flight = quic_conn_in_flight(c, p),
        .app_limited = p->app_limited,
        .rtt = &p->rtt,
        .stamp = r->stamped ? &r->stamp : NULL,
        .stamp_time = r->stamp_time,
    };
    p->cc.ops->on_ack(&p->cc, &event);
}

// The path is alive, and data may take it again: something arrived that was sent after it had fallen silent. Word of
// what arrived before that proves nothing, it came over another path.
static void note_alive(quic_conn *c, quic_path *p, uint64_t latest_time) {
    if (!quic_path_silent(p) || latest_time < p->silent_since)
        return;
    p->silent_since = TIME_NEVER;
    quic_conn_choose_path(c);
}

int quic_conn_on_ack(quic_conn *c, quic_space_id space_id, quic_path *p, const quic_ack_frame *ack,
                     const quic_path *via, uint64_t now) {
    quic_space *s = quic_conn_space(c, p, space_id);
    frame_origin o = {.c = c, .path = p, .space = space_id};
    quic_ack_result r = {0};
    int error = quic_sent_ack(&s->sent, ack, p->generation, quic_endpoint_frames(c->ep), frame_acked, &o, &r);
    if (error != 0 || r.acked_packets + r.spurious == 0)
        return error;
    if (space_id == QUIC_SPACE_DATA && p->phase_first_sent != QUIC_PN_NONE && ack->largest >= p->phase_first_sent)
        c->keys.update_acked = true;
    if (space_id == QUIC_SPACE_DATA)
        note_alive(c, p, r.latest_time);
    sample_rtt(c, p, space_id, ack, &r, via, now);
    if (space_id == QUIC_SPACE_DATA)
        check_ecn(c, p, ack, &r, now);
    if (r.largest_size != 0)
        quic_mtud_acked(&p->mtud, r.largest_size_pn, (uint16_t)r.largest_size);
    detect_loss(c, p, space_id, now);
    grow_window(c, p, &r, now);
    quic_conn_refresh_pacer(p, now);
    // A server may be blocked by the amplification limit: a client backs off until it knows better (RFC 9002, 6.2.1).
    if (c->hs != NULL && c->role == QUIC_CLIENT && space_id == QUIC_SPACE_HANDSHAKE)
        c->hs->peer_completed_validation = true;
    if (r.acked_eliciting && (c->hs == NULL || c->role == QUIC_SERVER || c->hs->peer_completed_validation))
        p->pto_count = 0;
    quic_qlog_metrics(c->qlog, now, p->id, &p->rtt, p->cc.window, quic_conn_in_flight(c, p));
    return 0;
}

// --- Timers

// The k-th interval doubles, but never grows by more than PTO_STEP_CAP: a peer that comes back after an outage is
// heard within a second or so.
static uint64_t backed_off(uint64_t base, uint32_t count) {
    uint64_t interval = base;
    for (uint32_t i = 0; i < count && i < PTO_EXPONENT_MAX; i++)
        interval = time_min(2 * interval, interval + PTO_STEP_CAP);
    return interval;
}

static uint64_t earliest_loss(const quic_conn *c, const quic_path *p, quic_space_id *space) {
    uint64_t at = p->data.sent.loss_time;
    *space = QUIC_SPACE_DATA;
    for (int i = 0; c->hs != NULL && p->id == 0 && i < 2; i++) {
        if (c->hs->spaces[i].sent.loss_time < at) {
            at = c->hs->spaces[i].sent.loss_time;
            *space = (quic_space_id)i;
        }
    }
    return at;
}

static uint64_t space_pto(const quic_conn *c, const quic_path *p, const quic_space *s, bool data) {
    if (s->sent.eliciting == 0)
        return TIME_NEVER;
    uint64_t base = data ? quic_conn_pto(c, p) : quic_rtt_pto(&p->rtt);
    uint64_t since = s->sent.last_eliciting_time;
    // With another path to turn to it is worth knowing at once that nothing is heard on this one, even while it is sent
    // on (an application that goes on writing little would put the timeout off for ever).
    if (data && c->path_count > 1 && p->pto_count == 0 && !quic_path_silent(p)) {
        since = quic_sent_oldest(&s->sent);
        base = time_min(base, SILENT_ROUND_TRIPS * p->rtt.smoothed + c->peer.max_ack_delay_ms * NS_PER_MS);
    }
    return since + backed_off(base, p->pto_count);
}

// A client keeps probing until it knows that the server has validated its address, even with nothing in flight, or
// both could wait for ever (RFC 9002, section 6.2.2.1).
static uint64_t deadlock_pto(const quic_conn *c, const quic_path *p) {
    if (c->hs == NULL || p->id != 0 || c->role != QUIC_CLIENT || c->hs->peer_completed_validation)
        return TIME_NEVER;
    if (c->hs->spaces[0].sent.eliciting + c->hs->spaces[1].sent.eliciting > 0)
        return TIME_NEVER;
    return p->pto_base + backed_off(quic_rtt_pto(&p->rtt), p->pto_count);
}

static uint64_t earliest_pto(const quic_conn *c, const quic_path *p, quic_space_id *space) {
    uint64_t at = TIME_NEVER;
    *space = QUIC_SPACE_DATA;
    for (int i = 0; c->hs != NULL && p->id == 0 && i < 2; i++) {
        uint64_t t = space_pto(c, p, &c->hs->spaces[i], false);
        if (t < at) {
            at = t;
            *space = (quic_space_id)i;
        }
    }
    uint64_t t = deadlock_pto(c, p);
    if (t < at) {
        at = t;
        *space = quic_keys_present(&c->hs->write[1]) ? QUIC_SPACE_HANDSHAKE : QUIC_SPACE_INITIAL;
    }
    // Before the handshake is confirmed the peer may be unable to read 1-RTT packets (RFC 9002, section 6.2.1).
    t = c->confirmed && !p->abandoned ? space_pto(c, p, &p->data, true) : TIME_NEVER;
    if (t < at) {
        at = t;
        *space = QUIC_SPACE_DATA;
    }
    return at;
}

uint64_t quic_conn_loss_deadline(const quic_conn *c, const quic_path *p, uint64_t now) {
    (void)now;
    quic_space_id space;
    uint64_t at = earliest_loss(c, p, &space);
    if (at != TIME_NEVER)
        return at;
    // A server at its amplification limit can send nothing: probing waits for the client (RFC 9002, 6.2.2.1).
    if (quic_path_credit(p) < QUIC_MIN_INITIAL)
        return TIME_NEVER;
    return earliest_pto(c, p, &space);
}

// The path fell silent: what is on it goes again on another one, if there is a better one now. Should it arrive after
// all, the acknowledgements still tell.
static void turn_elsewhere(quic_conn *c, quic_path *p, uint64_t now) {
    if (!quic_path_silent(p))
        p->silent_since = now;
    quic_conn_choose_path(c);
    if (quic_conn_path_carries_data(c, p))
        return;
    frame_origin o = {.c = c, .path = p, .space = QUIC_SPACE_DATA};
    quic_sent_probe_all(&p->data.sent, quic_endpoint_frames(c->ep), frame_lost, &o);
}

void quic_conn_loss_timeout(quic_conn *c, quic_path *p, uint64_t now) {
    quic_space_id id;
    if (earliest_loss(c, p, &id) != TIME_NEVER) {
        detect_loss(c, p, id, now);
        quic_conn_refresh_pacer(p, now);
        quic_conn_wake(c);
        return;
    }
    (void)earliest_pto(c, p, &id);
    p->pto_count++;
    p->pto_base = now;
    quic_space *s = quic_conn_space(c, p, id);
    s->probes = s->sent.eliciting == 0 ? CLIENT_PROBES : PROBES;
    if (id == QUIC_SPACE_DATA)
        turn_elsewhere(c, p, now);
    // Both levels' data may be stuck: probe Handshake as well when Initial does (coalesced into the same datagram).
    if (id == QUIC_SPACE_INITIAL && c->hs->spaces[1].sent.eliciting > 0)
        c->hs->spaces[1].probes = CLIENT_PROBES;
    quic_conn_wake(c);
}
