// The set of streams: opening and accepting, looking up, reporting, freeing, limits on their number, and the dispatch of
// control frames. The two halves of a stream are in stream_send.c and stream_recv.c.
//
// A peer that names a stream opens all lower ones of the kind. Only the named one is created; the others come to be when
// a frame names them or when they are accepted, in order. So a sequence below `next_remote` without an object is either
// not yet accepted and yet to be created, or accepted, finished and freed.
#include <stdlib.h>

#include <iroh/error.h>

#include "quic/streams_state.h"

#define STREAMS_MAX (UINT64_C(1) << 60)  // RFC 9000, section 4.6

void quic_streams_init(quic_streams *s, const quic_streams_config *config) {
    *s = (quic_streams){
        .role = config->role,
        .window_remote = {min_u64(config->streams_bidi, STREAMS_MAX), min_u64(config->streams_uni, STREAMS_MAX)},
        .max_remote = {min_u64(config->streams_bidi, STREAMS_MAX), min_u64(config->streams_uni, STREAMS_MAX)},
        .blocked_at = {UINT64_MAX, UINT64_MAX},
        .recv_window = min_u64(config->stream_window, VARINT_MAX),
        .recv_conn_window = min_u64(config->conn_window, VARINT_MAX),
        .recv_max = min_u64(config->conn_window, VARINT_MAX),
        .send_buffer_max = config->send_buffer,
    };
    map_init(&s->by_id, config->map_seed);
    quic_chunks_init(&s->chunks);
    list_init(&s->levels);
    list_init(&s->blocked);
    list_init(&s->control);
    list_init(&s->events);
    list_init(&s->want_write);
    list_init(&s->rejected);
}

static void stream_free(quic_stream *st) {
    quic_sendbuf_dispose(&st->out);
    quic_recvbuf_dispose(&st->in);
    free(st);
}

void quic_streams_dispose(quic_streams *s) {
    size_t at = 0;
    uint64_t id;
    quic_stream *st;
    while ((st = map_next(&s->by_id, &at, &id)) != NULL)
        stream_free(st);
    map_dispose(&s->by_id);
    for (list_link *l; (l = list_pop_front(&s->rejected)) != NULL;)
        stream_free(list_entry(l, quic_stream, ready));
    quic_chunks_trim(&s->chunks);
    list_init(&s->levels);
    list_init(&s->blocked);
    list_init(&s->control);
    list_init(&s->events);
    list_init(&s->want_write);
}

void quic_streams_trim(quic_streams *s) {
    quic_chunks_trim(&s->chunks);
}

// --- Streams come and go

static uint64_t initial_send_max(const quic_streams *s, uint64_t id) {
    if (stream_id_is_uni(id))
        return s->peer_window_uni;
    return stream_id_is_of(id, s->role) ? s->peer_window_bidi_remote : s->peer_window_bidi_local;
}

static quic_stream *stream_new(quic_streams *s, uint64_t id) {
    quic_stream *st = malloc(sizeof *st);
    if (st == NULL)
        return NULL;
    bool own = stream_id_is_of(id, s->role), uni = stream_id_is_uni(id);
    *st = (quic_stream){
        .id = id,
        .owner = s,
        .has_send = own || !uni,
        .has_recv = !own || !uni,
        .accepted = own,
        .send_max = initial_send_max(s, id),
        .recv_window = s->recv_window,
        .recv_max = s->recv_window,
        .final_size = STREAM_SIZE_UNKNOWN,
    };
    st->send_done = !st->has_send;
    list_init(&st->event);
    list_init(&st->control_link);
    list_init(&st->ready);
    list_init(&st->level);
    list_init(&st->waiting);
    quic_sendbuf_init(&st->out);
    quic_recvbuf_init(&st->in);
    st->out.chunks = st->in.chunks = &s->chunks;
    if (map_put(&s->by_id, id, st) != 0) {
        free(st);
        return NULL;
    }
    return st;
}

static void check_max_streams(quic_streams *s, bool uni) {
    uint64_t target = min_u64(s->window_remote[uni] + s->closed_remote[uni], STREAMS_MAX);
    s->max_streams_wanted[uni] = target > s->max_remote[uni] && target - s->max_remote[uni] > s->window_remote[uni] / 8;
}

