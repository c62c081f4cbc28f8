// Streams against a model: two sides do random things to each other over a network that loses, reorders and duplicates
// packets, with invariants checked after every step. At the end the network heals, the applications finish, and every
// byte must have come once and in order, every credit been given once, and nothing be left in memory.
#include "unit/stream_pair.h"

#include <string.h>

#include <iroh/error.h>

#define PACKETS_MAX 64
#define SEEDS 1000
#define STEPS 400

typedef struct flight {
    pair_packet packet;
    bool used;
    bool delivered;  // at least once
} flight;

// What one application knows about a stream; `user` of the stream.
typedef struct half {
    uint64_t id;
    uint64_t written;  // by this side
    uint64_t read;
    bool finished, reset, ended;
    quic_stream *st;  // null once released
} half;

#define HALVES_MAX 4000

typedef struct world {
    stream_pair pair;
    flight flights[PACKETS_MAX];
    half halves[2][HALVES_MAX];
    size_t half_count[2];
    uint64_t sent_size[2][HALVES_MAX];  // by id: final offset of a stream that was finished, to compare at its end
    uint64_t loss, duplicates;          // in 100
    bool polite;                        // nobody resets or stops
} world;

static half *random_half(world *w, int side) {
    if (w->half_count[side] == 0)
        return NULL;
    half *h = &w->halves[side][pair_below(&w->pair, w->half_count[side])];
    return h->st != NULL ? h : NULL;
}

static void adopt(world *w, int side, quic_stream *st) {
    assert_true(w->half_count[side] < HALVES_MAX);
    half *h = &w->halves[side][w->half_count[side]++];
    *h = (half){.id = st->id, .st = st};
    st->user = h;
}

// --- What applications do

static void do_open(world *w, int side) {
    quic_stream *st;
    if (w->half_count[side] < HALVES_MAX / 4 &&
        quic_streams_open(&w->pair.side[side], pair_below(&w->pair, 2) == 0, &st) == 0) {
        adopt(w, side, st);
        quic_stream_set_priority(st, (int32_t)pair_below(&w->pair, 3));
    }
}

static void do_accept(world *w, int side) {
    for (int bidi = 0; bidi < 2; bidi++) {
        quic_stream *st = quic_streams_accept(&w->pair.side[side], bidi == 1);
        if (st != NULL)
            adopt(w, side, st);
    }
}

static void do_write(world *w, int side, half *h) {
    static uint8_t bytes[40000];
    size_t len = pair_below(&w->pair, pair_below(&w->pair, 2) == 0 ? 100 : sizeof bytes);
    for (size_t i = 0; i < len; i++)
        bytes[i] = pair_byte(h->id, side, h->written + i);
    int n = quic_stream_write(h->st, bytes, len);
    if (n > 0)
        h->written += (uint64_t)n;
    else if (len > 0 && h->st->has_send && !h->finished && !h->reset)
        assert_true(n == IROH_ERR_AGAIN || (n == IROH_ERR_STOPPED && h->st->stopped));
}

static void do_read(world *w, int side, half *h) {
    static uint8_t bytes[40000];
    size_t len = 1 + pair_below(&w->pair, sizeof bytes - 1);
    int n = quic_stream_read(h->st, bytes, len);
    for (int i = 0; i < n; i++)
        assert_int_equal(bytes[i], pair_byte(h->id, 1 - side, h->read + (uint64_t)i));
    if (n > 0)
        h->read += (uint64_t)n;
    if (n == 0) {
        assert_int_equal(h->read, h->st->final_size);
        assert_int_equal(h->read, w->sent_size[1 - side][h->id]);
    }
    h->ended |= n <= 0 && n != IROH_ERR_AGAIN;
}

static void do_finish(world *w, int side, half *h) {
    if (quic_stream_finish(h->st) == 0) {
        h->finished = true;
        w->sent_size[side][h->id] = h->written;
    }
}

