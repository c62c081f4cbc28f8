#include "blobs/downloader_pick.h"

#include "base/clock.h"

// Index of the first range that ends after `value`.
static size_t seek(const ranges *set, uint64_t value) {
    const range *items = ranges_items(set);
    size_t low = 0, high = ranges_count(set);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (items[mid].end <= value)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

// Moves `value` to the end of the range that it is in: false when it is in none.
static bool leave(const ranges *set, uint64_t *value) {
    size_t i = seek(set, *value);
    if (i == ranges_count(set) || ranges_items(set)[i].start > *value)
        return false;
    *value = ranges_items(set)[i].end;
    return true;
}

bool pick_free(range *item, const ranges *const *without, size_t count) {
    for (bool moved = true; moved && item->start < item->end;) {
        moved = false;
        for (size_t i = 0; i < count; i++)
            moved |= leave(without[i], &item->start);
    }
    return item->start < item->end;
}

uint64_t pick_end(const range *item, const ranges *const *without, size_t count) {
    uint64_t end = item->end;
    for (size_t i = 0; i < count; i++) {
        size_t at = seek(without[i], item->start);
        if (at < ranges_count(without[i]) && ranges_items(without[i])[at].start < end)
            end = ranges_items(without[i])[at].start;
    }
    return end;
}

uint64_t pick_count(const ranges *set) {
    uint64_t n = 0;
    for (size_t i = 0; i < ranges_count(set); i++)
        n += ranges_items(set)[i].end - ranges_items(set)[i].start;
    return n;
}

bool pick_has(const ranges *set, uint64_t value) {
    size_t i = seek(set, value);
    return i < ranges_count(set) && ranges_items(set)[i].start <= value;
}

int pick_drop(ranges *set, uint64_t count) {
    int r = 0;
    while (count > 0 && ranges_count(set) > 0 && r == 0) {
        range item = ranges_items(set)[0];
        uint64_t n = item.end - item.start < count ? item.end - item.start : count;
        r = ranges_remove(set, item.start, item.start + n);
        count -= n;
    }
    return r;
}

uint64_t plan_scale(uint64_t a, uint64_t b, uint64_t c) {
    double x = (double)a * (double)b / (double)c;
    return x < 9e18 ? (uint64_t)x : UINT64_C(9000000000000000000);
}

uint64_t plan_rate_of(uint64_t bytes, uint64_t ns) {
    uint64_t rate = plan_scale(bytes, NS_PER_S, ns > 0 ? ns : 1);
    return rate > 0 ? rate : 1;
}
