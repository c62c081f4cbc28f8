// Rules of one connection that need a look inside or at single datagrams: what is issued, padded, repeated, answered.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "linked_support.h"
#include "quic/builder.h"

static size_t sent_to(const linked *b, size_t from, const addr *remote, const linked_datagram **last) {
    size_t count = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (b->log[i].from != from || !addr_equal(&b->log[i].remote, remote))
            continue;
        *last = &b->log[i];
        count++;
    }
    return count;
}

// --- Connection ids

static void every_path_id_gets_five_connection_ids(void **state) {
    (void)state;
    linked *b = linked_start(NULL);
    for (size_t side = CLIENT; side <= SERVER; side++) {
        quic_conn *c = linked_conn(b, side);
        assert_int_equal(c->cids_count, 8);
        for (uint32_t id = 0; id < 8; id++) {
            const quic_path_cids *e = quic_conn_cids(c, id);
            assert_non_null(e);
            assert_int_equal(quic_local_cids_active(&e->local), CIDS_PEER_MAX);
            size_t known = 0;
            for (size_t i = 0; i < CIDS_PEER_MAX; i++)
                known += e->peer.items[i].used;
            assert_int_equal(known, CIDS_PEER_MAX);
        }
    }
    // Another path id that both allow: five more.
    quic_conn *s = linked_conn(b, SERVER);
    linked_say(b, CLIENT, (const uint8_t[]){0x7e, 0x75, 0x07, 0x3e},
               4);  // PATH_ABANDON of a path that was never opened
    linked_run(b, 1000);
    assert_int_equal(s->mp->local_max, 8);
    assert_null(quic_conn_cids(s, 7));
    linked_say(b, CLIENT, (const uint8_t[]){0x7e, 0x7a, 0x08}, 3);  // MAX_PATH_ID
    assert_non_null(quic_conn_cids(s, 8));
    assert_int_equal(quic_local_cids_active(&quic_conn_cids(s, 8)->local), CIDS_PEER_MAX);
    linked_free(b);
}

// The client's first id has no reset token; the server leaves it at once, and the client issues another one.
static void a_server_leaves_the_first_connection_id(void **state) {
    (void)state;
    linked *b = linked_start(NULL);
    const quic_peer_cid *active = quic_peer_cids_active(&linked_conn(b, SERVER)->path->cids->peer);
    assert_int_equal(active->seq, 1);
    assert_true(active->has_token);
    const quic_path_cids *own = linked_conn(b, CLIENT)->path->cids;
    assert_null(quic_local_cids_get(&own->local, 0));
    assert_int_equal(own->local.next, CIDS_PEER_MAX + 1);
    // A client stays: its token came in the transport parameters.
    assert_int_equal(quic_peer_cids_active(&linked_conn(b, CLIENT)->path->cids->peer)->seq, 0);
    linked_free(b);
}

// --- Both forms of frames

static void path_0_takes_the_frames_of_either_form(void **state) {
    (void)state;
    linked *b = linked_start(NULL);
    quic_conn *c = linked_conn(b, CLIENT), *s = linked_conn(b, SERVER);
    uint64_t next = s->path->cids->local.next;
    // RETIRE_CONNECTION_ID and PATH_RETIRE_CONNECTION_ID.
    linked_say(b, CLIENT, (const uint8_t[]){0x19, 0x03}, 2);
    assert_null(quic_local_cids_get(&s->path->cids->local, 3));
    linked_say(b, CLIENT, (const uint8_t[]){0x7e, 0x79, 0x00, 0x04}, 4);
    assert_null(quic_local_cids_get(&s->path->cids->local, 4));
    assert_int_equal(s->path->cids->local.next, next + 2);
    // ACK of the largest that the server has sent.
    uint64_t largest = s->path->data.sent.next - 1;
    uint8_t ack[] = {0x02, (uint8_t)(0x40 | largest >> 8), (uint8_t)largest, 0, 0, 0};
    linked_say(b, CLIENT, ack, sizeof ack);
    assert_false(quic_conn_closed(s));
    assert_false(quic_conn_closed(c) && c->close->by_peer);
    linked_free(b);
}

// --- Acknowledgements

static bool server_owes_ack(linked *b) {
    return linked_conn(b, SERVER)->path->data.acks.eliciting > 0;
}

