#include "unit/nomem_support.h"

#include <stdatomic.h>
#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static atomic_int budget = -1;         // allocations until one fails; negative: none does
static atomic_bool failed;             // one has
static _Atomic(const char *) only;     // the `self` of the thread that takes part; NULL: all do
static _Thread_local const char self;  // its address tells threads apart
static _Thread_local bool exempt;

static bool refused(void) {
    const char *who = atomic_load(&only);
    // Of several that see the last of the budget, the one that takes it fails.
    if (exempt || (who != NULL && who != &self) || atomic_load(&budget) < 0 || atomic_fetch_sub(&budget, 1) != 0)
        return false;
    atomic_store(&failed, true);
    return true;
}

void *__wrap_malloc(size_t size) {
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
    return refused() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size) {
    return refused() ? NULL : __real_realloc(old, size);
}

static void arm(int n, const char *who) {
    atomic_store(&budget, -1);
    atomic_store(&failed, false);
    atomic_store(&only, who);
    atomic_store(&budget, n);
}

void nomem_arm(int n) {
    arm(n, NULL);
}

void nomem_arm_here(int n) {
    arm(n, &self);
}

bool nomem_disarm(void) {
    atomic_store(&budget, -1);
    return atomic_load(&failed);
}

void nomem_spare(bool spared) {
    exempt = spared;
}
