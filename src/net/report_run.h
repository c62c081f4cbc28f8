// One run of a net report: which relays are asked what, when a question is given up, and when enough is known.
//
//   QAD       QUIC address discovery with the first REPORT_QAD_RELAYS relays that have it, for each family that the machine
//             has: a connection from the endpoint's own socket to be told how that looks from outside. At once.
//   HTTPS     a latency alone, where UDP does not work: three attempts with each relay, REPORT_HTTPS_DELAY after the start
//             and later, so that they are not made when QAD answers soon.
//   captive   whether a login page sits in between: asked of one relay, over plain HTTP.
//
// A full run wants two answers of QAD, so as to see whether they differ; another is content with one for each family,
// and with what a kept connection already knows. Whoever does not answer in time is left out; but the home relay gets
// twice the time of the first answer, so that it is not left for one that is hardly nearer. A run never lasts longer than
// REPORT_RUN_MAX, whatever relays do.
//
// Pure state. The shell takes what report_run_next gives out, reports results while a probe runs, and calls
// report_run_tick at the deadline. Results of probes that do not run (any more) are ignored.
#ifndef NET_REPORT_RUN_H
#define NET_REPORT_RUN_H

#include "net/report.h"

#define REPORT_QAD_RELAYS 5
#define REPORT_QAD_ENOUGH 3  // answers after which no further one is waited for
#define REPORT_HTTPS_ATTEMPTS 3
#define REPORT_HTTPS_DELAY (200 * NS_PER_MS)
#define REPORT_HTTPS_STEP (100 * NS_PER_MS)  // between attempts
#define REPORT_CAPTIVE_DELAY (200 * NS_PER_MS)
#define REPORT_CAPTIVE_MAX (2 * NS_PER_S)
#define REPORT_PROBE_MAX (3 * NS_PER_S)
#define REPORT_RUN_MAX (5 * NS_PER_S)
#define REPORT_PROBES_MAX (2 * REPORT_QAD_RELAYS + REPORT_HTTPS_ATTEMPTS * RELAYS_MAX + 1)

typedef enum report_probe_kind { PROBE_QAD4, PROBE_QAD6, PROBE_HTTPS, PROBE_CAPTIVE } report_probe_kind;

typedef enum report_probe_state {
    PROBE_WAITS,     // to be started at `at`
    PROBE_READY,     // report_run_next gives it out to be started
    PROBE_RUNS,      // until `at`
    PROBE_STOPPING,  // report_run_next gives it out to be stopped
    PROBE_OVER,
} report_probe_state;

typedef struct report_probe {
    report_probe_kind kind;
    report_probe_state state;
    int relay;
    uint64_t at;
    bool answered;
} report_probe;

// What a connection that was kept from an earlier run tells.
typedef struct report_known {
    int relay;     // -1: there is none
    addr address;  // ours, as that relay sees it
    uint64_t rtt;  // ns
} report_known;

typedef struct report_plan {
    const int *relays;  // in the order in which they are asked
    size_t relay_count;
    uint64_t qad;           // bit N: relay N has QUIC address discovery
    bool ip4, ip6;          // families that the machine and the sockets have
    bool full;              // else what is known counts
    bool https;             // ask for latencies over HTTPS
    int home;               // the home relay, which is always among the asked; -1: none
    int captive;            // the relay for that question; -1: it is not asked
    report_known known[2];  // over IPv4, over IPv6
} report_plan;

typedef struct report_run {
    report result;
    bool full, over;
    bool has4, has6;              // families that are asked, or known
    bool home_by_https;           // the home relay can only be asked so
    int home;                     // -1: none
    unsigned count4, count6;      // answers
    unsigned qad_relays, relays;  // asked in all
    unsigned https;               // relays with an answer over HTTPS
    uint64_t began, until;        // ns
    uint64_t patience;            // until when the home relay is waited for; 0: no longer; TIME_NEVER: no answer yet
    size_t probe_count;
    report_probe probes[REPORT_PROBES_MAX];
} report_run;

// The plan is not kept.
void report_run_begin(report_run *run, const report_plan *plan, uint64_t now);

// A probe to be started or, if it was started before, to be stopped; null: none now.
report_probe *report_run_next(report_run *run, bool *start, uint64_t now);

// Results. `rtt` in ns.
void report_run_observed(report_run *run, report_probe *p, const addr *address, uint64_t rtt, uint64_t now);
void report_run_answered(report_run *run, report_probe *p, uint64_t rtt, uint64_t now);  // over HTTPS
void report_run_captive(report_run *run, report_probe *p, bool captive, uint64_t now);
void report_run_failed(report_run *run, report_probe *p, uint64_t now);

uint64_t report_run_deadline(const report_run *run);  // 0: report_run_next has something; TIME_NEVER once over
void report_run_tick(report_run *run, uint64_t now);

// Nothing runs any more, and nothing is to be stopped: `result` is complete but for `preferred`.
bool report_run_is_over(const report_run *run);

#endif
