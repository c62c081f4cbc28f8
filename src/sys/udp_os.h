// What differs between systems about UDP sockets: their options, and the control messages beside their datagrams. Each
// kind of OS has its own; src/sys/udp.c is what they share.
#ifndef SYS_UDP_OS_H
#define SYS_UDP_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "sys/udp.h"

#define SYS_UDP_BUFFER (7 << 20)  // bytes asked for each way; holds a batch for each of about a hundred connections
#define SYS_CONTROL_ROOM 128      // bytes; the largest set in use is segment size, mark and IPv6 packet info

typedef struct sys_control {
    _Alignas(struct cmsghdr) uint8_t bytes[SYS_CONTROL_ROOM];
    size_t used;
} sys_control;

void sys_control_add(sys_control *c, int level, int type, const void *value, size_t len);

// A UDP socket of `family` that does not block and is not inherited, or -1 with errno set.
int sys_udp_os_socket(int family);

// Sets on a bound socket what the system has of: whole datagrams only, large buffers, and to be told the mark, the
// segment size and, if it is bound to all addresses, the destination address. QUIC looks for the path's MTU itself, so
// that no datagram may be fragmented, nor refused for what the kernel thinks the path holds.
void sys_udp_os_options(int fd, const addr *bound_to);

bool sys_udp_os_has_gso(int fd);

// Beside what is sent: an ECN codepoint to an address of `kind`, the source address, the size of the datagrams that the
// bytes are to be split into (only with GSO).
void sys_udp_os_add_mark(sys_control *c, int kind, int mark);
void sys_udp_os_add_source(sys_control *c, const addr *source);
void sys_udp_os_add_segment(sys_control *c, size_t segment);

// Beside what was received: puts what `c` says into `out`; unknown messages are ignored. `port`: the socket's own.
void sys_udp_os_read(const struct cmsghdr *c, uint16_t port, sys_udp_batch *out);

#endif
