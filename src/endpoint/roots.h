// The roots that certificates of relays are checked against, read by a thread of its own: the system's take longer than a
// loop may stand still.
//
// The system's are shared by all endpoints of the process. They stay once somebody needed them, and are read again when
// that was more than ROOTS_AGE_MAX ago, since whoever runs the machine may change them.
#ifndef ENDPOINT_ROOTS_H
#define ENDPOINT_ROOTS_H

#include "base/clock.h"
#include "sys/loop.h"
#include "tls/web_client.h"

#define ROOTS_AGE_MAX (3600 * NS_PER_S)

typedef struct roots_reader roots_reader;

// Begins to read a PEM file, or the system's roots (null); the loop is woken at the end. IROH_ERR_NOMEM, IROH_ERR_IO.
int roots_read(sys_loop *l, const char *ca_file, roots_reader **out);

// 0 and a reference, or why there is none: IROH_ERR_AGAIN (not read yet), and the errors of web_roots_new.
int roots_result(roots_reader *r, web_roots **out);

// Before its loop. Waits for the thread, if need be: milliseconds. Null is ignored.
void roots_reader_free(roots_reader *r);

#endif
