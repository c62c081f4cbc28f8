// Linux: a timerfd. Setting it anew takes back that it rang.
#include "sys/alarm.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <iroh/error.h>

#include "base/clock.h"

struct sys_alarm {
    int fd;
};

int sys_alarm_new(sys_alarm **out) {
    sys_alarm *a = malloc(sizeof *a);
    if (a == NULL)
        return IROH_ERR_NOMEM;
    a->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (a->fd < 0) {
        free(a);
        return IROH_ERR_IO;
    }
    *out = a;
    return 0;
}

void sys_alarm_free(sys_alarm *a) {
    if (a == NULL)
        return;
    (void)close(a->fd);
    free(a);
}

int sys_alarm_fd(const sys_alarm *a) {
    return a->fd;
}

int sys_alarm_set(sys_alarm *a, uint64_t at) {
    struct itimerspec when = {0};
    if (at != TIME_NEVER) {
        // All zeros would mean never; any time in the past is as good as the beginning of the clock.
        uint64_t t = at == 0 ? 1 : at;
        when.it_value.tv_sec = (time_t)(t / NS_PER_S);
        when.it_value.tv_nsec = (long)(t % NS_PER_S);
    }
    return timerfd_settime(a->fd, TFD_TIMER_ABSTIME, &when, NULL) == 0 ? 0 : IROH_ERR_IO;
}
