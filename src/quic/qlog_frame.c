// Frames as qlog objects: the name comes from the frame table, the members from here. Payloads are left out, lengths
// are not.
#include "quic/qlog_text.h"

#define ACK_DELAY_UNIT_NS (UINT64_C(8) * 1000)  // 2^3 us, the exponent that nearly everybody uses

typedef void (*member_writer)(qlog_text *t, const quic_frame *f);

static void ack(qlog_text *t, const quic_frame *f) {
    if ((f->type & ~UINT64_C(1)) == FRAME_PATH_ACK)
        qlog_text_u64(t, "path_id", f->ack.path);
    qlog_text_ms(t, "ack_delay", f->ack.delay > UINT64_MAX / ACK_DELAY_UNIT_NS ? 0 : f->ack.delay * ACK_DELAY_UNIT_NS);
    qlog_text_open(t, "acked_ranges", '[');
    quic_ack_iter at = {0};
    uint64_t low, high;
    while (quic_ack_next(&f->ack, &at, &low, &high)) {
        qlog_text_open(t, NULL, '[');
        qlog_text_u64(t, NULL, low);
        qlog_text_u64(t, NULL, high);
        qlog_text_close(t, ']');
    }
    qlog_text_close(t, ']');
    if (!f->ack.ecn)
        return;
    qlog_text_u64(t, "ect0", f->ack.ect0);
    qlog_text_u64(t, "ect1", f->ack.ect1);
    qlog_text_u64(t, "ce", f->ack.ce);
}

static void padding(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "length", f->padding.len);
}

static void reset_stream(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "stream_id", f->reset_stream.id);
    qlog_text_u64(t, "error_code", f->reset_stream.code);
    qlog_text_u64(t, "final_size", f->reset_stream.final_size);
}

static void stop_sending(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "stream_id", f->stop_sending.id);
    qlog_text_u64(t, "error_code", f->stop_sending.code);
}

static void crypto(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "offset", f->crypto.offset);
    qlog_text_u64(t, "length", f->crypto.len);
}

static void new_token(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "length", f->new_token.len);
}

static void stream(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "stream_id", f->stream.id);
    qlog_text_u64(t, "offset", f->stream.offset);
    qlog_text_u64(t, "length", f->stream.len);
    if (f->stream.fin)
        qlog_text_bool(t, "fin", true);
}

static void data_limit(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, f->type == FRAME_MAX_DATA ? "maximum" : "limit", f->limit.value);
}

static void stream_limit(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "stream_id", f->limit.id);
    qlog_text_u64(t, f->type == FRAME_MAX_STREAM_DATA ? "maximum" : "limit", f->limit.value);
}

static void streams_limit(qlog_text *t, const quic_frame *f) {
    bool bidi = f->type == FRAME_MAX_STREAMS_BIDI || f->type == FRAME_STREAMS_BLOCKED_BIDI;
    bool max = f->type == FRAME_MAX_STREAMS_BIDI || f->type == FRAME_MAX_STREAMS_UNI;
    qlog_text_string(t, "stream_type", bidi ? "bidirectional" : "unidirectional");
    qlog_text_u64(t, max ? "maximum" : "limit", f->limit.value);
}

static void new_cid(qlog_text *t, const quic_frame *f) {
    if (f->type == FRAME_PATH_NEW_CONNECTION_ID)
        qlog_text_u64(t, "path_id", f->new_cid.path);
    qlog_text_u64(t, "sequence_number", f->new_cid.seq);
    qlog_text_u64(t, "retire_prior_to", f->new_cid.retire_prior_to);
    qlog_text_u64(t, "connection_id_length", f->new_cid.cid.len);
    qlog_text_hex(t, "connection_id", f->new_cid.cid.bytes, f->new_cid.cid.len);
}

static void retire_cid(qlog_text *t, const quic_frame *f) {
    if (f->type == FRAME_PATH_RETIRE_CONNECTION_ID)
        qlog_text_u64(t, "path_id", f->retire_cid.path);
    qlog_text_u64(t, "sequence_number", f->retire_cid.seq);
}

static void path_data(qlog_text *t, const quic_frame *f) {
    qlog_text_hex(t, "data", f->path_data.data, sizeof f->path_data.data);
}

static void close_frame(qlog_text *t, const quic_frame *f) {
    qlog_text_string(t, "error_space", f->type == FRAME_CONNECTION_CLOSE ? "transport" : "application");
    qlog_text_u64(t, "error_code", f->close.code);
    qlog_text_bytes(t, "reason", (const char *)f->close.reason, f->close.reason_len);
    if (f->type == FRAME_CONNECTION_CLOSE)
        qlog_text_u64(t, "trigger_frame_type", f->close.frame_type);
}

