// X25519 by the vectors of RFC 7748 and beside libsodium; and the wide forms of it and of Ed25519, which must say what
// libsodium says of anything.
#include "crypto/x25519.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "base/hex.h"
#include "crypto/curve25519_wide.h"
#include "crypto/field25519.h"

#define ROUNDS 300

static void bytes_of(const char *hex, uint8_t out[static 32]) {
    assert_true(hex_decode(hex, 64, out));
}

// Section 5.2
static void the_vectors_of_the_rfc_hold(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    uint8_t secret[32], peer[32], wanted[32], out[32];
    for (size_t i = 0; i < 2; i++) {
        bytes_of(rows[i][0], secret);
        bytes_of(rows[i][1], peer);
        bytes_of(rows[i][2], wanted);
        assert_true(x25519_shared(secret, peer, out));
        assert_memory_equal(out, wanted, 32);
    }
}

// A thousand results in a row, each the next secret, its secret the next point.
static void the_long_vector_of_the_rfc_holds(void **state) {
    (void)state;
    uint8_t secret[32] = {9}, peer[32] = {9}, out[32], wanted[32];
    for (int i = 1; i <= 1000; i++) {
        assert_true(x25519_shared(secret, peer, out));
        memcpy(peer, secret, 32);
        memcpy(secret, out, 32);
        if (i == 1)
            bytes_of("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079", wanted);
        if (i == 1000)
            bytes_of("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51", wanted);
        if (i == 1 || i == 1000)
            assert_memory_equal(out, wanted, 32);
    }
}

// What a peer may send as its key: the points of small order, what is no canonical form, and random ones.
static void any_key(unsigned i, uint8_t out[static 32]) {
    static const char *const small[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "efffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "0900000000000000000000000000000000000000000000000000000000000080",
    };
    if (i < sizeof small / sizeof small[0])
        bytes_of(small[i], out);
    else
        randombytes_buf(out, 32);
}

static void secrets_are_those_of_libsodium(void **state) {
    (void)state;
    int refused = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t secret[32], peer[32], ours[32], theirs[32];
        randombytes_buf(secret, sizeof secret);
        any_key(i, peer);
        bool right = crypto_scalarmult_curve25519(theirs, secret, peer) == 0;
        assert_int_equal(x25519_shared(secret, peer, ours), right);
        if (right)
            assert_memory_equal(ours, theirs, 32);
        refused += !right;
        uint8_t own[32], shared[32];
        assert_int_equal(x25519_exchange(secret, peer, own, shared), right);
        if (right)
            assert_memory_equal(shared, theirs, 32);
        x25519_public(secret, ours);
        assert_int_equal(crypto_scalarmult_curve25519_base(theirs, secret), 0);
        assert_memory_equal(ours, theirs, 32);
        if (right)
            assert_memory_equal(own, theirs, 32);
        x25519_public_library(secret, ours);
        assert_memory_equal(ours, theirs, 32);
    }
    assert_true(refused >= 5);
}

static void secrets_of_all_kinds_have_their_keys(void **state) {
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        uint8_t secret[32] = {0}, ours[32], theirs[32];
        secret[i / 8] = (uint8_t)(1 << i % 8);
        for (unsigned inverted = 0; inverted < 2; inverted++) {
            for (unsigned j = 0; j < 32; j++)
                secret[j] ^= inverted ? 0xff : 0;
            x25519_public(secret, ours);
            assert_int_equal(crypto_scalarmult_curve25519_base(theirs, secret), 0);
            assert_memory_equal(ours, theirs, 32);
        }
    }
}

// --- Signatures

typedef struct signature {
    uint8_t key[32], bytes[64], message[40];
    size_t len;
} signature;

static bool by_libsodium(const signature *s) {
    return crypto_sign_verify_detached(s->bytes, s->message, s->len, s->key) == 0;
}

static bool by_us(const signature *s) {
    return curve25519_wide_find()->verify(s->key, s->message, s->len, s->bytes);
}

static signature sign(size_t len) {
    signature s = {.len = len};
    uint8_t secret[64];
    randombytes_buf(s.message, sizeof s.message);
    (void)crypto_sign_keypair(s.key, secret);
    (void)crypto_sign_detached(s.bytes, NULL, s.message, s.len, secret);
    return s;
}

