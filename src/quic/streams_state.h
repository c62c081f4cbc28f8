// What the files of quic_streams share: streams.c (the set), stream_send.c and stream_recv.c (the halves).
#ifndef QUIC_STREAMS_STATE_H
#define QUIC_STREAMS_STATE_H

#include "quic/streams.h"

static inline uint64_t min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static inline bool stream_id_is_uni(uint64_t id) {
    return (id & 2) != 0;
}

// True when the client or server `role` opened it.
static inline bool stream_id_is_of(uint64_t id, quic_role role) {
    return (id & 1) == (role == QUIC_SERVER);
}

static inline bool stream_recv_done(const quic_stream *st) {
    return !st->has_recv || st->in.read == st->final_size;
}

// --- streams.c

// The stream that a peer's frame names, opened if the peer may and has not yet; `for_send`: the frame concerns our
// sending half. Null in *out with 0: finished long ago, ignore the frame. Else a transport error.
int stream_find(quic_streams *s, uint64_t id, bool for_send, quic_stream **out);

void stream_raise(quic_stream *st, uint8_t events);
void stream_want_control(quic_stream *st, uint8_t control);
void stream_drop_control(quic_stream *st, uint8_t control);
void stream_maybe_free(quic_stream *st);  // when both halves are done and it was released; it may be gone afterwards

// Writes type and values as varints with a note; false, with b->full set, when they do not fit. Type, id and value of
// the note are what the acknowledgement or loss is to be told.
bool stream_put_frame(quic_builder *b, const quic_sent_frame *note, const uint64_t *values, size_t count);

// --- stream_send.c

void stream_schedule(quic_stream *st);  // puts it into the queue that fits its sending half
void stream_unblock(quic_streams *s);   // the connection's limit grew
void stream_raise_send_max(quic_stream *st, uint64_t max);
void stream_release_send(quic_stream *st);
void stream_drop_out(quic_stream *st);  // forgets what was written and not acknowledged
void stream_stop_waiting(quic_stream *st);
bool stream_put_reset(quic_stream *st, quic_builder *b);
void stream_reset_acked(quic_stream *st);
void stream_data_acked(quic_stream *st, const quic_sent_frame *f);
void stream_data_lost(quic_stream *st, const quic_sent_frame *f);

// --- stream_recv.c

void stream_release_recv(quic_stream *st);
void stream_check_max_data(quic_streams *s);
bool stream_put_stop(quic_stream *st, quic_builder *b);
bool stream_put_max_data(quic_stream *st, quic_builder *b);
bool stream_put_conn_max_data(quic_streams *s, quic_builder *b);
void stream_stop_lost(quic_stream *st);
void stream_max_data_lost(quic_stream *st, uint64_t value);

#endif
