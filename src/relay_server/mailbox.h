// Letters from any thread to the thread of one loop: a stack that is pushed and emptied with one atomic exchange each, so
// that nobody waits for anybody, and a wake-up only when the receiver sleeps. Letters of one sender arrive in order.
#ifndef RELAY_SERVER_MAILBOX_H
#define RELAY_SERVER_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

#include "sys/loop.h"

typedef struct letter {
    struct letter *next;
    int kind;  // the receiver's business
} letter;

typedef struct mailbox {
    _Atomic(letter *) newest;
    atomic_bool asleep;
    sys_loop *loop;  // of the receiver
} mailbox;

void mailbox_init(mailbox *m, sys_loop *loop);

// Any thread. The letter is the receiver's from then on.
void mailbox_push(mailbox *m, letter *l);

// The receiver: all letters, the oldest first; null: none.
letter *mailbox_take(mailbox *m);

// The receiver, before it waits: false when there are letters, and then it must not. After waiting: mailbox_awake.
bool mailbox_sleep(mailbox *m);
void mailbox_awake(mailbox *m);

#endif
