// base/addr.h to and from the kernel's socket addresses.
#ifndef SYS_SOCKADDR_H
#define SYS_SOCKADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/addr.h"

typedef union sys_sockaddr {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
} sys_sockaddr;

// The length of what was written to `out`; 0 when `a` is no IP address (then `out` is all zeros).
socklen_t sys_sockaddr_of(const addr *a, sys_sockaddr *out);

// Canonical; ADDR_NONE for another family. Only link-local addresses keep their scope.
addr sys_sockaddr_addr(const sys_sockaddr *s);

#endif
