// What a client keeps of a session for the next one with the same peer, as one string:
//   version u8 = 1 | suite u16 | early data allowed u8 | peer's key, 32 bytes | ALPN: length u8, name | data of GnuTLS
// GnuTLS keeps neither the name nor whether early data was allowed.
#include <stdlib.h>

#include "base/bytes.h"
#include "tls/gnutls_state.h"

#define RESUME_VERSION 1
#define RESUME_HEAD (1 + 2 + 1 + TLS_KEY + 1)

uint8_t *tls_resume_encode(const tls_session *s, size_t *len) {
    gnutls_datum_t data;
    if (gnutls_session_get_data2(s->tls, &data) != 0)
        return NULL;
    *len = RESUME_HEAD + s->alpn_len + data.size;
    uint8_t *out = malloc(*len);
    if (out != NULL) {
        writer w = writer_of(out, *len);
        writer_u8(&w, RESUME_VERSION);
        writer_u16(&w, s->suite->id);
        writer_u8(&w, s->ticket_early);
        writer_bytes(&w, s->peer_key, TLS_KEY);
        writer_u8(&w, s->alpn_len);
        writer_bytes(&w, s->alpn, s->alpn_len);
        writer_bytes(&w, data.data, data.size);
    }
    gnutls_memset(data.data, 0, data.size);
    gnutls_free(data.data);
    return out;
}

bool tls_resume_decode(const uint8_t *bytes, size_t len, tls_resume *out) {
    reader r = reader_of(bytes, len);
    uint8_t version = reader_u8(&r);
    out->suite = reader_u16(&r);
    out->early = reader_u8(&r) == 1;
    out->peer_key = reader_bytes(&r, TLS_KEY);
    out->alpn_len = reader_u8(&r);
    out->alpn = reader_bytes(&r, out->alpn_len);
    out->data = r.p;
    out->data_len = reader_left(&r);
    return !r.failed && version == RESUME_VERSION && out->data_len > 0;
}
