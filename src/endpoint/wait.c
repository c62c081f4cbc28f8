// How calls wait, with and without a thread of the endpoint's.
//
// A handle has a list of those that wait for it. What happens to the handle marks the ones that care, and they are told
// after the lock was given back: a thread that is woken before would, on the same core, run at once, only to wait for
// the lock. Whoever was told looks again and may find that another was faster.
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "endpoint/state.h"

#define BELLS_AT_ONCE 16  // rung without the lock; more are rung with it

// Takes the fired waiters off; their number in `out`. Descriptors belong to their waiter, so they are written to here.
static size_t take_fired(iroh_endpoint *ep, bell *out[static BELLS_AT_ONCE]) {
    size_t count = 0;
    list_link *l;
    while ((l = list_pop_front(&ep->fired)) != NULL) {
        waiter *w = list_entry(l, waiter, told);
        if (w->wake_fd >= 0)
            (void)!write(w->wake_fd, "", 1);  // a full pipe wakes as well
        else if (w->bell != NULL && count < BELLS_AT_ONCE)
            out[count++] = w->bell;
        else if (w->bell != NULL)
            uv_cond_signal(&w->bell->cond);
    }
    return count;
}

// Whether the sleeping loop must be woken because the core wants to act before it would wake by itself.
static bool loop_oversleeps(iroh_endpoint *ep) {
    if (ep->core == NULL || ep->armed == 0 || !(ep->own_thread || ep->foreign))
        return false;
    if (driver_deadline(ep) >= ep->armed && !ep->watch_stale)
        return false;
    ep->armed = 0;
    return true;
}

void endpoint_enter(iroh_endpoint *ep) {
    uv_mutex_lock(&ep->lock);
}

void endpoint_leave(iroh_endpoint *ep) {
    bell *bells[BELLS_AT_ONCE];
    bool wake = loop_oversleeps(ep);
    size_t count = take_fired(ep, bells);
    if (!wake && count == 0) {
        uv_mutex_unlock(&ep->lock);
        return;
    }
    atomic_fetch_add(&ep->tellers, 1);
    uv_mutex_unlock(&ep->lock);
    if (wake)
        sys_loop_wake(ep->loop);
    for (size_t i = 0; i < count; i++)
        uv_cond_signal(&bells[i]->cond);
    atomic_fetch_sub(&ep->tellers, 1);
}

void endpoint_settle(iroh_endpoint *ep) {
    while (atomic_load(&ep->tellers) > 0)
        sched_yield();
}

void endpoint_leave_for_good(iroh_endpoint *ep) {
    bool last = --ep->refs == 0;
    endpoint_leave(ep);
    if (!last)
        return;
    endpoint_settle(ep);
    list_link *l;
    while ((l = list_pop_front(&ep->bells)) != NULL) {
        bell *b = list_entry(l, bell, link);
        uv_cond_destroy(&b->cond);
        free(b);
    }
    uv_mutex_destroy(&ep->lock);
    free(ep);
}

void wait_fire(iroh_endpoint *ep, list_link *waiters, unsigned events) {
    unsigned taken = 0;  // events for which one that takes was marked
    for (list_link *l = waiters->next; l != waiters; l = l->next) {
        wait_node *n = list_entry(l, wait_node, link);
        if ((n->events & events) == 0 || n->waiter->fired)
            continue;
        if (n->takes && events != (unsigned)WAIT_ANY && (n->events & events & ~taken) == 0)
            continue;
        if (n->takes)
            taken |= n->events & events;
        n->waiter->fired = true;
        list_push_back(&ep->fired, &n->waiter->told);
    }
}

static bell *take_bell(iroh_endpoint *ep) {
    list_link *l = list_pop_front(&ep->bells);
    if (l != NULL)
        return list_entry(l, bell, link);
    bell *b = malloc(sizeof *b);
    if (b == NULL || uv_cond_init(&b->cond) != 0) {
        free(b);
        return NULL;
    }
    list_init(&b->link);
    return b;
}

int waiter_init(waiter *w, iroh_endpoint *ep, int wake_fd) {
    bool sleeps = ep->own_thread && wake_fd < 0;
    list_init(&w->told);
    w->fired = false;
    w->wake_fd = wake_fd;
    w->bell = sleeps ? take_bell(ep) : NULL;
    return sleeps && w->bell == NULL ? IROH_ERR_NOMEM : 0;
}

void waiter_reset(waiter *w) {
    list_remove(&w->told);
    w->fired = false;
}

// A late ring may reach whoever has the bell next, who then looks in vain.
void waiter_dispose(waiter *w, iroh_endpoint *ep) {
    list_remove(&w->told);
    if (w->bell != NULL)
        list_push_front(&ep->bells, &w->bell->link);
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

static bool sleep_on_bell(iroh_endpoint *ep, waiter *w, uint64_t until) {
    bell *others[BELLS_AT_ONCE];
    if (loop_oversleeps(ep))
        sys_loop_wake(ep->loop);
    size_t count = take_fired(ep, others);
    for (size_t i = 0; i < count; i++)
        uv_cond_signal(&others[i]->cond);
    while (!w->fired) {
        uint64_t now = until != TIME_NEVER ? sys_now() : 0;
        if (now >= until)
            return false;
        if (until == TIME_NEVER)
            uv_cond_wait(&w->bell->cond, &ep->lock);
        else
            (void)uv_cond_timedwait(&w->bell->cond, &ep->lock, until - now);
    }
    return true;
}

bool wait_sleep(iroh_endpoint *ep, waiter *w, uint64_t until) {
    if (ep->core != NULL)
        driver_flush(ep);
    ep->pushes = 0;
    if (w->bell != NULL)
        return sleep_on_bell(ep, w, until);
    while (!w->fired) {
        if (sys_now() >= until || driver_turn(ep, wait_left_ms(until)) != 0)
            return false;
    }
    return true;
}

static int64_t wait_with(iroh_endpoint *ep, list_link *waiters, wait_node node, uint64_t until,
                         int64_t (*attempt)(void *), void *arg) {
    int64_t r = attempt(arg);
    if (r != IROH_ERR_AGAIN || until == 0)
        return r;
    waiter w;
    if (waiter_init(&w, ep, -1) != 0)
        return IROH_ERR_NOMEM;
    node.waiter = &w;
    list_push_back(waiters, &node.link);
    bool in_time = true;
    while (r == IROH_ERR_AGAIN && in_time) {
        waiter_reset(&w);
        in_time = wait_sleep(ep, &w, until);
        r = attempt(arg);
    }
    list_remove(&node.link);
    waiter_dispose(&w, ep);
    return r == IROH_ERR_AGAIN ? IROH_ERR_TIMEOUT : r;
}

int64_t wait_for(iroh_endpoint *ep, list_link *waiters, unsigned events, uint64_t until, int64_t (*attempt)(void *),
                 void *arg) {
    return wait_with(ep, waiters, (wait_node){.events = events}, until, attempt, arg);
}

int64_t wait_to_take(iroh_endpoint *ep, list_link *waiters, unsigned events, uint64_t until, int64_t (*attempt)(void *),
                     void *arg) {
    return wait_with(ep, waiters, (wait_node){.events = events, .takes = true}, until, attempt, arg);
}