static void do_release(world *w, int side, half *h) {
    if (h->st->has_send && !h->finished && !h->reset)
        w->sent_size[side][h->id] = h->written;
    quic_stream_release(h->st);
    h->st = NULL;
}

static void act(world *w, int side) {
    half *h = random_half(w, side);
    uint64_t what = pair_below(&w->pair, 100);
    if (what < 6)
        do_open(w, side);
    else if (what < 16)
        do_accept(w, side);
    else if (h == NULL)
        return;
    else if (what < 50)
        do_write(w, side, h);
    else if (what < 88)
        do_read(w, side, h);
    else if (what < 92)
        do_finish(w, side, h);
    else if (what < 94)
        quic_stream_set_priority(h->st, (int32_t)pair_below(&w->pair, 3));
    else if (w->polite)
        return;
    else if (what < 96)
        h->reset |= quic_stream_reset(h->st, 3) == 0;
    else if (what < 98)
        h->ended |= quic_stream_stop(h->st, 4) == 0;
    else
        do_release(w, side, h);
}

// --- What the network does

static void transmit(world *w, int side) {
    for (size_t i = 0; i < PACKETS_MAX; i++) {
        flight *f = &w->flights[i];
        if (f->used)
            continue;
        size_t room = pair_below(&w->pair, 4) == 0 ? 20 + pair_below(&w->pair, 200) : 1400;
        f->used = pair_build(&w->pair, side, room, &f->packet);
        f->delivered = false;
        return;
    }
}

static void network(world *w) {
    flight *f = &w->flights[pair_below(&w->pair, PACKETS_MAX)];
    if (!f->used)
        return;
    uint64_t chance = pair_below(&w->pair, 100);
    if (chance < w->loss) {
        // Lost on the way, or only its acknowledgement, or declared lost while it still comes.
        pair_settle(&w->pair, &f->packet, false);
        f->used = pair_below(&w->pair, 3) == 0;
        return;
    }
    assert_int_equal(pair_deliver(&w->pair, &f->packet), 0);
    f->delivered = true;
    if (chance < w->loss + w->duplicates)
        return;
    pair_settle(&w->pair, &f->packet, true);
    f->used = false;
}

// --- What must hold at any time

static void check_side(const quic_streams *s) {
    uint64_t buffered = 0, unread = 0, unsent_over = 0;
    size_t ready = 0, blocked = 0, at = 0;
    uint64_t id;
    const quic_stream *st;
    while ((st = map_next(&s->by_id, &at, &id)) != NULL) {
        assert_int_equal(st->id, id);
        buffered += quic_sendbuf_held(&st->out);
        unread += st->in.highest - st->in.read;
        unsent_over += st->out.unsent > st->send_max;
        ready += st->queue == STREAM_READY;
        blocked += st->queue == STREAM_BLOCKED;
        assert_true(st->in.highest <= st->recv_max);
        assert_true(st->in.read <= st->in.ready && st->in.ready <= st->in.highest);
        assert_true((st->control != 0) == list_linked(&st->control_link));
        assert_false(st->released && st->send_done && st->in.read == st->final_size);
        if (quic_sendbuf_pending(&st->out, st->send_max) && !st->stopped)
            assert_int_not_equal(st->queue, STREAM_IDLE);
    }
    assert_int_equal(unsent_over, 0);
    assert_int_equal(s->send_buffered, buffered);
    assert_int_equal(s->recv_used - s->recv_read, unread);
    assert_true(s->recv_used <= s->recv_max);
    assert_true(s->send_used <= s->send_max);
    for (int uni = 0; uni < 2; uni++) {
        assert_true(s->next_accept[uni] <= s->next_remote[uni] && s->next_remote[uni] <= s->max_remote[uni]);
        assert_true(s->next_local[uni] <= s->max_local[uni]);
    }
    int64_t above = INT64_MAX;
    for (const list_link *l = s->levels.next; l != &s->levels; l = l->next) {
        const quic_stream *turn = list_entry(l, quic_stream, level);
        assert_true(turn->priority < above);
        above = turn->priority;
        size_t ring = 0;
        const list_link *r = &turn->ready;
        do {
            assert_int_equal(list_entry(r, quic_stream, ready)->priority, turn->priority);
            ring++;
            r = r->next;
        } while (r != &turn->ready);
        ready -= ring;
    }
    assert_int_equal(ready, 0);
    for (const list_link *l = s->blocked.next; l != &s->blocked; l = l->next)
        blocked--;
    assert_int_equal(blocked, 0);
}

