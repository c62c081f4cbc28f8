// TLS inside QUIC (RFC 9001, section 4): CRYPTO bytes in and out, keys as they come, transport parameters, 0-RTT, Retry,
// and the moments when a level's keys are dropped.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/conn_state.h"
#include "quic/endpoint.h"

#define TLS_KEEP_AFTER_HANDSHAKE (10 * NS_PER_S)  // how long a client waits for session tickets
#define KEY_UPDATE_FIRST_MIN 10
#define KEY_UPDATE_FIRST_RANGE 990

static quic_space_id space_of_level(tls_level level) {
    return level == TLS_INITIAL ? QUIC_SPACE_INITIAL : level == TLS_HANDSHAKE ? QUIC_SPACE_HANDSHAKE : QUIC_SPACE_DATA;
}

quic_crypto *quic_conn_crypto(quic_conn *c, quic_space_id id) {
    if (id == QUIC_SPACE_DATA)
        return &c->crypto;
    return c->hs != NULL ? &c->hs->crypto[id] : NULL;
}

static int on_send(void *user, tls_level level, const uint8_t *bytes, size_t len) {
    quic_conn *c = user;
    quic_crypto *crypto = quic_conn_crypto(c, space_of_level(level));
    if (crypto == NULL)
        return IROH_ERR_INTERNAL;
    return quic_sendbuf_write(&crypto->out, bytes, len);
}

static int install_application(quic_conn *c, bool write, const aead_suite *suite, const uint8_t *secret) {
    const entropy *random = quic_endpoint_random(c->ep);
    if (c->keys.suite == NULL) {
        c->keys.update_after = c->transport.key_update_after != 0
                                   ? c->transport.key_update_after
                                   : KEY_UPDATE_FIRST_MIN + entropy_below(random, KEY_UPDATE_FIRST_RANGE);
        c->keys.discard_previous_at = TIME_NEVER;
    }
    return quic_key_phases_install(&c->keys, suite, secret, write);
}

static int on_secret(void *user, tls_level level, bool write, const aead_suite *suite, const uint8_t *secret) {
    quic_conn *c = user;
    if (level == TLS_APPLICATION)
        return install_application(c, write, suite, secret);
    if (c->hs == NULL || level == TLS_INITIAL)
        return IROH_ERR_INTERNAL;
    if (level == TLS_EARLY)
        return quic_keys_init(&c->hs->early, suite, secret);
    quic_keys *k = write ? &c->hs->write[QUIC_SPACE_HANDSHAKE] : &c->hs->read[QUIC_SPACE_HANDSHAKE];
    return quic_keys_init(k, suite, secret);
}

static void on_ticket(void *user, const uint8_t *session, size_t len) {
    quic_conn *c = user;
    c->tickets++;
    uint8_t *copy = malloc(len > 0 ? len : 1);
    if (copy == NULL)
        return;  // only costs a later resumption
    memcpy(copy, session, len);
    quic_conn_drop_session(c);
    c->session = copy;
    c->session_len = len;
    quic_conn_event(c, CONN_SESSION);
}

static void on_keylog(void *user, const char *line) {
    quic_endpoint_keylog(((quic_conn *)user)->ep, line);
}

static const tls_callbacks callbacks = {.send = on_send, .secret = on_secret, .ticket = on_ticket};
static const tls_callbacks callbacks_keylog = {
    .send = on_send, .secret = on_secret, .ticket = on_ticket, .keylog = on_keylog};

