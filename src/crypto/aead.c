// The table of cipher suites. The AEAD of a row and its header protection may come from different libraries: each row
// takes the fastest one, and the numbers that RFC 9001 sets for it.
//
// A second table has AES-GCM of our own for processors that can do it twice as fast as any library.
#include "crypto/aead.h"

#include "crypto/aead_rows.h"
#include "crypto/aead_vaes.h"

#define SHA256_LEN 32
#define SHA384_LEN 48

// RFC 9001, section 6.6. For ChaCha20-Poly1305 the confidentiality limit is above the number of packets that there can
// be (2^62).
#define GCM_SEAL_LIMIT (UINT64_C(1) << 23)
#define GCM_OPEN_LIMIT (UINT64_C(1) << 52)
#define CHACHA_SEAL_LIMIT (UINT64_C(1) << 62)
#define CHACHA_OPEN_LIMIT (UINT64_C(1) << 36)

static const aead_suite suites[] = {
    {
        .name = "TLS_AES_128_GCM_SHA256",
        .id = 0x1301,
        .key_len = 16,
        .hash_len = SHA256_LEN,
        .confidentiality_limit = GCM_SEAL_LIMIT,
        .integrity_limit = GCM_OPEN_LIMIT,
        .aead_new = aead_aes128_new,
        .aead_free = aead_aes_free,
        .seal = aead_aes_seal,
        .open = aead_aes_open,
        .hp_new = hp_aes128_new,
        .hp_free = hp_aes128_free,
        .hp_mask = hp_aes128_mask,
    },
    {
        .name = "TLS_AES_256_GCM_SHA384",
        .id = 0x1302,
        .key_len = 32,
        .hash_len = SHA384_LEN,
        .confidentiality_limit = GCM_SEAL_LIMIT,
        .integrity_limit = GCM_OPEN_LIMIT,
        .aead_new = aead_aes256_new,
        .aead_free = aead_aes_free,
        .seal = aead_aes_seal,
        .open = aead_aes_open,
        .hp_new = hp_aes256_new,
        .hp_free = hp_aes256_free,
        .hp_mask = hp_aes256_mask,
    },
    {
        .name = "TLS_CHACHA20_POLY1305_SHA256",
        .id = 0x1303,
        .key_len = 32,
        .hash_len = SHA256_LEN,
        .confidentiality_limit = CHACHA_SEAL_LIMIT,
        .integrity_limit = CHACHA_OPEN_LIMIT,
        .aead_new = aead_chacha_new,
        .aead_free = aead_chacha_free,
        .seal = aead_chacha_seal,
        .open = aead_chacha_open,
        .hp_new = hp_chacha_new,
        .hp_free = hp_chacha_free,
        .hp_mask = hp_chacha_mask,
    },
};

// The same suites on processors that have the instructions.
#if defined(__x86_64__)
static const aead_suite wide_suites[] = {
    {
        .name = "TLS_AES_128_GCM_SHA256",
        .id = 0x1301,
        .key_len = 16,
        .hash_len = SHA256_LEN,
        .confidentiality_limit = GCM_SEAL_LIMIT,
        .integrity_limit = GCM_OPEN_LIMIT,
        .aead_new = aead_vaes128_new,
        .aead_free = aead_vaes_free,
        .seal = aead_vaes_seal,
        .open = aead_vaes_open,
        .hp_new = hp_vaes128_new,
        .hp_free = hp_vaes_free,
        .hp_mask = hp_vaes_mask,
    },
    {
        .name = "TLS_AES_256_GCM_SHA384",
        .id = 0x1302,
        .key_len = 32,
        .hash_len = SHA384_LEN,
        .confidentiality_limit = GCM_SEAL_LIMIT,
        .integrity_limit = GCM_OPEN_LIMIT,
        .aead_new = aead_vaes256_new,
        .aead_free = aead_vaes_free,
        .seal = aead_vaes_seal,
        .open = aead_vaes_open,
        .hp_new = hp_vaes256_new,
        .hp_free = hp_vaes_free,
        .hp_mask = hp_vaes_mask,
    },
};
#define WIDE_SUITES (sizeof wide_suites / sizeof wide_suites[0])
#else
static const aead_suite *const wide_suites = suites;
#define WIDE_SUITES 0
#endif

static const aead_suite *find(const aead_suite *rows, size_t count, uint16_t id) {
    for (size_t i = 0; i < count; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

const aead_suite *aead_suite_by_id(uint16_t id) {
    const aead_suite *wide = aead_vaes_supported() ? find(wide_suites, WIDE_SUITES, id) : NULL;
    return wide != NULL ? wide : aead_suite_library(id);
}

const aead_suite *aead_suite_library(uint16_t id) {
    return find(suites, sizeof suites / sizeof suites[0], id);
}
