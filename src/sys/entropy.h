// The operating system's randomness as a base/entropy.h source.
#ifndef SYS_ENTROPY_H
#define SYS_ENTROPY_H

#include "base/entropy.h"

entropy sys_entropy(void);

#endif