static void acknowledgements_are_as_frequent_as_the_peer_asks(void **state) {
    (void)state;
    static const uint8_t ping[] = {0x01};
    quic_transport t;
    quic_transport_default(&t);
    t.skip_packet_numbers = false;  // a gap is acknowledged at once
    linked *b = linked_start(&t);
    linked_run(b, 100);
    // By default every second packet, others after 25 ms.
    linked_say(b, CLIENT, ping, 1);
    assert_true(server_owes_ack(b));
    linked_say(b, CLIENT, ping, 1);
    assert_false(server_owes_ack(b));
    linked_say(b, CLIENT, ping, 1);
    linked_run(b, 23);
    assert_true(server_owes_ack(b));
    linked_run(b, 3);
    assert_false(server_owes_ack(b));
    // ACK_FREQUENCY: five may wait, for 35 ms; the client would probe after more.
    static const uint8_t five[] = {0x40, 0xaf, 0x00, 0x05, 0x80, 0x00, 0x88, 0xb8, 0x01};
    linked_say(b, CLIENT, five, sizeof five);
    for (int i = 0; i < 4; i++)
        linked_say(b, CLIENT, ping, 1);
    assert_true(server_owes_ack(b));
    linked_say(b, CLIENT, ping, 1);
    assert_false(server_owes_ack(b));
    linked_say(b, CLIENT, ping, 1);
    linked_run(b, 32);
    assert_true(server_owes_ack(b));
    linked_run(b, 4);
    assert_false(server_owes_ack(b));
    // An older one than the latest says nothing: sequence 0 again, now with threshold 0.
    static const uint8_t older[] = {0x40, 0xaf, 0x00, 0x00, 0x80, 0x00, 0x88, 0xb8, 0x01};
    linked_say(b, CLIENT, older, sizeof older);
    assert_true(server_owes_ack(b));
    // IMMEDIATE_ACK.
    linked_say(b, CLIENT, (const uint8_t[]){0x1f}, 1);
    assert_false(server_owes_ack(b));
    linked_free(b);
}

// --- Changes of the network

static bool all_stays(void *user, const addr *local, const addr *remote) {
    (void)user;
    (void)local;
    (void)remote;
    return true;
}

static void a_probe_after_a_change_is_acknowledged_at_once(void **state) {
    (void)state;
    quic_transport t;
    quic_transport_default(&t);
    t.skip_packet_numbers = false;  // a gap is acknowledged at once
    linked *b = linked_start(&t);
    linked_run(b, 100);
    quic_conn *c = linked_conn(b, CLIENT);
    // Without other connection ids nothing but the probe goes; the server would answer to the rest of it anyway.
    quic_peer_cids *ids = &c->path->cids->peer;
    for (size_t i = 0; i < CIDS_PEER_MAX; i++)
        ids->items[i].used = i == ids->active;
    // A ping alone waits for 25 ms.
    c->path->ping_wanted = true;
    quic_conn_wake(c);
    linked_run(b, 15);
    assert_true(server_owes_ack(b));
    linked_run(b, 100);
    assert_false(server_owes_ack(b));
    b->count = 0;
    quic_conn_network_changed(c, all_stays, NULL, b->w.now);
    linked_run(b, 15);
    assert_false(server_owes_ack(b));
    assert_int_equal(b->count, 2);
    assert_int_equal(b->log[0].from, CLIENT);
    assert_int_equal(b->log[1].from, SERVER);
    linked_free(b);
}

static bool stranger_is_lost(void *user, const addr *local, const addr *remote) {
    (void)local;
    return !addr_equal(remote, user);
}

// There is no id for another path until the peer has heard that the old one is gone.
static void a_lost_path_is_opened_again_as_soon_as_there_is_an_id(void **state) {
    (void)state;
    linked *b = linked_start(NULL);
    quic_conn *c = linked_conn(b, CLIENT);
    addr nobody = b->w.nodes[STRANGER].address, any = {0};
    uint32_t id, fresh = UINT32_MAX;
    assert_int_equal(quic_conn_open_path(c, &nobody, &any, PATH_BACKUP, b->w.now, &id), 0);
    linked_run(b, 10);
    uint64_t first_after = c->mp->peer_max + 1;
    c->mp->next_id = first_after;
    quic_conn_network_changed(c, stranger_is_lost, &nobody, b->w.now);
    assert_true(quic_conn_path(c, id)->abandoned);
    assert_int_equal(quic_conn_open_paths(c), 1);
    assert_int_equal(c->mp->lost_count, 1);
    linked_run(b, 1000);
    for (size_t i = 0; i < c->path_count; i++) {
        if (!c->paths[i]->abandoned && addr_equal(&c->paths[i]->remote, &nobody))
            fresh = c->paths[i]->id;
    }
    assert_int_equal(fresh, first_after);
    assert_int_equal(quic_conn_path(c, fresh)->status, PATH_BACKUP);
    assert_int_equal(c->mp->lost_count, 0);
    linked_free(b);
}

