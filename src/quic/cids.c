// Both sides' ids. What the peer may make us remember is bounded: slots, a window of sequences, retirements.
#include "quic/cids.h"

#define KNOWN_BITS 64

// --- Ours

void quic_local_cids_init(quic_local_cids *c) {
    *c = (quic_local_cids){.base = 0};
}

bool quic_local_cids_room(const quic_local_cids *c) {
    return c->next - c->base < CIDS_LOCAL_MAX;
}

bool quic_local_cids_issue(quic_local_cids *c, const uint8_t id[static QUIC_LOCAL_CID], uint64_t *seq) {
    if (!quic_local_cids_room(c))
        return false;
    quic_local_cid *slot = &c->items[c->next % CIDS_LOCAL_MAX];
    memcpy(slot->bytes, id, QUIC_LOCAL_CID);
    slot->used = true;
    *seq = c->next++;
    return true;
}

bool quic_local_cids_retire(quic_local_cids *c, uint64_t seq, uint8_t out[static QUIC_LOCAL_CID]) {
    const quic_local_cid *cid = quic_local_cids_get(c, seq);
    if (cid == NULL)
        return false;
    memcpy(out, cid->bytes, QUIC_LOCAL_CID);
    c->items[seq % CIDS_LOCAL_MAX].used = false;
    while (c->base < c->next && !c->items[c->base % CIDS_LOCAL_MAX].used)
        c->base++;
    return true;
}

size_t quic_local_cids_active(const quic_local_cids *c) {
    size_t n = 0;
    for (size_t i = 0; i < CIDS_LOCAL_MAX; i++)
        n += c->items[i].used;
    return n;
}

const quic_local_cid *quic_local_cids_get(const quic_local_cids *c, uint64_t seq) {
    if (seq < c->base || seq >= c->next)
        return NULL;
    const quic_local_cid *cid = &c->items[seq % CIDS_LOCAL_MAX];
    return cid->used ? cid : NULL;
}

// --- The peer's

void quic_peer_cids_init(quic_peer_cids *c, const quic_cid *first) {
    *c = (quic_peer_cids){.known = first != NULL};
    if (first != NULL)
        c->items[0] = (quic_peer_cid){.cid = *first, .used = true};
}

void quic_peer_cids_replace_first(quic_peer_cids *c, const quic_cid *cid) {
    if (c->items[c->active].seq == 0)
        c->items[c->active].cid = *cid;
}

void quic_peer_cids_set_token(quic_peer_cids *c, const uint8_t token[static QUIC_RESET_TOKEN]) {
    for (size_t i = 0; i < CIDS_PEER_MAX; i++) {
        quic_peer_cid *item = &c->items[i];
        if (!item->used || item->seq != 0)
            continue;
        memcpy(item->token, token, QUIC_RESET_TOKEN);
        item->has_token = true;
    }
}

const quic_peer_cid *quic_peer_cids_active(const quic_peer_cids *c) {
    return c->items[c->active].used ? &c->items[c->active] : NULL;
}

// True the first time that a sequence is seen. The window of what is remembered moves up with the highest one: what falls
// below it counts as seen, so a frame that comes that late is ignored.
static bool first_time(quic_peer_cids *c, uint64_t seq) {
    if (seq < c->known_base)
        return false;
    uint64_t offset = seq - c->known_base;
    if (offset >= KNOWN_BITS) {
        uint64_t up = offset - (KNOWN_BITS - 1);
        c->known = up < KNOWN_BITS ? c->known >> up : 0;
        c->known_base += up;
        offset = KNOWN_BITS - 1;
    }
    uint64_t bit = UINT64_C(1) << offset;
    bool first = (c->known & bit) == 0;
    c->known |= bit;
    return first;
}

static bool queue_retirement(quic_peer_cids *c, uint64_t seq) {
    if (c->pending_count + c->retiring >= CIDS_RETIRE_MAX)
        return false;
    c->pending[c->pending_count++] = seq;
    return true;
}

static bool same_value(const quic_peer_cid *item, const quic_cid *cid, const uint8_t token[static QUIC_RESET_TOKEN]) {
    return quic_cid_equal(&item->cid, cid) && (!item->has_token || memcmp(item->token, token, QUIC_RESET_TOKEN) == 0);
}