static void check(const world *w) {
    for (int side = 0; side < 2; side++)
        check_side(&w->pair.side[side]);
    assert_true(w->pair.side[0].send_used >= w->pair.side[1].recv_used || w->pair.side[0].by_id.count > 0);
}

// --- The end

// Everybody reads, finishes what was begun and lets go; nothing is lost any more.
static bool wind_up(world *w) {
    bool busy = false;
    for (size_t i = 0; i < PACKETS_MAX; i++) {
        flight *f = &w->flights[i];
        if (!f->used)
            continue;
        assert_int_equal(pair_deliver(&w->pair, &f->packet), 0);
        pair_settle(&w->pair, &f->packet, true);
        f->used = false;
    }
    for (int side = 0; side < 2; side++) {
        while (quic_streams_incoming(&w->pair.side[side], true) || quic_streams_incoming(&w->pair.side[side], false))
            do_accept(w, side);
        for (size_t i = 0; i < w->half_count[side]; i++) {
            half *h = &w->halves[side][i];
            if (h->st == NULL)
                continue;
            busy = true;
            if (h->st->has_send && !h->finished && !h->reset)
                do_finish(w, side, h);
            if (h->st->stopped && !h->reset && !h->st->send_done)
                h->reset = quic_stream_reset(h->st, 9) == 0;
            if (h->st->has_recv && !h->ended)
                do_read(w, side, h);
            if (h->st->send_done && (!h->st->has_recv || h->ended))
                do_release(w, side, h);
        }
        busy |= pair_flush(&w->pair, side) > 0;
    }
    return busy;
}

static void one_world(uint64_t seed) {
    world *w = calloc(1, sizeof *w);
    quic_streams_config config = pair_config();
    w->pair.rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    config.streams_bidi = 1 + pair_below(&w->pair, 20);
    config.streams_uni = 1 + pair_below(&w->pair, 20);
    config.stream_window = 1 + pair_below(&w->pair, 100000);
    config.conn_window = pair_below(&w->pair, 3) == 0 ? VARINT_MAX : 1 + pair_below(&w->pair, 200000);
    config.send_buffer = 1 + pair_below(&w->pair, 300000);
    w->loss = pair_below(&w->pair, 50);
    w->duplicates = pair_below(&w->pair, 30);
    w->polite = pair_below(&w->pair, 3) == 0;
    uint64_t rng = w->pair.rng;
    pair_init(&w->pair, config);
    w->pair.rng = rng;
    for (int step = 0; step < STEPS; step++) {
        act(w, (int)pair_below(&w->pair, 2));
        transmit(w, (int)pair_below(&w->pair, 2));
        network(w);
        if (step % 8 == 0)
            check(w);
    }
    int rounds = 0;
    while (wind_up(w))
        assert_true(++rounds < 1000000);
    for (int side = 0; side < 2; side++) {
        quic_streams *s = &w->pair.side[side];
        check_side(s);
        assert_int_equal(s->by_id.count, 0);
        assert_int_equal(s->chunks.in_use, 0);
        assert_int_equal(s->recv_used, s->recv_read);
        assert_int_equal(s->recv_used, w->pair.side[1 - side].send_used);
        for (int uni = 0; uni < 2; uni++)
            assert_int_equal(s->closed_remote[uni], w->pair.side[1 - side].next_local[uni]);
    }
    pair_dispose(&w->pair);
    free(w);
}

static void every_byte_comes_once_and_in_order_over_random_schedules(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        one_world(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_comes_once_and_in_order_over_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
