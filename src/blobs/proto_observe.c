// Items of observed blobs: the size and the boundaries of what is there, or of what changed.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "blobs/proto.h"

#define FEW 8  // boundaries that are put into a list one by one

void proto_have_dispose(proto_have *h) {
    free(h->at);
    *h = (proto_have){0};
}

int proto_have_resize(proto_have *h, size_t count) {
    if (count > h->room) {
        size_t room = h->room * 2 > count ? h->room * 2 : count;
        uint64_t *at = realloc(h->at, room * sizeof *at);
        if (at == NULL)
            return IROH_ERR_NOMEM;
        h->at = at;
        h->room = room;
    }
    h->count = count;
    return 0;
}

int proto_have_read(const uint8_t *item, size_t len, proto_have *out) {
    postcard p = postcard_of(item, len);
    out->size = postcard_u64(&p);
    uint64_t count = postcard_u64(&p);
    if (count > reader_left(&p.in))
        postcard_fail(&p, IROH_ERR_TRUNCATED);
    if (p.error != 0)
        return p.error;
    int r = proto_have_resize(out, (size_t)count);
    for (size_t i = 0; i < out->count && r == 0; i++) {
        out->at[i] = postcard_u64(&p);
        if (p.error == 0 && i > 0 && out->at[i] <= out->at[i - 1])
            postcard_fail(&p, IROH_ERR_SYNTAX);
        r = p.error;
    }
    return r;
}

static size_t item_size(const proto_have *h) {
    size_t size = postcard_u64_size(h->size) + postcard_u64_size(h->count);
    for (size_t i = 0; i < h->count; i++)
        size += postcard_u64_size(h->at[i]);
    return size;
}

size_t proto_have_size(const proto_have *h) {
    size_t size = item_size(h);
    return postcard_u64_size(size) + size;
}

void proto_have_write(writer *w, const proto_have *h) {
    postcard_write_u64(w, item_size(h));
    postcard_write_u64(w, h->size);
    postcard_write_u64(w, h->count);
    for (size_t i = 0; i < h->count; i++)
        postcard_write_u64(w, h->at[i]);
}

static uint64_t end_of(const proto_have *h) {
    return h->count % 2 == 1 ? UINT64_MAX : h->count > 0 ? h->at[h->count - 1] : 0;
}

// Whoever knows of chunks further on knows the size better.
static uint64_t better_size(const proto_have *a, const proto_have *b) {
    uint64_t end_a = end_of(a), end_b = end_of(b);
    if (end_a != end_b)
        return end_a > end_b ? a->size : b->size;
    return a->size > b->size ? a->size : b->size;
}

// Goes through both lists of boundaries and keeps those where the combination of the two sets changes.
static int combine(const proto_have *a, const proto_have *b, bool exclusive, proto_have *out) {
    size_t i = 0, j = 0, n = 0;
    bool in_a = false, in_b = false, in = false;
    int r = proto_have_resize(out, a->count + b->count);
    if (r != 0)
        return r;
    while (i < a->count || j < b->count) {
        bool from_a = j == b->count || (i < a->count && a->at[i] <= b->at[j]);
        bool from_b = i == a->count || (j < b->count && b->at[j] <= a->at[i]);
        uint64_t at = from_a ? a->at[i] : b->at[j];
        in_a ^= from_a;
        in_b ^= from_b;
        i += from_a;
        j += from_b;
        bool now = exclusive ? in_a != in_b : in_a || in_b;
        if (now != in)
            out->at[n++] = at;
        in = now;
    }
    out->count = n;
    return 0;
}

int proto_have_difference(const proto_have *a, const proto_have *b, proto_have *out) {
    out->size = better_size(a, b);
    return combine(a, b, true, out);
}

