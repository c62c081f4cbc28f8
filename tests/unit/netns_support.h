// A network of the test's own: a namespace in which interfaces and addresses come and go as it likes.
#ifndef NETNS_SUPPORT_H
#define NETNS_SUPPORT_H

#include <stdbool.h>

// Moves the process, which has one thread, into a new namespace with a loopback interface that is up. False when the
// system has no such thing, does not allow it, or lacks the program `ip`; then tests skip.
bool netns_enter(void);

bool netns_entered(void);

// Skips the running test unless netns_enter worked.
void netns_needed(void);

// "ip ARGS", which must work.
void netns_ip(const char *args);

#endif
