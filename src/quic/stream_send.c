// The sending half of a stream (RFC 9000, section 3.1) and which stream sends next.
//
// Ready streams of one priority form a ring without a head; the one whose turn it is stands for the ring in the list of
// levels. So taking a turn, joining behind everybody else and leaving are O(1), and only joining walks the few levels.
// Streams that have nothing but new data while the connection's limit is reached stand apart until it grows, so that
// they are not looked at for every packet.
#include <limits.h>
#include <string.h>

#include <iroh/error.h>

#include "quic/streams_state.h"

// --- Queues

static void enqueue_ready(quic_stream *st) {
    quic_streams *s = st->owner;
    list_link *l = s->levels.next;
    for (; l != &s->levels; l = l->next) {
        quic_stream *turn = list_entry(l, quic_stream, level);
        if (turn->priority == st->priority) {
            list_insert_before(&turn->ready, &st->ready);
            return;
        }
        if (turn->priority < st->priority)
            break;
    }
    list_insert_before(l, &st->level);
}

// The next of the ring takes the turn, if there is another.
static void pass_turn(quic_stream *st) {
    if (list_linked(&st->ready)) {
        quic_stream *next = list_entry(st->ready.next, quic_stream, ready);
        list_insert_before(&st->level, &next->level);
        list_remove(&st->level);
    }
}

static void dequeue(quic_stream *st) {
    if (list_linked(&st->level)) {
        pass_turn(st);
        list_remove(&st->level);
    }
    list_remove(&st->ready);
}

static bool fin_waits(const quic_stream *st) {
    return st->fin && !st->fin_sent && st->out.unsent == st->out.end;
}

static uint8_t queue_of(const quic_stream *st) {
    const quic_streams *s = st->owner;
    if (st->send_done || st->reset || st->stopped)
        return STREAM_IDLE;
    if (ranges_count(&st->out.lost) > 0 || fin_waits(st))
        return STREAM_READY;
    if (!quic_sendbuf_pending(&st->out, st->send_max))
        return STREAM_IDLE;
    return s->send_used < s->send_max ? STREAM_READY : STREAM_BLOCKED;
}

static void move_to(quic_stream *st, uint8_t queue) {
    if (st->queue != STREAM_IDLE)
        dequeue(st);
    st->queue = queue;
    if (queue == STREAM_READY)
        enqueue_ready(st);
    else if (queue == STREAM_BLOCKED)
        list_push_back(&st->owner->blocked, &st->ready);
}

void stream_schedule(quic_stream *st) {
    uint8_t queue = queue_of(st);
    if (queue != st->queue)
        move_to(st, queue);
}

void stream_unblock(quic_streams *s) {
    while (s->send_used < s->send_max && !list_empty(&s->blocked))
        stream_schedule(list_entry(s->blocked.next, quic_stream, ready));
}

void quic_stream_set_priority(quic_stream *st, int32_t priority) {
    uint8_t queue = st->queue;
    if (priority == st->priority)
        return;
    if (queue == STREAM_READY)
        move_to(st, STREAM_IDLE);
    st->priority = priority;
    if (queue == STREAM_READY)
        move_to(st, STREAM_READY);
}

// --- Room to write

void stream_stop_waiting(quic_stream *st) {
    st->want_write = false;
    list_remove(&st->waiting);
}

static void wake_writer(quic_stream *st) {
    stream_stop_waiting(st);
    stream_raise(st, STREAM_WRITABLE);
}

// Writers are woken when a quarter is free, not for every acknowledged packet.
static void buffers_shrank(quic_streams *s) {
    if (s->send_buffered > s->send_buffer_max - s->send_buffer_max / 4)
        return;
    while (!list_empty(&s->want_write))
        wake_writer(list_entry(s->want_write.next, quic_stream, waiting));
}

// Bytes that the stream may take now.
static uint64_t room_to_write(const quic_stream *st) {
    const quic_streams *s = st->owner;
    uint64_t shared = s->send_buffered < s->send_buffer_max ? s->send_buffer_max - s->send_buffered : 0;
    uint64_t top = st->send_max + STREAM_WRITE_AHEAD;
    return min_u64(shared, st->out.end < top ? top - st->out.end : 0);
}

static int refuse_writing(const quic_stream *st) {
    if (!st->has_send)
        return IROH_ERR_ARG;
    if (st->rejected)
        return IROH_ERR_REJECTED_0RTT;
    if (st->reset || st->fin)
        return IROH_ERR_CLOSED;
    return st->stopped ? IROH_ERR_STOPPED : 0;
}

