// Two quic_streams that talk through real packets, without a connection: the test decides which packets arrive, when,
// how often, and what their sender is told. For the tests of streams; each includes its own copy.
#ifndef TESTS_UNIT_STREAM_PAIR_H
#define TESTS_UNIT_STREAM_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "quic/streams.h"

#define PACKET_ROOM 1500

typedef struct pair_packet {
    uint8_t bytes[PACKET_ROOM];
    size_t len;
    quic_sent_frame *frames;  // the sender's notes until acknowledged or lost
    int from;
} pair_packet;

typedef struct stream_pair {
    quic_streams side[2];  // QUIC_CLIENT, QUIC_SERVER
    pool notes;
    uint64_t rng;
} stream_pair;

static inline uint64_t pair_random(stream_pair *p) {
    p->rng ^= p->rng << 13;
    p->rng ^= p->rng >> 7;
    p->rng ^= p->rng << 17;
    return p->rng * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static inline uint64_t pair_below(stream_pair *p, uint64_t bound) {
    return pair_random(p) % bound;
}

static inline quic_streams_config pair_config(void) {
    return (quic_streams_config){
        .streams_bidi = 100,
        .streams_uni = 100,
        .stream_window = 100000,
        .conn_window = 1000000,
        .send_buffer = 1000000,
        .map_seed = {1, 2},
    };
}

static inline quic_params pair_params_of(const quic_streams_config *c) {
    return (quic_params){
        .initial_max_data = c->conn_window,
        .initial_max_stream_data_bidi_local = c->stream_window,
        .initial_max_stream_data_bidi_remote = c->stream_window,
        .initial_max_stream_data_uni = c->stream_window,
        .initial_max_streams_bidi = c->streams_bidi,
        .initial_max_streams_uni = c->streams_uni,
    };
}

// Both sides have the same configuration and know each other's limits.
static inline void pair_init(stream_pair *p, quic_streams_config config) {
    quic_params params = pair_params_of(&config);
    *p = (stream_pair){.rng = UINT64_C(0x9e3779b97f4a7c15)};
    pool_init(&p->notes, sizeof(quic_sent_frame), 64, POOL_MALLOC);
    for (int i = 0; i < 2; i++) {
        config.role = (quic_role)i;
        quic_streams_init(&p->side[i], &config);
        p->side[i].chunks.keep = false;
        quic_streams_set_peer(&p->side[i], &params);
    }
}

static inline void pair_dispose(stream_pair *p) {
    quic_streams_dispose(&p->side[0]);
    quic_streams_dispose(&p->side[1]);
    pool_dispose(&p->notes);
}

static inline int pair_handle(quic_streams *s, const quic_frame *f) {
    switch (f->type) {
    case FRAME_PADDING:
        return 0;
    case FRAME_RESET_STREAM:
        return quic_streams_on_reset(s, f);
    case FRAME_STOP_SENDING:
        return quic_streams_on_stop_sending(s, f);
    case FRAME_MAX_DATA:
        return quic_streams_on_max_data(s, f);
    case FRAME_MAX_STREAM_DATA:
        return quic_streams_on_max_stream_data(s, f);
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
        return quic_streams_on_max_streams(s, f);
    case FRAME_DATA_BLOCKED:
    case FRAME_STREAM_DATA_BLOCKED:
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
        return quic_streams_on_blocked(s, f);
    default:
        return f->type >= FRAME_STREAM && f->type <= FRAME_STREAM + 7 ? quic_streams_on_stream(s, f)
                                                                      : QUIC_PROTOCOL_VIOLATION;
    }
}

// The next packet of a side with `room` bytes for frames; false when it has nothing to send.
static inline bool pair_build(stream_pair *p, int from, size_t room, pair_packet *packet) {
    quic_builder b = {.w = writer_of(packet->bytes, room), .pool = &p->notes};
    quic_streams_write_control(&p->side[from], &b);
    quic_streams_write_data(&p->side[from], &b);
    assert_false(b.w.failed);
    packet->len = writer_len(&b.w);
    packet->frames = b.frames;
    packet->from = from;
    assert_true((packet->len == 0) == (b.frames == NULL));
    return packet->len > 0;
}

// Hands the packet to the other side. 0 or the transport error.
static inline int pair_deliver(stream_pair *p, const pair_packet *packet) {
    // An exact copy lets AddressSanitizer see a read past the end, and nobody may keep a pointer into it.
    uint8_t *copy = malloc(packet->len);
    memcpy(copy, packet->bytes, packet->len);
    reader r = reader_of(copy, packet->len);
    int error = 0;
    while (error == 0 && reader_left(&r) > 0) {
        quic_frame f;
        const quic_frame_info *info;
        error = quic_frame_decode(&r, &f, &info);
        if (error == 0)
            error = pair_handle(&p->side[1 - packet->from], &f);
    }
    free(copy);
    return error;
}

// Tells the sender what became of the packet. Once.
static inline void pair_settle(stream_pair *p, pair_packet *packet, bool acked) {
    while (packet->frames != NULL) {
        quic_sent_frame *f = packet->frames;
        packet->frames = f->next;
        if (acked)
            quic_streams_acked(&p->side[packet->from], f);
        else
            quic_streams_lost(&p->side[packet->from], f);
        pool_give(&p->notes, f);
    }
}

// Everything that a side has to say arrives and is acknowledged. The number of packets.
static inline int pair_flush(stream_pair *p, int from) {
    pair_packet packet;
    int count = 0;
    for (; pair_build(p, from, 1400, &packet); count++) {
        assert_int_equal(pair_deliver(p, &packet), 0);
        pair_settle(p, &packet, true);
    }
    return count;
}

// Back and forth until both are silent.
static inline void pair_run(stream_pair *p) {
    while (pair_flush(p, 0) + pair_flush(p, 1) > 0) {}
}

static inline uint8_t pair_byte(uint64_t id, int from, uint64_t offset) {
    uint64_t x = (offset + 1) * UINT64_C(0xff51afd7ed558ccd) ^ (id * 2 + (uint64_t)from) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (uint8_t)(x >> 40);
}

#endif
