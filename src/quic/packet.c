// Packet headers. Everything in front of the packet number is plain, so parsing needs no key; what it finds is borrowed
// from the datagram.
#include "quic/packet.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "crypto/aead.h"

#define LONG_FORM 0x80
#define FIXED_BIT 0x40
#define SPIN_BIT 0x20
#define KEY_PHASE_BIT 0x04
#define RESERVED_VERSION UINT32_C(0x0a1a2a3a)        // asks for version negotiation (RFC 9000, section 15)
#define RESERVED_VERSION_OTHER UINT32_C(0x0a1a2a4a)  // when the client used the first one itself
#define LENGTH_SIZE 2                                // bytes of the Length field that we write
#define SUITE_AES_128_GCM 0x1301

// --- Reading

static void read_cid(reader *r, const uint8_t **bytes, size_t *len) {
    *len = reader_u8(r);
    *bytes = reader_bytes(r, *len);
}

static int parse_version_negotiation(quic_packet *p, reader *r) {
    p->type = QUIC_VERSION_NEGOTIATION;
    p->len = p->pn_offset + reader_left(r);
    return reader_left(r) >= 4 && reader_left(r) % 4 == 0 ? 0 : IROH_ERR_SYNTAX;
}

static int parse_retry(quic_packet *p, reader *r) {
    if (reader_left(r) < AEAD_TAG)
        return IROH_ERR_SYNTAX;
    p->token = r->p;
    p->token_len = reader_left(r) - AEAD_TAG;
    p->len = p->pn_offset + reader_left(r);
    return 0;
}

static int parse_long(quic_packet *p, reader *r) {
    uint8_t first = p->bytes[0];
    p->version = reader_u32(r);
    read_cid(r, &p->dcid, &p->dcid_len);
    read_cid(r, &p->scid, &p->scid_len);
    if (r->failed)
        return IROH_ERR_SYNTAX;
    if (p->version != QUIC_VERSION_1 && p->version != 0)
        return IROH_ERR_UNSUPPORTED;
    p->pn_offset = (size_t)(r->p - p->bytes);
    if (p->dcid_len > QUIC_CID_MAX || p->scid_len > QUIC_CID_MAX)
        return IROH_ERR_SYNTAX;
    if (p->version == 0)
        return parse_version_negotiation(p, r);
    if ((first & FIXED_BIT) == 0)
        return IROH_ERR_SYNTAX;
    p->type = (quic_packet_type)(first >> 4 & 3);
    if (p->type == QUIC_RETRY)
        return parse_retry(p, r);
    if (p->type == QUIC_INITIAL) {
        uint64_t token_len = reader_varint(r);
        p->token = token_len <= reader_left(r) ? reader_bytes(r, (size_t)token_len) : NULL;
        p->token_len = (size_t)token_len;
        if (p->token == NULL)
            return IROH_ERR_SYNTAX;
    }
    uint64_t length = reader_varint(r);
    if (r->failed || length > reader_left(r))
        return IROH_ERR_SYNTAX;
    p->pn_offset = (size_t)(r->p - p->bytes);
    p->len = p->pn_offset + (size_t)length;
    return 0;
}

int quic_packet_parse(uint8_t *bytes, size_t len, quic_packet *out) {
    *out = (quic_packet){.type = QUIC_1RTT, .bytes = bytes, .len = len};
    if (len == 0)
        return IROH_ERR_SYNTAX;
    if ((bytes[0] & LONG_FORM) != 0) {
        reader r = reader_of(bytes + 1, len - 1);
        return parse_long(out, &r);
    }
    if ((bytes[0] & FIXED_BIT) == 0 || len < 1 + QUIC_LOCAL_CID)
        return IROH_ERR_SYNTAX;
    out->dcid = bytes + 1;
    out->dcid_len = QUIC_LOCAL_CID;
    out->pn_offset = 1 + QUIC_LOCAL_CID;
    return 0;
}

bool quic_packet_lists_version(const quic_packet *vn, uint32_t version) {
    reader r = reader_of(vn->bytes + vn->pn_offset, vn->len - vn->pn_offset);
    while (reader_left(&r) >= 4) {
        if (reader_u32(&r) == version)
            return true;
    }
    return false;
}

// --- Packet numbers

size_t quic_pn_size(uint64_t pn, uint64_t largest_acked) {
    uint64_t range = largest_acked == QUIC_PN_NONE ? pn + 1 : pn - largest_acked;
    // More than twice the range, so that the peer's guess cannot be wrong either way.
    size_t size = 1;
    while (size < 4 && range >= UINT64_C(1) << (8 * size - 1))
        size++;
    return size;
}

uint64_t quic_pn_decode(uint64_t truncated, size_t size, uint64_t largest) {
    uint64_t expected = largest == QUIC_PN_NONE ? 0 : largest + 1;
    uint64_t window = UINT64_C(1) << (8 * size);
    uint64_t candidate = (expected & ~(window - 1)) | truncated;
    if (candidate + window / 2 <= expected && candidate <= VARINT_MAX - window)
        return candidate + window;
    if (candidate > expected + window / 2 && candidate >= window)
        return candidate - window;
    return candidate;
}

// --- Writing

