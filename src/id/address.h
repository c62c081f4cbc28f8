// The inside of an iroh_addr: a key and a sorted set of ways to reach it, and its form in tickets.
//
// The order is that of the original, which decides the bytes of a ticket: relays by URL; then IP addresses, IPv4 first,
// by bytes, port and scope; then custom ones by transport, short data (by length, then bytes) before long (by bytes).
#ifndef ID_ADDRESS_H
#define ID_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/id.h>

#include "base/addr.h"
#include "base/postcard.h"

typedef struct address_entry {
    uint8_t kind;        // IROH_ADDR_*
    addr ip;             // IROH_ADDR_IP
    uint64_t transport;  // IROH_ADDR_CUSTOM: number of the transport
    uint8_t *data;       // owned; the URL (not terminated) or the custom data; may be null when len is 0
    size_t len;
} address_entry;

struct iroh_addr {
    iroh_public_key id;
    address_entry *entries;  // sorted, unique
    size_t count;            // <= IROH_ADDR_MAX
    size_t capacity;
};

// Copies the IP addresses, in order, up to `room`: how many there are. `out` may be null when room is 0.
size_t address_ips(const iroh_addr *a, addr *out, size_t room);

// Adds an IP address, kept as it is: an IPv4-mapped one stays IPv6. IROH_ERR_ARG (no IP), IROH_ERR_LIMIT,
// IROH_ERR_NOMEM.
int address_add(iroh_addr *a, const addr *ip);

// Adds a relay by any spelling of its URL. As iroh_addr_add_relay.
int address_add_relay(iroh_addr *a, const char *url, size_t len);

// How custom addresses are laid out. iroh 1.0 used another layout, and nothing in the bytes says which one it is.
typedef enum address_layout {
    ADDRESS_CUSTOM_PLAIN,  // since 1.1.0: number, byte string
    ADDRESS_CUSTOM_1_0,    // number, then 0: a size and always 30 bytes, or 1: a byte string
} address_layout;

// Reads one address; the caller frees *out. What is wrong is said in p->error, which is also returned. *custom (may be
// null) is set when a custom address was begun, so that the other layout may be worth a try.
int address_read(postcard *p, address_layout layout, iroh_addr **out, bool *custom);

// Writes it, custom addresses in the plain layout, in address_size bytes.
void address_write(writer *w, const iroh_addr *a);
size_t address_size(const iroh_addr *a);

#endif
