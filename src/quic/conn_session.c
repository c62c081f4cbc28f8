// What a client keeps of a connection for the next one to the same peer, as one string:
//   version u8 = 2 | TLS session: varint length, bytes | transport parameters
#include <stdlib.h>

#include "base/wipe.h"
#include "quic/conn_state.h"

#define SESSION_VERSION 2

uint8_t *quic_session_encode(const quic_conn *c, size_t *len) {
    if (c->session == NULL)
        return NULL;
    size_t room = 1 + VARINT_SIZE_MAX + c->session_len + QUIC_PARAMS_MAX;
    uint8_t *out = malloc(room);
    if (out == NULL)
        return NULL;
    quic_params remembered;
    quic_params_remembered(&c->peer, &remembered);
    writer w = writer_of(out, room);
    writer_u8(&w, SESSION_VERSION);
    writer_varint(&w, c->session_len);
    writer_bytes(&w, c->session, c->session_len);
    int n = quic_params_encode(&remembered, QUIC_SERVER, NULL, w.p, writer_left(&w));
    if (w.failed || n < 0) {
        wipe(out, room);
        free(out);
        return NULL;
    }
    *len = writer_len(&w) + (size_t)n;
    return out;
}

void quic_conn_drop_session(quic_conn *c) {
    if (c->session != NULL)
        wipe(c->session, c->session_len);
    free(c->session);
    c->session = NULL;
    c->session_len = 0;
}

bool quic_session_decode(const uint8_t *bytes, size_t len, quic_session *out) {
    reader r = reader_of(bytes, len);
    if (reader_u8(&r) != SESSION_VERSION)
        return false;
    out->tls_len = (size_t)reader_varint(&r);
    out->tls = reader_bytes(&r, out->tls_len);
    if (r.failed)
        return false;
    return quic_params_decode(&out->params, QUIC_SERVER, r.p, reader_left(&r)) == 0;
}
