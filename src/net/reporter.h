// When net reports are made, and what becomes of them.
//
// One run at a time. It is begun every REPORT_PERIOD_MIN to REPORT_PERIOD_MAX, and whenever something happened that may
// change its result; what is asked for during a run makes another one when that is over. A run is full when it is the
// first, when there is a reason for it, when the last full one is older than REPORT_FULL_AGE, or when the last report
// saw a login page and no UDP.
//
// Pure state, for the shell that knows relays, addresses and connections. It looks at reporter_is_due after each tick,
// then describes the world to reporter_begin; while `run` is there it serves that (net/report_run.h), and calls
// reporter_settle, which says when a new report is there.
#ifndef NET_REPORTER_H
#define NET_REPORTER_H

#include "base/entropy.h"
#include "net/report_run.h"

#define REPORT_PERIOD_MIN (20 * NS_PER_S)
#define REPORT_PERIOD_MAX (26 * NS_PER_S)
#define REPORT_FULL_AGE (300 * NS_PER_S)
#define REPORT_RETRY NS_PER_S  // when a run could not begin

typedef enum report_reason {
    REPORT_PERIODIC = 1,
    REPORT_PORT_MAPPED,
    REPORT_LINK_MINOR,
    REPORT_LINK_MAJOR,      // full
    REPORT_RELAYS_CHANGED,  // full
    REPORT_SEEN_ELSEWHERE,  // a kept connection tells another address than before
} report_reason;

typedef struct reporter {
    bool https, captive;    // what may be asked; set by reporter_init
    const entropy *random;  // borrowed
    report_run *run;        // null: none is under way
    report last;            // with `has_last`
    bool has_last;
    bool wanted, wanted_full;  // a run, as soon as none is under way
    uint64_t next;             // of the periodic ones, ns
    uint64_t full_at;          // when the last full one began; with `had_full`
    bool had_full;
    uint64_t runs, full_runs;  // begun so far
    uint64_t settled_at;       // of `last`
    report_history history;
} reporter;

// The first run is due at once.
void reporter_init(reporter *r, bool https, bool captive, const entropy *random, uint64_t now);
void reporter_dispose(reporter *r);  // the shell has stopped all probes

void reporter_request(reporter *r, report_reason reason);
bool reporter_is_due(const reporter *r, uint64_t now);
bool reporter_wants_full(const reporter *r, uint64_t now);  // whether a run begun now would be full

// What the shell knows of the world; the rest of the plan is the reporter's. IROH_ERR_NOMEM: it is due again after
// REPORT_RETRY.
int reporter_begin(reporter *r, const report_plan *world, uint64_t now);

// There are no relays to ask: what they told is forgotten, and there is no run until one is requested.
void reporter_forget(reporter *r);

// If the run is over, ends it and returns true: `last` is new. `home`: the home relay, -1: none.
bool reporter_settle(reporter *r, int home, uint64_t now);

// A kept connection tells that `*seen` is our address now. True when that is news, and `last` has it.
bool reporter_seen(reporter *r, const addr *seen);

uint64_t reporter_deadline(const reporter *r);  // 0: at once

#endif
