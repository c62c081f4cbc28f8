// Systems whose news we do not understand: their state is read from time to time.
#include "sys/netmon.h"

#include <iroh/error.h>

#include "sys/netmon_os.h"

size_t sys_netmon_os_hardware(const struct sockaddr *from, uint8_t out[static SYS_HARDWARE_MAX]) {
    (void)from;
    (void)out;
    return 0;
}

int sys_netmon_open(sys_loop *l, sys_netmon **out) {
    (void)l;
    *out = NULL;
    return IROH_ERR_UNSUPPORTED;
}

void sys_netmon_close(sys_netmon *m) {
    (void)m;
}

bool sys_netmon_has_news(const sys_netmon *m) {
    (void)m;
    return false;
}

bool sys_netmon_take(sys_netmon *m) {
    (void)m;
    return false;
}

void sys_netmon_listen(sys_netmon *m) {
    (void)m;
}
