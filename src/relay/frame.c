// The table of frames. A row's decode reads the body up to the end of the message, its encode writes it; what both leave
// to the walk is the type, who may send it when, and the bounds.
#include "relay/frame.h"

#include <string.h>

#include <iroh/error.h>

#include "crypto/ed25519.h"

#define V1 (1U << RELAY_V1)
#define V2 (1U << RELAY_V2)
#define BOTH (RELAY_BY_CLIENT | RELAY_BY_SERVER)
#define SIGNATURE_PREFIX 0x40  // length of a signature, as postcard writes it
#define REASON_PREFIX_MAX 10   // bytes of a length, as postcard writes it

// --- Bodies

static void take_data(reader *r, relay_frame *f, size_t len) {
    f->data = reader_bytes(r, len);
    f->len = len;
}

static void take_rest(reader *r, relay_frame *f) {
    take_data(r, f, reader_left(r));
}

static void take_end(reader *r) {
    if (reader_left(r) > 0)
        (void)reader_fail(r);
}

static void skip_rest(reader *r) {
    (void)reader_bytes(r, reader_left(r));
}

static void put_data(writer *w, const relay_frame *f, size_t len) {
    if (f->len != len)
        w->failed = true;
    else
        writer_bytes(w, f->data, len);
}

// An empty datagram, or one that makes the frame too long, is fatal to its receiver.
static void put_payload(writer *w, const relay_frame *f, size_t head) {
    if (f->len == 0 || f->len > RELAY_FRAME_MAX - head)
        w->failed = true;
    else
        writer_bytes(w, f->data, f->len);
}

static void decode_challenge(reader *r, relay_frame *f) {
    take_data(r, f, RELAY_CHALLENGE);
    skip_rest(r);
}

static void encode_challenge(writer *w, const relay_frame *f) {
    put_data(w, f, RELAY_CHALLENGE);
}

static void decode_auth(reader *r, relay_frame *f) {
    f->id = reader_bytes(r, RELAY_ID);
    if (reader_u8(r) != SIGNATURE_PREFIX)
        (void)reader_fail(r);
    take_data(r, f, RELAY_SIGNATURE);
    skip_rest(r);
}

static void encode_auth(writer *w, const relay_frame *f) {
    writer_bytes(w, f->id, RELAY_ID);
    writer_u8(w, SIGNATURE_PREFIX);
    put_data(w, f, RELAY_SIGNATURE);
}

static void decode_nothing(reader *r, relay_frame *f) {
    (void)f;
    skip_rest(r);
}

static void encode_nothing(writer *w, const relay_frame *f) {
    (void)w;
    (void)f;
}

// The length is a postcard varint: seven bits a byte, the lowest first.
static void decode_denial(reader *r, relay_frame *f) {
    uint64_t len = 0;
    uint8_t byte = 0x80;
    for (unsigned i = 0; i < REASON_PREFIX_MAX && (byte & 0x80) != 0; i++) {
        byte = reader_u8(r);
        if (i == REASON_PREFIX_MAX - 1 && byte > 1)
            (void)reader_fail(r);
        len |= (uint64_t)(byte & 0x7f) << (7 * i);
    }
    if (len > reader_left(r)) {
        (void)reader_fail(r);
        return;
    }
    take_data(r, f, (size_t)len);
    skip_rest(r);
}

static void encode_denial(writer *w, const relay_frame *f) {
    size_t len = f->len;
    for (; len > 0x7f; len >>= 7)
        writer_u8(w, (uint8_t)(0x80 | (len & 0x7f)));
    writer_u8(w, (uint8_t)len);
    writer_bytes(w, f->data, f->len);
}

static void decode_datagram(reader *r, relay_frame *f) {
    f->id = reader_bytes(r, RELAY_ID);
    f->ecn = reader_u8(r) & RELAY_ECN_MASK;
    take_rest(r, f);
}

static void encode_datagram(writer *w, const relay_frame *f) {
    writer_bytes(w, f->id, RELAY_ID);
    writer_u8(w, f->ecn & RELAY_ECN_MASK);
    put_payload(w, f, RELAY_DATAGRAM_HEAD);
}

static void decode_batch(reader *r, relay_frame *f) {
    f->id = reader_bytes(r, RELAY_ID);
    f->ecn = reader_u8(r) & RELAY_ECN_MASK;
    f->segment = reader_u16(r);
    take_rest(r, f);
}

static void encode_batch(writer *w, const relay_frame *f) {
    writer_bytes(w, f->id, RELAY_ID);
    writer_u8(w, f->ecn & RELAY_ECN_MASK);
    writer_u16(w, f->segment);
    put_payload(w, f, RELAY_BATCH_HEAD);
}

static void decode_gone(reader *r, relay_frame *f) {
    f->id = reader_bytes(r, RELAY_ID);
    take_end(r);
}

static void encode_gone(writer *w, const relay_frame *f) {
    writer_bytes(w, f->id, RELAY_ID);
}

static void decode_ping(reader *r, relay_frame *f) {
    take_data(r, f, RELAY_PING);
    take_end(r);
}

static void encode_ping(writer *w, const relay_frame *f) {
    put_data(w, f, RELAY_PING);
}

static void encode_text(writer *w, const relay_frame *f) {
    writer_bytes(w, f->data, f->len);
}

