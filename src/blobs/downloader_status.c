// How a plan stands: whether it is done, goes on, or has come to a point where nobody can help.
#include <iroh/error.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader_pick.h"

static bool lacks_blob(const plan_provider *v, uint64_t blob) {
    return pick_has(&v->lacks, blob);
}

static bool lacks_chunk(const plan_provider *v, uint64_t blob, uint64_t chunk) {
    const plan_hole *h = plan_find_hole(v, blob);
    return h != NULL && pick_has(&h->lacks, chunk);
}

static bool all_lack_blob(const plan *p, uint64_t blob) {
    for (size_t i = 0; i < p->count; i++) {
        if (p->providers[i]->state != PLAN_OUT && !lacks_blob(p->providers[i], blob))
            return false;
    }
    return true;
}

static bool all_lack_chunk(const plan *p, uint64_t blob, uint64_t chunk) {
    for (size_t i = 0; i < p->count; i++) {
        if (p->providers[i]->state != PLAN_OUT && !lacks_chunk(p->providers[i], blob, chunk))
            return false;
    }
    return true;
}

// A blob wanted whole that all lack; UINT64_MAX: none.
static uint64_t find_lacked_blob(const plan *p) {
    for (size_t i = 0; i < ranges_count(&p->blobs); i++) {
        range item = ranges_items(&p->blobs)[i];
        for (uint64_t blob = item.start; blob < item.end; blob++) {
            if (all_lack_blob(p, blob))
                return blob;
        }
    }
    return UINT64_MAX;
}

static bool is_stuck(const plan *p, const plan_blob *b) {
    for (size_t i = 0; i < ranges_count(&b->todo); i++) {
        if (all_lack_chunk(p, b->number, ranges_items(&b->todo)[i].start))
            return true;
    }
    return false;
}

// Blobs with chunks that all lack.
static size_t count_stuck(const plan *p) {
    size_t n = 0;
    for (const list_link *l = p->open.next; l != &p->open; l = l->next)
        n += is_stuck(p, list_entry(l, plan_blob, link));
    return n;
}

static bool has_providers(const plan *p) {
    for (size_t i = 0; i < p->count; i++) {
        if (p->providers[i]->state != PLAN_OUT)
            return true;
    }
    return false;
}

// A blob that all lack may be there in parts: none of them has the beginning, or the end of an answer took it away. So it
// is asked for in parts, as long as there are few of which that did not help: 1, or 0 when there is nothing to be tried.
static int try_parts(plan *p) {
    uint64_t blob = find_lacked_blob(p);
    if (blob == UINT64_MAX || !has_providers(p) || count_stuck(p) >= PLAN_PARTED_MAX)
        return 0;
    ranges all = RANGES_INIT;
    int r = ranges_add(&all, 0, BAO_END);
    if (r == 0)
        r = plan_want_chunks(p, blob, &all, 0);
    if (r == 0)
        r = ranges_remove(&p->blobs, blob, blob + 1);
    ranges_dispose(&all);
    return r == 0 ? 1 : r;
}

static bool forget_all_doubts(plan *p) {
    bool any = false;
    for (size_t i = 0; i < p->count; i++)
        any |= p->providers[i]->state != PLAN_OUT && plan_forget_doubts(p->providers[i]);
    return any;
}

// What was only doubted is asked for again. It ends when all are known to lack something and a few rounds have brought
// nothing: then the rest is probably not there either.
static bool look_again(plan *p) {
    bool hopeless = count_stuck(p) > 0 || find_lacked_blob(p) != UINT64_MAX;
    if (p->came != p->came_before)
        p->fruitless = 0;
    p->came_before = p->came;
    if (hopeless && p->fruitless >= PLAN_FRUITLESS_MAX)
        return false;
    p->fruitless++;
    return forget_all_doubts(p);
}

// The later in the list, the more it tells.
static int telling(int error) {
    static const int errors[] = {IROH_ERR_CLOSED,    IROH_ERR_NO_ADDRESS, IROH_ERR_IDLE,      IROH_ERR_UNREACHABLE,
                                 IROH_ERR_SELF,      IROH_ERR_REFUSED,    IROH_ERR_TIMEOUT,   IROH_ERR_TRANSPORT,
                                 IROH_ERR_STATELESS, IROH_ERR_RESET,      IROH_ERR_HANDSHAKE, IROH_ERR_PEER_CLOSED,
                                 IROH_ERR_FINISHED,  IROH_ERR_NOT_FOUND,  IROH_ERR_LIMIT,     IROH_ERR_ACCESS,
                                 IROH_ERR_TOO_LARGE, IROH_ERR_PROTOCOL};
    int n = sizeof errors / sizeof *errors;
    for (int i = 0; i < n; i++) {
        if (errors[i] == error)
            return i + 1;
    }
    return 0;
}

static int best_error(const plan *p) {
    int error = 0;
    for (size_t i = 0; i < p->count; i++) {
        int e = p->providers[i]->error;
        if (e != 0 && (error == 0 || telling(e) > telling(error)))
            error = e;
    }
    return error != 0 ? error : IROH_ERR_NOT_FOUND;
}

static bool is_done(const plan *p) {
    for (const list_link *l = p->open.next; l != &p->open; l = l->next) {
        if (ranges_count(&list_entry(l, plan_blob, link)->todo) > 0)
            return false;
    }
    return ranges_count(&p->blobs) == 0 && plan_next_span(p, NULL) == NULL;
}

int plan_status(plan *p, uint64_t now, uint64_t *due) {
    bool hope = plan_next_span(p, NULL) != NULL;
    *due = TIME_NEVER;
    if (is_done(p))
        return 1;
    for (size_t i = 0; i < p->count; i++) {
        const plan_provider *v = p->providers[i];
        if (v->state == PLAN_WAITS)
            *due = time_min(*due, v->retry_at);
        if (v->state == PLAN_UP && v->span_count == 0)
            *due = time_min(*due, time_add(now, PLAN_LOOK_MS * NS_PER_MS));
        hope |= v->state != PLAN_OUT && plan_can_give(p, v);
    }
    if (hope)
        return 0;
    int again = try_parts(p);
    if (again == 0)
        again = look_again(p);
    if (again <= 0)
        return again < 0 ? again : best_error(p);
    *due = now;
    return 0;
}
