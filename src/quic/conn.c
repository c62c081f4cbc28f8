// A connection's life outside packets: making, freeing, the application's calls and the events it gets.
#include <stdlib.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/hkdf.h"
#include "quic/conn_state.h"
#include "quic/endpoint.h"

void quic_transport_default(quic_transport *t) {
    *t = (quic_transport){
        .idle_timeout = 30 * NS_PER_S,
        .keep_alive = 5 * NS_PER_S,
        .streams_bidi = 100,
        .streams_uni = 100,
        .stream_window = 1250000,
        .conn_window = UINT64_C(16) << 20,
        .send_buffer = 10000000,
        .initial_rtt = RTT_INITIAL,
        .mtu_max = MTUD_MAX_DEFAULT,
        .congestion = &quic_cc_cubic,
        .datagrams = true,
        .skip_packet_numbers = true,
        .server_migration = true,
        .key_update_after = 0,
        .ack_threshold = 1,
        .paths = CONN_PATHS_OPEN_MAX,
        .path_idle_timeout = 15 * NS_PER_S,
        .path_keep_alive = 5 * NS_PER_S,
        .nat_candidates = 32,
        .send_new_tokens = true,
    };
}

// The largest datagram that a path may get. A peer's limit just above what Ethernet carries is that of its buffers, not of
// a network with jumbo frames, and it sends no such datagrams itself.
static uint64_t mtu_limit(const quic_conn *c) {
    uint64_t own = c->transport.mtu_max, theirs = c->peer.max_udp_payload_size;
    if (!c->peer_params_known || theirs >= own)
        return own;
    return theirs > MTUD_MAX_DEFAULT && theirs < MTUD_JUMBO_MIN ? MTUD_MAX_DEFAULT : theirs;
}

quic_path_config quic_conn_path_config(const quic_conn *c) {
    uint64_t mtu = mtu_limit(c);
    return (quic_path_config){
        .congestion = c->transport.congestion,
        .initial_rtt = c->transport.initial_rtt,
        .mtu_max = (uint16_t)mtu,
        .skip_packet_numbers = c->transport.skip_packet_numbers,
        .limited = c->role == QUIC_SERVER,
    };
}

static quic_handshake *handshake_new(void) {
    quic_handshake *hs = calloc(1, sizeof *hs);
    if (hs == NULL)
        return NULL;
    for (size_t i = 0; i < 2; i++) {
        quic_sent_init(&hs->spaces[i].sent);
        quic_acks_init(&hs->spaces[i].acks);
        quic_sendbuf_init(&hs->crypto[i].out);
        quic_recvbuf_init(&hs->crypto[i].in);
    }
    return hs;
}

void quic_handshake_free(quic_conn *c) {
    quic_handshake *hs = c->hs;
    if (hs == NULL)
        return;
    for (size_t i = 0; i < 2; i++) {
        quic_sent_dispose(&hs->spaces[i].sent, quic_endpoint_frames(c->ep));
        quic_acks_dispose(&hs->spaces[i].acks);
        quic_keys_dispose(&hs->read[i]);
        quic_keys_dispose(&hs->write[i]);
        quic_sendbuf_dispose(&hs->crypto[i].out);
        quic_recvbuf_dispose(&hs->crypto[i].in);
    }
    quic_keys_dispose(&hs->early);
    free(hs->token);
    free(hs);
    c->hs = NULL;
}

static void streams_setup(quic_conn *c, const quic_conn_new_config *config) {
    quic_streams_config streams = {
        .role = config->role,
        .streams_bidi = c->transport.streams_bidi,
        .streams_uni = c->transport.streams_uni,
        .stream_window = c->transport.stream_window,
        .conn_window = c->transport.conn_window,
        .send_buffer = c->transport.send_buffer,
        .map_seed = {config->map_seed[0], config->map_seed[1]},
    };
    quic_streams_init(&c->streams, &streams);
    quic_dgrams_init(&c->dgrams_out, DGRAM_SEND_MAX);
    quic_dgrams_init(&c->dgrams_in, DGRAM_RECEIVE_MAX);
}

