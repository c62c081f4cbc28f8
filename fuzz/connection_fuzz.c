// A server, a peer that goes wrong, and a bystander. The input is a script: it forges packets with the right keys, so
// that their frames reach the connections on both sides; it damages, cuts, repeats and holds back datagrams; it opens
// connections with transport parameters of its own; it makes time pass.
//
// Whatever it does: nothing crashes, the books of every connection stay right (sim_check), memory stays bounded, the
// bystander's transfer arrives whole, and so does one on a connection that it opens afterwards.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "quic/endpoint_state.h"
#include "quic/qlog.h"
#include "require.h"
#include "sim/forge.h"
#include "sim/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
// Of the sanitizers; without them memory is not measured.
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

enum { SERVER = 0, PEER = 1, BYSTANDER = 2, STRANGER = 3 };

#define DIALS_MAX 8                                     // connections that a script may make besides the first
#define STEPS_MAX 100                                   // of a script
#define FORGED_MAX (FORGE_PACKET_MAX - FORGE_OVERHEAD)  // bytes of frames in a forged packet
#define RUN_BITS 15                                     // time passes in steps of up to 2^14 ms
#define MEMORY_MAX (24 << 20)           // bytes that both sides may hold at most: windows of all streams, and buffers
#define BYSTANDER_TIME (60 * NS_PER_S)  // virtual: for its transfers, which take less than one
#define SESSION_LIFE 3                  // place in a session of what tells the lives of a server apart

// Second byte of the input.
enum {
    OPTION_HASTY = 1,  // the script begins before the handshakes are done
    OPTION_CONGESTION_SHIFT = 1,
    OPTION_RETRY = 8,  // the server wants a token of everybody
    OPTION_DIARY = 16,
};

typedef struct script {
    sim_world w;
    reader in;
    sim_transfer calm, later;
    void (*echo)(sim_node *n, quic_conn *c, uint32_t events);
    uint64_t hellos, dials;
    uint8_t *session;  // newest of the peer's connections
    size_t session_len;
    uint8_t *token;  // newest, likewise
    size_t token_len;
    size_t memory;  // allocated before it began
} script;

// --- The peer's and the server's application

static void drain_stream(quic_stream *st) {
    uint8_t bytes[4096];
    int n = 1;
    while (n > 0)
        n = st->has_recv ? quic_stream_read(st, bytes, sizeof bytes) : 0;
    if (n == IROH_ERR_AGAIN)
        return;
    if (st->has_send)
        (void)quic_stream_write(st, bytes, sizeof bytes / 4);
    quic_stream_release(st);
}

static void keep_session(script *s, quic_conn *c) {
    size_t len;
    uint8_t *session = quic_conn_take_session(c, &len);
    if (session == NULL)
        return;
    free(s->session);
    s->session = session;
    s->session_len = len;
}

static void keep_token(script *s, quic_conn *c) {
    size_t len;
    uint8_t *token = quic_conn_take_token(c, &len);
    if (token == NULL)
        return;
    free(s->token);
    s->token = token;
    s->token_len = len;
}

static void look(const quic_conn *c) {
    quic_path_info paths[CONN_PATHS_MAX];
    quic_conn_stats stats;
    addr candidates[UINT8_MAX];
    require(quic_conn_paths(c, paths, CONN_PATHS_MAX) <= CONN_PATHS_MAX);
    require(quic_conn_candidates(c, candidates, UINT8_MAX) <= UINT8_MAX);
    quic_conn_stats_get(c, &stats);
}

// Reads everything, answers a little, keeps nothing.
static void careless_event(sim_node *n, quic_conn *c, uint32_t events) {
    quic_streams *s = quic_conn_streams(c);
    quic_stream *st;
    uint8_t what, bytes[2000];
    if ((events & CONN_CLOSED) != 0) {
        quic_conn_release(c, n->world->now);
        return;
    }
    while ((st = quic_streams_accept(s, true)) != NULL || (st = quic_streams_accept(s, false)) != NULL)
        drain_stream(st);
    while ((st = quic_streams_next_event(s, &what)) != NULL)
        drain_stream(st);
    quic_path_event event;
    while (quic_conn_next_path_event(c, &event)) {}
    while (quic_conn_datagram_read(c, bytes, sizeof bytes) >= 0)
        (void)quic_conn_datagram_send(c, bytes, 8, true);
    if ((events & CONN_SESSION) != 0)
        keep_session(n->app, c);
    if ((events & CONN_TOKEN) != 0)
        keep_token(n->app, c);
    if ((events & CONN_PATH) != 0)
        look(c);
    quic_conn_wake(c);
}

static void server_event(sim_node *n, quic_conn *c, uint32_t events) {
    const script *s = n->app;
    addr remote = quic_conn_remote(c);
    if (addr_equal(&remote, &n->world->nodes[BYSTANDER].address))
        s->echo(n, c, events);
    else
        careless_event(n, c, events);
}

// --- The world

static bool never(sim_world *w) {
    (void)w;
    return false;
}

