#include "net/report.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 16

void report_init(report *r) {
    *r = (report){.preferred = -1};
}

void report_add_latency(report *r, int relay, int way, uint64_t ns) {
    uint64_t us = ns / NS_PER_US;
    us = us == 0 ? 1 : us > UINT32_MAX ? UINT32_MAX : us;
    uint32_t *slot = &r->latency[relay][way];
    if (*slot == 0 || us < *slot)
        *slot = (uint32_t)us;
}

static void observe(bool *udp, addr *global, report_answer *varies, const addr *seen) {
    if (!*udp)
        *global = *seen;
    else if (*varies != REPORT_YES)
        *varies = addr_equal(global, seen) ? REPORT_NO : REPORT_YES;
    *udp = true;
}

void report_add_observed(report *r, const addr *global) {
    if (global->kind == ADDR_IP4)
        observe(&r->udp4, &r->global4, &r->varies4, global);
    else if (global->kind == ADDR_IP6)
        observe(&r->udp6, &r->global6, &r->varies6, global);
}

uint32_t report_latency(const report *r, int relay) {
    uint32_t best = 0;
    for (int way = 0; way < REPORT_WAYS; way++) {
        uint32_t us = r->latency[relay][way];
        if (us != 0 && (best == 0 || us < best))
            best = us;
    }
    return best;
}

bool report_has_latency(const report *r) {
    for (int i = 0; i < RELAYS_MAX; i++) {
        if (report_latency(r, i) != 0)
            return true;
    }
    return false;
}

static bool was_asked(const report *r, int relay) {
    return (r->asked >> relay & 1) != 0;
}

void report_inherit(report *r, const report *before) {
    for (int i = 0; i < RELAYS_MAX; i++) {
        bool cut = (r->cut >> i & 1) != 0 && report_latency(r, i) == 0;
        if (!was_asked(r, i) || cut)
            memcpy(r->latency[i], before->latency[i], sizeof r->latency[i]);
    }
    if (r->varies4 == REPORT_UNKNOWN)
        r->varies4 = before->varies4;
    if (r->varies6 == REPORT_UNKNOWN)
        r->varies6 = before->varies6;
}

// --- History

void report_history_dispose(report_history *h) {
    free(h->list);
    *h = (report_history){0};
}

static void drop_oldest(report_history *h, size_t count) {
    h->count -= count;
    if (count > 0 && h->count > 0)
        memmove(h->list, h->list + count, h->count * sizeof *h->list);
}

static void drop_old(report_history *h, uint64_t now) {
    size_t old = 0;
    while (old < h->count && time_add(h->list[old].at, REPORT_HISTORY_SPAN) < now)
        old++;
    drop_oldest(h, old);
}

static bool has_room(report_history *h) {
    if (h->count == REPORT_HISTORY_MAX)
        drop_oldest(h, 1);
    if (h->count < h->room)
        return true;
    size_t room = h->room > 0 ? 2 * h->room : ROOM_MIN;
    report_sample *grown = realloc(h->list, room * sizeof *grown);
    if (grown == NULL)
        return false;
    h->list = grown;
    h->room = room;
    return true;
}

void report_history_add(report_history *h, const report *r, uint64_t now) {
    drop_old(h, now);
    for (int i = 0; i < RELAYS_MAX; i++) {
        uint32_t us = report_latency(r, i);
        if (us != 0 && has_room(h))
            h->list[h->count++] = (report_sample){.at = now, .us = us, .relay = i};
    }
}

static uint32_t best_of(const report_history *h, const report *r, int relay) {
    uint32_t best = report_latency(r, relay);
    for (size_t i = 0; i < h->count; i++) {
        if (h->list[i].relay == relay && h->list[i].us < best)
            best = h->list[i].us;
    }
    return best;
}

int report_history_choose(const report_history *h, const report *r, int previous) {
    uint32_t best_us = 0;
    int best = -1;
    if (previous >= 0 && !was_asked(r, previous))
        return previous;
    for (int i = 0; i < RELAYS_MAX; i++) {
        uint32_t us = report_latency(r, i) != 0 ? best_of(h, r, i) : 0;
        if (us != 0 && (best < 0 || us < best_us)) {
            best = i;
            best_us = us;
        }
    }
    if (best < 0)
        return previous;
    uint64_t home_us = previous >= 0 ? report_latency(r, previous) : 0;
    return home_us != 0 && (uint64_t)best_us * 3 > home_us * 2 ? previous : best;
}
