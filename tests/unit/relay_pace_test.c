// How often a client of the relay server is read, against sources that send steadily, in batches, in bursts, and not at
// all; the clock is the test's.
#include "relay_server/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define START (1000 * NS_PER_S + 12345)

// A client that sends `burst` frames of `size` bytes each `gap`, and the server that reads it.
typedef struct model {
    pace pace;
    uint64_t now, next_burst, gap;
    uint32_t burst, size;
    uint32_t waiting;    // frames that were not read yet
    uint64_t reads;      // in all
    uint64_t watched;    // reads of these that were made at once
    uint64_t delay_max;  // ns, of a frame until it was read
    uint64_t oldest;     // ns, of the frames that wait
} model;

static void model_start(model *m, uint32_t burst, uint32_t size, uint64_t gap) {
    *m = (model){.now = START, .next_burst = START + gap, .gap = gap, .burst = burst, .size = size};
    pace_init(&m->pace, START);
}

static void take_arrivals(model *m) {
    while (m->next_burst <= m->now) {
        if (m->waiting == 0)
            m->oldest = m->next_burst;
        m->waiting += m->burst;
        m->next_burst += m->gap;
    }
}

static void read_all(model *m) {
    uint64_t delay = m->waiting > 0 ? m->now - m->oldest : 0;
    m->delay_max = delay > m->delay_max ? delay : m->delay_max;
    m->watched += m->pace.at == PACE_WATCHED;
    m->reads++;
    (void)pace_read(&m->pace, m->waiting, (size_t)m->waiting * m->size, m->now);
    m->waiting = 0;
}

static void run_for(model *m, uint64_t duration) {
    uint64_t end = m->now + duration;
    while (m->now < end) {
        m->now = m->pace.at == PACE_WATCHED ? m->next_burst : pace_next(m->pace.at, m->now);
        take_arrivals(m);
        read_all(m);
    }
}

static void the_interval_follows_what_is_sent(void **state) {
    (void)state;
    static const struct {
        uint32_t burst, size;
        uint64_t gap, interval;  // us; interval 0: watched
    } cases[] = {
        {1, 1240, 1000, 2000},  // a datagram each millisecond
        {1, 1240, 400, 1500},   // 2.5
        {1, 1240, 200, 1000},   // 5
        {1, 1240, 50, 500},     // 20
        {1, 100, 1000, 2000},   // small ones count as much
        {1, 12040, 5000, 0},    // batches of ten, which have been gathered already
        {1, 12040, 200, 500},   // many of them
        {1, 60040, 2000, 0},    // so large that each is worth a read
        {1, 1240, 1500, 0},     // slower
        {2, 160, 20000, 0},     // voice
        {30, 1240, 100000, 0},  // bursts with long pauses
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model m;
        model_start(&m, cases[i].burst, cases[i].size, cases[i].gap * NS_PER_US);
        run_for(&m, NS_PER_S);
        uint64_t interval = m.pace.at == PACE_WATCHED ? 0 : pace_interval(m.pace.at);
        assert_int_equal(interval, cases[i].interval * NS_PER_US);
    }
}

static void sparse_clients_are_always_read_at_once(void **state) {
    (void)state;
    model m;
    model_start(&m, 1, 200, 10 * NS_PER_MS);
    run_for(&m, 100 * NS_PER_S);
    assert_int_equal(m.reads, m.watched);
    assert_int_equal(m.delay_max, 0);
    assert_in_range(m.reads, 9999, 10001);
}

static void no_datagram_waits_longer_than_the_longest_interval(void **state) {
    (void)state;
    for (uint64_t gap = 20; gap < 3000; gap += 37) {
        model m;
        model_start(&m, 1, 1240, gap * NS_PER_US);
        run_for(&m, NS_PER_S);
        assert_in_range(m.delay_max, 0, pace_interval(PACE_SLOWEST));
    }
}

static void most_reads_of_a_fast_client_bring_several_frames(void **state) {
    (void)state;
    model m;
    model_start(&m, 1, 1240, 100 * NS_PER_US);
    run_for(&m, 10 * NS_PER_S);
    assert_in_range(m.watched, 1, 1000);  // of the 100 000 frames, those of the first window
    assert_in_range(m.reads, 1, 100000 / 4);
}

