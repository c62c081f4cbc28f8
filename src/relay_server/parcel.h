// What goes from one loop's hub to another's: notices of joins and leaves, and datagrams, packed into parcels.
//
// A loop fills one parcel for each other loop during a turn and hands all of them over at its end, so that a hundred
// datagrams cost one exchange of letters. Notices are always taken, since all hubs must come to know the same; datagrams
// only while the receiver is not too far behind.
#ifndef RELAY_SERVER_PARCEL_H
#define RELAY_SERVER_PARCEL_H

#include <stdatomic.h>
#include <stdint.h>

#include "relay/hub.h"
#include "relay_server/mailbox.h"

#define PARCEL_ROOM 65536  // bytes, unless one message needs more
#define PARCELS_MAX 128    // on their way to one loop, then datagrams are dropped

typedef struct parcel {
    letter letter;
    _Atomic(unsigned) *pending;  // of the receiver
    size_t len, room;
    uint8_t bytes[];
} parcel;

// The parcel that is being packed for one receiver.
typedef struct outbox {
    mailbox *to;
    _Atomic(unsigned) *pending;  // parcels of all senders that the receiver has not unpacked
    int kind;                    // of the letter
    parcel *open;                // null: none
} outbox;

// False when out of memory.
bool outbox_notice(outbox *o, int notice, const uint8_t id[static RELAY_ID], uint64_t serial);

// False: dropped.
bool outbox_message(outbox *o, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message, size_t len);

void outbox_send(outbox *o);  // what was packed, if anything

void parcel_free(parcel *p);

// The receiver: hands the content to its hub and frees the parcel.
void parcel_unpack(parcel *p, relay_hub *hub);

#endif
