#include "blobs/downloader_plan.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader_pick.h"

#define FAILURES_SHIFT_MAX 16
#define MISSES_MAX 20  // as a power of two: how much is doubted after so many misses in a row

void plan_init(plan *p, unsigned tries) {
    *p = (plan){.tries = tries > 0 ? tries : 1, .blobs = RANGES_INIT};
    list_init(&p->open);
}

static void span_free(plan *p, plan_span *s) {
    list_remove(&s->link);
    p->providers[s->provider]->span_count--;
    ranges_dispose(&s->chunks);
    ranges_dispose(&s->blobs);
    free(s);
}

static void blob_free(plan_blob *b) {
    list_remove(&b->link);
    ranges_dispose(&b->todo);
    free(b);
}

static void provider_free(plan *p, plan_provider *v) {
    while (!list_empty(&v->spans))
        span_free(p, list_entry(v->spans.next, plan_span, link));
    for (list_link *l; (l = list_pop_front(&v->holes)) != NULL;) {
        plan_hole *h = list_entry(l, plan_hole, link);
        ranges_dispose(&h->lacks);
        ranges_dispose(&h->doubts);
        ranges_dispose(&h->had);
        free(h);
    }
    ranges_dispose(&v->lacks);
    ranges_dispose(&v->doubts);
    free(v);
}

void plan_dispose(plan *p) {
    for (size_t i = 0; i < p->count; i++)
        provider_free(p, p->providers[i]);
    free(p->providers);
    while (!list_empty(&p->open))
        blob_free(list_entry(p->open.next, plan_blob, link));
    ranges_dispose(&p->blobs);
    plan_init(p, p->tries);
}

// What is wanted

plan_blob *plan_find_blob(const plan *p, uint64_t number) {
    for (list_link *l = p->open.next; l != &p->open; l = l->next) {
        plan_blob *b = list_entry(l, plan_blob, link);
        if (b->number == number)
            return b;
    }
    return NULL;
}

static int add_all(ranges *to, const ranges *from) {
    int r = 0;
    for (size_t i = 0; i < ranges_count(from) && r == 0; i++)
        r = ranges_add(to, ranges_items(from)[i].start, ranges_items(from)[i].end);
    return r;
}

int plan_want_chunks(plan *p, uint64_t blob, const ranges *chunks, uint64_t size) {
    if (ranges_count(chunks) == 0)
        return 0;
    plan_blob *b = plan_find_blob(p, blob);
    if (b == NULL) {
        b = calloc(1, sizeof *b);
        if (b == NULL)
            return IROH_ERR_NOMEM;
        b->number = blob;
        list_push_back(&p->open, &b->link);
    }
    if (size > 0)
        b->size = size;
    return add_all(&b->todo, chunks);
}

int plan_want_blobs(plan *p, uint64_t first, uint64_t end) {
    return first < end ? ranges_add(&p->blobs, first, end) : 0;
}

plan_span *plan_next_span(const plan *p, const plan_span *s) {
    size_t i = s != NULL ? s->provider : 0;
    const list_link *l = s != NULL ? s->link.next : p->count > 0 ? p->providers[0]->spans.next : NULL;
    while (i < p->count && l == &p->providers[i]->spans) {
        i++;
        l = i < p->count ? p->providers[i]->spans.next : NULL;
    }
    return i < p->count ? list_entry(l, plan_span, link) : NULL;
}

int plan_size(plan *p, uint64_t blob, uint64_t size, bool proven) {
    uint64_t chunks = bao_chunks(size);
    plan_blob *b = plan_find_blob(p, blob);
    int r = 0;
    for (plan_span *s = plan_next_span(p, NULL); s != NULL && r == 0; s = plan_next_span(p, s)) {
        if (s->blob != blob || ranges_count(&s->chunks) == 0)
            continue;
        s->size = size;
        if (proven)
            r = ranges_remove(&s->chunks, chunks, BAO_END);
    }
    if (b == NULL || r != 0)
        return r;
    b->size = size;
    if (proven)
        r = ranges_remove(&b->todo, chunks, BAO_END);
    return r;
}

// Providers

