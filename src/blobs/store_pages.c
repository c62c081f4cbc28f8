// Files in memory: pages by number, so that a hole costs nothing and a claimed size allocates nothing.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/map.h"
#include "blobs/store_file.h"

#define PAGE 16384

typedef struct page_file {
    store_file base;
    pthread_mutex_t lock;
    map pages;
    uint64_t size;
} page_file;

// The part of [offset, offset + len) that lies in one page.
static size_t within(uint64_t offset, size_t len) {
    size_t left = PAGE - (size_t)(offset % PAGE);
    return len < left ? len : left;
}

static int pages_read(store_file *f, uint64_t offset, void *out, size_t len) {
    page_file *file = (page_file *)f;
    uint8_t *to = out;
    pthread_mutex_lock(&file->lock);
    int r = offset > file->size || len > file->size - offset ? IROH_ERR_NOT_FOUND : 0;
    while (r == 0 && len > 0) {
        size_t n = within(offset, len);
        const uint8_t *page = map_get(&file->pages, offset / PAGE);
        if (page != NULL)
            memcpy(to, page + offset % PAGE, n);
        else
            memset(to, 0, n);
        to += n;
        offset += n;
        len -= n;
    }
    pthread_mutex_unlock(&file->lock);
    return r;
}

static uint8_t *page_for(page_file *f, uint64_t number) {
    uint8_t *page = map_get(&f->pages, number);
    if (page == NULL && (page = calloc(1, PAGE)) != NULL && map_put(&f->pages, number, page) != 0) {
        free(page);
        return NULL;
    }
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
    size_t at = 0;
    uint64_t number;
    void *page;
    while ((page = map_next(&file->pages, &at, &number)) != NULL)
        free(page);
    map_dispose(&file->pages);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

static const store_file_ops page_ops = {pages_read, pages_write, pages_size, pages_sync, pages_dispose};

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
    map_init(&f->pages, seed);
    return 0;
}
