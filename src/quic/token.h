// Address validation tokens and stateless reset tokens of an endpoint (RFC 9000, sections 8.1 and 10.3).
//
// An address token is sealed, so that only the endpoint that made it reads or makes one, and an observer cannot tell
// two tokens of one client from those of two. It proves that the client received something at an address:
//   nonce, then sealed: kind u8 | issued u64, unix ns | address kind u8, port u16, scope u32, length u8, bytes |
//   connection id: length u8, bytes
// Nothing is remembered of those that were made, so a token may be used again while it lives.
#ifndef QUIC_TOKEN_H
#define QUIC_TOKEN_H

#include "base/addr.h"
#include "base/clock.h"
#include "crypto/aead.h"
#include "quic/types.h"

#define QUIC_TOKEN_NONCE AEAD_NONCE
#define QUIC_TOKEN_PLAIN_MAX (1 + 8 + 1 + 2 + 4 + 1 + 32 + 1 + QUIC_CID_MAX)
#define QUIC_TOKEN_MAX (QUIC_TOKEN_NONCE + QUIC_TOKEN_PLAIN_MAX + AEAD_TAG)  // bytes of a token
#define QUIC_TOKEN_KEY 32                                                    // bytes

#define QUIC_TOKEN_RETRY_LIFETIME (15 * NS_PER_S)
#define QUIC_TOKEN_NEW_LIFETIME (14 * 24 * 3600 * NS_PER_S)

enum {
    QUIC_TOKEN_RETRY = 1,  // of a Retry packet: for the address and port that it was sent to, with the first id
    QUIC_TOKEN_NEW = 2,    // of a NEW_TOKEN frame: for a later connection from that host, whatever the port
};

enum {
    QUIC_TOKEN_VALID = 0,
    QUIC_TOKEN_INVALID = 1,  // not made with this key: nothing is known about it
    QUIC_TOKEN_STALE = 2,    // ours, but too old or for another address
};

typedef struct quic_token_key {
    aead *key;  // owned
} quic_token_key;

int quic_token_key_init(quic_token_key *k, const uint8_t key[static QUIC_TOKEN_KEY]);  // 0 or IROH_ERR_NOMEM
void quic_token_key_dispose(quic_token_key *k);                                        // also of a zeroed one

// Writes a token of `kind` for `to` and returns its length, at most QUIC_TOKEN_MAX. `odcid`: the client's first
// destination id (of use in a Retry only; may have length 0). `unix_ns`: time of issue. `nonce`: random, never used
// before with this key. IROH_ERR_TOO_LARGE: more than `room`; IROH_ERR_CRYPTO.
int quic_token_make(const quic_token_key *k, int kind, const addr *to, const quic_cid *odcid, uint64_t unix_ns,
                    const uint8_t nonce[static QUIC_TOKEN_NONCE], uint8_t *out, size_t room);

// Opens a token that came from `from` at `unix_ns`. Unless it is invalid, *kind and *odcid tell what it was made with.
// How long it lives depends on its kind.
int quic_token_open(const quic_token_key *k, const uint8_t *token, size_t len, const addr *from, uint64_t unix_ns,
                    int *kind, quic_cid *odcid);

// The stateless reset token of a connection id: a keyed hash, so that it can be made again without a memory of the
// connection. `key` serves no other purpose.
void quic_reset_token(const uint8_t key[static QUIC_TOKEN_KEY], const quic_cid *cid,
                      uint8_t out[static QUIC_RESET_TOKEN]);

#endif
