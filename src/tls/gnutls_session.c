// One handshake: what it is configured with, and the session of GnuTLS behind it.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/wipe.h"
#include "tls/gnutls_state.h"

#define EXT_EARLY_DATA 42
#define EXT_QUIC_PARAMS 57
#define TICKET_LIFETIME 86400  // s

static const uint16_t default_suites[TLS_SUITES] = {0x1301, 0x1302, 0x1303};

int tls_fail(tls_session *s, uint8_t alert) {
    if (s->failure == 0) {
        s->failure = IROH_ERR_HANDSHAKE;
        s->alert = alert;
    }
    return s->failure;
}

static uint8_t *copy_of(const uint8_t *bytes, size_t len) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    if (copy != NULL && len > 0)
        memcpy(copy, bytes, len);
    return copy;
}

// The suites that exist, each once, in the order given.
static void copy_suites(tls_session *s, const uint16_t *suites, size_t count) {
    if (suites == NULL) {
        suites = default_suites;
        count = TLS_SUITES;
    }
    for (size_t i = 0; i < count && s->suite_count < TLS_SUITES; i++) {
        bool known = aead_suite_by_id(suites[i]) != NULL;
        for (size_t k = 0; k < s->suite_count; k++)
            known = known && s->suites[k] != suites[i];
        if (known)
            s->suites[s->suite_count++] = suites[i];
    }
}

static int copy_alpns(tls_session *s, const tls_config *config) {
    size_t room = 0;
    for (size_t i = 0; i < config->alpn_count; i++) {
        if (config->alpns[i].len == 0 || config->alpns[i].len > TLS_ALPN_MAX)
            return IROH_ERR_ARG;
        room += 1U + config->alpns[i].len;
    }
    s->alpns = malloc(room > 0 ? room : 1);
    if (s->alpns == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(s->alpns, room);
    for (size_t i = 0; i < config->alpn_count; i++) {
        writer_u8(&w, config->alpns[i].len);
        writer_bytes(&w, config->alpns[i].name, config->alpns[i].len);
    }
    s->alpns_len = room;
    return 0;
}

static bool has_suite(const tls_session *s, uint16_t id) {
    for (size_t i = 0; i < s->suite_count; i++)
        if (s->suites[i] == id)
            return true;
    return false;
}

// A stored session that does not fit costs a full handshake and nothing else.
static int copy_stored(tls_session *s, const tls_config *config) {
    if (config->session == NULL)
        return 0;
    s->stored = copy_of(config->session, config->session_len);
    if (s->stored == NULL)
        return IROH_ERR_NOMEM;
    s->stored_len = config->session_len;
    if (!tls_resume_decode(s->stored, config->session_len, &s->resume) || !has_suite(s, s->resume.suite) ||
        memcmp(s->resume.peer_key, s->expected_key, TLS_KEY) != 0)
        tls_session_drop_stored(s);
    return 0;
}

void tls_session_drop_stored(tls_session *s) {
    if (s->stored != NULL)
        wipe(s->stored, s->stored_len);
    free(s->stored);
    s->stored = NULL;
    s->resume = (tls_resume){0};
}

static bool offers(const tls_session *s, const uint8_t *name, size_t len) {
    reader own = reader_of(s->alpns, s->alpns_len);
    while (reader_left(&own) > 0) {
        size_t n = reader_u8(&own);
        const uint8_t *p = reader_bytes(&own, n);
        if (n == len && memcmp(p, name, len) == 0)
            return true;
    }
    return false;
}

// Early data goes under the name of the session before: without that name among ours there is nobody to send it for.
static bool wants_early(const tls_session *s) {
    if (s->role == TLS_SERVER)
        return s->enable_early;
    return s->enable_early && s->stored != NULL && s->resume.early && offers(s, s->resume.alpn, s->resume.alpn_len);
}

// An empty extension when the early data of the client is taken; it was read from the ClientHello itself.
static int send_early(gnutls_session_t tls, gnutls_buffer_t out) {
    const tls_session *s = gnutls_session_get_ptr(tls);
    (void)out;
    return s->early_ok ? GNUTLS_E_INT_RET_0 : 0;
}

static int send_params(gnutls_session_t tls, gnutls_buffer_t out) {
    const tls_session *s = gnutls_session_get_ptr(tls);
    int r = gnutls_buffer_append_data(out, s->params, s->params_len);
    return r < 0 ? r : (int)s->params_len;
}

// What was read from the message itself GnuTLS only has to let pass.
static int ignore(gnutls_session_t tls, const unsigned char *bytes, size_t len) {
    (void)tls;
    (void)bytes;
    (void)len;
    return 0;
}

static int set_client(tls_session *s) {
    gnutls_datum_t names[TLS_ALPNS_OFFERED];
    unsigned count = 0;
    for (reader r = reader_of(s->alpns, s->alpns_len); reader_left(&r) > 0; count++) {
        unsigned len = reader_u8(&r);
        names[count] = (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)reader_bytes(&r, len), .size = len};
    }
    int r = gnutls_alpn_set_protocols(s->tls, names, count, 0);
    if (r == 0 && s->stored != NULL && gnutls_session_set_data(s->tls, s->resume.data, s->resume.data_len) != 0)
        return GNUTLS_E_INVALID_SESSION;
    return r;
}

// A server decides about early data itself: by its own rule GnuTLS refuses it to a client that takes its ticket to be a
// little older than it is, which those of iroh do half of the time because they count whole seconds.
static int set_server(tls_session *s) {
    int r = gnutls_session_ext_register(
        s->tls, "early_data", EXT_EARLY_DATA, GNUTLS_EXT_MANDATORY, ignore, send_early, NULL, NULL, NULL,
        GNUTLS_EXT_FLAG_OVERRIDE_INTERNAL | GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE);
    if (r != 0)
        return r;
    if (s->certificate == NULL)
        gnutls_certificate_server_set_request(s->tls, GNUTLS_CERT_REQUIRE);
    gnutls_db_set_cache_expiration(s->tls, TICKET_LIFETIME);
    return gnutls_record_set_max_early_data_size(s->tls, TLS_EARLY_DATA_ANY);
}

