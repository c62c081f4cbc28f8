// How a plan stands: whether it is done, goes on, or has come to a point where nobody can help.
#include <iroh/error.h>

#include "base/clock.h"
#include "blobs/downloader_pick.h"

static bool is_lacked(const plan_provider *v, uint64_t blob, uint64_t chunk) {
    const plan_hole *h = plan_find_hole(v, blob);
    return pick_has(&v->lacks, blob) || (h != NULL && pick_has(&h->lacks, chunk));
}

static bool all_lack(const plan *p, uint64_t blob, uint64_t chunk) {
    for (size_t i = 0; i < p->count; i++) {
        if (p->providers[i]->state != PLAN_OUT && !is_lacked(p->providers[i], blob, chunk))
            return false;
    }
    return true;
}

// There is something that all have been asked for, and not only the like of it.
static bool is_hopeless(const plan *p) {
    for (size_t i = 0; i < ranges_count(&p->blobs); i++) {
        range item = ranges_items(&p->blobs)[i];
        for (uint64_t blob = item.start; blob < item.end; blob++) {
            if (all_lack(p, blob, 0))
                return true;
        }
    }
    for (const list_link *l = p->open.next; l != &p->open; l = l->next) {
        const plan_blob *b = list_entry(l, plan_blob, link);
        for (size_t i = 0; i < ranges_count(&b->todo); i++) {
            if (all_lack(p, b->number, ranges_items(&b->todo)[i].start))
                return true;
        }
    }
    return false;
}

static bool forget_all_doubts(plan *p) {
    bool any = false;
    for (size_t i = 0; i < p->count; i++)
        any |= p->providers[i]->state != PLAN_OUT && plan_forget_doubts(p->providers[i]);
    return any;
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
    if (!is_hopeless(p) && forget_all_doubts(p)) {
        *due = now;
        return 0;
    }
    return best_error(p);
}
