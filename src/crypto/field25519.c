#include "crypto/field25519.h"

#if defined(__SIZEOF_INT128__)

#include <string.h>

#define LIMB_BITS 51
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

__extension__ typedef unsigned __int128 wide;

static uint64_t load64(const uint8_t *p) {
    uint64_t v = 0;
    for (unsigned i = 8; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static void store64(uint8_t *p, uint64_t v) {
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

field25519 field25519_load(const uint8_t bytes[static FIELD25519_SIZE]) {
    // Limb i begins at bit 51 i.
    return (field25519){{load64(bytes) & LIMB_MASK, load64(bytes + 6) >> 3 & LIMB_MASK,
                         load64(bytes + 12) >> 6 & LIMB_MASK, load64(bytes + 19) >> 1 & LIMB_MASK,
                         load64(bytes + 24) >> 12 & LIMB_MASK}};
}

field25519 field25519_d(void) {
    static const uint8_t bytes[FIELD25519_SIZE] = {0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41,
                                                   0x41, 0x4d, 0x0a, 0x70, 0x00, 0x98, 0xe8, 0x79, 0x77, 0x79, 0x40,
                                                   0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52};
    return field25519_load(bytes);
}

// Limbs to below 2^51, but for a last carry into the second.
static void carry(field25519 *a) {
    for (unsigned i = 0; i < 4; i++) {
        a->limb[i + 1] += a->limb[i] >> LIMB_BITS;
        a->limb[i] &= LIMB_MASK;
    }
    a->limb[0] += 19 * (a->limb[4] >> LIMB_BITS);
    a->limb[4] &= LIMB_MASK;
}

void field25519_store(const field25519 *a, uint8_t out[static FIELD25519_SIZE]) {
    field25519 t = *a;
    carry(&t);
    carry(&t);
    carry(&t);
    // Now t < 2^255. It is p or more exactly if t + 19 reaches 2^255; then the sum without that bit is t - p.
    field25519 sum = t;
    sum.limb[0] += 19;
    for (unsigned i = 0; i < 4; i++) {
        sum.limb[i + 1] += sum.limb[i] >> LIMB_BITS;
        sum.limb[i] &= LIMB_MASK;
    }
    uint64_t reduce = 0 - (sum.limb[4] >> LIMB_BITS);
    sum.limb[4] &= LIMB_MASK;
    for (unsigned i = 0; i < 5; i++)
        t.limb[i] ^= reduce & (t.limb[i] ^ sum.limb[i]);
    store64(out, t.limb[0] | t.limb[1] << 51);
    store64(out + 8, t.limb[1] >> 13 | t.limb[2] << 38);
    store64(out + 16, t.limb[2] >> 26 | t.limb[3] << 25);
    store64(out + 24, t.limb[3] >> 39 | t.limb[4] << 12);
}

field25519 field25519_add(const field25519 *a, const field25519 *b) {
    field25519 r;
    for (unsigned i = 0; i < 5; i++)
        r.limb[i] = a->limb[i] + b->limb[i];
    return r;
}

field25519 field25519_sub(const field25519 *a, const field25519 *b) {
    // Four times p, limb by limb, keeps the difference above zero.
    static const uint64_t four_p[5] = {4 * (LIMB_MASK - 18), 4 * LIMB_MASK, 4 * LIMB_MASK, 4 * LIMB_MASK,
                                       4 * LIMB_MASK};
    field25519 r;
    for (unsigned i = 0; i < 5; i++)
        r.limb[i] = a->limb[i] + four_p[i] - b->limb[i];
    return r;
}

// Always in place: as a call it costs as much as a third of a product.
__attribute__((always_inline)) static inline field25519 reduce_wide(wide r0, wide r1, wide r2, wide r3, wide r4) {
    field25519 r;
    r1 += (uint64_t)(r0 >> LIMB_BITS);
    r2 += (uint64_t)(r1 >> LIMB_BITS);
    r3 += (uint64_t)(r2 >> LIMB_BITS);
    r4 += (uint64_t)(r3 >> LIMB_BITS);
    r.limb[0] = ((uint64_t)r0 & LIMB_MASK);
    r.limb[1] = ((uint64_t)r1 & LIMB_MASK);
    r.limb[2] = ((uint64_t)r2 & LIMB_MASK);
    r.limb[3] = ((uint64_t)r3 & LIMB_MASK);
    r.limb[4] = ((uint64_t)r4 & LIMB_MASK);
    // The carry out of the top may be close to 2^64, so that nineteen of it need the wide type.
    wide low = (wide)19 * (uint64_t)(r4 >> LIMB_BITS) + r.limb[0];
    r.limb[0] = (uint64_t)low & LIMB_MASK;
    r.limb[1] += (uint64_t)(low >> LIMB_BITS);
    return r;
}

field25519 field25519_mul(const field25519 *x, const field25519 *y) {
    const uint64_t *a = x->limb, *b = y->limb;
    uint64_t b1 = 19 * b[1], b2 = 19 * b[2], b3 = 19 * b[3], b4 = 19 * b[4];
    return reduce_wide((wide)a[0] * b[0] + (wide)a[1] * b4 + (wide)a[2] * b3 + (wide)a[3] * b2 + (wide)a[4] * b1,
                       (wide)a[0] * b[1] + (wide)a[1] * b[0] + (wide)a[2] * b4 + (wide)a[3] * b3 + (wide)a[4] * b2,
                       (wide)a[0] * b[2] + (wide)a[1] * b[1] + (wide)a[2] * b[0] + (wide)a[3] * b4 + (wide)a[4] * b3,
                       (wide)a[0] * b[3] + (wide)a[1] * b[2] + (wide)a[2] * b[1] + (wide)a[3] * b[0] + (wide)a[4] * b4,
                       (wide)a[0] * b[4] + (wide)a[1] * b[3] + (wide)a[2] * b[2] + (wide)a[3] * b[1] +
                           (wide)a[4] * b[0]);
}

__attribute__((always_inline)) static inline field25519 square(const field25519 *x) {
    const uint64_t *a = x->limb;
    uint64_t two0 = 2 * a[0], two1 = 2 * a[1], a3 = 19 * a[3], a4 = 19 * a[4];
    return reduce_wide((wide)a[0] * a[0] + (wide)two1 * a4 + (wide)(2 * a[2]) * a3,
                       (wide)two0 * a[1] + (wide)(2 * a[2]) * a4 + (wide)a[3] * a3,
                       (wide)two0 * a[2] + (wide)a[1] * a[1] + (wide)(2 * a[3]) * a4,
                       (wide)two0 * a[3] + (wide)two1 * a[2] + (wide)a[4] * a4,
                       (wide)two0 * a[4] + (wide)two1 * a[3] + (wide)a[2] * a[2]);
}

field25519 field25519_square(const field25519 *a) {
    return square(a);
}

static field25519 square_times(field25519 a, unsigned n) {
    while (n-- > 0)
        a = square(&a);
    return a;
}

// a^(2^(n + m) - 1) from `low` = a^(2^n - 1) and `more` = a^(2^m - 1).
static field25519 join(const field25519 *low, const field25519 *more, unsigned m) {
    field25519 t = square_times(*low, m);
    return field25519_mul(&t, more);
}

// a^(2^250 - 1), and a^11 beside it.
static field25519 ones_power(const field25519 *a, field25519 *eleven) {
    field25519 t2 = field25519_square(a), t8 = square_times(t2, 2), t9 = field25519_mul(a, &t8);
    *eleven = field25519_mul(&t9, &t2);
    field25519 t22 = field25519_square(eleven), n5 = field25519_mul(&t22, &t9);
    field25519 n10 = join(&n5, &n5, 5), n20 = join(&n10, &n10, 10), n40 = join(&n20, &n20, 20);
    field25519 n50 = join(&n40, &n10, 10), n100 = join(&n50, &n50, 50), n200 = join(&n100, &n100, 100);
    return join(&n200, &n50, 50);
}

field25519 field25519_invert(const field25519 *a) {
    field25519 eleven, t = ones_power(a, &eleven);
    t = square_times(t, 5);  // p - 2 = 2^5 (2^250 - 1) + 11
    return field25519_mul(&t, &eleven);
}

field25519 field25519_root_power(const field25519 *a) {
    field25519 eleven, t = ones_power(a, &eleven);
    t = square_times(t, 2);  // (p - 5) / 8 = 2^2 (2^250 - 1) + 1
    return field25519_mul(&t, a);
}

bool field25519_equal(const field25519 *a, const field25519 *b) {
    uint8_t one[FIELD25519_SIZE], two[FIELD25519_SIZE], difference = 0;
    field25519_store(a, one);
    field25519_store(b, two);
    for (unsigned i = 0; i < FIELD25519_SIZE; i++)
        difference |= one[i] ^ two[i];
    return difference == 0;
}

#endif
