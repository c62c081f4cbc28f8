// A vector of four lanes holds a limb of each coordinate (X, Y, Z, T) of a point in extended coordinates, x = X / Z,
// y = Y / Z, xy = T / Z, on -x^2 + y^2 = 1 + d x^2 y^2. The formulas are those of Hisil, Wong, Carter and Dawson, "Twisted
// Edwards Curves Revisited" (2008), which fall into steps of four independent products each.
//
// Limbs have 51 bits; between steps they are below 2^51 + 2^15, so that the 52 bits that IFMA multiplies hold them, and
// twice p less one of them.
#include "crypto/curve25519_wide.h"

#if defined(__x86_64__)

#include <immintrin.h>
#include <stdatomic.h>
#include <string.h>

#include <sodium.h>

#include "base/wipe.h"
#include "crypto/field25519.h"

// Not under AddressSanitizer: its stand-in for the stack does not keep the alignment of wide registers.
#define TARGET __attribute__((target("avx512f,avx512vl,avx512ifma"), no_sanitize("address")))
#define INLINE TARGET static inline __attribute__((always_inline))

#define LIMB_MASK ((INT64_C(1) << 51) - 1)
#define GROUPS 8                        // of the fixed base's table: 2^(32 g) B
#define MULTIPLES 8                     // of each of them
#define DIGITS 64                       // of a scalar, base 16
#define KEY_WIDTH 5                     // of windows over a key's multiples,
#define BASE_WIDTH 7                    // and over the base's
#define KEY_ODD (1 << (KEY_WIDTH - 2))  // odd multiples that a window needs
#define BASE_ODD (1 << (BASE_WIDTH - 2))
#define NAF_SIZE 256

typedef struct quad {
    __m256i limb[5];
} quad;

// Lanes, as masks.
enum { X_ = 1, Y_ = 2, Z_ = 4, T_ = 8 };

// --- Arithmetic of four elements

INLINE quad carry(quad a) {
    const __m256i mask = _mm256_set1_epi64x(LIMB_MASK);
    __m256i c0 = _mm256_srli_epi64(a.limb[0], 51), c1 = _mm256_srli_epi64(a.limb[1], 51);
    __m256i c2 = _mm256_srli_epi64(a.limb[2], 51), c3 = _mm256_srli_epi64(a.limb[3], 51);
    __m256i c4 = _mm256_srli_epi64(a.limb[4], 51);
    return (quad){{_mm256_madd52lo_epu64(_mm256_and_si256(a.limb[0], mask), c4, _mm256_set1_epi64x(19)),
                   _mm256_add_epi64(_mm256_and_si256(a.limb[1], mask), c0),
                   _mm256_add_epi64(_mm256_and_si256(a.limb[2], mask), c1),
                   _mm256_add_epi64(_mm256_and_si256(a.limb[3], mask), c2),
                   _mm256_add_epi64(_mm256_and_si256(a.limb[4], mask), c3)}};
}

// A row of the school's product: the low halves at their limb, the high ones, which count twice, at the next.
INLINE void row(__m256i *low, __m256i *high, __m256i a, const quad *b) {
    low[0] = _mm256_madd52lo_epu64(low[0], a, b->limb[0]);
    low[1] = _mm256_madd52lo_epu64(low[1], a, b->limb[1]);
    low[2] = _mm256_madd52lo_epu64(low[2], a, b->limb[2]);
    low[3] = _mm256_madd52lo_epu64(low[3], a, b->limb[3]);
    low[4] = _mm256_madd52lo_epu64(low[4], a, b->limb[4]);
    high[0] = _mm256_madd52hi_epu64(high[0], a, b->limb[0]);
    high[1] = _mm256_madd52hi_epu64(high[1], a, b->limb[1]);
    high[2] = _mm256_madd52hi_epu64(high[2], a, b->limb[2]);
    high[3] = _mm256_madd52hi_epu64(high[3], a, b->limb[3]);
    high[4] = _mm256_madd52hi_epu64(high[4], a, b->limb[4]);
}

INLINE __m256i times19(__m256i a) {
    return _mm256_add_epi64(_mm256_add_epi64(_mm256_slli_epi64(a, 4), _mm256_slli_epi64(a, 1)), a);
}

INLINE __m256i with_high(__m256i low, __m256i high) {
    return _mm256_add_epi64(low, _mm256_add_epi64(high, high));
}

