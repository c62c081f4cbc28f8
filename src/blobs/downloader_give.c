// Giving out spans: from what is left, and from what others have not got round to.
#include <stdlib.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader_pick.h"

#define SIZE_GUESS 16384  // bytes of a blob, before the first ones have come

// How much there is

// The chunks of a range as far as they exist, when the blob is as large as claimed. What lies beyond is one chunk: the last.
static uint64_t visible_end(range item, uint64_t size) {
    uint64_t chunks = bao_chunks(size);
    if (size == 0 || item.end <= chunks)
        return item.end;
    return item.start < chunks ? chunks : item.start + 1;
}

static uint64_t visible_chunks(const ranges *set, uint64_t size) {
    uint64_t n = 0;
    if (size == 0)
        return ranges_count(set) > 0 ? PLAN_FIRST_BYTES / BAO_CHUNK : 0;
    for (size_t i = 0; i < ranges_count(set); i++)
        n += visible_end(ranges_items(set)[i], size) - ranges_items(set)[i].start;
    return n;
}

static uint64_t whole_size(const plan *p) {
    return (p->whole_bytes + SIZE_GUESS) / (p->whole_count + 1) + 1;
}

static uint64_t span_bytes(const plan *p, const plan_span *s) {
    return visible_chunks(&s->chunks, s->size) * BAO_CHUNK + plan_scale(pick_count(&s->blobs), whole_size(p), 1);
}

static size_t count_up(const plan *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++)
        n += p->providers[i]->state == PLAN_UP;
    return n;
}

// Of `total`, what one of several gets at once, so that there is something left for all until the end.
static uint64_t share(const plan *p, uint64_t total) {
    size_t up = count_up(p);
    return up > 1 ? total / (2 * (up - 1) + 1) : total;
}

static uint64_t most_bytes(const plan_provider *v) {
    if (v->rate == 0)
        return PLAN_FIRST_BYTES;
    uint64_t bytes = plan_scale(v->rate, PLAN_SPAN_MS, 1000);
    if (bytes < PLAN_LEAST_BYTES)
        return PLAN_LEAST_BYTES;
    return bytes < PLAN_MOST_BYTES ? bytes : PLAN_MOST_BYTES;
}

// What a provider can give

typedef struct sieve {
    const ranges *without[2];
    size_t count;
} sieve;

// False when it is doubted that it has anything of the blob. Who lacked it when all of it was wanted may have another part
// than the beginning.
static bool sieve_chunks(sieve *f, const plan_provider *v, uint64_t blob) {
    const plan_hole *h = plan_find_hole(v, blob);
    *f = (sieve){.count = 0};
    if (h != NULL)
        *f = (sieve){{&h->lacks, &h->doubts}, 2};
    return !pick_has(&v->doubts, blob);
}

static sieve sieve_blobs(const plan_provider *v) {
    return (sieve){{&v->lacks, &v->doubts}, 2};
}

// Something of `set` from `from` on passes.
static bool passes(const sieve *f, const ranges *set, uint64_t from) {
    for (size_t i = 0; i < ranges_count(set); i++) {
        range item = ranges_items(set)[i];
        if (item.start < from)
            item.start = from;
        if (item.start < item.end && pick_free(&item, f->without, f->count))
            return true;
    }
    return false;
}

bool plan_can_give(const plan *p, const plan_provider *v) {
    sieve f = sieve_blobs(v);
    if (passes(&f, &p->blobs, 0))
        return true;
    for (const list_link *l = p->open.next; l != &p->open; l = l->next) {
        const plan_blob *b = list_entry(l, plan_blob, link);
        if (sieve_chunks(&f, v, b->number) && passes(&f, &b->todo, 0))
            return true;
    }
    return false;
}

// Giving what nobody has yet

// Cuts a range after about `most` chunks, between groups.
static void cut(range *item, uint64_t size, uint64_t most) {
    uint64_t end = visible_end(*item, size);
    if (end - item->start <= most)
        return;
    uint64_t at = item->start + most;
    at -= at % BAO_GROUP_CHUNKS;
    if (at <= item->start)
        at = item->start - item->start % BAO_GROUP_CHUNKS + BAO_GROUP_CHUNKS;
    if (at < end)
        item->end = at;
}

static int move_all(ranges *from, const ranges *moved) {
    int r = 0;
    for (size_t i = 0; i < ranges_count(moved) && r == 0; i++)
        r = ranges_remove(from, ranges_items(moved)[i].start, ranges_items(moved)[i].end);
    return r;
}

