// The questions of a net report. Only connections are touched by other threads than the loop's, under the lock: names and
// HTTP belong to the loop.
#include "endpoint/reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_ROOM 2048
#define LITERAL_MAX 64  // bytes of an address as text

static const relay_target *target_of(const net_relay *r, relay_target *out) {
    return relay_target_of(r->url, r->url_len, out) == 0 ? out : NULL;
}

static void say(const iroh_endpoint *ep, const report_probe *p, const char *what, int error) {
    static const char *const kinds[] = {"QUIC over IPv4", "QUIC over IPv6", "HTTPS", "login page"};
    if (log_on(&ep->log, LOG_DEBUG))
        log_line(&ep->log, LOG_DEBUG, "net report, %s, relay %.200s: %s%s%s", kinds[p->kind],
                 ep->relays.list[p->relay]->url, what, error != 0 ? ": " : "", error != 0 ? iroh_strerror(error) : "");
}

static void fail(iroh_endpoint *ep, report_probe *p, int error) {
    say(ep, p, "failed", error);
    report_run_failed(ep->reports->reporter.run, p, sys_now());
}

// --- Names

static void note_address(report_name *n, const addr *a) {
    addr *slot = &n->found[a->kind == ADDR_IP6];
    if (slot->kind == ADDR_NONE)
        *slot = *a;
}

static bool is_literal(const relay_target *t, addr *out) {
    char text[LITERAL_MAX];
    if (t->host.len + 3 > sizeof text)
        return false;
    int n = snprintf(text, sizeof text, "%.*s:0", (int)t->host.len, t->host.p);
    return addr_parse(out, text, (size_t)n) == 0;
}

static int begin_name(iroh_endpoint *ep, int relay, report_name *n) {
    relay_target target;
    addr literal;
    *n = (report_name){.relay = relay};
    if (target_of(ep->relays.list[relay], &target) == NULL)
        return IROH_ERR_SYNTAX;
    if (!is_literal(&target, &literal))
        return sys_lookup_start(ep->loop, target.host.p, target.host.len, &n->lookup);
    note_address(n, &literal);
    return 0;
}

// Null: there is no way to begin.
static report_name *name_of(iroh_endpoint *ep, int relay) {
    struct endpoint_reports *t = ep->reports;
    for (size_t i = 0; i < t->name_count; i++) {
        if (t->names[i].relay == relay)
            return &t->names[i];
    }
    if (t->name_count == REPORT_QAD_RELAYS || begin_name(ep, relay, &t->names[t->name_count]) != 0)
        return NULL;
    return &t->names[t->name_count++];
}

static bool take_answer(report_name *n) {
    addr found[SYS_LOOKUP_MAX];
    int count = sys_lookup_result(n->lookup, found, SYS_LOOKUP_MAX);
    if (count == IROH_ERR_AGAIN)
        return false;
    for (int i = 0; i < count; i++)
        note_address(n, &found[i]);
    sys_lookup_free(n->lookup);
    n->lookup = NULL;
    return true;
}

// --- QUIC address discovery

// IROH_ERR_AGAIN: they are being read.
static int get_roots(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    int r = t->reading == NULL && t->roots == NULL ? roots_read(ep->loop, ep->ca_file, &t->reading) : 0;
    return r == 0 && t->roots == NULL ? roots_result(t->reading, &t->roots) : r;
}

static int connect_to(iroh_endpoint *ep, const report_probe *p, const addr *to, quic_conn **out) {
    relay_target target;
    if (target_of(ep->relays.list[p->relay], &target) == NULL)
        return IROH_ERR_SYNTAX;
    return qad_connect(ep->core, ep->reports->roots, target.host.p, target.host.len, to, sys_now(), out);
}

// The relay's addresses are known, and the roots there.
static void dial(iroh_endpoint *ep, report_probe *p, const report_name *n) {
    struct endpoint_reports *t = ep->reports;
    addr to = n->found[p->kind == PROBE_QAD6];
    quic_conn *core;
    to.port = ep->relays.list[p->relay]->quic_port;
    int r = to.kind == ADDR_NONE ? IROH_ERR_NOT_FOUND : t->conn_count == REPORT_CONNS_MAX ? IROH_ERR_LIMIT : 0;
    if (r == 0)
        r = connect_to(ep, p, &to, &core);
    if (r != 0)
        fail(ep, p, r);
    else
        t->conns[t->conn_count++] = (report_conn){.core = core, .probe = p, .relay = p->relay, .kind = to.kind};
}

