#include "base/heap.h"

#include <stdlib.h>

#include <iroh/error.h>

#define HEAP_MIN 16

void heap_dispose(heap *h) {
    for (size_t i = 0; i < h->count; i++)
        h->items[i]->index = 0;
    free(h->items);
    *h = HEAP_INIT;
}

int heap_reserve(heap *h, size_t count) {
    if (count <= h->capacity)
        return 0;
    size_t capacity = h->capacity == 0 ? HEAP_MIN : h->capacity;
    while (capacity < count)
        capacity *= 2;
    heap_item **items = realloc(h->items, capacity * sizeof(heap_item *));
    if (items == NULL)
        return IROH_ERR_NOMEM;
    h->items = items;
    h->capacity = capacity;
    return 0;
}

static void place(heap *h, heap_item *item, size_t i) {
    h->items[i] = item;
    item->index = i + 1;
}

static void sift_up(heap *h, heap_item *item, size_t i) {
    while (i > 0 && h->items[(i - 1) / 2]->at > item->at) {
        place(h, h->items[(i - 1) / 2], i);
        i = (i - 1) / 2;
    }
    place(h, item, i);
}

static void sift_down(heap *h, heap_item *item, size_t i) {
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < h->count && h->items[child + 1]->at < h->items[child]->at)
            child++;
        if (child >= h->count || h->items[child]->at >= item->at)
            break;
        place(h, h->items[child], i);
        i = child;
    }
    place(h, item, i);
}

int heap_set(heap *h, heap_item *item, uint64_t at) {
    if (item->index == 0) {
        int r = heap_reserve(h, h->count + 1);
        if (r != 0)
            return r;
        item->at = at;
        h->count++;
        sift_up(h, item, h->count - 1);
        return 0;
    }
    bool later = at > item->at;
    item->at = at;
    if (later)
        sift_down(h, item, item->index - 1);
    else
        sift_up(h, item, item->index - 1);
    return 0;
}

void heap_remove(heap *h, heap_item *item) {
    if (item->index == 0)
        return;
    size_t i = item->index - 1;
    item->index = 0;
    heap_item *last = h->items[--h->count];
    if (last == item)
        return;
    if (i > 0 && h->items[(i - 1) / 2]->at > last->at)
        sift_up(h, last, i);
    else
        sift_down(h, last, i);
}

heap_item *heap_first(const heap *h) {
    return h->count > 0 ? h->items[0] : NULL;
}
