// An endpoint made of numbers, for tests of the pool of connections: its connections do what the test says.
#ifndef POOL_FAKE_SUPPORT_H
#define POOL_FAKE_SUPPORT_H

#include "blobs/pool.h"

#define FAKES 64

typedef struct fake {
    bool open;
    int state;        // what the pool is told
    char reason[24];  // why it was dropped
} fake;

typedef struct fake_endpoint {
    fake connections[FAKES];  // in the order of dialling
    size_t dialled;
    int dial_error, greet_error;
    size_t greeted;
} fake_endpoint;

// The default: 4 connections, 2 of them dialling, 5 s idle, 1 s to dial.
conn_pool_config fake_config(fake_endpoint *e);
iroh_addr *fake_addr(unsigned number);                          // of an id of its own; null without memory
size_t fake_number(const fake_endpoint *e, const conn_use *u);  // of the connection that is used
size_t fake_open(const fake_endpoint *e);                       // how many are open

#endif
