#include "relay/upgrade.h"

#include <stdio.h>
#include <string.h>

#include <iroh/error.h>

#include "relay/auth.h"
#include "relay/frame.h"

#define UPGRADE "upgrade"
#define PROTOCOL "websocket"
#define KEY "sec-websocket-key"
#define VERSION "sec-websocket-version"
#define SUBPROTOCOL "sec-websocket-protocol"
#define ACCEPT "sec-websocket-accept"
#define WS_VERSION "13"
#define SHOWN_MAX 128  // bytes of a peer's value in a refusal

static const char *const version_names[] = {[RELAY_V1] = RELAY_V1_NAME, [RELAY_V2] = RELAY_V2_NAME};

// --- The server's side

static void refuse(relay_upgrade *u, const char *why, const http_text *shown) {
    u->status = 400;
    int len = shown == NULL ? 0 : (int)(shown->len < SHOWN_MAX ? shown->len : SHOWN_MAX);
    (void)snprintf(u->refusal, sizeof u->refusal, "%s%.*s", why, len, len > 0 ? shown->p : "");
}

// The field, or a refusal.
static const http_text *need(const http_head *h, const char *name, relay_upgrade *u) {
    const http_text *value = http_field_find(h, name, NULL);
    if (value == NULL) {
        const http_text shown = {name, strlen(name)};
        refuse(u, "missing header: ", &shown);
    }
    return value;
}

static int version_of(const char *name, size_t len) {
    for (int v = RELAY_V2; v >= RELAY_V1; v--) {
        if (strlen(version_names[v]) == len && memcmp(version_names[v], name, len) == 0)
            return v;
    }
    return 0;
}

// The highest known version in a comma-separated list; 0: none.
static int best_version(const http_text *list) {
    int best = 0;
    for (size_t at = 0; at < list->len;) {
        const char *start = list->p + at;
        const char *comma = memchr(start, ',', list->len - at);
        size_t len = comma != NULL ? (size_t)(comma - start) : list->len - at;
        at += len + 1;
        while (len > 0 && (*start == ' ' || *start == '\t'))
            start++, len--;
        while (len > 0 && (start[len - 1] == ' ' || start[len - 1] == '\t'))
            len--;
        int version = version_of(start, len);
        best = version > best ? version : best;
    }
    return best;
}

static bool judge_websocket(const http_head *h, relay_upgrade *u) {
    const http_text *upgrade = need(h, UPGRADE, u);
    if (upgrade == NULL)
        return false;
    if (h->minor == 0) {
        refuse(u, "HTTP/1.0 cannot be upgraded", NULL);
        return false;
    }
    if (!http_text_is(upgrade, PROTOCOL)) {
        refuse(u, "invalid header value for upgrade: ", upgrade);
        return false;
    }
    const http_text *key = need(h, KEY, u);
    const http_text *version = key != NULL ? need(h, VERSION, u) : NULL;
    if (version == NULL)
        return false;
    if (!http_text_is(version, WS_VERSION)) {
        refuse(u, "unsupported websocket version: ", version);
        u->other_version = true;
        return false;
    }
    ws_accept(key->p, key->len, u->accept);
    return true;
}

static bool judge_subprotocol(const http_head *h, relay_upgrade *u) {
    const http_text *offered = need(h, SUBPROTOCOL, u);
    if (offered == NULL)
        return false;
    if (!relay_token_valid(offered)) {
        refuse(u, "invalid header value for " SUBPROTOCOL, NULL);
        return false;
    }
    u->version = best_version(offered);
    if (u->version == 0)
        refuse(u, "unsupported relay version; supported: " RELAY_V2_NAME ", " RELAY_V1_NAME "; offered: ", offered);
    return u->version != 0;
}

void relay_upgrade_judge(const http_head *request, relay_upgrade *out) {
    *out = (relay_upgrade){.status = 101};
    if (!judge_websocket(request, out) || !judge_subprotocol(request, out))
        return;
    out->claim = http_field_find(request, RELAY_CLAIM_FIELD, NULL);
}

void relay_put_security_fields(writer *w, bool secure, const char *policy) {
    static const char nothing[] = "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'self'; "
                                  "block-all-mixed-content; plugin-types 'none'";
    if (secure)
        http_put_text(w, "strict-transport-security", "max-age=63072000; includeSubDomains");
    http_put_text(w, "content-security-policy", policy != NULL ? policy : nothing);
}

static void put_refusal(writer *w, const relay_upgrade *u, const char *date) {
    char size[24];
    (void)snprintf(size, sizeof size, "%zu", strlen(u->refusal));
    if (u->other_version)
        http_put_text(w, VERSION, WS_VERSION);
    http_put_text(w, "content-length", size);
    http_put_text(w, "date", date);
    http_put_end(w);
    writer_bytes(w, u->refusal, strlen(u->refusal));
}

void relay_upgrade_put_answer(writer *w, const relay_upgrade *u, const char *date) {
    http_put_status(w, u->status);
    relay_put_security_fields(w, u->secure, NULL);
    if (u->status != 101) {
        put_refusal(w, u, date);
        return;
    }
    http_put_text(w, UPGRADE, PROTOCOL);
    http_put_text(w, ACCEPT, u->accept);
    http_put_text(w, SUBPROTOCOL, version_names[u->version]);
    http_put_text(w, "connection", UPGRADE);
    http_put_text(w, "date", date);
    http_put_end(w);
}

// --- The token

static int take_token(const char *p, size_t len, char *out, size_t room) {
    if (len > room)
        return IROH_ERR_TOO_LARGE;
    if (len > 0)
        memcpy(out, p, len);
    return (int)len;
}

