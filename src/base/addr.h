// A transport address as the core sees it: a comparable value that says where a datagram goes to or came from.
//
// QUIC treats it as opaque, so that a relay or a custom transport is a path like any other. IPv4-mapped IPv6 addresses
// are kept as IPv4 (addr_canonical), because both name the same host.
#ifndef BASE_ADDR_H
#define BASE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ADDR_NONE = 0,    // unknown
    ADDR_IP4 = 1,     // bytes[0..4), port
    ADDR_IP6 = 2,     // bytes[0..16), port, scope (interface index for link-local, else 0)
    ADDR_RELAY = 3,   // bytes[0..32): endpoint id; scope: number of the relay in the endpoint's table
    ADDR_CUSTOM = 4,  // scope: number in the endpoint's table of custom addresses
};

typedef struct addr {
    uint8_t kind;
    uint8_t reserved;  // 0
    uint16_t port;     // host order
    uint32_t scope;
    uint8_t bytes[32];  // unused ones are 0
} addr;

#define ADDR_TEXT_MAX 128  // longest text of addr_format, terminator included

bool addr_equal(const addr *a, const addr *b);

// Equal but for the port.
bool addr_same_host(const addr *a, const addr *b);

// A 64-bit mix of the whole value, for hash tables; not keyed, so never for tables that a stranger can fill.
uint64_t addr_hash(const addr *a);

addr addr_ip4(const uint8_t ip[static 4], uint16_t port);
addr addr_ip6(const uint8_t ip[static 16], uint16_t port, uint32_t scope);

// The IPv4 form of an IPv4-mapped IPv6 address, otherwise the address itself.
addr addr_canonical(const addr *a);

// Order of the Rust type SocketAddr: IPv4 before IPv6, then address bytes, port, scope. <0, 0, >0.
int addr_compare(const addr *a, const addr *b);

// "192.0.2.1:443", "[2001:db8::1%2]:443" (RFC 5952), "relay-0", "custom-3" or "none". Returns the text's length, which
// always fits in ADDR_TEXT_MAX.
size_t addr_format(const addr *a, char out[static ADDR_TEXT_MAX]);

// Parses "192.0.2.1:443" and "[2001:db8::1]:443" with an optional numeric "%scope". IROH_ERR_SYNTAX otherwise.
int addr_parse(addr *out, const char *text, size_t len);

bool addr_is_ip(const addr *a);
bool addr_is_unspecified(const addr *a);  // 0.0.0.0 or ::
bool addr_is_loopback(const addr *a);
bool addr_is_multicast(const addr *a);
bool addr_is_link_local(const addr *a);

#endif
