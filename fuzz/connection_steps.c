// What a script of connection_fuzz.c can do: forge packets, damage datagrams, open connections, use them as applications do,
// change addresses and links, make time pass.
#include "connection_script.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "quic/endpoint_state.h"
#include "require.h"
#include "sim/forge.h"

#define DIALS_MAX 8                                     // connections that a script may make besides the first
#define FORGED_MAX (FORGE_PACKET_MAX - FORGE_OVERHEAD)  // bytes of frames in a forged packet
#define RUN_BITS 15                                     // time passes in steps of up to 2^14 ms
#define SESSION_LIFE 3                                  // place in a session of what tells the lives of a server apart

// --- Forged packets

static bool is_bystander(const script *s, const quic_conn *c) {
    return addr_equal(&c->path->remote, &s->w.nodes[BYSTANDER].address);
}

// The connections that the script may touch: the server's and the peer's own. Null when there is none.
static quic_conn *victim(script *s, uint8_t which) {
    quic_conn *found[16];
    size_t count = 0;
    for (size_t i = 0; i <= PEER; i++) {
        list_link *head = &s->w.nodes[i].ep->conns;
        for (list_link *l = head->next; l != head && count < sizeof found / sizeof found[0]; l = l->next) {
            quic_conn *c = list_entry(l, quic_conn, all_link);
            if (c->state != CONN_DEAD && !is_bystander(s, c))
                found[count++] = c;
        }
    }
    return count > 0 ? found[which % count] : NULL;
}

static size_t node_of(const script *s, const quic_conn *c) {
    return c->ep == s->w.nodes[SERVER].ep ? SERVER : PEER;
}

// Where packets to this connection come from.
static size_t sender_of(const script *s, const quic_conn *c) {
    if (node_of(s, c) == PEER)
        return SERVER;
    return addr_same_host(&c->path->remote, &s->w.nodes[STRANGER].address) ? STRANGER : PEER;
}

enum { FLAG_LEVEL = 3, FLAG_NEXT_PHASE = 4, FLAG_STRANGER = 8, PATH_SHIFT = 4 };

// Flags choose level, key phase, source and path.
static void forge(script *s, const quic_conn *c, uint8_t flags, uint8_t ahead, const uint8_t *frames, size_t len) {
    uint8_t packet[FORGE_PACKET_MAX];
    const forge_options o = {
        .level = (forge_level)(flags & FLAG_LEVEL),
        .next_phase = (flags & FLAG_NEXT_PHASE) != 0,
        .path = flags >> PATH_SHIFT,
        .ahead = ahead,
    };
    size_t n = forge_packet(c, &o, frames, len, packet);
    bool elsewhere = (flags & FLAG_STRANGER) != 0 && node_of(s, c) == SERVER;
    if (n > 0)
        sim_inject(&s->w, elsewhere ? STRANGER : sender_of(s, c), node_of(s, c), packet, n);
    script_run(s, NS_PER_MS);
}

// --- Connections with parameters of the script's own

static quic_conn *newest(script *s) {
    list_link *l = s->w.nodes[SERVER].ep->conns.prev;
    return l == &s->w.nodes[SERVER].ep->conns ? NULL : list_entry(l, quic_conn, all_link);
}

static size_t take_block(script *s, size_t max, const uint8_t **out) {
    size_t len = reader_u16(&s->in);
    len = len < reader_left(&s->in) ? len : reader_left(&s->in);
    *out = reader_bytes(&s->in, len);
    return len < max ? len : max;
}

static void step_hello(script *s) {
    uint8_t packet[FORGE_PACKET_MAX];
    size_t len = reader_u8(&s->in);
    len = len < reader_left(&s->in) ? len : reader_left(&s->in);
    size_t n = forge_hello(s->hellos++, reader_bytes(&s->in, len), len, packet);
    require(n > 0);
    sim_inject(&s->w, STRANGER, SERVER, packet, n);
    script_run(s, NS_PER_MS);
    // The end of the handshake, and whatever else the script puts into that packet.
    const uint8_t *more;
    size_t more_len = take_block(s, FORGED_MAX - FORGE_FINISH, &more);
    quic_conn *c = newest(s);
    if (c == NULL || c->state != CONN_HANDSHAKING || is_bystander(s, c))
        return;
    uint8_t end[FORGED_MAX];
    forge_finish(end);
    if (more_len > 0)
        memcpy(end + FORGE_FINISH, more, more_len);
    forge(s, c, FORGE_HANDSHAKE, 0, end, FORGE_FINISH + more_len);
}

// --- Steps

static void step_run(script *s) {
    script_run(s, NS_PER_MS << reader_u8(&s->in) % RUN_BITS);
}

