// UDP sockets with what QUIC wants of them: batches in one system call both ways (GSO, GRO), ECN marks, and the local
// address of each datagram (packet info).
//
// A batch is a run of datagrams of equal size, the last may be shorter, to or from one address. What the kernel cannot
// do is found out at run time and done without: no GSO means a call for each datagram, no GRO batches of one.
// Not thread-safe, except that one thread may receive while others do anything but reopen and close; the socket never
// blocks.
#ifndef SYS_UDP_H
#define SYS_UDP_H

#include "base/addr.h"

#define SYS_UDP_BATCH 65535      // bytes of room that receives anything
#define SYS_UDP_SEGMENTS_MAX 64  // datagrams in a batch that the kernel takes

typedef struct sys_udp sys_udp;

typedef struct sys_udp_stats {
    uint64_t send_calls, receive_calls;  // system calls that moved something
    uint64_t datagrams_out, datagrams_in, bytes_out, bytes_in;
    uint64_t send_errors;  // datagrams that the kernel refused; they count as lost
} sys_udp_stats;

// Opens and binds; port 0 lets the kernel choose. An IPv6 socket takes IPv6 only. `gso` false: never use GSO.
// IROH_ERR_BIND (with errno set), IROH_ERR_UNSUPPORTED (no such address family here), IROH_ERR_NOMEM.
int sys_udp_open(const addr *bind, bool gso, sys_udp **out);
void sys_udp_close(sys_udp *u);  // null is ignored

// Whether the kernel says that this is no usable socket any more. Some systems take sockets away while a machine sleeps.
bool sys_udp_is_broken(const sys_udp *u);

// Opens it anew at the same address and port; its descriptor, whose watch is gone, is closed before. IROH_ERR_BIND,
// IROH_ERR_UNSUPPORTED: then it is without a descriptor, sends nothing, and is broken still.
int sys_udp_reopen(sys_udp *u);

int sys_udp_fd(const sys_udp *u);      // -1: none at present
addr sys_udp_local(const sys_udp *u);  // as bound, with the real port
void sys_udp_stats_get(const sys_udp *u, sys_udp_stats *out);

typedef struct sys_udp_batch {
    addr remote;     // canonical
    addr local;      // receive: destination address with the socket's port, ADDR_NONE when unknown.
                     // send: source address to use, ADDR_NONE: the kernel chooses
    size_t len;      // bytes in all
    size_t segment;  // bytes of each datagram, the last may be shorter
    uint8_t ecn;     // codepoint 0..3
} sys_udp_batch;

// One batch into `room` of SYS_UDP_BATCH bytes. 0, IROH_ERR_AGAIN (nothing there), IROH_ERR_IO. Errors that only say
// that an earlier datagram was not delivered (ICMP) are passed over.
int sys_udp_receive(sys_udp *u, uint8_t *room, sys_udp_batch *out);

// Sends a batch; more than the kernel takes at once goes in several calls. 0, or IROH_ERR_AGAIN with *sent bytes gone
// (a whole number of datagrams): wait until writable, then send the rest. Datagrams that the kernel refuses for good
// (unreachable, too large) are dropped and counted.
int sys_udp_send(sys_udp *u, const uint8_t *bytes, const sys_udp_batch *batch, size_t *sent);

// Bytes that the kernel keeps for the socket until they are received, as it counts them (more than the payload).
size_t sys_udp_receive_buffer(const sys_udp *u);

// Datagrams that fit in one call now: 1 when GSO is off or was refused.
size_t sys_udp_max_segments(const sys_udp *u);

#endif
