// libuv finds out what is ready, and this file calls it: the callbacks of libuv only note. So sys_loop_arm can hand
// changed watches to the kernel, which libuv does in uv_run alone, without calling anybody, and a watch can go away
// within any callback.
#include "sys/loop.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "base/list.h"
#include "sys/alarm.h"

struct sys_watch {
    uv_poll_t poll;
    sys_loop *loop;
    list_link all;    // in loop->watches
    list_link ready;  // in loop->ready while something is to be reported
    unsigned events;  // wanted
    unsigned found;   // of these, to be reported
    void (*call)(void *user, unsigned events);
    void *user;
};

struct sys_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_poll_t alarm_poll;
    sys_alarm *alarm;
    uint64_t deadline;
    uint64_t armed;  // what the alarm is set to
    uint64_t patience;
    list_link watches;
    list_link ready;
    bool woken;
    bool rang;   // the alarm
    bool stale;  // watches changed since libuv told the kernel
};

uint64_t sys_now(void) {
    return uv_hrtime();
}

uint64_t sys_wall_clock(void) {
    struct timespec t;
    (void)timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

void sys_pause(uint64_t ns) {
    struct timespec t = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    (void)nanosleep(&t, NULL);
}

// --- Watches

static int to_uv(unsigned events) {
    return ((events & SYS_READABLE) != 0 ? UV_READABLE : 0) | ((events & SYS_WRITABLE) != 0 ? UV_WRITABLE : 0);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    sys_watch *w = poll->data;
    if (status < 0) {
        // libuv gives up on a descriptor with an error. Its owner learns of the error by using it, so call for all.
        w->found = w->events;
        w->loop->stale = true;
        (void)uv_poll_start(poll, to_uv(w->events), on_poll);
    } else {
        w->found |= (events & UV_READABLE) != 0 ? SYS_READABLE : 0u;
        w->found |= (events & UV_WRITABLE) != 0 ? SYS_WRITABLE : 0u;
    }
    if (!list_linked(&w->ready))
        list_push_back(&w->loop->ready, &w->ready);
}

static void start(sys_watch *w, unsigned events) {
    w->events = events;
    w->loop->stale = true;
    // Fails only for a closing handle or when another watch has the descriptor, both of which the callers exclude.
    (void)(events == 0 ? uv_poll_stop(&w->poll) : uv_poll_start(&w->poll, to_uv(events), on_poll));
}

int sys_loop_watch(sys_loop *l, int fd, unsigned events, void (*ready)(void *user, unsigned events), void *user,
                   sys_watch **out) {
    sys_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return IROH_ERR_NOMEM;
    int error = uv_poll_init(&l->uv, &w->poll, fd);
    if (error != 0) {
        free(w);
        return error == UV_ENOMEM ? IROH_ERR_NOMEM : IROH_ERR_IO;
    }
    w->poll.data = w;
    w->loop = l;
    w->call = ready;
    w->user = user;
    list_init(&w->ready);
    list_push_back(&l->watches, &w->all);
    start(w, events);
    *out = w;
    return 0;
}

void sys_watch_set(sys_watch *w, unsigned events) {
    if (events != w->events)
        start(w, events);
}

static void on_watch_closed(uv_handle_t *h) {
    free(h->data);
}

void sys_watch_free(sys_watch *w) {
    if (w == NULL)
        return;
    list_remove(&w->all);
    list_remove(&w->ready);
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

// Each watch is called once, for what it still wants: an earlier call may have changed that, or freed it.
static void call_ready(sys_loop *l) {
    for (list_link *link; (link = list_pop_front(&l->ready)) != NULL;) {
        sys_watch *w = list_entry(link, sys_watch, ready);
        unsigned events = w->found & w->events;
        w->found = 0;
        if (events != 0)
            w->call(w->user, events);
    }
}

// --- The loop

static void on_wake(uv_async_t *wake) {
    sys_loop *l = wake->data;
    l->woken = true;
}

static void on_alarm(uv_poll_t *poll, int status, int events) {
    (void)status;
    (void)events;
    sys_loop *l = poll->data;
    l->rang = true;
}

static int start_alarm(sys_loop *l) {
    int error = sys_alarm_new(&l->alarm);
    if (error != 0)
        return error;
    l->alarm_poll.data = l;
    if (uv_poll_init(&l->uv, &l->alarm_poll, sys_alarm_fd(l->alarm)) != 0) {
        sys_alarm_free(l->alarm);
        return IROH_ERR_IO;
    }
    (void)uv_poll_start(&l->alarm_poll, UV_READABLE, on_alarm);
    return 0;
}

static int start_handles(sys_loop *l) {
    l->wake.data = l;
    if (uv_async_init(&l->uv, &l->wake, on_wake) != 0)
        return IROH_ERR_IO;
    int error = start_alarm(l);
    if (error != 0) {
        uv_close((uv_handle_t *)&l->wake, NULL);
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    }
    return error;
}

int sys_loop_new(sys_loop **out) {
    sys_loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return IROH_ERR_NOMEM;
    l->deadline = l->armed = TIME_NEVER;
    l->stale = true;
    list_init(&l->watches);
    list_init(&l->ready);
    int error = uv_loop_init(&l->uv);
    if (error != 0) {
        free(l);
        return error == UV_ENOMEM ? IROH_ERR_NOMEM : IROH_ERR_IO;
    }
    error = start_handles(l);
    if (error != 0) {
        (void)uv_loop_close(&l->uv);
        free(l);
        return error;
    }
    *out = l;
    return 0;
}

void sys_loop_free(sys_loop *l) {
    if (l == NULL)
        return;
    while (!list_empty(&l->watches))
        sys_watch_free(list_entry(l->watches.next, sys_watch, all));
    uv_close((uv_handle_t *)&l->alarm_poll, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l->uv);
    sys_alarm_free(l->alarm);
    free(l);
}

void sys_loop_set_deadline(sys_loop *l, uint64_t at) {
    l->deadline = at;
}

void sys_loop_wake(sys_loop *l) {
    (void)uv_async_send(&l->wake);
}

static int set_alarm(sys_loop *l, uint64_t at) {
    if (at == l->armed)
        return 0;
    int error = sys_alarm_set(l->alarm, at);
    if (error == 0)
        l->armed = at;
    return error;
}

static bool have_work(const sys_loop *l) {
    return !list_empty(&l->ready) || l->woken || l->rang;
}

static void collect(sys_loop *l, uv_run_mode mode) {
    l->stale = false;
    (void)uv_run(&l->uv, mode);
}

// Whoever else wants to run on this processor does meanwhile.
static void ask_again(sys_loop *l, uint64_t until) {
    uint64_t end = time_min(time_add(sys_now(), l->patience), until);
    while (!have_work(l) && sys_now() < end) {
        collect(l, UV_RUN_NOWAIT);
        sched_yield();
    }
}

static int wait_for_work(sys_loop *l, uint64_t until) {
    if (l->patience > 0)
        ask_again(l, until);
    // More than once only when libuv comes back because a freed watch is to be closed.
    while (!have_work(l)) {
        if (until <= sys_now()) {
            collect(l, UV_RUN_NOWAIT);
            return 0;
        }
        int error = set_alarm(l, until);
        if (error != 0)
            return error;
        collect(l, UV_RUN_ONCE);
    }
    return 0;
}

void sys_loop_set_patience(sys_loop *l, uint64_t ns) {
    l->patience = ns;
}

int sys_loop_run(sys_loop *l, int timeout_ms) {
    l->rang = false;
    if (timeout_ms == 0 || have_work(l)) {
        collect(l, UV_RUN_NOWAIT);
    } else {
        uint64_t limit = timeout_ms < 0 ? TIME_NEVER : sys_now() + (uint64_t)timeout_ms * NS_PER_MS;
        int error = wait_for_work(l, time_min(limit, l->deadline));
        if (error != 0)
            return error;
    }
    l->woken = false;
    call_ready(l);
    return 0;
}

int sys_loop_fd(const sys_loop *l) {
    return uv_backend_fd(&l->uv);
}

void sys_loop_arm(sys_loop *l) {
    // Without the alarm the owner of the outer loop would sleep too long: then better not at all.
    bool failed = set_alarm(l, l->deadline) != 0;
    if (l->stale)
        collect(l, UV_RUN_NOWAIT);
    // What was noted just now, a wake among it, may not show on the descriptor any more.
    if (failed || !list_empty(&l->ready) || l->woken)
        (void)uv_async_send(&l->wake);
}
