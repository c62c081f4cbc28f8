#include "endpoint/roots.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <iroh/error.h>

struct roots_reader {
    sys_loop *loop;
    char *ca_file;
    uv_thread_t thread;
    atomic_bool done;  // the thread's last word; then these are there:
    web_roots *roots;  // null: see error
    int error;
};

// --- Those of the system

static uv_once_t once = UV_ONCE_INIT;
static uv_mutex_t lock;  // of the two below; held while they are read, so that two readers do it once
static web_roots *shared;
static uint64_t shared_since;  // ns

static void make_lock(void) {
    if (uv_mutex_init(&lock) != 0)
        abort();
}

// Old ones are better than none.
static int refresh(void) {
    web_roots *fresh;
    if (shared != NULL && sys_now() - shared_since <= ROOTS_AGE_MAX)
        return 0;
    int r = web_roots_new(NULL, &fresh);
    if (r != 0)
        return shared != NULL ? 0 : r;
    web_roots_unref(shared);
    shared = fresh;
    shared_since = sys_now();
    return 0;
}

static int read_system(web_roots **out) {
    uv_once(&once, make_lock);
    uv_mutex_lock(&lock);
    int r = refresh();
    if (r == 0)
        *out = web_roots_ref(shared);
    uv_mutex_unlock(&lock);
    return r;
}

// --- A reader

static void read_roots(void *user) {
    roots_reader *r = user;
    r->error = r->ca_file != NULL ? web_roots_new(r->ca_file, &r->roots) : read_system(&r->roots);
    atomic_store_explicit(&r->done, true, memory_order_release);
    sys_loop_wake(r->loop);
}

// The program's signals are for the program's threads.
static int start(roots_reader *r) {
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return IROH_ERR_IO;
    int error = uv_thread_create(&r->thread, read_roots, r);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? 0 : IROH_ERR_IO;
}

static void drop(roots_reader *r) {
    web_roots_unref(r->roots);
    free(r->ca_file);
    free(r);
}

int roots_read(sys_loop *l, const char *ca_file, roots_reader **out) {
    roots_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return IROH_ERR_NOMEM;
    r->loop = l;
    atomic_init(&r->done, false);
    r->ca_file = ca_file != NULL ? strdup(ca_file) : NULL;
    int error = ca_file != NULL && r->ca_file == NULL ? IROH_ERR_NOMEM : start(r);
    if (error != 0) {
        drop(r);
        return error;
    }
    *out = r;
    return 0;
}

int roots_result(roots_reader *r, web_roots **out) {
    if (!atomic_load_explicit(&r->done, memory_order_acquire))
        return IROH_ERR_AGAIN;
    if (r->error == 0)
        *out = web_roots_ref(r->roots);
    return r->error;
}

void roots_reader_free(roots_reader *r) {
    if (r == NULL)
        return;
    uv_thread_join(&r->thread);
    drop(r);
}
