// Net reports: relays are asked from time to time and when something changed, and what they tell decides on the home
// relay and on the addresses at which peers may find us.
//
// Of the connections of a run one for each family is kept: that to the home relay, or to the nearest one that answered.
// Its pings keep the mapping of a NAT alive, it tells when that changes, and it makes the next runs free.
#include "endpoint/reports.h"

#include <stdlib.h>
#include <string.h>

#include "sys/netif.h"

#define INTERFACES_MAX 256  // addresses looked at

// --- Life

static int make(iroh_endpoint *ep) {
    struct endpoint_reports *t = calloc(1, sizeof *t);
    if (t == NULL)
        return IROH_ERR_NOMEM;
    list_init(&t->questions);
    reporter_init(&t->reporter, ep->report_https, ep->report_captive, &ep->random, sys_now());
    ep->reports = t;
    return 0;
}

static bool has_relays(const iroh_endpoint *ep) {
    int all[RELAYS_MAX];
    return relays_configured(&ep->relays, all) > 0;
}

int reports_open(iroh_endpoint *ep, const iroh_endpoint_config *config) {
    ep->makes_reports = config->net_report && !config->direct_only;
    ep->report_https = config->https_probes;
    ep->report_captive = config->captive_portal_check;
    return ep->makes_reports && has_relays(ep) ? make(ep) : 0;
}

void reports_stop(iroh_endpoint *ep) {
    while (ep->reports != NULL && ep->reports->conn_count > 0)
        report_conn_close(ep, &ep->reports->conns[0]);
}

void reports_close(iroh_endpoint *ep) {
    if (ep->reports == NULL)
        return;
    reports_stop(ep);
    report_probes_end(ep);
    reporter_dispose(&ep->reports->reporter);
    free(ep->reports);
    ep->reports = NULL;
}

// A kept connection may not have noticed yet that the machine slept or moved.
static void distrust_kept(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    for (size_t i = t->conn_count; i-- > 0;) {
        if (t->conns[i].probe == NULL)
            report_conn_close(ep, &t->conns[i]);
    }
}

void reports_request(iroh_endpoint *ep, report_reason reason) {
    if (!ep->makes_reports || ep->closed || (ep->reports == NULL && (!has_relays(ep) || make(ep) != 0)))
        return;
    if (reason == REPORT_LINK_MINOR || reason == REPORT_LINK_MAJOR)
        distrust_kept(ep);
    reporter_request(&ep->reports->reporter, reason);
}

const report *reports_last(const iroh_endpoint *ep) {
    return ep->reports != NULL && ep->reports->reporter.has_last ? &ep->reports->reporter.last : NULL;
}

// --- A run

// Loopback counts where there is nothing else.
static bool machine_has(uint8_t kind) {
    addr all[INTERFACES_MAX];
    int count = sys_netif_addresses(all, INTERFACES_MAX);
    bool has = false, alone = true, has_loopback = false;
    for (int i = 0; i < count; i++) {
        bool loopback = addr_is_loopback(&all[i]), useful = !addr_is_link_local(&all[i]) || kind == ADDR_IP4;
        alone &= loopback || addr_is_link_local(&all[i]);
        has |= all[i].kind == kind && !loopback && useful;
        has_loopback |= all[i].kind == kind && loopback;
    }
    return has || (alone && has_loopback) || count < 0;
}

static bool has_family(const iroh_endpoint *ep, uint8_t kind) {
    bool wildcard = false;
    for (size_t i = 0; i < ep->socket_count; i++) {
        if (ep->sockets[i].local.kind != kind)
            continue;
        if (!ep->sockets[i].wildcard)
            return true;
        wildcard = true;
    }
    return wildcard && machine_has(kind);
}

static report_known known_of(const struct endpoint_reports *t, uint8_t kind) {
    for (size_t i = 0; i < t->conn_count; i++) {
        const report_conn *c = &t->conns[i];
        if (c->kind == kind && c->observed.kind != ADDR_NONE)
            return (report_known){.relay = c->relay, .address = c->observed, .rtt = qad_rtt(c->core)};
    }
    return (report_known){.relay = -1};
}

