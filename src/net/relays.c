#include "net/relays.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/url.h"
#include "base/wipe.h"

void relays_init(relays *t, const uint8_t seed[static 32], const entropy *random, const logger *log) {
    *t = (relays){.home = -1, .random = random, .log = log};
    memcpy(t->seed, seed, sizeof t->seed);
    relay_blocks_init(&t->blocks, RELAYS_BLOCKS);
}

static void relay_free(net_relay *r) {
    if (r->live)
        relay_client_dispose(&r->client);
    if (r->token != NULL)
        wipe(r->token, strlen(r->token));
    free(r->token);
    free(r->routes);
    free(r->url);
    free(r);
}

void relays_dispose(relays *t) {
    for (size_t i = 0; i < t->count; i++)
        relay_free(t->list[i]);
    t->count = 0;
    t->home = -1;
    relay_blocks_dispose(&t->blocks);
    wipe(t->seed, sizeof t->seed);
}

// --- The table

static char *copy_text(const char *text, size_t len) {
    char *copy = malloc(len + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static int find(const relays *t, const char *url, size_t len) {
    for (size_t i = 0; i < t->count; i++) {
        if (t->list[i]->url_len == len && memcmp(t->list[i]->url, url, len) == 0)
            return (int)i;
    }
    return IROH_ERR_NOT_FOUND;
}

// `url` is in normal form.
static int append(relays *t, const char *url, size_t len, const char *token) {
    relay_target target;
    int error = relay_target_of(url, len, &target);
    if (error != 0)
        return error;
    if (t->count == RELAYS_MAX)
        return IROH_ERR_LIMIT;
    net_relay *r = calloc(1, sizeof *r);
    if (r == NULL)
        return IROH_ERR_NOMEM;
    r->url = copy_text(url, len);
    r->url_len = len;
    r->token = token != NULL ? copy_text(token, strlen(token)) : NULL;
    if (r->url == NULL || (token != NULL && r->token == NULL)) {
        relay_free(r);
        return IROH_ERR_NOMEM;
    }
    t->list[t->count] = r;
    return (int)t->count++;
}

// Its client, ready to dial.
static int bring_to_life(relays *t, net_relay *r, uint64_t now) {
    const relay_client_config config = {
        .url = r->url, .url_len = r->url_len, .token = r->token, .random = t->random, .blocks = &t->blocks};
    relay_client_config with_key = config;
    memcpy(with_key.seed, t->seed, sizeof with_key.seed);
    int error = r->live ? 0 : relay_client_init(&r->client, &with_key, now);
    wipe(with_key.seed, sizeof with_key.seed);
    r->live |= error == 0;
    t->attention |= error == 0;
    return error;
}

static void set_home(relays *t, int number, uint64_t now) {
    if (t->home == number)
        return;
    if (t->home >= 0)
        relay_client_set_home(&t->list[t->home]->client, false, now);
    t->home = number;
    t->home_changes++;
    relay_client_set_home(&t->list[number]->client, true, now);
    t->attention = true;
    if (log_on(t->log, LOG_DEBUG))
        log_line(t->log, LOG_DEBUG, "home relay is %.200s", t->list[number]->url);
}

static int configure(relays *t, int number, const char *token, uint64_t now) {
    net_relay *r = t->list[number];
    const http_text text = {token, token != NULL ? strlen(token) : 0};
    if (!relay_token_valid(&text))
        return IROH_ERR_ARG;
    if (r->token == NULL && token != NULL && !r->live) {
        r->token = copy_text(token, strlen(token));
        if (r->token == NULL)
            return IROH_ERR_NOMEM;
    }
    int error = t->awaiting ? 0 : bring_to_life(t, r, now);
    if (error != 0)
        return error;
    r->configured = true;
    if (t->home < 0 && !t->awaiting)
        set_home(t, number, now);
    return number;
}

int relays_add(relays *t, const char *url, size_t len, bool configured, const char *token, uint64_t now) {
    char normal[URL_MAX];
    int n = url_normalize(url, len, normal, sizeof normal);
    if (n < 0)
        return n;
    int number = find(t, normal, (size_t)n);
    if (number < 0)
        number = append(t, normal, (size_t)n, configured ? token : NULL);
    return number >= 0 && configured ? configure(t, number, token, now) : number;
}

const net_relay *relays_home(const relays *t) {
    return t->home >= 0 ? t->list[t->home] : NULL;
}

static bool is_ready(const net_relay *r) {
    return r->live && relay_client_state(&r->client) == RELAY_CLIENT_READY;
}

// --- Which one is home

size_t relays_configured(const relays *t, int out[static RELAYS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (!t->list[i]->configured)
            continue;
        size_t at = count++;
        for (; at > 0 && strcmp(t->list[out[at - 1]]->url, t->list[i]->url) > 0; at--)
            out[at] = out[at - 1];
        out[at] = (int)i;
    }
    return count;
}

void relays_await(relays *t) {
    t->awaiting = true;
}

// Those that cannot be made ready for lack of memory are left out.
void relays_prefer_any(relays *t, uint64_t now) {
    int all[RELAYS_MAX];
    size_t count = relays_configured(t, all);
    t->awaiting = false;
    for (size_t i = 0; i < count; i++) {
        if (bring_to_life(t, t->list[all[i]], now) == 0 && t->home < 0)
            set_home(t, all[i], now);
    }
}

static bool is_failing(const net_relay *r) {
    return r->live && !is_ready(r) && r->client.backoff.failures >= RELAYS_HOME_PATIENCE;
}

void relays_prefer(relays *t, int number, uint64_t now) {
    net_relay *r = t->list[number];
    const net_relay *home = relays_home(t);
    if (!r->configured || (home != NULL && home->configured && is_ready(home) && is_failing(r)))
        return;
    if (bring_to_life(t, r, now) != 0)
        return;
    t->awaiting = false;
    set_home(t, number, now);
}

int relays_remove(relays *t, const char *url, size_t len, uint64_t now) {
    char normal[URL_MAX];
    int all[RELAYS_MAX];
    int n = url_normalize(url, len, normal, sizeof normal);
    int number = n < 0 ? n : find(t, normal, (size_t)n);
    if (number < 0 || !t->list[number]->configured)
        return n < 0 ? n : IROH_ERR_NOT_FOUND;
    t->list[number]->configured = false;
    if (number != t->home || relays_configured(t, all) > 0)
        return number;
    relay_client_set_home(&t->list[number]->client, false, now);
    t->home = -1;
    t->home_changes++;
    t->attention = true;
    return number;
}

bool relays_online(const relays *t) {
    return t->home >= 0 && is_ready(t->list[t->home]);
}

addr relays_address(int number, const uint8_t id[static RELAY_ID]) {
    addr a = {.kind = ADDR_RELAY, .scope = (uint32_t)number};
    memcpy(a.bytes, id, RELAY_ID);
    return a;
}

const char *relays_url(const relays *t, const addr *a) {
    return a->kind == ADDR_RELAY && a->scope < t->count ? t->list[a->scope]->url : NULL;
}

// --- Who was heard where

static int find_route(const net_relay *r, const uint8_t *id) {
    for (unsigned i = 0; i < r->route_count; i++) {
        if (memcmp(r->routes[i], id, RELAY_ID) == 0)
            return (int)i;
    }
    return -1;
}

static void learn_route(net_relay *r, const uint8_t *id) {
    if (find_route(r, id) >= 0)
        return;
    if (r->routes == NULL)
        r->routes = calloc(RELAY_ROUTES_KNOWN, sizeof *r->routes);
    if (r->routes == NULL)
        return;  // then the relay that the address names is dialled
    memcpy(r->routes[r->route_next], id, RELAY_ID);
    r->route_next = (r->route_next + 1) % RELAY_ROUTES_KNOWN;
    r->route_count += r->route_count < RELAY_ROUTES_KNOWN;
}

static void forget_route(net_relay *r, const uint8_t *id) {
    int at = find_route(r, id);
    if (at < 0)
        return;
    r->route_count--;
    memmove(r->routes[at], r->routes[r->route_count], RELAY_ID);
    r->route_next = r->route_count;
}

// --- Datagrams

static net_relay *choose(relays *t, const addr *to, uint64_t now) {
    net_relay *named = t->list[to->scope];
    if (is_ready(named))
        return named;
    for (size_t i = 0; i < t->count; i++) {
        if (is_ready(t->list[i]) && find_route(t->list[i], to->bytes) >= 0)
            return t->list[i];
    }
    return bring_to_life(t, named, now) == 0 ? named : NULL;
}

void relays_send(relays *t, const addr *to, uint8_t ecn, size_t segment, const uint8_t *bytes, size_t len,
                 uint64_t now) {
    if (to->scope >= t->count)
        return;
    net_relay *r = choose(t, to, now);
    size_t most = segment > RELAY_SEGMENT_MAX ? segment : RELAY_BATCH_MAX / segment * segment;
    for (size_t at = 0; r != NULL && at < len;) {
        size_t n = len - at < most ? len - at : most;
        uint16_t split = n > segment ? (uint16_t)segment : 0;
        if (relay_client_send(&r->client, to->bytes, ecn, split, bytes + at, n, now) == 0) {
            t->sent += (n + segment - 1) / segment;
            t->bytes_sent += n;
        }
        at += n;
    }
    t->attention = true;
}

static void note_status(const relays *t, const net_relay *r, const relay_client_event *e) {
    if (e->frame.code == RELAY_STATUS_SAME_ID && log_on(t->log, LOG_WARN))
        log_line(t->log, LOG_WARN, "relay %.200s: another endpoint with the same key is connected there", r->url);
    else if (e->frame.code == RELAY_STATUS_RATE_LIMITED && log_on(t->log, LOG_WARN))
        log_line(t->log, LOG_WARN, "relay %.200s limits our rate", r->url);
    else if (log_on(t->log, LOG_DEBUG))
        log_line(t->log, LOG_DEBUG, "relay %.200s: status %u", r->url, e->frame.code);
}

static void became_ready(relays *t, int number, uint64_t now) {
    if (log_on(t->log, LOG_DEBUG))
        log_line(t->log, LOG_DEBUG, "connected to relay %.200s", t->list[number]->url);
    if (t->list[number]->configured && (t->home < 0 ? !t->awaiting : !is_ready(t->list[t->home])))
        set_home(t, number, now);
}

bool relays_on_event(relays *t, size_t number, const relay_client_event *event, addr *from, uint64_t now) {
    net_relay *r = t->list[number];
    switch (event->kind) {
    case RELAY_EVENT_READY:
        became_ready(t, (int)number, now);
        return false;
    case RELAY_EVENT_DATAGRAM:
        learn_route(r, event->frame.id);
        *from = relays_address((int)number, event->frame.id);
        t->received +=
            event->frame.segment != 0 ? (event->frame.len + event->frame.segment - 1) / event->frame.segment : 1;
        t->bytes_received += event->frame.len;
        return true;
    case RELAY_EVENT_GONE:
        forget_route(r, event->frame.id);
        return false;
    case RELAY_EVENT_STATUS:
        note_status(t, r, event);
        return false;
    default:
        if (log_on(t->log, LOG_DEBUG))
            log_line(t->log, LOG_DEBUG, "relay %.200s: notice %d", r->url, event->kind);
        return false;
    }
}

// --- Time

static bool wants_dial(const net_relay *r) {
    return r->live && relay_client_state(&r->client) == RELAY_CLIENT_DIAL;
}

uint64_t relays_deadline(const relays *t) {
    uint64_t at = t->attention ? 0 : TIME_NEVER;
    for (size_t i = 0; i < t->count; i++) {
        if (t->list[i]->live)
            at = time_min(at, wants_dial(t->list[i]) ? 0 : relay_client_deadline(&t->list[i]->client));
    }
    return at;
}

// While the home relay does not answer, the other configured ones, which rest, are asked.
static void look_for_home(relays *t, uint64_t now) {
    if (t->home < 0 || t->list[t->home]->client.backoff.failures < RELAYS_HOME_PATIENCE)
        return;
    for (size_t i = 0; i < t->count; i++) {
        net_relay *r = t->list[i];
        if (!r->configured || (int)i == t->home || bring_to_life(t, r, now) != 0 ||
            relay_client_deadline(&r->client) != TIME_NEVER)
            continue;
        // Dials what rests, and begins its time of idleness.
        relay_client_set_home(&r->client, true, now);
        relay_client_set_home(&r->client, false, now);
    }
}

void relays_tick(relays *t, uint64_t now) {
    for (size_t i = 0; i < t->count; i++) {
        net_relay *r = t->list[i];
        if (!r->live || relay_client_deadline(&r->client) > now)
            continue;
        relay_client_tick(&r->client, now);
        t->attention = true;
    }
    look_for_home(t, now);
}

void relays_network_changed(relays *t, uint64_t now) {
    for (size_t i = 0; i < t->count; i++) {
        if (t->list[i]->live)
            relay_client_network_changed(&t->list[i]->client, now);
    }
    t->attention = true;
}

void relays_close(relays *t, uint64_t now) {
    for (size_t i = 0; i < t->count; i++) {
        if (t->list[i]->live)
            relay_client_close(&t->list[i]->client, now);
    }
    t->attention = true;
}
