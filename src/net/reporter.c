#include "net/reporter.h"

#include <stdlib.h>

#include <iroh/error.h>

void reporter_init(reporter *r, bool https, bool captive, const entropy *random, uint64_t now) {
    *r = (reporter){.https = https, .captive = captive, .random = random, .next = now};
}

void reporter_dispose(reporter *r) {
    free(r->run);
    report_history_dispose(&r->history);
    *r = (reporter){0};
}

void reporter_request(reporter *r, report_reason reason) {
    r->wanted = true;
    r->wanted_full |= reason == REPORT_LINK_MAJOR || reason == REPORT_RELAYS_CHANGED;
}

bool reporter_is_due(const reporter *r, uint64_t now) {
    return r->run == NULL && (r->wanted || r->next <= now);
}

bool reporter_wants_full(const reporter *r, uint64_t now) {
    if (r->wanted_full || !r->had_full || !r->has_last || now > time_add(r->full_at, REPORT_FULL_AGE))
        return true;
    return !r->last.udp4 && !r->last.udp6 && r->last.captive == REPORT_YES;
}

static void set_next(reporter *r, uint64_t now) {
    r->next = now + REPORT_PERIOD_MIN + entropy_below(r->random, REPORT_PERIOD_MAX - REPORT_PERIOD_MIN);
}

// For a question that is as good with any relay.
static int any_relay(const reporter *r, const report_plan *world) {
    return world->relay_count > 0 ? world->relays[entropy_below(r->random, world->relay_count)] : -1;
}

int reporter_begin(reporter *r, const report_plan *world, uint64_t now) {
    report_plan plan = *world;
    plan.full = reporter_wants_full(r, now);
    plan.https = r->https && (plan.full || !report_has_latency(&r->last));
    plan.captive = r->captive && plan.full ? any_relay(r, world) : -1;
    r->wanted = false;
    r->run = malloc(sizeof *r->run);
    if (r->run == NULL) {
        r->next = now + REPORT_RETRY;
        return IROH_ERR_NOMEM;
    }
    set_next(r, now);
    r->wanted_full = false;
    report_run_begin(r->run, &plan, now);
    r->runs++;
    if (!plan.full)
        return 0;
    r->full_runs++;
    r->had_full = true;
    r->full_at = now;
    return 0;
}

void reporter_forget(reporter *r) {
    r->has_last = r->had_full = r->wanted = r->wanted_full = false;
    report_history_dispose(&r->history);
    r->next = TIME_NEVER;
}

bool reporter_settle(reporter *r, int home, uint64_t now) {
    if (r->run == NULL || !report_run_is_over(r->run))
        return false;
    report *fresh = &r->run->result;
    report_history_add(&r->history, fresh, now);
    fresh->preferred = report_history_choose(&r->history, fresh, home);
    if (r->has_last && !r->run->full)
        report_inherit(fresh, &r->last);
    r->last = *fresh;
    r->has_last = true;
    r->settled_at = now;
    free(r->run);
    r->run = NULL;
    set_next(r, now);
    return true;
}

bool reporter_seen(reporter *r, const addr *seen) {
    addr *known = seen->kind == ADDR_IP4 ? &r->last.global4 : &r->last.global6;
    if (!r->has_last || !addr_is_ip(seen) || addr_equal(known, seen))
        return false;
    *known = *seen;
    reporter_request(r, REPORT_SEEN_ELSEWHERE);
    return true;
}

uint64_t reporter_deadline(const reporter *r) {
    if (r->run != NULL)
        return report_run_is_over(r->run) ? 0 : report_run_deadline(r->run);
    return r->wanted ? 0 : r->next;
}
