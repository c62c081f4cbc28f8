#include "relay/session.h"

#include <string.h>

#include <iroh/error.h>

#include "base/utf8.h"
#include "relay/auth.h"
#include "relay/hub_state.h"

#define PING_MIN_S 16  // seconds of silence before a ping, drawn for each
#define PING_MAX_S 20
#define NOTICE_MAX 256  // bytes of a frame that is not a datagram
#define REASON_MAX 127  // bytes of a denial's reason: the longest with a length of one byte
#define BURST_SHARE 10  // a burst is this part of a second unless told otherwise

#define HEALTH_SAME_ID "Another connection with the same endpoint id is active; this one receives nothing."
#define HEALTH_HEALTHY "This connection is active again."

// --- Sending

// An urgent frame. Best effort: a client that leaves so many unread is not told more.
static bool notify(relay_session *s, const relay_frame *f) {
    uint8_t bytes[WS_HEADER_MAX + NOTICE_MAX];
    writer w = writer_of(bytes + WS_HEADER_MAX, NOTICE_MAX);
    relay_frame_encode(&w, f);
    if (w.failed)
        return false;
    size_t len = writer_len(&w);
    uint8_t *start = ws_prepend_header(bytes + WS_HEADER_MAX, len, WS_BINARY);
    len += (size_t)(bytes + WS_HEADER_MAX - start);
    if (relay_queue_push(&s->queue, false, start, len, &s->hub->urgent_limits) != 0)
        return false;
    if (!list_linked(&s->blocked_link))
        hub_want(s->hub, s, RELAY_WANTS_WRITE);
    return true;
}

static void send_control(relay_session *s, int opcode, const uint8_t *data, size_t len) {
    uint8_t bytes[WS_HEADER_MAX + WS_CONTROL_MAX];
    size_t header = ws_put_header(bytes, opcode, len, NULL);
    if (len > 0)
        memcpy(bytes + header, data, len);
    if (relay_queue_push(&s->queue, false, bytes, header + len, &s->hub->urgent_limits) == 0)
        hub_want(s->hub, s, RELAY_WANTS_WRITE);
}

// Version 1 has sentences where version 2 has codes, and none for the rate limit.
static void send_status(relay_session *s, uint8_t code) {
    relay_frame frame = {.type = RELAY_STATUS, .code = code};
    if (s->version == RELAY_V1) {
        const char *text = code == RELAY_STATUS_SAME_ID ? HEALTH_SAME_ID : HEALTH_HEALTHY;
        if (code == RELAY_STATUS_RATE_LIMITED)
            return;
        frame = (relay_frame){.type = RELAY_HEALTH, .data = (const uint8_t *)text, .len = strlen(text)};
    }
    (void)notify(s, &frame);
}

void session_activity_changed(relay_session *s, bool active) {
    if (active)
        s->hub->counters.clients_inactive_removed++;
    else
        s->hub->counters.clients_inactive_added++;
    send_status(s, active ? RELAY_STATUS_HEALTHY : RELAY_STATUS_SAME_ID);
}

// --- Beginning and end

void relay_session_init(relay_session *s, relay_hub *hub, void *user) {
    *s = (relay_session){.hub = hub, .user = user, .phase_by = TIME_NEVER};
    ws_decoder_init(&s->decoder, true, RELAY_MESSAGE_MAX);
    relay_queue_init(&s->queue, &hub->blocks);
    relay_pinger_init(&s->ping);
    list_init(&s->ready_link);
    list_init(&s->blocked_link);
}

// The other ends have counters of their own.
static bool is_failure(int error) {
    return error != 0 && error != IROH_ERR_CLOSED && error != IROH_ERR_TIMEOUT && error != IROH_ERR_REFUSED;
}

static int end(relay_session *s, int error) {
    if (s->state == RELAY_SESSION_ENDED)
        return s->error;
    if (s->state == RELAY_SESSION_OPEN)
        s->hub->counters.disconnects++;
    s->hub->counters.failed += is_failure(error);
    s->state = RELAY_SESSION_ENDED;
    s->error = error;
    s->phase_by = TIME_NEVER;
    hub_leave(s->hub, s);
    heap_remove(&s->hub->timers, &s->timer);
    list_remove(&s->blocked_link);
    ws_decoder_dispose(&s->decoder);
    hub_want(s->hub, s, RELAY_WANTS_END);
    return error;
}

