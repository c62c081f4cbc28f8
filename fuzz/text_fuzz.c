// A text for the strict codecs and for addresses; the first byte says for which. Each value has one text: what is read is
// written as it was, and bytes that are written can be read.
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/base32.h"
#include "base/base64.h"
#include "base/hex.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096

enum { AN_ADDRESS = 0, A_BASE64 = 1, A_BASE64_URL = 2, A_HEX = 3, A_BASE32 = 4, A_BASE32_Z = 5, KINDS = 6 };

static uint8_t bytes[INPUT_MAX];
static char written[2 * INPUT_MAX];

static void check_address(const char *text, size_t len) {
    char once[ADDR_TEXT_MAX];
    addr a, b;
    if (addr_parse(&a, text, len) != 0)
        return;
    require(addr_is_ip(&a));
    size_t once_len = addr_format(&a, once);
    require(once_len < ADDR_TEXT_MAX && strlen(once) == once_len);
    require(addr_parse(&b, once, once_len) == 0 && addr_equal(&a, &b) && addr_compare(&a, &b) == 0);
}

static void check_base64(int form, const char *text, size_t len) {
    int n = base64_decode(form, text, len, bytes, sizeof bytes);
    if (n < 0)
        return;
    size_t back = form == BASE64_URL ? BASE64_URL_LEN((size_t)n) : BASE64_PADDED_LEN((size_t)n);
    require(back == len);
    base64_encode(form, bytes, (size_t)n, written);
    require(len == 0 || memcmp(written, text, len) == 0);
    require(n == 0 || base64_decode(form, text, len, bytes, (size_t)n - 1) < 0);
}

static void check_hex(const char *text, size_t len) {
    if (!hex_decode(text, len, bytes))
        return;
    hex_encode(bytes, len / 2, written);
    require(len % 2 == 0 && (len == 0 || memcmp(written, text, len) == 0));
}

// The RFC's letters may be of either case.
static void check_base32(base32_kind kind, const char *text, size_t len) {
    if (base32_decode(kind, text, len, bytes) != 0)
        return;
    size_t n = base32_bytes_size(len);
    require(base32_text_size(n) == len);
    base32_encode(kind, bytes, n, written);
    for (size_t i = 0; i < len; i++)
        require(written[i] == (kind == BASE32_Z ? text[i] : (char)tolower((unsigned char)text[i])));
}

// Any bytes can be written, and read again.
static void check_bytes(const uint8_t *data, size_t len) {
    base64_encode(BASE64_PADDED, data, len, written);
    int n = base64_decode(BASE64_PADDED, written, BASE64_PADDED_LEN(len), bytes, len);
    require(n == (int)len && (len == 0 || memcmp(bytes, data, len) == 0));
    base32_encode(BASE32_Z, data, len, written);
    require(base32_decode(BASE32_Z, written, base32_text_size(len), bytes) == 0);
    require(len == 0 || memcmp(bytes, data, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > INPUT_MAX)
        return 0;
    const char *text = (const char *)data + 1;
    uint8_t kind = data[0] % KINDS;
    size_t len = size - 1;
    if (kind == AN_ADDRESS)
        check_address(text, len);
    else if (kind == A_BASE64 || kind == A_BASE64_URL)
        check_base64(kind == A_BASE64 ? BASE64_PADDED : BASE64_URL, text, len);
    else if (kind == A_HEX)
        check_hex(text, len);
    else
        check_base32(kind == A_BASE32 ? BASE32_RFC4648 : BASE32_Z, text, len);
    check_bytes(data, size);
    return 0;
}