static void close_conns(iroh_endpoint *ep) {
    while (ep->reports->conn_count > 0)
        report_conn_close(ep, &ep->reports->conns[0]);
}

// A relay that is no longer wanted tells nothing more.
static void close_foreign(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    for (size_t i = t->conn_count; i-- > 0;) {
        if (!ep->relays.list[t->conns[i].relay]->configured)
            report_conn_close(ep, &t->conns[i]);
    }
}

static void forget(iroh_endpoint *ep, uint64_t now) {
    close_conns(ep);
    reporter_forget(&ep->reports->reporter);
    paths_look_at_locals(ep, now);
}

static void begin(iroh_endpoint *ep, uint64_t now) {
    struct endpoint_reports *t = ep->reports;
    int all[RELAYS_MAX];
    size_t count = relays_configured(&ep->relays, all);
    if (count == 0) {
        forget(ep, now);
        return;
    }
    if (reporter_wants_full(&t->reporter, now))
        close_conns(ep);
    close_foreign(ep);
    bool home = ep->relays.home >= 0 && ep->relays.list[ep->relays.home]->configured;
    report_plan world = {
        .relays = all,
        .relay_count = count,
        .ip4 = has_family(ep, ADDR_IP4),
        .ip6 = has_family(ep, ADDR_IP6),
        .home = home ? ep->relays.home : -1,
        .known = {known_of(t, ADDR_IP4), known_of(t, ADDR_IP6)},
    };
    for (size_t i = 0; i < count; i++)
        world.qad |= ep->relays.list[all[i]]->quic_port != 0 ? UINT64_C(1) << all[i] : 0;
    (void)reporter_begin(&t->reporter, &world, now);
}

// --- What comes of it

// The one to keep of a family: null when none answered.
static const report_conn *best_conn(const iroh_endpoint *ep, uint8_t kind) {
    const struct endpoint_reports *t = ep->reports;
    const report_conn *best = NULL;
    for (size_t i = 0; i < t->conn_count; i++) {
        const report_conn *c = &t->conns[i];
        if (c->kind != kind || c->observed.kind == ADDR_NONE)
            continue;
        if (c->relay == ep->relays.home)
            return c;
        if (best == NULL || qad_rtt(c->core) < qad_rtt(best->core))
            best = c;
    }
    return best;
}

static void keep_best(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    const report_conn *kept[] = {best_conn(ep, ADDR_IP4), best_conn(ep, ADDR_IP6)};
    const quic_conn *cores[] = {kept[0] != NULL ? kept[0]->core : NULL, kept[1] != NULL ? kept[1]->core : NULL};
    for (size_t i = t->conn_count; i-- > 0;) {
        if (t->conns[i].core != cores[0] && t->conns[i].core != cores[1])
            report_conn_close(ep, &t->conns[i]);
    }
}

static void say(const iroh_endpoint *ep) {
    const report *r = &ep->reports->reporter.last;
    char four[ADDR_TEXT_MAX], six[ADDR_TEXT_MAX];
    if (!log_on(&ep->log, LOG_DEBUG))
        return;
    (void)addr_format(&r->global4, four);
    (void)addr_format(&r->global6, six);
    log_line(&ep->log, LOG_DEBUG, "net report: IPv4 %s, IPv6 %s, best relay %.200s", four, six,
             r->preferred >= 0 ? ep->relays.list[r->preferred]->url : "unknown");
}

static void publish(iroh_endpoint *ep, uint64_t now) {
    const report *r = &ep->reports->reporter.last;
    say(ep);
    if (r->preferred >= 0)
        relays_prefer(&ep->relays, r->preferred, now);
    online_leave_removed_home(ep);
    if (ep->relays.awaiting)
        relays_prefer_any(&ep->relays, now);
    keep_best(ep);
    report_probes_end(ep);
    paths_look_at_locals(ep, now);
    wait_fire(ep, &ep->waiters, WAIT_REPORT | WAIT_ONLINE);
}

