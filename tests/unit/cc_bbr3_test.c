// BBRv3 on a model of a path: a bottleneck of fixed rate with a drop-tail queue, packet by packet, in virtual time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/cc_bbr3.h"

#define MSS 1200
#define FLYING_MAX 8192
#define START NS_PER_S
#define QUEUE_MIN (UINT64_C(16) * MSS)  // bytes that every queue holds

typedef struct packet {
    uint64_t sent, arrives, pn;  // arrives: its acknowledgement, TIME_NEVER: dropped
    quic_stamp stamp;
} packet;

// A sender that always has data unless told otherwise, paced as the controller says.
typedef struct path {
    quic_cc cc;
    quic_rtt rtt;
    uint64_t now, next_send, busy_until, in_flight, next_pn;
    uint64_t rate, delay, queue;  // bytes per second, ns there and back, bytes
    uint64_t drop_every;          // nth packet, 0: none
    packet flying[FLYING_MAX];
    size_t first, count;
    uint64_t delivered, dropped, most_queued;
    uint64_t app_rate;  // bytes per second that the application has, 0: any number
    uint64_t app_next;
    uint32_t states;  // bit for each state that was seen
} path;

static path *path_new(uint64_t rate, uint64_t rtt, double buffer) {
    path *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->now = START;
    p->rate = rate;
    p->delay = rtt;
    p->queue = (uint64_t)(buffer * (double)rate * (double)rtt / (double)NS_PER_S);
    if (p->queue < QUEUE_MIN)
        p->queue = QUEUE_MIN;
    quic_rtt_init(&p->rtt, RTT_INITIAL);
    quic_rtt_sample(&p->rtt, rtt, 0);
    quic_cc_init(&p->cc, &quic_cc_bbr3, MSS);
    return p;
}

static const quic_bbr3 *model(const path *p) {
    return &p->cc.state.bbr3;
}

static packet *flying(path *p, size_t i) {
    return &p->flying[(p->first + i) % FLYING_MAX];
}

static void transmit(path *p) {
    assert_true(p->count < FLYING_MAX);
    packet *k = flying(p, p->count++);
    *k = (packet){.sent = p->now, .pn = p->next_pn++};
    uint64_t starts = time_max(p->busy_until, p->now);
    uint64_t queued = (starts - p->now) * (p->rate / 1000) / (NS_PER_S / 1000);
    p->most_queued = time_max(p->most_queued, queued);
    if (queued + MSS > p->queue || (p->drop_every > 0 && k->pn % p->drop_every == 0)) {
        k->arrives = TIME_NEVER;
        p->dropped++;
    } else {
        p->busy_until = starts + MSS * NS_PER_S / p->rate;
        k->arrives = p->busy_until + p->delay;
    }
    p->in_flight += MSS;
    p->cc.ops->on_sent(&p->cc, p->now, MSS, p->in_flight);
    k->stamp = p->cc.ops->stamp(&p->cc, p->in_flight);
    p->next_send = time_max(p->next_send, p->now) + MSS * NS_PER_S / p->cc.pacing_rate;
}

static void lose_first(path *p) {
    packet *k = flying(p, 0);
    p->in_flight -= MSS;
    quic_rate_loss one = {.now = p->now, .sent_time = k->sent, .pn = k->pn, .size = MSS, .stamp = &k->stamp};
    p->cc.ops->on_packet_lost(&p->cc, &one);
    quic_cc_loss l = {.now = p->now, .bytes = MSS, .sent_time = k->sent, .in_flight = p->in_flight};
    p->cc.ops->on_loss(&p->cc, &l);
    p->first = (p->first + 1) % FLYING_MAX;
    p->count--;
}

// The first packet that was not dropped.
static size_t first_arrival(path *p) {
    size_t i = 0;
    while (i < p->count && flying(p, i)->arrives == TIME_NEVER)
        i++;
    return i;
}

static void acknowledge(path *p, size_t i) {
    packet k = *flying(p, i);
    // What went before it is found lost once enough has overtaken it; here at once, which changes nothing.
    while (i-- > 0)
        lose_first(p);
    p->first = (p->first + 1) % FLYING_MAX;
    p->count--;
    p->in_flight -= MSS;
    p->delivered += MSS;
    quic_rtt_sample(&p->rtt, p->now - k.sent, 0);
    quic_cc_ack a = {
        .now = p->now,
        .bytes = MSS,
        .sent_time = k.sent,
        .in_flight = p->in_flight,
        .rtt = &p->rtt,
        .stamp = &k.stamp,
        .stamp_time = k.sent,
    };
    p->cc.ops->on_ack(&p->cc, &a);
    p->states |= 1U << model(p)->state;
    assert_true(p->cc.window >= 2 * MSS);
    assert_true(p->cc.pacing_rate > 0);
}