static void own_params(const quic_conn *c, quic_params *p) {
    const quic_transport *t = &c->transport;
    quic_params_default(p);
    p->max_idle_timeout_ms = t->idle_timeout / NS_PER_MS;
    p->max_udp_payload_size = t->mtu_max > 1472 ? t->mtu_max : 1472;
    p->initial_max_data = t->conn_window;
    p->initial_max_stream_data_bidi_local = t->stream_window;
    p->initial_max_stream_data_bidi_remote = t->stream_window;
    p->initial_max_stream_data_uni = t->stream_window;
    p->initial_max_streams_bidi = t->streams_bidi;
    p->initial_max_streams_uni = t->streams_uni;
    p->active_connection_id_limit = CIDS_PEER_MAX;
    p->max_datagram_frame_size = t->datagrams ? 65535 : 0;
    p->has_min_ack_delay = true;
    p->min_ack_delay_us = CONN_MIN_ACK_DELAY_US;
    p->has_max_path_id = t->paths >= 2;
    p->max_path_id = t->paths >= 2 ? t->paths - 1 : 0;
    p->has_nat_traversal = t->paths >= 2 && t->nat_candidates > 0;
    p->nat_traversal = t->nat_candidates;
    p->has_address_discovery = t->send_observed || t->receive_observed;
    p->address_discovery = t->send_observed && t->receive_observed ? 2 : t->receive_observed ? 1 : 0;
    p->has_initial_scid = true;
    p->initial_scid = c->scid;
    if (c->role == QUIC_CLIENT)
        return;
    p->has_original_dcid = true;
    p->original_dcid = c->hs->original_dcid;
    p->has_retry_scid = c->hs->retried;
    p->retry_scid = c->hs->retry_scid;
    p->has_reset_token = true;
    quic_endpoint_reset_token_for(c->ep, c->scid.bytes, p->reset_token);
}

// The address token of an earlier connection: in every Initial.
static int client_token(quic_conn *c, const uint8_t *token, size_t len) {
    if (len == 0 || len > QUIC_PEER_TOKEN_MAX)
        return 0;
    c->hs->token = malloc(len);
    if (c->hs->token == NULL)
        return IROH_ERR_NOMEM;
    memcpy(c->hs->token, token, len);
    c->hs->token_len = len;
    return 0;
}

// A resumed session brings the limits that early data must keep to.
static bool client_resume(quic_conn *c, const quic_connect_config *connect, quic_session *s) {
    if (connect->session == NULL || !quic_session_decode(connect->session, connect->session_len, s))
        return false;
    c->hs->remembered = s->params;
    c->hs->want_early = connect->early;
    return true;
}

// The ClientHello is out: with 0-RTT keys the remembered limits hold until the real ones come.
static void client_early(quic_conn *c) {
    if (!c->hs->want_early || !quic_keys_present(&c->hs->early))
        return;
    c->early_attempted = true;
    c->peer = c->hs->remembered;
    c->peer_params_known = true;
    quic_streams_set_peer(&c->streams, &c->peer);
}

int quic_conn_tls_start(quic_conn *c, const quic_conn_new_config *config, uint64_t now) {
    (void)now;
    uint8_t params[QUIC_PARAMS_MAX];
    quic_params own;
    own_params(c, &own);
    int params_len = quic_params_encode(&own, c->role, quic_endpoint_random(c->ep), params, sizeof params);
    if (params_len < 0)
        return params_len;
    quic_session session = {0};
    bool has_session = false;
    if (c->role == QUIC_CLIENT) {
        has_session = client_resume(c, config->connect, &session);
        int r = client_token(c, config->connect->token, config->connect->token_len);
        if (r != 0)
            return r;
    }
    tls_config tls = {
        .role = c->role == QUIC_CLIENT ? TLS_CLIENT : TLS_SERVER,
        .alpns = config->alpns,
        .alpn_count = config->alpn_count,
        .params = params,
        .params_len = (size_t)params_len,
        .expected_key = c->role == QUIC_CLIENT && c->peer_key_known ? c->peer_key : NULL,
        .roots = c->role == QUIC_CLIENT ? config->connect->roots : NULL,
        .server_name = c->role == QUIC_CLIENT ? config->connect->server_name : NULL,
        .session = has_session ? session.tls : NULL,
        .session_len = session.tls_len,
        .enable_early = c->role == QUIC_SERVER || c->hs->want_early,
        .suites = config->suites,
        .suite_count = config->suite_count,
        .callbacks = config->keylog ? &callbacks_keylog : &callbacks,
        .user = c,
    };
    quic_keys *client = c->role == QUIC_CLIENT ? &c->hs->write[0] : &c->hs->read[0];
    quic_keys *server = c->role == QUIC_CLIENT ? &c->hs->read[0] : &c->hs->write[0];
    const quic_cid *initial = config->retried && c->role == QUIC_SERVER ? &config->retry_scid : &config->odcid;
    int r = quic_keys_initial(initial, client, server);
    if (r != 0)
        return r;
    tls_context *context;
    const tls_backend *backend = quic_endpoint_tls(c->ep, &context);
    r = backend->session_new(context, &tls, &c->tls);
    if (r != 0)
        return r;
    r = backend->start(c->tls);
    if (r == 0 && c->role == QUIC_CLIENT)
        client_early(c);
    return r;
}

