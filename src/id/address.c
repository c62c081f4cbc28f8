#include "id/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/url.h"

#define ENTRIES_MIN 4
#define SHORT_DATA 30  // bytes of custom data that the original keeps, and orders, in another way than longer data
_Static_assert(IROH_RELAY_URL_SIZE > URL_MAX, "every normal form fits");

// --- The order

static int compare_numbers(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int compare_bytes(const address_entry *a, const address_entry *b) {
    size_t common = a->len < b->len ? a->len : b->len;
    int d = common > 0 ? memcmp(a->data, b->data, common) : 0;
    return d != 0 ? d : compare_numbers(a->len, b->len);
}

static int compare_custom(const address_entry *a, const address_entry *b) {
    bool a_long = a->len > SHORT_DATA, b_long = b->len > SHORT_DATA;
    int d = compare_numbers(a->transport, b->transport);
    if (d == 0)
        d = (int)a_long - (int)b_long;
    if (d == 0 && !a_long)
        d = compare_numbers(a->len, b->len);
    return d != 0 ? d : compare_bytes(a, b);
}

static int compare(const address_entry *a, const address_entry *b) {
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == IROH_ADDR_IP)
        return addr_compare(&a->ip, &b->ip);
    return a->kind == IROH_ADDR_RELAY ? compare_bytes(a, b) : compare_custom(a, b);
}