void quic_streams_set_window(quic_streams *s, bool bidi, uint64_t count) {
    s->window_remote[!bidi] = min_u64(count, STREAMS_MAX);
    check_max_streams(s, !bidi);
}

// Out of every list of the connection.
static void unlink_all(quic_stream *st) {
    list_remove(&st->event);
    stream_drop_control(st, st->control);
    stream_stop_waiting(st);
    st->events = 0;
}

void stream_maybe_free(quic_stream *st) {
    quic_streams *s = st->owner;
    if (!st->released || !st->send_done || !stream_recv_done(st))
        return;
    unlink_all(st);
    stream_schedule(st);
    (void)map_remove(&s->by_id, st->id);
    if (!stream_id_is_of(st->id, s->role)) {
        s->closed_remote[stream_id_is_uni(st->id)]++;
        check_max_streams(s, stream_id_is_uni(st->id));
    }
    stream_free(st);
    if (s->by_id.count == 0)
        quic_chunks_trim(&s->chunks);
}

int stream_find(quic_streams *s, uint64_t id, bool for_send, quic_stream **out) {
    bool own = stream_id_is_of(id, s->role), uni = stream_id_is_uni(id);
    uint64_t seq = id >> 2;
    *out = NULL;
    if (uni && own != for_send)
        return QUIC_STREAM_STATE_ERROR;
    if (own && seq >= s->next_local[uni])
        return QUIC_STREAM_STATE_ERROR;
    if (!own && seq >= s->max_remote[uni])
        return QUIC_STREAM_LIMIT_ERROR;
    *out = map_get(&s->by_id, id);
    if (*out != NULL || own || seq < s->next_accept[uni])
        return 0;
    *out = stream_new(s, id);
    if (*out == NULL)
        return QUIC_INTERNAL_ERROR;
    if (seq >= s->next_remote[uni])
        s->next_remote[uni] = seq + 1;
    return 0;
}

int quic_streams_open(quic_streams *s, bool bidi, quic_stream **out) {
    bool uni = !bidi;
    if (s->next_local[uni] >= s->max_local[uni]) {
        if (s->blocked_at[uni] != s->max_local[uni])
            s->blocked_wanted[uni] = true;
        return IROH_ERR_AGAIN;
    }
    *out = stream_new(s, s->next_local[uni] << 2 | (uint64_t)uni << 1 | (s->role == QUIC_SERVER));
    if (*out == NULL)
        return IROH_ERR_NOMEM;
    s->next_local[uni]++;
    return 0;
}

bool quic_streams_incoming(const quic_streams *s, bool bidi) {
    return s->next_accept[!bidi] < s->next_remote[!bidi];
}

quic_stream *quic_streams_accept(quic_streams *s, bool bidi) {
    bool uni = !bidi;
    if (!quic_streams_incoming(s, bidi))
        return NULL;
    uint64_t id = s->next_accept[uni] << 2 | (uint64_t)uni << 1 | (s->role == QUIC_CLIENT);
    quic_stream *st = map_get(&s->by_id, id);
    if (st == NULL)
        st = stream_new(s, id);
    if (st == NULL)
        return NULL;
    s->next_accept[uni]++;
    st->accepted = true;
    stream_raise(st, st->events);
    return st;
}

void quic_stream_release(quic_stream *st) {
    st->user = NULL;
    st->released = true;
    if (st->rejected) {
        list_remove(&st->event);
        list_remove(&st->ready);
        stream_free(st);
        return;
    }
    list_remove(&st->event);
    st->events = 0;
    stream_stop_waiting(st);
    stream_release_send(st);
    stream_release_recv(st);
    stream_maybe_free(st);
}

// --- Events

void stream_raise(quic_stream *st, uint8_t events) {
    if (st->released)
        return;
    st->events |= events;
    if (st->events != 0 && st->accepted && !list_linked(&st->event))
        list_push_back(&st->owner->events, &st->event);
}

quic_stream *quic_streams_next_event(quic_streams *s, uint8_t *events) {
    list_link *l = list_pop_front(&s->events);
    if (l == NULL)
        return NULL;
    quic_stream *st = list_entry(l, quic_stream, event);
    *events = st->events;
    st->events = 0;
    return st;
}