static void step_forge(script *s) {
    uint8_t which = reader_u8(&s->in), flags = reader_u8(&s->in), ahead = reader_u8(&s->in);
    const uint8_t *frames;
    size_t len = take_block(s, FORGED_MAX, &frames);
    quic_conn *c = victim(s, which);
    if (c == NULL)
        return;
    forge(s, c, flags, ahead, frames, len);
}

static void step_raw(script *s) {
    uint8_t flags = reader_u8(&s->in);
    const uint8_t *bytes;
    size_t len = take_block(s, QUIC_MAX_UDP_PAYLOAD, &bytes);
    if (len == 0)
        return;
    size_t to = (flags & 1) != 0 ? PEER : SERVER;
    sim_inject(&s->w, (flags & 2) != 0 ? STRANGER : to == SERVER ? PEER : SERVER, to, bytes, len);
    script_run(s, NS_PER_MS);
}

static void use_stream(quic_conn *c, bool bidi, uint8_t action, size_t len) {
    static const uint8_t bytes[4096] = {1};
    quic_stream *st;
    if (quic_streams_open(quic_conn_streams(c), bidi, &st) != 0)
        return;
    (void)quic_stream_write(st, bytes, len % sizeof bytes);
    if (action == 1)
        (void)quic_stream_reset(st, len);
    else if (action == 2 && bidi)
        (void)quic_stream_stop(st, len);
    quic_stream_release(st);
}

// What the application of either side may do at any time. What it causes to be sent waits for the next step, which may
// be one that damages it.
static void step_use(script *s) {
    static const uint8_t bytes[256] = {2};
    quic_conn *c = victim(s, reader_u8(&s->in));
    uint8_t action = reader_u8(&s->in) % 10;
    size_t len = reader_u16(&s->in);
    if (c == NULL || c->released || c->state >= CONN_CLOSING)
        return;
    if (action < 6)
        use_stream(c, action % 2 != 0, action / 2, len);
    else if (action == 6)
        (void)quic_conn_datagram_send(c, bytes, len % sizeof bytes, len % 2 != 0);
    else if (action == 7)
        (void)quic_conn_update_keys(c, s->w.now);
    else if (action == 8)
        quic_conn_set_max_streams(c, len % 2 != 0, len);
    else
        quic_conn_close(c, len, bytes, len % sizeof bytes, s->w.now);
    quic_conn_wake(c);
}

static void decide(script *s, uint8_t decision, quic_incoming *in) {
    addr remote = quic_incoming_remote(in);
    tls_alpn alpns[2];
    quic_conn *c;
    require(quic_incoming_alpns(in, alpns, 2) <= 2);
    if (addr_equal(&remote, &s->w.nodes[BYSTANDER].address) || decision == 0)
        require(quic_incoming_accept(in, s->w.now, &c) == 0);
    else if (decision == 1)
        quic_incoming_refuse(in, s->w.now);
    else if (decision == 2 || quic_incoming_retry(in, s->w.now) != 0)
        quic_incoming_ignore(in);
}

// The server lets everybody wait for a while, and then does the same to all, but lets the bystander in.
static void step_decide(script *s) {
    uint8_t what = reader_u8(&s->in);
    quic_incoming *in;
    s->w.nodes[SERVER].hold = true;
    script_run(s, NS_PER_MS << (what >> 2) % RUN_BITS);
    s->w.nodes[SERVER].hold = false;
    while ((in = quic_endpoint_next_incoming(s->w.nodes[SERVER].ep)) != NULL)
        decide(s, what & 3, in);
}

// Another connection of the peer, resumed if it can be, with 0-RTT data if it may, which a server that has begun a new
// life rejects.
static void step_dial(script *s) {
    uint8_t flags = reader_u8(&s->in);
    if (s->dials == DIALS_MAX)
        return;
    s->dials++;
    if ((flags & 16) != 0 && s->session_len > SESSION_LIFE)
        s->session[SESSION_LIFE] ^= 1;
    quic_conn *c = script_dial(s, (flags & 1) != 0);
    if (quic_conn_can_send_early(c))
        use_stream(c, (flags & 2) != 0, flags >> 2 & 3, 1000);
    quic_conn_wake(c);
}

enum { CONTROL_RETRY = 0, CONTROL_VERSIONS = 1, CONTROL_RESET = 2 };

// What has no keys of a connection: Retry, Version Negotiation, stateless reset.
static void step_control(script *s) {
    uint8_t which = reader_u8(&s->in), kind = reader_u8(&s->in) % 3;
    uint8_t packet[FORGE_PACKET_MAX];
    const uint8_t *bytes;
    size_t len = take_block(s, FORGED_MAX, &bytes);
    const quic_conn *c = victim(s, which);
    if (c == NULL)
        return;
    size_t n = kind == CONTROL_RETRY      ? forge_retry(c, bytes, len, packet)
               : kind == CONTROL_VERSIONS ? forge_version_negotiation(c, bytes, len, packet)
                                          : forge_reset(c, bytes, len, packet);
    if (n > 0)
        sim_inject(&s->w, sender_of(s, c), node_of(s, c), packet, n);
    script_run(s, NS_PER_MS);
}

