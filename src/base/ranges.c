#include "base/ranges.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

static range *items(ranges *r) {
    return r->heap != NULL ? r->heap : r->inline_items;
}

const range *ranges_items(const ranges *r) {
    return r->heap != NULL ? r->heap : r->inline_items;
}

void ranges_dispose(ranges *r) {
    free(r->heap);
    *r = RANGES_INIT;
}

void ranges_clear(ranges *r) {
    r->count = 0;
}

static int grow(ranges *r) {
    uint32_t capacity = r->heap != NULL ? r->capacity : RANGES_INLINE;
    if (r->count < capacity)
        return 0;
    range *heap = realloc(r->heap, 2 * (size_t)capacity * sizeof *heap);
    if (heap == NULL)
        return IROH_ERR_NOMEM;
    if (r->heap == NULL)
        memcpy(heap, r->inline_items, sizeof r->inline_items);
    r->heap = heap;
    r->capacity = 2 * capacity;
    return 0;
}

// Index of the first range that ends at or after `value`.
static uint32_t first_reaching(const ranges *r, uint64_t value) {
    const range *a = ranges_items(r);
    uint32_t low = 0, high = r->count;
    // New values are usually at the end.
    if (high > 0 && a[high - 1].end < value)
        return high;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (a[mid].end < value)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int insert_at(ranges *r, uint32_t i, range v) {
    int e = grow(r);
    if (e != 0)
        return e;
    range *a = items(r);
    memmove(a + i + 1, a + i, (r->count - i) * sizeof *a);
    a[i] = v;
    r->count++;
    return 0;
}

static void erase(ranges *r, uint32_t from, uint32_t to) {
    range *a = items(r);
    memmove(a + from, a + to, (r->count - to) * sizeof *a);
    r->count -= to - from;
}

int ranges_add(ranges *r, uint64_t start, uint64_t end) {
    uint32_t i = first_reaching(r, start);
    range *a = items(r);
    if (i == r->count || a[i].start > end)
        return insert_at(r, i, (range){.start = start, .end = end});
    // Swallow every range that touches the new one.
    uint32_t last = i;
    while (last + 1 < r->count && a[last + 1].start <= end)
        last++;
    if (start < a[i].start)
        a[i].start = start;
    uint64_t top = a[last].end > end ? a[last].end : end;
    a[i].end = top;
    if (last > i)
        erase(r, i + 1, last + 1);
    return 0;
}

int ranges_remove(ranges *r, uint64_t start, uint64_t end) {
    uint32_t i = start < UINT64_MAX ? first_reaching(r, start + 1) : r->count;
    range *a = items(r);
    if (i < r->count && a[i].start < start && a[i].end > end) {
        range tail = {.start = end, .end = a[i].end};
        int e = insert_at(r, i + 1, tail);
        if (e == 0)
            items(r)[i].end = start;
        return e;
    }
    if (i < r->count && a[i].start < start)
        a[i++].end = start;
    uint32_t last = i;
    while (last < r->count && a[last].end <= end)
        last++;
    erase(r, i, last);
    if (i < r->count && items(r)[i].start < end)
        items(r)[i].start = end;
    return 0;
}

void ranges_drop_first(ranges *r) {
    if (r->count > 0)
        erase(r, 0, 1);
}

bool ranges_contains(const ranges *r, uint64_t value) {
    return ranges_covers(r, value, value + 1);
}

bool ranges_covers(const ranges *r, uint64_t start, uint64_t end) {
    if (start == end)
        return true;
    uint32_t i = first_reaching(r, start + 1);
    const range *a = ranges_items(r);
    return i < r->count && a[i].start <= start && a[i].end >= end;
}
