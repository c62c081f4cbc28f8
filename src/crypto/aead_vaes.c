// AES-GCM (NIST SP 800-38D) on 512-bit registers: sixteen blocks at a time, four in each of four registers. While their
// key stream is made, the sixteen before them are hashed, because the processor has units for either.
//
// GHASH works on byte-reflected blocks with the hash key shifted left by one bit, so that a carry-less product needs no
// further shift (Gueron and Kounavis, "Intel Carry-Less Multiplication Instruction and its Usage for Computing the GCM
// Mode"). 32 products with the powers H^32..H^1 are summed before one reduction. A shorter tail of n blocks uses the last
// n powers; the power table ends in zeroes, so that a register of four never reads past what it needs.
#include "crypto/aead_vaes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"

// Not under AddressSanitizer: its stand-in for the stack keeps no 64-byte alignment.
#define TARGET                                                                                                         \
    __attribute__((target("aes,pclmul,ssse3,sse4.1,avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq"),               \
                   no_sanitize("address")))
#define INLINE TARGET static inline __attribute__((always_inline))

#define BLOCK 16
#define ROUNDS_128 11  // round keys
#define ROUNDS_256 15
#define WIDE 64     // bytes of a register
#define STRIDE 256  // bytes whose key stream is made at once: sixteen blocks
#define STRIDE_BLOCKS (STRIDE / BLOCK)
#define POWERS 32  // of two strides

typedef struct aes_key {
    uint8_t rounds[ROUNDS_256][BLOCK];
    int count;  // of round keys
} aes_key;

typedef struct gcm_key {
    uint8_t powers[POWERS + 4][BLOCK];  // H^32 .. H^1, shifted, then zeroes
    aes_key aes;
} gcm_key;

// Compilers know of the wide registers, which need the operating system's help; of the two instructions not all do.
static bool look_up_support(void) {
    unsigned a, b, c, d;
    bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    if (!wide || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0)
        return false;
    return (c & bit_VAES) != 0 && (c & bit_VPCLMULQDQ) != 0;
}

// Looked up once: in a virtual machine CPUID is a trip out of it, which costs as much as a signature.
bool aead_vaes_supported(void) {
    enum { UNKNOWN = 0, NO, YES };
    static atomic_int answer;
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == UNKNOWN) {
        known = look_up_support() ? YES : NO;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == YES;
}

// --- AES keys (FIPS 197, section 5.2)