static uint64_t send_at(const path *p) {
    if (p->in_flight + MSS > p->cc.window)
        return TIME_NEVER;
    return time_max(p->next_send, p->app_rate > 0 ? p->app_next : 0);
}

static void run(path *p, uint64_t length) {
    uint64_t end = p->now + length;
    for (;;) {
        size_t i = first_arrival(p);
        uint64_t arrival = i < p->count ? flying(p, i)->arrives : TIME_NEVER, sending = send_at(p);
        // All that is on its way was dropped: a probe timeout would find out.
        if (arrival == TIME_NEVER && sending == TIME_NEVER) {
            while (p->count > 0)
                lose_first(p);
            continue;
        }
        uint64_t at = time_min(arrival, sending);
        if (at > end)
            break;
        p->now = time_max(p->now, at);
        if (arrival <= sending) {
            acknowledge(p, i);
            continue;
        }
        transmit(p);
        if (p->app_rate == 0)
            continue;
        p->app_next = time_max(p->app_next, p->now) + MSS * NS_PER_S / p->app_rate;
        p->cc.ops->on_app_limited(&p->cc, p->in_flight);
    }
    p->now = end;
}

static double share(path *p, uint64_t seconds) {
    uint64_t before = p->delivered;
    run(p, seconds * NS_PER_S);
    return (double)(p->delivered - before) / (double)(p->rate * seconds);
}

static bool seen(const path *p, bbr3_state s) {
    return (p->states & 1U << s) != 0;
}

// --- Tests

static void starts_as_fast_as_the_initial_window_allows(void **state) {
    (void)state;
    quic_cc c;
    quic_cc_init(&c, &quic_cc_bbr3, MSS);
    assert_int_equal(c.window, 12000);
    assert_int_equal(c.pacing_rate, 12000 * 2770);  // 2.77 windows a millisecond
    quic_rtt rtt;
    quic_rtt_init(&rtt, RTT_INITIAL);
    quic_rtt_sample(&rtt, 100 * NS_PER_MS, 0);
    c.ops->on_sent(&c, START, MSS, MSS);
    quic_cc_ack a = {.now = START + 100 * NS_PER_MS, .bytes = MSS, .sent_time = START, .rtt = &rtt};
    c.ops->on_ack(&c, &a);
    assert_in_range(c.pacing_rate, 332300, 332500);  // 2.77 windows a round trip
    assert_int_equal(c.send_quantum, 2 * MSS);
    assert_int_equal(c.window, 12000 + MSS);
}

static void fills_the_path_and_leaves_the_queue_empty(void **state) {
    (void)state;
    static const uint64_t rates[] = {125000, 1250000, 12500000};
    static const uint64_t rtts[] = {5 * NS_PER_MS, 40 * NS_PER_MS, 150 * NS_PER_MS};
    for (size_t i = 0; i < 9; i++) {
        path *p = path_new(rates[i / 3], rtts[i % 3], 4);
        run(p, 5 * NS_PER_S);
        assert_true(model(p)->full_bw_reached);
        uint64_t dropped = p->dropped;
        double used = share(p, 20);
        assert_true(used > 0.95 && used <= 1.001);
        assert_int_equal(p->dropped, dropped);
        uint64_t bw = bbr3_max_bw(model(p));
        assert_in_range(bw, rates[i / 3] * 97 / 100, rates[i / 3] * 112 / 100);
        // Four datagrams are in flight always, on however short a path.
        uint64_t least = 4 * MSS * NS_PER_S / rates[i / 3];
        assert_in_range(model(p)->min_rtt, rtts[i % 3], time_max(rtts[i % 3], least) * 3 / 2);
        free(p);
    }
}

static void passes_through_all_states(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    run(p, 20 * NS_PER_S);
    for (bbr3_state s = BBR3_STARTUP; s < BBR3_STATES; s++)
        assert_true(seen(p, s));
    free(p);
}

