// Requests and answers: the upgrade of a client, and the small pages around it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>
#include <iroh/iroh.h>

#include "crypto/ed25519.h"
#include "relay/auth.h"
#include "relay/upgrade.h"
#include "relay_server/state.h"

#define ANSWER_HEAD_MAX 2048
#define BODY_MAX 16384
#define CHALLENGE_MAX 63  // of a captive portal check

typedef struct answer {
    int status;
    const char *type;          // content type; null: none
    const char *name, *value;  // one more field; null: none
    const char *policy;        // content security policy; null: the usual one
    const void *body;
    size_t len;
    bool no_length;  // a status that never has a body
} answer;

// --- Answers

static void put_length(writer *w, size_t len) {
    char text[24];
    (void)snprintf(text, sizeof text, "%zu", len);
    http_put_text(w, "content-length", text);
}

static void give(conn *c, const answer *a) {
    uint8_t head[ANSWER_HEAD_MAX];
    writer w = writer_of(head, sizeof head);
    http_put_status(&w, a->status);
    if (c->serves == SERVES_ALL)
        relay_put_security_fields(&w, c->tls != NULL, a->policy);
    if (a->type != NULL)
        http_put_text(&w, "content-type", a->type);
    if (a->name != NULL)
        http_put_text(&w, a->name, a->value);
    if (!a->no_length)
        put_length(&w, a->len);
    if (c->http->closing)
        http_put_text(&w, "connection", "close");
    http_put_text(&w, "date", loop_date(c->loop));
    http_put_end(&w);
    if (w.failed || !conn_put(c, head, writer_len(&w)) || !conn_put(c, a->body, a->len))
        conn_drop(c);
}

static void give_status(conn *c, int status) {
    const answer a = {.status = status};
    give(c, &a);
}

static void give_text(conn *c, const char *type, const char *text) {
    const answer a = {.status = 200, .type = type, .body = text, .len = strlen(text)};
    give(c, &a);
}

static void give_not_found(conn *c) {
    static const char text[] = "Not Found";
    const answer a = {.status = 404, .body = text, .len = sizeof text - 1};
    give(c, &a);
}

// A body that is written anew each time.
static void give_written(conn *c, const char *type, void (*write)(writer *w, const iroh_relay *r)) {
    uint8_t body[BODY_MAX];
    writer w = writer_of(body, sizeof body);
    write(&w, c->loop->server);
    const answer a = {.status = w.failed ? 500 : 200, .type = type, .body = body, .len = w.failed ? 0 : writer_len(&w)};
    give(c, &a);
}

// --- The small pages

static void on_ping(conn *c, const http_head *h) {
    const answer a = {.status = 200, .name = "access-control-allow-origin", .value = "*"};
    (void)h;
    give(c, &a);
}

static void on_robots(conn *c, const http_head *h) {
    (void)h;
    give_text(c, NULL, "User-agent: *\nDisallow: /\n");
}

static void on_health(conn *c, const http_head *h) {
    char text[128];
    (void)h;
    (void)snprintf(text, sizeof text, "{\"status\":\"ok\",\"version\":\"%s\",\"git_hash\":\"unknown\"}",
                   iroh_version());
    give_text(c, "application/json", text);
}

static void on_status(conn *c, const http_head *h) {
    (void)h;
    give_written(c, "application/json", status_write);
}

static bool is_challenge(const http_text *t) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    for (size_t i = 0; i < t->len; i++) {
        if (t->p[i] == '\0' || strchr(allowed, t->p[i]) == NULL)
            return false;
    }
    return t->len > 0 && t->len <= CHALLENGE_MAX;
}

static void on_captive_check(conn *c, const http_head *h) {
    char text[16 + CHALLENGE_MAX];
    answer a = {.status = 204, .no_length = true};
    const http_text *challenge = http_field_find(h, "x-iroh-challenge", NULL);
    if (challenge != NULL && is_challenge(challenge)) {
        (void)snprintf(text, sizeof text, "response %.*s", (int)challenge->len, challenge->p);
        a.name = "x-iroh-response";
        a.value = text;
    }
    give(c, &a);
}

static void on_page(conn *c, const page_file *file) {
    const answer a = {
        .status = 200,
        .type = file->type,
        .policy =
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
            "form-action 'none'; base-uri 'self'",
        .body = file->content,
        .len = strlen(file->content),
    };
    give(c, &a);
}

// --- The upgrade

static void keep_token(conn *c, const http_head *h) {
    char token[HTTP_TOKEN_MAX];
    int len = relay_token_find(h, token, sizeof token);
    if (len < 0)
        return;
    c->token = malloc((size_t)len + 1);
    if (c->token == NULL)
        return;
    memcpy(c->token, token, (size_t)len);
    c->token[len] = '\0';
    c->token_len = (size_t)len;
}

// Whether the claim is well-formed; *proven is its id if it also holds. One that does not hold may have come through a
// proxy that ends TLS, so the client is challenged.
static bool check_claim(const conn *c, const http_text *text, relay_claim *claim, const uint8_t **proven) {
    uint8_t exported[RELAY_EXPORT];
    *proven = NULL;
    if (text == NULL || c->tls == NULL)
        return true;
    if (relay_claim_read(text->p, text->len, claim) != 0)
        return false;
    if (web_handshake_export(c->tls->handshake, RELAY_EXPORT_LABEL, claim->id, RELAY_ID, exported, sizeof exported) ==
            0 &&
        relay_claim_verify(claim, exported))
        *proven = claim->id;
    return *proven != NULL || ed25519_is_point(claim->id);
}

