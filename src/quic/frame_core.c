// Frames of RFC 9000, RFC 9221 and the acknowledgement frequency draft.
#include "quic/frame_codec.h"

#define STREAM_OFFSET 0x04
#define STREAM_LENGTH 0x02
#define STREAM_FIN 0x01
#define ECN_BIT 0x01     // of ACK and PATH_ACK
#define LENGTH_BIT 0x01  // of DATAGRAM
#define STREAMS_MAX (UINT64_C(1) << 60)

// `len` bytes at `offset` of a stream must end within the numbers that a varint can hold.
static bool fits(uint64_t offset, size_t len) {
    return offset <= VARINT_MAX - len;
}

// A length and as many bytes; null when fewer are left.
static const uint8_t *read_block(reader *r, size_t *len) {
    uint64_t claimed = reader_varint(r);
    if (claimed > reader_left(r)) {
        (void)reader_fail(r);
        claimed = 0;
    }
    *len = (size_t)claimed;
    return reader_bytes(r, *len);
}

static const uint8_t *read_rest(reader *r, size_t *len) {
    *len = reader_left(r);
    return reader_bytes(r, *len);
}

static void write_block(writer *w, const uint8_t *bytes, size_t len) {
    writer_varint(w, len);
    writer_bytes(w, bytes, len);
}

bool frame_decode_empty(reader *r, quic_frame *f) {
    (void)r, (void)f;
    return true;
}

void frame_encode_empty(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
}

bool frame_decode_padding(reader *r, quic_frame *f) {
    const uint8_t *start = r->p;
    while (r->p < r->end && *r->p == FRAME_PADDING)
        r->p++;
    f->padding.len = 1 + (uint64_t)(r->p - start);
    return true;
}

void frame_encode_padding(writer *w, const quic_frame *f) {
    if (f->padding.len > writer_left(w)) {
        w->failed = true;
        return;
    }
    uint8_t *at = writer_room(w, (size_t)f->padding.len);
    if (at != NULL)
        memset(at, FRAME_PADDING, (size_t)f->padding.len);
}

// --- Acknowledgements

// Steps over the ranges; false when they go below 0.
static bool check_ranges(reader *r, quic_ack_frame *a) {
    uint64_t low = a->largest - a->first_range;
    a->ranges = r->p;
    for (uint64_t i = 0; i < a->range_count && !r->failed; i++) {
        uint64_t gap = reader_varint(r);
        uint64_t length = reader_varint(r);
        if (gap + 2 > low || length > low - gap - 2)
            return false;
        low -= gap + 2 + length;
    }
    a->ranges_len = r->failed ? 0 : (size_t)(r->p - a->ranges);
    return !r->failed;
}

bool frame_decode_ack(reader *r, quic_frame *f) {
    quic_ack_frame *a = &f->ack;
    a->path = (f->type & ~UINT64_C(1)) == FRAME_PATH_ACK ? reader_varint(r) : 0;
    a->largest = reader_varint(r);
    a->delay = reader_varint(r);
    a->range_count = reader_varint(r);
    a->first_range = reader_varint(r);
    if (a->path > UINT32_MAX || a->first_range > a->largest || !check_ranges(r, a))
        return false;
    a->ecn = (f->type & ECN_BIT) != 0;
    a->ect0 = a->ecn ? reader_varint(r) : 0;
    a->ect1 = a->ecn ? reader_varint(r) : 0;
    a->ce = a->ecn ? reader_varint(r) : 0;
    return true;
}

void frame_encode_ack(writer *w, const quic_frame *f) {
    const quic_ack_frame *a = &f->ack;
    uint64_t type = f->type & ~UINT64_C(1);
    writer_varint(w, a->ecn ? type | ECN_BIT : type);
    if (type == FRAME_PATH_ACK)
        writer_varint(w, a->path);
    writer_varint(w, a->largest);
    writer_varint(w, a->delay);
    writer_varint(w, a->range_count);
    writer_varint(w, a->first_range);
    writer_bytes(w, a->ranges, a->ranges_len);
    if (!a->ecn)
        return;
    writer_varint(w, a->ect0);
    writer_varint(w, a->ect1);
    writer_varint(w, a->ce);
}

bool frame_decode_ack_frequency(reader *r, quic_frame *f) {
    f->ack_frequency.seq = reader_varint(r);
    f->ack_frequency.threshold = reader_varint(r);
    f->ack_frequency.max_ack_delay_us = reader_varint(r);
    f->ack_frequency.reordering = reader_varint(r);
    return true;
}