int plan_provider_add(plan *p, size_t *number) {
    if (p->count == p->room) {
        size_t room = p->room > 0 ? 2 * p->room : 4;
        plan_provider **providers = realloc(p->providers, room * sizeof(plan_provider *));
        if (providers == NULL)
            return IROH_ERR_NOMEM;
        p->providers = providers;
        p->room = room;
    }
    plan_provider *v = calloc(1, sizeof *v);
    if (v == NULL)
        return IROH_ERR_NOMEM;
    list_init(&v->spans);
    list_init(&v->holes);
    *number = p->count;
    p->providers[p->count++] = v;
    return 0;
}

bool plan_may_dial(const plan *p, size_t provider, uint64_t now) {
    const plan_provider *v = p->providers[provider];
    return v->state == PLAN_WAITS && v->retry_at <= now;
}

void plan_dials(plan *p, size_t provider) {
    p->providers[provider]->state = PLAN_DIALS;
}

void plan_up(plan *p, size_t provider, uint64_t now) {
    p->providers[provider]->state = PLAN_UP;
    p->providers[provider]->heard = now;
}

static bool is_final(int error) {
    return error == IROH_ERR_PROTOCOL || error == IROH_ERR_TOO_LARGE || error == IROH_ERR_ACCESS ||
           error == IROH_ERR_SELF;
}

void plan_failed(plan *p, size_t provider, int error, uint64_t now) {
    plan_provider *v = p->providers[provider];
    unsigned shift = v->failures < FAILURES_SHIFT_MAX ? v->failures : FAILURES_SHIFT_MAX;
    uint64_t wait = time_min((uint64_t)PLAN_BACKOFF_MS << shift, PLAN_BACKOFF_MAX_MS) * NS_PER_MS;
    v->error = error;
    v->failures++;
    v->state = is_final(error) || v->failures >= p->tries ? PLAN_OUT : PLAN_WAITS;
    v->retry_at = time_add(now, wait);
}

void plan_waits(plan *p, size_t provider, uint64_t until) {
    p->providers[provider]->state = PLAN_WAITS;
    p->providers[provider]->retry_at = until;
}

plan_hole *plan_find_hole(const plan_provider *v, uint64_t blob) {
    for (list_link *l = v->holes.next; l != &v->holes; l = l->next) {
        plan_hole *h = list_entry(l, plan_hole, link);
        if (h->blob == blob)
            return h;
    }
    return NULL;
}

// How many groups or blobs are doubted after one that is lacked.
static uint64_t doubted(const plan_provider *v) {
    return UINT64_C(1) << (v->misses - (v->misses >= PLAN_CAREFUL ? PLAN_CAREFUL - 1 : 0));
}

static plan_hole *make_hole(plan_provider *v, uint64_t blob) {
    plan_hole *h = plan_find_hole(v, blob);
    if (h != NULL || (h = calloc(1, sizeof *h)) == NULL)
        return h;
    h->blob = blob;
    list_push_back(&v->holes, &h->link);
    return h;
}

// What is new is no longer lacked; of what was claimed before, its answers tell more.
static int forgive(plan_hole *h, const ranges *have) {
    int r = 0;
    for (size_t i = 0; i < ranges_count(have) && r == 0; i++) {
        range item = ranges_items(have)[i];
        const ranges *without[] = {&h->had};
        while (r == 0 && pick_free(&item, without, 1)) {
            uint64_t end = pick_end(&item, without, 1);
            r = ranges_remove(&h->lacks, item.start, end);
            item.start = end;
        }
    }
    return r;
}

static int deny(plan_hole *h, const ranges *have) {
    uint64_t at = 0;
    int r = 0;
    for (size_t i = 0; i < ranges_count(have) && r == 0; i++) {
        range item = ranges_items(have)[i];
        if (at < item.start)
            r = ranges_add(&h->lacks, at, item.start);
        at = item.end;
    }
    return r == 0 && at < BAO_END ? ranges_add(&h->lacks, at, BAO_END) : r;
}

int plan_has(plan *p, size_t provider, uint64_t blob, const ranges *have) {
    plan_hole *h = make_hole(p->providers[provider], blob);
    if (h == NULL)
        return IROH_ERR_NOMEM;
    int r = forgive(h, have);
    if (r == 0)
        r = deny(h, have);
    ranges_clear(&h->doubts);
    return r == 0 ? add_all(&h->had, have) : r;
}