static int set_identity(tls_session *s) {
    if (s->certificate != NULL)
        return web_certificate_apply(s->certificate, s->tls);
    if (s->roots != NULL)
        return web_roots_apply(s->roots, s->server_name, s->tls);
    int r = tls_set_priorities(s->context, s->tls, s->suites, s->suite_count);
    return r == 0 ? gnutls_credentials_set(s->tls, GNUTLS_CRD_CERTIFICATE, s->context->credentials) : r;
}

static int configure(tls_session *s) {
    gnutls_session_set_ptr(s->tls, s);
    tls_run_attach(s);
    gnutls_handshake_set_max_packet_length(s->tls, HANDSHAKE_HEADER + HANDSHAKE_BODY_MAX);
    int r = set_identity(s);
    if (r == 0)
        r = gnutls_session_ext_register(s->tls, "quic_transport_parameters", EXT_QUIC_PARAMS, GNUTLS_EXT_TLS, ignore,
                                        send_params, NULL, NULL, NULL,
                                        GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_EE);
    if (r == 0)
        r = s->role == TLS_CLIENT ? set_client(s) : set_server(s);
    return r;
}

int tls_session_open(tls_session *s) {
    if (s->tls != NULL)
        gnutls_deinit(s->tls);
    s->tls = NULL;
    s->read_level = s->secrets_level = TLS_INITIAL;
    s->early_given = false;
    unsigned flags = GNUTLS_NONBLOCK | GNUTLS_ENABLE_RAWPK | GNUTLS_NO_END_OF_EARLY_DATA;
    // QUIC needs none of the extensions that GnuTLS adds unasked, and one share of a key is enough.
    flags |= s->role == TLS_CLIENT
                 ? GNUTLS_CLIENT | GNUTLS_NO_EXTENSIONS | GNUTLS_NO_TICKETS_TLS12 | GNUTLS_KEY_SHARE_TOP
                 : GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET;
    if (wants_early(s))
        flags |= GNUTLS_ENABLE_EARLY_DATA;
    if (gnutls_init(&s->tls, flags) != 0) {
        s->tls = NULL;
        return IROH_ERR_NOMEM;
    }
    int r = configure(s);
    if (r == GNUTLS_E_INVALID_SESSION && s->stored != NULL) {
        tls_session_drop_stored(s);
        return tls_session_open(s);
    }
    if (r == GNUTLS_E_MEMORY_ERROR)
        return IROH_ERR_NOMEM;
    return r == 0 ? 0 : IROH_ERR_CRYPTO;
}

// A key, or roots and a name.
static bool server_is_told(const tls_config *config) {
    return config->roots != NULL
               ? config->server_name != NULL && config->expected_key == NULL && config->session == NULL
               : config->expected_key != NULL;
}

static bool config_is_sound(const tls_config *config) {
    bool client = config->role == TLS_CLIENT;
    return config->callbacks != NULL && config->callbacks->send != NULL && config->callbacks->secret != NULL &&
           (!client || (server_is_told(config) && config->alpn_count > 0 && config->alpn_count <= TLS_ALPNS_OFFERED)) &&
           config->params_len > 0 && config->params_len <= TLS_PARAMS_MAX;
}

static int copy_roots(tls_session *s, const tls_config *config) {
    size_t len = strlen(config->server_name);
    s->roots = web_roots_ref(config->roots);
    s->server_name = (char *)copy_of((const uint8_t *)config->server_name, len + 1);
    return s->server_name != NULL ? 0 : IROH_ERR_NOMEM;
}

static int copy_config(tls_session *s, const tls_config *config) {
    s->role = config->role;
    s->callbacks = *config->callbacks;
    s->user = config->user;
    s->enable_early = config->enable_early;
    copy_suites(s, config->suites, config->suite_count);
    if (s->suite_count == 0)
        return IROH_ERR_ARG;
    s->params = copy_of(config->params, config->params_len);
    s->params_len = config->params_len;
    if (s->params == NULL)
        return IROH_ERR_NOMEM;
    int r = copy_alpns(s, config);
    if (r != 0 || s->role == TLS_SERVER)
        return r;
    if (config->roots != NULL)
        return copy_roots(s, config);
    memcpy(s->expected_key, config->expected_key, TLS_KEY);
    return copy_stored(s, config);
}

int tls_session_new(tls_context *c, const tls_config *config, tls_session **out) {
    if (!config_is_sound(config))
        return IROH_ERR_ARG;
    tls_session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return IROH_ERR_NOMEM;
    s->context = c;
    if (c->certificate != NULL && config->role == TLS_SERVER)
        s->certificate = web_certificate_ref(*c->certificate);
    int r = copy_config(s, config);
    if (r == 0)
        r = tls_session_open(s);
    if (r != 0) {
        tls_session_free(s);
        return r;
    }
    *out = s;
    return 0;
}

void tls_session_free(tls_session *s) {
    if (s == NULL)
        return;
    if (s->tls != NULL)
        gnutls_deinit(s->tls);
    free(s->alpns);
    free(s->params);
    tls_session_drop_stored(s);
    free(s->inbox);
    free(s->peer_params);
    ticket_free(s->ticket);
    web_certificate_unref(s->certificate);
    web_roots_unref(s->roots);
    free(s->server_name);
    wipe(s, sizeof *s);
    free(s);
}
