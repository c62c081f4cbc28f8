// The world around net reports (net/reporter.h), shared by two files of src/endpoint/ only:
//   reports.c        when there are relays to ask, what a report changes, what the program sees of it
//   report_probes.c  the questions themselves: names, connections for QUIC address discovery, HTTP
#ifndef ENDPOINT_REPORTS_H
#define ENDPOINT_REPORTS_H

#include "endpoint/roots.h"
#include "endpoint/state.h"
#include "net/http_probe.h"
#include "net/qad.h"
#include "net/reporter.h"
#include "sys/lookup.h"

#define REPORT_CONNS_MAX (2 * REPORT_QAD_RELAYS + 2)  // those of a run, and two that were kept from the one before

// A connection to a relay for QUIC address discovery.
typedef struct report_conn {
    quic_conn *core;
    report_probe *probe;  // null: it has its answer
    int relay;
    uint8_t kind;   // ADDR_IP4, ADDR_IP6
    addr observed;  // what the relay told last; ADDR_NONE: nothing yet
} report_conn;

// The addresses of a relay that is asked in this run.
typedef struct report_name {
    int relay;
    sys_lookup *lookup;  // null: they are there
    addr found[2];       // the first IPv4 and IPv6 ones; ADDR_NONE: there is none
} report_name;

// A question over HTTP.
typedef struct report_question {
    list_link link;
    report_probe *probe;
    sys_stream *stream;
    uint64_t asked_at;  // 0: the request was not yet written
    size_t request_len, request_at;
    uint8_t request[HTTP_PROBE_REQUEST_MAX];
    http_probe http;
} report_question;

struct endpoint_reports {
    reporter reporter;
    web_roots *roots;       // null: not needed yet in this run, or being read:
    roots_reader *reading;  // null: not needed yet
    report_conn conns[REPORT_CONNS_MAX];
    size_t conn_count;
    report_name names[REPORT_QAD_RELAYS];
    size_t name_count;
    list_link questions;
};

// Begins and ends what the run gives out, and looks for answers. By the loop.
void report_probes_serve(iroh_endpoint *ep);

// A connection of ours has events.
void report_probes_on_event(iroh_endpoint *ep, quic_conn *core, uint32_t events);

// Ends questions and names; connections stay.
void report_probes_end(iroh_endpoint *ep);

// Says goodbye to a connection and removes it from the list.
void report_conn_close(iroh_endpoint *ep, report_conn *c);

#endif
