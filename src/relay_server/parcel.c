#include "relay_server/parcel.h"

#include <stdlib.h>
#include <string.h>

// Each item: a head as it lies in memory, since it never leaves the process, and the message.
typedef struct item {
    uint64_t serial;  // of a notice
    uint32_t len;     // bytes of the message
    uint8_t notice;   // RELAY_NOTICE_*; 0: a message
    uint8_t bulk;
    uint8_t id[RELAY_ID];
} item;

static parcel *open_parcel(outbox *o, size_t need) {
    if (o->open != NULL && o->open->room - o->open->len >= need)
        return o->open;
    outbox_send(o);
    size_t room = need > PARCEL_ROOM ? need : PARCEL_ROOM;
    parcel *p = malloc(sizeof *p + room);
    if (p == NULL)
        return NULL;
    p->letter.kind = o->kind;
    p->pending = o->pending;
    p->len = 0;
    p->room = room;
    atomic_fetch_add_explicit(o->pending, 1, memory_order_relaxed);
    return o->open = p;
}

static bool pack(outbox *o, const item *head, const uint8_t *message) {
    parcel *p = open_parcel(o, sizeof *head + head->len);
    if (p == NULL)
        return false;
    memcpy(p->bytes + p->len, head, sizeof *head);
    p->len += sizeof *head;
    if (head->len > 0)
        memcpy(p->bytes + p->len, message, head->len);
    p->len += head->len;
    return true;
}

bool outbox_notice(outbox *o, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    item head = {.serial = serial, .notice = (uint8_t)notice};
    memcpy(head.id, id, RELAY_ID);
    return pack(o, &head, NULL);
}

bool outbox_message(outbox *o, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message, size_t len) {
    item head = {.len = (uint32_t)len, .bulk = bulk};
    if (o->open == NULL && atomic_load_explicit(o->pending, memory_order_relaxed) >= PARCELS_MAX)
        return false;
    memcpy(head.id, id, RELAY_ID);
    return pack(o, &head, message);
}

void outbox_send(outbox *o) {
    if (o->open == NULL)
        return;
    mailbox_push(o->to, &o->open->letter);
    o->open = NULL;
}

void parcel_free(parcel *p) {
    atomic_fetch_sub_explicit(p->pending, 1, memory_order_relaxed);
    free(p);
}

void parcel_unpack(parcel *p, relay_hub *hub) {
    for (size_t at = 0; at < p->len;) {
        item head;
        memcpy(&head, p->bytes + at, sizeof head);
        at += sizeof head;
        if (head.notice != 0)
            (void)relay_hub_heard(hub, head.notice, head.id, head.serial);
        else
            relay_hub_deliver(hub, head.id, head.bulk, p->bytes + at, head.len);
        at += head.len;
    }
    parcel_free(p);
}
