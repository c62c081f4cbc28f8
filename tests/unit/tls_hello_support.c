#include "unit/tls_hello_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

#define RFC_HELLO                                                                                                      \
    "010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b00" \
    "09000006736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381d" \
    "e560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e0403050306030203080408050806" \
    "04010501060102010402050206020202002d00020101001c00024001"

size_t bytes_of(const char *hex, uint8_t *out, size_t room) {
    size_t len = strlen(hex) / 2;
    assert_true(len <= room);
    assert_true(hex_decode(hex, 2 * len, out));
    return len;
}

size_t rfc_hello(uint8_t out[static HELLO_ROOM]) {
    return bytes_of(RFC_HELLO, out, HELLO_ROOM);
}

uint8_t *find_in(uint8_t *hello, size_t len, const char *hex) {
    uint8_t wanted[64];
    size_t n = bytes_of(hex, wanted, sizeof wanted);
    for (size_t i = 0; i + n <= len; i++) {
        if (memcmp(hello + i, wanted, n) == 0)
            return hello + i;
    }
    fail_msg("no %s", hex);
    return NULL;
}
