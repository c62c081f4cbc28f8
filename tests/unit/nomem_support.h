// Makes memory fail in tests named *_nomem_test.c, which the build links with --wrap for malloc, calloc and realloc.
//
// One allocation at a time: a test makes the same call with its first failing, then its second, and so on until it needs no
// more than it gets. Calls of the libraries that ours stands on are not counted, as they are linked before.
#ifndef NOMEM_SUPPORT_H
#define NOMEM_SUPPORT_H

#include <stdbool.h>

// Lets the allocation after the next `n` fail, of all threads together; none with n < 0.
void nomem_arm(int n);

// The same of the calling thread alone.
void nomem_arm_here(int n);

// From now on none fails. Whether one has since it was armed, also if asked again.
bool nomem_disarm(void);

// From now on the calling thread's allocations are neither counted nor fail (true), or they are as others (false, at
// first).
void nomem_spare(bool spared);

#endif
