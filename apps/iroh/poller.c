#include "poller.h"

#include <stdlib.h>

#define ROOM_FIRST 16

void poller_init(poller *p) {
    *p = (poller){0};
}

void poller_dispose(poller *p) {
    free(p->items);
    free(p->watchers);
    *p = (poller){0};
}

watcher watcher_of_fd(int fd, watcher_fn *ready, void *owner) {
    return (watcher){.item = {.fd = fd}, .ready = ready, .owner = owner};
}

watcher watcher_of_stream(iroh_stream *s, watcher_fn *ready, void *owner) {
    return (watcher){.item = {.stream = s, .fd = -1}, .ready = ready, .owner = owner};
}

watcher watcher_of_connection(iroh_connection *c, watcher_fn *ready, void *owner) {
    return (watcher){.item = {.connection = c, .fd = -1}, .ready = ready, .owner = owner};
}

watcher watcher_of_endpoint(iroh_endpoint *ep, watcher_fn *ready, void *owner) {
    return (watcher){.item = {.endpoint = ep, .fd = -1}, .ready = ready, .owner = owner};
}

static int grow(poller *p) {
    size_t room = p->room == 0 ? ROOM_FIRST : 2 * p->room;
    iroh_pollitem *items = realloc(p->items, room * sizeof *items);
    if (items == NULL)
        return IROH_ERR_NOMEM;
    p->items = items;
    watcher **watchers = realloc(p->watchers, room * sizeof(watcher *));
    if (watchers == NULL)
        return IROH_ERR_NOMEM;
    p->watchers = watchers;
    p->room = room;
    return 0;
}

// The last item fills the gap. A turn walks from the end to the start, so the last one either had its call already or
// is newer than the wait and has nothing to report.
static void take_out(poller *p, watcher *w) {
    size_t at = w->place - 1, last = --p->count;
    p->items[at] = p->items[last];
    p->watchers[at] = p->watchers[last];
    p->watchers[at]->place = at + 1;
    w->place = 0;
}

int poller_set(poller *p, watcher *w, unsigned events) {
    if (w->place != 0) {
        if (events == 0)
            take_out(p, w);
        else
            p->items[w->place - 1].events = events;
        return 0;
    }
    if (events == 0)
        return 0;
    if (p->count == p->room && grow(p) != 0)
        return IROH_ERR_NOMEM;
    w->item.events = events;
    w->item.revents = 0;
    p->items[p->count] = w->item;
    p->watchers[p->count] = w;
    w->place = ++p->count;
    return 0;
}

int poller_turn(poller *p, int timeout_ms) {
    int ready = iroh_poll(p->items, p->count, timeout_ms);
    if (ready <= 0)
        return ready;
    for (size_t i = p->count; i-- > 0;) {
        if (i >= p->count)  // callbacks took several out
            continue;
        unsigned revents = p->items[i].revents;
        p->items[i].revents = 0;
        if (revents != 0)
            p->watchers[i]->ready(p->watchers[i], revents);
    }
    return 0;
}

int poller_run(poller *p) {
    int r = 0;
    while (r == 0 && !p->stop)
        r = poller_turn(p, IROH_WAIT_FOREVER);
    return r;
}