void relay_session_close(relay_session *s, uint64_t now) {
    (void)now;
    (void)end(s, IROH_ERR_CLOSED);
    list_remove(&s->ready_link);
    s->wants = 0;
    relay_queue_clear(&s->queue);
}

void relay_session_eof(relay_session *s, uint64_t now) {
    (void)now;
    (void)end(s, 0);
}

void relay_session_shutdown(relay_session *s, uint32_t reconnect_in, uint32_t try_for, uint64_t now) {
    (void)now;
    const relay_frame notice = {.type = RELAY_RESTARTING, .reconnect_in = reconnect_in, .try_for = try_for};
    if (s->state == RELAY_SESSION_OPEN && (reconnect_in != 0 || try_for != 0))
        (void)notify(s, &notice);
    (void)end(s, IROH_ERR_CLOSED);
}

// --- Time

static uint64_t ping_interval(const relay_session *s) {
    return (PING_MIN_S + entropy_below(s->hub->config.random, PING_MAX_S - PING_MIN_S + 1)) * NS_PER_S;
}

static uint64_t ping_due(const relay_session *s) {
    return time_add(time_max(s->heard, s->ping.sent), s->ping_after);
}

// A client that is not read cannot be blamed for a pong that is not there: it waits behind its own data. Any other has the
// longest time of the protocol, whatever its round trip was: a moment in which this machine or the client's stands still
// must not cost thousands of clients their connections at once.
static uint64_t pong_due(const relay_session *s) {
    bool excused = s->throttled || (s->limit_told && s->heard > s->ping.sent);
    return excused || !s->ping.waiting ? TIME_NEVER : time_add(s->ping.sent, RELAY_PONG_MAX);
}

static uint64_t next_deadline(const relay_session *s) {
    uint64_t at = s->phase_by;
    if (s->throttled)
        at = time_min(at, s->read_at);
    if (s->state == RELAY_SESSION_OPEN)
        at = time_min(at, time_min(ping_due(s), pong_due(s)));
    return at;
}

// Frames that arrive only postpone deadlines, so they leave the timer alone: it goes off and is set anew then.
static int set_timer(relay_session *s) {
    return heap_set(&s->hub->timers, &s->timer, next_deadline(s));
}

static void send_ping(relay_session *s, uint64_t now) {
    relay_pinger_sent(&s->ping, s->hub->config.random, now);
    s->ping_after = ping_interval(s);
    const relay_frame frame = {.type = RELAY_PING_FRAME, .data = s->ping.data, .len = RELAY_PING};
    (void)notify(s, &frame);
}

void session_timer(relay_session *s, uint64_t now) {
    if (s->throttled && s->read_at <= now) {
        s->throttled = false;
        hub_want(s->hub, s, RELAY_WANTS_READ);
    }
    if (s->phase_by <= now || (s->state == RELAY_SESSION_OPEN && pong_due(s) <= now)) {
        s->hub->counters.timed_out++;
        (void)end(s, IROH_ERR_TIMEOUT);
        return;
    }
    if (s->state == RELAY_SESSION_OPEN && ping_due(s) <= now)
        send_ping(s, now);
    (void)set_timer(s);  // it is in the heap, which cannot fail then
}

void session_too_slow(relay_session *s) {
    s->hub->counters.slow++;
    (void)end(s, IROH_ERR_TIMEOUT);
}

void relay_session_wrote(relay_session *s, bool all, bool progress, uint64_t now) {
    if (!all && !progress && list_linked(&s->blocked_link))
        return;
    list_remove(&s->blocked_link);
    if (all || s->state == RELAY_SESSION_ENDED)
        return;
    s->progress = now;
    list_push_back(&s->hub->blocked, &s->blocked_link);
}

// --- Authentication and access

static int ask_access(relay_session *s, const uint8_t *id, uint64_t now) {
    memcpy(s->id, id, RELAY_ID);
    s->state = RELAY_SESSION_DECIDING;
    s->phase_by = time_add(now, RELAY_ACCESS_TIMEOUT);
    hub_want(s->hub, s, RELAY_WANTS_ACCESS);
    return 0;
}

