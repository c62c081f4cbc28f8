// Connections to endpoints by id, shared and used again.
//
// There is one connection to an id at a time. Whoever wants it takes a use of it and gives it back; a connection that
// nobody uses stays open for a while. A dial that fails, or a connection that ends, is told to those who wait or use it and
// then forgotten, so that who comes next dials anew; when that is worth trying is the caller's business. Any thread may
// call; time is an argument, and the endpoint is behind callbacks. No thread closes what is idle: that happens in the
// calls here, so an owner calls conn_pool_turn when it says so.
#ifndef BLOBS_POOL_H
#define BLOBS_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/iroh.h>

typedef struct conn_pool conn_pool;
typedef struct conn_use conn_use;  // of a connection; belongs to the pool

// The callbacks run with the pool locked: they do not wait and do not call it.
typedef struct conn_pool_config {
    size_t max;           // connections, those that are being dialled included
    size_t max_dialling;  // of them those that are being dialled
    uint64_t idle_ns;     // how long one that nobody uses stays open
    uint64_t dial_ns;     // how long dialling may take
    int (*dial)(void *user, const iroh_addr *to, iroh_connection **out);  // begins
    int (*state)(void *user, iroh_connection *c);  // 0 connected, IROH_ERR_AGAIN not yet, or why it has ended
    int (*greet)(void *user, iroh_connection *c);  // once when it is connected, an error ends it; may be null
    void (*drop)(void *user, iroh_connection *c, const char *reason);  // closes with code 0 and gives the handle back
    void *user;
} conn_pool_config;

int conn_pool_new(const conn_pool_config *config, conn_pool **out);  // IROH_ERR_NOMEM
// Drops all connections, "unused" or, where somebody holds a use of one, "drop"; no use may be touched after it. Null is
// ignored.
void conn_pool_free(conn_pool *p);

// A use of the connection to the id of `to`: of the one that there is, or of one that is now dialled. To make room, the
// connection is closed that nobody has used for longest. IROH_ERR_LIMIT (all are used, or too many are being dialled),
// IROH_ERR_NOMEM, errors of `dial`; *out is null then.
int conn_pool_take(conn_pool *p, const iroh_addr *to, uint64_t now, conn_use **out);

// Gives it back. `broken`: it is of no use to others either, so the next to come dials anew.
void conn_pool_give(conn_pool *p, conn_use *u, bool broken, uint64_t now);

// 0: connected. IROH_ERR_AGAIN: being dialled, until *due at most. Else why it is not, and never will be again:
// IROH_ERR_TIMEOUT, what `greet` said, or the connection's error. `due` may be null.
int conn_pool_check(conn_pool *p, conn_use *u, uint64_t now, uint64_t *due);

// The handle, which is the pool's, and good as long as the use.
iroh_connection *conn_use_handle(const conn_use *u);

// Closes what has been idle for too long: when to call again, TIME_NEVER when nothing is idle.
uint64_t conn_pool_turn(conn_pool *p, uint64_t now);

typedef struct conn_pool_state {
    size_t open, dialling, idle;  // `open` counts the other two too
} conn_pool_state;

conn_pool_state conn_pool_look(conn_pool *p);

#endif