static void decode_restarting(reader *r, relay_frame *f) {
    f->reconnect_in = reader_u32(r);
    f->try_for = reader_u32(r);
    take_end(r);
}

static void encode_restarting(writer *w, const relay_frame *f) {
    writer_u32(w, f->reconnect_in);
    writer_u32(w, f->try_for);
}

static void decode_status(reader *r, relay_frame *f) {
    f->code = reader_u8(r);
    skip_rest(r);
}

static void encode_status(writer *w, const relay_frame *f) {
    writer_u8(w, f->code);
}

// --- The table, by type

#define HANDSHAKE RELAY_IN_HANDSHAKE
#define SESSION RELAY_IN_SESSION

static const relay_frame_info frames[] = {
    {RELAY_SERVER_CHALLENGE, RELAY_BY_SERVER, V1 | V2, HANDSHAKE, "server_challenge", decode_challenge,
     encode_challenge},
    {RELAY_CLIENT_AUTH, RELAY_BY_CLIENT, V1 | V2, HANDSHAKE, "client_auth", decode_auth, encode_auth},
    {RELAY_SERVER_CONFIRMS, RELAY_BY_SERVER, V1 | V2, HANDSHAKE, "server_confirms_auth", decode_nothing,
     encode_nothing},
    {RELAY_SERVER_DENIES, RELAY_BY_SERVER, V1 | V2, HANDSHAKE, "server_denies_auth", decode_denial, encode_denial},
    {RELAY_TO_RELAY, RELAY_BY_CLIENT, V1 | V2, SESSION, "client_to_relay_datagram", decode_datagram, encode_datagram},
    {RELAY_TO_RELAY_BATCH, RELAY_BY_CLIENT, V1 | V2, SESSION, "client_to_relay_datagram_batch", decode_batch,
     encode_batch},
    {RELAY_TO_CLIENT, RELAY_BY_SERVER, V1 | V2, SESSION, "relay_to_client_datagram", decode_datagram, encode_datagram},
    {RELAY_TO_CLIENT_BATCH, RELAY_BY_SERVER, V1 | V2, SESSION, "relay_to_client_datagram_batch", decode_batch,
     encode_batch},
    {RELAY_GONE, RELAY_BY_SERVER, V1 | V2, SESSION, "endpoint_gone", decode_gone, encode_gone},
    {RELAY_PING_FRAME, BOTH, V1 | V2, SESSION, "ping", decode_ping, encode_ping},
    {RELAY_PONG_FRAME, BOTH, V1 | V2, SESSION, "pong", decode_ping, encode_ping},
    {RELAY_HEALTH, RELAY_BY_SERVER, V1, SESSION, "health", take_rest, encode_text},
    {RELAY_RESTARTING, RELAY_BY_SERVER, V1 | V2, SESSION, "restarting", decode_restarting, encode_restarting},
    {RELAY_STATUS, RELAY_BY_SERVER, V2, SESSION, "status", decode_status, encode_status},
};

const relay_frame_info *relay_frame_info_of(uint64_t type) {
    return type < sizeof frames / sizeof *frames ? &frames[type] : NULL;
}

int relay_frame_decode(const uint8_t *message, size_t len, uint8_t sender, uint8_t version, uint8_t phase,
                       relay_frame *out) {
    reader r = reader_of(message, len);
    uint64_t type = reader_varint(&r);
    if (r.failed)
        return IROH_ERR_SYNTAX;
    const relay_frame_info *info = relay_frame_info_of(type);
    if (info == NULL || (info->senders & sender) == 0 || (info->versions & 1U << version) == 0 || info->phase != phase)
        return IROH_ERR_UNSUPPORTED;
    if (reader_left(&r) > RELAY_BODY_MAX)
        return IROH_ERR_TOO_LARGE;
    *out = (relay_frame){.type = info->type};
    info->decode(&r, out);
    return r.failed ? IROH_ERR_SYNTAX : 0;
}

void relay_frame_encode(writer *w, const relay_frame *f) {
    const relay_frame_info *info = relay_frame_info_of(f->type);
    if (info == NULL) {
        w->failed = true;
        return;
    }
    writer_u8(w, f->type);
    info->encode(w, f);
}

bool relay_frame_id_valid(const relay_frame *f) {
    return f->id == NULL || ed25519_is_point(f->id);
}

// A batch without a segment size is one datagram: its head loses two bytes at the front.
size_t relay_frame_forward(uint8_t *message, size_t len, const relay_frame *frame,
                           const uint8_t sender[static RELAY_ID], uint8_t **out) {
    bool batch = frame->type == RELAY_TO_RELAY_BATCH && frame->segment != 0;
    size_t head = batch ? RELAY_BATCH_HEAD : RELAY_DATAGRAM_HEAD;
    if (frame->len == 0 || frame->len > RELAY_FRAME_MAX - head)
        return 0;
    uint8_t *start = message + len - frame->len - head;
    uint8_t ecn = frame->ecn;
    start[0] = batch ? RELAY_TO_CLIENT_BATCH : RELAY_TO_CLIENT;
    memcpy(start + 1, sender, RELAY_ID);
    start[1 + RELAY_ID] = ecn;  // the segment size, if any, is where it was
    *out = start;
    return head + frame->len;
}
