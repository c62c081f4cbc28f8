// What of this machine's network matters to connections, and being told that it may have changed.
//
// A state is a small value: what must be known of it is spelled out, all else is in two fingerprints, so that states of
// any number of interfaces are compared without keeping them. The monitor only says that something happened; whether it
// matters is found out by reading the state anew. Each kind of OS has its own monitor; where the system tells nothing,
// the state is read from time to time.
#ifndef SYS_NETMON_H
#define SYS_NETMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "sys/loop.h"

enum { SYS_NET_SAME = 0, SYS_NET_MINOR, SYS_NET_MAJOR };

typedef struct sys_netstate {
    bool ip4, ip6;        // there is an address that leads beyond this link
    addr route4, route6;  // our address towards the Internet; ADDR_NONE: no way there
    uint64_t links;  // fingerprint of the interfaces but loopback: index, name, being up, hardware and IP addresses
    uint64_t rest;   // fingerprint of the addresses that lead nowhere else: link-local ones
} sys_netstate;

// 0 or IROH_ERR_IO. Any thread.
int sys_netstate_read(sys_netstate *out);

// Major: connections may have to go other ways. Minor: anything else that differs.
int sys_netstate_compare(const sys_netstate *a, const sys_netstate *b);

// Whether there is a way to the Internet.
bool sys_netstate_leads_out(const sys_netstate *s);

typedef struct sys_netmon sys_netmon;

// Belongs to the loop's thread. IROH_ERR_UNSUPPORTED: the system tells nothing; IROH_ERR_IO, IROH_ERR_NOMEM.
int sys_netmon_open(sys_loop *l, sys_netmon **out);
void sys_netmon_close(sys_netmon *m);  // before its loop; null is ignored

// Whether the loop has found news of links, addresses or routes. With them the monitor falls silent, however many follow.
bool sys_netmon_has_news(const sys_netmon *m);

bool sys_netmon_take(sys_netmon *m);    // takes all news: whether there were any
void sys_netmon_listen(sys_netmon *m);  // the next news wake the loop again

#endif