void quic_conn_tls_drop(quic_conn *c) {
    tls_context *context;
    if (c->tls != NULL)
        quic_endpoint_tls(c->ep, &context)->session_free(c->tls);
    c->tls = NULL;
    c->tls_until = TIME_NEVER;
}

// --- The peer's transport parameters

static bool cids_match(const quic_conn *c, const quic_params *p) {
    const quic_peer_cid *first = quic_peer_cids_active(&c->path->cids->peer);
    if (!p->has_initial_scid || !quic_cid_equal(&p->initial_scid, &first->cid))
        return false;
    if (c->role == QUIC_SERVER)
        return true;
    if (!p->has_original_dcid || !quic_cid_equal(&p->original_dcid, &c->hs->original_dcid))
        return false;
    if (p->has_retry_scid != c->hs->retried)
        return false;
    return !c->hs->retried || quic_cid_equal(&p->retry_scid, &c->hs->retry_scid);
}

static void apply_params(quic_conn *c) {
    const quic_params *p = &c->peer;
    c->peer_params_known = true;
    quic_streams_set_peer(&c->streams, p);
    uint64_t theirs = p->max_idle_timeout_ms * NS_PER_MS;
    if (theirs != 0 && (c->idle_timeout == 0 || theirs < c->idle_timeout))
        c->idle_timeout = theirs;
    quic_path_config config = quic_conn_path_config(c);
    quic_mtud_set_upper(&c->path->mtud, quic_path_mtu_max(&config, &c->path->remote));
}

static void log_params(quic_conn *c, uint64_t now) {
    quic_params own;
    if (c->qlog == NULL)
        return;
    own_params(c, &own);
    quic_qlog_parameters(c->qlog, now, true, &own);
    quic_qlog_parameters(c->qlog, now, false, &c->peer);
}

static int take_params(quic_conn *c, const tls_backend *backend, uint64_t now) {
    size_t len;
    const uint8_t *bytes = backend->peer_params(c->tls, &len);
    if (bytes == NULL)
        return 0;
    quic_params fresh;
    quic_role sender = c->role == QUIC_CLIENT ? QUIC_SERVER : QUIC_CLIENT;
    int r = quic_params_decode(&fresh, sender, bytes, len);
    if (r != 0)
        return r;
    c->peer = fresh;
    c->params_taken = true;
    log_params(c, now);
    if (!cids_match(c, &fresh))
        return QUIC_TRANSPORT_PARAMETER_ERROR;
    // A server may speak before the handshake is complete; a client trusts the values only once it is.
    if (c->role == QUIC_SERVER) {
        apply_params(c);
        c->path->observed_wanted = c->transport.send_observed;
    }
    if (fresh.has_reset_token) {
        quic_peer_cids_set_token(&c->path->cids->peer, fresh.reset_token);
        if (quic_endpoint_watch_reset(c->ep, c, fresh.reset_token) != 0)
            return QUIC_INTERNAL_ERROR;
    }
    return 0;
}

// --- Progress