void reports_tick(iroh_endpoint *ep, uint64_t now) {
    struct endpoint_reports *t = ep->reports;
    if (t == NULL || ep->closed)
        return;
    if (reporter_is_due(&t->reporter, now))
        begin(ep, now);
    if (t->reporter.run == NULL)
        return;
    report_probes_serve(ep);
    int home = ep->relays.home;
    if (home >= 0 && !ep->relays.list[home]->configured)
        home = -1;
    if (reporter_settle(&t->reporter, home, now))
        publish(ep, now);
}

uint64_t reports_deadline(const iroh_endpoint *ep) {
    return ep->reports != NULL && !ep->closed ? reporter_deadline(&ep->reports->reporter) : TIME_NEVER;
}

void reports_on_event(iroh_endpoint *ep, quic_conn *core, uint32_t events) {
    if (ep->reports != NULL)
        report_probes_on_event(ep, core, events);
}

// --- The program's view

static int answer_of(report_answer a) {
    return a == REPORT_YES ? 1 : a == REPORT_NO ? 0 : -1;
}

static void put_address(const addr *a, char out[static IROH_ADDRESS_TEXT]) {
    char text[ADDR_TEXT_MAX];
    out[0] = '\0';
    if (addr_is_ip(a) && addr_format(a, text) < IROH_ADDRESS_TEXT)
        memcpy(out, text, strlen(text) + 1);
}

static void put_url(const net_relay *r, char out[static IROH_PATH_TEXT]) {
    size_t len = r->url_len < IROH_PATH_TEXT ? r->url_len : IROH_PATH_TEXT - 1;
    memcpy(out, r->url, len);
    out[len] = '\0';
}

static iroh_relay_latency latency_of(const iroh_endpoint *ep, const report *r, int relay) {
    iroh_relay_latency out = {.https_us = r->latency[relay][REPORT_HTTPS],
                              .quic_v4_us = r->latency[relay][REPORT_QAD4],
                              .quic_v6_us = r->latency[relay][REPORT_QAD6]};
    put_url(ep->relays.list[relay], out.url);
    return out;
}

static int describe(const iroh_endpoint *ep, iroh_net_report *out, iroh_relay_latency *latencies, size_t room) {
    const report *r = reports_last(ep);
    int count = 0;
    *out = (iroh_net_report){.udp_v4 = r->udp4,
                             .udp_v6 = r->udp6,
                             .mapping_varies_v4 = answer_of(r->varies4),
                             .mapping_varies_v6 = answer_of(r->varies6),
                             .captive_portal = answer_of(r->captive),
                             .age_ms = (sys_now() - ep->reports->reporter.settled_at) / NS_PER_MS,
                             .reports = ep->reports->reporter.runs,
                             .full_reports = ep->reports->reporter.full_runs};
    put_address(&r->global4, out->global_v4);
    put_address(&r->global6, out->global_v6);
    if (r->preferred >= 0)
        put_url(ep->relays.list[r->preferred], out->preferred_relay);
    for (size_t i = 0; i < ep->relays.count; i++) {
        if (report_latency(r, (int)i) == 0)
            continue;
        if ((size_t)count < room)
            latencies[count] = latency_of(ep, r, (int)i);
        count++;
    }
    return count;
}

static int64_t has_report(void *arg) {
    const iroh_endpoint *ep = arg;
    if (ep->closed)
        return IROH_ERR_CLOSED;
    if (!ep->makes_reports || !has_relays(ep))
        return IROH_ERR_UNSUPPORTED;
    return reports_last(ep) != NULL ? 0 : IROH_ERR_AGAIN;
}

int iroh_endpoint_net_report(iroh_endpoint *ep, iroh_net_report *out, iroh_relay_latency *latencies, size_t room,
                             int timeout_ms) {
    if (ep == NULL || out == NULL || (latencies == NULL && room > 0))
        return IROH_ERR_ARG;
    endpoint_enter(ep);
    int r = (int)wait_for(ep, &ep->waiters, WAIT_REPORT, wait_until(timeout_ms), has_report, ep);
    if (r == 0)
        r = describe(ep, out, latencies, room);
    endpoint_leave(ep);
    return r;
}