// A sequence names one id and an id has one sequence.
static bool contradicts(const quic_peer_cids *c, uint64_t seq, const quic_cid *cid,
                        const uint8_t token[static QUIC_RESET_TOKEN]) {
    for (size_t i = 0; i < CIDS_PEER_MAX; i++) {
        const quic_peer_cid *item = &c->items[i];
        if (!item->used)
            continue;
        if (item->seq == seq ? !same_value(item, cid, token) : quic_cid_equal(&item->cid, cid))
            return true;
    }
    return false;
}

static bool retire_below(quic_peer_cids *c, uint64_t prior_to) {
    if (prior_to <= c->retire_prior_to)
        return true;
    c->retire_prior_to = prior_to;
    for (size_t i = 0; i < CIDS_PEER_MAX; i++) {
        if (!c->items[i].used || c->items[i].seq >= prior_to)
            continue;
        if (!queue_retirement(c, c->items[i].seq))
            return false;
        c->items[i].used = false;
    }
    return true;
}

static bool store(quic_peer_cids *c, uint64_t seq, const quic_cid *cid, const uint8_t token[static QUIC_RESET_TOKEN]) {
    for (size_t i = 0; i < CIDS_PEER_MAX; i++) {
        if (c->items[i].used)
            continue;
        c->items[i] = (quic_peer_cid){.cid = *cid, .used = true, .has_token = true, .seq = seq};
        memcpy(c->items[i].token, token, QUIC_RESET_TOKEN);
        return true;
    }
    return false;
}

// The id with the lowest sequence, apart from slot `except`; CIDS_PEER_MAX when there is none.
static size_t lowest(const quic_peer_cids *c, size_t except) {
    size_t best = CIDS_PEER_MAX;
    for (size_t i = 0; i < CIDS_PEER_MAX; i++) {
        if (c->items[i].used && i != except && (best == CIDS_PEER_MAX || c->items[i].seq < c->items[best].seq))
            best = i;
    }
    return best;
}

int quic_peer_cids_add(quic_peer_cids *c, uint64_t seq, uint64_t retire_prior_to, const quic_cid *cid,
                       const uint8_t token[static QUIC_RESET_TOKEN], bool *changed) {
    *changed = false;
    if (retire_prior_to > seq || contradicts(c, seq, cid, token))
        return QUIC_PROTOCOL_VIOLATION;
    bool had = c->items[c->active].used;
    uint64_t active = c->items[c->active].seq;
    if (!retire_below(c, retire_prior_to))
        return QUIC_CONNECTION_ID_LIMIT_ERROR;
    if (first_time(c, seq)) {
        // What arrives after its retirement was asked for is given back unused (RFC 9000, section 19.15).
        bool kept = seq < c->retire_prior_to ? queue_retirement(c, seq) : store(c, seq, cid, token);
        if (!kept)
            return QUIC_CONNECTION_ID_LIMIT_ERROR;
    }
    if (had && active >= c->retire_prior_to)
        return 0;
    size_t next = lowest(c, CIDS_PEER_MAX);
    if (next == CIDS_PEER_MAX)
        return QUIC_PROTOCOL_VIOLATION;  // a repetition that asks for more than the first time
    c->active = (uint8_t)next;
    *changed = true;
    return 0;
}

bool quic_peer_cids_rotate(quic_peer_cids *c) {
    size_t next = lowest(c, c->active);
    if (next == CIDS_PEER_MAX || !queue_retirement(c, c->items[c->active].seq))
        return false;
    c->items[c->active].used = false;
    c->active = (uint8_t)next;
    return true;
}

bool quic_peer_cids_take_pending(quic_peer_cids *c, uint64_t *seq) {
    if (c->pending_count == 0)
        return false;
    *seq = c->pending[0];
    c->pending_count--;
    memmove(c->pending, c->pending + 1, c->pending_count * sizeof *c->pending);
    c->retiring++;
    return true;
}

void quic_peer_cids_retire_again(quic_peer_cids *c, uint64_t seq) {
    quic_peer_cids_retire_acked(c);
    (void)queue_retirement(c, seq);
}

void quic_peer_cids_retire_acked(quic_peer_cids *c) {
    if (c->retiring > 0)
        c->retiring--;
}
