// Who fetches what: the plan of one download from several providers.
//
// Wanted are chunks of some blobs (one that is large, or partly there) and other blobs whole. A provider that is up is
// given a span of them, as much as it brings in about a second by what was measured, and a second one shortly before it is
// done with the first. When nothing is left to give, one that has nothing to do takes over the end of the span that would
// be ready last: as much as makes both end at the same time, all of it when the other has fallen silent. Spans never
// overlap, so nothing is asked for twice but what was already under way when a span was shortened.
//
// Whatever comes is verified elsewhere, so a provider can waste time and no more. One that sends wrong bytes or refuses is
// not asked again; one that breaks off is, a few times and ever later; one that lacks something is asked for the rest.
//
// A state machine: no input or output, the clock is an argument (ns). Sets of chunks are `ranges` as in blobs/bao.h. Blobs
// have numbers, those of a request. After IROH_ERR_NOMEM a plan is good for nothing but plan_dispose.
#ifndef BLOBS_DOWNLOADER_PLAN_H
#define BLOBS_DOWNLOADER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/ranges.h"

#define PLAN_SPANS 2               // of one provider at once
#define PLAN_FIRST_BYTES 1048576   // asked of a provider of unknown speed
#define PLAN_LEAST_BYTES 262144    // that are worth a request while there are others
#define PLAN_MOST_BYTES 268435456  // of a span
#define PLAN_SPAN_MS 1000          // that a span should take
#define PLAN_AHEAD_MS 100    // before the end of a span the next one is asked for, and twice the provider's latency
#define PLAN_SILENT_MS 1000  // after which a span may be taken away from a provider entirely
#define PLAN_LOOK_MS 100     // between two looks for something to take over
#define PLAN_BACKOFF_MS 250  // before the second try, and twice as long before each later one
#define PLAN_BACKOFF_MAX_MS 10000
#define PLAN_TAKE_MS 250       // that a span must have left for its end to be taken over, and twice the other's latency
#define PLAN_CAREFUL 2         // after so many misses in a row a provider is asked for one group or blob at a time
#define PLAN_BLOBS_MAX 8192    // whole blobs in a span
#define PLAN_RANGES_MAX 256    // ranges of chunks in a span
#define PLAN_FRUITLESS_MAX 16  // times that what is only doubted is asked for again, after which it is given up
#define PLAN_PARTED_MAX 16  // blobs that all lack are looked for in parts, until so many were not there in parts either

typedef struct plan_span {
    list_link link;  // of its provider
    size_t provider;
    bool narrow;                      // nothing but one group or one blob was asked for
    uint64_t began, heard;            // ns: when it was given out, and when something came last
    uint64_t bytes;                   // that came
    uint64_t blob;                    // whose chunks are in `chunks`
    uint64_t size;                    // of it, as somebody claims; 0: unknown
    uint64_t counted;                 // bytes of it that were taken from `chunks`
    ranges chunks;                    // of `blob`, that are still to come
    ranges blobs;                     // wanted whole and still to come; not `blob`
    uint64_t current, current_bytes;  // of `blobs`, the one on its way and what came of it
    void *user;
} plan_span;

// Chunks of a blob that nobody fetches yet.
typedef struct plan_blob {
    list_link link;
    uint64_t number;
    uint64_t size;  // bytes, as somebody claims; 0: unknown
    ranges todo;
} plan_blob;

// What a provider cannot give of a blob.
typedef struct plan_hole {
    list_link link;
    uint64_t blob;
    ranges lacks;   // chunks that it said it has not got
    ranges doubts;  // chunks that it seems not to have
    ranges had;     // chunks that it claimed to have
} plan_hole;

enum { PLAN_WAITS, PLAN_DIALS, PLAN_UP, PLAN_OUT };