// One group, or what lies beyond any blob and stands for the last chunk.
static bool is_narrow(const ranges *chunks, uint64_t size) {
    range first = ranges_count(chunks) == 1 ? ranges_items(chunks)[0] : (range){0, BAO_END};
    return first.start > BAO_SIZE_MAX / BAO_CHUNK || first.end - first.start <= BAO_GROUP_CHUNKS ||
           (size > 0 && visible_end(first, size) - first.start <= BAO_GROUP_CHUNKS);
}

static int give_chunks(plan_blob *b, const sieve *f, uint64_t most, plan_span *s) {
    int r = 0;
    for (size_t i = 0; i < ranges_count(&b->todo) && r == 0; i++) {
        range item = ranges_items(&b->todo)[i];
        while (r == 0 && most > 0 && ranges_count(&s->chunks) < PLAN_RANGES_MAX &&
               pick_free(&item, f->without, f->count)) {
            range piece = {item.start, pick_end(&item, f->without, f->count)};
            cut(&piece, b->size, most);
            uint64_t n = visible_end(piece, b->size) - piece.start;
            most -= n < most ? n : most;
            r = ranges_add(&s->chunks, piece.start, piece.end);
            item.start = piece.end;
        }
    }
    s->blob = b->number;
    s->size = b->size;
    s->narrow = is_narrow(&s->chunks, b->size);
    return r == 0 ? move_all(&b->todo, &s->chunks) : r;
}

static int give_blobs(plan *p, const sieve *f, uint64_t most, plan_span *s) {
    int r = 0;
    for (size_t i = 0; i < ranges_count(&p->blobs) && r == 0; i++) {
        range item = ranges_items(&p->blobs)[i];
        while (r == 0 && most > 0 && pick_free(&item, f->without, f->count)) {
            uint64_t end = pick_end(&item, f->without, f->count);
            if (end - item.start > most)
                end = item.start + most;
            r = ranges_add(&s->blobs, item.start, end);
            most -= end - item.start;
            item.start = end;
        }
    }
    s->narrow = pick_count(&s->blobs) == 1;
    return r == 0 ? move_all(&p->blobs, &s->blobs) : r;
}

static int span_new(plan *p, size_t provider, uint64_t now, plan_span **out) {
    plan_provider *v = p->providers[provider];
    plan_span *s = calloc(1, sizeof *s);
    *out = s;
    if (s == NULL)
        return IROH_ERR_NOMEM;
    s->provider = provider;
    s->began = s->heard = now;
    s->blob = s->current = UINT64_MAX;
    if (list_empty(&v->spans))
        v->heard = now;
    list_push_back(&v->spans, &s->link);
    v->span_count++;
    return 1;
}

// How long a blob is, is found out by the first who is asked, and whether it is as long as claimed by who is asked for the
// end.
static bool somebody_asks(const plan *p, const plan_blob *b) {
    if (b->size > 0 && ranges_items(&b->todo)[0].start < bao_chunks(b->size))
        return false;
    for (const plan_span *s = plan_next_span(p, NULL); s != NULL; s = plan_next_span(p, s)) {
        // Who lacks some of it may not know either.
        if (s->blob == b->number && ranges_count(&s->chunks) > 0 && p->providers[s->provider]->misses == 0)
            return true;
    }
    return false;
}

static int give(plan *p, size_t provider, uint64_t now, plan_span **out) {
    const plan_provider *v = p->providers[provider];
    uint64_t most = most_bytes(v);
    sieve f;
    for (list_link *l = p->open.next; l != &p->open; l = l->next) {
        plan_blob *b = list_entry(l, plan_blob, link);
        if (!sieve_chunks(&f, v, b->number) || !passes(&f, &b->todo, 0) || somebody_asks(p, b))
            continue;
        uint64_t chunks = share(p, visible_chunks(&b->todo, b->size));
        if (chunks < PLAN_LEAST_BYTES / BAO_CHUNK || b->size == 0)
            chunks = b->size == 0 ? PLAN_FIRST_BYTES / BAO_CHUNK : PLAN_LEAST_BYTES / BAO_CHUNK;
        chunks = v->misses >= PLAN_CAREFUL ? BAO_GROUP_CHUNKS : chunks;
        int r = span_new(p, provider, now, out);
        return r == 1 && (r = give_chunks(b, &f, time_min(chunks, most / BAO_CHUNK), *out)) == 0 ? 1 : r;
    }
    f = sieve_blobs(v);
    if (!passes(&f, &p->blobs, 0))
        return 0;
    uint64_t count = time_min(share(p, pick_count(&p->blobs)), most / whole_size(p));
    count = count == 0 || v->misses >= PLAN_CAREFUL ? 1 : time_min(count, PLAN_BLOBS_MAX);
    int r = span_new(p, provider, now, out);
    return r == 1 && (r = give_blobs(p, &f, count, *out)) == 0 ? 1 : r;
}