void plan_ask_again(plan *p) {
    for (size_t i = 0; i < p->count; i++) {
        plan_provider *v = p->providers[i];
        (void)plan_forget_doubts(v);
        ranges_clear(&v->lacks);
        for (list_link *l = v->holes.next; l != &v->holes; l = l->next)
            ranges_clear(&list_entry(l, plan_hole, link)->lacks);
    }
}

// Progress

static void measure(plan_provider *v, const plan_span *s, uint64_t more, uint64_t now) {
    bool first = s->bytes == 0 && v->span_count == 1;
    if (first) {
        uint64_t latency = now - s->began;
        v->latency = v->latency == 0 || latency < v->latency ? latency : (3 * v->latency + latency) / 4;
        v->window_at = now;
        v->window_bytes = 0;
        return;
    }
    v->window_bytes += more;
    uint64_t took = now - v->window_at;
    if (took < PLAN_AHEAD_MS * NS_PER_MS)
        return;
    uint64_t rate = plan_rate_of(v->window_bytes, took);
    v->rate = v->rate == 0 ? rate : (v->rate + rate) / 2;
    v->window_at = now;
    v->window_bytes = 0;
}

// The blobs of the span before `number` are done.
static int pass(plan *p, plan_span *s, uint64_t number) {
    if (ranges_count(&s->chunks) > 0 && s->blob < number)
        ranges_clear(&s->chunks);
    uint64_t before = pick_count(&s->blobs);
    int r = number > 0 ? ranges_remove(&s->blobs, 0, number) : 0;
    p->whole_count += before - pick_count(&s->blobs);
    return r;
}

static int take_chunks(plan_span *s, uint64_t bytes) {
    uint64_t count = (bytes - s->counted) / BAO_CHUNK;
    s->counted += count * BAO_CHUNK;
    return pick_drop(&s->chunks, count);
}

int plan_came(plan *p, plan_span *s, uint64_t number, uint64_t bytes, uint64_t more, uint64_t now) {
    plan_provider *v = p->providers[s->provider];
    int r = pass(p, s, number);
    if (more > 0) {
        measure(v, s, more, now);
        v->failures = 0;
        v->heard = s->heard = now;
        s->bytes += more;
        p->came += more;
    }
    if (r == 0 && s->blob == number && ranges_count(&s->chunks) > 0)
        return take_chunks(s, bytes);
    s->current = number;
    s->current_bytes = bytes;
    if (s->blob != number)
        p->whole_bytes += more;
    return r;
}

int plan_open(plan *p, plan_span *s, uint64_t number, const ranges *chunks, uint64_t size, uint64_t bytes) {
    int r = pass(p, s, number);
    if (r != 0 || !pick_has(&s->blobs, number))
        return r;
    r = ranges_remove(&s->blobs, number, number + 1);
    s->blob = number;
    s->size = size;
    s->counted = bytes;
    ranges_clear(&s->chunks);
    return r == 0 ? add_all(&s->chunks, chunks) : r;
}

bool plan_span_over(const plan_span *s) {
    return ranges_count(&s->chunks) == 0 && ranges_count(&s->blobs) == 0;
}

void plan_span_set(plan_span *s, ranges *chunks) {
    ranges_dispose(&s->chunks);
    s->chunks = *chunks;
    *chunks = RANGES_INIT;
}

int plan_shorten(plan *p, plan_span *s, uint64_t number) {
    int r = 0;
    for (size_t i = 0; i < ranges_count(&s->blobs) && r == 0; i++) {
        range item = ranges_items(&s->blobs)[i];
        if (item.end > number)
            r = ranges_add(&p->blobs, item.start > number ? item.start : number, item.end);
    }
    return r == 0 ? ranges_remove(&s->blobs, number, UINT64_MAX) : r;
}

// Ends

int plan_put_back(plan *p, plan_span *s) {
    int r = plan_want_chunks(p, s->blob, &s->chunks, s->size);
    // What came in part is wanted in parts from now on: who has the rest of it may not have all.
    if (r == 0 && s->current_bytes > 0 && pick_has(&s->blobs, s->current)) {
        ranges all = RANGES_INIT;
        r = ranges_add(&all, 0, BAO_END);
        if (r == 0)
            r = plan_want_chunks(p, s->current, &all, 0);
        if (r == 0)
            r = ranges_remove(&s->blobs, s->current, s->current + 1);
        ranges_dispose(&all);
    }
    if (r == 0)
        r = add_all(&p->blobs, &s->blobs);
    ranges_clear(&s->chunks);
    ranges_clear(&s->blobs);
    return r;
}