typedef struct plan_provider {
    int state;
    int error;          // the latest
    unsigned failures;  // tries in a row that gave nothing
    unsigned misses;    // answers that ended before something it had not; fewer again with each whole one
    uint64_t retry_at;  // PLAN_WAITS
    uint64_t idle;      // ns: since when there has been nothing to do for it; 0: there is
    uint64_t rate;      // bytes per second, 0 while unknown
    uint64_t latency;   // ns from asking to the first bytes
    uint64_t heard;     // ns: when something came last, or it was first asked again
    uint64_t window_at, window_bytes;  // that the rate is measured over
    list_link spans;
    unsigned span_count;
    ranges lacks, doubts;  // blobs
    list_link holes;
} plan_provider;

typedef struct plan {
    unsigned tries;
    plan_provider **providers;
    size_t count, room;
    list_link open;                     // plan_blob
    ranges blobs;                       // wanted whole and not given out
    uint64_t whole_bytes, whole_count;  // that came of blobs wanted whole
    uint64_t came, came_before;         // bytes, and how many when doubts were last put aside
    unsigned fruitless;                 // times that they were without anything coming of it
} plan;

// `tries`: how often in a row a provider may fail.
void plan_init(plan *p, unsigned tries);
void plan_dispose(plan *p);

// What is wanted: chunks of a blob, added; and blobs [first, end).
int plan_want_chunks(plan *p, uint64_t blob, const ranges *chunks, uint64_t size);
int plan_want_blobs(plan *p, uint64_t first, uint64_t end);

// A blob claims a size. With `proven`, chunks beyond it are no longer wanted.
int plan_size(plan *p, uint64_t blob, uint64_t size, bool proven);

// Providers. A new one is PLAN_WAITS and may be dialled at once.
int plan_provider_add(plan *p, size_t *number);
bool plan_may_dial(const plan *p, size_t provider, uint64_t now);
void plan_dials(plan *p, size_t provider);
void plan_up(plan *p, size_t provider, uint64_t now);
void plan_failed(plan *p, size_t provider, int error, uint64_t now);  // which has no spans: the dial, or the connection

void plan_waits(plan *p, size_t provider, uint64_t until);  // PLAN_WAITS, without blame

// It has these chunks of a blob, in whole groups, and no others.
int plan_has(plan *p, size_t provider, uint64_t blob, const ranges *have);

// Whoever lacks something may have got it: all are asked again.
void plan_ask_again(plan *p);

// Spans

// Something for a provider to do: 1 with *out, 0 when there is nothing now. May shorten spans of others, also to nothing
// (plan_span_over), and put others away for their silence (PLAN_WAITS). IROH_ERR_NOMEM.
int plan_take(plan *p, size_t provider, uint64_t now, plan_span **out);
bool plan_span_over(const plan_span *s);

// Replaces the chunks of a new span by those of them that are asked for in truth.
void plan_span_set(plan_span *s, ranges *chunks);  // takes them over

// Of the blob `number`, which is on its way, `bytes` have come so far with this span, and `more` since the last call. The
// blobs before it are done.
int plan_came(plan *p, plan_span *s, uint64_t number, uint64_t bytes, uint64_t more, uint64_t now);

// That blob, wanted whole, is large: it can be shared from now on. `chunks` are those that are still to come, `bytes` those
// that have.
int plan_open(plan *p, plan_span *s, uint64_t number, const ranges *chunks, uint64_t size, uint64_t bytes);

// Blobs of the span from `number` on were not asked for after all.
int plan_shorten(plan *p, plan_span *s, uint64_t number);

// Ends a span: with 0 all of it has come. With an error, which is the provider's, what is left of it is wanted again and
// the error counts.
int plan_end(plan *p, plan_span *s, int error, uint64_t now);
int plan_give_back(plan *p, plan_span *s);  // without blame

// 1: nothing is left to do. 0: it goes on, and at *due at the latest plan_take or plan_may_dial may have something new. Else
// nobody can give what is missing: the most telling error of the providers, IROH_ERR_NOT_FOUND without any. IROH_ERR_NOMEM.
int plan_status(plan *p, uint64_t now, uint64_t *due);

#endif
