#include "unit/plan_model_support.h"

#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader_pick.h"

#define OPEN_CHUNKS 4096  // from which on a blob is shared
#define CHECK_EVERY 16    // ticks

void model_init(model *m, bool whole) {
    memset(m, 0, sizeof *m);
    m->whole = whole;
    m->now = NS_PER_S;
    plan_init(&m->plan, 3);
}

void model_dispose(model *m) {
    plan_dispose(&m->plan);
}

void model_add_blob(model *m, uint64_t chunks) {
    uint64_t first = m->blobs > 0 ? m->first[m->blobs - 1] + m->chunks[m->blobs - 1] : 0;
    m->first[m->blobs] = first;
    m->chunks[m->blobs++] = chunks;
}

void model_add_provider(model *m, model_provider p) {
    m->providers[m->count++] = p;
}

uint64_t model_left(const model *m) {
    uint64_t n = 0;
    for (size_t b = 0; b < m->blobs; b++) {
        for (uint64_t c = 0; c < m->chunks[b]; c++)
            n += !m->got[m->first[b] + c];
    }
    return n;
}

bool model_has(const model_provider *p, bool whole, uint64_t blob, uint64_t chunk) {
    uint64_t unit = whole && !p->groups ? blob : chunk / BAO_GROUP_CHUNKS;
    return p->modulo == 0 || unit % p->modulo == p->rest;
}

// Requests

static void add_item(model_transfer *t, uint64_t blob, uint64_t start, uint64_t end) {
    if (t->count < MODEL_ITEMS)
        t->items[t->count++] = (model_item){blob, start, end};
}

// The runs of [start, end) that have not come. What lies beyond the end means the last chunk.
static int add_missing(const model *m, model_transfer *t, uint64_t blob, range r, ranges *out) {
    uint64_t n = m->chunks[blob], from = r.start < n ? r.start : n - 1, end = r.end < n ? r.end : n;
    int e = 0;
    for (uint64_t c = from; c < end && e == 0;) {
        uint64_t start = c;
        while (c < end && !m->got[m->first[blob] + c])
            c++;
        if (c > start) {
            add_item(t, blob, start, c);
            if (out != NULL)
                e = ranges_add(out, start == from ? r.start : start, c == end ? r.end : c);
        }
        c += c == start;
    }
    return e;
}

static int build(model *m, model_transfer *t) {
    plan_span *s = t->span;
    ranges set = RANGES_INIT;
    int e = 0;
    if (ranges_count(&s->chunks) > 0) {
        for (size_t i = 0; i < ranges_count(&s->chunks) && e == 0; i++)
            e = add_missing(m, t, s->blob, ranges_items(&s->chunks)[i], &set);
        if (e == 0)
            plan_span_set(s, &set);
        ranges_dispose(&set);
        return e;
    }
    for (uint64_t b = 0; b < m->blobs && e == 0; b++) {
        size_t before = t->count;
        if (!pick_has(&s->blobs, b))
            continue;
        e = add_missing(m, t, b, (range){0, BAO_END}, NULL);
        if (e == 0 && t->count == before)
            e = ranges_remove(&s->blobs, b, b + 1);
    }
    return e;
}

static int end(model *m, model_transfer *t, int error) {
    plan_span *s = t->span;
    uint64_t blob = s->blob;
    bool chunks = ranges_count(&s->chunks) > 0;
    int e = 0;
    t->span = NULL;
    if (blob != UINT64_MAX && m->got[m->first[blob] + m->chunks[blob] - 1])
        e = plan_size(&m->plan, blob, m->chunks[blob] * BAO_CHUNK, true);
    model_provider *p = &m->providers[s->provider];
    if (error == IROH_ERR_NOT_FOUND && p->observable && chunks && p->news_at == 0) {
        p->news_at = m->now + p->latency;
        p->news_blob = blob;
    }
    return e == 0 ? plan_end(&m->plan, s, error, m->now) : e;
}

static int drop(model *m, model_transfer *t) {
    plan_span *s = t->span;
    t->span = NULL;
    return plan_give_back(&m->plan, s);
}

// What comes

static int tell_size(model *m, model_transfer *t, uint64_t blob) {
    uint64_t size = m->chunks[blob] * BAO_CHUNK;
    if (t->told)
        return 0;
    t->told = true;
    if (t->span->blob == blob)
        return plan_size(&m->plan, blob, size, false);
    if (m->chunks[blob] < OPEN_CHUNKS)
        return 0;
    ranges left = RANGES_INIT;
    int e = 0;
    for (size_t i = t->at; i < t->count && t->items[i].blob == blob && e == 0; i++)
        e = ranges_add(&left, t->items[i].start, t->items[i].end);
    if (e == 0)
        e = plan_open(&m->plan, t->span, blob, &left, size, t->came);
    ranges_dispose(&left);
    return e;
}

