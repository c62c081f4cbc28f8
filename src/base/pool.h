// Pool of equal-sized objects: takes memory in slabs and recycles objects through a free list, so that the packet path
// allocates nothing in the steady state. A pool made with POOL_MALLOC hands every object to malloc and free instead,
// for sanitizers. Not thread-safe. Objects are returned uninitialised.
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stddef.h>

enum { POOL_SLABS = 0, POOL_MALLOC = 1 };

typedef struct pool {
    size_t size;      // of an object, rounded up to 16
    size_t per_slab;  // objects in a slab
    int mode;
    void *free_list;
    void *slabs;
    size_t in_use;
} pool;

void pool_init(pool *p, size_t object_size, size_t per_slab, int mode);
void pool_dispose(pool *p);             // all objects must be back (asserted in debug builds); frees the slabs
void *pool_take(pool *p);               // null when out of memory
void pool_give(pool *p, void *object);  // null is ignored

#endif