INLINE quad mul(quad a, quad b) {
    const __m256i zero = _mm256_setzero_si256();
    __m256i low[9] = {zero, zero, zero, zero, zero, zero, zero, zero, zero};
    __m256i high[9] = {zero, zero, zero, zero, zero, zero, zero, zero, zero};  // of limbs 1 to 9
    row(low, high, a.limb[0], &b);
    row(low + 1, high + 1, a.limb[1], &b);
    row(low + 2, high + 2, a.limb[2], &b);
    row(low + 3, high + 3, a.limb[3], &b);
    row(low + 4, high + 4, a.limb[4], &b);
    quad r = {{
        _mm256_add_epi64(low[0], times19(with_high(low[5], high[4]))),
        _mm256_add_epi64(with_high(low[1], high[0]), times19(with_high(low[6], high[5]))),
        _mm256_add_epi64(with_high(low[2], high[1]), times19(with_high(low[7], high[6]))),
        _mm256_add_epi64(with_high(low[3], high[2]), times19(with_high(low[8], high[7]))),
        _mm256_add_epi64(with_high(low[4], high[3]), times19(with_high(zero, high[8]))),
    }};
    return carry(r);
}

// a + b in some lanes and a - b in the others of those that are asked for; a elsewhere. Not carried.
INLINE __m256i mix_limb(__m256i a, __m256i b, __m256i twice_p, __mmask8 plus, __mmask8 minus) {
    a = _mm256_mask_add_epi64(a, plus, a, b);
    return _mm256_mask_add_epi64(a, minus, a, _mm256_sub_epi64(twice_p, b));
}

INLINE quad mix(quad a, quad b, __mmask8 plus, __mmask8 minus) {
    const __m256i first = _mm256_set1_epi64x(2 * (LIMB_MASK - 18)), other = _mm256_set1_epi64x(2 * LIMB_MASK);
    return (quad){
        {mix_limb(a.limb[0], b.limb[0], first, plus, minus), mix_limb(a.limb[1], b.limb[1], other, plus, minus),
         mix_limb(a.limb[2], b.limb[2], other, plus, minus), mix_limb(a.limb[3], b.limb[3], other, plus, minus),
         mix_limb(a.limb[4], b.limb[4], other, plus, minus)}};
}

// The lanes in another order; `order` is _MM_SHUFFLE, the last lane first.
#define SHUFFLE(a, order)                                                                                              \
    ((quad){{_mm256_permutex_epi64((a).limb[0], order), _mm256_permutex_epi64((a).limb[1], order),                     \
             _mm256_permutex_epi64((a).limb[2], order), _mm256_permutex_epi64((a).limb[3], order),                     \
             _mm256_permutex_epi64((a).limb[4], order)}})

INLINE quad blend(quad a, quad b, __mmask8 of_b) {
    return (quad){{_mm256_mask_mov_epi64(a.limb[0], of_b, b.limb[0]), _mm256_mask_mov_epi64(a.limb[1], of_b, b.limb[1]),
                   _mm256_mask_mov_epi64(a.limb[2], of_b, b.limb[2]), _mm256_mask_mov_epi64(a.limb[3], of_b, b.limb[3]),
                   _mm256_mask_mov_epi64(a.limb[4], of_b, b.limb[4])}};
}

TARGET static quad quad_of(const field25519 *x, const field25519 *y, const field25519 *z, const field25519 *t) {
    quad r;
    for (unsigned i = 0; i < 5; i++)
        r.limb[i] =
            _mm256_set_epi64x((int64_t)t->limb[i], (int64_t)z->limb[i], (int64_t)y->limb[i], (int64_t)x->limb[i]);
    return r;
}

TARGET static field25519 lane_of(const quad *a, unsigned lane) {
    field25519 r;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t lanes[4];
        _mm256_storeu_si256((__m256i *)(void *)lanes, a->limb[i]);
        r.limb[i] = lanes[lane];
    }
    return r;
}

// --- Points

INLINE quad neutral(void) {
    static const field25519 zero = {{0}}, one = {{1}};
    return quad_of(&zero, &one, &one, &zero);
}

// From the coordinates' products, two factors of each new coordinate: both formulas end so.
INLINE quad finish(quad a, quad b) {
    return mul(carry(a), carry(b));
}