static void write_long_start(writer *w, uint8_t first, uint32_t version, const quic_cid *dcid, const quic_cid *scid) {
    writer_u8(w, first);
    writer_u32(w, version);
    writer_u8(w, dcid->len);
    writer_bytes(w, dcid->bytes, dcid->len);
    writer_u8(w, scid->len);
    writer_bytes(w, scid->bytes, scid->len);
}

size_t quic_packet_write_long(writer *w, quic_packet_type type, const quic_cid *dcid, const quic_cid *scid,
                              const uint8_t *token, size_t token_len, uint64_t pn, size_t pn_size) {
    write_long_start(w, (uint8_t)(LONG_FORM | FIXED_BIT | (unsigned)type << 4 | (pn_size - 1)), QUIC_VERSION_1, dcid,
                     scid);
    if (type == QUIC_INITIAL) {
        writer_varint(w, token_len);
        writer_bytes(w, token, token_len);
    }
    writer_be(w, 0, LENGTH_SIZE);
    size_t pn_offset = writer_len(w);
    writer_be(w, pn, pn_size);
    return w->failed ? 0 : pn_offset;
}

void quic_packet_set_length(uint8_t *packet, size_t pn_offset, size_t packet_len) {
    writer w = writer_of(packet + pn_offset - LENGTH_SIZE, LENGTH_SIZE);
    writer_varint_sized(&w, packet_len - pn_offset, LENGTH_SIZE);
}

size_t quic_packet_write_short(writer *w, const quic_cid *dcid, bool spin, bool key_phase, uint64_t pn,
                               size_t pn_size) {
    writer_u8(w, (uint8_t)(FIXED_BIT | (spin ? SPIN_BIT : 0) | (key_phase ? KEY_PHASE_BIT : 0) | (pn_size - 1)));
    writer_bytes(w, dcid->bytes, dcid->len);
    size_t pn_offset = writer_len(w);
    writer_be(w, pn, pn_size);
    return w->failed ? 0 : pn_offset;
}

size_t quic_packet_write_version_negotiation(uint8_t *out, size_t room, const quic_packet *received, uint8_t random) {
    writer w = writer_of(out, room);
    writer_u8(&w, LONG_FORM | FIXED_BIT | random);
    writer_u32(&w, 0);
    writer_u8(&w, (uint8_t)received->scid_len);
    writer_bytes(&w, received->scid, received->scid_len);
    writer_u8(&w, (uint8_t)received->dcid_len);
    writer_bytes(&w, received->dcid, received->dcid_len);
    writer_u32(&w, received->version == RESERVED_VERSION ? RESERVED_VERSION_OTHER : RESERVED_VERSION);
    writer_u32(&w, QUIC_VERSION_1);
    return w.failed ? 0 : writer_len(&w);
}

// --- Retry

// The tag over a Retry packet without its tag, as if the client's first connection id stood before it. False when out
// of memory.
static bool retry_tag(const uint8_t *packet, size_t len, const quic_cid *original_dcid, uint8_t tag[static AEAD_TAG]) {
    static const uint8_t key[16] = {0xbe, 0x0c, 0x69, 0x0b, 0x9f, 0x66, 0x57, 0x5a,
                                    0x1d, 0x76, 0x6b, 0x54, 0xe3, 0x68, 0xc8, 0x4e};
    static const uint8_t nonce[AEAD_NONCE] = {0x46, 0x15, 0x99, 0xd3, 0x5d, 0x63, 0x2b, 0xf2, 0x23, 0x98, 0x25, 0xbb};
    size_t room = 1 + QUIC_CID_MAX + len;
    const aead_suite *suite = aead_suite_by_id(SUITE_AES_128_GCM);
    aead *a = suite->aead_new(key);
    uint8_t *pseudo = malloc(room);
    bool ok = a != NULL && pseudo != NULL;
    if (ok) {
        writer w = writer_of(pseudo, room);
        writer_u8(&w, original_dcid->len);
        writer_bytes(&w, original_dcid->bytes, original_dcid->len);
        writer_bytes(&w, packet, len);
        ok = suite->seal(a, nonce, pseudo, writer_len(&w), tag, 0) == 0;
    }
    free(pseudo);
    suite->aead_free(a);
    return ok;
}

size_t quic_packet_write_retry(uint8_t *out, size_t room, const quic_cid *dcid, const quic_cid *scid,
                               const quic_cid *original_dcid, const uint8_t *token, size_t token_len, uint8_t random) {
    writer w = writer_of(out, room);
    write_long_start(&w, (uint8_t)(LONG_FORM | FIXED_BIT | QUIC_RETRY << 4 | (random & 0x0f)), QUIC_VERSION_1, dcid,
                     scid);
    writer_bytes(&w, token, token_len);
    size_t len = writer_len(&w);
    uint8_t *tag = writer_room(&w, AEAD_TAG);
    if (tag == NULL || !retry_tag(out, len, original_dcid, tag))
        return 0;
    return writer_len(&w);
}

bool quic_packet_retry_valid(const quic_packet *retry, const quic_cid *original_dcid) {
    uint8_t tag[AEAD_TAG];
    size_t len = retry->len - AEAD_TAG;
    // The key is public, so there is nothing to learn from how long the comparison takes.
    return retry_tag(retry->bytes, len, original_dcid, tag) && memcmp(tag, retry->bytes + len, AEAD_TAG) == 0;
}
