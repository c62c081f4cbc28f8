#include "blobs/store_have.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "base/postcard.h"

int store_have_encode(const ranges *have, uint8_t **out, size_t *len) {
    size_t room = 20 * ranges_count(have) + 1;
    uint8_t *bytes = malloc(room);
    if (bytes == NULL)
        return IROH_ERR_NOMEM;
    writer w = {.p = bytes, .end = bytes + room, .start = bytes, .failed = false};
    uint64_t last = 0;
    for (size_t i = 0; i < ranges_count(have); i++) {
        const range *r = &ranges_items(have)[i];
        postcard_write_u64(&w, r->start - last);
        postcard_write_u64(&w, r->end - r->start);
        last = r->end;
    }
    *out = bytes;
    *len = (size_t)(w.p - w.start);
    return 0;
}

int store_have_decode(const void *bytes, size_t len, ranges *out) {
    postcard p = postcard_of(bytes, len);
    uint64_t at = 0;
    while (p.error == 0 && reader_left(&p.in) > 0) {
        uint64_t start = at + postcard_u64(&p), end = start + postcard_u64(&p);
        if (p.error != 0 || start < at || end <= start)
            return IROH_ERR_CORRUPT;
        int r = ranges_add(out, start, end);
        if (r != 0)
            return r;
        at = end;
    }
    return p.error == 0 ? 0 : IROH_ERR_CORRUPT;
}