TARGET static quad twice(quad p) {
    // Squares A, B, C, D of X, Y, Z, X + Y. Then, both factors negated where that is cheaper,
    // X = (A + B - D)(2C + A - B), Y = (A + B)(A - B), Z = (2C + A - B)(A - B), T = (A + B)(A + B - D).
    quad sum =
        carry(mix(blend(p, SHUFFLE(p, _MM_SHUFFLE(0, 2, 1, 0)), T_), SHUFFLE(p, _MM_SHUFFLE(1, 1, 1, 1)), T_, 0));
    quad s = mul(sum, sum);
    quad a = SHUFFLE(s, _MM_SHUFFLE(0, 0, 0, 0)), b = SHUFFLE(s, _MM_SHUFFLE(1, 1, 1, 1));
    quad c = SHUFFLE(s, _MM_SHUFFLE(2, 2, 2, 2)), d = SHUFFLE(s, _MM_SHUFFLE(3, 3, 3, 3));
    quad u = mix(a, b, Y_ | T_, X_ | Z_);
    u = mix(mix(u, c, X_ | Z_, 0), c, X_ | Z_, 0);
    quad v = mix(mix(a, b, X_ | T_, Y_ | Z_), d, 0, X_ | T_);
    return finish(u, v);
}

// (Y - X, Y + X, Z, T)
INLINE quad crossed(quad p) {
    return mix(SHUFFLE(p, _MM_SHUFFLE(3, 2, 1, 1)), SHUFFLE(p, _MM_SHUFFLE(3, 2, 0, 0)), Y_, X_);
}

// A point as the second summand: (Y - X, Y + X, 2Z, 2dT).
TARGET static quad summand(quad p) {
    static const field25519 one = {{1}}, two = {{2}};
    field25519 d2 = field25519_d();
    d2 = field25519_mul(&d2, &two);
    return mul(carry(crossed(p)), quad_of(&one, &one, &two, &d2));
}

INLINE quad summand_negated(quad q) {
    quad zero = {{_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(),
                  _mm256_setzero_si256()}};
    return blend(SHUFFLE(q, _MM_SHUFFLE(3, 2, 0, 1)), mix(zero, q, 0, T_), T_);
}

TARGET static quad plus(quad p, quad q) {
    // Products A, B, D, C of the pairs; E = B - A, F = D - C, G = D + C, H = B + A; X = EF, Y = GH, Z = FG, T = EH.
    quad m = mul(carry(crossed(p)), q);
    quad u = mix(SHUFFLE(m, _MM_SHUFFLE(1, 2, 2, 1)), SHUFFLE(m, _MM_SHUFFLE(0, 3, 3, 0)), Y_, X_ | Z_ | T_);
    quad v = mix(SHUFFLE(m, _MM_SHUFFLE(1, 2, 1, 2)), SHUFFLE(m, _MM_SHUFFLE(0, 3, 0, 3)), Y_ | Z_ | T_, X_);
    return finish(u, v);
}

// --- Tables of the base

static quad multiples[GROUPS][MULTIPLES];  // (j + 1) 2^(32 g) B, as summands
static quad base_odd[BASE_ODD];            // (2 j + 1) B

// Summands of p, 3p, 5p and so on.
TARGET static void odd_multiples(quad p, quad *out, unsigned count) {
    quad step = summand(twice(p));
    for (unsigned i = 0; i < count; i++) {
        out[i] = summand(p);
        p = plus(p, step);
    }
}

// Decompresses (RFC 8032, section 5.1.3), with the sign as it is or the other one.
TARGET static bool point_of(const uint8_t bytes[static 32], bool negate, quad *out) {
    static const uint8_t root_bytes[32] = {0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f,
                                           0xad, 0x06, 0x18, 0x43, 0x2f, 0xa7, 0xd7, 0xfb, 0x3d, 0x99, 0x00,
                                           0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b};  // of -1
    static const field25519 zero = {{0}}, one = {{1}};
    field25519 d = field25519_d(), y = field25519_load(bytes), y2 = field25519_square(&y);
    field25519 u = field25519_sub(&y2, &one), dy2 = field25519_mul(&d, &y2), v = field25519_add(&dy2, &one);
    field25519 v3 = field25519_square(&v);
    v3 = field25519_mul(&v3, &v);
    field25519 v7 = field25519_square(&v3), x, check, minus_u, uv7;
    v7 = field25519_mul(&v7, &v);
    uv7 = field25519_mul(&u, &v7);
    x = field25519_root_power(&uv7);
    x = field25519_mul(&x, &v3);
    x = field25519_mul(&x, &u);
    check = field25519_square(&x);
    check = field25519_mul(&check, &v);
    u = field25519_mul(&u, &one);
    minus_u = field25519_sub(&zero, &u);
    if (!field25519_equal(&check, &u)) {
        if (!field25519_equal(&check, &minus_u))
            return false;
        field25519 root = field25519_load(root_bytes);
        x = field25519_mul(&x, &root);
    }
    uint8_t x_bytes[32];
    field25519_store(&x, x_bytes);
    if ((x_bytes[0] & 1) != (bytes[31] >> 7 ^ (negate ? 1 : 0))) {
        x = field25519_sub(&zero, &x);
        x = field25519_mul(&x, &one);
    }
    field25519 t = field25519_mul(&x, &y);
    *out = quad_of(&x, &y, &one, &t);
    return true;
}