// --- The peer's parameters

static void raise_max_local(quic_streams *s, bool uni, uint64_t max) {
    if (max <= s->max_local[uni])
        return;
    s->max_local[uni] = max;
    s->blocked_wanted[uni] = false;
}

static void grow(uint64_t *limit, uint64_t value) {
    if (value > *limit)
        *limit = value;
}

void quic_streams_set_peer(quic_streams *s, const quic_params *peer) {
    grow(&s->peer_window_bidi_local, peer->initial_max_stream_data_bidi_local);
    grow(&s->peer_window_bidi_remote, peer->initial_max_stream_data_bidi_remote);
    grow(&s->peer_window_uni, peer->initial_max_stream_data_uni);
    grow(&s->send_max, peer->initial_max_data);
    raise_max_local(s, false, peer->initial_max_streams_bidi);
    raise_max_local(s, true, peer->initial_max_streams_uni);
    size_t at = 0;
    uint64_t id;
    quic_stream *st;
    while ((st = map_next(&s->by_id, &at, &id)) != NULL)
        stream_raise_send_max(st, initial_send_max(s, st->id));
    stream_unblock(s);
}

static void reject(quic_stream *st) {
    stream_drop_out(st);
    unlink_all(st);
    st->reset = st->send_done = true;
    stream_schedule(st);
    st->rejected = true;
    list_push_back(&st->owner->rejected, &st->ready);
    stream_raise(st, STREAM_READABLE | STREAM_WRITABLE);
    if (st->released)
        quic_stream_release(st);
}

void quic_streams_reject_early(quic_streams *s) {
    for (int uni = 0; uni < 2; uni++) {
        for (uint64_t seq = 0; seq < s->next_local[uni]; seq++) {
            quic_stream *st = map_remove(&s->by_id, seq << 2 | (uint64_t)uni << 1 | (s->role == QUIC_SERVER));
            if (st != NULL)
                reject(st);
        }
        s->next_local[uni] = s->max_local[uni] = 0;
        s->blocked_wanted[uni] = false;
        s->blocked_at[uni] = UINT64_MAX;
    }
    s->peer_window_bidi_local = s->peer_window_bidi_remote = s->peer_window_uni = 0;
    s->send_max = s->send_used = 0;
}

// --- Frames about the set

int quic_streams_on_max_streams(quic_streams *s, const quic_frame *f) {
    raise_max_local(s, f->type == FRAME_MAX_STREAMS_UNI, f->limit.value);
    return 0;
}

// Being blocked needs no answer, since limits are announced early and again when lost; but the frame must make sense.
int quic_streams_on_blocked(quic_streams *s, const quic_frame *f) {
    quic_stream *st;
    return f->type == FRAME_STREAM_DATA_BLOCKED ? stream_find(s, f->limit.id, false, &st) : 0;
}

// --- Control frames

bool stream_put_frame(quic_builder *b, const quic_sent_frame *note, const uint64_t *values, size_t count) {
    size_t size = varint_size(note->type);
    for (size_t i = 0; i < count; i++)
        size += varint_size(values[i]);
    if (writer_left(&b->w) < size) {
        b->full = true;
        return false;
    }
    quic_sent_frame *f = quic_builder_note(b, note->type);
    if (f == NULL)
        return false;
    f->id = note->id;
    f->offset = note->offset;
    writer_varint(&b->w, note->type);
    for (size_t i = 0; i < count; i++)
        writer_varint(&b->w, values[i]);
    return true;
}

void stream_want_control(quic_stream *st, uint8_t control) {
    st->control |= control;
    if (!list_linked(&st->control_link))
        list_push_back(&st->owner->control, &st->control_link);
}

void stream_drop_control(quic_stream *st, uint8_t control) {
    st->control &= (uint8_t)~control;
    if (st->control == 0)
        list_remove(&st->control_link);
}

static bool put_stream_control(quic_stream *st, quic_builder *b) {
    static const struct {
        uint8_t bit;
        bool (*put)(quic_stream *st, quic_builder *b);
    } rows[] = {
        {STREAM_SEND_RESET, stream_put_reset},
        {STREAM_SEND_STOP, stream_put_stop},
        {STREAM_SEND_MAX_DATA, stream_put_max_data},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if ((st->control & rows[i].bit) == 0)
            continue;
        if (!rows[i].put(st, b))
            return false;
        stream_drop_control(st, rows[i].bit);
    }
    return true;
}

