// Blob tickets: "blob", then base32 of a variant's number (0), an address in an older layout than that of endpoint tickets,
// and what the blob is.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/blobs_transfer.h>

#include "base/base32.h"
#include "id/address.h"

static const char prefix[] = "blob";
#define PREFIX_LEN (sizeof prefix - 1)

static void keep(postcard *p, int result) {
    if (result != 0)
        postcard_fail(p, result);
}

static void read_addresses(postcard *p, iroh_addr *a) {
    if (postcard_bool(p)) {
        size_t len;
        const char *url = postcard_str(p, &len);
        if (p->error == 0)
            keep(p, address_add_relay(a, url, len));
    }
    uint64_t count = postcard_u64(p);
    for (uint64_t i = 0; i < count && p->error == 0; i++) {
        addr ip = postcard_socket_addr(p);
        if (p->error == 0)
            keep(p, address_add(a, &ip));
    }
}

// Bytes after the hash are ignored, as by the original.
static int read_ticket(const uint8_t *bytes, size_t len, iroh_addr **out, iroh_content *content) {
    iroh_public_key id;
    uint8_t raw[32];
    postcard p = postcard_of(bytes, len);
    (void)postcard_variant(&p, 1);
    postcard_raw(&p, raw, sizeof raw);
    if (p.error == 0)
        keep(&p, iroh_public_key_from_bytes(&id, raw));
    if (p.error == 0)
        keep(&p, iroh_addr_new(&id, out));
    if (p.error != 0)
        return p.error;
    read_addresses(&p, *out);
    content->format = (int)postcard_variant(&p, 2);
    postcard_raw(&p, content->hash.bytes, sizeof content->hash.bytes);
    return p.error;
}

int iroh_blob_ticket_parse(const char *text, iroh_addr **out, iroh_content *content) {
    if (out == NULL || text == NULL || content == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    if (strncmp(text, prefix, PREFIX_LEN) != 0)
        return IROH_ERR_KIND;
    size_t len = strlen(text + PREFIX_LEN);
    uint8_t *bytes = malloc(base32_bytes_size(len) + 1);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    int r = base32_decode(BASE32_RFC4648, text + PREFIX_LEN, len, bytes);
    r = r == 0 ? read_ticket(bytes, base32_bytes_size(len), out, content) : IROH_ERR_SYNTAX;
    free(bytes);
    if (r != 0) {
        iroh_addr_free(*out);
        *out = NULL;
    }
    return r;
}

// Entries are sorted: relays come first, then IP addresses in the order that a ticket has.
static const address_entry *first_relay(const iroh_addr *a) {
    return a->count > 0 && a->entries[0].kind == IROH_ADDR_RELAY ? &a->entries[0] : NULL;
}

static size_t count_ips(const iroh_addr *a) {
    return address_ips(a, NULL, 0);
}

#define IP_SIZE_MAX 20  // bytes of an address and its port

static size_t size_max(const iroh_addr *a) {
    const address_entry *relay = first_relay(a);
    return 1 + 32 + 1 + (relay != NULL ? 10 + relay->len : 0) + 10 + count_ips(a) * IP_SIZE_MAX + 1 + 32;
}

static void write_ticket(writer *w, const iroh_addr *a, const iroh_content *content) {
    const address_entry *relay = first_relay(a);
    postcard_write_u64(w, 0);
    writer_bytes(w, a->id.bytes, sizeof a->id.bytes);
    writer_u8(w, relay != NULL);
    if (relay != NULL)
        postcard_write_bytes(w, relay->data, relay->len);
    postcard_write_u64(w, count_ips(a));
    for (size_t i = 0; i < a->count; i++) {
        if (a->entries[i].kind == IROH_ADDR_IP)
            postcard_write_socket_addr(w, &a->entries[i].ip);
    }
    postcard_write_u64(w, (uint64_t)content->format);
    writer_bytes(w, content->hash.bytes, sizeof content->hash.bytes);
}

int iroh_blob_ticket_format(const iroh_addr *a, const iroh_content *content, char *out, size_t room) {
    if (a == NULL || content == NULL || out == NULL ||
        (content->format != IROH_BLOB_RAW && content->format != IROH_BLOB_HASH_SEQ))
        return IROH_ERR_ARG;
    size_t max = size_max(a);
    uint8_t *bytes = malloc(max);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(bytes, max);
    write_ticket(&w, a, content);
    size_t text = PREFIX_LEN + base32_text_size(writer_len(&w));
    int r = w.failed ? IROH_ERR_INTERNAL : text >= room || text > INT_MAX ? IROH_ERR_TOO_LARGE : (int)text;
    if (r > 0) {
        memcpy(out, prefix, PREFIX_LEN);
        base32_encode(BASE32_RFC4648, bytes, writer_len(&w), out + PREFIX_LEN);
        out[text] = '\0';
    }
    free(bytes);
    return r;
}
