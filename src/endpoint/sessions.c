#include "endpoint/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "base/wipe.h"

typedef struct session_entry {
    list_link link;
    uint8_t peer[32];
    uint8_t *bytes;
    size_t len;
    size_t alpn_len;
    uint8_t alpn[];
} session_entry;

void sessions_init(session_cache *c) {
    list_init(&c->entries);
    c->count = 0;
}

static void entry_free(session_cache *c, session_entry *e) {
    list_remove(&e->link);
    c->count--;
    if (e->bytes != NULL)
        wipe(e->bytes, e->len);
    free(e->bytes);
    free(e);
}

void sessions_dispose(session_cache *c) {
    while (!list_empty(&c->entries))
        entry_free(c, list_entry(c->entries.next, session_entry, link));
}

static void trim_peer(session_cache *c, const uint8_t peer[static 32]) {
    size_t seen = 0;
    for (list_link *l = c->entries.next, *next; l != &c->entries; l = next) {
        session_entry *e = list_entry(l, session_entry, link);
        next = l->next;
        if (memcmp(e->peer, peer, sizeof e->peer) == 0 && ++seen > SESSIONS_PER_PEER)
            entry_free(c, e);
    }
}

void sessions_put(session_cache *c, const uint8_t peer[static 32], const uint8_t *alpn, size_t alpn_len, uint8_t *bytes,
                  size_t len) {
    session_entry *e = malloc(sizeof *e + alpn_len);
    if (e == NULL) {
        wipe(bytes, len);
        free(bytes);
        return;
    }
    e->bytes = bytes;
    e->len = len;
    e->alpn_len = alpn_len;
    memcpy(e->peer, peer, sizeof e->peer);
    if (alpn_len > 0)
        memcpy(e->alpn, alpn, alpn_len);
    list_push_front(&c->entries, &e->link);
    c->count++;
    trim_peer(c, peer);
    if (c->count > SESSIONS_MAX)
        entry_free(c, list_entry(c->entries.prev, session_entry, link));
}

static bool entry_matches(const session_entry *e, const uint8_t peer[static 32], const uint8_t *alpn, size_t alpn_len) {
    return memcmp(e->peer, peer, sizeof e->peer) == 0 && e->alpn_len == alpn_len &&
           (alpn_len == 0 || memcmp(e->alpn, alpn, alpn_len) == 0);
}

uint8_t *sessions_take(session_cache *c, const uint8_t peer[static 32], const uint8_t *alpn, size_t alpn_len,
                       size_t *len) {
    for (list_link *l = c->entries.next; l != &c->entries; l = l->next) {
        session_entry *e = list_entry(l, session_entry, link);
        if (!entry_matches(e, peer, alpn, alpn_len))
            continue;
        uint8_t *bytes = e->bytes;
        *len = e->len;
        e->bytes = NULL;
        entry_free(c, e);
        return bytes;
    }
    return NULL;
}
