#include "quic/nat.h"

#include <stdlib.h>

#include <iroh/error.h>

#include "base/clock.h"

// What waits to be sent about an own candidate.
enum { OWN_ADD = 1, OWN_REMOVE = 2, OWN_REACH_OUT = 4 };

typedef struct own_candidate {
    addr address;
    uint64_t seq;    // server: of its ADD_ADDRESS
    uint8_t wanted;  // OWN_*
    bool removed;    // server: waits only for its REMOVE_ADDRESS
} own_candidate;

typedef struct peer_candidate {
    addr address;
    uint64_t seq;      // client: of the ADD_ADDRESS, NAT_SEQ_NONE: the address was only seen
    uint64_t next_at;  // ns of the next probe, TIME_NEVER: none
    uint8_t tries;
    uint8_t outstanding;  // entries in `data`, newest last
    bool proven, opened;
    uint8_t data[NAT_TRIES][8];
} peer_candidate;

struct quic_nat {
    quic_role role;
    uint8_t own_limit, peer_limit;
    uint64_t next_seq;
    uint64_t round;  // of the latest REACH_OUT; 0: none yet
    own_candidate *own;
    size_t own_count;
    peer_candidate *peers;
    size_t peer_count;
};

quic_nat *quic_nat_new(quic_role role, uint8_t own_limit, uint8_t peer_limit) {
    quic_nat *n = calloc(1, sizeof *n);
    if (n == NULL)
        return NULL;
    n->role = role;
    n->own_limit = own_limit;
    n->peer_limit = peer_limit;
    return n;
}

void quic_nat_free(quic_nat *n) {
    if (n == NULL)
        return;
    free(n->own);
    free(n->peers);
    free(n);
}

// --- Own candidates

static own_candidate *own_find(quic_nat *n, const addr *address) {
    for (size_t i = 0; i < n->own_count; i++) {
        if (!n->own[i].removed && addr_equal(&n->own[i].address, address))
            return &n->own[i];
    }
    return NULL;
}

static size_t own_live(const quic_nat *n) {
    size_t live = 0;
    for (size_t i = 0; i < n->own_count; i++)
        live += !n->own[i].removed;
    return live;
}

static void own_drop(quic_nat *n, size_t i) {
    n->own[i] = n->own[--n->own_count];
}

int quic_nat_add(quic_nat *n, const addr *address) {
    if (own_find(n, address) != NULL)
        return 0;
    // Removals that the peer does not know of yet still take its room.
    if (own_live(n) >= n->peer_limit || n->own_count >= 2U * n->peer_limit)
        return IROH_ERR_LIMIT;
    own_candidate *grown = realloc(n->own, (n->own_count + 1) * sizeof *grown);
    if (grown == NULL)
        return IROH_ERR_NOMEM;
    n->own = grown;
    own_candidate *o = &n->own[n->own_count++];
    *o = (own_candidate){.address = *address};
    if (n->role == QUIC_SERVER) {
        o->seq = n->next_seq++;
        o->wanted = OWN_ADD;
    }
    return 0;
}

int quic_nat_remove(quic_nat *n, const addr *address) {
    own_candidate *o = own_find(n, address);
    if (o == NULL)
        return IROH_ERR_NOT_FOUND;
    if (n->role == QUIC_CLIENT) {
        own_drop(n, (size_t)(o - n->own));
        return 0;
    }
    o->removed = true;
    o->wanted = OWN_REMOVE;
    return 0;
}

size_t quic_nat_own(const quic_nat *n, addr *out, size_t room) {
    size_t count = 0;
    for (size_t i = 0; i < n->own_count; i++) {
        if (n->own[i].removed)
            continue;
        if (count < room)
            out[count] = n->own[i].address;
        count++;
    }
    return count;
}

// --- The peer's candidates

static peer_candidate *peer_by_address(quic_nat *n, const addr *address) {
    for (size_t i = 0; i < n->peer_count; i++) {
        if (addr_equal(&n->peers[i].address, address))
            return &n->peers[i];
    }
    return NULL;
}

static peer_candidate *peer_by_seq(quic_nat *n, uint64_t seq) {
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].seq == seq)
            return &n->peers[i];
    }
    return NULL;
}

static size_t peers_announced(const quic_nat *n) {
    size_t count = 0;
    for (size_t i = 0; i < n->peer_count; i++)
        count += n->peers[i].seq != NAT_SEQ_NONE;
    return count;
}

static void peer_drop(quic_nat *n, size_t i) {
    n->peers[i] = n->peers[--n->peer_count];
}

