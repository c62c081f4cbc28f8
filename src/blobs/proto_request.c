// The bodies of requests, and the frames around them.
#include <iroh/error.h>

#include "blobs/proto.h"

int proto_request_read(int type, const uint8_t *body, size_t len, proto_request *out) {
    postcard p = postcard_of(body, len);
    *out = (proto_request){.type = type, .count = 1};
    if (type != PROTO_GET && type != PROTO_OBSERVE && type != PROTO_PUSH && type != PROTO_GET_MANY)
        return IROH_ERR_UNSUPPORTED;
    if (type == PROTO_GET_MANY) {
        uint64_t count = postcard_u64(&p);
        if (count > reader_left(&p.in) / PROTO_HASH)
            return p.error != 0 ? p.error : IROH_ERR_TRUNCATED;
        out->count = (size_t)count;
    }
    out->hashes = reader_bytes(&p.in, out->count * PROTO_HASH);
    if (out->hashes == NULL)
        return IROH_ERR_TRUNCATED;
    if (type == PROTO_OBSERVE)
        proto_set_read(&p, NULL);
    else
        proto_seq_read(&p, &out->seq);
    return p.error;
}

static size_t body_size(const proto_request *r) {
    size_t size = r->count * PROTO_HASH + r->seq.len;
    if (r->type == PROTO_OBSERVE)
        size += 2;
    return r->type == PROTO_GET_MANY ? postcard_u64_size(r->count) + size : size;
}

size_t proto_request_size(const proto_request *r) {
    size_t body = body_size(r);
    return 1 + (r->type == PROTO_PUSH ? postcard_u64_size(body) : 0) + body;
}

void proto_request_write(writer *w, const proto_request *r) {
    writer_u8(w, (uint8_t)r->type);
    if (r->type == PROTO_PUSH)
        postcard_write_u64(w, body_size(r));
    if (r->type == PROTO_GET_MANY)
        postcard_write_u64(w, r->count);
    writer_bytes(w, r->hashes, r->count * PROTO_HASH);
    if (r->type == PROTO_OBSERVE)
        writer_bytes(w, "\x01\x00", 2);  // the set of all chunks
    else
        writer_bytes(w, r->seq.bytes, r->seq.len);
}