static int keep_identity(quic_conn *c, const tls_backend *backend) {
    size_t len;
    const uint8_t *alpn = backend->alpn(c->tls, &len);
    const uint8_t *key = backend->peer_key(c->tls);
    if (alpn == NULL || (key == NULL && c->peer_key_known))
        return QUIC_CRYPTO_ERROR + TLS_ALERT_NO_APPLICATION_PROTOCOL;
    c->alpn = malloc(len > 0 ? len : 1);
    if (c->alpn == NULL)
        return QUIC_INTERNAL_ERROR;
    memcpy(c->alpn, alpn, len);
    c->alpn_len = len;
    // A peer without a key may only get this far with a TLS that was told so.
    if (key != NULL)
        memcpy(c->peer_key, key, 32);
    c->peer_key_known = key != NULL;
    const uint8_t *exporter = backend->exporter_secret(c->tls, &len);
    if (exporter == NULL || len > sizeof c->exporter)
        return QUIC_INTERNAL_ERROR;
    memcpy(c->exporter, exporter, len);
    c->exporter_len = (uint8_t)len;
    c->resumed = backend->resumed(c->tls);
    return 0;
}

// The client's 0-RTT attempt has an answer. Rejected data starts over; accepted promises must have been kept.
static int settle_early(quic_conn *c, const tls_backend *backend) {
    if (!c->early_attempted)
        return 0;
    c->early_accepted = backend->early_accepted(c->tls);
    if (c->early_accepted)
        return quic_params_keep_promises(&c->peer, &c->hs->remembered) ? 0 : QUIC_PROTOCOL_VIOLATION;
    quic_sent_drop_all(&c->path->data.sent, quic_endpoint_frames(c->ep), NULL, NULL);
    quic_streams_reject_early(&c->streams);
    quic_conn_event(c, CONN_EARLY_REJECTED | CONN_STREAMS);
    return 0;
}

// A server sends its tickets, then needs TLS no more.
static int server_completed(quic_conn *c, const tls_backend *backend) {
    for (int i = 0; i < CONN_TICKETS; i++) {
        if (backend->send_ticket(c->tls) != 0)
            break;  // without tickets the peer only cannot resume
    }
    c->handshake_done_wanted = true;
    c->new_tokens_wanted = c->transport.send_new_tokens ? CONN_NEW_TOKENS : 0;
    return 0;
}

static int completed(quic_conn *c, const tls_backend *backend, uint64_t now) {
    int r = keep_identity(c, backend);
    if (r != 0)
        return r;
    c->state = CONN_OPEN;
    quic_endpoint_handshake_over(c->ep, c, true);
    if (c->role == QUIC_CLIENT) {
        r = settle_early(c, backend);
        apply_params(c);
        c->tls_until = now + TLS_KEEP_AFTER_HANDSHAKE;
    } else {
        c->early_attempted = c->early_accepted = backend->early_accepted(c->tls);
        r = server_completed(c, backend);
    }
    if (r == 0)
        r = quic_conn_multipath_start(c, now);
    if (r != 0)
        return r;
    c->path->pto_count = 0;
    if (c->role == QUIC_CLIENT)
        c->path->observed_wanted = c->transport.send_observed;
    quic_conn_cids_issue(c);
    quic_qlog_handshake_complete(c->qlog, now, c->keys.suite->name);
    quic_conn_event(c, CONN_CONNECTED | CONN_OPENABLE);
    if (c->role == QUIC_SERVER)
        quic_conn_confirm(c, now);
    quic_conn_idle_restart(c, now);
    return 0;
}

static int feed(quic_conn *c, const tls_backend *backend, tls_level level, quic_crypto *crypto) {
    size_t len;
    const uint8_t *bytes;
    while (c->tls != NULL && (bytes = quic_recvbuf_peek(&crypto->in, &len)) != NULL) {
        int r = backend->receive(c->tls, level, bytes, len);
        quic_recvbuf_consume(&crypto->in, len);
        if (r == IROH_ERR_HANDSHAKE)
            return QUIC_CRYPTO_ERROR + backend->alert(c->tls);
        if (r != 0)
            return QUIC_INTERNAL_ERROR;
    }
    return 0;
}

