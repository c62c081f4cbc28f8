// The addresses of this machine's network interfaces.
#ifndef SYS_NETIF_H
#define SYS_NETIF_H

#include <stddef.h>

#include "base/addr.h"

// The unicast IP addresses of all interfaces that are up, ports 0, without duplicates, at most `room` of them: their
// number, or IROH_ERR_IO. Link-local IPv6 addresses carry their scope.
int sys_netif_addresses(addr *out, size_t room);

#endif
