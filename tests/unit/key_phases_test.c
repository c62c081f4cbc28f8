// Key update: two sides that follow each other through many phases, late packets, and what must not open.
#include "quic/protect.h"

#include <iroh/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "quic/packet.h"
#include "unit/vector_support.h"

#define PN_OFFSET 9
#define PN_SIZE 4
#define PLAIN 12
#define PACKET (PN_OFFSET + PN_SIZE + PLAIN + AEAD_TAG)

typedef struct pair {
    quic_key_phases a, b;
} pair;

static void start_suite(pair *p, uint16_t id) {
    uint8_t one[AEAD_HASH_MAX], two[AEAD_HASH_MAX];
    const aead_suite *suite = aead_suite_by_id(id);
    memset(p, 0, sizeof *p);
    for (size_t i = 0; i < AEAD_HASH_MAX; i++) {
        one[i] = (uint8_t)i;
        two[i] = (uint8_t)(0xff - i);
    }
    assert_int_equal(quic_key_phases_install(&p->a, suite, one, true), 0);
    assert_int_equal(quic_key_phases_install(&p->b, suite, two, true), 0);
    assert_int_equal(quic_key_phases_install(&p->a, suite, two, false), 0);
    assert_int_equal(quic_key_phases_install(&p->b, suite, one, false), 0);
}

static void start(pair *p) {
    start_suite(p, 0x1301);
}

static void end(pair *p) {
    quic_key_phases_dispose(&p->a);
    quic_key_phases_dispose(&p->b);
}

static void seal(const quic_key_phases *from, uint8_t packet[static PACKET], uint32_t path, uint64_t pn) {
    static const quic_cid dcid = {8, {1, 2, 3, 4, 5, 6, 7, 8}};
    writer w = writer_of(packet, PACKET);
    assert_int_equal(quic_packet_write_short(&w, &dcid, false, from->phase, pn, PN_SIZE), PN_OFFSET);
    memset(w.p, 0x01, PLAIN);
    assert_int_equal(quic_packet_seal(&from->write, from->write.hp, packet, PN_OFFSET, PN_SIZE, PLAIN, path, pn),
                     PACKET);
}

// Opens a copy. The result of quic_key_phases_open.
static int receive(quic_key_phases *to, const uint8_t packet[static PACKET], uint32_t path, bool *new_phase) {
    uint8_t copy[PACKET];
    uint64_t pn;
    memcpy(copy, packet, sizeof copy);
    assert_int_equal(quic_packet_unprotect(to->read.hp, copy, sizeof copy, PN_OFFSET, &pn), PN_SIZE);
    return quic_key_phases_open(to, copy, sizeof copy, PN_OFFSET, PN_SIZE, path, pn, new_phase);
}

static void assert_opens(quic_key_phases *to, const uint8_t packet[static PACKET], uint32_t path, bool new_phase) {
    bool got = false;
    assert_int_equal(receive(to, packet, path, &got), PLAIN);
    assert_int_equal(got, new_phase);
}

static void assert_refuses(quic_key_phases *to, const uint8_t packet[static PACKET], uint32_t path) {
    bool new_phase = true;
    assert_int_equal(receive(to, packet, path, &new_phase), IROH_ERR_CRYPTO);
    assert_false(new_phase);
}

static void updated_keys_match_the_vectors(void **state) {
    (void)state;
    uint8_t secret[AEAD_HASH_MAX];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)i;
    vectors v;
    vectors_open(&v, "quic_protect.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "updated"))
            continue;
        uint8_t iv[AEAD_NONCE], key[AEAD_KEY_MAX], data[AEAD_TAG + 4] = {0}, wanted[AEAD_TAG + 4] = {0};
        assert_int_equal(vectors_bytes(&v, "iv", iv, sizeof iv), AEAD_NONCE);
        (void)vectors_bytes(&v, "key", key, sizeof key);
        const aead_suite *suite = aead_suite_by_id((uint16_t)vectors_u64(&v, "suite"));
        quic_key_phases p = {0};
        assert_int_equal(quic_key_phases_install(&p, suite, secret, true), 0);
        assert_int_equal(quic_key_phases_install(&p, suite, secret, false), 0);
        assert_memory_equal(p.read_next.iv, iv, AEAD_NONCE);
        assert_int_equal(quic_key_phases_update(&p, 0, 0), 0);
        assert_memory_equal(p.read.iv, iv, AEAD_NONCE);
        assert_memory_equal(p.write.iv, iv, AEAD_NONCE);
        aead *a = suite->aead_new(key);
        assert_int_equal(suite->seal(a, iv, NULL, 0, wanted, 4), 0);
        assert_int_equal(suite->seal(p.write.aead, iv, NULL, 0, data, 4), 0);
        assert_memory_equal(data, wanted, sizeof data);
        suite->aead_free(a);
        quic_key_phases_dispose(&p);
    }
}

