#include "blobs/buffers.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct buffers {
    pthread_mutex_t lock;
    size_t size;
    size_t out;  // taken and not given back
    bool over;   // nobody takes any more
    size_t count;
    uint8_t *spare[BUFFERS_SPARE];
};

buffers *buffers_new(size_t size) {
    buffers *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->size = size;
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

static void dispose(buffers *b) {
    for (size_t i = 0; i < b->count; i++)
        free(b->spare[i]);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void buffers_free(buffers *b) {
    if (b == NULL)
        return;
    pthread_mutex_lock(&b->lock);
    b->over = true;
    bool last = b->out == 0;
    pthread_mutex_unlock(&b->lock);
    if (last)
        dispose(b);
}

uint8_t *buffers_take(buffers *b) {
    uint8_t *buffer = NULL;
    pthread_mutex_lock(&b->lock);
    if (b->count > 0)
        buffer = b->spare[--b->count];
    else
        buffer = malloc(b->size);
    b->out += buffer != NULL;
    pthread_mutex_unlock(&b->lock);
    return buffer;
}

void buffers_give(buffers *b, uint8_t *buffer) {
    if (buffer == NULL)
        return;
    pthread_mutex_lock(&b->lock);
    b->out--;
    if (b->count < BUFFERS_SPARE)
        b->spare[b->count++] = buffer;
    else
        free(buffer);
    while (b->out == 0 && b->count > 1)
        free(b->spare[--b->count]);
    bool last = b->out == 0 && b->over;
    pthread_mutex_unlock(&b->lock);
    if (last)
        dispose(b);
}

void buffers_release(void *user, const void *data) {
    buffers_give(user, (uint8_t *)(uintptr_t)data);
}