// --- Challenges

static void a_new_path_is_challenged_in_full_datagrams_with_new_data(void **state) {
    (void)state;
    linked *b = linked_start(NULL);
    quic_conn *c = linked_conn(b, CLIENT);
    addr nobody = b->w.nodes[STRANGER].address, any = {0};
    uint32_t id;
    b->count = 0;
    uint64_t begin = b->w.now;
    assert_int_equal(quic_conn_open_path(c, &nobody, &any, PATH_BACKUP, b->w.now, &id), 0);
    linked_run(b, 8500);
    const quic_path *p = quic_conn_path(c, id);
    // At 0, 1, 3, 5 and 7 s a challenge; probes of the path go beside them.
    assert_int_equal(p->challenge_tries, 5);
    for (size_t i = 0; i < p->challenge_count; i++) {
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(p->challenges[i].data, p->challenges[k].data, 8);
    }
    size_t full = 0;
    for (size_t i = 0; i < b->count; i++)
        full += b->log[i].from == CLIENT && addr_equal(&b->log[i].remote, &nobody) && b->log[i].len == 1200;
    assert_int_equal(full, 5);
    assert_true(b->log[0].time == begin);
    linked_free(b);
}

// From an address that is no path's, in a small packet: answered there, from where it came in, within the limit.
static void an_off_path_challenge_is_answered_where_it_came_from(void **state) {
    (void)state;
    uint8_t challenge[9] = {FRAME_PATH_CHALLENGE, 1, 2, 3, 4, 5, 6, 7, 8};
    const linked_datagram *last = NULL;
    linked *b = linked_start(NULL);
    addr before = linked_conn(b, SERVER)->path->remote;
    b->count = 0;
    linked_say_from(b, STRANGER, CLIENT, challenge, sizeof challenge);
    assert_int_equal(sent_to(b, SERVER, &b->w.nodes[STRANGER].address, &last), 1);
    assert_true(last->len <= 3 * 40);
    assert_true(addr_equal(&last->local, &b->w.nodes[SERVER].address));
    assert_true(addr_equal(&linked_conn(b, SERVER)->path->remote, &before));
    // In a full datagram: the answer is one too.
    uint8_t padded[1150] = {0};
    memcpy(padded, challenge, sizeof challenge);
    b->count = 0;
    linked_say_from(b, STRANGER, CLIENT, padded, sizeof padded);
    assert_int_equal(sent_to(b, SERVER, &b->w.nodes[STRANGER].address, &last), 1);
    assert_int_equal(last->len, 1200);
    // On the path, whose address is proven, always.
    b->count = 0;
    linked_say(b, CLIENT, challenge, sizeof challenge);
    size_t full = 0;
    for (size_t i = 0; i < b->count; i++)
        full += b->log[i].from == SERVER && b->log[i].len == 1200;
    assert_int_equal(full, 1);
    linked_free(b);
}

// A client adds a challenge of its own, once it has nothing proven there.
static void a_client_bundles_a_challenge(void **state) {
    (void)state;
    uint8_t challenge[9] = {FRAME_PATH_CHALLENGE, 1, 2, 3, 4, 5, 6, 7, 8};
    const linked_datagram *last = NULL;
    linked *b = linked_start(NULL);
    b->count = 0;
    linked_say_from(b, STRANGER, SERVER, challenge, sizeof challenge);
    assert_int_equal(sent_to(b, CLIENT, &b->w.nodes[STRANGER].address, &last), 1);
    // Its data is outstanding: a right answer from there opens a path.
    assert_int_equal(linked_conn(b, CLIENT)->path_count, 1);
    linked_free(b);
}

