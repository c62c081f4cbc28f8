#include "quic/token.h"

#include <iroh/error.h>

#include "base/bytes.h"
#include "base/wipe.h"
#include "crypto/hkdf.h"

#define TOKEN_SUITE 0x1303  // ChaCha20-Poly1305: fast everywhere without set-up
#define RESET_HASH 32

static const aead_suite *suite(void) {
    return aead_suite_by_id(TOKEN_SUITE);
}

int quic_token_key_init(quic_token_key *k, const uint8_t key[static QUIC_TOKEN_KEY]) {
    k->key = suite()->aead_new(key);
    return k->key != NULL ? 0 : IROH_ERR_NOMEM;
}

void quic_token_key_dispose(quic_token_key *k) {
    if (k->key != NULL)
        suite()->aead_free(k->key);
    k->key = NULL;
}

// Bytes of an address that mean something.
static size_t address_bytes(uint8_t kind) {
    switch (kind) {
    case ADDR_IP4:
        return 4;
    case ADDR_IP6:
        return 16;
    case ADDR_RELAY:
        return 32;
    default:
        return 0;
    }
}

static void write_address(writer *w, const addr *a) {
    writer_u8(w, a->kind);
    writer_u16(w, a->port);
    writer_u32(w, a->scope);
    writer_u8(w, (uint8_t)address_bytes(a->kind));
    writer_bytes(w, a->bytes, address_bytes(a->kind));
}

static addr read_address(reader *r) {
    addr a = {.kind = reader_u8(r)};
    a.port = reader_u16(r);
    a.scope = reader_u32(r);
    size_t len = reader_u8(r);
    if (len != address_bytes(a.kind))
        (void)reader_fail(r);
    reader_copy(r, a.bytes, len <= sizeof a.bytes ? len : 0);
    return a;
}

int quic_token_make(const quic_token_key *k, int kind, const addr *to, const quic_cid *odcid, uint64_t unix_ns,
                    const uint8_t nonce[static QUIC_TOKEN_NONCE], uint8_t *out, size_t room) {
    writer w = writer_of(out, room);
    writer_bytes(&w, nonce, QUIC_TOKEN_NONCE);
    uint8_t *plain = w.p;
    writer_u8(&w, (uint8_t)kind);
    writer_u64(&w, unix_ns);
    write_address(&w, to);
    writer_u8(&w, odcid->len);
    writer_bytes(&w, odcid->bytes, odcid->len);
    size_t len = (size_t)(w.p - plain);
    (void)writer_room(&w, AEAD_TAG);
    if (w.failed)
        return IROH_ERR_TOO_LARGE;
    int r = suite()->seal(k->key, nonce, NULL, 0, plain, len);
    return r == 0 ? (int)writer_len(&w) : r;
}

static bool right_address(int kind, const addr *made_for, const addr *from) {
    return kind == QUIC_TOKEN_RETRY ? addr_equal(made_for, from) : addr_same_host(made_for, from);
}

static bool in_time(int kind, uint64_t issued, uint64_t now) {
    uint64_t lifetime = kind == QUIC_TOKEN_RETRY ? QUIC_TOKEN_RETRY_LIFETIME : QUIC_TOKEN_NEW_LIFETIME;
    return issued <= now && now - issued <= lifetime;
}

int quic_token_open(const quic_token_key *k, const uint8_t *token, size_t len, const addr *from, uint64_t unix_ns,
                    int *kind, quic_cid *odcid) {
    uint8_t sealed[QUIC_TOKEN_PLAIN_MAX + AEAD_TAG];
    if (len < QUIC_TOKEN_NONCE + AEAD_TAG || len > QUIC_TOKEN_MAX)
        return QUIC_TOKEN_INVALID;
    size_t sealed_len = len - QUIC_TOKEN_NONCE;
    memcpy(sealed, token + QUIC_TOKEN_NONCE, sealed_len);
    if (suite()->open(k->key, token, NULL, 0, sealed, sealed_len) != 0)
        return QUIC_TOKEN_INVALID;
    reader r = reader_of(sealed, sealed_len - AEAD_TAG);
    *kind = reader_u8(&r);
    uint64_t issued = reader_u64(&r);
    addr made_for = read_address(&r);
    *odcid = (quic_cid){.len = reader_u8(&r)};
    if (odcid->len > QUIC_CID_MAX)
        (void)reader_fail(&r);
    else
        reader_copy(&r, odcid->bytes, odcid->len);
    if (r.failed || reader_left(&r) > 0 || (*kind != QUIC_TOKEN_RETRY && *kind != QUIC_TOKEN_NEW))
        return QUIC_TOKEN_INVALID;
    return right_address(*kind, &made_for, from) && in_time(*kind, issued, unix_ns) ? QUIC_TOKEN_VALID
                                                                                    : QUIC_TOKEN_STALE;
}

void quic_reset_token(const uint8_t key[static QUIC_TOKEN_KEY], const quic_cid *cid,
                      uint8_t out[static QUIC_RESET_TOKEN]) {
    uint8_t hash[RESET_HASH];
    hmac_sha256(key, QUIC_TOKEN_KEY, cid->bytes, cid->len, hash);
    memcpy(out, hash, QUIC_RESET_TOKEN);
    wipe(hash, sizeof hash);
}
