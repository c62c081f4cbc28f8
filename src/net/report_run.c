#include "net/report_run.h"

static bool is_qad(const report_probe *p) {
    return p->kind == PROBE_QAD4 || p->kind == PROBE_QAD6;
}

static bool is_open(const report_probe *p) {
    return p->state == PROBE_WAITS || p->state == PROBE_READY || p->state == PROBE_RUNS;
}

// --- The plan

static void add(report_run *run, report_probe_kind kind, int relay, uint64_t at) {
    run->probes[run->probe_count++] = (report_probe){.kind = kind, .state = PROBE_WAITS, .relay = relay, .at = at};
}

static void ask(report_run *run, int relay) {
    run->result.asked |= UINT64_C(1) << relay;
}

static bool has_qad(const report_plan *plan, int relay) {
    return relay >= 0 && (plan->qad >> relay & 1) != 0;
}

static void plan_relay(report_run *run, int relay, bool ask4, bool ask6, uint64_t now) {
    if (ask4)
        add(run, PROBE_QAD4, relay, now);
    if (ask6)
        add(run, PROBE_QAD6, relay, now);
    run->qad_relays++;
}

static void plan_qad(report_run *run, const report_plan *plan, uint64_t now) {
    bool ask4 = plan->ip4 && (plan->full || plan->known[0].relay < 0);
    bool ask6 = plan->ip6 && (plan->full || plan->known[1].relay < 0);
    if (!ask4 && !ask6)
        return;
    if (has_qad(plan, plan->home))
        plan_relay(run, plan->home, ask4, ask6, now);
    for (size_t i = 0; i < plan->relay_count && run->qad_relays < REPORT_QAD_RELAYS; i++) {
        if (has_qad(plan, plan->relays[i]) && plan->relays[i] != plan->home)
            plan_relay(run, plan->relays[i], ask4, ask6, now);
    }
    run->has4 = ask4 && run->qad_relays > 0;
    run->has6 = ask6 && run->qad_relays > 0;
}

static void plan_https(report_run *run, const report_plan *plan, uint64_t now) {
    for (unsigned k = 0; plan->https && k < REPORT_HTTPS_ATTEMPTS; k++) {
        for (size_t i = 0; i < plan->relay_count; i++)
            add(run, PROBE_HTTPS, plan->relays[i], now + REPORT_HTTPS_DELAY + k * REPORT_HTTPS_STEP);
    }
}

static void use_known(report_run *run, const report_plan *plan) {
    for (int i = 0; i < 2 && !plan->full; i++) {
        const report_known *k = &plan->known[i];
        bool has = i == 0 ? plan->ip4 : plan->ip6;
        if (k->relay < 0 || !has)
            continue;
        ask(run, k->relay);
        report_add_observed(&run->result, &k->address);
        report_add_latency(&run->result, k->relay, i == 0 ? REPORT_QAD4 : REPORT_QAD6, k->rtt);
        run->has4 |= i == 0;
        run->has6 |= i == 1;
        run->count4 += i == 0;
        run->count6 += i == 1;
    }
}

// --- Enough

static bool qad_is_enough(const report_run *run) {
    unsigned n4 = run->count4, n6 = run->count6;
    if (run->has4 && run->has6)
        return n4 >= 1 && n6 >= 1 && (!run->full || n4 >= 2 || n6 >= 2);
    unsigned wanted = run->full ? 2 : 1;
    return (run->has4 && n4 >= wanted) || (run->has6 && n6 >= wanted);
}

// The home relay has not answered yet and still may.
static bool home_is_open(const report_run *run) {
    bool open = false;
    for (size_t i = 0; i < run->probe_count; i++) {
        const report_probe *p = &run->probes[i];
        if (p->relay != run->home || p->kind == PROBE_CAPTIVE)
            continue;
        if (p->answered)
            return false;
        open |= is_open(p) && (is_qad(p) || run->home_by_https);
    }
    return open;
}

static bool waits_for_home(const report_run *run) {
    return run->home >= 0 && home_is_open(run);
}

static bool is_enough(const report_run *run, uint64_t now) {
    if (run->https > 0 && run->https >= run->relays)
        return true;
    return qad_is_enough(run) && (!waits_for_home(run) || (!run->home_by_https && now >= run->patience));
}

static void give_up(report_probe *p) {
    if (p->state == PROBE_RUNS)
        p->state = PROBE_STOPPING;
    else if (is_open(p))
        p->state = PROBE_OVER;
}

static void cut(report_run *run, report_probe *p) {
    if (is_open(p))
        run->result.cut |= UINT64_C(1) << p->relay;
    give_up(p);
}

// No further answer of QAD is waited for: several relays answered, and each family had its chance.
static bool qad_has_settled(const report_run *run, uint64_t now) {
    unsigned most = run->qad_relays < REPORT_QAD_ENOUGH ? run->qad_relays : REPORT_QAD_ENOUGH;
    bool ended4 = !run->has4 || run->count4 > 0, ended6 = !run->has6 || run->count6 > 0;
    for (size_t i = 0; i < run->probe_count; i++) {
        const report_probe *p = &run->probes[i];
        ended4 |= p->kind == PROBE_QAD4 && !is_open(p);
        ended6 |= p->kind == PROBE_QAD6 && !is_open(p);
    }
    return run->count4 + run->count6 >= most && ended4 && ended6 &&
           (!waits_for_home(run) || run->home_by_https || now >= run->patience);
}

