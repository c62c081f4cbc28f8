// A server, a peer that goes wrong, and a bystander. The input is a script: it forges packets with the right keys, so
// that their frames reach the connections on both sides; it damages, cuts, repeats and holds back datagrams; it opens
// connections with transport parameters of its own; it makes time pass.
//
// Whatever it does: nothing crashes, the books of every connection stay right (sim_check), memory stays bounded, the
// bystander's transfer arrives whole, and so does one on a connection that it opens afterwards.
#include "connection_script.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "quic/endpoint_state.h"
#include "quic/qlog.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
// Of the sanitizers; without them memory is not measured.
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

#define STEPS_MAX 100                   // of a script
#define MEMORY_MAX (24 << 20)           // bytes that both sides may hold at most: windows of all streams, and buffers
#define BYSTANDER_TIME (60 * NS_PER_S)  // virtual: for its transfers, which take less than one

// Second byte of the input.
enum {
    OPTION_HASTY = 1,  // the script begins before the handshakes are done
    OPTION_CONGESTION_SHIFT = 1,
    OPTION_RETRY = 8,  // the server wants a token of everybody
    OPTION_DIARY = 16,
};

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

void script_run(script *s, uint64_t ns) {
    (void)sim_run(&s->w, never, ns);
    check(s);
}

quic_conn *script_dial(script *s, bool early) {
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
    (void)script_dial(s, false);
    check(s);
}

// --- A run

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static script s;
    s = (script){.in = reader_of(data, size)};
    if (__sanitizer_get_current_allocated_bytes != NULL)
        s.memory = __sanitizer_get_current_allocated_bytes();
    uint8_t seed = reader_u8(&s.in), options = reader_u8(&s.in);
    build(&s, seed, options);
    if ((options & OPTION_HASTY) == 0)
        script_run(&s, 100 * NS_PER_MS);
    for (size_t i = 0; i < STEPS_MAX && reader_left(&s.in) > 0; i++)
        script_step(&s);

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
