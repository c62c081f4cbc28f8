// A descriptor that is readable from a given time on, so that deadlines finer than a loop's timers, and of loops inside
// loops, are one more descriptor to watch. Each kind of OS has its own.
#ifndef SYS_ALARM_H
#define SYS_ALARM_H

#include <stdint.h>

int sys_alarm_open(void);  // the descriptor, which the caller closes, or IROH_ERR_IO

// Readable from `at` on the clock of sys_now, TIME_NEVER: never. The time set before is forgotten, and nothing is ever
// to be read. 0 or IROH_ERR_IO.
int sys_alarm_set(int fd, uint64_t at);

#endif
