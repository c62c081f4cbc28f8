// The plan of downloads, in virtual time: everything comes that somebody has, once, and in about the time that it takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <iroh/error.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "unit/plan_model_support.h"

#define MB UINT64_C(1000000)

static model m;

static model_provider honest(uint64_t rate, unsigned latency_ms) {
    return (model_provider){.rate = rate, .latency = latency_ms * NS_PER_MS};
}

static void add(model_provider p, int how, uint64_t limit) {
    p.how = how;
    p.limit = limit;
    model_add_provider(&m, p);
}

static double seconds(void) {
    return (double)(m.now - NS_PER_S) / 1e9;
}

static void begin_blob(uint64_t chunks) {
    model_init(&m, false);
    model_add_blob(&m, chunks);
}

static void assert_all_came(void) {
    assert_int_equal(model_left(&m), 0);
}

static void the_speeds_add_up(void **state) {
    (void)state;
    static const uint64_t rates[][3] = {
        {4 * MB, 4 * MB, 4 * MB}, {8 * MB, 1 * MB, 3 * MB}, {10 * MB, MB / 10, MB / 10}};
    for (size_t row = 0; row < 3; row++) {
        double sum = 0;
        begin_blob(60000);
        for (size_t i = 0; i < 3; i++) {
            model_add_provider(&m, honest(rates[row][i], 30));
            sum += (double)rates[row][i];
        }
        assert_int_equal(model_run(&m, 600, true), 1);
        assert_all_came();
        assert_int_equal(m.twice, 0);
        assert_true(seconds() < 60000.0 * 1024 / sum * 1.25 + 1);
        for (size_t i = 0; i < 3; i++)
            assert_true((double)m.providers[i].sent > 0.5 * 60000.0 * 1024 * (double)rates[row][i] / sum);
        model_dispose(&m);
    }
}

static void blobs_of_any_size_come(void **state) {
    (void)state;
    static const uint64_t sizes[] = {1, 2, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 1040, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t n = 1; n <= 4; n++) {
            begin_blob(sizes[i]);
            for (size_t k = 0; k < n; k++)
                model_add_provider(&m, honest(MB * (1 + k), 20 * (unsigned)k));
            assert_int_equal(model_run(&m, 100, true), 1);
            assert_all_came();
            assert_int_equal(m.twice, 0);
            model_dispose(&m);
        }
    }
}

// Whatever one does, the others bring it all, and not much later than without it.
static void villains_cost_little(void **state) {
    (void)state;
    static const int hows[] = {MODEL_LIES, MODEL_STALLS, MODEL_DIES, MODEL_REFUSES, MODEL_AWAY};
    static const uint64_t limits[] = {0, 100000, 3 * MB, 12 * MB};
    for (size_t h = 0; h < sizeof hows / sizeof *hows; h++) {
        for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
            begin_blob(30000);
            add(honest(4 * MB, 20), hows[h], limits[l]);
            model_add_provider(&m, honest(4 * MB, 20));
            model_add_provider(&m, honest(4 * MB, 20));
            assert_int_equal(model_run(&m, 100, true), 1);
            assert_all_came();
            assert_true(seconds() < 30000.0 * 1024 / (8.0 * 1e6) * 1.25 + 2.5);
            model_dispose(&m);
        }
    }
}

