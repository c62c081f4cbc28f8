// The HTTP request that opens a relay connection, and its answer, from both sides.
#ifndef RELAY_UPGRADE_H
#define RELAY_UPGRADE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "web/http_head.h"
#include "web/websocket.h"

#define RELAY_PATH "/relay"
#define RELAY_REFUSAL_MAX 512  // bytes of the text of a refusal, terminator included

// What a server thinks of a GET of RELAY_PATH.
typedef struct relay_upgrade {
    int status;   // 101, or 400 with `refusal` as body
    int version;  // RELAY_V1, RELAY_V2
    char accept[WS_ACCEPT_SIZE];
    const http_text *claim;  // the value of RELAY_CLAIM_FIELD; null: none
    bool other_version;      // refused for its Sec-WebSocket-Version
    bool secure;             // set by the caller when the request came over TLS: relay_put_security_fields
    char refusal[RELAY_REFUSAL_MAX];
} relay_upgrade;

// Judges the request; `claim` borrows from the head, and `secure` is false. Method and path are the caller's to check.
void relay_upgrade_judge(const http_head *request, relay_upgrade *out);

// Writes the whole answer: the 101, or the refusal with its body. `date` is the value of that field (IMF-fixdate).
void relay_upgrade_put_answer(writer *w, const relay_upgrade *u, const char *date);

// The security fields that every answer of the server carries: the content security policy, null for the original's, which
// allows nothing; and over TLS before it Strict-Transport-Security. The original sends that on plain HTTP too, where it
// has no place (RFC 6797, 7.2).
void relay_put_security_fields(writer *w, bool secure, const char *policy);

// The token that a request presents: of the first Authorization field with the scheme Bearer, else the query parameter
// `token`. Its length, or IROH_ERR_NOT_FOUND, IROH_ERR_TOO_LARGE.
int relay_token_find(const http_head *request, char *out, size_t room);

// ---------------------------------------------------------------------------------------------------------------------
// The client's side

// Where a relay URL leads. Slices of the URL, but for what the struct holds itself.
typedef struct relay_target {
    bool tls;             // any scheme but http and ws
    http_text host;       // as in the URL: with the brackets of IPv6 and the final dot of a full name
    uint16_t port;        // the URL's, or 80 or 443
    http_text authority;  // host, and the port if the URL names one: the Host field
    http_text query;      // with its question mark; may be empty
} relay_target;

// `url` is in normal form (url_normalize). IROH_ERR_SYNTAX when it has no host.
int relay_target_of(const char *url, size_t len, relay_target *out);

// `token` may be null; `claim` is null without TLS, else RELAY_CLAIM_LEN characters. Fails the writer when the token is
// not header text.
void relay_upgrade_put_request(writer *w, const relay_target *t, const char *key, const http_text *token,
                               const char *claim);

// Whether `token` can be sent: 0x20 to 0x7e, and tabs.
bool relay_token_valid(const http_text *token);

// Judges the server's answer to a request with `key`: the version; IROH_ERR_REFUSED (status), IROH_ERR_PROTOCOL (accept
// value), IROH_ERR_VERSION (no protocol in common).
int relay_upgrade_check(const http_head *response, const char *key);

#endif
