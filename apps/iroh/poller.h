// Poller: the loop of the single-threaded commands. A watcher is one thing waited for (a handle or a file descriptor)
// with a function that is called when it is ready.
//
// A watcher lies inside what owns it and is known to at most one poller. The items that iroh_poll gets stay between
// turns, so that a turn costs no more than what changed. A watcher without events to wait for is not waited for at all:
// a hung-up descriptor would otherwise end every wait at once.
#ifndef POLLER_H
#define POLLER_H

#include <iroh/iroh.h>

typedef struct watcher watcher;
typedef void watcher_fn(watcher *w, unsigned revents);

struct watcher {
    iroh_pollitem item;  // one handle set, fd -1 otherwise; the poller keeps `events`
    watcher_fn *ready;   // may set and remove any watcher of the poller, its own too
    void *owner;         // for `ready`
    size_t place;        // of its item, plus one; 0: not waited for
};

typedef struct poller {
    iroh_pollitem *items;
    watcher **watchers;  // whose item it is
    size_t count, room;
    bool stop;  // poller_run ends
} poller;

void poller_init(poller *p);
void poller_dispose(poller *p);

watcher watcher_of_fd(int fd, watcher_fn *ready, void *owner);
watcher watcher_of_stream(iroh_stream *s, watcher_fn *ready, void *owner);
watcher watcher_of_connection(iroh_connection *c, watcher_fn *ready, void *owner);
watcher watcher_of_endpoint(iroh_endpoint *ep, watcher_fn *ready, void *owner);

// What to wait for from now on; 0 for nothing, which must come before the handle is freed. IROH_ERR_NOMEM: unchanged.
int poller_set(poller *p, watcher *w, unsigned events);

// Waits once, at most so long, and calls what is ready. 0 or an error of iroh_poll.
int poller_turn(poller *p, int timeout_ms);

// Turns until `stop` is set. 0 or an error of iroh_poll.
int poller_run(poller *p);

#endif