TARGET static void fill_tables(void) {
    static const uint8_t base[32] = {0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                     0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                     0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};
    quad p;
    (void)point_of(base, false, &p);
    odd_multiples(p, base_odd, BASE_ODD);
    for (unsigned g = 0; g < GROUPS; g++) {
        quad step = summand(p), sum = p;
        for (unsigned j = 0; j < MULTIPLES; j++) {
            multiples[g][j] = summand(sum);
            sum = plus(sum, step);
        }
        for (unsigned i = 0; i < 32; i++)
            p = twice(p);
    }
}

// --- Multiples of the base, in constant time

// The scalar of X25519 (RFC 7748, section 5).
static void clamp(const uint8_t secret[static 32], uint8_t out[static 32]) {
    memcpy(out, secret, 32);
    out[0] &= 248;
    out[31] = (uint8_t)((out[31] & 127) | 64);
}

// Signed digits of base 16, -8 to 8, of a number below 2^255.
static void digits_of(const uint8_t scalar[static 32], int8_t digits[static DIGITS]) {
    int over = 0;
    for (unsigned i = 0; i < DIGITS; i++) {
        int digit = (scalar[i / 2] >> 4 * (i % 2) & 15) + over;
        over = (digit + 8) >> 4;
        digits[i] = (int8_t)(digit - 16 * over);
    }
    digits[DIGITS - 1] = (int8_t)(digits[DIGITS - 1] + 16 * over);
}

// digit * 2^(32 g) B as a summand; every entry of the row is read.
INLINE quad pick(const quad row_of[static MULTIPLES], int8_t digit) {
    static const field25519 zero = {{0}}, one = {{1}}, two = {{2}};
    int sign = digit >> 7;
    const __m256i wanted = _mm256_set1_epi64x((digit ^ sign) - sign);
    quad r = quad_of(&one, &one, &two, &zero);
    for (int j = 0; j < MULTIPLES; j++)
        r = blend(r, row_of[j], _mm256_cmpeq_epi64_mask(wanted, _mm256_set1_epi64x(j + 1)));
    return blend(r, summand_negated(r), _mm256_cmpneq_epi64_mask(_mm256_set1_epi64x(sign), _mm256_setzero_si256()));
}

// An element as a fraction, for the inversions of several to be one.
typedef struct fraction {
    field25519 above, below;
} fraction;

// u = (1 + y) / (1 - y) = (Z + Y) / (Z - Y) of a multiple of the base (RFC 7748, section 4.1). The denominator is not 0: no
// clamped scalar leads to the neutral element.
TARGET static fraction base_times(const uint8_t scalar[static 32]) {
    int8_t digits[DIGITS];
    digits_of(scalar, digits);
    quad p = neutral();
    for (unsigned h = DIGITS / GROUPS; h-- > 0;) {
        for (unsigned i = 0; i < 4; i++)
            p = twice(p);
        for (unsigned g = 0; g < GROUPS; g++)
            p = plus(p, pick(multiples[g], digits[DIGITS / GROUPS * g + h]));
    }
    field25519 y = lane_of(&p, 1), z = lane_of(&p, 2);
    wipe(digits, sizeof digits);
    wipe(&p, sizeof p);
    return (fraction){field25519_add(&z, &y), field25519_sub(&z, &y)};
}

// --- Multiples of any point, in constant time

// The first two lanes and the last two, in their order or the other one.
INLINE quad swap_if(quad p, unsigned swap) {
    __mmask8 all = _mm256_cmpneq_epi64_mask(_mm256_set1_epi64x((int64_t)swap), _mm256_setzero_si256());
    return blend(p, SHUFFLE(p, _MM_SHUFFLE(1, 0, 3, 2)), all);
}

