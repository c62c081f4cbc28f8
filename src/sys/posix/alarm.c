// Any other Unix: a thread that sleeps until the time comes and then puts a byte into a pipe. Setting it anew takes the
// byte back.
#include "sys/alarm.h"

#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include <iroh/error.h>

#include "base/clock.h"

struct sys_alarm {
    uv_thread_t thread;
    uv_mutex_t lock;  // of all below
    uv_cond_t changed;
    uv_file pipe[2];
    uint64_t at;
    bool rang;  // a byte is in the pipe
    bool stop;
};

static void ring(sys_alarm *a) {
    char c = 0;
    a->rang = write(a->pipe[1], &c, 1) == 1;
}

static void sleep_and_ring(void *user) {
    sys_alarm *a = user;
    uv_mutex_lock(&a->lock);
    while (!a->stop) {
        uint64_t now = uv_hrtime();
        if (a->rang || a->at == TIME_NEVER)
            uv_cond_wait(&a->changed, &a->lock);
        else if (a->at > now)
            (void)uv_cond_timedwait(&a->changed, &a->lock, a->at - now);
        else
            ring(a);
    }
    uv_mutex_unlock(&a->lock);
}

// 0, or a negative result with nothing left behind.
static int start(sys_alarm *a) {
    a->at = TIME_NEVER;
    if (uv_pipe(a->pipe, UV_NONBLOCK_PIPE, UV_NONBLOCK_PIPE) != 0)
        return IROH_ERR_IO;
    if (uv_mutex_init(&a->lock) != 0)
        goto no_lock;
    if (uv_cond_init(&a->changed) != 0)
        goto no_condition;
    if (uv_thread_create(&a->thread, sleep_and_ring, a) == 0)
        return 0;
    uv_cond_destroy(&a->changed);
no_condition:
    uv_mutex_destroy(&a->lock);
no_lock:
    (void)close(a->pipe[0]);
    (void)close(a->pipe[1]);
    return IROH_ERR_IO;
}

int sys_alarm_new(sys_alarm **out) {
    sys_alarm *a = calloc(1, sizeof *a);
    if (a == NULL)
        return IROH_ERR_NOMEM;
    int error = start(a);
    if (error != 0) {
        free(a);
        return error;
    }
    *out = a;
    return 0;
}

void sys_alarm_free(sys_alarm *a) {
    if (a == NULL)
        return;
    uv_mutex_lock(&a->lock);
    a->stop = true;
    uv_cond_signal(&a->changed);
    uv_mutex_unlock(&a->lock);
    (void)uv_thread_join(&a->thread);
    uv_cond_destroy(&a->changed);
    uv_mutex_destroy(&a->lock);
    (void)close(a->pipe[0]);
    (void)close(a->pipe[1]);
    free(a);
}

int sys_alarm_fd(const sys_alarm *a) {
    return a->pipe[0];
}

int sys_alarm_set(sys_alarm *a, uint64_t at) {
    char c;
    uv_mutex_lock(&a->lock);
    bool taken = !a->rang || read(a->pipe[0], &c, 1) == 1;
    a->rang = a->rang && !taken;
    a->at = at;
    uv_cond_signal(&a->changed);
    uv_mutex_unlock(&a->lock);
    return taken ? 0 : IROH_ERR_IO;
}
