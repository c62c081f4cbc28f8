#include "relay/access.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"

void relay_access_init(relay_access *a, int mode) {
    *a = (relay_access){.mode = mode};
}

void relay_access_dispose(relay_access *a) {
    for (size_t i = 0; i < a->token_count; i++) {
        wipe(a->tokens[i].text, a->tokens[i].len);
        free(a->tokens[i].text);
    }
    free(a->tokens);
    free(a->ids);
    *a = (relay_access){0};
}

// Doubles an array of items of `size` bytes when it is full; the old one stays valid on failure.
static void *with_room(void *items, size_t count, size_t *room, size_t size) {
    if (count < *room)
        return items;
    size_t wanted = *room == 0 ? 8 : 2 * *room;
    void *grown = wanted <= SIZE_MAX / size ? realloc(items, wanted * size) : NULL;
    if (grown != NULL)
        *room = wanted;
    return grown;
}

int relay_access_add_id(relay_access *a, const uint8_t id[static RELAY_ID]) {
    void *grown = with_room(a->ids, a->id_count, &a->id_room, RELAY_ID);
    if (grown == NULL)
        return IROH_ERR_NOMEM;
    a->ids = grown;
    memcpy(a->ids[a->id_count++], id, RELAY_ID);
    return 0;
}

int relay_access_add_token(relay_access *a, const char *text, size_t len) {
    if (len == 0)
        return IROH_ERR_LENGTH;
    void *grown = with_room(a->tokens, a->token_count, &a->token_room, sizeof *a->tokens);
    if (grown == NULL)
        return IROH_ERR_NOMEM;
    a->tokens = grown;
    char *copy = malloc(len);
    if (copy == NULL)
        return IROH_ERR_NOMEM;
    memcpy(copy, text, len);
    a->tokens[a->token_count++] = (struct relay_token){copy, len};
    return 0;
}

static int compare_ids(const void *a, const void *b) {
    return memcmp(a, b, RELAY_ID);
}

int relay_access_seal(relay_access *a) {
    if (a->mode == RELAY_ACCESS_TOKENS && a->token_count == 0)
        return IROH_ERR_ARG;
    if (a->id_count > 0)
        qsort(a->ids, a->id_count, RELAY_ID, compare_ids);
    return 0;
}

static bool lists(const relay_access *a, const uint8_t *id) {
    return a->id_count > 0 && bsearch(id, a->ids, a->id_count, RELAY_ID, compare_ids) != NULL;
}

static bool same_bytes(const char *a, const char *b, size_t len) {
    unsigned difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned)(a[i] ^ b[i]);
    return difference == 0;
}

static bool knows_token(const relay_access *a, const char *token, size_t len) {
    bool known = false;
    for (size_t i = 0; i < a->token_count; i++) {
        bool same = a->tokens[i].len == len && same_bytes(a->tokens[i].text, token, len);
        known = known || same;
    }
    return known;
}

int relay_access_decide(const relay_access *a, const uint8_t id[static RELAY_ID], const char *token, size_t token_len) {
    switch (a->mode) {
    case RELAY_ACCESS_EVERYONE:
        return RELAY_ALLOW;
    case RELAY_ACCESS_ALLOWLIST:
        return lists(a, id) ? RELAY_ALLOW : RELAY_DENY;
    case RELAY_ACCESS_DENYLIST:
        return lists(a, id) ? RELAY_DENY : RELAY_ALLOW;
    case RELAY_ACCESS_TOKENS:
        return token != NULL && knows_token(a, token, token_len) ? RELAY_ALLOW : RELAY_DENY;
    case RELAY_ACCESS_ASK:
        return RELAY_ASK;
    default:
        return RELAY_DENY;
    }
}