void frame_encode_ack_frequency(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->ack_frequency.seq);
    writer_varint(w, f->ack_frequency.threshold);
    writer_varint(w, f->ack_frequency.max_ack_delay_us);
    writer_varint(w, f->ack_frequency.reordering);
}

// --- Handshake

bool frame_decode_crypto(reader *r, quic_frame *f) {
    f->crypto.offset = reader_varint(r);
    f->crypto.data = read_block(r, &f->crypto.len);
    return fits(f->crypto.offset, f->crypto.len);
}

void frame_encode_crypto(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->crypto.offset);
    write_block(w, f->crypto.data, f->crypto.len);
}

bool frame_decode_new_token(reader *r, quic_frame *f) {
    f->new_token.token = read_block(r, &f->new_token.len);
    return f->new_token.len > 0;
}

void frame_encode_new_token(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    write_block(w, f->new_token.token, f->new_token.len);
}

// --- Streams and datagrams

bool frame_decode_stream(reader *r, quic_frame *f) {
    f->stream.id = reader_varint(r);
    f->stream.offset = (f->type & STREAM_OFFSET) != 0 ? reader_varint(r) : 0;
    f->stream.fin = (f->type & STREAM_FIN) != 0;
    f->stream.has_len = (f->type & STREAM_LENGTH) != 0;
    f->stream.data = f->stream.has_len ? read_block(r, &f->stream.len) : read_rest(r, &f->stream.len);
    return fits(f->stream.offset, f->stream.len);
}

void frame_encode_stream(writer *w, const quic_frame *f) {
    unsigned type = FRAME_STREAM | (f->stream.offset > 0 ? STREAM_OFFSET : 0) |
                    (f->stream.has_len ? STREAM_LENGTH : 0) | (f->stream.fin ? STREAM_FIN : 0);
    writer_u8(w, (uint8_t)type);
    writer_varint(w, f->stream.id);
    if (f->stream.offset > 0)
        writer_varint(w, f->stream.offset);
    if (f->stream.has_len)
        writer_varint(w, f->stream.len);
    writer_bytes(w, f->stream.data, f->stream.len);
}

bool frame_decode_reset_stream(reader *r, quic_frame *f) {
    f->reset_stream.id = reader_varint(r);
    f->reset_stream.code = reader_varint(r);
    f->reset_stream.final_size = reader_varint(r);
    return true;
}

void frame_encode_reset_stream(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->reset_stream.id);
    writer_varint(w, f->reset_stream.code);
    writer_varint(w, f->reset_stream.final_size);
}

bool frame_decode_stop_sending(reader *r, quic_frame *f) {
    f->stop_sending.id = reader_varint(r);
    f->stop_sending.code = reader_varint(r);
    return true;
}

void frame_encode_stop_sending(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->stop_sending.id);
    writer_varint(w, f->stop_sending.code);
}

bool frame_decode_data_limit(reader *r, quic_frame *f) {
    f->limit.id = 0;
    f->limit.value = reader_varint(r);
    return true;
}

void frame_encode_data_limit(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->limit.value);
}

bool frame_decode_streams_limit(reader *r, quic_frame *f) {
    return frame_decode_data_limit(r, f) && f->limit.value <= STREAMS_MAX;
}

bool frame_decode_stream_limit(reader *r, quic_frame *f) {
    f->limit.id = reader_varint(r);
    f->limit.value = reader_varint(r);
    return true;
}

void frame_encode_stream_limit(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->limit.id);
    writer_varint(w, f->limit.value);
}

bool frame_decode_datagram(reader *r, quic_frame *f) {
    f->datagram.has_len = (f->type & LENGTH_BIT) != 0;
    f->datagram.data = f->datagram.has_len ? read_block(r, &f->datagram.len) : read_rest(r, &f->datagram.len);
    return true;
}

void frame_encode_datagram(writer *w, const quic_frame *f) {
    writer_varint(w, f->datagram.has_len ? FRAME_DATAGRAM_LEN : FRAME_DATAGRAM);
    if (f->datagram.has_len)
        writer_varint(w, f->datagram.len);
    writer_bytes(w, f->datagram.data, f->datagram.len);
}

// --- Close

bool frame_decode_close(reader *r, quic_frame *f) {
    f->close.code = reader_varint(r);
    f->close.frame_type = f->type == FRAME_CONNECTION_CLOSE ? reader_varint(r) : 0;
    f->close.reason = read_block(r, &f->close.reason_len);
    return true;
}

void frame_encode_close(writer *w, const quic_frame *f) {
    writer_varint(w, f->type);
    writer_varint(w, f->close.code);
    if (f->type == FRAME_CONNECTION_CLOSE)
        writer_varint(w, f->close.frame_type);
    write_block(w, f->close.reason, f->close.reason_len);
}