// Taking over

static bool is_silent(const plan_provider *v, const plan_span *s, uint64_t now) {
    return now - v->heard >= PLAN_SILENT_MS * NS_PER_MS && now - s->began >= PLAN_SILENT_MS * NS_PER_MS;
}

// Bytes per second, less and less while nothing comes. 0: unknown.
static uint64_t rate_now(const plan_provider *v, uint64_t now) {
    uint64_t quiet = now - v->heard, usual = PLAN_SILENT_MS * NS_PER_MS / 4;
    return quiet > usual && v->rate > 0 ? plan_scale(v->rate, usual, quiet) + 1 : v->rate;
}

// When a span would be ready, as far as one can tell: ns from now, 0 when it is too early to tell.
static uint64_t time_left(const plan *p, const plan_span *s, uint64_t now) {
    const plan_provider *v = p->providers[s->provider];
    uint64_t rate = rate_now(v, now);
    if (is_silent(v, s, now))
        return TIME_NEVER;
    if (rate == 0 && now - s->began < PLAN_AHEAD_MS * NS_PER_MS)
        return 0;
    return plan_scale(span_bytes(p, s), NS_PER_S, rate > 0 ? rate : PLAN_FIRST_BYTES);
}

// What a span has that `v` could give.
static bool is_of_use(const plan_provider *v, const plan_span *s) {
    sieve f = sieve_blobs(v);
    if (passes(&f, &s->blobs, 0))
        return true;
    return ranges_count(&s->chunks) > 0 && sieve_chunks(&f, v, s->blob) && passes(&f, &s->chunks, 0);
}

static plan_span *find_latest(const plan *p, size_t thief, uint64_t now, uint64_t *left) {
    plan_span *found = NULL;
    *left = 0;
    for (plan_span *s = plan_next_span(p, NULL); s != NULL; s = plan_next_span(p, s)) {
        uint64_t ns = s->provider != thief && is_of_use(p->providers[thief], s) ? time_left(p, s, now) : 0;
        if (ns > *left) {
            *left = ns;
            found = s;
        }
    }
    return found;
}

static int put_away(plan *p, size_t provider, uint64_t now) {
    plan_provider *v = p->providers[provider];
    int r = 0;
    for (list_link *l = v->spans.next; l != &v->spans && r == 0; l = l->next)
        r = plan_put_back(p, list_entry(l, plan_span, link));
    plan_failed(p, provider, IROH_ERR_TIMEOUT, now);
    return r == 0 ? 1 : r;
}

// The number from which on the last `n` of a set come.
static uint64_t last_of(const ranges *set, uint64_t n) {
    for (size_t i = ranges_count(set); i-- > 0;) {
        range item = ranges_items(set)[i];
        if (item.end - item.start >= n)
            return item.end - n;
        n -= item.end - item.start;
    }
    return 0;
}

static int shorten_blobs(plan *p, plan_span *s, const plan_provider *thief, uint64_t mine, uint64_t its) {
    // The one that is on its way stays, unless it is in `chunks` anyway.
    uint64_t n = pick_count(&s->blobs), rest = n - (ranges_count(&s->chunks) == 0);
    uint64_t take = ranges_count(&s->chunks) > 0 ? n : plan_scale(n, mine, mine + its);
    take = time_min(take > 0 ? take : 1, rest);
    if (take == 0)
        return 0;
    uint64_t from = last_of(&s->blobs, take);
    sieve f = sieve_blobs(thief);
    if (!passes(&f, &s->blobs, from))
        return 0;
    int r = plan_shorten(p, s, from);
    return r == 0 ? 1 : r;
}

// Where a span is cut so that `keep` chunks stay; BAO_END: nowhere.
static uint64_t cut_at(const plan_span *s, uint64_t keep) {
    for (size_t i = 0; i < ranges_count(&s->chunks); i++) {
        range item = ranges_items(&s->chunks)[i], piece = item;
        uint64_t n = visible_end(item, s->size) - item.start;
        cut(&piece, s->size, keep);
        if (piece.end != item.end)
            return piece.end;
        keep -= n < keep ? n : keep;
        if (keep == 0)
            return item.end;
    }
    return BAO_END;
}

