// What a client reads: the response to its request, the handshake, frames.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/utf8.h"
#include "crypto/ed25519.h"
#include "relay/client.h"
#include "relay/client_state.h"

#define HEAD_GROW_MIN 512  // bytes

// --- The response

static int add_to_head(relay_client *c, const uint8_t *bytes, size_t len) {
    if (c->head_len + len > c->head_room) {
        size_t wanted = 2 * c->head_room > c->head_len + len ? 2 * c->head_room : c->head_len + len;
        wanted = wanted > HEAD_GROW_MIN ? wanted : HEAD_GROW_MIN;
        char *grown = realloc(c->head, wanted);
        if (grown == NULL)
            return IROH_ERR_NOMEM;
        c->head = grown;
        c->head_room = wanted;
    }
    memcpy(c->head + c->head_len, bytes, len);
    c->head_len += len;
    return 0;
}

static int judge_response(relay_client *c, size_t len) {
    http_head head;
    int r = http_response_parse(c->head, len, &head);
    if (r == 0)
        r = relay_upgrade_check(&head, c->key);
    if (r < 0)
        return r;
    c->version = r;
    c->state = RELAY_CLIENT_AUTHENTICATING;
    return 0;
}

// Gathers the head of the response. What follows it in the same bytes is left.
static int take_response(relay_client *c, uint8_t **bytes, size_t *len) {
    size_t room = HTTP_HEAD_MAX - c->head_len;
    size_t n = *len < room ? *len : room;
    int r = n > 0 ? add_to_head(c, *bytes, n) : 0;
    if (r != 0)
        return r;
    int size = http_scan_end(&c->scan, c->head, c->head_len);
    if (size < 0)
        return size;
    size_t beyond = size > 0 ? c->head_len - (size_t)size : 0;
    *bytes += n - beyond;
    *len -= n - beyond;
    if (size == 0)
        return 0;
    r = judge_response(c, (size_t)size);
    client_drop_head(c);
    return r;
}

// --- The handshake

static int answer_challenge(relay_client *c, const relay_frame *f) {
    uint8_t signature[RELAY_SIGNATURE];
    if (c->answered)
        return IROH_ERR_PROTOCOL;
    c->answered = true;
    relay_challenge_sign(c->seed, f->data, signature);
    const relay_frame frame = {.type = RELAY_CLIENT_AUTH, .id = c->id, .data = signature, .len = sizeof signature};
    return client_send_frame(c, &frame);
}

static int take_denial(relay_client *c, const relay_frame *f) {
    if (!utf8_valid(f->data, f->len))
        return IROH_ERR_UTF8;
    size_t len = utf8_cut(f->data, f->len, RELAY_DENIAL_MAX - 1);
    memcpy(c->denial, f->data, len);
    c->denial[len] = '\0';
    c->denied = true;
    return IROH_ERR_REFUSED;
}

// The first ping goes out at once: its pong shows that the connection works.
static int become_ready(relay_client *c, uint64_t now, relay_client_event *event) {
    c->state = RELAY_CLIENT_READY;
    c->error = 0;
    c->denied = false;
    c->stats.successes++;
    c->queue.hold = false;
    c->stale_at = TIME_NEVER;
    event->kind = RELAY_EVENT_READY;
    int r = client_send_ping(c, now);
    return r == 0 ? 1 : r;
}

static int on_handshake(relay_client *c, const relay_frame *f, uint64_t now, relay_client_event *event) {
    switch (f->type) {
    case RELAY_SERVER_CHALLENGE:
        return answer_challenge(c, f);
    case RELAY_SERVER_DENIES:
        return take_denial(c, f);
    default:
        return become_ready(c, now, event);
    }
}

// --- Receiving

// Checking that an id is a point takes longer than all the rest, so those that passed are remembered.
static bool id_is_known(relay_client *c, const uint8_t *id) {
    for (unsigned i = 0; i < c->known_count; i++) {
        if (memcmp(c->known[i], id, RELAY_ID) == 0)
            return true;
    }
    if (!ed25519_is_point(id))
        return false;
    memcpy(c->known[c->known_next], id, RELAY_ID);
    c->known_next = (c->known_next + 1) % RELAY_KNOWN_IDS;
    c->known_count += c->known_count < RELAY_KNOWN_IDS;
    return true;
}

