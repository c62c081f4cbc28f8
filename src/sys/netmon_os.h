// What differs between systems about their interfaces, beside the monitor itself (netmon.h).
#ifndef SYS_NETMON_OS_H
#define SYS_NETMON_OS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define SYS_HARDWARE_MAX 32  // bytes of a hardware address that are looked at

// The hardware address in an entry of getifaddrs: its length, 0 for other kinds of addresses.
size_t sys_netmon_os_hardware(const struct sockaddr *from, uint8_t out[static SYS_HARDWARE_MAX]);

#endif