static int client_setup(quic_conn *c, const quic_conn_new_config *config) {
    const quic_connect_config *connect = config->connect;
    quic_handshake *hs = c->hs;
    hs->remote_count = (uint8_t)connect->remote_count;
    memcpy(hs->remotes, connect->remotes, connect->remote_count * sizeof *connect->remotes);
    hs->fanout_next = hs->remote_count;
    c->peer_key_known = connect->peer_key != NULL;
    if (c->peer_key_known)
        memcpy(c->peer_key, connect->peer_key, 32);
    c->path->validated = true;
    return 0;
}

// The parts of a connection that need nothing but memory.
static int allocate(quic_conn *c, const quic_conn_new_config *config, uint64_t now) {
    c->hs = handshake_new();
    quic_path_cids *cids = quic_conn_cids_add(c, 0);
    if (c->hs == NULL || cids == NULL)
        return IROH_ERR_NOMEM;
    c->path = quic_conn_path_add(c, cids, &config->remote, &config->local, now);
    if (c->path == NULL)
        return IROH_ERR_NOMEM;
    c->hs->original_dcid = config->odcid;
    c->hs->retried = config->retried;
    c->hs->retry_scid = config->retry_scid;
    c->path->validated = config->validated;
    c->scid.len = QUIC_LOCAL_CID;
    int r = quic_endpoint_issue_cid(c->ep, cids, c->scid.bytes);
    if (r != 0)
        return r;
    const quic_cid *first = config->role == QUIC_CLIENT ? &config->odcid : &config->peer_scid;
    quic_peer_cids_init(&cids->peer, first);
    return config->role == QUIC_CLIENT ? client_setup(c, config) : 0;
}

int quic_conn_new(quic_endpoint *ep, const quic_conn_new_config *config, uint64_t now, quic_conn **out) {
    quic_conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return IROH_ERR_NOMEM;
    c->ep = ep;
    c->role = config->role;
    c->transport = *config->transport;
    list_init(&c->event_link);
    list_init(&c->send_link);
    list_init(&c->all_link);
    list_init(&c->off_path);
    list_init(&c->path_events);
    c->keep_alive_at = c->end_at = c->tls_until = TIME_NEVER;
    c->keys.discard_previous_at = TIME_NEVER;
    c->idle_timeout = c->transport.idle_timeout;
    c->idle_at = c->idle_timeout != 0 ? now + c->idle_timeout : TIME_NEVER;
    c->ack_policy =
        (quic_ack_policy){.threshold = c->transport.ack_threshold, .reordering = 1, .max_delay = 25 * NS_PER_MS};
    c->spin = (entropy_u64(quic_endpoint_random(ep)) & 1) != 0;
    quic_params_default(&c->peer);
    quic_sendbuf_init(&c->crypto.out);
    quic_recvbuf_init(&c->crypto.in);
    streams_setup(c, config);
    int r = allocate(c, config, now);
    if (r == 0)
        r = quic_conn_tls_start(c, config, now);
    if (r != 0) {
        c->state = CONN_DEAD;
        c->released = true;
        quic_endpoint_retire(ep, c);
        return r;
    }
    *out = c;
    return 0;
}

void quic_conn_free(quic_conn *c) {
    if (c == NULL)
        return;
    quic_conn_tls_drop(c);
    quic_handshake_free(c);
    quic_conn_multipath_free(c);
    quic_key_phases_dispose(&c->keys);
    wipe(c->exporter, sizeof c->exporter);
    quic_conn_drop_session(c);
    quic_sendbuf_dispose(&c->crypto.out);
    quic_recvbuf_dispose(&c->crypto.in);
    quic_streams_dispose(&c->streams);
    quic_dgrams_dispose(&c->dgrams_out);
    quic_dgrams_dispose(&c->dgrams_in);
    quic_qlog_free(c->qlog);
    free(c->alpn);
    free(c->new_token);
    free(c->past);
    free(c->close);
    free(c);
}

void quic_conn_event(quic_conn *c, uint32_t events) {
    c->events |= events;
    if (!c->released && c->events != 0)
        quic_endpoint_notify(c->ep, c);
}