// Null when out of memory, or when as many are known as can ever be of use.
static peer_candidate *peer_make(quic_nat *n, const addr *address, uint64_t seq) {
    if (n->peer_count >= 2U * n->own_limit)
        return NULL;
    peer_candidate *grown = realloc(n->peers, (n->peer_count + 1) * sizeof *grown);
    if (grown == NULL)
        return NULL;
    n->peers = grown;
    peer_candidate *p = &n->peers[n->peer_count++];
    *p = (peer_candidate){.address = *address, .seq = seq, .next_at = TIME_NEVER};
    return p;
}

size_t quic_nat_peers(const quic_nat *n, addr *out, size_t room) {
    size_t count = 0;
    for (size_t i = 0; i < n->peer_count; i++) {
        if (n->peers[i].seq == NAT_SEQ_NONE)
            continue;
        if (count < room)
            out[count] = n->peers[i].address;
        count++;
    }
    return count;
}

static void probe_from(peer_candidate *p, uint64_t at) {
    p->tries = 0;
    p->outstanding = 0;
    p->proven = p->opened = false;
    p->next_at = at;
}

int quic_nat_start_round(quic_nat *n, uint64_t now) {
    if (n->role != QUIC_CLIENT)
        return IROH_ERR_ARG;
    if (n->round < VARINT_MAX)
        n->round++;
    for (size_t i = 0; i < n->own_count; i++)
        n->own[i].wanted |= OWN_REACH_OUT;
    for (size_t i = n->peer_count; i-- > 0;) {
        peer_candidate *p = &n->peers[i];
        bool waits = p->proven && !p->opened;
        if (p->seq == NAT_SEQ_NONE && !waits)
            peer_drop(n, i);
        else if (!waits)
            probe_from(p, now);
    }
    return 0;
}

// An address that comes while a round runs joins it at its next tick; otherwise it waits for the next round.
static int on_add_address(quic_nat *n, uint64_t seq, const addr *address) {
    peer_candidate *p = peer_by_seq(n, seq);
    if (p == NULL) {
        p = peer_by_address(n, address);
        if (p != NULL && p->seq == NAT_SEQ_NONE)
            p->seq = seq;
        if (p != NULL || peers_announced(n) >= n->own_limit)
            return 0;
        uint64_t tick = quic_nat_deadline(n);
        p = peer_make(n, address, seq);
        if (p != NULL)
            p->next_at = tick;
        return 0;
    }
    if (!addr_equal(&p->address, address)) {
        p->address = *address;
        probe_from(p, quic_nat_deadline(n));
    }
    return 0;
}

static int on_remove_address(quic_nat *n, uint64_t seq) {
    peer_candidate *p = peer_by_seq(n, seq);
    if (p != NULL)
        peer_drop(n, (size_t)(p - n->peers));
    return 0;
}

static int on_reach_out(quic_nat *n, uint64_t round, const addr *address, uint64_t now) {
    if (round < n->round)
        return 0;
    if (round > n->round) {
        n->round = round;
        n->peer_count = 0;
    }
    if (peer_by_address(n, address) != NULL)
        return 0;
    if (n->peer_count >= n->own_limit)
        return QUIC_PROTOCOL_VIOLATION;
    peer_candidate *p = peer_make(n, address, 0);
    if (p != NULL)
        p->next_at = now;
    return 0;
}

int quic_nat_on_frame(quic_nat *n, const quic_frame *f, uint64_t now) {
    bool reach_out = f->type == FRAME_REACH_OUT_V4 || f->type == FRAME_REACH_OUT_V6;
    if (reach_out != (n->role == QUIC_SERVER))
        return QUIC_PROTOCOL_VIOLATION;
    if (reach_out)
        return on_reach_out(n, f->address.seq, &f->address.address, now);
    if (f->type == FRAME_REMOVE_ADDRESS)
        return on_remove_address(n, f->address.seq);
    return on_add_address(n, f->address.seq, &f->address.address);
}

// --- Frames to send. A note names the candidate: id is the sequence or round, offset a REACH_OUT's address.

static uint64_t frame_type(uint64_t v4, uint64_t v6, const addr *address) {
    return address->kind == ADDR_IP6 ? v6 : v4;
}

bool quic_nat_next_frame(quic_nat *n, quic_frame *f, quic_sent_frame *note) {
    for (size_t i = 0; i < n->own_count; i++) {
        own_candidate *o = &n->own[i];
        if (o->wanted == 0)
            continue;
        *f = (quic_frame){.type = FRAME_REMOVE_ADDRESS, .address = {.seq = o->seq, .address = o->address}};
        if ((o->wanted & OWN_ADD) != 0)
            f->type = frame_type(FRAME_ADD_ADDRESS_V4, FRAME_ADD_ADDRESS_V6, &o->address);
        if ((o->wanted & OWN_REACH_OUT) != 0) {
            f->type = frame_type(FRAME_REACH_OUT_V4, FRAME_REACH_OUT_V6, &o->address);
            f->address.seq = n->round;
        }
        *note = (quic_sent_frame){.type = f->type, .id = f->address.seq, .offset = addr_hash(&o->address)};
        return true;
    }
    return false;
}

