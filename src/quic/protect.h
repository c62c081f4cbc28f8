// Packet protection (RFC 9001, section 5) and key update (section 6), with the nonce of the multipath draft.
#ifndef QUIC_PROTECT_H
#define QUIC_PROTECT_H

#include "crypto/aead.h"
#include "quic/types.h"

// Keys of one direction at one level; all zero: absent.
typedef struct quic_keys {
    const aead_suite *suite;
    aead *aead;
    hp_key *hp;  // for the functions below only; null in the next and previous phases, which share the first one
    uint8_t iv[AEAD_NONCE];
} quic_keys;

static inline bool quic_keys_present(const quic_keys *k) {
    return k->aead != NULL;
}

// From a traffic secret of suite->hash_len bytes. 0 or IROH_ERR_NOMEM.
int quic_keys_init(quic_keys *k, const aead_suite *suite, const uint8_t *secret);
// The same without a header protection key, for another phase of the same direction.
int quic_keys_init_phase(quic_keys *k, const aead_suite *suite, const uint8_t *secret);
void quic_keys_dispose(quic_keys *k);  // wipes; back to all zero

// Initial keys of version 1 for both directions from the client's first destination connection id.
int quic_keys_initial(const quic_cid *dcid, quic_keys *client, quic_keys *server);

// Seals and protects a packet in place. `packet` starts at the header; the packet number of `pn_size` bytes stands at
// pn_offset and is followed by `payload_len` bytes of plaintext and AEAD_TAG bytes of room. pn_size + payload_len >= 4.
// Returns the whole length, or IROH_ERR_CRYPTO.
int quic_packet_seal(const quic_keys *k, const hp_key *hp, uint8_t *packet, size_t pn_offset, size_t pn_size,
                     size_t payload_len, uint32_t path, uint64_t pn);

// Removes header protection: restores first byte and packet number in place. Returns the size of the packet number
// (1..4) and its truncated value, or IROH_ERR_SYNTAX when the packet is too short for a sample.
int quic_packet_unprotect(const hp_key *hp, uint8_t *packet, size_t len, size_t pn_offset, uint64_t *truncated);

// Opens a packet in place whose header is unprotected. Returns the length of the plaintext, which starts at
// packet + pn_offset + pn_size, or IROH_ERR_CRYPTO.
int quic_packet_open(const quic_keys *k, uint8_t *packet, size_t len, size_t pn_offset, size_t pn_size, uint32_t path,
                     uint64_t pn);

#define KEY_PHASE_PATHS 8

// Where the current phase and the one after it begin on a path, as far as packets of them came: the lowest number,
// QUIC_PN_NONE: none yet.
typedef struct quic_phase_start {
    uint32_t path;
    uint64_t current, next;
} quic_phase_start;

// 1-RTT keys of both directions over key phases. One set for all paths of a connection.
typedef struct quic_key_phases {
    const aead_suite *suite;
    uint8_t read_secret[AEAD_HASH_MAX];  // of the next phase to derive
    uint8_t write_secret[AEAD_HASH_MAX];
    quic_keys read, read_next, read_previous;  // read_next is made ahead so that a phase change costs no time
    quic_keys write;
    bool phase;                                // key phase bit of `write` and `read`
    uint64_t generation;                       // updates so far
    uint64_t sealed;                           // packets sealed with `write`
    uint64_t update_after;                     // `sealed` at which we update on our own
    uint64_t failed_opens;                     // over the life of the connection
    quic_phase_start starts[KEY_PHASE_PATHS];  // index: path % KEY_PHASE_PATHS, of the path that was heard last
    bool unanswered;               // the current phase is the peer's doing, and we have acknowledged nothing in it yet
    bool update_acked;             // a packet of the current phase was acknowledged: another update is allowed
    uint64_t discard_previous_at;  // ns, TIME_NEVER: nothing to discard
} quic_key_phases;

// Installs the first secret of one direction, in either order. The set is all zero before the first call, but for
// `update_after` and `discard_previous_at`, which the caller sets. 0 or IROH_ERR_NOMEM.
int quic_key_phases_install(quic_key_phases *p, const aead_suite *suite, const uint8_t *secret, bool write);
void quic_key_phases_dispose(quic_key_phases *p);

// Moves both directions to the next phase (own decision, or the peer's, after a packet of it was opened).
// `discard_after`: ns to keep the previous read keys. 0, IROH_ERR_NOMEM, or IROH_ERR_ARG before both directions are
// installed, with nothing changed.
int quic_key_phases_update(quic_key_phases *p, uint64_t now, uint64_t discard_after);

// Opens a 1-RTT packet with the keys that its phase bit and number call for. On success *new_phase says that it belongs
// to the next phase: the caller then calls quic_key_phases_update. Results as quic_packet_open.
int quic_key_phases_open(quic_key_phases *p, uint8_t *packet, size_t len, size_t pn_offset, size_t pn_size,
                         uint32_t path, uint64_t pn, bool *new_phase);

#endif