static int on_datagram(relay_client *c, const relay_frame *f) {
    if (f->len == 0)
        return 0;
    c->stats.frames_received++;
    c->stats.bytes_received += f->len;
    return RELAY_EVENT_DATAGRAM;
}

static int on_pong(relay_client *c, const relay_frame *f, uint64_t now) {
    (void)relay_pinger_pong(&c->ping, f->data, now);
    c->worked = true;
    return 0;
}

static int on_ping(relay_client *c, const relay_frame *f) {
    relay_frame pong = *f;
    pong.type = RELAY_PONG_FRAME;
    return client_send_frame(c, &pong);
}

static int on_status(relay_client *c, const relay_frame *f) {
    if (f->code == RELAY_STATUS_RATE_LIMITED && !c->limited) {
        c->limited = true;
        c->stats.rate_limited++;
    }
    return RELAY_EVENT_STATUS;
}

static int on_restarting(relay_client *c, const relay_frame *f) {
    c->restart_wait = time_min(f->reconnect_in * NS_PER_MS, RELAY_BACKOFF_MAX);
    return RELAY_EVENT_RESTARTING;
}

// The kind of event that a frame is, 0 for none.
static int on_session(relay_client *c, const relay_frame *f, uint64_t now) {
    if (f->id != NULL && !id_is_known(c, f->id))
        return IROH_ERR_KEY;
    switch (f->type) {
    case RELAY_TO_CLIENT:
    case RELAY_TO_CLIENT_BATCH:
        return on_datagram(c, f);
    case RELAY_GONE:
        return RELAY_EVENT_GONE;
    case RELAY_PING_FRAME:
        return on_ping(c, f);
    case RELAY_PONG_FRAME:
        return on_pong(c, f, now);
    case RELAY_STATUS:
        return on_status(c, f);
    case RELAY_HEALTH:
        return RELAY_EVENT_HEALTH;
    default:
        return on_restarting(c, f);
    }
}

static int on_binary(relay_client *c, const ws_message *m, uint64_t now, relay_client_event *event) {
    bool ready = c->state == RELAY_CLIENT_READY;
    int r = relay_frame_decode(m->data, m->len, RELAY_BY_SERVER, (uint8_t)c->version,
                               ready ? RELAY_IN_SESSION : RELAY_IN_HANDSHAKE, &event->frame);
    if (r != 0)
        return r;
    if (!ready)
        return on_handshake(c, &event->frame, now, event);
    c->ping_at = time_add(now, RELAY_CLIENT_PING);
    event->kind = on_session(c, &event->frame, now);
    return event->kind > 0 ? 1 : event->kind;
}

static int on_message(relay_client *c, const ws_message *m, uint64_t now, relay_client_event *event) {
    switch (m->opcode) {
    case WS_BINARY:
        return on_binary(c, m, now, event);
    case WS_PING:
        return client_send_message(c, false, WS_PONG, m->data, m->len, NULL, 0);
    case WS_CLOSE:
        return IROH_ERR_PEER_CLOSED;
    default:
        return 0;
    }
}

static bool is_reading(const relay_client *c) {
    return c->state >= RELAY_CLIENT_UPGRADING && c->state <= RELAY_CLIENT_READY;
}

int relay_client_receive(relay_client *c, uint8_t **bytes, size_t *len, uint64_t now, relay_client_event *event) {
    ws_message m;
    int r = 0;
    *event = (relay_client_event){0};
    if (c->state == RELAY_CLIENT_UPGRADING)
        r = take_response(c, bytes, len);
    // Once the head is read, messages; while it is not, all bytes were taken.
    while (r == 0 && is_reading(c) && c->state != RELAY_CLIENT_UPGRADING) {
        r = ws_decode(&c->decoder, bytes, len, &m);
        if (r == 0)
            return 0;
        if (r == 1)
            r = on_message(c, &m, now, event);
    }
    if (r < 0)
        client_disconnect(c, r, now);
    else if (r == 0 && c->state != RELAY_CLIENT_UPGRADING)
        return IROH_ERR_CLOSED;
    return r;
}