void quic_conn_set_user(quic_conn *c, void *user) {
    c->user = user;
}

void *quic_conn_user(const quic_conn *c) {
    return c->user;
}

void quic_conn_release(quic_conn *c, uint64_t now) {
    if (c->state < CONN_CLOSING)
        quic_conn_close(c, 0, NULL, 0, now);
    c->released = true;
    c->user = NULL;
    list_remove(&c->event_link);
    if (c->state == CONN_DEAD)
        quic_endpoint_retire(c->ep, c);
}

quic_streams *quic_conn_streams(quic_conn *c) {
    return &c->streams;
}

quic_conn *quic_conn_of_stream(const quic_stream *st) {
    return list_entry(st->owner, quic_conn, streams);
}

void quic_conn_wake(quic_conn *c) {
    if (c->state < CONN_DRAINING)
        quic_endpoint_schedule(c->ep, c);
}

bool quic_conn_is_client(const quic_conn *c) {
    return c->role == QUIC_CLIENT;
}

bool quic_conn_connected(const quic_conn *c) {
    return c->exporter_len != 0;
}

bool quic_conn_closed(const quic_conn *c) {
    return c->state >= CONN_CLOSING;
}

const quic_close_info *quic_conn_close_info(const quic_conn *c) {
    static const quic_close_info open = {0};
    return c->close != NULL ? c->close : &open;
}

const uint8_t *quic_conn_peer_key(const quic_conn *c) {
    return c->peer_key_known ? c->peer_key : NULL;
}

const uint8_t *quic_conn_alpn(const quic_conn *c, size_t *len) {
    *len = c->alpn_len;
    return c->alpn;
}

addr quic_conn_remote(const quic_conn *c) {
    return c->path->remote;
}

static void add_counts(quic_conn_stats *sum, const quic_path *p) {
    sum->congestion_events += p->cc.events;
    sum->lost_packets += p->lost_packets;
    sum->lost_bytes += p->lost_bytes;
    sum->spurious += p->spurious;
    sum->bytes_sent += p->bytes_out;
    sum->bytes_received += p->bytes_in;
    sum->datagrams_sent += p->datagrams_out;
    sum->datagrams_received += p->datagrams_in;
    sum->mtu_probes += p->mtu_probes;
    sum->mtu_probes_lost += p->mtu_probes_lost;
    sum->black_holes += p->black_holes;
}

void quic_conn_count_past(quic_conn *c, const quic_path *p) {
    if (c->past == NULL)
        c->past = calloc(1, sizeof *c->past);
    if (c->past != NULL)
        add_counts(c->past, p);
}

void quic_conn_stats_get(const quic_conn *c, quic_conn_stats *out) {
    const quic_path *p = c->path;
    *out = c->past != NULL ? *c->past : (quic_conn_stats){0};
    for (size_t i = 0; i < c->path_count; i++)
        add_counts(out, c->paths[i]);
    out->rtt = p->rtt;
    out->window = p->cc.window;
    out->in_flight = quic_conn_in_flight(c, p);
    out->packets_sent = c->packets_sent;
    out->packets_received = c->packets_received;
    out->key_updates = c->keys.generation;
    out->streams_opened = c->streams_opened;
    out->streams_accepted = c->streams_accepted;
    out->mtu = p->mtud.current;
    out->suite = c->keys.suite != NULL ? c->keys.suite->id : 0;
}

int quic_conn_export(const quic_conn *c, const void *label, size_t label_len, const void *context, size_t context_len,
                     uint8_t *out, size_t len) {
    if (c->exporter_len == 0)
        return IROH_ERR_AGAIN;
    return hkdf_tls_export(c->exporter_len, c->exporter, label, label_len, context, context_len, out, len);
}

int quic_conn_update_keys(quic_conn *c, uint64_t now) {
    // A second update before the first is acknowledged would leave the peer without a key (RFC 9001, section 6.1).
    if (c->state != CONN_OPEN || !c->confirmed || (c->keys.generation > 0 && !c->keys.update_acked))
        return IROH_ERR_AGAIN;
    int r = quic_conn_phase_update(c, now, false);
    if (r != 0)
        return r;
    c->path->ping_wanted = !c->path->abandoned;
    quic_conn_wake(c);
    return 0;
}