// What was asked for and has not come is doubted. It is lacked for certain when nothing else was asked for: with the end
// of an answer, what came before it may be lost.
static int miss_chunks(plan_provider *v, const plan_span *s) {
    range first = ranges_items(&s->chunks)[0], last = ranges_items(&s->chunks)[ranges_count(&s->chunks) - 1];
    uint64_t start = first.start - first.start % BAO_GROUP_CHUNKS, chunks = bao_chunks(s->size);
    // There is no end of what may lie beyond the end of the blob, so that is one thing.
    bool to_end = s->size == 0 || last.end >= chunks, beyond = s->size > 0 && first.start >= chunks;
    plan_hole *h = make_hole(v, s->blob);
    if (h == NULL)
        return IROH_ERR_NOMEM;
    if (!s->narrow || s->bytes > 0) {
        int r = to_end ? ranges_add(&h->doubts, last.start, BAO_END) : 0;
        return r == 0 ? add_all(&h->doubts, &s->chunks) : r;
    }
    if (beyond || first.start > BAO_SIZE_MAX / BAO_CHUNK)
        return ranges_add(&h->lacks, first.start, BAO_END);
    int r = ranges_add(&h->lacks, start, start + BAO_GROUP_CHUNKS);
    uint64_t end = to_end ? BAO_END : start + BAO_GROUP_CHUNKS * doubted(v);
    return r == 0 ? ranges_add(&h->doubts, start, end) : r;
}

static int miss_blobs(plan_provider *v, const plan_span *s) {
    uint64_t first = ranges_items(&s->blobs)[0].start;
    if (s->current == first && s->current_bytes > 0)
        return 0;  // it has the beginning; the rest will be asked for in parts
    if (!s->narrow || s->bytes > 0)
        return add_all(&v->doubts, &s->blobs);
    int r = ranges_add(&v->lacks, first, first + 1);
    return r == 0 ? ranges_add(&v->doubts, first, first + doubted(v)) : r;
}

static int miss(plan *p, plan_span *s) {
    plan_provider *v = p->providers[s->provider];
    v->error = IROH_ERR_NOT_FOUND;
    v->misses += v->misses < MISSES_MAX;
    if (ranges_count(&s->chunks) > 0)
        return miss_chunks(v, s);
    return ranges_count(&s->blobs) > 0 ? miss_blobs(v, s) : 0;
}

// A blob of which nothing is left to do is not looked at again.
static void tidy(plan *p, uint64_t blob) {
    plan_blob *b = plan_find_blob(p, blob);
    if (b == NULL || ranges_count(&b->todo) > 0)
        return;
    for (const plan_span *s = plan_next_span(p, NULL); s != NULL; s = plan_next_span(p, s)) {
        if (s->blob == blob && ranges_count(&s->chunks) > 0)
            return;
    }
    blob_free(b);
}

int plan_give_back(plan *p, plan_span *s) {
    uint64_t blob = s->blob;
    int r = plan_put_back(p, s);
    span_free(p, s);
    tidy(p, blob);
    return r;
}

int plan_end(plan *p, plan_span *s, int error, uint64_t now) {
    plan_provider *v = p->providers[s->provider];
    int r = 0;
    if (error == 0) {
        if (v->rate == 0)
            v->rate = plan_rate_of(s->bytes, now - s->began);
        if (v->misses > 0)
            v->misses = v->misses < PLAN_CAREFUL ? v->misses - 1 : PLAN_CAREFUL - 1;
        p->whole_count += pick_count(&s->blobs);
        ranges_clear(&s->chunks);
        ranges_clear(&s->blobs);
    } else if (error == IROH_ERR_NOT_FOUND) {
        r = miss(p, s);
    } else {
        plan_failed(p, s->provider, error, now);
    }
    int back = plan_give_back(p, s);
    return r == 0 ? back : r;
}
