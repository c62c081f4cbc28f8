// The table of the GnuTLS backend, and the questions that a session answers.
#include "tls/gnutls_state.h"

static bool done(const tls_session *s) {
    return s->is_done;
}

static uint8_t alert(const tls_session *s) {
    return s->alert;
}

static bool resumed(const tls_session *s) {
    return s->is_resumed;
}

static bool early_accepted(const tls_session *s) {
    return s->early_ok;
}

static const uint8_t *peer_params(const tls_session *s, size_t *len) {
    *len = s->peer_params_len;
    return s->peer_params;
}

static const uint8_t *alpn(const tls_session *s, size_t *len) {
    *len = s->alpn_len;
    return s->alpn_len > 0 ? s->alpn : NULL;
}

static const uint8_t *peer_key(const tls_session *s) {
    return s->is_done && tls_has_raw_keys(s) ? s->peer_key : NULL;
}

static const uint8_t *exporter_secret(const tls_session *s, size_t *len) {
    *len = s->is_done ? s->suite->hash_len : 0;
    return s->is_done ? s->exporter : NULL;
}

const tls_backend tls_gnutls = {
    .name = "gnutls",
    .context_new = tls_context_new,
    .context_free = tls_context_free,
    .session_new = tls_session_new,
    .session_free = tls_session_free,
    .start = tls_start,
    .receive = tls_receive,
    .done = done,
    .alert = alert,
    .resumed = resumed,
    .early_accepted = early_accepted,
    .peer_params = peer_params,
    .alpn = alpn,
    .peer_key = peer_key,
    .exporter_secret = exporter_secret,
    .send_ticket = tls_send_ticket,
};
