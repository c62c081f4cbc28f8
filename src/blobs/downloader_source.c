// A provider of a download: its connection, what it has, and its transfers.
#include <stdlib.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader.h"
#include "blobs/getter.h"
#include "id/address.h"

#define NEWS_ROUNDS 16    // times that items are heard before others have their turn
#define NEWS_PAUSE_MS 50  // and after which nothing is heard: who tells of much in many little items takes no more time
#define NEWS_MAX 16384    // boundaries of what somebody has: who tells of more is asked without being observed

int source_new(const iroh_addr *from, source **out) {
    source *v = calloc(1, sizeof *v);
    *out = v;
    if (v == NULL)
        return IROH_ERR_NOMEM;
    list_init(&v->transfers);
    v->item = SIZE_MAX;
    v->told.id = iroh_addr_id(from);
    int r = iroh_addr_copy(from, &v->addr);
    if (r != 0) {
        free(v);
        *out = NULL;
    }
    return r;
}

static int add_entry(iroh_addr *to, const address_entry *e) {
    if (e->kind == IROH_ADDR_IP)
        return address_add(to, &e->ip);
    if (e->kind == IROH_ADDR_RELAY)
        return address_add_relay(to, (const char *)e->data, e->len);
    return iroh_addr_add_custom(to, e->transport, e->data, e->len);
}

int source_learn(source *v, const iroh_addr *more) {
    int r = 0;
    for (size_t i = 0; i < more->count && r == 0; i++)
        r = add_entry(v->addr, &more->entries[i]);
    return r == IROH_ERR_NOMEM ? r : 0;  // when there are too many, those that are there do
}

void source_free(source *v) {
    if (v == NULL)
        return;
    iroh_addr_free(v->addr);
    free(v);
}

void source_detach(download_run *run, source *v, bool broken) {
    iroh_remote_observer_free(v->observer);
    v->observer = NULL;
    v->more_news = false;
    conn_pool_give(run->download->owner->pool, v->use, broken, run->now);
    v->use = NULL;
    v->connection = NULL;
}

// Connecting

static void fail(download_run *run, source *v, int error) {
    v->told.error = error;
    plan_failed(&run->plan, v->number, error, run->now);
}

static int dial(download_run *run, source *v) {
    int r = conn_pool_take(run->download->owner->pool, v->addr, run->now, &v->use);
    if (r == IROH_ERR_NOMEM || r == IROH_ERR_CLOSED)
        return r;
    if (r == IROH_ERR_LIMIT)  // of ours: it is not its fault that others are connected, or hard to reach
        plan_waits(&run->plan, v->number, time_add(run->now, PLAN_LOOK_MS * NS_PER_MS));
    else if (r != 0)
        fail(run, v, r);
    if (r != 0)
        return 0;
    v->connection = conn_use_handle(v->use);
    plan_dials(&run->plan, v->number);
    return 0;
}

static int check_dial(download_run *run, source *v) {
    int r = conn_pool_check(run->download->owner->pool, v->use, run->now, &v->dial_due);
    if (r == 0) {
        plan_up(&run->plan, v->number, run->now);
    } else if (r != IROH_ERR_AGAIN) {
        r = getter_explain(v->connection, NULL, r);
        source_detach(run, v, true);
        fail(run, v, r);
    }
    return r == IROH_ERR_NOMEM ? r : 0;
}

// Observing

int source_observe(download_run *run, source *v, uint64_t blob) {
    if (v->not_observable || v->connection == NULL || (v->observer != NULL && v->observed == blob))
        return 0;
    iroh_hash hash;
    int r = download_hash(run, blob, &hash);
    if (r != 0)
        return r;
    iroh_remote_observer_free(v->observer);
    v->more_news = false;
    v->news_due = 0;
    v->observed = blob;
    r = iroh_remote_observer_new(v->connection, &hash, 0, &v->observer);
    return r == IROH_ERR_NOMEM ? r : 0;  // who cannot be asked now is asked after the next answer that is too short
}

// Whole groups alone can be sent.
static int servable(const proto_have *h, ranges *out) {
    int r = 0;
    for (size_t i = 0; i < h->count && r == 0; i += 2) {
        uint64_t start = h->at[i], end = i + 1 < h->count ? h->at[i + 1] : BAO_END;
        if (start > BAO_LAST - BAO_GROUP_CHUNKS)
            break;
        start += (BAO_GROUP_CHUNKS - start % BAO_GROUP_CHUNKS) % BAO_GROUP_CHUNKS;
        if (end != BAO_END)
            end -= end % BAO_GROUP_CHUNKS;
        if (start < end)
            r = ranges_add(out, start, end);
    }
    return r;
}

