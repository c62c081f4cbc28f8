#include "sys/alarm.h"

#include <sys/timerfd.h>
#include <time.h>

#include <iroh/error.h>

#include "base/clock.h"

int sys_alarm_open(void) {
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return fd < 0 ? IROH_ERR_IO : fd;
}

int sys_alarm_set(int fd, uint64_t at) {
    struct itimerspec when = {0};
    if (at != TIME_NEVER) {
        // All zeros would mean never; any time in the past is as good as the beginning of the clock.
        uint64_t t = at == 0 ? 1 : at;
        when.it_value.tv_sec = (time_t)(t / NS_PER_S);
        when.it_value.tv_nsec = (long)(t % NS_PER_S);
    }
    return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) == 0 ? 0 : IROH_ERR_IO;
}