static void startup_nearly_doubles_the_rate_each_round_trip(void **state) {
    (void)state;
    path *p = path_new(125000000, 40 * NS_PER_MS, 2);
    run(p, 60 * NS_PER_MS);
    uint64_t before = p->delivered;
    run(p, 40 * NS_PER_MS);
    uint64_t first = p->delivered - before;
    run(p, 160 * NS_PER_MS);
    before = p->delivered;
    run(p, 40 * NS_PER_MS);
    assert_int_equal(model(p)->state, BBR3_STARTUP);
    // Five round trips later; a round trip of a paced flow is a little longer than that of the path.
    assert_true(p->delivered - before >= 16 * first);
    free(p);
}

static void startup_ends_with_a_queue_of_what_the_path_holds_at_most(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 8);
    run(p, 2 * NS_PER_S);
    assert_int_equal(p->dropped, 0);
    assert_true(model(p)->full_bw_reached);
    uint64_t bdp = 1250000 / 25;
    assert_true(p->most_queued < bdp * 3 / 2);
    free(p);
}

static void losses_end_startup_on_a_shallow_buffer(void **state) {
    (void)state;
    path *p = path_new(12500000, 40 * NS_PER_MS, 0.1);
    while (model(p)->state == BBR3_STARTUP && p->now < START + 5 * NS_PER_S)
        run(p, NS_PER_MS);
    assert_true(p->dropped > 0);
    assert_true(model(p)->full_bw_reached);
    assert_true(model(p)->inflight_longterm != BBR3_NONE);
    run(p, 5 * NS_PER_S);
    uint64_t dropped = p->dropped, delivered = p->delivered;
    run(p, 20 * NS_PER_S);
    // Probes may lose some, but not much: 2 % of one round trip every two seconds.
    assert_true((p->dropped - dropped) * MSS * 100 < p->delivered - delivered);
    free(p);
}

static void random_losses_do_not_slow_it_down_much(void **state) {
    (void)state;
    path *p = path_new(12500000, 40 * NS_PER_MS, 1);
    p->drop_every = 100;
    run(p, 5 * NS_PER_S);
    assert_true(share(p, 20) > 0.7);
    free(p);
}

static void follows_a_path_that_becomes_faster_and_slower(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    run(p, 10 * NS_PER_S);
    p->rate *= 4;
    p->queue *= 4;
    run(p, 15 * NS_PER_S);
    assert_true(bbr3_max_bw(model(p)) > 4 * 1250000 * 9 / 10);
    p->rate /= 8;
    p->queue /= 8;
    run(p, 20 * NS_PER_S);
    assert_true(bbr3_max_bw(model(p)) < 625000 * 5 / 4);
    assert_true(share(p, 10) > 0.9);
    free(p);
}

static void an_application_that_sends_little_does_not_end_startup(void **state) {
    (void)state;
    path *p = path_new(12500000, 40 * NS_PER_MS, 1);
    p->app_rate = 100000;
    run(p, 20 * NS_PER_S);
    assert_false(model(p)->full_bw_reached);
    p->app_rate = 0;
    run(p, 5 * NS_PER_S);
    assert_true(model(p)->full_bw_reached);
    assert_in_range(bbr3_max_bw(model(p)), 12500000 * 97 / 100, 12500000 * 112 / 100);
    free(p);
}

static void a_busy_flow_probes_the_round_trip_and_an_idle_one_need_not(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    run(p, 4900 * NS_PER_MS);
    assert_false(seen(p, BBR3_PROBE_RTT));
    p->app_rate = 1;  // the next datagram comes in twenty minutes
    p->app_next = p->now + 1200 * NS_PER_S;
    run(p, 10 * NS_PER_S);
    p->cc.ops->on_app_limited(&p->cc, p->in_flight);
    p->app_rate = 0;
    run(p, NS_PER_S);
    assert_false(seen(p, BBR3_PROBE_RTT));
    run(p, 6 * NS_PER_S);
    assert_true(seen(p, BBR3_PROBE_RTT));
    free(p);
}

static void probe_rtt_halves_what_is_in_flight_and_gives_it_back(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    while (model(p)->state != BBR3_PROBE_RTT && p->now < START + 10 * NS_PER_S)
        run(p, NS_PER_MS);
    assert_int_equal(model(p)->state, BBR3_PROBE_RTT);
    run(p, 150 * NS_PER_MS);
    assert_int_equal(model(p)->state, BBR3_PROBE_RTT);
    uint64_t bdp = bbr3_bdp(&p->cc, model(p)->bw, 1);
    assert_true(p->in_flight <= bdp / 2 && p->cc.window <= bdp / 2);
    run(p, 300 * NS_PER_MS);
    assert_int_not_equal(model(p)->state, BBR3_PROBE_RTT);
    assert_true(p->cc.window > bdp);
    free(p);
}