static int shorten_chunks(plan *p, plan_span *s, const plan_provider *thief, uint64_t mine, uint64_t its) {
    uint64_t keep = plan_scale(visible_chunks(&s->chunks, s->size), its, mine + its);
    keep = time_min(keep, plan_scale(its, PLAN_SPAN_MS, 1000) / BAO_CHUNK) + 1;
    uint64_t from = cut_at(s, keep);
    sieve f;
    if (from == BAO_END || !sieve_chunks(&f, thief, s->blob) || !passes(&f, &s->chunks, from))
        return 0;
    ranges rest = RANGES_INIT;
    int r = 0;
    for (size_t i = 0; i < ranges_count(&s->chunks) && r == 0; i++) {
        range item = ranges_items(&s->chunks)[i];
        if (item.end > from)
            r = ranges_add(&rest, item.start > from ? item.start : from, item.end);
    }
    if (r == 0)
        r = plan_want_chunks(p, s->blob, &rest, s->size);
    if (r == 0)
        r = ranges_remove(&s->chunks, from, BAO_END);
    ranges_dispose(&rest);
    return r == 0 ? 1 : r;
}

// 1 when there is something to give now.
static int take_over(plan *p, size_t thief, uint64_t now) {
    const plan_provider *v = p->providers[thief];
    uint64_t left;
    plan_span *s = find_latest(p, thief, now, &left);
    if (s == NULL || left <= 2 * v->latency + PLAN_TAKE_MS * NS_PER_MS)
        return 0;
    if (left == TIME_NEVER)
        return put_away(p, s->provider, now);
    uint64_t its = rate_now(p->providers[s->provider], now), mine = v->rate;
    its = its > 0 ? its : mine > 0 ? mine : PLAN_FIRST_BYTES;
    mine = mine > 0 ? mine : its;
    // Who has more to do than the blob that has begun, or nothing else, gives of that.
    if (ranges_count(&s->blobs) > 1 || pick_count(&s->blobs) > (ranges_count(&s->chunks) == 0))
        return shorten_blobs(p, s, v, mine, its);
    return ranges_count(&s->chunks) > 0 ? shorten_chunks(p, s, v, mine, its) : 0;
}

static bool may_have_more(const plan *p, const plan_provider *v, uint64_t now) {
    if (v->state != PLAN_UP || v->span_count >= PLAN_SPANS)
        return false;
    if (v->span_count == 0)
        return true;
    if (v->rate == 0)
        return false;
    const plan_span *s = list_entry(v->spans.next, plan_span, link);
    uint64_t left = plan_scale(span_bytes(p, s), NS_PER_S, rate_now(v, now));
    return left < time_max(2 * v->latency, PLAN_AHEAD_MS * NS_PER_MS);
}

bool plan_forget_doubts(plan_provider *v) {
    bool any = ranges_count(&v->doubts) > 0;
    v->misses = v->misses < PLAN_CAREFUL ? v->misses : PLAN_CAREFUL;
    ranges_clear(&v->doubts);
    for (list_link *l = v->holes.next; l != &v->holes; l = l->next) {
        plan_hole *h = list_entry(l, plan_hole, link);
        any |= ranges_count(&h->doubts) > 0;
        ranges_clear(&h->doubts);
    }
    return any;
}

// Who has had nothing to do for long is asked for what was only doubted.
static int give_doubted(plan *p, size_t provider, uint64_t now, plan_span **out) {
    plan_provider *v = p->providers[provider];
    if (v->idle == 0)
        v->idle = now;
    if (now - v->idle < PLAN_SILENT_MS * NS_PER_MS || !plan_forget_doubts(v))
        return 0;
    v->idle = now;
    return give(p, provider, now, out);
}

int plan_take(plan *p, size_t provider, uint64_t now, plan_span **out) {
    plan_provider *v = p->providers[provider];
    *out = NULL;
    if (!may_have_more(p, v, now))
        return 0;
    int r = give(p, provider, now, out);
    if (r == 0 && v->span_count == 0 && (r = take_over(p, provider, now)) == 1)
        r = give(p, provider, now, out);
    if (r == 0 && v->span_count == 0)
        return give_doubted(p, provider, now, out);
    v->idle = 0;
    return r;
}
