// QUIC frames: RFC 9000 section 19, DATAGRAM (RFC 9221), ACK_FREQUENCY, multipath, observed addresses and n0's NAT
// traversal, as one table of rows.
//
// Decoding fills a `quic_frame` that borrows from the packet. A new frame is a row in the table, a member of the union
// and two small functions; the connection, the qlog writer and the fuzzer walk the same table.
#ifndef QUIC_FRAME_H
#define QUIC_FRAME_H

#include "base/addr.h"
#include "base/bytes.h"
#include "quic/types.h"

// Frame types as on the wire.
enum {
    FRAME_PADDING = 0x00,
    FRAME_PING = 0x01,
    FRAME_ACK = 0x02,
    FRAME_ACK_ECN = 0x03,
    FRAME_RESET_STREAM = 0x04,
    FRAME_STOP_SENDING = 0x05,
    FRAME_CRYPTO = 0x06,
    FRAME_NEW_TOKEN = 0x07,
    FRAME_STREAM = 0x08,  // ..0x0f: | 4 offset, | 2 length, | 1 fin
    FRAME_MAX_DATA = 0x10,
    FRAME_MAX_STREAM_DATA = 0x11,
    FRAME_MAX_STREAMS_BIDI = 0x12,
    FRAME_MAX_STREAMS_UNI = 0x13,
    FRAME_DATA_BLOCKED = 0x14,
    FRAME_STREAM_DATA_BLOCKED = 0x15,
    FRAME_STREAMS_BLOCKED_BIDI = 0x16,
    FRAME_STREAMS_BLOCKED_UNI = 0x17,
    FRAME_NEW_CONNECTION_ID = 0x18,
    FRAME_RETIRE_CONNECTION_ID = 0x19,
    FRAME_PATH_CHALLENGE = 0x1a,
    FRAME_PATH_RESPONSE = 0x1b,
    FRAME_CONNECTION_CLOSE = 0x1c,
    FRAME_APPLICATION_CLOSE = 0x1d,
    FRAME_HANDSHAKE_DONE = 0x1e,
    FRAME_IMMEDIATE_ACK = 0x1f,
    FRAME_DATAGRAM = 0x30,
    FRAME_DATAGRAM_LEN = 0x31,
    FRAME_PATH_ACK = 0x3e,
    FRAME_PATH_ACK_ECN = 0x3f,
    FRAME_ACK_FREQUENCY = 0xaf,
    FRAME_PATH_ABANDON = 0x3e75,
    FRAME_PATH_STATUS_BACKUP = 0x3e76,
    FRAME_PATH_STATUS_AVAILABLE = 0x3e77,
    FRAME_PATH_NEW_CONNECTION_ID = 0x3e78,
    FRAME_PATH_RETIRE_CONNECTION_ID = 0x3e79,
    FRAME_MAX_PATH_ID = 0x3e7a,
    FRAME_PATHS_BLOCKED = 0x3e7b,
    FRAME_PATH_CIDS_BLOCKED = 0x3e7c,
    FRAME_ADD_ADDRESS_V4 = 0x3d7f90,
    FRAME_ADD_ADDRESS_V6 = 0x3d7f91,
    FRAME_REACH_OUT_V4 = 0x3d7f92,
    FRAME_REACH_OUT_V6 = 0x3d7f93,
    FRAME_REMOVE_ADDRESS = 0x3d7f94,
    FRAME_OBSERVED_ADDRESS_V4 = 0x9f81a6,
    FRAME_OBSERVED_ADDRESS_V6 = 0x9f81a7,
};

typedef struct quic_ack_frame {
    uint64_t path;  // 0 for ACK, which acknowledges path 0
    uint64_t largest;
    uint64_t delay;         // in units of 2^ack_delay_exponent microseconds
    uint64_t first_range;   // packets before `largest` in the first range, <= largest
    uint64_t range_count;   // further ranges
    const uint8_t *ranges;  // their encoded (gap, length) pairs; already checked by the decoder
    size_t ranges_len;
    bool ecn;
    uint64_t ect0, ect1, ce;
} quic_ack_frame;