static void stop_listening(source *v, bool for_good) {
    v->not_observable = for_good;
    v->more_news = false;
    iroh_remote_observer_free(v->observer);
    v->observer = NULL;
}

// Some items: 1, or 0 when there are no more for now.
static int hear_some(source *v) {
    int r = iroh_remote_observer_next(v->observer, 0, NULL, NULL, 0, NULL, NULL);
    if (r == IROH_ERR_AGAIN)
        return 0;
    size_t count = getter_observed(v->observer)->count;
    if (r == 0 && count <= NEWS_MAX)
        return 1;
    // Who never told anything will not do so later.
    stop_listening(v, r == 0 || (count == 0 && r != IROH_ERR_FINISHED));
    return r == IROH_ERR_NOMEM ? r : 0;
}

static int tell_plan(download_run *run, const source *v) {
    ranges have = RANGES_INIT;
    int r = servable(getter_observed(v->observer), &have);
    if (r == 0)
        r = plan_has(&run->plan, v->number, v->observed, &have);
    ranges_dispose(&have);
    return r;
}

// The plan goes through all that is known each time, so it is not told of each item.
static int hear_news(download_run *run, source *v) {
    bool any = false;
    int r = 1;
    for (int i = 0; i < NEWS_ROUNDS && r == 1; i++) {
        r = hear_some(v);
        any |= r == 1;
    }
    v->more_news = r == 1;
    v->news_due = time_add(run->now, NEWS_PAUSE_MS * NS_PER_MS);
    if (r < 0 || !any || v->observer == NULL)
        return r < 0 ? r : 0;
    return tell_plan(run, v);
}

// Turns

static bool is_ready(const download_run *run, size_t item) {
    return item < run->item_count && run->items[item].revents != 0;
}

static bool has_waited(const download_run *run, const transfer *t) {
    return run->options->stall_ms >= 0 && run->now - t->heard >= (uint64_t)run->options->stall_ms * NS_PER_MS;
}

static int step_transfers(download_run *run, source *v) {
    const plan_provider *told = run->plan.providers[v->number];
    list_link *next;
    int r = 0;
    for (list_link *l = v->transfers.next; l != &v->transfers && r == 0 && told->state == PLAN_UP; l = next) {
        transfer *t = list_entry(l, transfer, link);
        next = l->next;
        if (t->span != NULL && plan_span_over(t->span))
            r = transfer_drop(run, t);
        else if (is_ready(run, t->item) || has_waited(run, t))
            r = transfer_step(run, t);
    }
    return r;
}

static int drop_transfers(download_run *run, source *v) {
    int r = 0;
    while (!list_empty(&v->transfers) && r == 0)
        r = transfer_drop(run, list_entry(v->transfers.next, transfer, link));
    return r;
}

static int begin_transfers(download_run *run, source *v) {
    for (;;) {
        plan_span *s;
        int r = plan_take(&run->plan, v->number, run->now, &s);
        if (r == 1)
            r = transfer_start(run, v, s);
        if (r != 0 || s == NULL)
            return r;
    }
}

int source_turn(download_run *run, source *v) {
    const plan_provider *told = run->plan.providers[v->number];
    int r = 0;
    if (plan_may_dial(&run->plan, v->number, run->now) && v->use == NULL)
        r = dial(run, v);
    if (r == 0 && told->state == PLAN_DIALS)
        r = check_dial(run, v);
    if (r == 0)
        r = step_transfers(run, v);
    if (r == 0 && v->observer != NULL && run->now >= v->news_due && (v->more_news || is_ready(run, v->item)))
        r = hear_news(run, v);
    if (r == 0 && told->state == PLAN_UP)
        r = begin_transfers(run, v);
    // Who was put away, by himself or by others, is connected anew later.
    if (r == 0 && v->use != NULL && (told->state == PLAN_WAITS || told->state == PLAN_OUT)) {
        r = drop_transfers(run, v);
        source_detach(run, v, told->error == IROH_ERR_TIMEOUT);
        v->told.error = told->error;
    }
    return r;
}