static int challenge(relay_session *s) {
    entropy_fill(s->hub->config.random, s->challenge, sizeof s->challenge);
    const relay_frame frame = {.type = RELAY_SERVER_CHALLENGE, .data = s->challenge, .len = sizeof s->challenge};
    s->state = RELAY_SESSION_CHALLENGED;
    return notify(s, &frame) ? 0 : IROH_ERR_NOMEM;
}

int relay_session_start(relay_session *s, int version, const uint8_t *proven, uint64_t now) {
    s->version = (uint8_t)version;
    s->phase_by = time_add(now, RELAY_HANDSHAKE_TIMEOUT);
    s->limit_epoch = s->hub->limit_epoch - 1;
    int r = proven != NULL ? ask_access(s, proven, now) : challenge(s);
    if (r == 0)
        r = set_timer(s);
    return r == 0 ? 0 : end(s, r);
}

void relay_session_deny(relay_session *s, const char *reason, uint64_t now) {
    (void)now;
    if (s->state != RELAY_SESSION_DECIDING)
        return;
    const char *text = reason != NULL ? reason : RELAY_DENIED;
    size_t len = utf8_cut(text, strlen(text), REASON_MAX);
    const relay_frame frame = {.type = RELAY_SERVER_DENIES, .data = (const uint8_t *)text, .len = len};
    (void)notify(s, &frame);
    s->hub->counters.denied++;
    (void)end(s, IROH_ERR_REFUSED);
}

void relay_session_allow(relay_session *s, uint64_t now) {
    if (s->state != RELAY_SESSION_DECIDING)
        return;
    const relay_frame frame = {.type = RELAY_SERVER_CONFIRMS};
    int r = notify(s, &frame) ? hub_join(s->hub, s) : IROH_ERR_NOMEM;
    if (r != 0) {
        (void)end(s, r);
        return;
    }
    memset(&s->to, 0, sizeof s->to);
    s->state = RELAY_SESSION_OPEN;
    s->phase_by = TIME_NEVER;
    s->heard = now;
    s->ping_after = ping_interval(s);
    s->hub->counters.accepts++;
    (void)set_timer(s);
}

static int on_handshake(relay_session *s, const relay_frame *f, uint64_t now) {
    static const char invalid[] = "signature invalid";
    if (!relay_frame_id_valid(f))
        return IROH_ERR_KEY;
    if (relay_challenge_verify(f->id, s->challenge, f->data))
        return ask_access(s, f->id, now);
    const relay_frame denial = {
        .type = RELAY_SERVER_DENIES, .data = (const uint8_t *)invalid, .len = sizeof invalid - 1};
    (void)notify(s, &denial);
    s->hub->counters.denied++;
    return IROH_ERR_SIGNATURE;
}

// --- Forwarding

// Where datagrams for `id` go; null: nowhere. A client sends many in a row to the same id.
static relay_route *route_to(relay_session *s, const uint8_t *id) {
    relay_routes *routes = &s->hub->routes;
    if (s->to.route != NULL && s->to.generation == routes->generation && memcmp(s->to.route->id, id, RELAY_ID) == 0)
        return s->to.route;
    s->to.route = relay_routes_find(routes, id);
    s->to.generation = routes->generation;
    s->to.counted = false;
    return s->to.route;
}

// From the read buffer into the queue of the receiver: the message is made in place, where the client's was. Whatever
// cannot be passed on is dropped, and is nobody's fault.
static void forward(relay_session *s, const ws_message *m, const relay_frame *f) {
    relay_counters *counters = &s->hub->counters;
    uint8_t *frame;
    counters->send_packets_recv++;
    counters->bytes_recv += f->len;
    relay_route *route = route_to(s, f->id);
    size_t len = route != NULL ? relay_frame_forward(m->data, m->len, f, s->id, &frame) : 0;
    if (len > 0) {
        uint8_t *start = ws_prepend_header(frame, len, WS_BINARY);
        len += (size_t)(frame - start);
        frame = start;
    }
    if (len == 0 || !hub_pass(s->hub, route, true, frame, len)) {
        counters->send_packets_dropped++;
        return;
    }
    counters->send_packets_sent++;
    counters->bytes_sent += f->len;
    if (!s->to.counted) {
        (void)relay_peers_add(&s->route->peers, route->id);
        s->to.counted = true;
    }
}

