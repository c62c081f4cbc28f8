#include "relay_server/mailbox.h"

#include <stddef.h>

void mailbox_init(mailbox *m, sys_loop *loop) {
    atomic_init(&m->newest, NULL);
    atomic_init(&m->asleep, false);
    m->loop = loop;
}

// Both sides first write, then read what the other writes, in one order that all agree on: so a letter either is seen
// before the receiver sleeps, or sees that it does.
void mailbox_push(mailbox *m, letter *l) {
    l->next = atomic_load_explicit(&m->newest, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&m->newest, &l->next, l)) {}
    if (atomic_load(&m->asleep) && atomic_exchange(&m->asleep, false))
        sys_loop_wake(m->loop);
}

letter *mailbox_take(mailbox *m) {
    if (atomic_load_explicit(&m->newest, memory_order_relaxed) == NULL)
        return NULL;
    letter *newest = atomic_exchange_explicit(&m->newest, NULL, memory_order_acquire), *oldest = NULL;
    while (newest != NULL) {
        letter *before = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = before;
    }
    return oldest;
}

bool mailbox_sleep(mailbox *m) {
    atomic_store(&m->asleep, true);
    if (atomic_load(&m->newest) == NULL)
        return true;
    atomic_store(&m->asleep, false);
    return false;
}

void mailbox_awake(mailbox *m) {
    atomic_store_explicit(&m->asleep, false, memory_order_relaxed);
}
