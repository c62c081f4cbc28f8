#include "tls/tickets.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/hkdf.h"

void tickets_init(tickets *t, const entropy *random) {
    uint64_t seed[2] = {entropy_u64(random), entropy_u64(random)};
    map_init(&t->by_id, seed);
    list_init(&t->oldest);
    entropy_fill(random, t->secret, sizeof t->secret);
}

static uint64_t map_key(const uint8_t id[static TICKET_ID]) {
    uint64_t key;
    memcpy(&key, id, sizeof key);
    return key;
}

void ticket_free(ticket *one) {
    if (one != NULL)
        wipe(one, sizeof *one);
    free(one);
}

static void drop(tickets *t, ticket *one) {
    (void)map_remove(&t->by_id, map_key(one->id));
    list_remove(&one->link);
    ticket_free(one);
}

void tickets_dispose(tickets *t) {
    while (!list_empty(&t->oldest))
        drop(t, list_entry(t->oldest.next, ticket, link));
    map_dispose(&t->by_id);
    wipe(t->secret, sizeof t->secret);
}

int tickets_add(tickets *t, const uint8_t *bytes, size_t len, const ticket_facts *facts) {
    ticket *one = malloc(sizeof *one + facts->alpn_len);
    if (one == NULL)
        return IROH_ERR_NOMEM;
    hmac_sha256(t->secret, sizeof t->secret, bytes, len, one->id);
    memcpy(one->secret, facts->secret, sizeof one->secret);
    memcpy(one->peer_key, facts->peer_key, sizeof one->peer_key);
    one->suite = facts->suite;
    one->alpn_len = facts->alpn_len;
    memcpy(one->alpn, facts->alpn, facts->alpn_len);
    list_init(&one->link);
    ticket *same = map_get(&t->by_id, map_key(one->id));
    if (same != NULL)
        drop(t, same);
    if (map_put(&t->by_id, map_key(one->id), one) != 0) {
        ticket_free(one);
        return IROH_ERR_NOMEM;
    }
    list_push_back(&t->oldest, &one->link);
    if (t->by_id.count > TICKETS_MAX)
        drop(t, list_entry(t->oldest.next, ticket, link));
    return 0;
}

ticket *tickets_take(tickets *t, const uint8_t *bytes, size_t len) {
    uint8_t id[TICKET_ID];
    hmac_sha256(t->secret, sizeof t->secret, bytes, len, id);
    ticket *one = map_get(&t->by_id, map_key(id));
    // The id is no secret of the peer's, so how long this comparison takes tells nothing.
    if (one == NULL || memcmp(one->id, id, sizeof id) != 0)
        return NULL;
    (void)map_remove(&t->by_id, map_key(id));
    list_remove(&one->link);
    return one;
}