static own_candidate *own_of_note(quic_nat *n, const quic_sent_frame *note, size_t *at) {
    bool reach_out = note->type == FRAME_REACH_OUT_V4 || note->type == FRAME_REACH_OUT_V6;
    for (size_t i = 0; i < n->own_count; i++) {
        own_candidate *o = &n->own[i];
        if (reach_out ? addr_hash(&o->address) != note->offset : o->seq != note->id)
            continue;
        *at = i;
        return o;
    }
    return NULL;
}

static uint8_t wanted_of(uint64_t type) {
    switch (type) {
    case FRAME_REACH_OUT_V4:
    case FRAME_REACH_OUT_V6:
        return OWN_REACH_OUT;
    case FRAME_REMOVE_ADDRESS:
        return OWN_REMOVE;
    default:
        return OWN_ADD;
    }
}

void quic_nat_frame_sent(quic_nat *n, const quic_sent_frame *note) {
    size_t at;
    own_candidate *o = own_of_note(n, note, &at);
    if (o != NULL)
        o->wanted &= (uint8_t)~wanted_of(note->type);
}

void quic_nat_frame_lost(quic_nat *n, const quic_sent_frame *note) {
    size_t at;
    own_candidate *o = own_of_note(n, note, &at);
    uint8_t wanted = wanted_of(note->type);
    if (o == NULL || (wanted == OWN_REACH_OUT && note->id != n->round) || (wanted == OWN_ADD && o->removed))
        return;
    o->wanted |= wanted;
}

void quic_nat_frame_acked(quic_nat *n, const quic_sent_frame *note) {
    size_t at;
    own_candidate *o = own_of_note(n, note, &at);
    if (o != NULL && wanted_of(note->type) == OWN_REMOVE && o->removed)
        own_drop(n, at);
}

// --- Probes

uint64_t quic_nat_deadline(const quic_nat *n) {
    uint64_t at = TIME_NEVER;
    for (size_t i = 0; i < n->peer_count; i++)
        at = time_min(at, n->peers[i].next_at);
    return at;
}

static uint64_t interval_after(uint8_t tries) {
    uint64_t interval = tries <= 1 ? NAT_INTERVAL : NAT_INTERVAL << (tries - 1);
    return time_min(interval, NAT_INTERVAL_CAP);
}

// Fresh data, outstanding from now on; the oldest is forgotten when a candidate has too many.
static void challenge(peer_candidate *p, const entropy *random, uint8_t data[static 8]) {
    entropy_fill(random, data, 8);
    if (p->outstanding == NAT_TRIES) {
        memmove(p->data[0], p->data[1], sizeof p->data - sizeof p->data[0]);
        p->outstanding--;
    }
    memcpy(p->data[p->outstanding++], data, 8);
}

bool quic_nat_next_probe(quic_nat *n, uint64_t now, const entropy *random, addr *to, uint8_t data[static 8]) {
    for (size_t i = 0; i < n->peer_count; i++) {
        peer_candidate *p = &n->peers[i];
        if (p->next_at > now)
            continue;
        challenge(p, random, data);
        p->next_at = p->tries + 1 < NAT_TRIES ? now + interval_after(p->tries) : TIME_NEVER;
        p->tries++;
        *to = p->address;
        return true;
    }
    return false;
}

bool quic_nat_bundle(quic_nat *n, const addr *to, const entropy *random, uint8_t data[static 8]) {
    if (n->role != QUIC_CLIENT)
        return false;
    peer_candidate *p = peer_by_address(n, to);
    if (p == NULL)
        p = peer_make(n, to, NAT_SEQ_NONE);
    if (p == NULL || p->proven)
        return false;
    challenge(p, random, data);
    return true;
}

bool quic_nat_responded(quic_nat *n, const uint8_t data[static 8], const addr *from) {
    peer_candidate *p = peer_by_address(n, from);
    for (size_t i = 0; p != NULL && i < p->outstanding; i++) {
        if (memcmp(p->data[i], data, 8) != 0)
            continue;
        p->proven = true;
        p->outstanding = 0;
        p->next_at = TIME_NEVER;
        return true;
    }
    return false;
}

bool quic_nat_next_open(const quic_nat *n, size_t *at, addr *out) {
    for (; n->role == QUIC_CLIENT && *at < n->peer_count; ++*at) {
        const peer_candidate *p = &n->peers[*at];
        if (!p->proven || p->opened)
            continue;
        *out = p->address;
        ++*at;
        return true;
    }
    return false;
}

void quic_nat_opened(quic_nat *n, const addr *address) {
    peer_candidate *p = peer_by_address(n, address);
    if (p != NULL)
        p->opened = true;
}
