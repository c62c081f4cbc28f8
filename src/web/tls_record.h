// The record layer of an established TLS connection (RFC 8446, section 5; RFC 5246 with AEAD suites), without its handshake:
// once that is over, these few bytes for each direction are all that a connection needs, a tenth of a session of a
// library.
//
// Works in place: a record is opened where it was read and sealed where it was built, between a header before it and a tag
// behind it. The expanded keys are made when the first record comes and given back by tls_record_rest, so that an idle
// connection holds secrets alone. Renewal of keys (KeyUpdate) is honoured both ways, and started before a key has sealed
// too much.
#ifndef WEB_TLS_RECORD_H
#define WEB_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/aead.h"

#define TLS_RECORD_HEADER 5         // bytes: type, version, length
#define TLS_RECORD_HEAD 13          // bytes in front of what is sealed, at most
#define TLS_RECORD_TAIL 17          // and behind
#define TLS_RECORD_PLAIN_MAX 16384  // bytes of content
#define TLS_RECORD_MAX (5 + TLS_RECORD_PLAIN_MAX + 256)
#define TLS_RECORD_IDLE_MAX 32  // records in a row that carry no data, then it is no use

enum { TLS_RECORD_CIPHER_CHANGE = 20, TLS_RECORD_ALERT = 21, TLS_RECORD_HANDSHAKE = 22, TLS_RECORD_DATA = 23 };

enum {
    TLS_ALERT_CLOSE_NOTIFY = 0,
    TLS_ALERT_UNEXPECTED = 10,
    TLS_ALERT_BAD_MAC = 20,
    TLS_ALERT_OVERFLOW = 22,
    TLS_ALERT_ILLEGAL = 47,
    TLS_ALERT_DECODE = 50,
    TLS_ALERT_DECRYPT = 51,
    TLS_ALERT_INTERNAL = 80,
};

typedef struct tls_half {
    uint8_t secret[AEAD_HASH_MAX];  // TLS 1.3: the traffic secret; 1.2: the key
    uint8_t iv[AEAD_NONCE];
    uint64_t seq;     // of the next record
    uint64_t sealed;  // records since the key was made
    aead *key;        // null while at rest
} tls_half;

typedef struct tls_record {
    const aead_suite *suite;
    tls_half read, write;
    bool old;            // TLS 1.2
    bool update_wanted;  // a KeyUpdate is to be sent before other records: tls_record_put_update
    bool ended;          // the peer said so, or broke the protocol: nothing is opened any more
    uint8_t alert;       // that the peer should hear, when opening failed
    uint8_t idle;        // records without data in a row
    uint8_t message_len;
    uint8_t message[5];  // of a handshake message so far
} tls_record;

// What the handshake left of a direction: a traffic secret (suite->hash_len bytes), or with `old` a key (suite->key_len)
// and its iv (4 bytes for AES-GCM, 12 for ChaCha20-Poly1305); and the number of the next record.
typedef struct tls_record_secret {
    uint8_t secret[AEAD_HASH_MAX];
    uint8_t iv[AEAD_NONCE];
    uint64_t seq;
} tls_record_secret;

void tls_record_init(tls_record *r, const aead_suite *suite, bool old, const tls_record_secret *read,
                     const tls_record_secret *write);
void tls_record_dispose(tls_record *r);  // wipes

// Gives back the expanded keys; whether there were any.
bool tls_record_rest(tls_record *r);

// Opens the next record of *bytes, *len of them, and advances both past it. 1: *data, *data_len is what it carried, inside
// the bytes; may be empty. 0: the record is not whole; its beginning is left in *bytes. IROH_ERR_FINISHED: the peer closed
// its side. IROH_ERR_PROTOCOL, IROH_ERR_CRYPTO, IROH_ERR_NOMEM: the connection is over, and r->alert is for the peer.
int tls_record_open(tls_record *r, uint8_t **bytes, size_t *len, uint8_t **data, size_t *data_len);

// As tls_record_open, but leaves what the record means to the caller: *type is what it is. For handshakes.
int tls_record_open_any(tls_record *r, uint8_t **bytes, size_t *len, uint8_t *type, uint8_t **data, size_t *data_len);

// Seals `len` (<= TLS_RECORD_PLAIN_MAX) bytes at `data`, which has TLS_RECORD_HEAD free bytes in front and TLS_RECORD_TAIL
// behind: *start is where the record begins, the result its length. In TLS 1.3 nothing is touched but the
// TLS_RECORD_HEADER bytes in front. IROH_ERR_CRYPTO, IROH_ERR_NOMEM.
int tls_record_seal(tls_record *r, uint8_t type, uint8_t *data, size_t len, uint8_t **start);

// Room for an alert or a KeyUpdate, sealed.
#define TLS_RECORD_SMALL (TLS_RECORD_HEAD + 5 + TLS_RECORD_TAIL)

// As tls_record_seal, built in `room`. After the update, later records use the next key.
int tls_record_put_update(tls_record *r, uint8_t room[static TLS_RECORD_SMALL], uint8_t **start);
int tls_record_put_alert(tls_record *r, uint8_t alert, uint8_t room[static TLS_RECORD_SMALL], uint8_t **start);

#endif
