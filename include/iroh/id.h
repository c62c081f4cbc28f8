// Who and where an endpoint is: keys, signatures, addresses, relay URLs and tickets.
//
// Everything here is a pure function of its arguments (but for iroh_secret_key_generate) and may be called from any
// thread; an iroh_addr must not be changed by one thread while another uses it. Texts are zero-terminated; text from
// outside may be any bytes.
#ifndef IROH_ID_H
#define IROH_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/error.h>

#ifdef __cplusplus
extern "C" {
#endif

// An endpoint's name: a compressed Ed25519 point, kept exactly as received.
typedef struct iroh_public_key {
    uint8_t bytes[32];
} iroh_public_key;

// An Ed25519 seed (RFC 8032); any 32 bytes are one.
typedef struct iroh_secret_key {
    uint8_t bytes[32];
} iroh_secret_key;

typedef struct iroh_signature {
    uint8_t bytes[64];
} iroh_signature;

#define IROH_KEY_HEX_SIZE 65     // 64 digits and the terminator
#define IROH_KEY_BASE32_SIZE 53  // 52 characters and the terminator; the same for z-base-32

// Draws a fresh key from the operating system.
IROH_API void iroh_secret_key_generate(iroh_secret_key *out);
IROH_API void iroh_secret_key_public(const iroh_secret_key *key, iroh_public_key *out);
IROH_API void iroh_secret_key_sign(const iroh_secret_key *key, const void *message, size_t len, iroh_signature *out);

// Text of either key: 64 lower-case hex digits, or 52 characters of base32 in any case. IROH_ERR_LENGTH (neither
// length), IROH_ERR_SYNTAX (a character, or bits set past the end). On any error *out is left as it was.
IROH_API int iroh_secret_key_from_text(iroh_secret_key *out, const char *text);
IROH_API void iroh_secret_key_to_hex(const iroh_secret_key *key, char out[IROH_KEY_HEX_SIZE]);

// Besides the above, IROH_ERR_KEY: not a point of the curve.
IROH_API int iroh_public_key_from_text(iroh_public_key *out, const char *text);
// IROH_ERR_KEY: not a point of the curve. Points of small order and non-canonical forms are taken, as by the original;
// they verify no signature, so nobody can connect with them.
IROH_API int iroh_public_key_from_bytes(iroh_public_key *out, const uint8_t bytes[32]);
IROH_API int iroh_public_key_from_z32(iroh_public_key *out, const char *text);  // lower-case z-base-32, as from_text
IROH_API void iroh_public_key_to_hex(const iroh_public_key *key, char out[IROH_KEY_HEX_SIZE]);
IROH_API void iroh_public_key_to_base32(const iroh_public_key *key, char out[IROH_KEY_BASE32_SIZE]);  // lower case
IROH_API void iroh_public_key_to_z32(const iroh_public_key *key, char out[IROH_KEY_BASE32_SIZE]);

// <0, 0, >0 by bytes.
IROH_API int iroh_public_key_compare(const iroh_public_key *a, const iroh_public_key *b);

// Strict verification: S below the group order, no point of small order, no cofactor. `message` may be null when len
// is 0, here as in signing. 0 or IROH_ERR_SIGNATURE.
IROH_API int iroh_public_key_verify(const iroh_public_key *key, const void *message, size_t len,
                                    const iroh_signature *signature);

// ---------------------------------------------------------------------------------------------------------------------
// Relay URLs

// Room that is enough for every normal form; longer URLs, before or after, are IROH_ERR_TOO_LARGE.
#define IROH_RELAY_URL_SIZE 8193

// Writes the normal form of an absolute URL (WHATWG URL standard), which is what addresses hold and compare: its length
// without the terminator. Any scheme is taken. IROH_ERR_SYNTAX, IROH_ERR_UTF8, IROH_ERR_TOO_LARGE, IROH_ERR_NOMEM;
// `out` is then undefined.
IROH_API int iroh_relay_url_normalize(const char *text, char *out, size_t room);

// ---------------------------------------------------------------------------------------------------------------------
// Addresses: a key and an ordered set of ways to reach it

typedef struct iroh_addr iroh_addr;

// At most so many transport addresses in one; more are IROH_ERR_LIMIT.
#define IROH_ADDR_MAX 1024
// Bytes of a custom address.
#define IROH_ADDR_DATA_MAX 65536

IROH_API int iroh_addr_new(const iroh_public_key *id, iroh_addr **out);  // without transport addresses; IROH_ERR_NOMEM
IROH_API int iroh_addr_copy(const iroh_addr *a, iroh_addr **out);        // IROH_ERR_NOMEM
IROH_API void iroh_addr_free(iroh_addr *a);                              // null is ignored

IROH_API iroh_public_key iroh_addr_id(const iroh_addr *a);

// Adding what is there already changes nothing. "192.0.2.1:443" or "[2001:db8::1]:443" (a numeric %scope is kept, but
// tickets do not carry it). IROH_ERR_SYNTAX, IROH_ERR_LIMIT, IROH_ERR_NOMEM, after which `a` is as before.
IROH_API int iroh_addr_add_ip(iroh_addr *a, const char *text);
// Adds the normal form. Errors of iroh_relay_url_normalize besides.
IROH_API int iroh_addr_add_relay(iroh_addr *a, const char *url);
// The bytes are copied; `transport` is the number of a registered transport. IROH_ERR_TOO_LARGE besides.
IROH_API int iroh_addr_add_custom(iroh_addr *a, uint64_t transport, const void *data, size_t len);
// The same key and the same transport addresses.
IROH_API bool iroh_addr_equal(const iroh_addr *a, const iroh_addr *b);

enum { IROH_ADDR_RELAY = 0, IROH_ADDR_IP = 1, IROH_ADDR_CUSTOM = 2 };

IROH_API size_t iroh_addr_count(const iroh_addr *a);
// The kind of transport address `i`, in the order relay, ip, custom. IROH_ERR_RANGE.
IROH_API int iroh_addr_kind(const iroh_addr *a, size_t i);
// Its text, "192.0.2.1:443", the URL, or "1_a1b2" for a custom one (transport and data in hex): its length without the
// terminator. IROH_ERR_RANGE, IROH_ERR_TOO_LARGE (room).
IROH_API int iroh_addr_text(const iroh_addr *a, size_t i, char *out, size_t room);

// ---------------------------------------------------------------------------------------------------------------------
// Tickets: an address as one word of text, "endpoint...", as the original writes and reads it

// The caller frees *out, which is null after an error. Addresses may come unsorted and twice, and bytes after the last
// one are ignored. Custom addresses are read in the layout of iroh 1.0 as well as in that since 1.1.0. IROH_ERR_KIND
// (another prefix), IROH_ERR_SYNTAX (base32, a URL), IROH_ERR_TRUNCATED, IROH_ERR_RANGE (a number too large),
// IROH_ERR_UTF8, IROH_ERR_KEY, IROH_ERR_UNSUPPORTED (an unknown kind of ticket or address), IROH_ERR_LIMIT and
// IROH_ERR_TOO_LARGE (more than an address can hold), IROH_ERR_NOMEM.
IROH_API int iroh_ticket_parse(const char *text, iroh_addr **out);
// Its length without the terminator. IROH_ERR_TOO_LARGE (room), IROH_ERR_NOMEM.
IROH_API int iroh_ticket_format(const iroh_addr *a, char *out, size_t room);

#ifdef __cplusplus
}
#endif

#endif