static void sides_follow_each_other_through_phases(void **state) {
    (void)state;
    static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};
    for (size_t s = 0; s < 3; s++) {
        pair p;
        uint8_t packet[PACKET];
        uint64_t pn_a = 0, pn_b = 0;
        start_suite(&p, suites[s]);
        for (int i = 0; i < 20; i++) {
            seal(&p.a, packet, 0, pn_a++);
            assert_opens(&p.b, packet, 0, false);
            assert_int_equal(quic_key_phases_update(&p.a, 100, 50), 0);
            assert_int_equal(p.a.discard_previous_at, 150);
            seal(&p.a, packet, 0, pn_a++);
            assert_opens(&p.b, packet, 0, true);
            // The peer's old phase is still welcome until it has followed.
            seal(&p.b, packet, 0, pn_b++);
            assert_opens(&p.a, packet, 0, false);
            assert_int_equal(quic_key_phases_update(&p.b, 100, 50), 0);
            assert_int_equal(p.b.starts[0].current, pn_a - 1);
            seal(&p.b, packet, 0, pn_b++);
            assert_opens(&p.a, packet, 0, false);
            assert_int_equal(p.a.generation, p.b.generation);
            assert_int_equal(p.a.phase, p.b.phase);
        }
        assert_int_equal(p.a.generation, 20);
        end(&p);
    }
}

static void late_packets_of_the_old_phase_open_until_its_keys_go(void **state) {
    (void)state;
    pair p;
    uint8_t late[PACKET], packet[PACKET];
    start(&p);
    seal(&p.a, late, 0, 5);
    assert_int_equal(quic_key_phases_update(&p.a, 0, 0), 0);
    seal(&p.a, packet, 0, 6);
    assert_opens(&p.b, packet, 0, true);
    assert_int_equal(quic_key_phases_update(&p.b, 0, 0), 0);
    assert_opens(&p.b, late, 0, false);
    quic_keys_dispose(&p.b.read_previous);
    assert_refuses(&p.b, late, 0);
    end(&p);
}

static void old_phase_does_not_open_after_the_first_number_of_the_new(void **state) {
    (void)state;
    pair p;
    uint8_t old[PACKET], packet[PACKET];
    start(&p);
    seal(&p.a, old, 0, 7);  // a higher number under older keys
    assert_int_equal(quic_key_phases_update(&p.a, 0, 0), 0);
    seal(&p.a, packet, 0, 6);
    assert_opens(&p.b, packet, 0, true);
    assert_int_equal(quic_key_phases_update(&p.b, 0, 0), 0);
    assert_refuses(&p.b, old, 0);
    end(&p);
}

static void later_phase_does_not_begin_before_the_current_one(void **state) {
    (void)state;
    pair p;
    uint8_t packet[PACKET];
    start(&p);
    seal(&p.a, packet, 0, 10);
    assert_opens(&p.b, packet, 0, false);
    assert_int_equal(quic_key_phases_update(&p.a, 0, 0), 0);
    seal(&p.a, packet, 0, 9);
    assert_refuses(&p.b, packet, 0);
    seal(&p.a, packet, 0, 11);
    assert_opens(&p.b, packet, 0, true);
    end(&p);
}

