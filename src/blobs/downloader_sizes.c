// What there is to come: one request for the sizes of all children, before any of them is fetched.
//
// The others wait for its answer, so that the groups that come with it need not come twice. That is worth a round trip and
// no more: who is silent is not waited for, and without an answer the download goes on all the same.
#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader.h"

#define SIZES_SILENT_MS 500  // after which another one is asked
#define SIZES_MS 3000        // from the first request on

static int finish(download_run *run) {
    int r = hash_seq_total(&run->sequence, run->store, &run->progress.total);
    return r == 0 ? 1 : r;
}

int sizes_missing(download_run *run, uint64_t number, ranges *out) {
    bool came;
    ranges_clear(out);
    int r = ranges_add(out, BAO_LAST, BAO_END);
    if (r == 0)
        r = download_look(run, number, out, &came);
    return r == 0 ? ranges_count(out) > 0 : r;
}

int sizes_begin(download_run *run) {
    ranges last = RANGES_INIT;
    bool missing = false;
    int r = 0;
    for (uint64_t i = 1; i <= run->sequence.count && r >= 0; i++) {
        r = sizes_missing(run, i, &last);
        missing |= r == 1;
    }
    ranges_dispose(&last);
    if (r < 0)
        return r;
    return missing ? 0 : finish(run);
}

void sizes_ended(download_run *run, source *v, int error) {
    run->sizes.answered |= error == 0 || error == IROH_ERR_NOT_FOUND;
    if (error != 0 && error != IROH_ERR_NOT_FOUND)
        plan_failed(&run->plan, v->number, error, run->now);
}

// Somebody who is connected and was not asked before; null: nobody. *due: when somebody else may be dialled, TIME_NEVER
// when that is not to be waited for, and 0 when there is nobody else.
static source *find(const download_run *run, uint64_t *due) {
    const iroh_download *d = run->download;
    *due = 0;
    for (size_t i = 0; i < d->count; i++) {
        source *v = d->sources[i];
        const plan_provider *told = run->plan.providers[v->number];
        if (v->asked || told->state == PLAN_OUT)
            continue;
        if (told->state == PLAN_UP)
            return v;
        uint64_t retry = told->state == PLAN_WAITS ? time_max(told->retry_at, 1) : TIME_NEVER;
        *due = *due == 0 ? retry : time_min(*due, retry);
    }
    return NULL;
}

// Asks one after the other until somebody has to be waited for: 1 when that is not so.
static int ask(download_run *run, uint64_t *due) {
    while (run->now < run->sizes.until) {
        source *v = find(run, due);
        if (v == NULL) {
            *due = time_min(*due, run->sizes.until);
            return run->sizes.answered || *due == 0;
        }
        v->asked = true;
        if (run->sizes.until == TIME_NEVER)
            run->sizes.until = time_add(run->now, SIZES_MS * NS_PER_MS);
        int r = transfer_ask_sizes(run, v);
        if (r != 1)
            return r == 0 ? 1 : r;
        if (run->sizes.one != NULL) {
            *due = time_min(run->sizes.until, time_add(run->now, SIZES_SILENT_MS * NS_PER_MS));
            return 0;
        }
    }
    return 1;
}

int sizes_turn(download_run *run, uint64_t *due) {
    const transfer *t = run->sizes.one;
    if (t != NULL) {
        *due = time_min(run->sizes.until, time_add(t->heard, SIZES_SILENT_MS * NS_PER_MS));
        if (run->now < *due)
            return 0;
        int dropped = transfer_drop(run, run->sizes.one);
        if (dropped != 0)
            return dropped;
    }
    int r = ask(run, due);
    return r == 1 ? finish(run) : r;
}
