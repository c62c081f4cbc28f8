// Addresses of a host name, by the system's resolver, without waiting for it.
//
// The resolver only knows how to block, and for as long as it likes, so each question has a thread of its own; one that
// nobody waits for any more ends by itself. A question belongs to the loop that it wakes when the answer is there, and to
// the loop's owner and his lock.
#ifndef SYS_LOOKUP_H
#define SYS_LOOKUP_H

#include <stddef.h>

#include "base/addr.h"
#include "sys/loop.h"

#define SYS_LOOKUP_MAX 16  // addresses kept of an answer

typedef struct sys_lookup sys_lookup;

// Asks for `host`: a name, which may end in a dot, or an address, an IPv6 one in brackets. IROH_ERR_NOMEM,
// IROH_ERR_TOO_LARGE (the name), IROH_ERR_IO.
int sys_lookup_start(sys_loop *l, const char *host, size_t len, sys_lookup **out);

// The addresses, in the system's order and with port 0: how many there are, at most `room` of them stored. IROH_ERR_AGAIN:
// no answer yet. IROH_ERR_NOT_FOUND: there are none, or nobody answers.
int sys_lookup_result(sys_lookup *q, addr *out, size_t room);

void sys_lookup_free(sys_lookup *q);  // before its loop; never waits. Null is ignored

#endif