static void errors_are_told(void **state) {
    (void)state;
    static const struct {
        int how, other, error;
    } rows[] = {{MODEL_LIES, MODEL_DIES, IROH_ERR_PROTOCOL},
                {MODEL_AWAY, MODEL_AWAY, IROH_ERR_IDLE},
                {MODEL_AWAY, MODEL_DIES, IROH_ERR_PEER_CLOSED},
                {MODEL_REFUSES, MODEL_DIES, IROH_ERR_ACCESS},
                {MODEL_REFUSES, MODEL_LIES, IROH_ERR_PROTOCOL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin_blob(5000);
        add(honest(MB, 20), rows[i].how, MB);
        add(honest(MB, 20), rows[i].other, MB);
        assert_int_equal(model_run(&m, 200, true), rows[i].error);
        assert_true(model_left(&m) < 5000 || i == 1);
        model_dispose(&m);
    }
    begin_blob(5);
    assert_int_equal(model_run(&m, 5, true), IROH_ERR_NOT_FOUND);
    model_dispose(&m);
}

// Each has every third group, tells so or not, and may lose what comes before a gap.
static void parts_make_a_whole(void **state) {
    (void)state;
    for (unsigned variant = 0; variant < 4; variant++) {
        begin_blob(3000);
        for (unsigned i = 0; i < 3; i++) {
            model_provider p = honest(4 * MB, 10);
            p.modulo = 3;
            p.rest = i;
            p.observable = (variant & 1) != 0;
            p.loses = (variant & 2) != 0;
            model_add_provider(&m, p);
        }
        assert_int_equal(model_run(&m, 1000, true), 1);
        assert_all_came();
        model_dispose(&m);
    }
}

static void what_nobody_has_is_not_found(void **state) {
    (void)state;
    for (unsigned variant = 0; variant < 4; variant++) {
        begin_blob(3000);
        for (unsigned i = 0; i < 2; i++) {
            model_provider p = honest(4 * MB, 10);
            p.modulo = 3;
            p.rest = i;
            p.observable = (variant & 1) != 0;
            p.loses = (variant & 2) != 0;
            model_add_provider(&m, p);
        }
        assert_int_equal(model_run(&m, 1000, true), IROH_ERR_NOT_FOUND);
        if (variant == 1)  // who is told what there is fetches all of it
            assert_int_equal(model_left(&m), 62 * BAO_GROUP_CHUNKS);
        model_dispose(&m);
    }
}

static void begin_blobs(size_t count) {
    uint64_t random = count;
    model_init(&m, true);
    for (size_t i = 0; i < count; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
        model_add_blob(&m, i % 97 == 50 ? 8000 : 1 + (random >> 40) % 60);
    }
}

static void blobs_are_shared_out(void **state) {
    (void)state;
    for (size_t count = 1; count <= 350; count += 58) {
        begin_blobs(count);
        uint64_t all = model_left(&m);
        for (unsigned i = 0; i < 3; i++)
            model_add_provider(&m, honest(3 * MB, 15));
        assert_int_equal(model_run(&m, 600, true), 1);
        assert_all_came();
        // A blob may be given to another while its first group is under way.
        assert_in_range(m.twice, 0, 2 * BAO_GROUP_CHUNKS);
        assert_true(seconds() < (double)all * 1024 / 9e6 * 1.4 + 1);
        model_dispose(&m);
    }
}

static void blobs_come_from_whoever_has_them(void **state) {
    (void)state;
    for (unsigned variant = 0; variant < 2; variant++) {
        begin_blobs(300);
        for (unsigned i = 0; i < 3; i++) {
            model_provider p = honest(3 * MB, 15);
            p.modulo = 3;
            p.rest = i;
            p.loses = variant == 1;
            model_add_provider(&m, p);
        }
        assert_int_equal(model_run(&m, 1000, true), 1);
        assert_all_came();
        model_dispose(&m);
    }
}

// Nobody has all of a blob that is wanted whole, some not even its beginning, and the ends of answers take away what came.
static void parts_of_many_blobs_make_wholes(void **state) {
    (void)state;
    for (unsigned variant = 0; variant < 4; variant++) {
        begin_blobs(40);
        for (unsigned i = 0; i < 2; i++) {
            model_provider p = honest(3 * MB, 15);
            p.modulo = 2;
            p.rest = i;
            p.groups = true;
            p.observable = variant % 2 == 0;
            p.loses = variant >= 2;
            model_add_provider(&m, p);
        }
        assert_int_equal(model_run(&m, 1000, true), 1);
        assert_all_came();
        model_dispose(&m);
    }
}

// Blobs that nobody has any part of are given up soon, and the others come.
static void blobs_of_nobody_are_not_looked_for_long(void **state) {
    (void)state;
    for (unsigned variant = 0; variant < 2; variant++) {
        begin_blobs(300);
        for (unsigned i = 0; i < 2; i++) {
            model_provider p = honest(3 * MB, 15);
            p.modulo = 2;
            p.rest = 1;
            p.observable = variant == 0;
            model_add_provider(&m, p);
        }
        assert_int_equal(model_run(&m, 60, true), IROH_ERR_NOT_FOUND);
        for (size_t b = 1; b < m.blobs; b += 2)
            assert_int_equal(m.got[m.first[b] + m.chunks[b] - 1], 1);
        model_dispose(&m);
    }
}

// Any mixture with one who is honest, however slow, ends well.
static void random_worlds_end_well(void **state) {
    (void)state;
    uint64_t random = 99;
    for (unsigned seed = 0; seed < 300; seed++) {
        bool whole = seed % 2 == 1;
        if (whole)
            begin_blobs(1 + seed % 150);
        else
            begin_blob(1 + seed * 37 % 16000);
        for (unsigned i = 0; i < 1 + seed % 5; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
            model_provider p = honest(100000 + (random >> 33) % (10 * MB), (unsigned)(random >> 60) * 10);
            p.modulo = (random >> 20) % 3 == 0 ? 2 + (unsigned)(random >> 24) % 3 : 0;
            p.observable = (random >> 19 & 1) != 0;
            p.loses = (random >> 18 & 1) != 0;
            add(p, (int)((random >> 27) % 6), (random >> 30) % (2 * MB));
        }
        model_add_provider(&m, honest(500000, 50));
        assert_int_equal(model_run(&m, 3000, true), 1);
        assert_all_came();
        model_dispose(&m);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_speeds_add_up),
        cmocka_unit_test(blobs_of_any_size_come),
        cmocka_unit_test(villains_cost_little),
        cmocka_unit_test(errors_are_told),
        cmocka_unit_test(parts_make_a_whole),
        cmocka_unit_test(what_nobody_has_is_not_found),
        cmocka_unit_test(blobs_are_shared_out),
        cmocka_unit_test(blobs_come_from_whoever_has_them),
        cmocka_unit_test(parts_of_many_blobs_make_wholes),
        cmocka_unit_test(blobs_of_nobody_are_not_looked_for_long),
        cmocka_unit_test(random_worlds_end_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