// Where the entry is, or belongs.
static size_t find(const iroh_addr *a, const address_entry *e, bool *found) {
    size_t low = 0, high = a->count;
    *found = false;
    while (low < high && !*found) {
        size_t middle = low + (high - low) / 2;
        int d = compare(e, &a->entries[middle]);
        if (d == 0) {
            *found = true;
            low = middle;
        } else if (d < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

// --- The set

static int reserve(iroh_addr *a, size_t count) {
    if (count <= a->capacity)
        return 0;
    size_t capacity = a->capacity > 0 ? a->capacity * 2 : ENTRIES_MIN;
    if (capacity < count)
        capacity = count;
    address_entry *entries = realloc(a->entries, capacity * sizeof *entries);
    if (entries == NULL)
        return IROH_ERR_NOMEM;
    a->entries = entries;
    a->capacity = capacity;
    return 0;
}

static int own_data(address_entry *e) {
    uint8_t *data = NULL;
    if (e->len > 0) {
        data = malloc(e->len);
        if (data == NULL)
            return IROH_ERR_NOMEM;
        memcpy(data, e->data, e->len);
    }
    e->data = data;
    return 0;
}

// Adds a copy of the entry, whose data is borrowed.
static int add(iroh_addr *a, address_entry e) {
    bool found;
    size_t at = find(a, &e, &found);
    if (found)
        return 0;
    if (a->count == IROH_ADDR_MAX)
        return IROH_ERR_LIMIT;
    int r = reserve(a, a->count + 1);
    if (r == 0)
        r = own_data(&e);
    if (r != 0)
        return r;
    memmove(a->entries + at + 1, a->entries + at, (a->count - at) * sizeof *a->entries);
    a->entries[at] = e;
    a->count++;
    return 0;
}

int iroh_addr_new(const iroh_public_key *id, iroh_addr **out) {
    iroh_addr *a = calloc(1, sizeof *a);
    *out = a;
    if (a == NULL)
        return IROH_ERR_NOMEM;
    a->id = *id;
    return 0;
}

int iroh_addr_copy(const iroh_addr *a, iroh_addr **out) {
    int r = iroh_addr_new(&a->id, out);
    if (r == 0)
        r = reserve(*out, a->count);
    for (size_t i = 0; r == 0 && i < a->count; i++)
        r = add(*out, a->entries[i]);
    if (r != 0) {
        iroh_addr_free(*out);
        *out = NULL;
    }
    return r;
}

void iroh_addr_free(iroh_addr *a) {
    if (a == NULL)
        return;
    for (size_t i = 0; i < a->count; i++)
        free(a->entries[i].data);
    free(a->entries);
    free(a);
}

iroh_public_key iroh_addr_id(const iroh_addr *a) {
    return a->id;
}

int address_add(iroh_addr *a, const addr *ip) {
    return addr_is_ip(ip) ? add(a, (address_entry){.kind = IROH_ADDR_IP, .ip = *ip}) : IROH_ERR_ARG;
}

int address_add_relay(iroh_addr *a, const char *url, size_t len) {
    char normal[URL_MAX];
    int n = url_normalize(url, len, normal, sizeof normal);
    if (n < 0)
        return n;
    return add(a, (address_entry){.kind = IROH_ADDR_RELAY, .data = (uint8_t *)normal, .len = (size_t)n});
}

int iroh_addr_add_ip(iroh_addr *a, const char *text) {
    addr ip;
    int r = addr_parse(&ip, text, strlen(text));
    return r == 0 ? address_add(a, &ip) : r;
}

int iroh_addr_add_relay(iroh_addr *a, const char *url) {
    return address_add_relay(a, url, strlen(url));
}

int iroh_addr_add_custom(iroh_addr *a, uint64_t transport, const void *data, size_t len) {
    if (len > IROH_ADDR_DATA_MAX)
        return IROH_ERR_TOO_LARGE;
    // The entry only borrows the bytes until `add` has copied them.
    uint8_t *borrowed = (uint8_t *)(uintptr_t)data;
    return add(a, (address_entry){.kind = IROH_ADDR_CUSTOM, .transport = transport, .data = borrowed, .len = len});
}

bool iroh_addr_equal(const iroh_addr *a, const iroh_addr *b) {
    bool equal = a->count == b->count && iroh_public_key_compare(&a->id, &b->id) == 0;
    for (size_t i = 0; equal && i < a->count; i++)
        equal = compare(&a->entries[i], &b->entries[i]) == 0;
    return equal;
}

// --- Looking at it

size_t iroh_addr_count(const iroh_addr *a) {
    return a->count;
}

int iroh_addr_kind(const iroh_addr *a, size_t i) {
    return i < a->count ? a->entries[i].kind : IROH_ERR_RANGE;
}

// "1_a1b2": the transport's number and the data, both in hex.
static void write_custom(writer *w, const address_entry *e) {
    char number[20];
    int n = snprintf(number, sizeof number, "%" PRIx64 "_", e->transport);
    writer_bytes(w, number, (size_t)n);
    uint8_t *room = writer_room(w, 2 * e->len);
    if (room != NULL)
        hex_encode(e->data, e->len, (char *)room);
}

int iroh_addr_text(const iroh_addr *a, size_t i, char *out, size_t room) {
    char ip[ADDR_TEXT_MAX];
    if (i >= a->count)
        return IROH_ERR_RANGE;
    const address_entry *e = &a->entries[i];
    writer w = writer_of(out, room);
    if (e->kind == IROH_ADDR_IP)
        writer_bytes(&w, ip, addr_format(&e->ip, ip));
    else if (e->kind == IROH_ADDR_RELAY)
        writer_bytes(&w, e->data, e->len);
    else
        write_custom(&w, e);
    int len = (int)writer_len(&w);
    writer_u8(&w, '\0');
    return w.failed ? IROH_ERR_TOO_LARGE : len;
}

size_t address_ips(const iroh_addr *a, addr *out, size_t room) {
    size_t n = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (a->entries[i].kind != IROH_ADDR_IP)
            continue;
        if (n < room)
            out[n] = a->entries[i].ip;
        n++;
    }
    return n;
}

int iroh_relay_url_normalize(const char *text, char *out, size_t room) {
    if (room == 0)
        return IROH_ERR_TOO_LARGE;
    int n = url_normalize(text, strlen(text), out, room - 1);
    if (n >= 0)
        out[n] = '\0';
    return n;
}
