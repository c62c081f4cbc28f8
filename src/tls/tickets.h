// The tickets that a server has given out and nobody has used yet, with what must hold again when one comes back.
//
// A ticket works once and only in the life of this table, which is all the protection against replay that there is: a
// second ClientHello with the same ticket finds it gone. The oldest goes when the table is full.
#ifndef TLS_TICKETS_H
#define TLS_TICKETS_H

#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"
#include "base/list.h"
#include "base/map.h"

#define TICKETS_MAX 4096  // about 300 bytes each
#define TICKET_ID 32
#define TICKET_SECRET 64

typedef struct ticket {
    list_link link;
    uint8_t id[TICKET_ID];          // keyed hash of the ticket's bytes
    uint8_t secret[TICKET_SECRET];  // opens it
    uint8_t peer_key[32];
    uint16_t suite;
    uint8_t alpn_len;
    uint8_t alpn[];
} ticket;

typedef struct tickets {
    map by_id;         // by the first bytes of the id
    list_link oldest;  // first in, first out
    uint8_t secret[32];
} tickets;

void tickets_init(tickets *t, const entropy *random);
void tickets_dispose(tickets *t);

// What a ticket stands for; pointers are borrowed for the call.
typedef struct ticket_facts {
    const uint8_t *secret;    // TICKET_SECRET bytes
    const uint8_t *peer_key;  // 32 bytes
    uint16_t suite;
    const uint8_t *alpn;
    uint8_t alpn_len;
} ticket_facts;

// Remembers a ticket. IROH_ERR_NOMEM leaves it unknown, so that it will not work.
int tickets_add(tickets *t, const uint8_t *bytes, size_t len, const ticket_facts *facts);

// Takes a ticket out; the caller gives it to ticket_free. Null when it is unknown or used.
ticket *tickets_take(tickets *t, const uint8_t *bytes, size_t len);

void ticket_free(ticket *one);  // wipes; null is ignored

#endif