// An Authorization field that is no plain text, met before one with a token, means that there is none at all.
int relay_token_find(const http_head *request, char *out, size_t room) {
    size_t at = 0;
    for (const http_text *value; (value = http_field_find(request, "authorization", &at)) != NULL;) {
        if (!relay_token_valid(value))
            return IROH_ERR_NOT_FOUND;
        const char *space = value->len > 0 ? memchr(value->p, ' ', value->len) : NULL;
        if (space == NULL)
            continue;
        const http_text scheme = {value->p, (size_t)(space - value->p)};
        if (http_text_is_nocase(&scheme, "bearer"))
            return take_token(space + 1, value->len - scheme.len - 1, out, room);
    }
    return http_query_get(&request->target, "token", out, room);
}

// --- The client's side

static bool text_is(http_text t, const char *text) {
    return http_text_is(&t, text);
}

// Cuts `t` at the first of the characters, which is left in the rest.
static http_text cut(http_text *t, const char *characters) {
    size_t len = 0;
    while (len < t->len && strchr(characters, t->p[len]) == NULL)
        len++;
    http_text part = {t->p, len};
    t->p += len;
    t->len -= len;
    return part;
}

static void drop(http_text *t, size_t len) {
    t->p += len;
    t->len -= len;
}

static bool take_port(http_text digits, uint16_t *port) {
    unsigned value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9' || value > UINT16_MAX)
            return false;
        value = 10 * value + (unsigned)(digits.p[i] - '0');
    }
    *port = (uint16_t)value;
    return digits.len > 0 && value <= UINT16_MAX;
}

// host, or host:port; the colons of an IPv6 address are in brackets.
static int take_authority(http_text authority, relay_target *out) {
    http_text rest = authority;
    out->authority = authority;
    if (authority.len > 0 && authority.p[0] == '[') {
        out->host = cut(&rest, "]");
        if (rest.len == 0)
            return IROH_ERR_SYNTAX;
        drop(&rest, 1);
        out->host.len++;
    } else {
        out->host = cut(&rest, ":");
    }
    if (out->host.len == 0)
        return IROH_ERR_SYNTAX;
    if (rest.len == 0)
        return 0;
    drop(&rest, 1);
    return take_port(rest, &out->port) ? 0 : IROH_ERR_SYNTAX;
}

int relay_target_of(const char *url, size_t len, relay_target *out) {
    http_text rest = {url, len};
    http_text scheme = cut(&rest, ":");
    *out = (relay_target){0};
    out->tls = !text_is(scheme, "http") && !text_is(scheme, "ws");
    out->port = out->tls ? 443 : 80;
    if (rest.len < 3 || memcmp(rest.p, "://", 3) != 0)
        return IROH_ERR_SYNTAX;
    drop(&rest, 3);
    http_text authority = cut(&rest, "/?#");
    for (size_t i = authority.len; i-- > 0;) {
        if (authority.p[i] == '@') {  // user and password are not for the relay
            drop(&authority, i + 1);
            break;
        }
    }
    (void)cut(&rest, "?#");
    out->query = rest.len > 0 && rest.p[0] == '?' ? cut(&rest, "#") : (http_text){rest.p, 0};
    return take_authority(authority, out);
}

bool relay_token_valid(const http_text *token) {
    for (size_t i = 0; i < token->len; i++) {
        unsigned char c = (unsigned char)token->p[i];
        if ((c < 0x20 && c != '\t') || c > 0x7e)
            return false;
    }
    return true;
}

static void put_bearer(writer *w, const http_text *token) {
    static const char start[] = "authorization: Bearer ";
    if (!relay_token_valid(token)) {
        w->failed = true;
        return;
    }
    writer_bytes(w, start, sizeof start - 1);
    writer_bytes(w, token->p, token->len);
    writer_bytes(w, "\r\n", 2);
}

static void put_request_line(writer *w, const relay_target *t) {
    static const char start[] = "GET " RELAY_PATH, end[] = " HTTP/1.1\r\n";
    writer_bytes(w, start, sizeof start - 1);
    writer_bytes(w, t->query.p, t->query.len);
    writer_bytes(w, end, sizeof end - 1);
}

// The case and order of the fields are those of the original.
void relay_upgrade_put_request(writer *w, const relay_target *t, const char *key, const http_text *token,
                               const char *claim) {
    put_request_line(w, t);
    http_put_field(w, "Host", t->authority.p, t->authority.len);
    http_put_text(w, "Upgrade", PROTOCOL);
    http_put_text(w, "Connection", "Upgrade");
    http_put_text(w, "Sec-WebSocket-Key", key);
    http_put_text(w, "Sec-WebSocket-Version", WS_VERSION);
    http_put_text(w, SUBPROTOCOL, RELAY_V2_NAME ", " RELAY_V1_NAME);
    if (token != NULL)
        put_bearer(w, token);
    if (claim != NULL)
        http_put_field(w, RELAY_CLAIM_FIELD, claim, RELAY_CLAIM_LEN);
    http_put_end(w);
}

int relay_upgrade_check(const http_head *response, const char *key) {
    char accept[WS_ACCEPT_SIZE];
    if (response->status != 101)
        return IROH_ERR_REFUSED;
    ws_accept(key, strlen(key), accept);
    const http_text *value = http_field_find(response, ACCEPT, NULL);
    if (value == NULL || !http_text_is(value, accept))
        return IROH_ERR_PROTOCOL;
    const http_text *chosen = http_field_find(response, SUBPROTOCOL, NULL);
    int version = chosen != NULL ? version_of(chosen->p, chosen->len) : 0;
    return version != 0 ? version : IROH_ERR_VERSION;
}