static bool keep_some(void *user, const addr *local, const addr *remote) {
    (void)local;
    return (remote->port & 1) == (*(const uint8_t *)user & 1);
}

// Paths and candidate addresses: those of the nodes, of which the stranger's answers nothing.
static void step_paths(script *s) {
    quic_conn *c = victim(s, reader_u8(&s->in));
    uint8_t action = reader_u8(&s->in) % 8, value = reader_u8(&s->in);
    if (c == NULL || c->released || c->state >= CONN_CLOSING)
        return;
    addr address = s->w.nodes[value % 4].address;
    address.port = (uint16_t)(address.port + (value >> 4));
    uint32_t id;
    if (action == 0)
        (void)quic_conn_open_path(c, &address, &(addr){0}, (quic_path_status)(value >> 7), s->w.now, &id);
    else if (action == 1)
        (void)quic_conn_close_path(c, value % 8, PATH_CODE_APPLICATION, s->w.now);
    else if (action == 2)
        (void)quic_conn_set_path_status(c, value % 8, (quic_path_status)(value >> 7));
    else if (action == 3)
        (void)quic_conn_set_path_timeouts(c, value % 8, value * NS_PER_MS, 0, s->w.now);
    else if (action == 4)
        (void)quic_conn_add_candidate(c, &address);
    else if (action == 5)
        (void)quic_conn_remove_candidate(c, &address);
    else if (action == 6)
        (void)quic_conn_start_round(c, s->w.now);
    else
        quic_conn_network_changed(c, value < 128 ? keep_some : NULL, &value, s->w.now);
    quic_conn_wake(c);
}

// One datagram on its way to `to`, changed.
static void damage(script *s, size_t from, size_t to, const uint8_t *bytes, size_t len, uint8_t kind, size_t at) {
    uint8_t copy[2100];
    if (len == 0 || len > 2000)
        return;
    memcpy(copy, bytes, len);
    if (kind == 0) {
        copy[at / 8 % len] ^= (uint8_t)(1U << at % 8);
    } else if (kind == 1) {
        len = 1 + at % len;
    } else if (kind == 2) {
        memset(copy + len, (int)at, 100);
        len += 100;
    } else if (kind == 3) {
        sim_inject(&s->w, from, to, bytes, len);
    } else {
        return;  // lost
    }
    sim_inject(&s->w, from, to, copy, len);
}

static void step_damage(script *s) {
    static uint8_t room[65536];
    uint8_t side = reader_u8(&s->in), kind = reader_u8(&s->in) % 5;
    size_t at = reader_u16(&s->in), from = (side & 1) != 0 ? PEER : SERVER;
    quic_transmit t;
    while (quic_endpoint_transmit(s->w.nodes[from].ep, s->w.now, room, sizeof room, 8, &t)) {
        bool calm = addr_equal(&t.remote, &s->w.nodes[BYSTANDER].address);
        bool known = addr_equal(&t.remote, &s->w.nodes[from == PEER ? SERVER : PEER].address);
        for (size_t i = 0; i < t.len; i += t.segment) {
            size_t len = t.len - i < t.segment ? t.len - i : t.segment;
            if (calm)
                sim_inject(&s->w, from, BYSTANDER, room + i, len);
            else if (known)
                damage(s, from, from == PEER ? SERVER : PEER, room + i, len, kind, at);
        }
    }
    script_run(s, NS_PER_MS);
}

// The line between server and peer from now on; a loss of 255 silences it.
static void step_link(script *s) {
    uint8_t loss = reader_u8(&s->in);
    sim_link l = {.delay = 5 * NS_PER_MS, .loss = loss == 255 ? 10000 : loss * 20U};
    l.reorder = reader_u8(&s->in) * 20U;
    l.duplicate = reader_u8(&s->in) * 20U;
    l.corrupt = reader_u8(&s->in) * 20U;
    sim_set_link(&s->w, SERVER, PEER, &l);
}

static void step_rebind(script *s) {
    sim_rebind(&s->w.nodes[PEER], (uint16_t)(1001 + reader_u8(&s->in)));
}

static void (*const steps[])(script *) = {step_run,   step_forge,  step_raw,  step_use,     step_damage, step_link,
                                          step_hello, step_rebind, step_dial, step_control, step_paths,  step_decide};

void script_step(script *s) {
    steps[reader_u8(&s->in) % (sizeof steps / sizeof steps[0])](s);
}
