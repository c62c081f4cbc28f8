// A descriptor that is readable from a given time on, so that deadlines finer than a loop's timers, and of loops inside
// loops, are one more descriptor to watch. Each kind of OS has its own.
#ifndef SYS_ALARM_H
#define SYS_ALARM_H

#include <stdint.h>

typedef struct sys_alarm sys_alarm;

int sys_alarm_new(sys_alarm **out);  // set to TIME_NEVER. IROH_ERR_NOMEM, IROH_ERR_IO
void sys_alarm_free(sys_alarm *a);   // closes the descriptor; null is ignored
int sys_alarm_fd(const sys_alarm *a);

// Readable from `at` on the clock of sys_now, TIME_NEVER: never. The time set before is forgotten, and the caller never
// reads from the descriptor. 0 or IROH_ERR_IO.
int sys_alarm_set(sys_alarm *a, uint64_t at);

#endif
