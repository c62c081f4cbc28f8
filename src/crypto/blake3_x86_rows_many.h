// A kernel of ROW_INPUTS * `sets` inputs on rows. Besides what blake3_x86_rows.h asks for, the including file has defined
// load_rows (the four rows of a block of ROW_INPUTS inputs), store_rows (rows a and b as ROW_INPUTS CVs) and row_counters
// (low and high half, len and flags, each input its own counter).
#ifndef CRYPTO_BLAKE3_X86_ROWS_MANY_H
#define CRYPTO_BLAKE3_X86_ROWS_MANY_H

#include "crypto/blake3_x86_rows.h"

#define ROW_SETS_MAX 2

// All rounds of `sets` states, from their words of the first.
typedef void row_mixer(row_state *s, row_words *w);

BLAKE3_INLINE void run_rows(const blake3_job *job, const uint8_t *const *inputs, const uint32_t *low,
                            const uint32_t *high, uint8_t *out, size_t sets, row_mixer *mix) {
    row_state s[ROW_SETS_MAX];
    row_words w[ROW_SETS_MAX];
    row counters[ROW_SETS_MAX];
    const row iv = row_all(blake3_iv);
    for (size_t i = 0; i < sets; i++) {
        s[i].a = row_all(job->key);
        s[i].b = row_all(job->key + 4);
        counters[i] = row_counters(low + ROW_INPUTS * i, high + ROW_INPUTS * i, BLAKE3_BLOCK, 0);
    }
    for (size_t block = 0; block < job->blocks; block++) {
        const uint32_t flags =
            job->flags | (block == 0 ? job->first_flags : 0) | (block + 1 == job->blocks ? job->last_flags : 0);
        const row flags_row = row_each(_mm_slli_si128(_mm_cvtsi32_si128((int)flags), 12));
        for (size_t i = 0; i < sets; i++) {
            row m[4];
            load_rows(inputs + ROW_INPUTS * i, block * BLAKE3_BLOCK, m);
            w[i] = rows_words(m[0], m[1], m[2], m[3]);
            s[i].c = iv;
            s[i].d = row_add(counters[i], flags_row);
        }
        mix(s, w);
        for (size_t i = 0; i < sets; i++) {
            s[i].a = row_xor(s[i].a, s[i].c);
            s[i].b = row_xor(s[i].b, s[i].d);
        }
    }
    for (size_t i = 0; i < sets; i++)
        store_rows(s[i].a, s[i].b, out + ROW_INPUTS * BLAKE3_LEN * i);
}

#endif
