// The receiving half of a stream (RFC 9000, section 3.2) and the credit of stream and connection (section 4).
//
// Three counts make up all of flow control: `in.highest` is what the peer has used of the stream's limit, `in.read` what
// was handed out or thrown away, and the connection's recv_used and recv_read are their sums over all streams, finished
// ones included. Credit for a byte is given when `in.read` passes it, so never twice, whatever the ways in which a stream
// can end: when the final size is known and everything is read or thrown away, read, highest and final size are equal.
#include <limits.h>

#include <iroh/error.h>

#include "quic/streams_state.h"

// --- Credit

// New limits are announced when this part of a window was used: few frames, and a window that never runs dry as long as
// the data of a round trip fits into the rest.
#define WINDOW_PART 4

static uint64_t target_of(uint64_t read, uint64_t window) {
    return min_u64(read + window, VARINT_MAX);
}

static bool worth_announcing(uint64_t read, uint64_t window, uint64_t announced) {
    uint64_t target = target_of(read, window);
    return target > announced && target - announced >= window / WINDOW_PART;
}

static void count_read(quic_stream *st, uint64_t bytes) {
    quic_streams *s = st->owner;
    s->recv_read += bytes;
    if (worth_announcing(s->recv_read, s->recv_conn_window, s->recv_max))
        s->max_data_wanted = true;
    if (st->final_size != STREAM_SIZE_UNKNOWN || st->stop_wanted)
        stream_drop_control(st, STREAM_SEND_MAX_DATA);
    else if (worth_announcing(st->in.read, st->recv_window, st->recv_max))
        stream_want_control(st, STREAM_SEND_MAX_DATA);
}

static void throw_away(quic_stream *st) {
    uint64_t before = st->in.read;
    quic_recvbuf_discard(&st->in);
    count_read(st, st->in.read - before);
}

bool stream_put_max_data(quic_stream *st, quic_builder *b) {
    const uint64_t values[] = {st->id, target_of(st->in.read, st->recv_window)};
    quic_sent_frame note = {.type = FRAME_MAX_STREAM_DATA, .id = st->id, .offset = values[1]};
    if (!stream_put_frame(b, &note, values, 2))
        return false;
    st->recv_max = values[1];
    return true;
}

bool stream_put_conn_max_data(quic_streams *s, quic_builder *b) {
    uint64_t max = target_of(s->recv_read, s->recv_conn_window);
    quic_sent_frame note = {.type = FRAME_MAX_DATA, .offset = max};
    if (!stream_put_frame(b, &note, &max, 1))
        return false;
    s->recv_max = max;
    return true;
}

void stream_max_data_lost(quic_stream *st, uint64_t value) {
    if (value == st->recv_max && st->final_size == STREAM_SIZE_UNKNOWN && !st->stop_wanted)
        stream_want_control(st, STREAM_SEND_MAX_DATA);
}

// --- Reading

static int refuse_reading(const quic_stream *st) {
    if (!st->has_recv)
        return IROH_ERR_ARG;
    if (st->rejected)
        return IROH_ERR_REJECTED_0RTT;
    return st->stop_wanted ? IROH_ERR_CLOSED : 0;
}

int quic_stream_read(quic_stream *st, void *out, size_t len) {
    int r = refuse_reading(st);
    if (r != 0)
        return r;
    if (st->recv_reset)
        return IROH_ERR_RESET;
    if (len == 0)
        return IROH_ERR_ARG;
    size_t n = quic_recvbuf_read(&st->in, out, len < INT_MAX ? len : INT_MAX);
    if (n == 0)
        return stream_recv_done(st) ? 0 : IROH_ERR_AGAIN;
    count_read(st, n);
    return (int)n;
}

int quic_stream_stop(quic_stream *st, uint64_t code) {
    int r = refuse_reading(st);
    if (r != 0)
        return r;
    if (stream_recv_done(st))
        return IROH_ERR_CLOSED;
    st->stop_wanted = true;
    st->recv_stop_code = code;
    // With the size known there is nothing left to ask for: what is missing may stay away.
    if (st->final_size == STREAM_SIZE_UNKNOWN)
        stream_want_control(st, STREAM_SEND_STOP);
    throw_away(st);
    return 0;
}

