// Makes memory fail in tests named *_nomem_test.c, which the build links with --wrap for malloc, calloc and realloc.
#ifndef NOMEM_SUPPORT_H
#define NOMEM_SUPPORT_H

// Allocations until one fails, of all threads together; -1, at first and after the failure: none does.
extern int nomem_budget;

#endif
