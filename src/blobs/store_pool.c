#include "blobs/store_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include <iroh/error.h>

#define THREADS_MAX 64

// What one caller wants done; lives on its stack.
typedef struct job {
    struct job *next;
    void (*task)(void *arg, size_t i);
    void *arg;
    size_t count;
    atomic_size_t taken;
    unsigned helpers;  // workers at it, under the pool's lock
} job;

struct store_pool {
    blake3_executor executor;
    unsigned helpers;          // asked for, without the caller
    unsigned wanted, started;  // under the lock
    pthread_mutex_t lock;
    pthread_cond_t work, left;
    job *jobs;
    bool stop;
    pthread_t threads[THREADS_MAX];
};

static void work_on(job *j) {
    size_t i;
    while ((i = atomic_fetch_add_explicit(&j->taken, 1, memory_order_relaxed)) < j->count)
        j->task(j->arg, i);
}

// The first job with something left; those without are on their way out.
static job *find_job(store_pool *p) {
    job *j = p->jobs;
    while (j != NULL && atomic_load_explicit(&j->taken, memory_order_relaxed) >= j->count)
        j = j->next;
    return j;
}

static void *worker(void *arg) {
    store_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        job *j = find_job(p);
        if (j == NULL) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        j->helpers++;
        pthread_mutex_unlock(&p->lock);
        work_on(j);
        pthread_mutex_lock(&p->lock);
        if (--j->helpers == 0)
            pthread_cond_broadcast(&p->left);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

// With the lock held. Signals are for the program's own threads.
static void start(store_pool *p) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->started < p->wanted && pthread_create(&p->threads[p->started], NULL, worker, p) == 0)
        p->started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->wanted = p->started;  // what could not be started now will not be tried again
}

static void run(void *user, void (*task)(void *arg, size_t i), void *arg, size_t count) {
    store_pool *p = user;
    job j = {.task = task, .arg = arg, .count = count};
    atomic_init(&j.taken, 0);
    pthread_mutex_lock(&p->lock);
    if (p->started < p->wanted)
        start(p);
    j.next = p->jobs;
    p->jobs = &j;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    work_on(&j);
    pthread_mutex_lock(&p->lock);
    job **at = &p->jobs;
    while (*at != &j)
        at = &(*at)->next;
    *at = j.next;
    while (j.helpers > 0)
        pthread_cond_wait(&p->left, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

int store_pool_new(unsigned threads, store_pool **out) {
    store_pool *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return IROH_ERR_NOMEM;
    p->helpers = threads > THREADS_MAX ? THREADS_MAX - 1 : threads > 0 ? threads - 1 : 0;
    p->wanted = p->helpers;
    p->executor = (blake3_executor){.user = p, .run = run};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->left, NULL);
    return 0;
}

void store_pool_free(store_pool *p) {
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->left);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

const blake3_executor *store_pool_executor(store_pool *p) {
    return p->helpers > 0 ? &p->executor : NULL;
}