static void datagram(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "length", f->datagram.len);
}

static void ack_frequency(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "sequence_number", f->ack_frequency.seq);
    qlog_text_u64(t, "ack_eliciting_threshold", f->ack_frequency.threshold);
    qlog_text_u64(t, "requested_max_ack_delay", f->ack_frequency.max_ack_delay_us);
    qlog_text_u64(t, "reordering_threshold", f->ack_frequency.reordering);
}

static void path_abandon(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "path_id", f->path_abandon.path);
    qlog_text_u64(t, "error_code", f->path_abandon.code);
}

static void path_status(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "path_id", f->path_status.path);
    qlog_text_u64(t, f->type == FRAME_PATH_CIDS_BLOCKED ? "next_sequence_number" : "sequence_number",
                  f->path_status.seq);
}

static void path_limit(qlog_text *t, const quic_frame *f) {
    qlog_text_u64(t, "maximum_path_id", f->path_limit.path);
}

static void address(qlog_text *t, const quic_frame *f) {
    char text[ADDR_TEXT_MAX];
    qlog_text_u64(t, "sequence_number", f->address.seq);
    if (f->address.address.kind == ADDR_NONE)
        return;
    size_t len = addr_format(&f->address.address, text);
    qlog_text_bytes(t, "address", text, len);
}

typedef struct member_row {
    uint64_t first, last;  // types
    member_writer write;
} member_row;

static const member_row rows[] = {
    {FRAME_PADDING, FRAME_PADDING, padding},
    {FRAME_ACK, FRAME_ACK_ECN, ack},
    {FRAME_RESET_STREAM, FRAME_RESET_STREAM, reset_stream},
    {FRAME_STOP_SENDING, FRAME_STOP_SENDING, stop_sending},
    {FRAME_CRYPTO, FRAME_CRYPTO, crypto},
    {FRAME_NEW_TOKEN, FRAME_NEW_TOKEN, new_token},
    {FRAME_STREAM, FRAME_STREAM + 7, stream},
    {FRAME_MAX_DATA, FRAME_MAX_DATA, data_limit},
    {FRAME_MAX_STREAM_DATA, FRAME_MAX_STREAM_DATA, stream_limit},
    {FRAME_MAX_STREAMS_BIDI, FRAME_MAX_STREAMS_UNI, streams_limit},
    {FRAME_DATA_BLOCKED, FRAME_DATA_BLOCKED, data_limit},
    {FRAME_STREAM_DATA_BLOCKED, FRAME_STREAM_DATA_BLOCKED, stream_limit},
    {FRAME_STREAMS_BLOCKED_BIDI, FRAME_STREAMS_BLOCKED_UNI, streams_limit},
    {FRAME_NEW_CONNECTION_ID, FRAME_NEW_CONNECTION_ID, new_cid},
    {FRAME_RETIRE_CONNECTION_ID, FRAME_RETIRE_CONNECTION_ID, retire_cid},
    {FRAME_PATH_CHALLENGE, FRAME_PATH_RESPONSE, path_data},
    {FRAME_CONNECTION_CLOSE, FRAME_APPLICATION_CLOSE, close_frame},
    {FRAME_DATAGRAM, FRAME_DATAGRAM_LEN, datagram},
    {FRAME_PATH_ACK, FRAME_PATH_ACK_ECN, ack},
    {FRAME_ACK_FREQUENCY, FRAME_ACK_FREQUENCY, ack_frequency},
    {FRAME_PATH_ABANDON, FRAME_PATH_ABANDON, path_abandon},
    {FRAME_PATH_STATUS_BACKUP, FRAME_PATH_STATUS_AVAILABLE, path_status},
    {FRAME_PATH_NEW_CONNECTION_ID, FRAME_PATH_NEW_CONNECTION_ID, new_cid},
    {FRAME_PATH_RETIRE_CONNECTION_ID, FRAME_PATH_RETIRE_CONNECTION_ID, retire_cid},
    {FRAME_MAX_PATH_ID, FRAME_PATHS_BLOCKED, path_limit},
    {FRAME_PATH_CIDS_BLOCKED, FRAME_PATH_CIDS_BLOCKED, path_status},
    {FRAME_ADD_ADDRESS_V4, FRAME_REMOVE_ADDRESS, address},
    {FRAME_OBSERVED_ADDRESS_V4, FRAME_OBSERVED_ADDRESS_V6, address},
};

void qlog_text_frame(qlog_text *t, const quic_frame *f, const quic_frame_info *info) {
    qlog_text_open(t, NULL, '{');
    qlog_text_string(t, "frame_type", info->name);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (f->type >= rows[i].first && f->type <= rows[i].last)
            rows[i].write(t, f);
    }
    qlog_text_close(t, '}');
}