static int wait_for_room(quic_stream *st) {
    quic_streams *s = st->owner;
    st->want_write = true;
    if (s->send_buffered >= s->send_buffer_max && !list_linked(&st->waiting))
        list_push_back(&s->want_write, &st->waiting);
    return IROH_ERR_AGAIN;
}

static void took(quic_stream *st, size_t len) {
    stream_stop_waiting(st);
    st->owner->send_buffered += len;
    stream_schedule(st);
}

int quic_stream_write(quic_stream *st, const void *bytes, size_t len) {
    int r = refuse_writing(st);
    if (r != 0 || len == 0)
        return r;
    uint64_t room = room_to_write(st);
    if (room == 0)
        return wait_for_room(st);
    if (len > room)
        len = (size_t)room;
    if (len > INT_MAX)
        len = INT_MAX;
    r = quic_sendbuf_write(&st->out, bytes, len);
    if (r != 0)
        return r;
    took(st, len);
    return (int)len;
}

int quic_stream_lend(quic_stream *st, const quic_loan *loan, uint32_t len) {
    int r = refuse_writing(st);
    if (r == 0 && room_to_write(st) == 0)
        r = wait_for_room(st);
    if (r == 0)
        r = quic_sendbuf_lend(&st->out, loan, len);
    if (r == 0)
        took(st, len);
    return r;
}

bool quic_stream_can_write(quic_stream *st) {
    if (refuse_writing(st) != 0 || room_to_write(st) > 0)
        return true;
    (void)wait_for_room(st);
    return false;
}

// --- Ending

int quic_stream_finish(quic_stream *st) {
    int r = refuse_writing(st);
    if (r != 0)
        return r;
    st->fin = true;
    stream_stop_waiting(st);
    stream_schedule(st);
    return 0;
}

void stream_drop_out(quic_stream *st) {
    st->owner->send_buffered -= quic_sendbuf_held(&st->out);
    quic_sendbuf_discard(&st->out);
    buffers_shrank(st->owner);
}

static void abandon(quic_stream *st, uint64_t code) {
    st->reset = true;
    st->reset_code = code;
    stream_stop_waiting(st);
    stream_drop_out(st);
    stream_want_control(st, STREAM_SEND_RESET);
    stream_schedule(st);
}

int quic_stream_reset(quic_stream *st, uint64_t code) {
    if (!st->has_send)
        return IROH_ERR_ARG;
    if (st->rejected)
        return IROH_ERR_REJECTED_0RTT;
    if (st->reset || st->send_done)
        return IROH_ERR_CLOSED;
    abandon(st, code);
    return 0;
}

void stream_release_send(quic_stream *st) {
    if (st->send_done || st->reset)
        return;
    if (st->stopped)
        abandon(st, st->stop_code);
    else
        (void)quic_stream_finish(st);
}

// --- Frames of the peer

// Everything including the end is on its way: what remains is to wait for acknowledgements.
static bool all_sent(const quic_stream *st) {
    return st->fin_sent && st->out.unsent == st->out.end && ranges_count(&st->out.lost) == 0;
}

// What is still unsent will not be wanted. But the transport does not reset by itself: the application chooses when,
// and with which code, as long as it holds the stream.
int quic_streams_on_stop_sending(quic_streams *s, const quic_frame *f) {
    quic_stream *st;
    int r = stream_find(s, f->stop_sending.id, true, &st);
    if (r != 0 || st == NULL || st->stopped || st->reset || st->send_done)
        return r;
    st->stopped = true;
    st->stop_code = f->stop_sending.code;
    if (st->released) {
        abandon(st, st->stop_code);
        return 0;
    }
    stream_stop_waiting(st);
    if (!all_sent(st))
        stream_drop_out(st);
    stream_schedule(st);
    stream_raise(st, STREAM_STOPPED);
    return 0;
}

void stream_raise_send_max(quic_stream *st, uint64_t max) {
    if (!st->has_send || max <= st->send_max)
        return;
    st->send_max = max;
    stream_schedule(st);
    if (st->want_write && !list_linked(&st->waiting))
        wake_writer(st);
}

int quic_streams_on_max_stream_data(quic_streams *s, const quic_frame *f) {
    quic_stream *st;
    int r = stream_find(s, f->limit.id, true, &st);
    if (r == 0 && st != NULL)
        stream_raise_send_max(st, f->limit.value);
    return r;
}

int quic_streams_on_max_data(quic_streams *s, const quic_frame *f) {
    if (f->limit.value > s->send_max) {
        s->send_max = f->limit.value;
        stream_unblock(s);
    }
    return 0;
}

