#include "base/pool.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

typedef struct free_object {
    struct free_object *next;
} free_object;

typedef struct slab {
    struct slab *next;
    alignas(16) unsigned char objects[];
} slab;

void pool_init(pool *p, size_t object_size, size_t per_slab, int mode) {
    *p = (pool){.size = (object_size + 15) / 16 * 16, .per_slab = per_slab, .mode = mode};
}

void pool_dispose(pool *p) {
    assert(p->in_use == 0);
    slab *s = p->slabs;
    while (s != NULL) {
        slab *next = s->next;
        free(s);
        s = next;
    }
    p->slabs = p->free_list = NULL;
}

static void *grow(pool *p) {
    slab *s = malloc(sizeof *s + p->size * p->per_slab);
    if (s == NULL)
        return NULL;
    s->next = p->slabs;
    p->slabs = s;
    for (size_t i = p->per_slab; i-- > 1;) {
        free_object *o = (free_object *)(void *)(s->objects + i * p->size);
        o->next = p->free_list;
        p->free_list = o;
    }
    return s->objects;
}

void *pool_take(pool *p) {
    void *object;
    if (p->mode == POOL_MALLOC) {
        object = malloc(p->size);
    } else if (p->free_list != NULL) {
        free_object *o = p->free_list;
        p->free_list = o->next;
        object = o;
    } else {
        object = grow(p);
    }
    p->in_use += object != NULL;
    return object;
}

void pool_give(pool *p, void *object) {
    if (object == NULL)
        return;
    p->in_use--;
    if (p->mode == POOL_MALLOC) {
        free(object);
        return;
    }
    free_object *o = object;
    o->next = p->free_list;
    p->free_list = o;
}