// A group of the item: its chunks.
static uint64_t group_of(const model_item *i) {
    uint64_t end_of_group = i->start - i->start % BAO_GROUP_CHUNKS + BAO_GROUP_CHUNKS;
    return (end_of_group < i->end ? end_of_group : i->end) - i->start;
}

static int fault(model *m, model_provider *p, model_transfer *t) {
    if (p->how == MODEL_STALLS)
        return 0;
    return end(m, t,
               p->how == MODEL_LIES   ? IROH_ERR_PROTOCOL
               : p->how == MODEL_DIES ? IROH_ERR_PEER_CLOSED
                                      : IROH_ERR_ACCESS);
}

static void get_group(model *m, const model_item *item, uint64_t n) {
    for (uint64_t c = item->start; c < item->start + n; c++) {
        unsigned char *got = &m->got[m->first[item->blob] + c];
        m->twice += *got;
        *got = 1;
    }
}

// One group: 1 when it came, 0 when nothing more does now.
static int step(model *m, model_provider *p, model_transfer *t) {
    model_item *item = &t->items[t->at];
    uint64_t n = group_of(item), bytes = n * BAO_CHUNK, blob = item->blob;
    if (p->how != MODEL_HONEST && p->sent >= p->limit)
        return fault(m, p, t);
    // With the end of an answer the group before what is missing can be lost.
    bool lost = p->loses && t->at + 1 < t->count &&
                !model_has(p, m->whole, t->items[t->at + 1].blob, t->items[t->at + 1].start);
    if (lost || !model_has(p, m->whole, blob, item->start))
        return end(m, t, IROH_ERR_NOT_FOUND);
    if (p->budget < (double)bytes)
        return 0;
    p->budget -= (double)bytes;
    p->sent += bytes;
    get_group(m, item, n);
    item->start += n;
    t->came += bytes;
    int e = plan_came(&m->plan, t->span, blob, t->came, bytes, m->now);
    if (e == 0)
        e = tell_size(m, t, blob);
    if (item->start == item->end && ++t->at < t->count && t->items[t->at].blob != blob) {
        t->came = 0;
        t->told = false;
    }
    if (e == 0 && t->at == t->count)
        e = end(m, t, 0);
    else if (e == 0 && plan_span_over(t->span))
        e = drop(m, t);
    return e == 0 ? 1 : e;
}

static int send_some(model *m, size_t i) {
    model_provider *p = &m->providers[i];
    p->budget += (double)p->rate * (double)MODEL_TICK / 1e9;
    int e = 1;
    for (size_t k = 0; k < PLAN_SPANS; k++) {
        model_transfer *t = &m->transfers[i][k];
        for (e = 1; e == 1 && t->span != NULL && t->ready <= m->now;)
            e = step(m, p, t);
        if (e < 0)
            return e;
    }
    // Nobody saves up while there is nothing to send.
    double most = (double)p->rate * 0.05 + 32768;
    p->budget = p->budget < most ? p->budget : most;
    return 0;
}

// Providers

static int connect(model *m, size_t i) {
    model_provider *p = &m->providers[i];
    int state = m->plan.providers[i]->state;
    if (state == PLAN_WAITS && plan_may_dial(&m->plan, i, m->now)) {
        plan_dials(&m->plan, i);
        p->due = m->now + p->latency;
    } else if (state == PLAN_DIALS && p->due <= m->now) {
        if (p->how == MODEL_AWAY)
            plan_failed(&m->plan, i, IROH_ERR_IDLE, m->now);
        else
            plan_up(&m->plan, i, m->now);
    }
    return 0;
}

static int tell_news(model *m, size_t i) {
    model_provider *p = &m->providers[i];
    ranges have = RANGES_INIT;
    int e = 0;
    if (p->news_at == 0 || p->news_at > m->now)
        return 0;
    p->news_at = TIME_NEVER;
    uint64_t n = m->chunks[p->news_blob];
    for (uint64_t c = 0; c < n && e == 0; c += BAO_GROUP_CHUNKS) {
        uint64_t group_end = c + BAO_GROUP_CHUNKS >= n ? BAO_END : c + BAO_GROUP_CHUNKS;
        if (model_has(p, m->whole, p->news_blob, c))
            e = ranges_add(&have, c, group_end);
    }
    if (e == 0)
        e = plan_has(&m->plan, i, p->news_blob, &have);
    ranges_dispose(&have);
    return e;
}