// Both are waited for at the same time.
static void begin_qad(iroh_endpoint *ep, report_probe *p) {
    const report_name *n = name_of(ep, p->relay);
    int r = n == NULL ? IROH_ERR_NOMEM : get_roots(ep);
    if (r == 0 && n->lookup == NULL)
        dial(ep, p, n);
    else if (r != 0 && r != IROH_ERR_AGAIN)
        fail(ep, p, r);
}

static bool is_dialled(const struct endpoint_reports *t, const report_probe *p) {
    for (size_t i = 0; i < t->conn_count; i++) {
        if (t->conns[i].probe == p)
            return true;
    }
    return false;
}

// Probes that have waited for a name or the roots.
static void begin_waiting(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    report_run *run = t->reporter.run;
    for (size_t i = 0; i < run->probe_count; i++) {
        report_probe *p = &run->probes[i];
        bool qad = p->kind == PROBE_QAD4 || p->kind == PROBE_QAD6;
        if (p->state == PROBE_RUNS && qad && !is_dialled(t, p))
            begin_qad(ep, p);
    }
}

static void serve_names(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    bool news = t->reading != NULL && t->roots == NULL && get_roots(ep) != IROH_ERR_AGAIN;
    for (size_t i = 0; i < t->name_count; i++)
        news |= t->names[i].lookup != NULL && take_answer(&t->names[i]);
    if (news)
        begin_waiting(ep);
}

static void drop_conn(iroh_endpoint *ep, report_conn *c) {
    struct endpoint_reports *t = ep->reports;
    quic_conn_release(c->core, sys_now());
    *c = t->conns[--t->conn_count];
}

void report_conn_close(iroh_endpoint *ep, report_conn *c) {
    qad_close(c->core, sys_now());
    drop_conn(ep, c);
}

static void observed(iroh_endpoint *ep, report_conn *c) {
    reporter *r = &ep->reports->reporter;
    report_probe *p = c->probe;
    if (p == NULL) {
        if (reporter_seen(r, &c->observed))
            paths_look_at_locals(ep, sys_now());
        return;
    }
    c->probe = NULL;
    say(ep, p, "answered", 0);
    report_run_observed(r->run, p, &c->observed, qad_rtt(c->core), sys_now());
    if (!p->answered)
        c->observed = (addr){0};  // no address that can be ours
}

void report_probes_on_event(iroh_endpoint *ep, quic_conn *core, uint32_t events) {
    struct endpoint_reports *t = ep->reports;
    report_conn *c = NULL;
    for (size_t i = 0; i < t->conn_count; i++)
        c = t->conns[i].core == core ? &t->conns[i] : c;
    if (c == NULL)
        return;
    if ((events & CONN_PATH) != 0 && qad_observed(core, &c->observed))
        observed(ep, c);
    if ((events & CONN_CLOSED) == 0)
        return;
    if (c->probe != NULL)
        fail(ep, c->probe, quic_conn_close_info(core)->error);
    drop_conn(ep, c);
}

// --- HTTP

static void end_question(report_question *q) {
    list_remove(&q->link);
    sys_stream_close(q->stream);
    free(q);
}

// What goes over TLS, or through SOCKS, takes a tunnel. `*via`: the proxy that forwards the question, null: none does.
static int find_proxy(const iroh_endpoint *ep, bool tls, net_proxy *room, const net_proxy **via) {
    *via = NULL;
    if (tls || ep->proxy == NULL)
        return 0;
    int r = net_proxy_of(ep->proxy, room);
    if (r == 0 && room->forwards)
        *via = room;
    return r;
}

static int open_question(iroh_endpoint *ep, report_question *q, const relay_target *t, bool captive) {
    bool tls = t->tls && !captive;
    uint16_t port = captive ? HTTP_PROBE_CAPTIVE_PORT : t->port;
    writer w = writer_of(q->request, sizeof q->request);
    net_proxy room;
    const net_proxy *via;
    int r = find_proxy(ep, tls, &room, &via);
    if (r == 0)
        r = relay_io_streams(ep);
    if (r != 0)
        return r;
    http_probe_begin(&q->http, captive, t, via, &w);
    if (w.failed)
        return IROH_ERR_TOO_LARGE;
    q->request_len = writer_len(&w);
    if (via == NULL)
        return sys_stream_open(ep->streams, tls ? SYS_STREAM_TLS : 0, t->host.p, t->host.len, port, &q->stream);
    unsigned how = SYS_STREAM_DIRECT | (via->tls ? SYS_STREAM_TLS : 0);
    return sys_stream_open(ep->streams, how, via->host, via->host_len, via->port, &q->stream);
}