// After each result.
static void weigh(report_run *run, uint64_t now) {
    bool enough = is_enough(run, now), settled = run->qad_relays > 0 && qad_has_settled(run, now), open = false;
    for (size_t i = 0; i < run->probe_count; i++) {
        report_probe *p = &run->probes[i];
        if (enough || (settled && is_qad(p)))
            cut(run, p);
        open |= is_open(p);
    }
    run->over |= !open;
}

void report_run_begin(report_run *run, const report_plan *plan, uint64_t now) {
    *run = (report_run){
        .full = plan->full,
        .home = plan->home,
        .home_by_https = plan->home >= 0 && plan->full && plan->https && !has_qad(plan, plan->home),
        .relays = (unsigned)plan->relay_count,
        .began = now,
        .until = now + REPORT_RUN_MAX,
        .patience = TIME_NEVER,
    };
    report_init(&run->result);
    plan_qad(run, plan, now);
    use_known(run, plan);
    plan_https(run, plan, now);
    if (plan->captive >= 0)
        add(run, PROBE_CAPTIVE, plan->captive, now + REPORT_CAPTIVE_DELAY);
    report_run_tick(run, now);
}

// --- Results

static bool end(report_probe *p, bool answered) {
    if (p->state != PROBE_RUNS)
        return false;
    p->state = PROBE_OVER;
    p->answered = answered;
    return true;
}

void report_run_observed(report_run *run, report_probe *p, const addr *address, uint64_t rtt, uint64_t now) {
    uint8_t wanted = p->kind == PROBE_QAD4 ? ADDR_IP4 : ADDR_IP6;
    // A relay that tells an address of the other family, or none that we could have, is of no use.
    bool sound = is_qad(p) && address->kind == wanted && !addr_is_unspecified(address) && !addr_is_multicast(address) &&
                 address->port != 0;
    if (!end(p, sound))
        return;
    if (sound) {
        report_add_observed(&run->result, address);
        report_add_latency(&run->result, p->relay, p->kind == PROBE_QAD4 ? REPORT_QAD4 : REPORT_QAD6, rtt);
        run->count4 += p->kind == PROBE_QAD4;
        run->count6 += p->kind == PROBE_QAD6;
        if (run->patience == TIME_NEVER)
            run->patience = now + (now - run->began);
    }
    weigh(run, now);
}

void report_run_answered(report_run *run, report_probe *p, uint64_t rtt, uint64_t now) {
    if (p->kind != PROBE_HTTPS || !end(p, true))
        return;
    run->https += run->result.latency[p->relay][REPORT_HTTPS] == 0;
    report_add_latency(&run->result, p->relay, REPORT_HTTPS, rtt);
    // Its further attempts are of no use.
    for (size_t i = 0; i < run->probe_count; i++) {
        if (run->probes[i].kind == PROBE_HTTPS && run->probes[i].relay == p->relay)
            give_up(&run->probes[i]);
    }
    weigh(run, now);
}

void report_run_captive(report_run *run, report_probe *p, bool captive, uint64_t now) {
    if (p->kind != PROBE_CAPTIVE || !end(p, true))
        return;
    run->result.captive = captive ? REPORT_YES : REPORT_NO;
    weigh(run, now);
}

void report_run_failed(report_run *run, report_probe *p, uint64_t now) {
    if (end(p, false))
        weigh(run, now);
}

// --- Time

report_probe *report_run_next(report_run *run, bool *start, uint64_t now) {
    for (size_t i = 0; i < run->probe_count; i++) {
        report_probe *p = &run->probes[i];
        if (p->state != PROBE_READY && p->state != PROBE_STOPPING)
            continue;
        *start = p->state == PROBE_READY;
        p->state = *start ? PROBE_RUNS : PROBE_OVER;
        p->at = now + (p->kind == PROBE_CAPTIVE ? REPORT_CAPTIVE_MAX : REPORT_PROBE_MAX);
        if (*start && p->kind != PROBE_CAPTIVE)
            ask(run, p->relay);
        return p;
    }
    return NULL;
}

uint64_t report_run_deadline(const report_run *run) {
    uint64_t at = run->over ? TIME_NEVER : run->until;
    if (!run->over && run->patience > 0 && waits_for_home(run))
        at = time_min(at, run->patience);
    for (size_t i = 0; i < run->probe_count; i++) {
        const report_probe *p = &run->probes[i];
        if (p->state == PROBE_READY || p->state == PROBE_STOPPING)
            return 0;
        if (is_open(p))
            at = time_min(at, p->at);
    }
    return at;
}

void report_run_tick(report_run *run, uint64_t now) {
    if (run->patience <= now)
        run->patience = 0;
    for (size_t i = 0; i < run->probe_count; i++) {
        report_probe *p = &run->probes[i];
        if (now >= run->until)
            give_up(p);
        else if (p->state == PROBE_WAITS && p->at <= now)
            p->state = PROBE_READY;
        else if (p->state == PROBE_RUNS && p->at <= now)
            p->state = PROBE_STOPPING;
    }
    weigh(run, now);
}

bool report_run_is_over(const report_run *run) {
    return run->over && report_run_deadline(run) == TIME_NEVER;
}
