// Binary min-heap of deadlines, intrusive: each object carries a `heap_item`, so changing or removing one is O(log n)
// and an item that is not due costs one slot of the array.
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct heap_item {
    uint64_t at;   // ns; meaningful while in the heap
    size_t index;  // place in the array + 1; 0: not in a heap
} heap_item;

typedef struct heap {
    heap_item **items;
    size_t count;
    size_t capacity;
} heap;

#define HEAP_INIT ((heap){0})
#define heap_entry(item, type, member) ((type *)(void *)((char *)(item)-offsetof(type, member)))

void heap_dispose(heap *h);

// Makes room for `count` items in all; up to that number heap_set cannot fail. 0 or IROH_ERR_NOMEM.
int heap_reserve(heap *h, size_t count);

// Inserts the item or moves it to its new time. IROH_ERR_NOMEM only on insert without reserved room.
int heap_set(heap *h, heap_item *item, uint64_t at);

void heap_remove(heap *h, heap_item *item);  // no-op when it is in no heap

heap_item *heap_first(const heap *h);  // the earliest, null when empty

#endif
