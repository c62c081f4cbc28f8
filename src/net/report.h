// A net report: what an endpoint found out about its network by asking relays, and the choice of the home relay that
// follows from it.
//
// Relays are meant by their numbers in the table of relays (net/relays.h). Latencies are kept in microseconds, since a
// report is kept for as long as the endpoint lives and the history holds many.
//
// The home relay is the one with the smallest latency of the last REPORT_HISTORY_SPAN, among those that answered just
// now; it stays where it is unless another is at least a third nearer. A relay that was not asked this time keeps its
// place: silence is no failure then.
#ifndef NET_REPORT_H
#define NET_REPORT_H

#include "base/addr.h"
#include "base/clock.h"
#include "net/relays.h"

#define REPORT_HISTORY_SPAN (300 * NS_PER_S)
#define REPORT_HISTORY_MAX 512  // latencies remembered; the oldest are forgotten

// How a latency was found.
enum { REPORT_HTTPS = 0, REPORT_QAD4 = 1, REPORT_QAD6 = 2, REPORT_WAYS = 3 };

typedef enum report_answer { REPORT_UNKNOWN = 0, REPORT_NO = 1, REPORT_YES = 2 } report_answer;

typedef struct report {
    bool udp4, udp6;                 // a relay told our address
    addr global4, global6;           // the first that one told; ADDR_NONE: unknown
    report_answer varies4, varies6;  // other relays saw another one: the mapping depends on the destination
    report_answer captive;           // something else than the relay answers for it, to be logged in to
    int preferred;                   // the relay that is to be home; -1: no relay answered, none was home before
    uint64_t asked;                  // bit N: relay N was asked
    uint64_t cut;                    // ... but an answer was no longer waited for, since enough was known
    uint32_t latency[RELAYS_MAX][REPORT_WAYS];  // us, 0: unknown
} report;

void report_init(report *r);

// Keeps the smaller one. `ns` of 0 counts as the smallest that can be told.
void report_add_latency(report *r, int relay, int way, uint64_t ns);

// A relay sees us at this address, an IP one.
void report_add_observed(report *r, const addr *global);

uint32_t report_latency(const report *r, int relay);  // the smallest, us; 0: unknown
bool report_has_latency(const report *r);             // of any relay

// Takes over from the report before what this one has not looked at: latencies of relays that it did not ask or not wait
// for, and whether mappings vary.
void report_inherit(report *r, const report *before);

// The latencies of the last minutes.
typedef struct report_sample {
    uint64_t at;  // ns
    uint32_t us;
    int relay;
} report_sample;

typedef struct report_history {
    report_sample *list;  // oldest first
    size_t count, room;
} report_history;

// All zeroes is an empty one.
void report_history_dispose(report_history *h);

// Forgets what is too old and adds what this report asked. Without memory it only stays shorter.
void report_history_add(report_history *h, const report *r, uint64_t now);

// The relay that is to be home after the report `r`, in which nothing is inherited yet. `previous`: the home relay, -1:
// none. -1 when nobody answered and nobody is home.
int report_history_choose(const report_history *h, const report *r, int previous);

#endif