int quic_conn_crypto_received(quic_conn *c, tls_level level, uint64_t now) {
    tls_context *context;
    const tls_backend *backend = quic_endpoint_tls(c->ep, &context);
    quic_crypto *crypto = quic_conn_crypto(c, space_of_level(level));
    if (c->tls == NULL) {
        quic_recvbuf_discard(&crypto->in);
        return 0;
    }
    int r = feed(c, backend, level, crypto);
    if (r == 0 && !c->params_taken)
        r = take_params(c, backend, now);
    if (r == 0 && c->state == CONN_HANDSHAKING && backend->done(c->tls))
        r = completed(c, backend, now);
    if (r == 0 && c->state == CONN_OPEN && (c->role == QUIC_SERVER || c->tickets >= CONN_TICKETS))
        quic_conn_tls_drop(c);
    return r;
}

void quic_conn_discard_space(quic_conn *c, quic_space_id id) {
    quic_handshake *hs = c->hs;
    if (hs == NULL || id == QUIC_SPACE_DATA)
        return;
    quic_sent_drop_all(&hs->spaces[id].sent, quic_endpoint_frames(c->ep), NULL, NULL);
    quic_acks_dispose(&hs->spaces[id].acks);
    quic_acks_init(&hs->spaces[id].acks);
    hs->spaces[id].probes = 0;
    quic_keys_dispose(&hs->read[id]);
    quic_keys_dispose(&hs->write[id]);
    quic_sendbuf_dispose(&hs->crypto[id].out);
    quic_sendbuf_init(&hs->crypto[id].out);
    quic_recvbuf_discard(&hs->crypto[id].in);
    c->path->pto_count = 0;
}

// Keys of one direction are gone: nothing of the level is to be sent or read any more.
void quic_conn_confirm(quic_conn *c, uint64_t now) {
    if (c->confirmed)
        return;
    c->confirmed = true;
    quic_conn_discard_space(c, QUIC_SPACE_INITIAL);
    quic_conn_discard_space(c, QUIC_SPACE_HANDSHAKE);
    if (c->hs->route.linked)
        quic_endpoint_drop_route(c->ep, &c->hs->route);
    quic_handshake_free(c);
    c->path->validated = true;
    if (c->path->data.sent.eliciting > 0 && c->path->data.sent.last_eliciting_time < now)
        c->path->data.sent.last_eliciting_time = now;
    quic_mtud_start(&c->path->mtud, now);
}

int quic_conn_retry(quic_conn *c, const quic_packet *retry, uint64_t now) {
    quic_handshake *hs = c->hs;
    if (hs == NULL || c->role != QUIC_CLIENT || hs->authenticated || hs->retried || retry->token_len == 0 ||
        retry->token_len > QUIC_PEER_TOKEN_MAX)
        return 0;
    if (!quic_packet_retry_valid(retry, &hs->original_dcid))
        return 0;
    quic_cid scid = {.len = (uint8_t)retry->scid_len};
    memcpy(scid.bytes, retry->scid, retry->scid_len);
    uint8_t *token = malloc(retry->token_len);
    if (token == NULL)
        return QUIC_INTERNAL_ERROR;
    memcpy(token, retry->token, retry->token_len);
    free(hs->token);
    hs->token = token;
    hs->token_len = retry->token_len;
    hs->retried = true;
    hs->retry_scid = scid;
    quic_peer_cids_replace_first(&c->path->cids->peer, &scid);
    quic_keys_dispose(&hs->write[0]);
    quic_keys_dispose(&hs->read[0]);
    if (quic_keys_initial(&scid, &hs->write[0], &hs->read[0]) != 0)
        return QUIC_INTERNAL_ERROR;
    // Everything sent so far is lost; packet numbers continue (RFC 9000, section 17.2.5.3).
    quic_conn_frames_lost(c, c->path, QUIC_SPACE_INITIAL, &hs->spaces[0].sent);
    quic_conn_frames_lost(c, c->path, QUIC_SPACE_DATA, &c->path->data.sent);
    c->path->pto_count = 0;
    c->path->pto_base = now;
    quic_conn_wake(c);
    return 0;
}
