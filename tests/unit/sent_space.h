// One packet number space under test, its pool of frames, and ACK frames for it. For the tests of sent packets; each
// includes its own copy.
#ifndef TESTS_UNIT_SENT_SPACE_H
#define TESTS_UNIT_SENT_SPACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "quic/sent.h"

#define ACK_ROOM 4096
#define DATA (SENT_ACK_ELICITING | SENT_IN_FLIGHT)

typedef struct reports {
    uint64_t count;
    uint64_t last_pn;
    uint64_t sum_of_ids;
} reports;

typedef struct space {
    quic_sent sent;
    pool frames;
    reports acked, lost;
} space;

static inline void note_report(void *user, const quic_sent_frame *f, uint64_t pn) {
    reports *r = user;
    r->count++;
    r->last_pn = pn;
    r->sum_of_ids += f->id;
}

static inline space *space_new(void) {
    space *s = calloc(1, sizeof *s);
    quic_sent_init(&s->sent);
    pool_init(&s->frames, sizeof(quic_sent_frame), 16, POOL_MALLOC);
    return s;
}

// Asserts that every frame came back.
static inline void space_free(space *s) {
    quic_sent_dispose(&s->sent, &s->frames);
    assert_int_equal(s->frames.in_use, 0);
    pool_dispose(&s->frames);
    free(s);
}

static inline quic_sent_frame *frame_of(space *s, quic_sent_frame *next, uint64_t id) {
    quic_sent_frame *f = pool_take(&s->frames);
    *f = (quic_sent_frame){.next = next, .type = FRAME_STREAM, .id = id};
    return f;
}

// An ACK frame for the ranges, given as inclusive {low, high} from the highest down; `room` holds their encoding.
static inline quic_ack_frame ack_of(uint64_t (*r)[2], size_t count, uint8_t room[static ACK_ROOM]) {
    writer w = writer_of(room, ACK_ROOM);
    for (size_t i = 1; i < count; i++) {
        writer_varint(&w, r[i - 1][0] - r[i][1] - 2);
        writer_varint(&w, r[i][1] - r[i][0]);
    }
    assert_false(w.failed);
    return (quic_ack_frame){
        .largest = r[0][1],
        .first_range = r[0][1] - r[0][0],
        .range_count = count - 1,
        .ranges = room,
        .ranges_len = writer_len(&w),
    };
}

#endif
