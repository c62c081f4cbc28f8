#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "quic/token.h"

#define ISSUED (UINT64_C(1700000000) * NS_PER_S)

static uint64_t draw(uint64_t *rng, uint64_t bound) {
    *rng = *rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*rng >> 33) % bound;
}

static quic_token_key key_of(uint8_t seed) {
    quic_token_key k;
    uint8_t bytes[QUIC_TOKEN_KEY];
    memset(bytes, seed, sizeof bytes);
    assert_int_equal(quic_token_key_init(&k, bytes), 0);
    return k;
}

static addr ip4(uint8_t last, uint16_t port) {
    return addr_ip4((const uint8_t[]){192, 0, 2, last}, port);
}

static quic_cid cid_of(uint8_t len) {
    quic_cid cid = {.len = len};
    for (uint8_t i = 0; i < len; i++)
        cid.bytes[i] = (uint8_t)(0xa0 + i);
    return cid;
}

typedef struct made {
    uint8_t bytes[QUIC_TOKEN_MAX];
    size_t len;
} made;

static made make(const quic_token_key *k, int kind, const addr *to, const quic_cid *odcid, uint8_t nonce_seed) {
    made t;
    uint8_t nonce[QUIC_TOKEN_NONCE];
    memset(nonce, nonce_seed, sizeof nonce);
    int r = quic_token_make(k, kind, to, odcid, ISSUED, nonce, t.bytes, sizeof t.bytes);
    assert_in_range(r, 1, QUIC_TOKEN_MAX);
    t.len = (size_t)r;
    return t;
}

static int open_at(const quic_token_key *k, const made *t, const addr *from, uint64_t age) {
    int kind;
    quic_cid odcid;
    return quic_token_open(k, t->bytes, t->len, from, ISSUED + age, &kind, &odcid);
}

static void tokens_tell_what_they_were_made_with(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    const addr addrs[] = {
        ip4(1, 4433),
        addr_ip6((const uint8_t[16]){0xfe, 0x80, [15] = 1}, 1, 7),
        {.kind = ADDR_RELAY, .scope = 3, .bytes = {[0] = 9, [31] = 8}},
        {.kind = ADDR_CUSTOM, .scope = 12},
    };
    for (size_t i = 0; i < sizeof addrs / sizeof *addrs; i++) {
        for (uint8_t len = 0; len <= QUIC_CID_MAX; len++) {
            for (int kind = QUIC_TOKEN_RETRY; kind <= QUIC_TOKEN_NEW; kind++) {
                quic_cid odcid = cid_of(len), got;
                int got_kind;
                made t = make(&k, kind, &addrs[i], &odcid, len);
                assert_int_equal(quic_token_open(&k, t.bytes, t.len, &addrs[i], ISSUED, &got_kind, &got),
                                 QUIC_TOKEN_VALID);
                assert_int_equal(got_kind, kind);
                assert_true(quic_cid_equal(&got, &odcid));
            }
        }
    }
    quic_token_key_dispose(&k);
}

static void a_retry_token_is_for_one_address_and_port(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    quic_cid odcid = cid_of(20), got;
    addr to = ip4(1, 1000), port = ip4(1, 1001), host = ip4(2, 1000);
    made t = make(&k, QUIC_TOKEN_RETRY, &to, &odcid, 5);
    assert_int_equal(open_at(&k, &t, &to, 0), QUIC_TOKEN_VALID);
    assert_int_equal(open_at(&k, &t, &port, 0), QUIC_TOKEN_STALE);
    assert_int_equal(open_at(&k, &t, &host, 0), QUIC_TOKEN_STALE);
    int kind = 0;
    (void)quic_token_open(&k, t.bytes, t.len, &port, ISSUED, &kind, &got);
    assert_int_equal(kind, QUIC_TOKEN_RETRY);
    quic_token_key_dispose(&k);
}

static void a_new_token_is_for_a_host(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    quic_cid none = cid_of(0);
    addr to = ip4(1, 1000), port = ip4(1, 1001), host = ip4(2, 1000);
    made t = make(&k, QUIC_TOKEN_NEW, &to, &none, 5);
    assert_int_equal(open_at(&k, &t, &to, 0), QUIC_TOKEN_VALID);
    assert_int_equal(open_at(&k, &t, &port, 0), QUIC_TOKEN_VALID);
    assert_int_equal(open_at(&k, &t, &host, 0), QUIC_TOKEN_STALE);
    quic_token_key_dispose(&k);
}

static void each_kind_has_its_lifetime(void **state) {
    (void)state;
    static const uint64_t lifetimes[] = {15 * NS_PER_S, UINT64_C(14) * 86400 * NS_PER_S};
    quic_token_key k = key_of(1);
    quic_cid odcid = cid_of(8);
    addr to = ip4(1, 1000);
    for (int i = 0; i < 2; i++) {
        made t = make(&k, QUIC_TOKEN_RETRY + i, &to, &odcid, 5);
        assert_int_equal(open_at(&k, &t, &to, lifetimes[i]), QUIC_TOKEN_VALID);
        assert_int_equal(open_at(&k, &t, &to, lifetimes[i] + 1), QUIC_TOKEN_STALE);
        // Of the future: the clock was set back.
        assert_int_equal(open_at(&k, &t, &to, UINT64_MAX), QUIC_TOKEN_STALE);
    }
    quic_token_key_dispose(&k);
}

