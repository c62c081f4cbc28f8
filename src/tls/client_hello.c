#include "tls/client_hello.h"

#include <iroh/error.h>

#include "base/bytes.h"
#include "tls/tls.h"

#define TYPE_CLIENT_HELLO 1
#define RANDOM_LEN 32
#define SESSION_ID_MAX 32
#define EXTENSIONS_MAX 64  // real ones have about fifteen; the bound keeps the search for doubles short

enum {
    EXT_ALPN = 16,
    EXT_CLIENT_CERTIFICATE_TYPE = 19,
    EXT_SERVER_CERTIFICATE_TYPE = 20,
    EXT_PRE_SHARED_KEY = 41,
    EXT_EARLY_DATA = 42,
    EXT_PSK_KEY_EXCHANGE_MODES = 45,
    EXT_QUIC_PARAMS = 57,
};

// An extension that is one vector and nothing else: where it goes, and the size of the length in front of it.
typedef struct vector_row {
    uint16_t type;
    uint8_t prefix;
    size_t offset;
} vector_row;

static const vector_row vector_rows[] = {
    {EXT_ALPN, 2, offsetof(client_hello, alpns)},
    {EXT_CLIENT_CERTIFICATE_TYPE, 1, offsetof(client_hello, client_types)},
    {EXT_SERVER_CERTIFICATE_TYPE, 1, offsetof(client_hello, server_types)},
    {EXT_PSK_KEY_EXCHANGE_MODES, 1, offsetof(client_hello, psk_modes)},
    {EXT_QUIC_PARAMS, 0, offsetof(client_hello, params)},
};

bool hello_span_has(const hello_span *s, uint8_t value) {
    for (size_t i = 0; i < s->len; i++)
        if (s->p[i] == value)
            return true;
    return false;
}

// The next vector with a length of `prefix` bytes in front; with 0, all that is left.
static hello_span read_vector(reader *r, size_t prefix) {
    size_t len = prefix > 0 ? (size_t)reader_be(r, prefix) : reader_left(r);
    const uint8_t *p = reader_bytes(r, len);
    return (hello_span){.p = p, .len = p != NULL ? len : 0};
}

static bool names_are_sound(const hello_span *names) {
    reader r = reader_of(names->p, names->len);
    while (reader_left(&r) > 0) {
        hello_span name = read_vector(&r, 1);
        if (name.len == 0)
            return false;
    }
    return names->len > 0 && !r.failed;
}

// Identities, then as many binders; the last extension of a ClientHello (RFC 8446, section 4.2.11).
static bool read_pre_shared_key(reader r, client_hello *out) {
    hello_span identities = read_vector(&r, 2), binders = read_vector(&r, 2);
    if (r.failed || reader_left(&r) > 0 || identities.len == 0 || binders.len == 0)
        return false;
    reader list = reader_of(identities.p, identities.len);
    while (reader_left(&list) > 0) {
        hello_span identity = read_vector(&list, 2);
        (void)reader_u32(&list);  // obfuscated age
        if (list.failed || identity.len == 0)
            return false;
        if (out->identities++ == 0)
            out->ticket = identity;
    }
    return true;
}

static bool read_extension(uint16_t type, reader r, client_hello *out) {
    if (type == EXT_PRE_SHARED_KEY)
        return read_pre_shared_key(r, out);
    if (type == EXT_EARLY_DATA) {
        out->early = true;
        return reader_left(&r) == 0;
    }
    for (size_t i = 0; i < sizeof vector_rows / sizeof vector_rows[0]; i++) {
        const vector_row *row = &vector_rows[i];
        if (row->type != type)
            continue;
        hello_span *span = (hello_span *)(void *)((char *)out + row->offset);
        *span = read_vector(&r, row->prefix);
        return !r.failed && reader_left(&r) == 0 && (type != EXT_ALPN || names_are_sound(span));
    }
    return true;
}

static bool read_extensions(reader r, client_hello *out) {
    uint16_t seen[EXTENSIONS_MAX];
    for (size_t count = 0; reader_left(&r) > 0; count++) {
        if (count == EXTENSIONS_MAX || out->identities > 0)
            return false;
        uint16_t type = reader_u16(&r);
        hello_span data = read_vector(&r, 2);
        if (r.failed)
            return false;
        for (size_t i = 0; i < count; i++)
            if (seen[i] == type)
                return false;
        seen[count] = type;
        if (!read_extension(type, reader_of(data.p, data.len), out))
            return false;
    }
    return true;
}

int client_hello_parse(const uint8_t *body, size_t len, client_hello *out) {
    *out = (client_hello){0};
    reader r = reader_of(body, len);
    (void)reader_u16(&r);  // legacy_version
    (void)reader_bytes(&r, RANDOM_LEN);
    hello_span session_id = read_vector(&r, 1);
    out->suites = read_vector(&r, 2);
    hello_span compression = read_vector(&r, 1);
    hello_span extensions = read_vector(&r, 2);
    bool ok = !r.failed && reader_left(&r) == 0 && session_id.len <= SESSION_ID_MAX && out->suites.len > 0 &&
              out->suites.len % 2 == 0 && compression.len > 0;
    return ok && read_extensions(reader_of(extensions.p, extensions.len), out) ? 0 : IROH_ERR_SYNTAX;
}

int tls_client_hello_alpns(const uint8_t *bytes, size_t len, tls_alpn *out, size_t room) {
    reader r = reader_of(bytes, len);
    // What is there is judged at once, so that nobody collects bytes that can never become a ClientHello.
    if (len > 0 && reader_u8(&r) != TYPE_CLIENT_HELLO)
        return IROH_ERR_SYNTAX;
    size_t body_len = (size_t)reader_be(&r, 3);
    if (len >= HANDSHAKE_HEADER && body_len > HANDSHAKE_BODY_MAX)
        return IROH_ERR_SYNTAX;
    const uint8_t *body = reader_bytes(&r, body_len);
    if (len < HANDSHAKE_HEADER || body == NULL)
        return IROH_ERR_TRUNCATED;
    client_hello hello;
    int result = client_hello_parse(body, body_len, &hello);
    if (result != 0)
        return result;
    reader names = reader_of(hello.alpns.p, hello.alpns.len);
    int count = 0;
    while (reader_left(&names) > 0 && (size_t)count < room) {
        hello_span name = read_vector(&names, 1);
        out[count++] = (tls_alpn){.name = name.p, .len = (uint8_t)name.len};
    }
    return count;
}
