// A packet under construction: the plaintext frames go through `w`, and each frame that must be repeated when lost
// leaves a note in `frames`.
#ifndef QUIC_BUILDER_H
#define QUIC_BUILDER_H

#include "quic/sent.h"

typedef struct quic_builder {
    writer w;                 // room for frames only: header before it and tag behind it are reserved
    quic_sent_frame *frames;  // newest first
    pool *pool;               // where notes come from
    uint8_t flags;            // SENT_*: set by whoever adds a frame
    uint8_t flags_before;     // as they were before the latest note
    bool full;                // stop adding: a frame did not fit
} quic_builder;

// A note for the frame that is about to be written; null (and `full` set) when out of memory: then do not write it.
static inline quic_sent_frame *quic_builder_note(quic_builder *b, uint64_t type) {
    quic_sent_frame *f = pool_take(b->pool);
    if (f == NULL) {
        b->full = true;
        return NULL;
    }
    *f = (quic_sent_frame){.next = b->frames, .type = type};
    b->frames = f;
    b->flags_before = b->flags;
    b->flags |= SENT_ACK_ELICITING | SENT_IN_FLIGHT;
    return f;
}

// Takes back the latest note when its frame did not fit after all: the packet is what it was before.
static inline void quic_builder_unnote(quic_builder *b) {
    quic_sent_frame *f = b->frames;
    b->frames = f->next;
    b->flags = b->flags_before;
    pool_give(b->pool, f);
}

#endif