TARGET static inline __m128i load(const uint8_t *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

TARGET static inline void store(uint8_t *p, __m128i v) {
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

// The running exclusive or of a key's words, which every expansion step begins with.
TARGET static inline __m128i smear(__m128i k) {
    k = _mm_xor_si128(k, _mm_slli_si128(k, 4));
    return _mm_xor_si128(k, _mm_slli_si128(k, 8));
}

// SubWord and RotWord come from AESKEYGENASSIST without a round constant, which is added here as a number.
TARGET static inline __m128i next_even(__m128i before, __m128i assist, int rcon) {
    __m128i word = _mm_xor_si128(_mm_shuffle_epi32(assist, 0xff), _mm_set1_epi32(rcon));
    return _mm_xor_si128(smear(before), word);
}

TARGET static inline __m128i next_odd(__m128i before, __m128i assist) {
    return _mm_xor_si128(smear(before), _mm_shuffle_epi32(assist, 0xaa));
}

static int double_rcon(int rcon) {
    return (rcon << 1) ^ ((rcon & 0x80) != 0 ? 0x11b : 0);
}

TARGET static void expand128(aes_key *k, const uint8_t *key) {
    __m128i round = load(key);
    k->count = ROUNDS_128;
    store(k->rounds[0], round);
    for (int i = 1, rcon = 1; i < k->count; i++, rcon = double_rcon(rcon)) {
        round = next_even(round, _mm_aeskeygenassist_si128(round, 0), rcon);
        store(k->rounds[i], round);
    }
}

TARGET static void expand256(aes_key *k, const uint8_t *key) {
    __m128i even = load(key), odd = load(key + BLOCK);
    k->count = ROUNDS_256;
    store(k->rounds[0], even);
    store(k->rounds[1], odd);
    for (int i = 2, rcon = 1; i < k->count; i += 2, rcon = double_rcon(rcon)) {
        even = next_even(even, _mm_aeskeygenassist_si128(odd, 0), rcon);
        store(k->rounds[i], even);
        if (i + 1 == k->count)
            break;
        odd = next_odd(odd, _mm_aeskeygenassist_si128(even, 0));
        store(k->rounds[i + 1], odd);
    }
}

TARGET static inline __m128i encrypt_block(const aes_key *k, __m128i block) {
    block = _mm_xor_si128(block, load(k->rounds[0]));
    for (int i = 1; i < k->count - 1; i++)
        block = _mm_aesenc_si128(block, load(k->rounds[i]));
    return _mm_aesenclast_si128(block, load(k->rounds[k->count - 1]));
}

// --- GHASH

typedef struct product {
    __m512i low, middle, high;
} product;

TARGET static inline __m128i reflect_block(__m128i v) {
    return _mm_shuffle_epi8(v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

TARGET static inline __m512i reflect(__m512i v) {
    return _mm512_shuffle_epi8(
        v, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

// Adds the products of four blocks with four powers.
TARGET static inline void multiply_add(product *sum, __m512i blocks, const uint8_t *powers) {
    __m512i h = _mm512_loadu_si512(powers);
    sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(blocks, h, 0x00));
    sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(blocks, h, 0x11));
    sum->middle = _mm512_ternarylogic_epi64(sum->middle, _mm512_clmulepi64_epi128(blocks, h, 0x01),
                                            _mm512_clmulepi64_epi128(blocks, h, 0x10), 0x96);
}

TARGET static inline __m128i sum_lanes(__m512i v) {
    __m256i half = _mm256_xor_si256(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Modulo x^128 + x^7 + x^2 + x + 1 in the reflected order: two folds of 64 bits.
TARGET static inline __m128i reduce(__m128i low, __m128i middle, __m128i high) {
    const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000, 1);
    low = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
    high = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
    low = _mm_xor_si128(_mm_clmulepi64_si128(low, poly, 0x10), _mm_shuffle_epi32(low, 0x4e));
    low = _mm_xor_si128(_mm_clmulepi64_si128(low, poly, 0x10), _mm_shuffle_epi32(low, 0x4e));
    return _mm_xor_si128(high, low);
}

TARGET static inline __m128i reduce_product(const product *p) {
    return reduce(sum_lanes(p->low), sum_lanes(p->middle), sum_lanes(p->high));
}

TARGET static inline __m128i multiply(__m128i a, __m128i h) {
    __m128i middle = _mm_xor_si128(_mm_clmulepi64_si128(a, h, 0x01), _mm_clmulepi64_si128(a, h, 0x10));
    return reduce(_mm_clmulepi64_si128(a, h, 0x00), middle, _mm_clmulepi64_si128(a, h, 0x11));
}

TARGET static inline __m128i first_power(const gcm_key *k) {
    return load(k->powers[POWERS - 1]);
}

// One bit to the left in the field's order.
TARGET static __m128i shift_key(__m128i h) {
    __m128i carry = _mm_srli_epi64(h, 63);
    __m128i top = _mm_shuffle_epi32(carry, 0x0a);  // bit 127 in the lowest word, 0 elsewhere
    top = _mm_and_si128(top, _mm_set_epi32(0, 0, 0, 1));
    __m128i fold = _mm_sub_epi64(_mm_setzero_si128(), _mm_unpacklo_epi64(top, top));
    h = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carry, 8));
    return _mm_xor_si128(h, _mm_and_si128(fold, _mm_set_epi64x((long long)0xc200000000000000, 1)));
}

TARGET static void expand_powers(gcm_key *k) {
    __m128i power = reflect_block(encrypt_block(&k->aes, _mm_setzero_si128()));
    __m128i shifted = shift_key(power);
    memset(k->powers, 0, sizeof k->powers);
    for (int i = POWERS - 1; i >= 0; i--) {
        store(k->powers[i], shift_key(power));
        power = multiply(power, shifted);
    }
}

// Additional data, which is short: block by block.
TARGET static inline __m128i hash_aad(const gcm_key *k, const uint8_t *aad, size_t len) {
    __m128i hash = _mm_setzero_si128();
    for (size_t at = 0; at < len; at += BLOCK) {
        size_t left = len - at;
        __mmask16 bytes = (__mmask16)(left >= BLOCK ? 0xffff : (1U << left) - 1);
        __m128i block = _mm_maskz_loadu_epi8(bytes, aad + at);
        hash = multiply(_mm_xor_si128(hash, reflect_block(block)), first_power(k));
    }
    return hash;
}

// --- Counter mode

// Four counter blocks with the counter in its native byte order, for adding.
TARGET static inline __m512i counters(const uint8_t nonce[AEAD_NONCE]) {
    __m128i base = _mm_maskz_loadu_epi8(0x0fff, nonce);
    __m512i four = _mm512_broadcast_i32x4(base);
    return _mm512_add_epi32(four, _mm512_set_epi32(5, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0));
}

TARGET static inline __m512i counter_blocks(__m512i c) {
    return _mm512_shuffle_epi8(
        c, _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)));
}

TARGET static inline __m512i after(__m512i c, int blocks) {
    return _mm512_add_epi32(c, _mm512_set_epi32(blocks, 0, 0, 0, blocks, 0, 0, 0, blocks, 0, 0, 0, blocks, 0, 0, 0));
}

TARGET static inline __m512i round_key(const aes_key *k, int i) {
    return _mm512_broadcast_i32x4(load(k->rounds[i]));
}

// The key stream of the next sixteen blocks. The number of rounds is a constant to the compiler.
INLINE void key_stream(const aes_key *k, int rounds, __m512i c, __m512i out[4]) {
    __m512i r = round_key(k, 0);
    __m512i a = _mm512_xor_si512(counter_blocks(c), r);
    __m512i b = _mm512_xor_si512(counter_blocks(after(c, 4)), r);
    __m512i d = _mm512_xor_si512(counter_blocks(after(c, 8)), r);
    __m512i e = _mm512_xor_si512(counter_blocks(after(c, 12)), r);
#pragma GCC unroll 14
    for (int i = 1; i < rounds - 1; i++) {
        r = round_key(k, i);
        a = _mm512_aesenc_epi128(a, r);
        b = _mm512_aesenc_epi128(b, r);
        d = _mm512_aesenc_epi128(d, r);
        e = _mm512_aesenc_epi128(e, r);
    }
    r = round_key(k, rounds - 1);
    out[0] = _mm512_aesenclast_epi128(a, r);
    out[1] = _mm512_aesenclast_epi128(b, r);
    out[2] = _mm512_aesenclast_epi128(d, r);
    out[3] = _mm512_aesenclast_epi128(e, r);
}

// --- Both together

// The ciphertext of a stride, waiting to be hashed.
typedef struct pending {
    __m512i blocks[4];
} pending;

// Encrypts or decrypts a stride in place.
INLINE void apply(const __m512i stream[4], uint8_t *data, bool sealing, pending *p) {
    for (int i = 0; i < 4; i++) {
        __m512i in = _mm512_loadu_si512(data + WIDE * i);
        __m512i out = _mm512_xor_si512(in, stream[i]);
        _mm512_storeu_si512(data + WIDE * i, out);
        p->blocks[i] = sealing ? out : in;
    }
}

// Adds what waits, the hash of all before it and the powers from number `power` on.
INLINE void add_pending(product *sum, const pending *p, __m512i carried, const gcm_key *k, int power) {
    for (int i = 0; i < 4; i++) {
        __m512i blocks = reflect(p->blocks[i]);
        multiply_add(sum, i == 0 ? _mm512_xor_si512(blocks, carried) : blocks, k->powers[power + 4 * i]);
    }
}

// Hashes what waits while the next stride is encrypted or decrypted, which waits then.
INLINE void advance(product *sum, pending *p, __m512i carried, const gcm_key *k, int power, int rounds, __m512i *c,
                    uint8_t *data, bool sealing) {
    __m512i stream[4];
    key_stream(&k->aes, rounds, *c, stream);
    add_pending(sum, p, carried, k, power);
    apply(stream, data, sealing, p);
    *c = after(*c, STRIDE_BLOCKS);
}

// `count` >= 1 whole strides.
INLINE __m128i run_strides(const gcm_key *k, int rounds, __m512i *c, uint8_t *data, size_t count, __m128i hash,
                           bool sealing) {
    const __m512i nothing = _mm512_setzero_si512();
    __m512i stream[4];
    pending p;
    key_stream(&k->aes, rounds, *c, stream);
    apply(stream, data, sealing, &p);
    *c = after(*c, STRIDE_BLOCKS);
    for (; count > 2; count -= 2, data += 2 * STRIDE) {
        product sum = {nothing, nothing, nothing};
        advance(&sum, &p, _mm512_zextsi128_si512(hash), k, 0, rounds, c, data + STRIDE, sealing);
        advance(&sum, &p, nothing, k, STRIDE_BLOCKS, rounds, c, data + 2 * STRIDE, sealing);
        hash = reduce_product(&sum);
    }
    product sum = {nothing, nothing, nothing};
    __m512i carried = _mm512_zextsi128_si512(hash);
    if (count == 2) {
        advance(&sum, &p, carried, k, 0, rounds, c, data + STRIDE, sealing);
        carried = nothing;
    }
    add_pending(&sum, &p, carried, k, STRIDE_BLOCKS);
    return reduce_product(&sum);
}

// The rest: fewer than sixteen blocks, the last of which may be short.
INLINE __m128i run_rest(const gcm_key *k, int rounds, __m512i c, uint8_t *data, size_t len, __m128i hash,
                        bool sealing) {
    __m512i stream[4];
    product sum = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    __m512i carried = _mm512_zextsi128_si512(hash);
    size_t blocks_left = (len + BLOCK - 1) / BLOCK;
    const uint8_t *powers = k->powers[POWERS - blocks_left];
    key_stream(&k->aes, rounds, c, stream);
    for (int i = 0; len > 0; i++) {
        size_t n = len < WIDE ? len : WIDE;
        __mmask64 bytes = n == WIDE ? ~UINT64_C(0) : (UINT64_C(1) << n) - 1;
        __m512i in = _mm512_maskz_loadu_epi8(bytes, data);
        __m512i out = _mm512_maskz_mov_epi8(bytes, _mm512_xor_si512(in, stream[i]));
        _mm512_mask_storeu_epi8(data, bytes, out);
        multiply_add(&sum, _mm512_xor_si512(reflect(sealing ? out : in), carried), powers);
        carried = _mm512_setzero_si512();
        powers += WIDE;
        data += n;
        len -= n;
    }
    return reduce_product(&sum);
}

// Runs over the data in place; the result is the tag.
INLINE __m128i run_rounds(const gcm_key *k, int rounds, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad,
                          size_t aad_len, uint8_t *data, size_t len, bool sealing) {
    __m512i c = counters(nonce);
    __m128i first = _mm_insert_epi32(_mm_maskz_loadu_epi8(0x0fff, nonce), 0x01000000, 3);
    __m128i mask = encrypt_block(&k->aes, first);
    __m128i hash = hash_aad(k, aad, aad_len);
    size_t strides = len / STRIDE, rest = len % STRIDE;
    if (strides > 0)
        hash = run_strides(k, rounds, &c, data, strides, hash, sealing);
    if (rest > 0)
        hash = run_rest(k, rounds, c, data + strides * STRIDE, rest, hash, sealing);
    __m128i lengths = _mm_set_epi64x((long long)(aad_len * 8), (long long)(len * 8));
    hash = multiply(_mm_xor_si128(hash, lengths), first_power(k));
    return _mm_xor_si128(reflect_block(hash), mask);
}

TARGET static inline __m128i run(const gcm_key *k, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len,
                                 uint8_t *data, size_t len, bool sealing) {
    if (k->aes.count == ROUNDS_128)
        return run_rounds(k, ROUNDS_128, nonce, aad, aad_len, data, len, sealing);
    return run_rounds(k, ROUNDS_256, nonce, aad, aad_len, data, len, sealing);
}

static gcm_key *key_of(aead *a) {
    return (gcm_key *)(void *)a;
}

TARGET int aead_vaes_seal(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                          size_t len) {
    store(data + len, run(key_of(a), nonce, aad, aad_len, data, len, true));
    return 0;
}

TARGET int aead_vaes_open(aead *a, const uint8_t nonce[AEAD_NONCE], const uint8_t *aad, size_t aad_len, uint8_t *data,
                          size_t len) {
    size_t plain = len - AEAD_TAG;
    __m128i sent = load(data + plain);
    __m128i tag = run(key_of(a), nonce, aad, aad_len, data, plain, false);
    __m128i difference = _mm_xor_si128(tag, sent);
    return _mm_testz_si128(difference, difference) ? 0 : IROH_ERR_CRYPTO;
}

// --- Contexts

static aead *new_key(void (*expand)(aes_key *k, const uint8_t *key), const uint8_t *key) {
    gcm_key *k = malloc(sizeof *k);
    if (k == NULL)
        return NULL;
    expand(&k->aes, key);
    expand_powers(k);
    return (aead *)(void *)k;
}

aead *aead_vaes128_new(const uint8_t *key) {
    return new_key(expand128, key);
}

aead *aead_vaes256_new(const uint8_t *key) {
    return new_key(expand256, key);
}

static void free_wiped(void *k, size_t len) {
    if (k == NULL)
        return;
    wipe(k, len);
    free(k);
}

void aead_vaes_free(aead *a) {
    free_wiped(a, sizeof(gcm_key));
}

static hp_key *new_hp(void (*expand)(aes_key *k, const uint8_t *key), const uint8_t *key) {
    aes_key *k = malloc(sizeof *k);
    if (k != NULL)
        expand(k, key);
    return (hp_key *)(void *)k;
}

hp_key *hp_vaes128_new(const uint8_t *key) {
    return new_hp(expand128, key);
}

hp_key *hp_vaes256_new(const uint8_t *key) {
    return new_hp(expand256, key);
}

void hp_vaes_free(hp_key *k) {
    free_wiped(k, sizeof(aes_key));
}

TARGET void hp_vaes_mask(const hp_key *k, const uint8_t sample[HP_SAMPLE], uint8_t mask[HP_MASK]) {
    uint8_t block[BLOCK];
    store(block, encrypt_block((const aes_key *)(const void *)k, load(sample)));
    memcpy(mask, block, HP_MASK);
}

#else

bool aead_vaes_supported(void) {
    return false;
}

#endif