static void put_max_streams(quic_streams *s, bool uni, quic_builder *b) {
    uint64_t max = min_u64(s->window_remote[uni] + s->closed_remote[uni], STREAMS_MAX);
    quic_sent_frame note = {.type = uni ? FRAME_MAX_STREAMS_UNI : FRAME_MAX_STREAMS_BIDI, .offset = max};
    // The window may have shrunk meanwhile, but a limit never does.
    if (max < s->max_remote[uni])
        note.offset = max = s->max_remote[uni];
    if (!stream_put_frame(b, &note, &max, 1))
        return;
    s->max_remote[uni] = max;
    s->max_streams_wanted[uni] = false;
}

static void put_streams_blocked(quic_streams *s, bool uni, quic_builder *b) {
    uint64_t max = s->max_local[uni];
    quic_sent_frame note = {.type = uni ? FRAME_STREAMS_BLOCKED_UNI : FRAME_STREAMS_BLOCKED_BIDI, .offset = max};
    if (!stream_put_frame(b, &note, &max, 1))
        return;
    s->blocked_at[uni] = max;
    s->blocked_wanted[uni] = false;
}

bool quic_streams_want_send(const quic_streams *s) {
    return !list_empty(&s->levels) || !list_empty(&s->control) || s->max_data_wanted || s->max_streams_wanted[0] ||
           s->max_streams_wanted[1] || s->blocked_wanted[0] || s->blocked_wanted[1];
}

void quic_streams_write_control(quic_streams *s, quic_builder *b) {
    while (!b->full && !list_empty(&s->control)) {
        if (!put_stream_control(list_entry(s->control.next, quic_stream, control_link), b))
            return;
    }
    if (s->max_data_wanted && !b->full)
        s->max_data_wanted = !stream_put_conn_max_data(s, b);
    for (int uni = 0; uni < 2; uni++) {
        if (s->max_streams_wanted[uni] && !b->full)
            put_max_streams(s, uni, b);
        if (s->blocked_wanted[uni] && !b->full)
            put_streams_blocked(s, uni, b);
    }
}

// --- Acknowledged or lost

void quic_streams_acked(quic_streams *s, const quic_sent_frame *f) {
    if (f->type != FRAME_STREAM && f->type != FRAME_RESET_STREAM)
        return;
    quic_stream *st = map_get(&s->by_id, f->id);
    if (st == NULL)
        return;
    if (f->type == FRAME_STREAM)
        stream_data_acked(st, f);
    else
        stream_reset_acked(st);
}

static void stream_frame_lost(quic_streams *s, const quic_sent_frame *f) {
    quic_stream *st = map_get(&s->by_id, f->id);
    if (st == NULL)
        return;
    if (f->type == FRAME_STREAM)
        stream_data_lost(st, f);
    else if (f->type == FRAME_RESET_STREAM && !st->send_done)
        stream_want_control(st, STREAM_SEND_RESET);
    else if (f->type == FRAME_STOP_SENDING)
        stream_stop_lost(st);
    else if (f->type == FRAME_MAX_STREAM_DATA)
        stream_max_data_lost(st, f->offset);
}

// A lost limit is announced again unless a higher one was sent since.
void quic_streams_lost(quic_streams *s, const quic_sent_frame *f) {
    bool uni = f->type == FRAME_MAX_STREAMS_UNI || f->type == FRAME_STREAMS_BLOCKED_UNI;
    switch (f->type) {
    case FRAME_STREAM:
    case FRAME_RESET_STREAM:
    case FRAME_STOP_SENDING:
    case FRAME_MAX_STREAM_DATA:
        stream_frame_lost(s, f);
        break;
    case FRAME_MAX_DATA:
        s->max_data_wanted |= f->offset == s->recv_max;
        break;
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
        s->max_streams_wanted[uni] |= f->offset == s->max_remote[uni];
        break;
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
        s->blocked_wanted[uni] |= f->offset == s->max_local[uni] && s->next_local[uni] >= s->max_local[uni];
        break;
    default:
        break;
    }
}
