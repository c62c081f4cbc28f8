// Tickets: "endpoint", then base32 of a variant's number (0) and an address.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/base32.h"
#include "id/address.h"

static const char prefix[] = "endpoint";
#define PREFIX_LEN (sizeof prefix - 1)

static int read_ticket(const uint8_t *bytes, size_t len, address_layout layout, iroh_addr **out, bool *custom,
                       size_t *left) {
    postcard p = postcard_of(bytes, len);
    *out = NULL;
    *left = 0;
    (void)postcard_variant(&p, 1);
    if (p.error != 0)
        return p.error;
    int r = address_read(&p, layout, out, custom);
    *left = reader_left(&p.in);
    return r;
}

// Bytes after the address are ignored, as by the original. But where there is a custom address they are a hint: the
// layout that leaves none is the right one, and the newer one if that is so for neither.
static int read_either(const uint8_t *bytes, size_t len, iroh_addr **out) {
    iroh_addr *older;
    bool custom = false, unused = false;
    size_t left;
    int r = read_ticket(bytes, len, ADDRESS_CUSTOM_PLAIN, out, &custom, &left);
    if (!custom || (r == 0 && left == 0) || r == IROH_ERR_NOMEM)
        return r;
    int older_r = read_ticket(bytes, len, ADDRESS_CUSTOM_1_0, &older, &unused, &left);
    if (older_r == IROH_ERR_NOMEM || (older_r == 0 && left == 0)) {
        iroh_addr_free(*out);
        *out = older;
        return older_r;
    }
    iroh_addr_free(older);
    return r;
}

int iroh_ticket_parse(const char *text, iroh_addr **out) {
    *out = NULL;
    if (strncmp(text, prefix, PREFIX_LEN) != 0)
        return IROH_ERR_KIND;
    size_t len = strlen(text + PREFIX_LEN);
    uint8_t *bytes = malloc(base32_bytes_size(len) + 1);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    int r = base32_decode(BASE32_RFC4648, text + PREFIX_LEN, len, bytes);
    // Which of the two ways base32 is wrong is of no interest in a ticket.
    r = r == 0 ? read_either(bytes, base32_bytes_size(len), out) : IROH_ERR_SYNTAX;
    free(bytes);
    return r;
}

int iroh_ticket_format(const iroh_addr *a, char *out, size_t room) {
    size_t size = 1 + address_size(a);
    size_t text = PREFIX_LEN + base32_text_size(size);
    if (text >= room || text > INT_MAX)
        return IROH_ERR_TOO_LARGE;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(bytes, size);
    postcard_write_u64(&w, 0);
    address_write(&w, a);
    memcpy(out, prefix, PREFIX_LEN);
    base32_encode(BASE32_RFC4648, bytes, size, out + PREFIX_LEN);
    out[text] = '\0';
    free(bytes);
    return (int)text;
}
