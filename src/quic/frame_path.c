// Frames about connection ids, paths and addresses: RFC 9000, multipath, address discovery, n0's NAT traversal.
//
// Path ids have 32 bits, larger ones are malformed. Addresses are canonical inside, while the frame's type keeps saying
// how they stood on the wire: an IPv4 address in a frame of an IPv6 type is written in its mapped form.
#include "quic/frame_codec.h"

static bool read_path(reader *r, uint64_t *path) {
    *path = reader_varint(r);
    return *path <= UINT32_MAX;
}

// --- Connection ids

bool frame_decode_new_cid(reader *r, quic_frame *f) {
    f->new_cid.path = 0;
    if (f->type == FRAME_PATH_NEW_CONNECTION_ID && !read_path(r, &f->new_cid.path))
        return false;
    f->new_cid.seq = reader_varint(r);
    f->new_cid.retire_prior_to = reader_varint(r);
    f->new_cid.cid.len = reader_u8(r);
    if (f->new_cid.cid.len == 0 || f->new_cid.cid.len > QUIC_CID_MAX)
        return false;
    reader_copy(r, f->new_cid.cid.bytes, f->new_cid.cid.len);
    reader_copy(r, f->new_cid.token, QUIC_RESET_TOKEN);
    return f->new_cid.retire_prior_to <= f->new_cid.seq;
}

void frame_encode_new_cid(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    if (f->type == FRAME_PATH_NEW_CONNECTION_ID)
        writer_varint(w, f->new_cid.path);
    writer_varint(w, f->new_cid.seq);
    writer_varint(w, f->new_cid.retire_prior_to);
    writer_u8(w, f->new_cid.cid.len);
    writer_bytes(w, f->new_cid.cid.bytes, f->new_cid.cid.len);
    writer_bytes(w, f->new_cid.token, QUIC_RESET_TOKEN);
}

bool frame_decode_retire_cid(reader *r, quic_frame *f) {
    f->retire_cid.path = 0;
    if (f->type == FRAME_PATH_RETIRE_CONNECTION_ID && !read_path(r, &f->retire_cid.path))
        return false;
    f->retire_cid.seq = reader_varint(r);
    return true;
}

void frame_encode_retire_cid(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    if (f->type == FRAME_PATH_RETIRE_CONNECTION_ID)
        writer_varint(w, f->retire_cid.path);
    writer_varint(w, f->retire_cid.seq);
}

// --- Paths

bool frame_decode_path_data(reader *r, quic_frame *f) {
    reader_copy(r, f->path_data.data, sizeof f->path_data.data);
    return true;
}

void frame_encode_path_data(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_bytes(w, f->path_data.data, sizeof f->path_data.data);
}

bool frame_decode_path_abandon(reader *r, quic_frame *f) {
    if (!read_path(r, &f->path_abandon.path))
        return false;
    f->path_abandon.code = reader_varint(r);
    return true;
}

void frame_encode_path_abandon(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->path_abandon.path);
    writer_varint(w, f->path_abandon.code);
}

bool frame_decode_path_status(reader *r, quic_frame *f) {
    if (!read_path(r, &f->path_status.path))
        return false;
    f->path_status.seq = reader_varint(r);
    return true;
}

void frame_encode_path_status(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->path_status.path);
    writer_varint(w, f->path_status.seq);
}

bool frame_decode_path_limit(reader *r, quic_frame *f) {
    return read_path(r, &f->path_limit.path);
}

void frame_encode_path_limit(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->path_limit.path);
}

// --- Addresses

// Of each pair of types the odd one holds an IPv6 address.
static bool is_ip6(uint64_t type) {
    return (type & 1) != 0;
}

bool frame_decode_address(reader *r, quic_frame *f) {
    uint8_t ip[16];
    size_t len = is_ip6(f->type) ? 16 : 4;
    f->address.seq = reader_varint(r);
    reader_copy(r, ip, len);
    uint16_t port = reader_u16(r);
    addr address = len == 16 ? addr_ip6(ip, port, 0) : addr_ip4(ip, port);
    f->address.address = addr_canonical(&address);
    return true;
}

void frame_encode_address(writer *w, const quic_frame *f) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const addr *a = &f->address.address;
    bool ip6 = is_ip6(f->type);
    if ((a->kind != ADDR_IP4 && a->kind != ADDR_IP6) || (a->kind == ADDR_IP6 && !ip6)) {
        w->failed = true;
        return;
    }
    writer_varint(w, f->type);
    writer_varint(w, f->address.seq);
    if (ip6 && a->kind == ADDR_IP4)
        writer_bytes(w, mapped, sizeof mapped);
    writer_bytes(w, a->bytes, a->kind == ADDR_IP6 ? 16 : 4);
    writer_u16(w, a->port);
}

bool frame_decode_remove_address(reader *r, quic_frame *f) {
    f->address.seq = reader_varint(r);
    f->address.address = (addr){.kind = ADDR_NONE};
    return true;
}

void frame_encode_remove_address(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->address.seq);
}
