// What the tests of net reports share: relays with a certificate and address discovery, and endpoints that trust it.
#ifndef UNIT_REPORT_WORLD_SUPPORT_H
#define UNIT_REPORT_WORLD_SUPPORT_H

#include <iroh/relay.h>

#include "endpoint/reports.h"
#include "endpoint_support.h"

#define STEP_MS 10
#define NOBODY "http://127.0.0.1:9/"  // the discard port: nobody listens there

// Of a group of tests: the files of a certificate for localhost.
int world_set_up(void **state);
int world_tear_down(void **state);

// Makes a file of a template for mkstemp.
void world_write_file(char *path, const char *text);

// A relay on loopback.
typedef struct place {
    iroh_relay *relay;
    char url[64];
    int quic_port;
} place;

void place_open(place *p);

// The configuration of an endpoint that trusts these relays. Starts as all zeroes; must not move.
typedef struct dwelling {
    const char *urls[4];
    int ports[4];
    iroh_endpoint_config config;
} dwelling;

void dwelling_init(dwelling *d, bool own_thread);
void dwelling_add(dwelling *d, const char *url, int port);  // of its address discovery, or IROH_NO_QUIC

// The report of an endpoint, once there: the number of relays in it.
int report_of(iroh_endpoint *ep, iroh_net_report *r, iroh_relay_latency out[static 4]);

// The report number `count`, once it is complete and no other is wanted.
iroh_net_report report_await(iroh_endpoint *ep, uint64_t count);

void report_request(iroh_endpoint *ep, report_reason reason);

// The number of connections for discovery that the endpoint has.
size_t report_kept_by(iroh_endpoint *ep, quic_conn **first);

#endif