// One step of the ladder (RFC 7748, section 5) for (x_2, z_2, x_3, z_3); `last` holds what multiplies a second time:
// (0, a24, 1, x_1).
INLINE quad climb(quad p, quad last) {
    quad t = carry(mix(SHUFFLE(p, _MM_SHUFFLE(2, 2, 0, 0)), SHUFFLE(p, _MM_SHUFFLE(3, 3, 1, 1)), X_ | Z_, Y_ | T_));
    quad m = mul(t, SHUFFLE(t, _MM_SHUFFLE(0, 1, 1, 0)));  // AA, BB, CB, DA
    quad u = carry(mix(SHUFFLE(m, _MM_SHUFFLE(3, 3, 0, 0)), SHUFFLE(m, _MM_SHUFFLE(2, 2, 1, 1)), Z_, Y_ | T_));
    // AA, E, DA + CB, DA - CB with BB, AA + a24 E, DA + CB, x_1 (DA - CB)
    quad v = carry(mix(mul(u, last), SHUFFLE(m, _MM_SHUFFLE(3, 2, 0, 1)), X_ | Y_, 0));
    return mul(u, v);
}

TARGET static fraction point_times(const uint8_t scalar[static 32], const uint8_t point[static 32]) {
    static const field25519 zero = {{0}}, one = {{1}}, a24 = {{121665}};
    field25519 x1 = field25519_load(point);
    quad p = quad_of(&one, &zero, &x1, &one), last = quad_of(&zero, &a24, &one, &x1);
    unsigned swapped = 0;
    for (unsigned i = 255; i-- > 0;) {
        unsigned bit = scalar[i / 8] >> i % 8 & 1;
        p = swap_if(p, swapped ^ bit);
        swapped = bit;
        p = climb(p, last);
    }
    p = swap_if(p, swapped);
    fraction r = {lane_of(&p, 0), lane_of(&p, 1)};
    wipe(&p, sizeof p);
    return r;
}

// --- X25519

static void store_product(const field25519 *a, const field25519 *b, uint8_t out[static 32]) {
    field25519 product = field25519_mul(a, b);
    field25519_store(&product, out);
}

static void public_key(const uint8_t secret[static 32], uint8_t out[static 32]) {
    uint8_t scalar[32];
    clamp(secret, scalar);
    fraction f = base_times(scalar);
    f.below = field25519_invert(&f.below);
    store_product(&f.above, &f.below, out);
    wipe(scalar, sizeof scalar);
}

static bool shared_secret(const uint8_t secret[static 32], const uint8_t peer[static 32], uint8_t out[static 32]) {
    static const field25519 zero = {{0}};
    uint8_t scalar[32];
    clamp(secret, scalar);
    fraction f = point_times(scalar, peer);
    field25519 inverse = field25519_invert(&f.below);
    store_product(&f.above, &inverse, out);
    wipe(scalar, sizeof scalar);
    bool none = field25519_equal(&f.below, &zero) || field25519_equal(&f.above, &zero);
    wipe(&f, sizeof f);
    wipe(&inverse, sizeof inverse);
    return !none;
}

static bool exchange(const uint8_t secret[static 32], const uint8_t peer[static 32], uint8_t own[static 32],
                     uint8_t shared[static 32]) {
    static const field25519 zero = {{0}};
    uint8_t scalar[32];
    clamp(secret, scalar);
    fraction f = base_times(scalar), g = point_times(scalar, peer);
    wipe(scalar, sizeof scalar);
    // 1 / b and 1 / d from 1 / (b d). A peer's bad point makes that 0, and then there is nothing to be had at all.
    field25519 both = field25519_mul(&f.below, &g.below), inverse = field25519_invert(&both);
    field25519 of_f = field25519_mul(&inverse, &g.below), of_g = field25519_mul(&inverse, &f.below);
    store_product(&f.above, &of_f, own);
    store_product(&g.above, &of_g, shared);
    bool none = field25519_equal(&both, &zero) || field25519_equal(&g.above, &zero);
    wipe(&g, sizeof g);
    wipe(&of_g, sizeof of_g);
    return !none;
}

// --- Signatures

// Digits that are 0 or odd and below 2^(width - 1), no two within `width`, of a number below 2^253.
static void windows_of(const uint8_t scalar[static 32], unsigned width, int8_t naf[static NAF_SIZE]) {
    memset(naf, 0, NAF_SIZE);
    int over = 0;
    for (unsigned at = 0; at < NAF_SIZE;) {
        unsigned low = scalar[at / 8], high = at / 8 + 1 < 32 ? scalar[at / 8 + 1] : 0;
        int window = (int)((low | high << 8) >> at % 8 & ((1u << width) - 1)) + over;
        if (window % 2 == 0) {
            at++;
            continue;
        }
        over = window >= 1 << (width - 1);
        naf[at] = (int8_t)(window - (over << width));
        at += width;
    }
}