static void begin_question(iroh_endpoint *ep, report_probe *p) {
    relay_target target;
    report_question *q = calloc(1, sizeof *q);
    int r = q == NULL ? IROH_ERR_NOMEM : target_of(ep->relays.list[p->relay], &target) == NULL ? IROH_ERR_SYNTAX : 0;
    if (r == 0)
        r = open_question(ep, q, &target, p->kind == PROBE_CAPTIVE);
    if (r != 0) {
        free(q);
        fail(ep, p, r);
        return;
    }
    q->probe = p;
    list_push_back(&ep->reports->questions, &q->link);
}

// 0: written, or the rest later.
static int write_request(report_question *q) {
    while (q->request_at < q->request_len) {
        int64_t n = sys_stream_write(q->stream, q->request + q->request_at, q->request_len - q->request_at);
        if (n < 0) {
            sys_stream_want_write(q->stream, true);
            return n == IROH_ERR_AGAIN ? 0 : (int)n;
        }
        q->request_at += (size_t)n;
    }
    sys_stream_want_write(q->stream, false);
    q->asked_at = sys_now();
    return 0;
}

// 1: the answer is there; 0: more is needed; else an error.
static int read_answer(report_question *q, bool *good) {
    uint8_t bytes[READ_ROOM];
    int r = 0;
    while (r == 0 && sys_stream_readable(q->stream)) {
        int64_t n = sys_stream_read(q->stream, bytes, sizeof bytes);
        if (n == IROH_ERR_AGAIN)
            return 0;
        r = n <= 0 ? (n == 0 ? IROH_ERR_PEER_CLOSED : (int)n) : http_probe_feed(&q->http, bytes, (size_t)n, good);
    }
    return r;
}

static void answered(iroh_endpoint *ep, report_question *q, bool good) {
    report_run *run = ep->reports->reporter.run;
    uint64_t now = sys_now();
    if (q->probe->kind == PROBE_CAPTIVE) {
        say(ep, q->probe, good ? "none" : "there is one", 0);
        report_run_captive(run, q->probe, !good, now);
    } else if (good) {
        say(ep, q->probe, "answered", 0);
        report_run_answered(run, q->probe, now - q->asked_at, now);
    } else {
        fail(ep, q->probe, IROH_ERR_REFUSED);
    }
}

// True when it is over.
static bool serve_question(iroh_endpoint *ep, report_question *q) {
    bool good = false;
    int r = sys_stream_state(q->stream);
    if (r == IROH_ERR_AGAIN)
        return false;
    if (r == 0 && q->asked_at == 0)
        r = write_request(q);
    if (r == 0)
        r = read_answer(q, &good);
    if (r == 0)
        return false;
    if (r < 0)
        fail(ep, q->probe, r);
    else
        answered(ep, q, good);
    return true;
}

static void serve_questions(iroh_endpoint *ep) {
    list_link *all = &ep->reports->questions;
    for (list_link *l = all->next, *next; l != all; l = next) {
        report_question *q = list_entry(l, report_question, link);
        next = l->next;
        if (serve_question(ep, q))
            end_question(q);
    }
}

// --- All

static void begin(iroh_endpoint *ep, report_probe *p) {
    if (p->kind == PROBE_QAD4 || p->kind == PROBE_QAD6)
        begin_qad(ep, p);
    else
        begin_question(ep, p);
}

static void stop(iroh_endpoint *ep, const report_probe *p) {
    struct endpoint_reports *t = ep->reports;
    say(ep, p, "given up", 0);
    for (size_t i = 0; i < t->conn_count; i++) {
        if (t->conns[i].probe == p) {
            report_conn_close(ep, &t->conns[i]);
            return;
        }
    }
    for (list_link *l = t->questions.next; l != &t->questions; l = l->next) {
        if (list_entry(l, report_question, link)->probe == p) {
            end_question(list_entry(l, report_question, link));
            return;
        }
    }
}

void report_probes_serve(iroh_endpoint *ep) {
    report_run *run = ep->reports->reporter.run;
    report_probe *p;
    bool start;
    serve_names(ep);
    serve_questions(ep);
    report_run_tick(run, sys_now());
    while ((p = report_run_next(run, &start, sys_now())) != NULL) {
        if (start)
            begin(ep, p);
        else
            stop(ep, p);
    }
}

void report_probes_end(iroh_endpoint *ep) {
    struct endpoint_reports *t = ep->reports;
    for (size_t i = 0; i < t->name_count; i++)
        sys_lookup_free(t->names[i].lookup);
    t->name_count = 0;
    while (!list_empty(&t->questions))
        end_question(list_entry(t->questions.next, report_question, link));
    roots_reader_free(t->reading);
    t->reading = NULL;
    web_roots_unref(t->roots);
    t->roots = NULL;
}