// --- Sending

bool stream_put_reset(quic_stream *st, quic_builder *b) {
    const uint64_t values[] = {st->id, st->reset_code, st->out.unsent};
    quic_sent_frame note = {.type = FRAME_RESET_STREAM, .id = st->id};
    return stream_put_frame(b, &note, values, 3);
}

static size_t head_size(const quic_stream *st, uint64_t offset) {
    return 1 + varint_size(st->id) + (offset > 0 ? varint_size(offset) : 0);
}

// Writes a frame of `len` bytes that were found to fit. A frame that fills the packet goes without its length; where
// the length would not fit any more but the data does, padding before the frame takes up the slack.
static void put_data(quic_stream *st, quic_builder *b, uint64_t offset, size_t len, bool fin) {
    writer *w = &b->w;
    size_t spare = writer_left(w) - head_size(st, offset) - len;
    bool fills = spare < varint_size(len);
    if (fills && spare > 0)
        memset(writer_room(w, spare), FRAME_PADDING, spare);
    writer_u8(w, (uint8_t)(FRAME_STREAM | (offset > 0 ? 4 : 0) | (fills ? 0 : 2) | (fin ? 1 : 0)));
    writer_varint(w, st->id);
    if (offset > 0)
        writer_varint(w, offset);
    if (!fills)
        writer_varint(w, len);
    quic_sendbuf_copy(&st->out, offset, writer_room(w, len), len);
    b->full |= fills;
}

// One STREAM frame; false when nothing was written: nothing waits within the limits, or the packet is full.
static bool put_stream(quic_stream *st, quic_builder *b) {
    quic_streams *s = st->owner;
    size_t left = writer_left(&b->w);
    if (left == 0) {
        b->full = true;
        return false;
    }
    uint64_t offset, limit = min_u64(st->send_max, st->out.unsent + (s->send_max - s->send_used));
    size_t len = quic_sendbuf_next(&st->out, left, limit, &offset);
    if (len == 0 && !fin_waits(st))
        return false;
    size_t head = head_size(st, offset);
    if (left < head + (len > 0)) {
        b->full = true;
        return false;
    }
    if (len > left - head)
        len = left - head;
    quic_sent_frame *note = quic_builder_note(b, FRAME_STREAM);
    if (note == NULL)
        return false;
    bool fin = st->fin && offset + len == st->out.end;
    note->id = st->id;
    note->offset = offset;
    note->len = (uint32_t)len;
    note->fin = fin;
    put_data(st, b, offset, len, fin);
    if (offset == st->out.unsent)
        s->send_used += len;
    quic_sendbuf_sent(&st->out, offset, len);
    st->fin_sent |= fin;
    return true;
}

void quic_streams_write_data(quic_streams *s, quic_builder *b) {
    while (!b->full && !list_empty(&s->levels)) {
        quic_stream *st = list_entry(s->levels.next, quic_stream, level);
        bool sent = put_stream(st, b);
        stream_schedule(st);
        if (b->full && sent && st->queue == STREAM_READY)
            pass_turn(st);
    }
}

// --- What became of it

static void check_sent(quic_stream *st) {
    stream_schedule(st);
    if (!st->send_done)
        return;
    stream_raise(st, STREAM_FINISHED);
    stream_maybe_free(st);
}

void stream_reset_acked(quic_stream *st) {
    if (st->send_done)
        return;
    st->send_done = true;
    stream_drop_control(st, STREAM_SEND_RESET);
    check_sent(st);
}

void stream_data_acked(quic_stream *st, const quic_sent_frame *f) {
    quic_streams *s = st->owner;
    if (st->reset || st->send_done)
        return;
    uint64_t held = quic_sendbuf_held(&st->out);
    quic_sendbuf_acked(&st->out, f->offset, f->len);
    s->send_buffered -= held - quic_sendbuf_held(&st->out);
    buffers_shrank(s);
    if (f->fin)
        st->fin_acked = st->fin_sent = true;
    st->send_done = st->fin_acked && quic_sendbuf_all_acked(&st->out);
    check_sent(st);
}

void stream_data_lost(quic_stream *st, const quic_sent_frame *f) {
    if (st->reset || st->send_done)
        return;
    if (f->fin && !st->fin_acked)
        st->fin_sent = false;
    quic_sendbuf_lost(&st->out, f->offset, f->len);
    // A peer that stopped reading gets nothing again.
    if (st->stopped)
        stream_drop_out(st);
    stream_schedule(st);
}
