// Packet protection: the hot path of every packet. Sealing is one AEAD call in place and one mask; opening the reverse.
#include "quic/protect.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/hkdf.h"

#define LONG_FORM 0x80
#define LONG_MASK 0x0f  // bits of the first byte under header protection
#define SHORT_MASK 0x1f
#define PN_SIZE_MASK 0x03
#define PN_SIZE_MAX 4  // the sample starts as if the packet number had this size
#define SUITE_AES_128_GCM 0x1301
#define SHA256_LEN 32

// --- Header protection

// What `quic_keys.hp` points to: quic_packet_unprotect is given nothing else, so the key has to bring its suite along.
typedef struct header_key {
    const aead_suite *suite;
    hp_key *key;
} header_key;

static hp_key *header_key_new(const aead_suite *suite, const uint8_t *key) {
    header_key *h = malloc(sizeof *h);
    if (h == NULL)
        return NULL;
    *h = (header_key){.suite = suite, .key = suite->hp_new(key)};
    if (h->key != NULL)
        return (hp_key *)(void *)h;
    free(h);
    return NULL;
}

static void header_key_free(hp_key *hp) {
    header_key *h = (header_key *)(void *)hp;
    if (h == NULL)
        return;
    h->suite->hp_free(h->key);
    free(h);
}

static inline void header_mask(const hp_key *hp, const uint8_t *sample, uint8_t mask[static HP_MASK]) {
    const header_key *h = (const header_key *)(const void *)hp;
    h->suite->hp_mask(h->key, sample, mask);
}

// --- Keys

int quic_keys_init_phase(quic_keys *k, const aead_suite *suite, const uint8_t *secret) {
    uint8_t key[AEAD_KEY_MAX];
    *k = (quic_keys){.suite = suite};
    hkdf_expand_label(suite->hash_len, secret, "quic key", NULL, 0, key, suite->key_len);
    hkdf_expand_label(suite->hash_len, secret, "quic iv", NULL, 0, k->iv, AEAD_NONCE);
    k->aead = suite->aead_new(key);
    wipe(key, sizeof key);
    if (k->aead != NULL)
        return 0;
    quic_keys_dispose(k);
    return IROH_ERR_NOMEM;
}

int quic_keys_init(quic_keys *k, const aead_suite *suite, const uint8_t *secret) {
    int r = quic_keys_init_phase(k, suite, secret);
    if (r != 0)
        return r;
    uint8_t key[AEAD_KEY_MAX];
    hkdf_expand_label(suite->hash_len, secret, "quic hp", NULL, 0, key, suite->key_len);
    k->hp = header_key_new(suite, key);
    wipe(key, sizeof key);
    if (k->hp != NULL)
        return 0;
    quic_keys_dispose(k);
    return IROH_ERR_NOMEM;
}

void quic_keys_dispose(quic_keys *k) {
    if (k->aead != NULL)
        k->suite->aead_free(k->aead);
    header_key_free(k->hp);
    wipe(k, sizeof *k);
}

int quic_keys_initial(const quic_cid *dcid, quic_keys *client, quic_keys *server) {
    static const uint8_t salt[20] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                     0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
    const aead_suite *suite = aead_suite_by_id(SUITE_AES_128_GCM);
    uint8_t initial[SHA256_LEN], secret[SHA256_LEN];
    hkdf_extract(SHA256_LEN, salt, sizeof salt, dcid->bytes, dcid->len, initial);
    hkdf_expand_label(SHA256_LEN, initial, "client in", NULL, 0, secret, sizeof secret);
    int r = quic_keys_init(client, suite, secret);
    if (r == 0) {
        hkdf_expand_label(SHA256_LEN, initial, "server in", NULL, 0, secret, sizeof secret);
        r = quic_keys_init(server, suite, secret);
        if (r != 0)
            quic_keys_dispose(client);
    }
    wipe(initial, sizeof initial);
    wipe(secret, sizeof secret);
    return r;
}

// --- Packets

static inline void make_nonce(const quic_keys *k, uint32_t path, uint64_t pn, uint8_t nonce[static AEAD_NONCE]) {
    memcpy(nonce, k->iv, AEAD_NONCE);
    for (size_t i = 0; i < 4; i++)
        nonce[i] ^= (uint8_t)(path >> (24 - 8 * i));
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] ^= (uint8_t)(pn >> (56 - 8 * i));
}

static inline uint8_t protected_bits(uint8_t first) {
    return (first & LONG_FORM) != 0 ? LONG_MASK : SHORT_MASK;
}

int quic_packet_seal(const quic_keys *k, const hp_key *hp, uint8_t *packet, size_t pn_offset, size_t pn_size,
                     size_t payload_len, uint32_t path, uint64_t pn) {
    uint8_t nonce[AEAD_NONCE], mask[HP_MASK];
    size_t header_len = pn_offset + pn_size;
    make_nonce(k, path, pn, nonce);
    if (k->suite->seal(k->aead, nonce, packet, header_len, packet + header_len, payload_len) != 0)
        return IROH_ERR_CRYPTO;
    header_mask(hp, packet + pn_offset + PN_SIZE_MAX, mask);
    packet[0] ^= mask[0] & protected_bits(packet[0]);
    for (size_t i = 0; i < pn_size; i++)
        packet[pn_offset + i] ^= mask[1 + i];
    return (int)(header_len + payload_len + AEAD_TAG);
}

int quic_packet_unprotect(const hp_key *hp, uint8_t *packet, size_t len, size_t pn_offset, uint64_t *truncated) {
    uint8_t mask[HP_MASK];
    if (len < pn_offset + PN_SIZE_MAX + HP_SAMPLE)
        return IROH_ERR_SYNTAX;
    header_mask(hp, packet + pn_offset + PN_SIZE_MAX, mask);
    packet[0] ^= mask[0] & protected_bits(packet[0]);
    size_t pn_size = (size_t)(packet[0] & PN_SIZE_MASK) + 1;
    uint64_t pn = 0;
    for (size_t i = 0; i < pn_size; i++) {
        packet[pn_offset + i] ^= mask[1 + i];
        pn = pn << 8 | packet[pn_offset + i];
    }
    *truncated = pn;
    return (int)pn_size;
}

int quic_packet_open(const quic_keys *k, uint8_t *packet, size_t len, size_t pn_offset, size_t pn_size, uint32_t path,
                     uint64_t pn) {
    uint8_t nonce[AEAD_NONCE];
    size_t header_len = pn_offset + pn_size;
    if (len < header_len + AEAD_TAG)
        return IROH_ERR_CRYPTO;
    make_nonce(k, path, pn, nonce);
    if (k->suite->open(k->aead, nonce, packet, header_len, packet + header_len, len - header_len) != 0)
        return IROH_ERR_CRYPTO;
    return (int)(len - header_len - AEAD_TAG);
}
