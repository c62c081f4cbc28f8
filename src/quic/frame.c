// The table of frames, and what walks it. Types come in a few runs, so a type finds its row by subtraction.
#include "quic/frame.h"

#include "quic/frame_codec.h"

#define ALL (FRAME_IN_INITIAL | FRAME_IN_0RTT | FRAME_IN_HANDSHAKE | FRAME_IN_1RTT)
#define NOT_0RTT (FRAME_IN_INITIAL | FRAME_IN_HANDSHAKE | FRAME_IN_1RTT)
#define DATA (FRAME_IN_0RTT | FRAME_IN_1RTT)
#define ONLY_1RTT FRAME_IN_1RTT
#define ROW(type, name, allowed, eliciting, probing, decode, encode)                                                   \
    { FRAME_##type, name, allowed, eliciting, probing, frame_decode_##decode, frame_encode_##encode }

// clang-format off
static const quic_frame_info rows[] = {
    //  type                      name                         allowed    elicits probes decode         encode
    ROW(PADDING,                  "padding",                   ALL,       false, true,  padding,        padding),
    ROW(PING,                     "ping",                      ALL,       true,  false, empty,          empty),
    ROW(ACK,                      "ack",                       NOT_0RTT,  false, false, ack,            ack),
    ROW(ACK_ECN,                  "ack",                       NOT_0RTT,  false, false, ack,            ack),
    ROW(RESET_STREAM,             "reset_stream",              DATA,      true,  false, reset_stream,   reset_stream),
    ROW(STOP_SENDING,             "stop_sending",              DATA,      true,  false, stop_sending,   stop_sending),
    ROW(CRYPTO,                   "crypto",                    NOT_0RTT,  true,  false, crypto,         crypto),
    ROW(NEW_TOKEN,                "new_token",                 ONLY_1RTT, true,  false, new_token,      new_token),
    ROW(STREAM,                   "stream",                    DATA,      true,  false, stream,         stream),
    ROW(MAX_DATA,                 "max_data",                  DATA,      true,  false, data_limit,     data_limit),
    ROW(MAX_STREAM_DATA,          "max_stream_data",           DATA,      true,  false, stream_limit,   stream_limit),
    ROW(MAX_STREAMS_BIDI,         "max_streams",               DATA,      true,  false, streams_limit,  data_limit),
    ROW(MAX_STREAMS_UNI,          "max_streams",               DATA,      true,  false, streams_limit,  data_limit),
    ROW(DATA_BLOCKED,             "data_blocked",              DATA,      true,  false, data_limit,     data_limit),
    ROW(STREAM_DATA_BLOCKED,      "stream_data_blocked",       DATA,      true,  false, stream_limit,   stream_limit),
    ROW(STREAMS_BLOCKED_BIDI,     "streams_blocked",           DATA,      true,  false, streams_limit,  data_limit),
    ROW(STREAMS_BLOCKED_UNI,      "streams_blocked",           DATA,      true,  false, streams_limit,  data_limit),
    ROW(NEW_CONNECTION_ID,        "new_connection_id",         DATA,      true,  true,  new_cid,        new_cid),
    ROW(RETIRE_CONNECTION_ID,     "retire_connection_id",      ONLY_1RTT, true,  false, retire_cid,     retire_cid),
    ROW(PATH_CHALLENGE,           "path_challenge",            DATA,      true,  true,  path_data,      path_data),
    ROW(PATH_RESPONSE,            "path_response",             ONLY_1RTT, true,  true,  path_data,      path_data),
    ROW(CONNECTION_CLOSE,         "connection_close",          ALL,       false, false, close,          close),
    ROW(APPLICATION_CLOSE,        "connection_close",          ONLY_1RTT, false, false, close,          close),
    ROW(HANDSHAKE_DONE,           "handshake_done",            ONLY_1RTT, true,  false, empty,          empty),
    ROW(IMMEDIATE_ACK,            "immediate_ack",             ONLY_1RTT, true,  false, empty,          empty),
    ROW(DATAGRAM,                 "datagram",                  DATA,      true,  false, datagram,       datagram),
    ROW(DATAGRAM_LEN,             "datagram",                  DATA,      true,  false, datagram,       datagram),
    ROW(PATH_ACK,                 "path_ack",                  ONLY_1RTT, false, false, ack,            ack),
    ROW(PATH_ACK_ECN,             "path_ack",                  ONLY_1RTT, false, false, ack,            ack),
    ROW(ACK_FREQUENCY,            "ack_frequency",             ONLY_1RTT, true,  false, ack_frequency,  ack_frequency),
    ROW(PATH_ABANDON,             "path_abandon",              ONLY_1RTT, true,  false, path_abandon,   path_abandon),
    ROW(PATH_STATUS_BACKUP,       "path_status_backup",        ONLY_1RTT, true,  false, path_status,    path_status),
    ROW(PATH_STATUS_AVAILABLE,    "path_status_available",     ONLY_1RTT, true,  false, path_status,    path_status),
    ROW(PATH_NEW_CONNECTION_ID,   "path_new_connection_id",    ONLY_1RTT, true,  true,  new_cid,        new_cid),
    ROW(PATH_RETIRE_CONNECTION_ID, "path_retire_connection_id", ONLY_1RTT, true, false, retire_cid,     retire_cid),
    ROW(MAX_PATH_ID,              "max_path_id",               ONLY_1RTT, true,  false, path_limit,     path_limit),
    ROW(PATHS_BLOCKED,            "paths_blocked",             ONLY_1RTT, true,  false, path_limit,     path_limit),
    ROW(PATH_CIDS_BLOCKED,        "path_cids_blocked",         ONLY_1RTT, true,  false, path_status,    path_status),
    ROW(ADD_ADDRESS_V4,           "add_address",               ONLY_1RTT, true,  false, address,        address),
    ROW(ADD_ADDRESS_V6,           "add_address",               ONLY_1RTT, true,  false, address,        address),
    ROW(REACH_OUT_V4,             "reach_out",                 ONLY_1RTT, true,  false, address,        address),
    ROW(REACH_OUT_V6,             "reach_out",                 ONLY_1RTT, true,  false, address,        address),
    ROW(REMOVE_ADDRESS,           "remove_address",            ONLY_1RTT, true,  false, remove_address, remove_address),
    ROW(OBSERVED_ADDRESS_V4,      "observed_address",          ONLY_1RTT, true,  true,  address,        address),
    ROW(OBSERVED_ADDRESS_V6,      "observed_address",          ONLY_1RTT, true,  true,  address,        address),
};
// clang-format on

// Neighbouring types whose rows are neighbours too; `step` 0: they share one row.
typedef struct type_run {
    uint64_t first;
    uint8_t count;
    uint8_t row;
    uint8_t step;
} type_run;

static const type_run runs[] = {
    {.first = FRAME_STREAM, .count = 8, .row = 8, .step = 0},
    {.first = FRAME_PADDING, .count = 8, .row = 0, .step = 1},
    {.first = FRAME_MAX_DATA, .count = 16, .row = 9, .step = 1},
    {.first = FRAME_PATH_ACK, .count = 2, .row = 27, .step = 1},
    {.first = FRAME_DATAGRAM, .count = 2, .row = 25, .step = 1},
    {.first = FRAME_PATH_ABANDON, .count = 8, .row = 30, .step = 1},
    {.first = FRAME_ACK_FREQUENCY, .count = 1, .row = 29, .step = 1},
    {.first = FRAME_ADD_ADDRESS_V4, .count = 5, .row = 38, .step = 1},
    {.first = FRAME_OBSERVED_ADDRESS_V4, .count = 2, .row = 43, .step = 1},
};

const quic_frame_info *quic_frame_info_of(uint64_t type) {
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        uint64_t at = type - runs[i].first;  // wraps for lower types, which then are beyond the run
        if (at < runs[i].count)
            return &rows[runs[i].row + at * runs[i].step];
    }
    return NULL;
}