static model_transfer *free_transfer(model *m, size_t i) {
    for (size_t k = 0; k < PLAN_SPANS; k++) {
        if (m->transfers[i][k].span == NULL)
            return &m->transfers[i][k];
    }
    return NULL;
}

static int begin_spans(model *m, size_t i) {
    plan_span *s;
    int r;
    while ((r = plan_take(&m->plan, i, m->now, &s)) == 1) {
        model_transfer *t = free_transfer(m, i);
        if (t == NULL)
            return IROH_ERR_INTERNAL;
        *t = (model_transfer){.span = s, .ready = m->now + m->providers[i].latency};
        r = build(m, t);
        if (r == 0 && t->count == 0)
            r = end(m, t, 0);
        if (r != 0)
            return r;
    }
    return r;
}

static int drop_over(model *m, size_t i) {
    int state = m->plan.providers[i]->state, e = 0;
    for (size_t k = 0; k < PLAN_SPANS && e == 0; k++) {
        model_transfer *t = &m->transfers[i][k];
        if (t->span != NULL && (state != PLAN_UP || plan_span_over(t->span)))
            e = drop(m, t);
    }
    return e;
}

static int turn(model *m) {
    int e = 0;
    for (size_t i = 0; i < m->count && e == 0; i++) {
        e = connect(m, i);
        if (e == 0)
            e = drop_over(m, i);
        if (e == 0)
            e = send_some(m, i);
        if (e == 0)
            e = tell_news(m, i);
        if (e == 0 && m->plan.providers[i]->state == PLAN_UP)
            e = begin_spans(m, i);
        if (e == 0)
            e = drop_over(m, i);
    }
    return e;
}

// Looking at it

static void cover_chunks(model *m, uint64_t blob, const ranges *set) {
    for (size_t i = 0; i < ranges_count(set); i++) {
        range r = ranges_items(set)[i];
        for (uint64_t c = r.start; c < r.end && c < m->chunks[blob]; c++)
            m->cover[m->first[blob] + c]++;
    }
}

static void cover_blobs(model *m, const ranges *set) {
    ranges all = {.count = 1, .inline_items = {{0, BAO_END}}};
    for (uint64_t b = 0; b < m->blobs; b++) {
        if (pick_has(set, b))
            cover_chunks(m, b, &all);
    }
}

static bool is_covered_once(model *m) {
    memset(m->cover, 0, sizeof m->cover);
    cover_blobs(m, &m->plan.blobs);
    for (const list_link *l = m->plan.open.next; l != &m->plan.open; l = l->next) {
        const plan_blob *b = list_entry(l, plan_blob, link);
        cover_chunks(m, b->number, &b->todo);
    }
    for (const plan_span *s = plan_next_span(&m->plan, NULL); s != NULL; s = plan_next_span(&m->plan, s)) {
        cover_blobs(m, &s->blobs);
        if (ranges_count(&s->chunks) > 0)
            cover_chunks(m, s->blob, &s->chunks);
    }
    for (size_t b = 0; b < m->blobs; b++) {
        for (uint64_t c = m->first[b]; c < m->first[b] + m->chunks[b]; c++) {
            if (!m->got[c] && m->cover[c] != 1)
                return false;
        }
    }
    return true;
}

static int begin(model *m) {
    ranges all = RANGES_INIT;
    int e = m->whole ? plan_want_blobs(&m->plan, 0, m->blobs) : ranges_add(&all, 0, BAO_END);
    if (e == 0 && !m->whole)
        e = plan_want_chunks(&m->plan, 0, &all, 0);
    for (size_t i = 0; i < m->count && e == 0; i++)
        e = plan_provider_add(&m->plan, &m->providers[i].number);
    ranges_dispose(&all);
    return e;
}

int model_run(model *m, unsigned seconds, bool check) {
    uint64_t until = m->now + seconds * NS_PER_S, due;
    int r = begin(m);
    for (unsigned tick = 0; r == 0; tick++) {
        r = turn(m);
        if (r == 0 && check && tick % CHECK_EVERY == 0 && !is_covered_once(m))
            r = IROH_ERR_INTERNAL;
        if (r == 0)
            r = plan_status(&m->plan, m->now, &due);
        m->now += MODEL_TICK;
        if (r == 0 && m->now > until)
            r = IROH_ERR_TIMEOUT;
    }
    return r;
}