static void every_changed_bit_and_every_cut_is_noticed(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    quic_cid odcid = cid_of(20), got;
    addr to = ip4(1, 1000);
    int kind;
    made t = make(&k, QUIC_TOKEN_RETRY, &to, &odcid, 5);
    for (size_t bit = 0; bit < 8 * t.len; bit++) {
        t.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        assert_int_equal(open_at(&k, &t, &to, 0), QUIC_TOKEN_INVALID);
        t.bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
    for (size_t len = 0; len < t.len; len++)
        assert_int_equal(quic_token_open(&k, t.bytes, len, &to, ISSUED, &kind, &got), QUIC_TOKEN_INVALID);
    assert_int_equal(open_at(&k, &t, &to, 0), QUIC_TOKEN_VALID);
    quic_token_key_dispose(&k);
}

static void noise_is_invalid(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    addr from = ip4(1, 1000);
    uint8_t noise[2 * QUIC_TOKEN_MAX];
    uint64_t rng = 3;
    int kind;
    quic_cid got;
    for (int i = 0; i < 5000; i++) {
        size_t len = draw(&rng, sizeof noise + 1);
        for (size_t j = 0; j < len; j++)
            noise[j] = (uint8_t)draw(&rng, 256);
        assert_int_equal(quic_token_open(&k, noise, len, &from, ISSUED, &kind, &got), QUIC_TOKEN_INVALID);
    }
    quic_token_key_dispose(&k);
}

static void another_key_opens_nothing(void **state) {
    (void)state;
    quic_token_key k = key_of(1), other = key_of(2);
    quic_cid odcid = cid_of(8);
    addr to = ip4(1, 1000);
    made t = make(&k, QUIC_TOKEN_RETRY, &to, &odcid, 5);
    assert_int_equal(open_at(&other, &t, &to, 0), QUIC_TOKEN_INVALID);
    quic_token_key_dispose(&k);
    quic_token_key_dispose(&other);
    quic_token_key_dispose(&other);
}

static void nonces_make_tokens_differ(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    quic_cid none = cid_of(0);
    addr to = ip4(1, 1000);
    made a = make(&k, QUIC_TOKEN_NEW, &to, &none, 5), b = make(&k, QUIC_TOKEN_NEW, &to, &none, 6);
    assert_int_equal(a.len, b.len);
    assert_memory_not_equal(a.bytes + QUIC_TOKEN_NONCE, b.bytes + QUIC_TOKEN_NONCE, a.len - QUIC_TOKEN_NONCE);
    quic_token_key_dispose(&k);
}

static void the_room_is_kept(void **state) {
    (void)state;
    quic_token_key k = key_of(1);
    const uint8_t nonce[QUIC_TOKEN_NONCE] = {0};
    addr to = {.kind = ADDR_RELAY};
    quic_cid odcid = cid_of(QUIC_CID_MAX);
    uint8_t out[QUIC_TOKEN_MAX + 1];
    // The largest address with the largest id is the largest token.
    for (size_t room = 0; room < QUIC_TOKEN_MAX; room++) {
        memset(out, 0x5a, sizeof out);
        assert_int_equal(quic_token_make(&k, QUIC_TOKEN_RETRY, &to, &odcid, ISSUED, nonce, out, room),
                         IROH_ERR_TOO_LARGE);
        assert_int_equal(out[room], 0x5a);
    }
    assert_int_equal(quic_token_make(&k, QUIC_TOKEN_RETRY, &to, &odcid, ISSUED, nonce, out, QUIC_TOKEN_MAX),
                     QUIC_TOKEN_MAX);
    quic_token_key_dispose(&k);
}

// Computed with Python's hmac (SHA-256): key 00..1f, data a0..a7.
static void a_reset_token_is_a_keyed_hash_of_the_id(void **state) {
    (void)state;
    static const uint8_t expected[QUIC_RESET_TOKEN] = {0x81, 0xd4, 0x74, 0xe8, 0x18, 0x58, 0x9b, 0x3e,
                                                       0xd0, 0xf1, 0x00, 0x28, 0xf2, 0x31, 0x8d, 0x64};
    uint8_t key[QUIC_TOKEN_KEY], token[QUIC_RESET_TOKEN], again[QUIC_RESET_TOKEN];
    for (uint8_t i = 0; i < sizeof key; i++)
        key[i] = i;
    quic_cid cid = cid_of(8);
    quic_reset_token(key, &cid, token);
    assert_memory_equal(token, expected, sizeof token);
    cid.bytes[7] ^= 1;
    quic_reset_token(key, &cid, again);
    assert_memory_not_equal(token, again, sizeof token);
    cid.bytes[7] ^= 1;
    key[0] ^= 1;
    quic_reset_token(key, &cid, again);
    assert_memory_not_equal(token, again, sizeof token);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_tell_what_they_were_made_with),
        cmocka_unit_test(a_retry_token_is_for_one_address_and_port),
        cmocka_unit_test(a_new_token_is_for_a_host),
        cmocka_unit_test(each_kind_has_its_lifetime),
        cmocka_unit_test(every_changed_bit_and_every_cut_is_noticed),
        cmocka_unit_test(noise_is_invalid),
        cmocka_unit_test(another_key_opens_nothing),
        cmocka_unit_test(nonces_make_tokens_differ),
        cmocka_unit_test(the_room_is_kept),
        cmocka_unit_test(a_reset_token_is_a_keyed_hash_of_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