// 2 % of what is in flight may be lost in a probe, more ends it and sets the limit.
static void a_probe_that_loses_too_much_sets_the_long_term_limit(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    while (model(p)->state != BBR3_UP && p->now < START + 10 * NS_PER_S)
        run(p, NS_PER_MS);
    assert_int_equal(model(p)->state, BBR3_UP);
    assert_true(model(p)->inflight_longterm == BBR3_NONE);
    uint64_t in_flight = p->in_flight, most = in_flight * 2 / 100 / MSS;
    for (uint64_t i = 0; i < most; i++)
        lose_first(p);
    assert_int_equal(model(p)->state, BBR3_UP);
    for (uint64_t i = 0; i < 2; i++)
        lose_first(p);
    assert_int_equal(model(p)->state, BBR3_DOWN);
    assert_true(model(p)->prev_probe_too_high);
    assert_true(model(p)->inflight_longterm <= in_flight + MSS);
    assert_true(model(p)->inflight_longterm >= bbr3_target_inflight(&p->cc) * 7 / 10);
    free(p);
}

static void headroom_is_left_in_whole_datagrams(void **state) {
    (void)state;
    static const uint64_t cases[][2] = {
        {4 * MSS, 4 * MSS},  // never below what keeps the path going
        {8 * MSS + 200, 7 * MSS + 200},
        {20 * MSS, 17 * MSS},
        {1000 * MSS, 850 * MSS},
    };
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    assert_true(bbr3_inflight_with_headroom(&p->cc) == BBR3_NONE);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        p->cc.state.bbr3.inflight_longterm = cases[i][0];
        assert_int_equal(bbr3_inflight_with_headroom(&p->cc), cases[i][1]);
    }
    free(p);
}

static void a_round_of_losses_lowers_the_rate_by_three_tenths_at_most(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    while (model(p)->state != BBR3_CRUISE && p->now < START + 10 * NS_PER_S)
        run(p, NS_PER_MS);
    uint64_t bw = bbr3_max_bw(model(p));
    for (int i = 0; i < 10; i++)
        lose_first(p);
    uint64_t events = p->cc.events;
    run(p, 90 * NS_PER_MS);
    assert_true(model(p)->bw_shortterm != BBR3_NONE);
    assert_true(model(p)->bw >= bw * 69 / 100 && model(p)->bw <= bw);
    assert_int_equal(p->cc.events, events);
    free(p);
}

static void a_spurious_loss_is_undone(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 2);
    while (model(p)->state != BBR3_UP && p->now < START + 10 * NS_PER_S)
        run(p, NS_PER_MS);
    uint64_t window = p->cc.window;
    for (int i = 0; i < 5; i++)
        lose_first(p);
    assert_int_equal(model(p)->state, BBR3_DOWN);
    p->cc.ops->on_spurious(&p->cc);
    assert_int_equal(model(p)->state, BBR3_REFILL);
    assert_true(model(p)->inflight_longterm == BBR3_NONE);
    assert_true(model(p)->bw_shortterm == BBR3_NONE);
    assert_true(p->cc.window >= window);
    // Once only.
    bbr3_state before = model(p)->state;
    p->cc.ops->on_spurious(&p->cc);
    assert_int_equal(model(p)->state, before);
    free(p);
}

static void a_mark_ends_startup_and_counts_as_an_event(void **state) {
    (void)state;
    path *p = path_new(12500000, 40 * NS_PER_MS, 1);
    run(p, 100 * NS_PER_MS);
    assert_int_equal(model(p)->state, BBR3_STARTUP);
    quic_cc_loss l = {.now = p->now, .sent_time = p->now - 1, .in_flight = p->in_flight, .ecn = true};
    p->cc.ops->on_loss(&p->cc, &l);
    assert_int_equal(model(p)->state, BBR3_DRAIN);
    assert_int_equal(p->cc.events, 1);
    assert_true(model(p)->inflight_longterm != BBR3_NONE);
    p->cc.ops->on_spurious(&p->cc);
    assert_int_equal(model(p)->state, BBR3_DRAIN);
    free(p);
}