// A peer that moved and said little is challenged in a datagram as small as the limit asks.
static void a_small_packet_from_elsewhere_is_challenged(void **state) {
    (void)state;
    const linked_datagram *last = NULL;
    linked *b = linked_start(NULL);
    b->count = 0;
    linked_say_from(b, STRANGER, CLIENT, (const uint8_t[]){FRAME_PING}, 1);
    quic_conn *s = linked_conn(b, SERVER);
    assert_true(addr_equal(&s->path->remote, &b->w.nodes[STRANGER].address));
    assert_false(s->path->validated);
    assert_true(sent_to(b, SERVER, &b->w.nodes[STRANGER].address, &last) > 0);
    assert_int_equal(s->path->challenge_count, 1);
    assert_true(s->path->sent <= 3 * s->path->received);
    // Nobody answers there: the path goes back to the proven address.
    linked_run(b, 4000);
    assert_true(addr_equal(&s->path->remote, &b->w.nodes[CLIENT].address));
    assert_true(s->path->validated);
    linked_free(b);
}

// --- ECN

// The peer's counts cover the whole packet number space, so they go on over a move.
static void ecn_survives_a_move(void **state) {
    (void)state;
    linked *b = linked_start(NULL);
    quic_conn *s = linked_conn(b, SERVER);
    assert_int_equal(s->path->ecn_state, PATH_ECN_CAPABLE);
    uint64_t marked = s->path->ecn_sent;
    assert_true(marked > 0);
    // Another host, as its NAT makes it look: new estimates.
    sim_set_nat(&b->w.nodes[CLIENT], 0, SIM_NAT_EASY);
    quic_conn *c = linked_conn(b, CLIENT);
    quic_stream *st;
    assert_int_equal(quic_streams_open(quic_conn_streams(c), true, &st), 0);
    uint8_t bytes[4000] = {1};
    assert_true(quic_stream_write(st, bytes, sizeof bytes) > 0);
    quic_stream_release(st);
    quic_conn_wake(c);
    linked_run(b, 2000);
    assert_true(addr_same_host(&s->path->remote, &b->w.nodes[CLIENT].ports[0].outside));
    assert_true(s->path->generation > 0);
    assert_true(s->path->validated);
    assert_true(s->path->ecn_sent > marked);
    assert_int_equal(s->path->ecn_state, PATH_ECN_CAPABLE);
    linked_free(b);
}

// --- Keep-alives

static void a_connection_is_kept_alive_without_times_of_its_paths(void **state) {
    (void)state;
    quic_transport t;
    quic_transport_default(&t);
    t.path_keep_alive = t.path_idle_timeout = 0;
    linked *b = linked_start(&t);
    linked_run(b, 120000);
    assert_false(b->t.closed);
    assert_false(quic_conn_closed(linked_conn(b, SERVER)));
    linked_free(b);
}

// --- The builder

static void a_note_that_is_taken_back_leaves_no_trace(void **state) {
    (void)state;
    pool notes;
    pool_init(&notes, sizeof(quic_sent_frame), 8, 1);
    quic_builder b = {.pool = &notes};
    assert_non_null(quic_builder_note(&b, FRAME_STREAM));
    quic_builder_unnote(&b);
    assert_null(b.frames);
    assert_int_equal(b.flags, 0);
    b.flags = SENT_ACK_ELICITING;
    assert_non_null(quic_builder_note(&b, FRAME_STREAM));
    quic_builder_unnote(&b);
    assert_int_equal(b.flags, SENT_ACK_ELICITING);
    pool_dispose(&notes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_path_id_gets_five_connection_ids),
        cmocka_unit_test(a_server_leaves_the_first_connection_id),
        cmocka_unit_test(path_0_takes_the_frames_of_either_form),
        cmocka_unit_test(acknowledgements_are_as_frequent_as_the_peer_asks),
        cmocka_unit_test(a_probe_after_a_change_is_acknowledged_at_once),
        cmocka_unit_test(a_lost_path_is_opened_again_as_soon_as_there_is_an_id),
        cmocka_unit_test(a_new_path_is_challenged_in_full_datagrams_with_new_data),
        cmocka_unit_test(an_off_path_challenge_is_answered_where_it_came_from),
        cmocka_unit_test(a_client_bundles_a_challenge),
        cmocka_unit_test(a_small_packet_from_elsewhere_is_challenged),
        cmocka_unit_test(ecn_survives_a_move),
        cmocka_unit_test(a_connection_is_kept_alive_without_times_of_its_paths),
        cmocka_unit_test(a_note_that_is_taken_back_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
