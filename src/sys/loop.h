// The event loop of one endpoint, over libuv: readiness of file descriptors, one deadline, and wake-ups from other
// threads.
//
// The loop belongs to the thread that runs it; only sys_loop_wake may be called from elsewhere. Deadlines are kept to
// well below a millisecond, since pacing depends on them, and changing them costs no system call until the loop is
// about to wait.
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

typedef struct sys_loop sys_loop;
typedef struct sys_watch sys_watch;

enum { SYS_READABLE = 1, SYS_WRITABLE = 2 };

// Nanoseconds of a monotonic clock; unix time in nanoseconds. Any thread.
uint64_t sys_now(void);
uint64_t sys_wall_clock(void);

// Does nothing for about this long, at least; the system may make it some 50 us longer. Any thread.
void sys_pause(uint64_t ns);

int sys_loop_new(sys_loop **out);  // IROH_ERR_NOMEM, IROH_ERR_IO
void sys_loop_free(sys_loop *l);   // with its watches; null is ignored

// Watches `fd`, which stays the caller's and becomes non-blocking, for `events`. When some are there, or an error is,
// `ready` is called from sys_loop_run. One watch for a descriptor, to be freed before it is closed. IROH_ERR_NOMEM, or
// IROH_ERR_IO for a descriptor that has a watch already or cannot be waited for, such as a file.
int sys_loop_watch(sys_loop *l, int fd, unsigned events, void (*ready)(void *user, unsigned events), void *user,
                   sys_watch **out);
void sys_watch_set(sys_watch *w, unsigned events);  // 0: rests. No system call when nothing changes
void sys_watch_free(sys_watch *w);                  // null is ignored; allowed from within `ready`

// sys_loop_run returns at this time at the latest, ns; TIME_NEVER: no deadline.
void sys_loop_set_deadline(sys_loop *l, uint64_t at);

// For so long sys_loop_run asks whether something is ready again and again, leaving the processor to others if they want
// it, before it sleeps. 0 at first.
void sys_loop_set_patience(sys_loop *l, uint64_t ns);

// Calls what is ready. Waits until something is, the deadline comes, another thread wakes the loop, or `timeout_ms`
// passed (0: does not wait, -1: no limit). 0 or IROH_ERR_IO. Not from within `ready`.
int sys_loop_run(sys_loop *l, int timeout_ms);

// Any thread: the current or next sys_loop_run returns soon. Cheap when already woken.
void sys_loop_wake(sys_loop *l);

// A descriptor for a foreign loop: readable when sys_loop_run(l, 0) would have something to do or the deadline has
// come. Call sys_loop_arm before each wait on it: it hands the kernel what changed in the deadline and the watches.
int sys_loop_fd(const sys_loop *l);
void sys_loop_arm(sys_loop *l);

#endif