// Index of the first boundary at or after `value`.
static size_t seek(const proto_have *h, uint64_t value) {
    size_t low = 0, high = h->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (h->at[mid] < value)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

// Adds one range, for which there is room. `endless`: it has no end.
static void insert(proto_have *h, uint64_t start, uint64_t end, bool endless) {
    size_t from = seek(h, start), to = endless ? h->count : seek(h, end);
    to += to < h->count && h->at[to] == end && !endless;
    // What lies between two boundaries goes; `start` and `end` are boundaries where nothing was there before.
    uint64_t fresh[2];
    size_t n = 0;
    if (from % 2 == 0)
        fresh[n++] = start;
    if (to % 2 == 0 && !endless)
        fresh[n++] = end;
    memmove(h->at + from + n, h->at + to, (h->count - to) * sizeof *h->at);
    memcpy(h->at + from, fresh, n * sizeof *fresh);
    h->count = from + n + h->count - to;
}

// A few ranges need not go through all that is known.
static int insert_few(proto_have *h, const proto_have *more) {
    size_t count = h->count;
    int r = proto_have_resize(h, count + more->count);
    if (r != 0)
        return r;
    h->count = count;
    for (size_t i = 0; i < more->count; i += 2) {
        bool endless = i + 1 == more->count;
        insert(h, more->at[i], endless ? 0 : more->at[i + 1], endless);
    }
    return 0;
}

static int merge_all(proto_have *h, const proto_have *more) {
    proto_have both = {0};
    int r = combine(h, more, false, &both);
    if (r == 0 && both.count > PROTO_MESSAGE_MAX)
        r = IROH_ERR_TOO_LARGE;
    if (r != 0) {
        proto_have_dispose(&both);
        return r;
    }
    proto_have_dispose(h);
    *h = both;
    return 0;
}

int proto_have_merge(proto_have *h, const proto_have *more) {
    uint64_t size = better_size(h, more);
    bool few = more->count <= FEW && h->count + more->count <= PROTO_MESSAGE_MAX;
    int r = few ? insert_few(h, more) : merge_all(h, more);
    if (r == 0)
        h->size = size;
    return r;
}

// News

void proto_news_dispose(proto_news *n) {
    free(n->items);
    *n = (proto_news){0};
}

static int make_room(proto_news *n, size_t count) {
    if (count <= n->room)
        return 0;
    size_t room = n->room * 2 > count ? n->room * 2 : count;
    range *items = realloc(n->items, room * sizeof *items);
    if (items == NULL)
        return IROH_ERR_NOMEM;
    n->items = items;
    n->room = room;
    return 0;
}

int proto_news_add(proto_news *n, const proto_have *item) {
    int r = make_room(n, n->count + (item->count + 1) / 2);
    if (r != 0)
        return r;
    for (size_t i = 0; i < item->count; i += 2) {
        uint64_t end = i + 1 < item->count ? item->at[i + 1] : UINT64_MAX;
        n->items[n->count++] = (range){item->at[i], end};
    }
    uint64_t end = end_of(item);
    if (end > n->end || (end == n->end && item->size > n->size))
        n->size = item->size;
    n->end = end > n->end ? end : n->end;
    return 0;
}

static int compare(const void *a, const void *b) {
    uint64_t x = ((const range *)a)->start, y = ((const range *)b)->start;
    return (x > y) - (x < y);
}

// Puts what is sorted together, in its place; how many there are.
static size_t unite(range *items, size_t count) {
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        if (n > 0 && items[i].start <= items[n - 1].end) {
            if (items[i].end > items[n - 1].end)
                items[n - 1].end = items[i].end;
        } else {
            items[n++] = items[i];
        }
    }
    return n;
}

int proto_news_merge(proto_news *n, proto_have *h) {
    proto_have more = {.size = n->size};
    if (n->count > 1)
        qsort(n->items, n->count, sizeof *n->items, compare);
    size_t count = unite(n->items, n->count);
    int r = proto_have_resize(&more, 2 * count);
    for (size_t i = 0; i < count && r == 0; i++) {
        more.at[2 * i] = n->items[i].start;
        more.at[2 * i + 1] = n->items[i].end;
    }
    if (count > 0 && r == 0 && n->items[count - 1].end == UINT64_MAX)
        more.count--;  // there is no end
    if (r == 0)
        r = proto_have_merge(h, &more);
    proto_have_dispose(&more);
    n->count = 0;
    n->size = n->end = 0;
    return r;
}
