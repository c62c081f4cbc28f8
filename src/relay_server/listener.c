// Who comes in: as many as there is room for, no faster than allowed.
#include <iroh/error.h>

#include "relay_server/state.h"

#define ACCEPTS_PER_TURN 64

static void pause_until(relay_loop *l, uint64_t at) {
    l->accept_at = at;
    for (int i = 0; i < LISTENERS; i++) {
        if (l->listeners[i].watch != NULL)
            sys_watch_set(l->listeners[i].watch, 0);
    }
}

void listeners_resume(relay_loop *l, uint64_t now) {
    if (l->accept_at > now)
        return;
    l->accept_at = TIME_NEVER;
    for (int i = 0; i < LISTENERS; i++) {
        if (l->listeners[i].watch != NULL)
            sys_watch_set(l->listeners[i].watch, SYS_READABLE);
    }
}

// False: not now; who waits goes on waiting.
static bool may_accept(relay_loop *l) {
    uint64_t now = loop_now(l);
    if (l->conn_count >= l->server->conns_per_loop) {
        pause_until(l, time_add(now, ACCEPT_PAUSE));
        return false;
    }
    uint64_t at = l->accepts.rate == 0 ? 0 : bucket_ready_at(&l->accepts, ACCEPT_COST);
    if (at > now)
        pause_until(l, at);
    return at <= now;
}

static void on_ready(void *user, unsigned events) {
    listener *from = user;
    relay_loop *l = from->loop;
    (void)events;
    loop_begin(l);
    for (int i = 0; i < ACCEPTS_PER_TURN && from->fd >= 0 && may_accept(l); i++) {
        addr remote;
        int fd = sys_tcp_accept(from->fd, &remote);
        if (fd == IROH_ERR_AGAIN)
            return;
        if (fd < 0) {
            pause_until(l, time_add(loop_now(l), ACCEPT_PAUSE));
            return;
        }
        if (l->accepts.rate != 0)
            bucket_charge(&l->accepts, ACCEPT_COST, loop_now(l));
        conn_accept(from, fd, &remote);
    }
}

int listeners_open(relay_loop *l) {
    l->accept_at = TIME_NEVER;
    for (int i = 0; i < LISTENERS; i++) {
        listener *at = &l->listeners[i];
        at->loop = l;
        int r = at->fd >= 0 ? sys_loop_watch(l->sys, at->fd, SYS_READABLE, on_ready, at, &at->watch) : 0;
        if (r != 0)
            return r;
    }
    return 0;
}

void listeners_close(relay_loop *l) {
    for (int i = 0; i < LISTENERS; i++) {
        listener *at = &l->listeners[i];
        sys_watch_free(at->watch);
        at->watch = NULL;
        if (at->fd >= 0)
            sys_tcp_close(at->fd);
        at->fd = -1;
    }
}
