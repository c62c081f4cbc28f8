// Addresses in postcard.
#include "id/address.h"

#define KINDS 3        // IROH_ADDR_* are the numbers of the variants
#define SHORT_ROOM 30  // bytes that a short custom address takes in the layout of 1.0

static void read_relay(postcard *p, iroh_addr *a) {
    size_t len;
    const char *url = postcard_str(p, &len);
    int r = p->error == 0 ? address_add_relay(a, url, len) : 0;
    if (r != 0)
        postcard_fail(p, r);
}

static void read_ip(postcard *p, iroh_addr *a) {
    addr ip = postcard_socket_addr(p);
    int r = p->error == 0 ? address_add(a, &ip) : 0;
    if (r != 0)
        postcard_fail(p, r);
}

static const uint8_t *custom_1_0(postcard *p, size_t *len, uint8_t room[static SHORT_ROOM]) {
    if (postcard_variant(p, 2) == 1)
        return postcard_bytes(p, len);
    *len = postcard_u8(p);
    postcard_raw(p, room, SHORT_ROOM);
    if (*len > SHORT_ROOM)
        postcard_fail(p, IROH_ERR_RANGE);
    return room;
}

static void read_custom(postcard *p, address_layout layout, iroh_addr *a) {
    uint8_t room[SHORT_ROOM];
    size_t len;
    uint64_t transport = postcard_u64(p);
    const uint8_t *data = layout == ADDRESS_CUSTOM_1_0 ? custom_1_0(p, &len, room) : postcard_bytes(p, &len);
    int r = p->error == 0 ? iroh_addr_add_custom(a, transport, data, len) : 0;
    if (r != 0)
        postcard_fail(p, r);
}

static void read_id(postcard *p, iroh_public_key *out) {
    uint8_t bytes[sizeof out->bytes];
    postcard_raw(p, bytes, sizeof bytes);
    int r = p->error == 0 ? iroh_public_key_from_bytes(out, bytes) : 0;
    if (r != 0)
        postcard_fail(p, r);
}

int address_read(postcard *p, address_layout layout, iroh_addr **out, bool *custom) {
    iroh_public_key id;
    *out = NULL;
    read_id(p, &id);
    uint64_t count = postcard_u64(p);
    int r = p->error == 0 ? iroh_addr_new(&id, out) : p->error;
    if (r != 0)
        postcard_fail(p, r);
    // The count is only a claim: each round takes bytes from the input, or ends the loop.
    for (uint64_t i = 0; i < count && p->error == 0; i++) {
        uint32_t kind = postcard_variant(p, KINDS);
        if (p->error != 0)
            break;
        if (kind == IROH_ADDR_RELAY)
            read_relay(p, *out);
        else if (kind == IROH_ADDR_IP)
            read_ip(p, *out);
        else
            read_custom(p, layout, *out);
        if (custom != NULL)
            *custom |= kind == IROH_ADDR_CUSTOM;
    }
    if (p->error != 0) {
        iroh_addr_free(*out);
        *out = NULL;
    }
    return p->error;
}

void address_write(writer *w, const iroh_addr *a) {
    writer_bytes(w, a->id.bytes, sizeof a->id.bytes);
    postcard_write_u64(w, a->count);
    for (size_t i = 0; i < a->count; i++) {
        const address_entry *e = &a->entries[i];
        postcard_write_u64(w, e->kind);
        if (e->kind == IROH_ADDR_IP) {
            postcard_write_socket_addr(w, &e->ip);
            continue;
        }
        if (e->kind == IROH_ADDR_CUSTOM)
            postcard_write_u64(w, e->transport);
        postcard_write_bytes(w, e->data, e->len);
    }
}

static size_t entry_size(const address_entry *e) {
    if (e->kind == IROH_ADDR_IP)
        return 2 + (e->ip.kind == ADDR_IP6 ? 16U : 4U) + postcard_u64_size(e->ip.port);
    size_t number = e->kind == IROH_ADDR_CUSTOM ? postcard_u64_size(e->transport) : 0;
    return 1 + number + postcard_u64_size(e->len) + e->len;
}

size_t address_size(const iroh_addr *a) {
    size_t size = sizeof a->id.bytes + postcard_u64_size(a->count);
    for (size_t i = 0; i < a->count; i++)
        size += entry_size(&a->entries[i]);
    return size;
}
