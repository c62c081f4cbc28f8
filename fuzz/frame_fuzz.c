// The payload of a packet. Every frame that decodes is encoded; that must be no longer, decode to the same frame, and
// encode to the same bytes. The qlog writer, which walks the same frames, sees the payload too, and must say the same of
// both.
#include <stdlib.h>
#include <string.h>

#include "quic/frame.h"
#include "quic/qlog.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAYLOAD_MAX 65536

typedef struct text_hash {
    uint64_t hash;
    size_t len;
} text_hash;

static void take_text(void *user, const char *text, size_t len) {
    text_hash *h = user;
    for (size_t i = 0; i < len; i++)
        h->hash = (h->hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    h->len += len;
}

static text_hash qlog_of(const uint8_t *payload, size_t len) {
    text_hash h = {0};
    const quic_cid odcid = {.len = 1};
    const quic_qlog_sink sink = {.write = take_text, .user = &h};
    quic_qlog *q = quic_qlog_new(QUIC_CLIENT, &odcid, &sink);
    require(q != NULL);
    quic_qlog_packet_received(q, 1, &(quic_qlog_packet){.type = QUIC_1RTT}, payload, len);
    quic_qlog_free(q);
    return h;
}

// Ranges go down, do not touch, and end at 0 or above.
static void check_ranges(const quic_ack_frame *a) {
    quic_ack_iter at = {0};
    uint64_t low, high, below = UINT64_MAX, count = 0;
    while (quic_ack_next(a, &at, &low, &high)) {
        require(low <= high && high < below && (count > 0 || high == a->largest));
        below = low > 0 ? low - 1 : 0;
        count++;
    }
    require(count == a->range_count + 1);
}

static void check_fields(const quic_frame *f, const quic_frame_info *info) {
    if (info->type == FRAME_ACK || info->type == FRAME_ACK_ECN || info->type == FRAME_PATH_ACK ||
        info->type == FRAME_PATH_ACK_ECN)
        check_ranges(&f->ack);
    else if (info->type == FRAME_STREAM)
        require(f->stream.offset <= VARINT_MAX - f->stream.len);
    else if (info->type == FRAME_CRYPTO)
        require(f->crypto.offset <= VARINT_MAX - f->crypto.len);
    else if (info->type == FRAME_NEW_CONNECTION_ID || info->type == FRAME_PATH_NEW_CONNECTION_ID)
        require(f->new_cid.cid.len >= 1 && f->new_cid.cid.len <= QUIC_CID_MAX && f->new_cid.path <= UINT32_MAX);
}

static void check_round_trip(const quic_frame *f, const quic_frame_info *info, size_t size) {
    uint8_t *once = malloc(size), *twice = malloc(size);
    require(once != NULL && twice != NULL);
    writer w = writer_of(once, size);
    quic_frame_encode(&w, f);
    require(!w.failed);
    quic_frame again = {0};
    const quic_frame_info *again_info;
    size_t len = writer_len(&w);
    reader r = reader_of(once, len);
    require(quic_frame_decode(&r, &again, &again_info) == 0 && reader_left(&r) == 0);
    require(again_info == info);
    check_fields(&again, info);
    w = writer_of(twice, size);
    quic_frame_encode(&w, &again);
    require(!w.failed && writer_len(&w) == len && memcmp(once, twice, len) == 0);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > PAYLOAD_MAX)
        return 0;
    uint8_t *all = malloc(size > 0 ? size : 1);
    require(all != NULL);
    writer w = writer_of(all, size);
    reader r = reader_of(data, size);
    bool failed = false;
    while (reader_left(&r) > 0 && !failed) {
        quic_frame f = {0};
        const quic_frame_info *info;
        const uint8_t *start = r.p;
        failed = quic_frame_decode(&r, &f, &info) != 0;
        if (failed)
            break;
        require(r.p > start && info == quic_frame_info_of(f.type));
        check_fields(&f, info);
        check_round_trip(&f, info, (size_t)(r.p - start));
        quic_frame_encode(&w, &f);
    }
    require(!w.failed);
    text_hash ours = qlog_of(all, writer_len(&w)), theirs = qlog_of(data, size);
    require(failed || (ours.hash == theirs.hash && ours.len == theirs.len));
    free(all);
    return 0;
}
