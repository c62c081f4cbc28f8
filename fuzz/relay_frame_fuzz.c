// A relay frame. The first byte says who sends it, in which version and phase; the rest is the message. A frame that
// decodes lies within the message, and encodes, unless it must not be sent, to bytes that decode to the same; a datagram to
// the relay is forwarded in place as the same datagram from its sender.
#include <stdlib.h>
#include <string.h>

#include "relay/frame.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE (RELAY_MESSAGE_MAX + 16)

static const uint8_t sender_id[RELAY_ID] = {1, 2, 3};

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t len) {
    return (a == NULL) == (b == NULL) && (a == NULL || memcmp(a, b, len) == 0);
}

static bool same(const relay_frame *a, const relay_frame *b) {
    return a->type == b->type && a->ecn == b->ecn && a->code == b->code && a->segment == b->segment &&
           a->reconnect_in == b->reconnect_in && a->try_for == b->try_for && a->len == b->len &&
           same_bytes(a->id, b->id, RELAY_ID) && same_bytes(a->data, b->data, a->len);
}

static void check_round_trip(const relay_frame *f, size_t len, uint8_t sender, uint8_t version, uint8_t phase) {
    uint8_t *out = malloc(len);
    require(out != NULL);
    writer w = writer_of(out, len);
    relay_frame_encode(&w, f);
    bool datagram = f->type >= RELAY_TO_RELAY && f->type <= RELAY_TO_CLIENT_BATCH;
    size_t head = f->type % 2 == 0 ? RELAY_DATAGRAM_HEAD : RELAY_BATCH_HEAD;
    require(w.failed == (datagram && (f->len == 0 || f->len + head > RELAY_FRAME_MAX)));
    relay_frame again;
    if (!w.failed) {
        require(relay_frame_decode(out, writer_len(&w), sender, version, phase, &again) == 0);
        require(same(f, &again));
    }
    free(out);
}

static void check_forward(const uint8_t *message, size_t len, const relay_frame *f) {
    uint8_t *copy = malloc(len), *out = NULL;
    require(copy != NULL);
    memcpy(copy, message, len);
    relay_frame moved = *f, got;
    moved.id = copy + (f->id - message);
    moved.data = copy + (f->data - message);
    size_t n = relay_frame_forward(copy, len, &moved, sender_id, &out);
    if (n == 0) {
        require(memcmp(copy, message, len) == 0);
    } else {
        require(out >= copy && out + n == copy + len && n <= RELAY_FRAME_MAX);
        require(relay_frame_decode(out, n, RELAY_BY_SERVER, RELAY_V1, RELAY_IN_SESSION, &got) == 0);
        require(got.type == (f->segment != 0 ? RELAY_TO_CLIENT_BATCH : RELAY_TO_CLIENT) && got.segment == f->segment);
        require(got.ecn == f->ecn && memcmp(got.id, sender_id, RELAY_ID) == 0);
        require(got.len == f->len && memcmp(got.data, f->data, f->len) == 0);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    relay_frame f;
    if (size < 1 || size > SIZE_MAX_HERE)
        return 0;
    uint8_t sender = data[0] & 1 ? RELAY_BY_SERVER : RELAY_BY_CLIENT, version = data[0] & 2 ? RELAY_V2 : RELAY_V1;
    uint8_t phase = data[0] & 4 ? RELAY_IN_SESSION : RELAY_IN_HANDSHAKE;
    const uint8_t *message = data + 1;
    size_t len = size - 1;
    if (relay_frame_decode(message, len, sender, version, phase, &f) != 0)
        return 0;
    require(f.id == NULL || (f.id > message && f.id + RELAY_ID <= message + len));
    require(f.data == NULL || (f.data > message && f.data + f.len <= message + len));
    check_round_trip(&f, len, sender, version, phase);
    if (f.type == RELAY_TO_RELAY || f.type == RELAY_TO_RELAY_BATCH)
        check_forward(message, len, &f);
    return 0;
}
