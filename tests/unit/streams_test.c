#include "unit/stream_pair.h"

#include <string.h>

#include <iroh/error.h>

static quic_stream *open_stream(stream_pair *p, int side, bool bidi) {
    quic_stream *st = NULL;
    assert_int_equal(quic_streams_open(&p->side[side], bidi, &st), 0);
    return st;
}

static void a_request_and_its_answer_leave_nothing_behind(void **state) {
    (void)state;
    stream_pair p;
    char text[16];
    pair_init(&p, pair_config());
    quic_stream *c = open_stream(&p, 0, true);
    assert_int_equal(quic_stream_write(c, "question", 8), 8);
    assert_int_equal(quic_stream_finish(c), 0);
    pair_run(&p);
    assert_true(quic_streams_incoming(&p.side[1], true));
    quic_stream *s = quic_streams_accept(&p.side[1], true);
    assert_non_null(s);
    assert_int_equal(s->id, 0);
    assert_int_equal(quic_stream_read(s, text, sizeof text), 8);
    assert_memory_equal(text, "question", 8);
    assert_int_equal(quic_stream_read(s, text, sizeof text), 0);
    assert_int_equal(quic_stream_write(s, "answer", 6), 6);
    quic_stream_release(s);
    pair_run(&p);
    assert_int_equal(quic_stream_read(c, text, sizeof text), 6);
    assert_memory_equal(text, "answer", 6);
    assert_int_equal(quic_stream_read(c, text, sizeof text), 0);
    assert_int_equal(quic_stream_read(c, text, sizeof text), 0);
    assert_true(c->send_done);
    quic_stream_release(c);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p.side[i].by_id.count, 0);
        assert_int_equal(p.side[i].chunks.in_use, 0);
        assert_int_equal(p.side[i].send_buffered, 0);
        assert_int_equal(p.side[i].recv_used, p.side[i].recv_read);
        assert_false(quic_streams_want_send(&p.side[i]));
    }
    pair_dispose(&p);
}

// Among the rooms is one that a short frame with its length fills to the last byte, while another stream waits.
static void a_packet_of_any_room_is_filled_and_ends(void **state) {
    (void)state;
    for (size_t room = 4; room < 60; room++) {
        stream_pair p;
        pair_packet packet;
        pair_init(&p, pair_config());
        assert_int_equal(quic_stream_write(open_stream(&p, 0, true), "0123456789", 10), 10);
        assert_int_equal(quic_stream_write(open_stream(&p, 0, true), "0123456789", 10), 10);
        while (pair_build(&p, 0, room, &packet)) {
            assert_int_equal(pair_deliver(&p, &packet), 0);
            pair_settle(&p, &packet, true);
        }
        assert_int_equal(p.side[1].recv_used, 20);
        pair_dispose(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer_leave_nothing_behind),
        cmocka_unit_test(a_packet_of_any_room_is_filled_and_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