static bool calm_done(sim_world *w) {
    return sim_transfer_done(&((const script *)w->nodes[BYSTANDER].app)->calm);
}

static bool later_done(sim_world *w) {
    return sim_transfer_done(&((const script *)w->nodes[BYSTANDER].app)->later);
}

static void check(script *s) {
    if (s->w.failure[0] != '\0')
        (void)fprintf(stderr, "%s\n", s->w.failure);
    require(s->w.failure[0] == '\0');
    if (__sanitizer_get_current_allocated_bytes != NULL)
        require(__sanitizer_get_current_allocated_bytes() < s->memory + MEMORY_MAX);
}

static void run(script *s, uint64_t ns) {
    (void)sim_run(&s->w, never, ns);
    check(s);
}

static quic_conn *dial(script *s, bool early) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"sim", .len = 3};
    const quic_connect_config connect = {
        .remotes = &s->w.nodes[SERVER].address,
        .remote_count = 1,
        .peer_key = sim_key(&s->w.nodes[SERVER]),
        .alpns = &alpn,
        .alpn_count = 1,
        .session = s->session,
        .session_len = s->session_len,
        .early = early,
        .token = s->token,
        .token_len = s->token_len,
    };
    quic_conn *c;
    require(quic_endpoint_connect(s->w.nodes[PEER].ep, &connect, s->w.now, &c) == 0);
    return c;
}

static void ignore_text(void *user, const char *text, size_t len) {
    (void)user;
    require(memchr(text, '\0', len) == NULL);
}

static quic_qlog *open_diary(void *user, quic_role role, const quic_cid *odcid) {
    static const quic_qlog_sink sink = {.write = ignore_text};
    (void)user;
    return quic_qlog_new(role, odcid, &sink);
}

static void build(script *s, uint8_t seed, uint8_t options) {
    static const quic_cc_ops *const congestion[] = {&quic_cc_cubic, &quic_cc_bbr3, &quic_cc_newreno, &quic_cc_bbr3};
    const sim_link line = {.delay = 5 * NS_PER_MS}, slow = {.delay = 5 * NS_PER_MS, .rate = 200000};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    config.transport.send_observed = config.transport.receive_observed = true;
    config.transport.congestion = congestion[options >> OPTION_CONGESTION_SHIFT & 3];
    if ((options & OPTION_DIARY) != 0)
        config.qlog = open_diary;
    sim_world_init(&s->w, seed);
    for (size_t i = 0; i <= STRANGER; i++)
        sim_add_node(&s->w, &config)->app = s;
    for (size_t i = 0; i <= STRANGER; i++)
        sim_set_link(&s->w, SERVER, i, i == BYSTANDER ? &slow : &line);
    sim_echo_server(&s->w.nodes[SERVER]);
    s->echo = s->w.nodes[SERVER].on_event;
    s->w.nodes[SERVER].on_event = server_event;
    s->w.nodes[SERVER].retry = (options & OPTION_RETRY) != 0;
    s->w.nodes[PEER].on_event = careless_event;
    s->w.nodes[STRANGER].on_event = careless_event;
    sim_transfer_start(&s->calm, &s->w.nodes[BYSTANDER], &s->w.nodes[SERVER], 3, 30000, NULL, 0, false);
    (void)dial(s, false);
    check(s);
}

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
    run(s, NS_PER_MS);
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
    run(s, NS_PER_MS);
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
    run(s, NS_PER_MS << reader_u8(&s->in) % RUN_BITS);
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
    run(s, NS_PER_MS);
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
    run(s, NS_PER_MS << (what >> 2) % RUN_BITS);
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
    quic_conn *c = dial(s, (flags & 1) != 0);
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
    run(s, NS_PER_MS);
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
    run(s, NS_PER_MS);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static script s;
    s = (script){.in = reader_of(data, size)};
    if (__sanitizer_get_current_allocated_bytes != NULL)
        s.memory = __sanitizer_get_current_allocated_bytes();
    uint8_t seed = reader_u8(&s.in), options = reader_u8(&s.in);
    build(&s, seed, options);
    if ((options & OPTION_HASTY) == 0)
        run(&s, 100 * NS_PER_MS);
    for (size_t i = 0; i < STEPS_MAX && reader_left(&s.in) > 0; i++)
        steps[reader_u8(&s.in) % (sizeof steps / sizeof steps[0])](&s);

    bool done = sim_run(&s.w, calm_done, BYSTANDER_TIME);
    check(&s);
    require(done && !s.calm.closed);
    sim_transfer_start(&s.later, &s.w.nodes[BYSTANDER], &s.w.nodes[SERVER], 1, 5000, NULL, 0, false);
    done = sim_run(&s.w, later_done, BYSTANDER_TIME);
    check(&s);
    require(done && !s.later.closed && !s.calm.closed);
    sim_world_dispose(&s.w);
    free(s.session);
    free(s.token);
    sim_transfer_dispose(&s.calm);
    sim_transfer_dispose(&s.later);
    return 0;
}
