// Texts about blobs. The first byte says what the rest is: a hash or a content, a ticket as text, or the bytes that the
// ticket's base32 holds. What parses is written and parsed again: the same, and the same text from then on.
#include <stdlib.h>
#include <string.h>

#include <iroh/blobs_transfer.h>

#include "base/base32.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384
// As in ticket_fuzz.c: a relay grows to three times its length at most, and base32 adds 3/5.
#define TEXT_MAX (INPUT_MAX * 8)

enum { A_HASH = 0, A_TICKET = 1, TICKET_BYTES = 2, KINDS = 3 };

static const char prefix[] = "blob";
#define PREFIX_LEN (sizeof prefix - 1)

static bool same_content(const iroh_content *a, const iroh_content *b) {
    return a->format == b->format && memcmp(a->hash.bytes, b->hash.bytes, sizeof a->hash.bytes) == 0;
}

static void check_hash(const char *text) {
    iroh_hash hash;
    iroh_content content, again;
    char hex[IROH_HASH_HEX_SIZE], out[IROH_CONTENT_TEXT_SIZE];
    bool plain = iroh_hash_from_text(&hash, text) == 0;
    if (iroh_content_from_text(&content, text) != 0) {
        require(!plain);
        return;
    }
    require(plain == (content.format == IROH_BLOB_RAW));
    iroh_hash_to_hex(&content.hash, hex);
    require(iroh_hash_from_text(&hash, hex) == 0 && memcmp(&hash, &content.hash, sizeof hash) == 0);
    iroh_content_to_text(&content, out);
    require(iroh_content_from_text(&again, out) == 0 && same_content(&content, &again));
}

// The same way out of both: a ticket holds the first relay only, and no custom addresses, as does what comes of one.
static void check_ticket(const char *text) {
    static char once[TEXT_MAX], twice[TEXT_MAX];
    iroh_addr *a, *b;
    iroh_content content, again;
    if (iroh_blob_ticket_parse(text, &a, &content) != 0) {
        require(a == NULL);
        return;
    }
    require(content.format == IROH_BLOB_RAW || content.format == IROH_BLOB_HASH_SEQ);
    require(iroh_addr_count(a) <= IROH_ADDR_MAX);
    int len = iroh_blob_ticket_format(a, &content, once, sizeof once);
    require(len > 0 && strlen(once) == (size_t)len);
    require(iroh_blob_ticket_format(a, &content, twice, (size_t)len) < 0);  // no room for the terminator
    require(iroh_blob_ticket_parse(once, &b, &again) == 0);
    require(iroh_addr_equal(a, b) && same_content(&content, &again));
    require(iroh_blob_ticket_format(b, &again, twice, sizeof twice) == len && strcmp(once, twice) == 0);
    iroh_addr_free(a);
    iroh_addr_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char text[TEXT_MAX];
    if (size == 0 || size > INPUT_MAX)
        return 0;
    uint8_t kind = *data++ % KINDS;
    size--;
    if (kind == TICKET_BYTES) {
        memcpy(text, prefix, PREFIX_LEN);
        base32_encode(BASE32_RFC4648, data, size, text + PREFIX_LEN);
        text[PREFIX_LEN + base32_text_size(size)] = '\0';
    } else {
        if (size > 0)
            memcpy(text, data, size);
        text[size] = '\0';
    }
    if (kind == A_HASH)
        check_hash(text);
    else
        check_ticket(text);
    return 0;
}