void stream_release_recv(quic_stream *st) {
    if (st->has_recv)
        (void)quic_stream_stop(st, 0);
}

bool stream_put_stop(quic_stream *st, quic_builder *b) {
    const uint64_t values[] = {st->id, st->recv_stop_code};
    quic_sent_frame note = {.type = FRAME_STOP_SENDING, .id = st->id};
    return stream_put_frame(b, &note, values, 2);
}

void stream_stop_lost(quic_stream *st) {
    if (st->final_size == STREAM_SIZE_UNKNOWN)
        stream_want_control(st, STREAM_SEND_STOP);
}

// --- Frames of the peer

// Charges the peer for the offsets up to `end`, which ends the stream if `final`. Checks every rule first.
static int charge(quic_stream *st, uint64_t end, bool final) {
    quic_streams *s = st->owner;
    uint64_t highest = st->in.highest;
    if (st->final_size != STREAM_SIZE_UNKNOWN && (end > st->final_size || (final && end != st->final_size)))
        return QUIC_FINAL_SIZE_ERROR;
    if (final && end < highest)
        return QUIC_FINAL_SIZE_ERROR;
    if (end > st->recv_max)
        return QUIC_FLOW_CONTROL_ERROR;
    uint64_t fresh = end > highest ? end - highest : 0;
    if (fresh > s->recv_max - s->recv_used)
        return QUIC_FLOW_CONTROL_ERROR;
    s->recv_used += fresh;
    if (final)
        st->final_size = end;
    return 0;
}

// The size is known: limits and the request to stop have lost their meaning.
static void size_known(quic_stream *st) {
    stream_drop_control(st, STREAM_SEND_MAX_DATA | STREAM_SEND_STOP);
}

static int store(quic_stream *st, const quic_frame *f) {
    const quic_lender *lender = st->owner->lender;
    if (lender == NULL)
        return quic_recvbuf_insert(&st->in, f->stream.offset, f->stream.data, f->stream.len);
    quic_loan loan = {.bytes = f->stream.data, .release = lender->release, .user = lender->loan_user};
    int r = quic_recvbuf_insert_lent(&st->in, f->stream.offset, &loan, f->stream.len);
    if (r == 1)
        lender->keep(lender->user);
    return r < 0 ? r : 0;
}

int quic_streams_on_stream(quic_streams *s, const quic_frame *f) {
    quic_stream *st;
    int r = stream_find(s, f->stream.id, false, &st);
    if (r != 0 || st == NULL)
        return r;
    if (f->stream.offset > VARINT_MAX || f->stream.len > VARINT_MAX - f->stream.offset)
        return QUIC_FLOW_CONTROL_ERROR;
    uint64_t end = f->stream.offset + f->stream.len;
    r = charge(st, end, f->stream.fin);
    if (r != 0)
        return r;
    bool drop = st->stop_wanted || st->recv_reset;
    uint64_t ready = st->in.ready;
    if ((drop ? quic_recvbuf_insert(&st->in, end, NULL, 0) : store(st, f)) != 0)
        return QUIC_INTERNAL_ERROR;
    if (st->final_size != STREAM_SIZE_UNKNOWN)
        size_known(st);
    if (drop) {
        throw_away(st);
        stream_maybe_free(st);
    } else if (st->in.ready > ready || (f->stream.fin && st->in.ready == st->final_size)) {
        stream_raise(st, STREAM_READABLE);
    }
    return 0;
}

int quic_streams_on_reset(quic_streams *s, const quic_frame *f) {
    quic_stream *st;
    int r = stream_find(s, f->reset_stream.id, false, &st);
    if (r != 0 || st == NULL)
        return r;
    // Once everything including the end has arrived, the data counts and not the reset.
    bool complete = st->in.ready == st->final_size;
    r = charge(st, f->reset_stream.final_size, true);
    if (r != 0 || st->recv_reset || complete)
        return r;
    st->recv_reset = true;
    st->recv_reset_code = f->reset_stream.code;
    (void)quic_recvbuf_insert(&st->in, st->final_size, NULL, 0);
    size_known(st);
    throw_away(st);
    stream_raise(st, STREAM_READABLE);
    stream_maybe_free(st);
    return 0;
}