const quic_frame_info *quic_frame_table(size_t *count) {
    *count = sizeof rows / sizeof rows[0];
    return rows;
}

int quic_frame_decode(reader *r, quic_frame *f, const quic_frame_info **info) {
    const uint8_t *start = r->p;
    f->type = reader_varint(r);
    *info = quic_frame_info_of(f->type);
    if (r->failed || *info == NULL || (size_t)(r->p - start) != varint_size(f->type))
        return QUIC_FRAME_ENCODING_ERROR;
    return (*info)->decode(r, f) && !r->failed ? 0 : QUIC_FRAME_ENCODING_ERROR;
}

void quic_frame_encode(writer *w, const quic_frame *f) {
    const quic_frame_info *info = quic_frame_info_of(f->type);
    if (info != NULL)
        info->encode(w, f);
    else
        w->failed = true;
}

bool quic_ack_next(const quic_ack_frame *ack, quic_ack_iter *at, uint64_t *low, uint64_t *high) {
    if (!at->started) {
        *at = (quic_ack_iter){.r = reader_of(ack->ranges, ack->ranges_len), .started = true};
        *high = ack->largest;
        *low = at->low = ack->largest - ack->first_range;
        return true;
    }
    if (reader_left(&at->r) == 0)
        return false;
    // A gap of n leaves n + 1 numbers out.
    *high = at->low - reader_varint(&at->r) - 2;
    *low = at->low = *high - reader_varint(&at->r);
    return true;
}