static void a_client_that_falls_silent_is_watched_again(void **state) {
    (void)state;
    model m;
    model_start(&m, 1, 1240, NS_PER_MS);
    run_for(&m, NS_PER_S);
    assert_int_not_equal(m.pace.at, PACE_WATCHED);
    m.next_burst = TIME_NEVER;
    m.waiting = 0;
    uint64_t silent = m.now;
    for (int i = 0; i < 1000 && m.pace.at != PACE_WATCHED; i++) {
        m.now = pace_next(m.pace.at, m.now);
        read_all(&m);
    }
    assert_int_equal(m.pace.at, PACE_WATCHED);
    assert_in_range(m.now - silent, 1, 2 * PACE_WINDOW + pace_interval(PACE_SLOWEST));
}

static void a_rate_between_the_thresholds_changes_nothing(void **state) {
    (void)state;
    model m;
    model_start(&m, 1, 1240, 2 * NS_PER_MS);
    run_for(&m, NS_PER_S);
    assert_int_equal(m.pace.at, PACE_WATCHED);
    m.gap = NS_PER_MS;
    run_for(&m, NS_PER_S);
    assert_int_equal(m.pace.at, PACE_SLOWEST);
    m.gap = 2 * NS_PER_MS;
    run_for(&m, NS_PER_S);
    assert_int_equal(m.pace.at, PACE_SLOWEST);
    m.gap = 4 * NS_PER_MS;
    run_for(&m, NS_PER_S);
    assert_int_equal(m.pace.at, PACE_WATCHED);
}

static void pieces_of_a_frame_count_with_it(void **state) {
    (void)state;
    pace p;
    pace_init(&p, START);
    uint64_t now = START;
    for (int i = 0; i < 1000; i++) {  // 12 000 bytes every ms, in two reads
        (void)pace_read(&p, 0, 6000, now + 500 * NS_PER_US);
        now += NS_PER_MS;
        (void)pace_read(&p, 1, 6000, now);
    }
    assert_int_equal(p.at, PACE_SLOWEST);
}

// Batches are large, but few: there is nothing to gather.
static void batches_count_once(void **state) {
    (void)state;
    pace p;
    pace_init(&p, START);
    for (uint64_t i = 1; i <= 200; i++)
        (void)pace_read(&p, 1, 12000, START + i * 5 * NS_PER_MS);
    assert_int_equal(p.at, PACE_WATCHED);
}

static void intervals_meet(void **state) {
    (void)state;
    for (int at = PACE_SLOWEST; at < PACES; at++) {
        uint64_t interval = pace_interval(at);
        assert_int_equal(interval % pace_interval(PACE_FASTEST), 0);
        for (uint64_t now = START; now < START + 3 * interval; now += interval / 7) {
            uint64_t next = pace_next(at, now);
            assert_int_equal(next % interval, 0);
            assert_in_range(next - now, 1, interval);
        }
        assert_int_equal(pace_next(at, 6 * NS_PER_S), 6 * NS_PER_S + interval);
    }
}

static void a_change_is_told_once(void **state) {
    (void)state;
    pace p;
    int changes = 0;
    pace_init(&p, START);
    for (uint64_t i = 1; i <= 1000; i++)
        changes += pace_read(&p, 1, 1240, START + i * NS_PER_MS);
    assert_int_equal(changes, 1);
    assert_int_equal(p.at, PACE_SLOWEST);
    pace_init(&p, START + NS_PER_S);
    assert_int_equal(p.at, PACE_WATCHED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_interval_follows_what_is_sent),
        cmocka_unit_test(sparse_clients_are_always_read_at_once),
        cmocka_unit_test(no_datagram_waits_longer_than_the_longest_interval),
        cmocka_unit_test(most_reads_of_a_fast_client_bring_several_frames),
        cmocka_unit_test(a_client_that_falls_silent_is_watched_again),
        cmocka_unit_test(a_rate_between_the_thresholds_changes_nothing),
        cmocka_unit_test(pieces_of_a_frame_count_with_it),
        cmocka_unit_test(batches_count_once),
        cmocka_unit_test(intervals_meet),
        cmocka_unit_test(a_change_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