// Both directions move on at once, on all paths.
int quic_conn_phase_update(quic_conn *c, uint64_t now, bool by_peer) {
    int r = quic_key_phases_update(&c->keys, now, 3 * quic_conn_max_pto(c));
    if (r != 0)
        return r;
    for (size_t i = 0; i < c->path_count; i++)
        c->paths[i]->phase_first_sent = c->paths[i]->data.sent.next;
    c->keys.update_acked = false;
    c->keys.unanswered = by_peer;
    quic_qlog_key_updated(c->qlog, now, c->keys.generation, by_peer);
    return 0;
}

void quic_conn_set_max_streams(quic_conn *c, bool bidi, uint64_t count) {
    c->streams.window_remote[bidi ? 0 : 1] = count;
    c->streams.max_streams_wanted[bidi ? 0 : 1] = true;
    quic_conn_wake(c);
}

bool quic_conn_resumed(const quic_conn *c) {
    return c->resumed;
}

bool quic_conn_can_send_early(const quic_conn *c) {
    return c->hs != NULL && c->role == QUIC_CLIENT && c->hs->want_early && quic_keys_present(&c->hs->early);
}

int quic_conn_early_accepted(const quic_conn *c) {
    if (!c->early_attempted)
        return IROH_ERR_ARG;
    if (!quic_conn_connected(c))
        return IROH_ERR_AGAIN;
    return c->early_accepted ? 1 : 0;
}

// A datagram may have to go over any of the paths.
static uint16_t smallest_mtu(const quic_conn *c) {
    uint16_t mtu = c->path->mtud.current;
    for (size_t i = 0; i < c->path_count; i++) {
        const quic_path *p = c->paths[i];
        if (!p->abandoned && p->validated && p->mtud.current < mtu)
            mtu = p->mtud.current;
    }
    return mtu;
}

int quic_conn_datagram_max(const quic_conn *c) {
    const quic_params *peer = &c->peer;
    if (!c->peer_params_known || peer->max_datagram_frame_size == 0)
        return IROH_ERR_UNSUPPORTED;
    // Type, length and the largest packet header; the connection id's length is the peer's choice.
    const quic_cid *dcid = quic_path_dcid(c->path);
    size_t cid = dcid != NULL ? dcid->len : QUIC_CID_MAX;
    uint64_t room = smallest_mtu(c) - (1 + cid + 4 + AEAD_TAG) - (1 + VARINT_SIZE_MAX);
    uint64_t allowed = peer->max_datagram_frame_size > 9 ? peer->max_datagram_frame_size - 9 : 0;
    return (int)(allowed < room ? allowed : room);
}

int quic_conn_datagram_send(quic_conn *c, const uint8_t *data, size_t len, bool drop_oldest) {
    if (c->state >= CONN_CLOSING)
        return IROH_ERR_CLOSED;
    int max = quic_conn_datagram_max(c);
    if (max < 0)
        return max;
    if (len > (size_t)max)
        return IROH_ERR_TOO_LARGE;
    int r = quic_dgrams_push(&c->dgrams_out, data, len, drop_oldest);
    if (r == 0)
        quic_conn_wake(c);
    return r;
}

bool quic_conn_datagram_waits(const quic_conn *c) {
    return !quic_dgrams_empty(&c->dgrams_in);
}

int quic_conn_datagram_read(quic_conn *c, uint8_t *out, size_t room) {
    return quic_dgrams_pop(&c->dgrams_in, out, room);
}

uint8_t *quic_conn_take_session(quic_conn *c, size_t *len) {
    uint8_t *blob = quic_session_encode(c, len);
    quic_conn_drop_session(c);
    return blob;
}

uint8_t *quic_conn_take_token(quic_conn *c, size_t *len) {
    uint8_t *token = c->new_token;
    *len = c->new_token_len;
    c->new_token = NULL;
    c->new_token_len = 0;
    return token;
}