static void other_paths_share_the_phases(void **state) {
    (void)state;
    pair p;
    uint8_t late[PACKET], packet[PACKET];
    start(&p);
    seal(&p.a, packet, 0, 40);
    assert_opens(&p.b, packet, 0, false);
    seal(&p.a, late, 3, 2);
    assert_int_equal(quic_key_phases_update(&p.a, 0, 0), 0);
    // The first packet of a path may already be of the new phase, with any number.
    seal(&p.a, packet, 5, 0);
    assert_opens(&p.b, packet, 5, true);
    assert_int_equal(quic_key_phases_update(&p.b, 0, 0), 0);
    assert_opens(&p.b, late, 3, false);
    assert_refuses(&p.b, late, 4);  // the path is part of the nonce
    seal(&p.a, packet, 0, 41);
    assert_opens(&p.b, packet, 0, false);
    quic_keys_dispose(&p.b.read_previous);
    assert_int_equal(quic_key_phases_update(&p.a, 0, 0), 0);
    seal(&p.a, packet, 5, 1);
    assert_opens(&p.b, packet, 5, true);
    end(&p);
}

static void forged_phase_bit_does_not_move_the_phase(void **state) {
    (void)state;
    pair p;
    uint8_t packet[PACKET];
    start(&p);
    seal(&p.a, packet, 0, 1);
    for (size_t i = 0; i < PACKET; i++) {
        for (int bit = 0; bit < 8; bit++) {
            uint8_t copy[PACKET];
            bool new_phase = false;
            uint64_t pn;
            memcpy(copy, packet, sizeof copy);
            copy[i] ^= (uint8_t)(1 << bit);
            int pn_size = quic_packet_unprotect(p.b.read.hp, copy, sizeof copy, PN_OFFSET, &pn);
            assert_int_equal(
                quic_key_phases_open(&p.b, copy, sizeof copy, PN_OFFSET, (size_t)pn_size, 0, pn, &new_phase),
                IROH_ERR_CRYPTO);
            assert_false(new_phase);
        }
    }
    assert_int_equal(p.b.generation, 0);
    assert_opens(&p.b, packet, 0, false);
    end(&p);
}

static void nothing_opens_or_updates_before_the_keys_are_there(void **state) {
    (void)state;
    quic_key_phases p = {0};
    uint8_t secret[AEAD_HASH_MAX] = {1}, packet[PACKET] = {0x40};
    bool new_phase;
    assert_int_equal(quic_key_phases_update(&p, 0, 0), IROH_ERR_ARG);
    assert_int_equal(quic_key_phases_open(&p, packet, sizeof packet, PN_OFFSET, 1, 0, 0, &new_phase), IROH_ERR_CRYPTO);
    assert_int_equal(quic_key_phases_install(&p, aead_suite_by_id(0x1301), secret, true), 0);
    assert_int_equal(quic_key_phases_update(&p, 0, 0), IROH_ERR_ARG);
    assert_int_equal(quic_key_phases_open(&p, packet, sizeof packet, PN_OFFSET, 1, 0, 0, &new_phase), IROH_ERR_CRYPTO);
    quic_key_phases_dispose(&p);
}

static void update_starts_its_counters_afresh(void **state) {
    (void)state;
    pair p;
    start(&p);
    p.a.sealed = 1000;
    p.a.update_acked = true;
    assert_int_equal(quic_key_phases_update(&p.a, 7, TIME_NEVER), 0);
    assert_int_equal(p.a.sealed, 0);
    assert_false(p.a.update_acked);
    assert_int_equal(p.a.discard_previous_at, TIME_NEVER);
    assert_non_null(p.a.read.hp);
    assert_non_null(p.a.write.hp);
    assert_null(p.a.read_previous.hp);
    end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updated_keys_match_the_vectors),
        cmocka_unit_test(sides_follow_each_other_through_phases),
        cmocka_unit_test(late_packets_of_the_old_phase_open_until_its_keys_go),
        cmocka_unit_test(old_phase_does_not_open_after_the_first_number_of_the_new),
        cmocka_unit_test(later_phase_does_not_begin_before_the_current_one),
        cmocka_unit_test(other_paths_share_the_phases),
        cmocka_unit_test(forged_phase_bit_does_not_move_the_phase),
        cmocka_unit_test(nothing_opens_or_updates_before_the_keys_are_there),
        cmocka_unit_test(update_starts_its_counters_afresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
