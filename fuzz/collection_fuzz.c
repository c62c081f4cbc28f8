// A collection that somebody else made, in a store. Input: how many bytes the sequence of its hashes has, u16; then the
// blob of its names; in front of it, if the top bit of the first number is set, the header of one.
// What loads is saved and loaded again, as it is and in order: the same entries.
#include <stdlib.h>
#include <string.h>

#include <iroh/blobs_transfer.h>

#include "base/bytes.h"
#include "base/utf8.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096
#define SEQUENCE_MAX 2047  // bytes
#define WITH_HEADER 0x8000

static const char header[] = "CollectionV0.";
#define HEADER_LEN (sizeof header - 1)

static void add(iroh_store *s, const void *bytes, size_t len, iroh_hash *out) {
    require(iroh_store_add_bytes(s, bytes, len, NULL, out) == 0);
}

// The names' hash first, then hashes of which each begins with its number.
static void make(iroh_store *s, reader *r, iroh_hash *root) {
    uint8_t names[HEADER_LEN + INPUT_MAX], sequence[SEQUENCE_MAX + sizeof(iroh_hash)] = {0};
    size_t choice = reader_u16(r), len = choice & SEQUENCE_MAX, left = reader_left(r), at = 0;
    iroh_hash hash;
    if ((choice & WITH_HEADER) != 0) {
        memcpy(names, header, HEADER_LEN);
        at = HEADER_LEN;
    }
    if (left > 0)
        memcpy(names + at, reader_bytes(r, left), left);
    add(s, names, at + left, &hash);
    for (size_t i = 0; i < len; i += sizeof hash)
        sequence[i] = (uint8_t)(i / sizeof hash);
    memcpy(sequence, &hash, sizeof hash);
    add(s, sequence, len, root);
}

static bool same_entry(const iroh_collection *a, size_t i, const iroh_collection *b, size_t j) {
    size_t a_len, b_len;
    const char *a_name = iroh_collection_name(a, i, &a_len), *b_name = iroh_collection_name(b, j, &b_len);
    iroh_hash a_hash = iroh_collection_hash(a, i), b_hash = iroh_collection_hash(b, j);
    return a_len == b_len && (a_len == 0 || memcmp(a_name, b_name, a_len) == 0) &&
           memcmp(&a_hash, &b_hash, sizeof a_hash) == 0;
}

static void check_saved(iroh_store *s, const iroh_collection *c) {
    iroh_hash root;
    iroh_collection *again;
    require(iroh_collection_save(c, s, NULL, &root) == 0);
    require(iroh_collection_load(s, &root, &again) == 0);
    require(iroh_collection_count(again) == iroh_collection_count(c));
    for (size_t i = 0; i < iroh_collection_count(c); i++)
        require(same_entry(c, i, again, i));
    iroh_collection_free(again);
}

// A safe name has only parts that can be files or folders.
static void check_name(const char *name, size_t len) {
    char text[INPUT_MAX + 3];
    require(len <= INPUT_MAX && utf8_valid(name, len));
    if (!iroh_name_is_safe(name, len))
        return;
    (void)snprintf(text, sizeof text, "/%.*s/", (int)len, name);
    require(strlen(text) == len + 2 && strchr(text, '\\') == NULL);
    require(strstr(text, "//") == NULL && strstr(text, "/./") == NULL && strstr(text, "/../") == NULL);
}

static void check_order(const iroh_collection *c) {
    size_t len, next_len;
    for (size_t i = 0; i + 1 < iroh_collection_count(c); i++) {
        const char *name = iroh_collection_name(c, i, &len), *next = iroh_collection_name(c, i + 1, &next_len);
        int order = memcmp(name, next, len < next_len ? len : next_len);
        require(order < 0 || (order == 0 && len <= next_len));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    iroh_store *s;
    iroh_collection *c;
    iroh_hash root;
    reader r = reader_of(data, size);
    if (size > INPUT_MAX)
        return 0;
    require(iroh_store_memory(NULL, &s) == 0);
    make(s, &r, &root);
    if (iroh_collection_load(s, &root, &c) == 0) {
        for (size_t i = 0; i < iroh_collection_count(c); i++) {
            size_t len;
            const char *name = iroh_collection_name(c, i, &len);
            check_name(name, len);
        }
        check_saved(s, c);
        iroh_collection_sort(c);
        check_order(c);
        check_saved(s, c);
    } else {
        require(c == NULL);
    }
    iroh_collection_free(c);
    iroh_store_free(s);
    return 0;
}