// --- Receiving

static int on_frame(relay_session *s, const ws_message *m, uint64_t now) {
    relay_frame f;
    uint8_t phase = s->state == RELAY_SESSION_OPEN ? RELAY_IN_SESSION : RELAY_IN_HANDSHAKE;
    int r = relay_frame_decode(m->data, m->len, RELAY_BY_CLIENT, s->version, phase, &f);
    if (r != 0)
        return r;
    if (s->state == RELAY_SESSION_CHALLENGED)
        return on_handshake(s, &f, now);
    if (s->state != RELAY_SESSION_OPEN)
        return IROH_ERR_PROTOCOL;
    s->heard = now;
    switch (f.type) {
    case RELAY_PING_FRAME:
        s->hub->counters.got_ping++;
        f.type = RELAY_PONG_FRAME;
        s->hub->counters.sent_pong += notify(s, &f);
        break;
    case RELAY_PONG_FRAME:
        (void)relay_pinger_pong(&s->ping, f.data, now);
        break;
    default:
        forward(s, m, &f);
        break;
    }
    return 0;
}

static int on_close(relay_session *s, const ws_message *m) {
    if (ws_close_code(m) < 0)
        return IROH_ERR_PROTOCOL;
    send_control(s, WS_CLOSE, m->data, m->len >= 2 ? 2 : 0);
    return end(s, 0);
}

static int on_message(relay_session *s, const ws_message *m, uint64_t now) {
    switch (m->opcode) {
    case WS_BINARY:
        return on_frame(s, m, now);
    case WS_PING:
        send_control(s, WS_PONG, m->data, m->len);
        return 0;
    case WS_CLOSE:
        return on_close(s, m);
    default:  // text, which says nothing here, and pongs that nobody asked for
        return 0;
    }
}

// New limits of the hub start with a full bucket.
static void follow_limits(relay_session *s, uint64_t now) {
    const relay_hub_config *c = &s->hub->config;
    uint32_t burst = c->rx_burst != 0 ? c->rx_burst : c->rx_rate / BURST_SHARE;
    if (s->limit_epoch == s->hub->limit_epoch)
        return;
    s->limit_epoch = s->hub->limit_epoch;
    bucket_init(&s->limit, c->rx_rate, burst != 0 ? burst : 1, now);
}

// What was read is handled, and if it was too much the next read waits until it is paid for.
static void charge(relay_session *s, size_t len, uint64_t now) {
    follow_limits(s, now);
    if (s->hub->config.rx_rate == 0)
        return;
    bucket_charge(&s->limit, len, now);
    if (s->limit.level > 0)
        return;
    s->read_at = bucket_ready_at(&s->limit, 1);
    s->throttled = true;
    s->hub->counters.bytes_rx_ratelimited += len;
    if (!s->limit_told && s->state == RELAY_SESSION_OPEN) {
        s->limit_told = true;
        s->hub->counters.conns_rx_ratelimited++;
        send_status(s, RELAY_STATUS_RATE_LIMITED);
    }
    (void)set_timer(s);
}

int relay_session_receive(relay_session *s, uint8_t *bytes, size_t len, uint64_t now) {
    ws_message m;
    int r = 1;
    if (s->state == RELAY_SESSION_NEW)
        return IROH_ERR_ARG;
    if (s->state != RELAY_SESSION_ENDED)
        charge(s, len, now);
    while (r > 0 && s->state != RELAY_SESSION_ENDED) {
        r = ws_decode(&s->decoder, &bytes, &len, &m);
        int handled = r > 0 ? on_message(s, &m, now) : r;
        if (handled < 0)
            (void)end(s, handled);
    }
    if (s->state != RELAY_SESSION_ENDED)
        return 0;
    return s->error != 0 ? s->error : IROH_ERR_CLOSED;
}

bool relay_session_reads(const relay_session *s) {
    return s->state != RELAY_SESSION_ENDED && !s->throttled;
}