typedef struct quic_frame {
    uint64_t type;  // as read, STREAM with its flag bits
    union {
        struct {
            uint64_t len;  // PADDING: bytes in this run
        } padding;
        quic_ack_frame ack;
        struct {
            uint64_t id, code, final_size;
        } reset_stream;
        struct {
            uint64_t id, code;
        } stop_sending;
        struct {
            uint64_t offset;
            const uint8_t *data;
            size_t len;
        } crypto;
        struct {
            const uint8_t *token;
            size_t len;  // > 0
        } new_token;
        struct {
            uint64_t id, offset;
            const uint8_t *data;
            size_t len;
            bool fin;
            bool has_len;  // as read; encoding: whether to write the length
        } stream;
        struct {
            uint64_t id;     // stream id; MAX_DATA, DATA_BLOCKED, *_STREAMS*: unused
            uint64_t value;  // the limit
        } limit;             // MAX_DATA .. STREAMS_BLOCKED
        struct {
            uint64_t path;  // 0 for NEW_CONNECTION_ID
            uint64_t seq, retire_prior_to;
            quic_cid cid;  // 1..20 bytes
            uint8_t token[QUIC_RESET_TOKEN];
        } new_cid;
        struct {
            uint64_t path, seq;
        } retire_cid;
        struct {
            uint8_t data[8];
        } path_data;  // PATH_CHALLENGE, PATH_RESPONSE
        struct {
            uint64_t code;
            uint64_t frame_type;  // CONNECTION_CLOSE only
            const uint8_t *reason;
            size_t reason_len;
        } close;
        struct {
            const uint8_t *data;
            size_t len;
            bool has_len;
        } datagram;
        struct {
            uint64_t seq, threshold, max_ack_delay_us, reordering;
        } ack_frequency;
        struct {
            uint64_t path, code;
        } path_abandon;
        struct {
            uint64_t path, seq;
        } path_status;  // also PATH_CIDS_BLOCKED (seq = next sequence)
        struct {
            uint64_t path;
        } path_limit;  // MAX_PATH_ID, PATHS_BLOCKED
        struct {
            uint64_t seq;  // sequence, or round for REACH_OUT
            addr address;
        } address;  // ADD_ADDRESS, REACH_OUT, OBSERVED_ADDRESS; REMOVE_ADDRESS: seq only
    };
} quic_frame;

enum {
    FRAME_IN_INITIAL = 1 << QUIC_INITIAL,
    FRAME_IN_0RTT = 1 << QUIC_0RTT,
    FRAME_IN_HANDSHAKE = 1 << QUIC_HANDSHAKE,
    FRAME_IN_1RTT = 1 << QUIC_1RTT,
};

typedef struct quic_frame_info {
    uint64_t type;
    const char *name;  // as in the RFC and the drafts, lower case, e.g. "reset_stream": qlog uses it
    uint8_t allowed;   // FRAME_IN_* (RFC 9000 table 3)
    bool ack_eliciting;
    bool probing;                              // RFC 9000, section 9.1
    bool (*decode)(reader *r, quic_frame *f);  // false: malformed
    void (*encode)(writer *w, const quic_frame *f);
} quic_frame_info;

// The row of a type, null when unknown. STREAM types share one row.
const quic_frame_info *quic_frame_info_of(uint64_t type);

// All rows, for those who walk the table.
const quic_frame_info *quic_frame_table(size_t *count);

// Reads one frame (a run of PADDING counts as one). `*info` is its row. 0, or QUIC_FRAME_ENCODING_ERROR with f->type
// set: unknown type, truncated, a type not minimally encoded, or a value that cannot be (path id above 2^32 - 1,
// stream limits above 2^60, ack ranges below 0, offset + length above 2^62 - 1).
int quic_frame_decode(reader *r, quic_frame *f, const quic_frame_info **info);

// Writes one frame; the writer fails when it does not fit.
void quic_frame_encode(writer *w, const quic_frame *f);

// Walks the ranges of a decoded ACK from the highest down: fills [*low, *high], both inclusive, and returns false after
// the last one. `*at` starts as {0}.
typedef struct quic_ack_iter {
    reader r;
    uint64_t low;
    bool started;
} quic_ack_iter;
bool quic_ack_next(const quic_ack_frame *ack, quic_ack_iter *at, uint64_t *low, uint64_t *high);

#endif