static void on_upgrade(conn *c, const http_head *h) {
    uint8_t bytes[ANSWER_HEAD_MAX + RELAY_REFUSAL_MAX];
    relay_upgrade upgrade;
    relay_claim claim;
    const uint8_t *proven;
    relay_upgrade_judge(h, &upgrade);
    upgrade.secure = c->tls != NULL;
    writer w = writer_of(bytes, sizeof bytes);
    relay_upgrade_put_answer(&w, &upgrade, loop_date(c->loop));
    if (w.failed || !conn_put(c, bytes, writer_len(&w))) {
        conn_drop(c);
        return;
    }
    if (upgrade.status != 101)
        return;
    if (!check_claim(c, upgrade.claim, &claim, &proven)) {
        c->failed = true;
        conn_end(c);
        return;
    }
    keep_token(c, h);
    c->loop->counters[COUNT_HTTP_CLOSED]++;
    c->phase = CONN_RELAY;
    heap_remove(&c->loop->timers, &c->timer);
    (void)relay_session_start(&c->session, upgrade.version, proven, loop_now(c->loop));
}

// --- Requests

static const struct {
    const char *path;
    void (*handle)(conn *c, const http_head *h);
} pages[] = {
    {"/ping", on_ping},
    {"/robots.txt", on_robots},
    {"/healthz", on_health},
    {"/status.json", on_status},
};

static bool on_small_page(conn *c, const http_head *h, const http_text *path) {
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (http_text_is(path, pages[i].path)) {
            pages[i].handle(c, h);
            return true;
        }
    }
    const page_file *file = page_find(path);
    if (file != NULL)
        on_page(c, file);
    return file != NULL;
}

static void handle(conn *c, const http_head *h) {
    http_text path = http_target_path(&h->target);
    bool get = http_text_is(&h->method, "GET");
    bool captive = c->serves == SERVES_CAPTIVE || c->tls == NULL;
    if (c->serves == SERVES_METRICS)
        give_written(c, "text/plain; charset=utf-8", metrics_write);
    else if (get && captive && http_text_is(&path, "/generate_204"))
        on_captive_check(c, h);
    else if (!get || c->serves == SERVES_CAPTIVE)
        give_not_found(c);
    else if (c->loop->server->config.relay && http_text_is(&path, RELAY_PATH))
        on_upgrade(c, h);
    else if (!on_small_page(c, h, &path))
        give_not_found(c);
}

// No page takes a body, so whoever sends one gets an answer and no second request.
static bool last_request(const conn *c, const http_head *h) {
    uint64_t body;
    return c->serves == SERVES_CAPTIVE || !http_keeps_alive(h) || http_body_size(h, &body) != 0 || body > 0;
}

static void refuse(conn *c, int error) {
    c->http->closing = true;
    c->failed = true;
    give_status(c, error == IROH_ERR_TOO_LARGE || error == IROH_ERR_LIMIT ? 431 : 400);
}

static void on_head(conn *c, size_t len) {
    http_head h;
    int r = http_request_parse(c->http->head, len, &h);
    if (r != 0) {
        refuse(c, r);
        return;
    }
    c->http->closing = last_request(c, &h);
    handle(c, &h);
    if (!c->dead)
        conn_tls_forget(c);
}

void http_free(conn *c) {
    if (c->http != NULL)
        free(c->http->head);
    free(c->http);
    c->http = NULL;
}

static bool append(http_state *s, const uint8_t *bytes, size_t len) {
    if (s->len + len > s->room) {
        size_t room = s->len + len;
        uint8_t *grown = realloc(s->head, room);
        if (grown == NULL)
            return false;
        s->head = grown;
        s->room = room;
    }
    if (len > 0)
        memcpy(s->head + s->len, bytes, len);
    s->len += len;
    return true;
}

static void drop_head(http_state *s, size_t len) {
    s->len -= len;
    memmove(s->head, s->head + len, s->len);
    s->scan = (http_scan){0};
    if (s->len == 0) {
        free(s->head);
        s->head = NULL;
        s->room = 0;
    }
}

// Bytes behind the request of an upgrade are of the relay protocol already.
static void hand_over(conn *c, size_t len) {
    http_state *s = c->http;
    c->http = NULL;
    conn_input(c, s->head + len, s->len - len);
    free(s->head);
    free(s);
}

void http_input(conn *c, uint8_t *bytes, size_t len) {
    if (!append(c->http, bytes, len)) {
        conn_drop(c);
        return;
    }
    // One at a time: what is behind a request waits until its answer is written.
    while (!c->dead && c->phase == CONN_HTTP && conn_out_empty(c) && !c->http->closing && c->http->len > 0) {
        int head_len = http_scan_end(&c->http->scan, c->http->head, c->http->len);
        if (head_len == 0)
            break;
        if (head_len < 0)
            refuse(c, head_len);
        else
            on_head(c, (size_t)head_len);
        if (!c->dead && c->phase == CONN_RELAY) {
            hand_over(c, (size_t)head_len);
            return;
        }
        if (c->dead || c->phase != CONN_HTTP)
            return;
        drop_head(c->http, head_len > 0 ? (size_t)head_len : c->http->len);
        conn_flush(c);
    }
    if (!c->dead && c->phase == CONN_HTTP && c->http->closing && conn_out_empty(c))
        conn_end(c);
}
