// How calls wait, with and without a thread of the endpoint's.
//
// A handle has a list of those that wait for it. What happens to the handle marks the ones that care; they are told when
// the lock is given back, so that they do not wake only to wait for the lock. Marking is level-free: whoever was told
// looks again and may find that another was faster.
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint/state.h"

static void tell(iroh_endpoint *ep) {
    list_link *l;
    while ((l = list_pop_front(&ep->fired)) != NULL) {
        waiter *w = list_entry(l, waiter, told);
        if (w->wake_fd >= 0)
            (void)!write(w->wake_fd, "", 1);  // a full pipe wakes as well
        else if (w->sleeps)
            uv_cond_signal(&w->cond);
    }
}

// The loop sleeps until `armed`; it must know when the core wants to act before.
static void wake_loop(iroh_endpoint *ep) {
    if (ep->core == NULL || ep->armed == 0 || !(ep->own_thread || ep->foreign))
        return;
    if (driver_deadline(ep) < ep->armed || ep->watch_stale) {
        ep->armed = 0;
        sys_loop_wake(ep->loop);
    }
}

void endpoint_enter(iroh_endpoint *ep) {
    uv_mutex_lock(&ep->lock);
}

void endpoint_leave(iroh_endpoint *ep) {
    wake_loop(ep);
    tell(ep);
    uv_mutex_unlock(&ep->lock);
}

void endpoint_leave_for_good(iroh_endpoint *ep) {
    bool last = --ep->refs == 0;
    endpoint_leave(ep);
    if (!last)
        return;
    uv_mutex_destroy(&ep->lock);
    free(ep);
}

void wait_fire(iroh_endpoint *ep, list_link *waiters, unsigned events) {
    for (list_link *l = waiters->next; l != waiters; l = l->next) {
        wait_node *n = list_entry(l, wait_node, link);
        if ((n->events & events) == 0 || n->waiter->fired)
            continue;
        n->waiter->fired = true;
        list_push_back(&ep->fired, &n->waiter->told);
    }
}

void waiter_init(waiter *w, const iroh_endpoint *ep, int wake_fd) {
    list_init(&w->told);
    w->fired = false;
    w->wake_fd = wake_fd;
    w->sleeps = ep->own_thread && wake_fd < 0 && uv_cond_init(&w->cond) == 0;
}

void waiter_reset(waiter *w) {
    list_remove(&w->told);
    w->fired = false;
}

void waiter_dispose(waiter *w) {
    list_remove(&w->told);
    if (w->sleeps)
        uv_cond_destroy(&w->cond);
}

uint64_t wait_until(int timeout_ms) {
    if (timeout_ms == 0)
        return 0;
    return timeout_ms < 0 ? TIME_NEVER : time_add(sys_now(), (uint64_t)timeout_ms * NS_PER_MS);
}

int wait_left_ms(uint64_t until) {
    if (until == TIME_NEVER)
        return -1;
    uint64_t now = sys_now();
    uint64_t ms = until > now ? (until - now + NS_PER_MS - 1) / NS_PER_MS : 0;
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

static bool sleep_on_cond(iroh_endpoint *ep, waiter *w, uint64_t until) {
    wake_loop(ep);
    tell(ep);
    while (!w->fired) {
        uint64_t now = until != TIME_NEVER ? sys_now() : 0;
        if (now >= until)
            return false;
        if (until == TIME_NEVER)
            uv_cond_wait(&w->cond, &ep->lock);
        else
            (void)uv_cond_timedwait(&w->cond, &ep->lock, until - now);
    }
    return true;
}

bool wait_sleep(iroh_endpoint *ep, waiter *w, uint64_t until) {
    if (ep->core != NULL)
        driver_flush(ep);
    ep->pushes = 0;
    if (ep->own_thread && w->sleeps)
        return sleep_on_cond(ep, w, until);
    while (!w->fired) {
        if (ep->own_thread || sys_now() >= until)  // own thread: no memory for a condition
            return false;
        if (driver_turn(ep, wait_left_ms(until)) != 0)
            return false;
    }
    return true;
}

int64_t wait_for(iroh_endpoint *ep, list_link *waiters, unsigned events, uint64_t until, int64_t (*attempt)(void *),
                 void *arg) {
    int64_t r = attempt(arg);
    if (r != IROH_ERR_AGAIN || until == 0)
        return r;
    waiter w;
    waiter_init(&w, ep, -1);
    wait_node node = {.waiter = &w, .events = events};
    list_push_back(waiters, &node.link);
    bool in_time = true;
    while (r == IROH_ERR_AGAIN && in_time) {
        waiter_reset(&w);
        in_time = wait_sleep(ep, &w, until);
        r = attempt(arg);
    }
    list_remove(&node.link);
    waiter_dispose(&w);
    return r == IROH_ERR_AGAIN ? IROH_ERR_TIMEOUT : r;
}