static void persistent_congestion_starts_over_from_what_is_in_flight(void **state) {
    (void)state;
    path *p = path_new(1250000, 40 * NS_PER_MS, 1);
    run(p, 5 * NS_PER_S);
    uint64_t window = p->cc.window;
    while (p->count > 0)
        lose_first(p);
    quic_cc_loss l = {.now = p->now, .sent_time = p->now - 1, .persistent = true};
    p->cc.ops->on_loss(&p->cc, &l);
    assert_int_equal(p->cc.window, 2 * MSS);
    run(p, 2 * NS_PER_S);
    assert_true(p->cc.window > window / 2);
    free(p);
}

static void stays_within_bounds_over_random_events(void **state) {
    (void)state;
    uint64_t rng = 7;
    for (int schedule = 0; schedule < 200; schedule++) {
        quic_cc c;
        quic_rtt rtt;
        quic_rtt_init(&rtt, RTT_INITIAL);
        quic_cc_init(&c, &quic_cc_bbr3, MSS);
        uint64_t now = START, in_flight = 0, pn = 0;
        quic_stamp stamp = {0};
        uint64_t sent = now;
        for (int i = 0; i < 500; i++) {
            rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            uint64_t dice = rng >> 33, bytes = time_min(in_flight, MSS * (1 + dice / 16 % 8));
            now += dice % 7 == 0 ? dice * 50 : dice % 1000;
            switch (dice % 5) {
            case 0:
            case 1:
                in_flight += MSS;
                sent = now;
                pn++;
                c.ops->on_sent(&c, now, MSS, in_flight);
                stamp = c.ops->stamp(&c, in_flight);
                break;
            case 2:
                in_flight -= bytes;
                quic_rtt_sample(&rtt, now - sent + 1, 0);
                quic_cc_ack a = {.now = now, .bytes = bytes, .sent_time = sent, .in_flight = in_flight, .rtt = &rtt};
                a.stamp = dice % 3 == 0 ? NULL : &stamp;
                a.stamp_time = sent;
                if (bytes > 0)
                    c.ops->on_ack(&c, &a);
                break;
            case 3:
                in_flight -= bytes;
                quic_rate_loss one = {.now = now, .sent_time = sent, .pn = pn, .size = bytes, .stamp = &stamp};
                quic_cc_loss l = {.now = now, .bytes = bytes, .sent_time = sent, .in_flight = in_flight};
                l.ecn = dice % 11 == 0;
                l.persistent = dice % 31 == 0;
                if (!l.ecn)
                    c.ops->on_packet_lost(&c, &one);
                c.ops->on_loss(&c, &l);
                break;
            default:
                if (dice % 2 == 0)
                    c.ops->on_spurious(&c);
                else
                    c.ops->on_app_limited(&c, in_flight);
            }
            assert_in_range(c.window, 2 * MSS, QUIC_CC_WINDOW_MAX);
            assert_true(c.pacing_rate > 0);
            assert_in_range(c.send_quantum, 2 * MSS, 65536);
            assert_true(c.state.bbr3.state < BBR3_STATES);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_as_fast_as_the_initial_window_allows),
        cmocka_unit_test(fills_the_path_and_leaves_the_queue_empty),
        cmocka_unit_test(passes_through_all_states),
        cmocka_unit_test(startup_nearly_doubles_the_rate_each_round_trip),
        cmocka_unit_test(startup_ends_with_a_queue_of_what_the_path_holds_at_most),
        cmocka_unit_test(losses_end_startup_on_a_shallow_buffer),
        cmocka_unit_test(random_losses_do_not_slow_it_down_much),
        cmocka_unit_test(follows_a_path_that_becomes_faster_and_slower),
        cmocka_unit_test(an_application_that_sends_little_does_not_end_startup),
        cmocka_unit_test(a_busy_flow_probes_the_round_trip_and_an_idle_one_need_not),
        cmocka_unit_test(probe_rtt_halves_what_is_in_flight_and_gives_it_back),
        cmocka_unit_test(a_probe_that_loses_too_much_sets_the_long_term_limit),
        cmocka_unit_test(headroom_is_left_in_whole_datagrams),
        cmocka_unit_test(a_round_of_losses_lowers_the_rate_by_three_tenths_at_most),
        cmocka_unit_test(a_spurious_loss_is_undone),
        cmocka_unit_test(a_mark_ends_startup_and_counts_as_an_event),
        cmocka_unit_test(persistent_congestion_starts_over_from_what_is_in_flight),
        cmocka_unit_test(stays_within_bounds_over_random_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
