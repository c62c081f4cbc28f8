// TCP sockets of a server: listening on an address together with other threads, and moving bytes without ever blocking.
// A socket is its descriptor, to be watched with sys/loop.h.
#ifndef SYS_TCP_H
#define SYS_TCP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"

typedef struct sys_slice {
    const void *bytes;
    size_t len;
} sys_slice;

#define SYS_SLICES_MAX 16  // of one write

// A listening socket; port 0 lets the kernel choose, and *local is what was bound. An unspecified IPv6 address takes IPv4
// too. With `share` other sockets of this user may listen on the same address, and the kernel spreads connections over
// them. IROH_ERR_BIND (with errno set), IROH_ERR_UNSUPPORTED (no such address family).
int sys_tcp_listen(const addr *bind, bool share, addr *local);

// The descriptor of a connection, set to send without delay. IROH_ERR_AGAIN: nobody waits; IROH_ERR_LIMIT: no descriptors
// or memory left, somebody still waits; IROH_ERR_IO.
int sys_tcp_accept(int fd, addr *remote);

// Bytes moved: > 0, or less than asked for. Reading: 0 at the end. IROH_ERR_AGAIN, IROH_ERR_IO. `count` slices at most
// SYS_SLICES_MAX.
int sys_tcp_read(int fd, void *room, size_t len);
int sys_tcp_write(int fd, const sys_slice *slices, size_t count);

void sys_tcp_finish(int fd);  // no more will be written
void sys_tcp_close(int fd);

// Lets the process have as many descriptors as it may: their number.
size_t sys_tcp_raise_limit(void);

#endif
