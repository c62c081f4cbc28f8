// A ticket, as text when it begins like one, otherwise as the bytes that its base32 holds. What parses is written and
// parsed again: the same address, and the same text from then on.
#include <iroh/id.h>

#include <stdint.h>
#include <string.h>

#include "base/base32.h"
#include "id/address.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384
// Relays grow by percent-encoding, to three times their length, and by 2 for "/" and the longer length; base32 adds
// 3/5.
#define TEXT_MAX (INPUT_MAX * 8)

static const char prefix[] = "endpoint";
#define PREFIX_LEN (sizeof prefix - 1)

static void make_text(const uint8_t *data, size_t size, char *text) {
    if (size >= PREFIX_LEN && memcmp(data, prefix, PREFIX_LEN) == 0) {
        memcpy(text, data, size);
        text[size] = '\0';
        return;
    }
    memcpy(text, prefix, PREFIX_LEN);
    base32_encode(BASE32_RFC4648, data, size, text + PREFIX_LEN);
    text[PREFIX_LEN + base32_text_size(size)] = '\0';
}

static void check_address(const iroh_addr *a) {
    static char out[2 * IROH_ADDR_DATA_MAX + 64];
    require(iroh_addr_count(a) <= IROH_ADDR_MAX);
    int last = IROH_ADDR_RELAY;
    for (size_t i = 0; i < iroh_addr_count(a); i++) {
        int len = iroh_addr_text(a, i, out, sizeof out);
        require(len >= 0 && strlen(out) == (size_t)len);
        require(iroh_addr_kind(a, i) >= last);
        last = iroh_addr_kind(a, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[TEXT_MAX], once[TEXT_MAX], twice[TEXT_MAX];
    iroh_addr *a, *b;
    if (size > INPUT_MAX)
        return 0;
    make_text(data, size, text);
    if (iroh_ticket_parse(text, &a) != 0) {
        require(a == NULL);
        return 0;
    }
    check_address(a);
    int len = iroh_ticket_format(a, once, sizeof once);
    require(len > 0);
    require(iroh_ticket_parse(once, &b) == 0);
    require(iroh_addr_equal(a, b));
    require(iroh_ticket_format(b, twice, sizeof twice) == len && memcmp(once, twice, (size_t)len + 1) == 0);
    iroh_addr_free(a);
    iroh_addr_free(b);
    return 0;
}
