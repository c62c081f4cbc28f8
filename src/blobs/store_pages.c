// Files in memory: pages by number, so that a hole costs nothing and a claimed size allocates nothing.
//
// Pages are cut from slabs, each twice as large as the one before up to SLAB_PAGES: no more than twice what was written is
// taken. Large slabs are mapped, so that nothing has to be zeroed twice, and taken from the system in strides of a huge
// page, which costs less than a third of as many small ones. (But for a virtual machine that gives what it does not use
// back to its host: huge pages are what the host has to find anew, so that there the first blobs come slower.)
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/map.h"
#include "blobs/store_file.h"
#include "blobs/store_os.h"

#define PAGE 16384
#define SLAB_PAGES 1024                      // 16 MiB
#define STRIDE_PAGES (STORE_OS_HUGE / PAGE)  // of a mapped slab, that the system gives at once

typedef struct slab {
    uint8_t *pages;
    size_t count;
} slab;

#define LEAF_PAGES 64

// Pages next to each other, null where there is a hole.
typedef struct leaf {
    uint8_t *pages[LEAF_PAGES];
} leaf;

typedef struct page_file {
    store_file base;
    pthread_mutex_t lock;
    map leaves;  // by number of their first page / LEAF_PAGES
    uint64_t size;
    slab *slabs;
    size_t slab_count, slab_room;
    size_t cut;  // pages of the latest slab that are in use
} page_file;

// The part of [offset, offset + len) that lies in one page.
static size_t within(uint64_t offset, size_t len) {
    size_t left = PAGE - (size_t)(offset % PAGE);
    return len < left ? len : left;
}

static uint8_t *page_at(const page_file *file, uint64_t number) {
    const leaf *l = map_get(&file->leaves, number / LEAF_PAGES);
    return l != NULL ? l->pages[number % LEAF_PAGES] : NULL;
}

static int read_part(const page_file *file, uint64_t offset, uint8_t *to, size_t len) {
    if (offset > file->size || len > file->size - offset)
        return IROH_ERR_NOT_FOUND;
    while (len > 0) {
        size_t n = within(offset, len);
        const uint8_t *page = page_at(file, offset / PAGE);
        if (page != NULL)
            memcpy(to, page + offset % PAGE, n);
        else
            memset(to, 0, n);
        to += n;
        offset += n;
        len -= n;
    }
    return 0;
}

static int pages_read(store_file *f, uint64_t offset, const bao_place *parts, size_t count) {
    page_file *file = (page_file *)f;
    int r = 0;
    pthread_mutex_lock(&file->lock);
    for (size_t i = 0; i < count && r == 0; i++) {
        r = read_part(file, offset, parts[i].out, parts[i].len);
        offset += parts[i].len;
    }
    pthread_mutex_unlock(&file->lock);
    return r;
}

// Slabs

static bool is_mapped(const slab *s) {
    return s->count >= STRIDE_PAGES;
}

static void free_slab(slab *s) {
    if (is_mapped(s))
        store_os_unmap(s->pages, s->count * PAGE);
    else
        free(s->pages);
}

static int make_room(page_file *f) {
    if (f->slab_count < f->slab_room)
        return 0;
    size_t room = f->slab_room > 0 ? f->slab_room * 2 : 4;
    slab *slabs = realloc(f->slabs, room * sizeof *slabs);
    if (slabs == NULL)
        return IROH_ERR_NOMEM;
    f->slabs = slabs;
    f->slab_room = room;
    return 0;
}

static int add_slab(page_file *f) {
    int r = make_room(f);
    if (r != 0)
        return r;
    slab *s = &f->slabs[f->slab_count];
    s->count = f->slab_count > 0 ? f->slabs[f->slab_count - 1].count * 2 : 1;
    if (s->count > SLAB_PAGES)
        s->count = SLAB_PAGES;
    s->pages = is_mapped(s) ? store_os_map(s->count * PAGE) : calloc(s->count, PAGE);
    if (s->pages == NULL)
        return IROH_ERR_NOMEM;
    f->slab_count++;
    f->cut = 0;
    return 0;
}

static leaf *leaf_for(page_file *f, uint64_t number) {
    leaf *l = map_get(&f->leaves, number / LEAF_PAGES);
    if (l != NULL)
        return l;
    l = calloc(1, sizeof *l);
    if (l != NULL && map_put(&f->leaves, number / LEAF_PAGES, l) != 0) {
        free(l);
        l = NULL;
    }
    return l;
}

// Zeroes; null when out of memory.
static uint8_t *page_for(page_file *f, uint64_t number) {
    leaf *l = leaf_for(f, number);
    if (l == NULL)
        return NULL;
    uint8_t *page = l->pages[number % LEAF_PAGES];
    if (page != NULL)
        return page;
    if ((f->slab_count == 0 || f->cut == f->slabs[f->slab_count - 1].count) && add_slab(f) != 0)
        return NULL;
    page = f->slabs[f->slab_count - 1].pages + f->cut * PAGE;
    if (is_mapped(&f->slabs[f->slab_count - 1]) && f->cut % STRIDE_PAGES == 0)
        store_os_populate(page, STORE_OS_HUGE);
    l->pages[number % LEAF_PAGES] = page;
    f->cut++;
    return page;
}

static int write_piece(page_file *f, uint64_t offset, const uint8_t *from, size_t len) {
    while (len > 0) {
        size_t n = within(offset, len);
        uint8_t *page = page_for(f, offset / PAGE);
        if (page == NULL)
            return IROH_ERR_NOMEM;
        memcpy(page + offset % PAGE, from, n);
        from += n;
        offset += n;
        len -= n;
        if (offset > f->size)
            f->size = offset;
    }
    return 0;
}

static int pages_write(store_file *f, uint64_t offset, const store_piece *pieces, size_t count) {
    page_file *file = (page_file *)f;
    int r = 0;
    pthread_mutex_lock(&file->lock);
    for (size_t i = 0; i < count && r == 0; i++) {
        r = write_piece(file, offset, pieces[i].data, pieces[i].len);
        offset += pieces[i].len;
    }
    pthread_mutex_unlock(&file->lock);
    return r;
}

static void pages_reserve(store_file *f, uint64_t offset, uint64_t len) {
    (void)f, (void)offset, (void)len;
}

static int pages_size(store_file *f, uint64_t *out) {
    page_file *file = (page_file *)f;
    pthread_mutex_lock(&file->lock);
    *out = file->size;
    pthread_mutex_unlock(&file->lock);
    return 0;
}

static int pages_sync(store_file *f) {
    (void)f;
    return 0;
}

static void pages_dispose(store_file *f) {
    page_file *file = (page_file *)f;
    for (size_t i = 0; i < file->slab_count; i++)
        free_slab(&file->slabs[i]);
    free(file->slabs);
    size_t at = 0;
    uint64_t key;
    for (leaf *l; (l = map_next(&file->leaves, &at, &key)) != NULL;)
        free(l);
    map_dispose(&file->leaves);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

static const store_file_ops page_ops = {pages_read, pages_write, pages_reserve, pages_size, pages_sync, pages_dispose};

int store_file_of_pages(store_file **out) {
    page_file *f = calloc(1, sizeof *f);
    *out = f != NULL ? &f->base : NULL;
    if (f == NULL)
        return IROH_ERR_NOMEM;
    f->base.ops = &page_ops;
    atomic_init(&f->base.refs, 1);
    pthread_mutex_init(&f->lock, NULL);
    // Page numbers follow from offsets, which nobody can choose to collide at will: any seed does.
    static const uint64_t seed[2] = {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u};
    map_init(&f->leaves, seed);
    return 0;
}