INLINE quad plus_digit(quad p, const quad *odd, int8_t digit) {
    if (digit == 0)
        return p;
    return plus(p, digit > 0 ? odd[digit / 2] : summand_negated(odd[-digit / 2]));
}

// The encoding of a A + b B.
TARGET static void combine(quad key, const uint8_t a[static 32], const uint8_t b[static 32], uint8_t out[static 32]) {
    int8_t key_naf[NAF_SIZE], base_naf[NAF_SIZE];
    quad key_odd[KEY_ODD], p = neutral();
    odd_multiples(key, key_odd, KEY_ODD);
    windows_of(a, KEY_WIDTH, key_naf);
    windows_of(b, BASE_WIDTH, base_naf);
    unsigned i = NAF_SIZE;
    while (i > 0 && key_naf[i - 1] == 0 && base_naf[i - 1] == 0)
        i--;
    while (i-- > 0) {
        p = twice(p);
        p = plus_digit(p, key_odd, key_naf[i]);
        p = plus_digit(p, base_odd, base_naf[i]);
    }
    uint8_t x_bytes[32];
    field25519 x = lane_of(&p, 0), y = lane_of(&p, 1), z = lane_of(&p, 2);
    z = field25519_invert(&z);
    x = field25519_mul(&x, &z);
    y = field25519_mul(&y, &z);
    field25519_store(&x, x_bytes);
    field25519_store(&y, out);
    out[31] |= (uint8_t)(x_bytes[0] << 7);
}

// Little-endian numbers; of the points' encodings without the sign.
static bool is_below(const uint8_t a[static 32], const uint8_t b[static 32]) {
    for (unsigned i = 32; i-- > 0;) {
        if (a[i] != b[i])
            return a[i] < b[i];
    }
    return false;
}

static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                  0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                  0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
static const uint8_t modulus[32] = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

// A canonical y below p that is of no point of small order: those have y = 0, 1, -1 or one of two others.
static bool is_sound(const uint8_t encoded[static 32]) {
    static const uint8_t small[5][32] = {
        {0},
        {1},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
         0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
         0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    };
    uint8_t y[32];
    memcpy(y, encoded, sizeof y);
    y[31] &= 0x7f;
    for (unsigned i = 0; i < 5; i++) {
        if (memcmp(y, small[i], sizeof y) == 0)
            return false;
    }
    return is_below(y, modulus);
}

TARGET static bool verify(const uint8_t key[static 32], const void *message, size_t len,
                          const uint8_t signature[static 64]) {
    uint8_t digest[crypto_hash_sha512_BYTES], scalar[32], encoded[32];
    quad minus_key;
    if (!is_below(signature + 32, order) || !is_sound(signature) || !is_sound(key) || !point_of(key, true, &minus_key))
        return false;
    crypto_hash_sha512_state hash;
    (void)crypto_hash_sha512_init(&hash);
    (void)crypto_hash_sha512_update(&hash, signature, 32);
    (void)crypto_hash_sha512_update(&hash, key, 32);
    (void)crypto_hash_sha512_update(&hash, message, len);
    (void)crypto_hash_sha512_final(&hash, digest);
    crypto_core_ed25519_scalar_reduce(scalar, digest);
    combine(minus_key, scalar, signature + 32, encoded);
    return memcmp(encoded, signature, sizeof encoded) == 0;
}

// --- The way in

static bool is_ready(void) {
    enum { UNKNOWN = 0, FILLING, NO, YES };
    static atomic_int state;
    int known = atomic_load_explicit(&state, memory_order_acquire);
    if (known == UNKNOWN && atomic_compare_exchange_strong(&state, &known, FILLING)) {
        known = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512ifma")
                    ? YES
                    : NO;
        if (known == YES)
            fill_tables();
        atomic_store_explicit(&state, known, memory_order_release);
    }
    return known == YES;
}

const curve25519_wide *curve25519_wide_find(void) {
    static const curve25519_wide all = {public_key, shared_secret, exchange, verify};
    return is_ready() ? &all : NULL;
}

#else

const curve25519_wide *curve25519_wide_find(void) {
    return NULL;
}

#endif
