// The ClientHello of RFC 8448, section 3, for tests that change it.
#ifndef UNIT_TLS_HELLO_SUPPORT_H
#define UNIT_TLS_HELLO_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#define HELLO_ROOM 1024

size_t bytes_of(const char *hex, uint8_t *out, size_t room);  // their number; fails the test if it cannot be
size_t rfc_hello(uint8_t out[static HELLO_ROOM]);             // its length

// Where a row of bytes begins in a hello; fails the test if it is not there.
uint8_t *find_in(uint8_t *hello, size_t len, const char *hex);

#endif