static void signatures_are_judged_as_by_libsodium(void **state) {
    (void)state;
    if (curve25519_wide_find() == NULL)
        skip();
    for (size_t i = 0; i < ROUNDS; i++) {
        signature s = sign(i % 40);
        assert_true(by_us(&s));
        size_t bit = randombytes_uniform(8 * 96);
        uint8_t *at = bit < 256 ? &s.key[bit / 8] : &s.bytes[bit / 8 - 32];
        *at ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(by_us(&s), by_libsodium(&s));
        assert_false(by_us(&s));
    }
}

// Points that are none, of small order or not canonical, in the place of the key and of R, with scalars that would make
// the equation hold.
static void strange_points_are_judged_as_by_libsodium(void **state) {
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "0200000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    };
    enum { POINTS = sizeof points / sizeof points[0] };
    (void)state;
    if (curve25519_wide_find() == NULL)
        skip();
    for (size_t i = 0; i < POINTS * (POINTS + 2); i++) {
        signature s = sign(8);
        if (i % (POINTS + 2) < POINTS)
            bytes_of(points[i % (POINTS + 2)], s.bytes);
        if (i % (POINTS + 2) != POINTS)
            bytes_of(points[i / (POINTS + 2)], s.key);
        for (int zero = 0; zero < 2; zero++) {
            if (zero)
                memset(s.bytes + 32, 0, 32);
            assert_int_equal(by_us(&s), by_libsodium(&s));
            assert_int_equal(by_us(&s), !zero && i % (POINTS + 2) == POINTS);  // that one was left as it was
        }
    }
}

// The same signature with another form of its scalar.
static void the_scalar_is_below_the_order(void **state) {
    (void)state;
    static const char *const order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    uint8_t more[32];
    if (curve25519_wide_find() == NULL)
        skip();
    bytes_of(order, more);
    signature s = sign(5);
    for (unsigned i = 0; i < 15; i++) {
        assert_int_equal(by_us(&s), i == 0);
        assert_int_equal(by_libsodium(&s), i == 0);
        sodium_add(s.bytes + 32, more, 32);
    }
}

#if defined(__SIZEOF_INT128__)

// --- The field

static void inverses_and_roots_are_right(void **state) {
    (void)state;
    static const field25519 one = {{1}};
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t bytes[32], back[32];
        randombytes_buf(bytes, sizeof bytes);
        bytes[31] &= 0x7f;
        field25519 a = field25519_load(bytes), inverse = field25519_invert(&a), product = field25519_mul(&a, &inverse);
        assert_true(field25519_equal(&product, &one));
        field25519_store(&a, back);
        assert_memory_equal(back, bytes, 32);
        // a^((p - 5) / 8 * 8) = a^(p - 5) = a^-4
        field25519 power = field25519_root_power(&a);
        for (int j = 0; j < 3; j++)
            power = field25519_square(&power);
        for (int j = 0; j < 4; j++)
            power = field25519_mul(&power, &a);
        assert_true(field25519_equal(&power, &one));
    }
}

static void sums_and_differences_undo_each_other(void **state) {
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        uint8_t x[32], y[32];
        randombytes_buf(x, sizeof x);
        randombytes_buf(y, sizeof y);
        if (i < 20) {
            memset(x, 0xff, sizeof x);
            x[0] = (uint8_t)(0xec + i);
        }
        field25519 a = field25519_load(x), b = field25519_load(y), one = {{1}};
        field25519 sum = field25519_add(&a, &b);
        sum = field25519_mul(&sum, &one);
        field25519 back = field25519_sub(&sum, &b);
        assert_true(field25519_equal(&back, &a));
        uint8_t small[32];
        field25519_store(&a, small);
        static const uint8_t modulus[32] = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
        assert_true(sodium_compare(small, modulus, 32) < 0);
    }
}

#endif

static int set_up(void **state) {
    (void)state;
    return sodium_init() < 0 ? -1 : 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc_hold),
        cmocka_unit_test(the_long_vector_of_the_rfc_holds),
        cmocka_unit_test(secrets_are_those_of_libsodium),
        cmocka_unit_test(secrets_of_all_kinds_have_their_keys),
        cmocka_unit_test(signatures_are_judged_as_by_libsodium),
        cmocka_unit_test(strange_points_are_judged_as_by_libsodium),
        cmocka_unit_test(the_scalar_is_below_the_order),
#if defined(__SIZEOF_INT128__)
        cmocka_unit_test(inverses_and_roots_are_right),
        cmocka_unit_test(sums_and_differences_undo_each_other),
#endif
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
