// Who may use a relay. Built-in rules decide at once; with RELAY_ACCESS_ASK the shell asks someone else.
#ifndef RELAY_ACCESS_H
#define RELAY_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/frame.h"

enum {
    RELAY_ACCESS_EVERYONE = 0,
    RELAY_ACCESS_ALLOWLIST,
    RELAY_ACCESS_DENYLIST,
    RELAY_ACCESS_TOKENS,
    RELAY_ACCESS_ASK,
};

enum { RELAY_DENY = 0, RELAY_ALLOW = 1, RELAY_ASK = 2 };

#define RELAY_DENIED "not authorized"  // the reason of all built-in denials

typedef struct relay_access {
    int mode;
    uint8_t (*ids)[RELAY_ID];  // sorted by relay_access_seal
    size_t id_count, id_room;
    struct relay_token {
        char *text;
        size_t len;
    } * tokens;
    size_t token_count, token_room;
} relay_access;

void relay_access_init(relay_access *a, int mode);
void relay_access_dispose(relay_access *a);

// Fill the lists. IROH_ERR_NOMEM; IROH_ERR_LENGTH for an empty token.
int relay_access_add_id(relay_access *a, const uint8_t id[static RELAY_ID]);
int relay_access_add_token(relay_access *a, const char *text, size_t len);

// To be called after the last addition. IROH_ERR_ARG: the mode needs tokens and there are none.
int relay_access_seal(relay_access *a);

// `token` is null when none was presented. Tokens are compared in a time that depends on their lengths alone.
int relay_access_decide(const relay_access *a, const uint8_t id[static RELAY_ID], const char *token, size_t token_len);

#endif
