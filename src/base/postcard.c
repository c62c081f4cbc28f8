#include "base/postcard.h"

#include <iroh/error.h>

#include "base/utf8.h"

postcard postcard_of(const void *bytes, size_t len) {
    return (postcard){.in = reader_of(bytes, len), .error = 0};
}

void postcard_fail(postcard *p, int error) {
    if (p->error == 0)
        p->error = error;
    (void)reader_fail(&p->in);
}

static const uint8_t *take(postcard *p, size_t len) {
    const uint8_t *at = reader_bytes(&p->in, len);
    if (at == NULL)
        postcard_fail(p, IROH_ERR_TRUNCATED);
    return at;
}

uint8_t postcard_u8(postcard *p) {
    const uint8_t *at = take(p, 1);
    return at != NULL ? *at : 0;
}

// A varint of a type of `bits` bits. The last byte that the type allows must not carry more than the bits that are
// left.
static uint64_t varint(postcard *p, unsigned bits) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
        uint8_t byte = postcard_u8(p);
        if (p->error != 0)
            return 0;
        if (bits - shift < 7 && byte >= 1U << (bits - shift))
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    postcard_fail(p, IROH_ERR_RANGE);
    return 0;
}

uint16_t postcard_u16(postcard *p) {
    return (uint16_t)varint(p, 16);
}

uint32_t postcard_u32(postcard *p) {
    return (uint32_t)varint(p, 32);
}

uint64_t postcard_u64(postcard *p) {
    return varint(p, 64);
}

int64_t postcard_i64(postcard *p) {
    uint64_t v = varint(p, 64);
    int64_t half = (int64_t)(v >> 1);
    return (v & 1) != 0 ? -half - 1 : half;
}

bool postcard_bool(postcard *p) {
    uint8_t v = postcard_u8(p);
    if (v > 1)
        postcard_fail(p, IROH_ERR_SYNTAX);
    return v == 1;
}

uint32_t postcard_variant(postcard *p, uint32_t count) {
    uint32_t v = postcard_u32(p);
    if (v < count)
        return v;
    postcard_fail(p, IROH_ERR_UNSUPPORTED);
    return 0;
}

void postcard_raw(postcard *p, void *out, size_t len) {
    reader_copy(&p->in, out, len);
    if (p->in.failed)
        postcard_fail(p, IROH_ERR_TRUNCATED);
}

const uint8_t *postcard_bytes(postcard *p, size_t *len) {
    uint64_t claimed = postcard_u64(p);
    const uint8_t *at = NULL;
    *len = 0;
    if (claimed > reader_left(&p->in))
        postcard_fail(p, IROH_ERR_TRUNCATED);
    if (p->error == 0) {
        *len = (size_t)claimed;
        at = take(p, *len);
    }
    return at;
}

const char *postcard_str(postcard *p, size_t *len) {
    const uint8_t *at = postcard_bytes(p, len);
    if (at == NULL || utf8_valid(at, *len))
        return (const char *)at;
    postcard_fail(p, IROH_ERR_UTF8);
    *len = 0;
    return NULL;
}

addr postcard_socket_addr(postcard *p) {
    uint8_t ip[16];
    bool v6 = postcard_variant(p, 2) == 1;
    postcard_raw(p, ip, v6 ? 16 : 4);
    uint16_t port = postcard_u16(p);
    if (p->error != 0)
        return (addr){.kind = ADDR_NONE};
    return v6 ? addr_ip6(ip, port, 0) : addr_ip4(ip, port);
}

size_t postcard_u64_size(uint64_t v) {
    size_t size = 1;
    while (v >= 0x80) {
        v >>= 7;
        size++;
    }
    return size;
}

void postcard_write_u64(writer *w, uint64_t v) {
    for (; v >= 0x80; v >>= 7)
        writer_u8(w, (uint8_t)(v | 0x80));
    writer_u8(w, (uint8_t)v);
}

void postcard_write_i64(writer *w, int64_t v) {
    postcard_write_u64(w, v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1);
}

void postcard_write_bytes(writer *w, const void *bytes, size_t len) {
    postcard_write_u64(w, len);
    writer_bytes(w, bytes, len);
}

void postcard_write_socket_addr(writer *w, const addr *a) {
    bool v6 = a->kind == ADDR_IP6;
    postcard_write_u64(w, v6);
    writer_bytes(w, a->bytes, v6 ? 16 : 4);
    postcard_write_u64(w, a->port);
}
