// The connections of a relay server, over real sockets but in virtual time: the input is a script of what a few peers do
// who come to its doors, plain ones, those with TLS, those for metrics. They send requests, records, frames, stop reading,
// close one side or both; time passes. Whatever they do, the books of the server stay right, what is kept of a peer has
// bounds, and when all have gone nothing is left.
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "crypto/ed25519.h"
#include "localhost.h"
#include "relay/auth.h"
#include "relay_server/state.h"
#include "require.h"
#include "tls/web_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
// Stands for asking a web server; linked instead of callback_ask.
bool __wrap_callback_ask(struct callback *cb, relay_loop *l, uint64_t number, const uint8_t id[static RELAY_ID]);

#define PEERS 4
#define INPUT_MAX 4096
#define FLOOD_FRAMES 4                                  // each millisecond
#define FLOOD_MAX 600                                   // ms of a script in all
#define SOCKET_ROOM 8192                                // bytes that a socket holds for a peer that does not read
#define HTTP_KEPT_MAX (READ_HTTP + 2 * TLS_RECORD_MAX)  // bytes of requests that may wait
#define LATER (NS_PER_S + ESTABLISH_TIMEOUT + LINGER_TIMEOUT)  // when all is over with those who have gone

enum { COME, GO, BYTES, TEXT, FRAME, PROVE, READ, SHUT, TIME, HANDSHAKE, RECORD, FLOOD, OPERATIONS };

typedef struct peer {
    int fd;           // -1: none
    uint64_t number;  // of its connection
    bool sealing;     // `record` is
    tls_record record;
} peer;

typedef struct world {
    iroh_relay server;
    relay_loop *loop;
    peer peers[PEERS];
    listener door;
    uint8_t secret[32], id[RELAY_ID];  // of all who prove who they are
    uint64_t now, seed;
    int flooded;  // ms
} world;

static const char *const texts[] = {
    "GET /relay HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: iroh-relay-v2\r\n\r\n",
    "GET /ping HTTP/1.1\r\n\r\n",
    "GET /index.html HTTP/1.1\r\nConnection: close\r\n\r\n",
    "GET /generate_204 HTTP/1.1\r\nX-Iroh-Challenge: abc\r\n\r\n",
    "GET /status.json HTTP/1.1\r\n",
    "POST /healthz HTTP/1.1\r\nContent-Length: 10\r\n\r\n",
    "\r\n\r\n",
    "GET /relay?token=abc HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: iroh-relay-v1\r\nX-Iroh-Relay-Client-Auth-V1: ",
};

static void draw(void *user, void *out, size_t len) {
    world *w = user;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        p[i] = (uint8_t)(w->seed >> 33);
    }
}

// Every other question is one too many.
bool __wrap_callback_ask(struct callback *cb, relay_loop *l, uint64_t number, const uint8_t id[static RELAY_ID]) {
    (void)cb, (void)l, (void)id;
    return number % 2 == 1;
}

// --- The server's turns

static conn *find(const world *w, const peer *p) {
    for (list_link *l = w->loop->conns.next; l != &w->loop->conns; l = l->next) {
        conn *c = list_entry(l, conn, link);
        if (c->number == p->number)
            return c;
    }
    return NULL;
}

static size_t length_of(const list_link *head) {
    size_t n = 0;
    for (const list_link *l = head->next; l != head; l = l->next)
        n++;
    return n;
}

static void check(const world *w) {
    const relay_loop *l = w->loop;
    require(length_of(&l->conns) == l->conn_count && length_of(&l->handshakes) == l->handshake_count);
    require(l->counters[COUNT_HTTP_CONNECTIONS] >= l->counters[COUNT_HTTP_CLOSED]);
    for (const list_link *at = l->conns.next; at != &l->conns; at = at->next) {
        const conn *c = list_entry(at, conn, link);
        require(!c->dead && (c->phase == CONN_RELAY || c->session.route == NULL));
        require(c->http == NULL || c->http->len <= HTTP_KEPT_MAX);
        require(c->tls == NULL || c->tls->carry_len <= TLS_RECORD_MAX);
        require(c->session.queue.bulk.bytes <= RELAY_HUB_BYTES);
    }
}

static void on_time(relay_loop *l, uint64_t now) {
    if (relay_hub_deadline(&l->hub) <= now)
        relay_hub_tick(&l->hub, now);
    for (heap_item *first; (first = heap_first(&l->timers)) != NULL && first->at <= now;)
        conn_timer(heap_entry(first, conn, timer), now);
    conn_tls_rest(l, now);
    rounds_run(l, now);
}

static void turn(world *w) {
    relay_loop *l = w->loop;
    l->now = w->now;
    require(sys_loop_run(l->sys, 0) == 0);
    loop_begin(l);
    on_time(l, w->now);
    loop_do(l);
    for (list_link *link; (link = list_pop_front(&l->dead)) != NULL;)
        free(list_entry(link, conn, link));
    check(w);
}

// --- What peers do

static void come(world *w, peer *p, uint8_t how) {
    static const int serves[] = {SERVES_ALL, SERVES_ALL, SERVES_CAPTIVE, SERVES_METRICS};
    const addr remote = {.kind = ADDR_IP4, .bytes = {127, 0, 0, 1}, .port = 1};
    const int room = SOCKET_ROOM;
    int fds[2];
    if (p->fd >= 0)
        return;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    (void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    w->door = (listener){.loop = w->loop, .fd = -1, .tls = (how & 3) == 1, .serves = serves[how & 3]};
    w->loop->now = w->now;
    conn_accept(&w->door, fds[0], &remote);
    *p = (peer){.fd = fds[1], .number = w->loop->conn_numbers};
}

static void go(peer *p) {
    if (p->fd >= 0)
        (void)close(p->fd);
    if (p->sealing)
        tls_record_dispose(&p->record);
    *p = (peer){.fd = -1};
}

static void put_raw(const peer *p, const uint8_t *bytes, size_t len) {
    (void)send(p->fd, bytes, len, MSG_NOSIGNAL);  // what does not fit is lost
}

static void put_record(peer *p, uint8_t type, const uint8_t *bytes, size_t len) {
    uint8_t room[TLS_RECORD_HEAD + 1024 + TLS_RECORD_TAIL], *start;
    require(len <= 1024);
    if (len > 0)
        memcpy(room + TLS_RECORD_HEAD, bytes, len);
    int n = tls_record_seal(&p->record, type, room + TLS_RECORD_HEAD, len, &start);
    require(n > 0);
    put_raw(p, start, (size_t)n);
}

static void put(peer *p, const uint8_t *bytes, size_t len) {
    if (p->sealing)
        put_record(p, TLS_RECORD_DATA, bytes, len);
    else
        put_raw(p, bytes, len);
}

static void put_frame(peer *p, int opcode, const uint8_t *data, size_t len) {
    static const uint8_t mask[4] = {1, 2, 3, 4};
    uint8_t bytes[WS_HEADER_MAX + 512];
    size_t header = ws_put_header(bytes, opcode, len, mask);
    ws_mask(bytes + header, data, len, mask, 0);
    put(p, bytes, header + len);
}

// The right answer to a challenge.
static void prove(const world *w, peer *p) {
    uint8_t message[128], signature[RELAY_SIGNATURE];
    const conn *c = find(w, p);
    if (c == NULL || c->phase != CONN_RELAY || c->session.state != RELAY_SESSION_CHALLENGED)
        return;
    relay_challenge_sign(w->secret, c->session.challenge, signature);
    const relay_frame f = {.type = RELAY_CLIENT_AUTH, .id = w->id, .data = signature, .len = sizeof signature};
    writer out = writer_of(message, sizeof message);
    relay_frame_encode(&out, &f);
    put_frame(p, WS_BINARY, message, writer_len(&out));
}

// The web server's answer about it, if it has been asked. Its letter comes at the beginning of a turn.
static void give_verdict(const world *w, const peer *p, bool allow) {
    conn *c = conn_find_asked(w->loop, p->number);
    if (c == NULL)
        return;
    w->loop->now = w->now;
    require(c->phase == CONN_RELAY);
    conn_verdict(c, allow);
}

static void start_sealing(peer *p, const aead_suite *suite, const uint8_t *secret) {
    tls_record_secret write = {.seq = 0};
    memcpy(write.secret, secret, sizeof write.secret);
    if (p->sealing)
        tls_record_dispose(&p->record);
    tls_record_init(&p->record, suite, false, &write, &write);
    p->sealing = true;
}

// A client's part of the handshake, which takes its secrets from the server.
static void shake_hands(world *w, peer *p) {
    const conn *c = find(w, p);
    if (c == NULL || c->phase != CONN_HANDSHAKE || p->sealing)
        return;
    put_raw(p, common_hello, sizeof common_hello);
    turn(w);
    c = find(w, p);
    if (c == NULL || c->tls == NULL || c->tls->ready || c->tls->handshake->stage != WEB_FINISHED)
        return;
    const tls_server *own = &c->tls->handshake->own;
    start_sealing(p, own->suite, own->record.read.secret);
    put_record(p, TLS_RECORD_HANDSHAKE, own->expected, 4 + (size_t)own->suite->hash_len);
    turn(w);
    c = find(w, p);
    if (c != NULL && c->tls->ready)
        start_sealing(p, c->tls->record.suite, c->tls->record.read.secret);
}

// Many small datagrams, close one behind the other, for the only id that there is.
static void flood(world *w, peer *p, uint8_t ms) {
    uint8_t message[RELAY_DATAGRAM_HEAD + 1] = {RELAY_TO_RELAY};
    memcpy(message + 1, w->id, RELAY_ID);
    for (int i = 0; i < ms && w->flooded < FLOOD_MAX; i++, w->flooded++) {
        for (int k = 0; k < FLOOD_FRAMES; k++)
            put_frame(p, WS_BINARY, message, sizeof message);
        w->now += NS_PER_MS;
        turn(w);
    }
}

static void read_all(const peer *p) {
    uint8_t bytes[4096];
    while (recv(p->fd, bytes, sizeof bytes, 0) > 0) {}
}

static void act(world *w, peer *p, unsigned operation, uint8_t how, reader *in) {
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (operation == BYTES || operation == FRAME || operation == RECORD) {
        len = how < reader_left(in) ? how : reader_left(in);
        bytes = reader_bytes(in, len);
    }
    if (operation == TIME)
        w->now += how * 100 * NS_PER_MS;
    else if (operation == COME)
        come(w, p, how);
    else if (p->fd < 0)
        return;
    else if (operation == GO)
        go(p);
    else if (operation == BYTES)
        put_raw(p, bytes, len);
    else if (operation == TEXT)
        put(p, (const uint8_t *)texts[how % 8], strlen(texts[how % 8]));
    else if (operation == FRAME && len > 0)
        put_frame(p, bytes[0] & 0x0f, bytes + 1, len - 1);
    else if (operation == PROVE && (how & 1) != 0)
        give_verdict(w, p, (how & 2) != 0);
    else if (operation == PROVE)
        prove(w, p);
    else if (operation == READ)
        read_all(p);
    else if (operation == SHUT)
        (void)shutdown(p->fd, (how & 1) != 0 ? SHUT_RD : SHUT_WR);
    else if (operation == HANDSHAKE)
        shake_hands(w, p);
    else if (operation == RECORD && len > 0 && p->sealing)
        put_record(p, bytes[0] > 0 ? bytes[0] : TLS_RECORD_DATA, bytes + 1, len - 1);
    else if (operation == FLOOD)
        flood(w, p, how);
}

// --- Beginning and end

static web_certificate *certificate(void) {
    static web_certificate *made;
    if (made == NULL)
        require(web_certificate_new(localhost_chain, sizeof localhost_chain - 1, localhost_key,
                                    sizeof localhost_key - 1, &made) == 0);
    return web_certificate_ref(made);
}

static void start(world *w, uint8_t options) {
    static const int access[] = {RELAY_ACCESS_EVERYONE, RELAY_ACCESS_ALLOWLIST, RELAY_ACCESS_ASK, RELAY_ACCESS_ASK};
    memset(w, 0, sizeof *w);
    memset(w->secret, 1, sizeof w->secret);
    ed25519_public(w->secret, w->id);
    iroh_relay_config_default(&w->server.config);
    w->server.config.rx_bytes_per_second = (options & 1) != 0 ? 2000 : 0;
    relay_access_init(&w->server.access, access[options >> 1 & 3]);
    w->server.callback = (struct callback *)(void *)w;  // there is one; nobody looks into it
    w->server.loops = &w->loop;
    w->server.loop_count = 1;
    w->now = NS_PER_S;
    require(loop_new(&w->server, 0, &w->loop) == 0);
    w->loop->random = (entropy){draw, w};
    w->loop->certificate = certificate();
    for (size_t i = 0; i < PEERS; i++)
        w->peers[i].fd = -1;
}

static void end(world *w) {
    relay_loop *l = w->loop;
    for (size_t i = 0; i < PEERS; i++)
        go(&w->peers[i]);
    for (int i = 0; i < 4; i++) {
        turn(w);
        w->now += LATER;
    }
    require(l->conn_count == 0 && l->hub.sessions == 0 && l->hub.routes.count == 0 && l->hub.blocks.in_use == 0);
    require(list_empty(&l->asked) && list_empty(&l->busy) && heap_first(&l->timers) == NULL);
    require(l->counters[COUNT_HTTP_CONNECTIONS] == l->counters[COUNT_HTTP_CLOSED]);
    loop_free(l);
    relay_access_dispose(&w->server.access);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    if (size > INPUT_MAX)
        return 0;
    reader in = reader_of(data, size);
    start(&w, reader_u8(&in));
    while (reader_left(&in) >= 2) {
        uint8_t what = reader_u8(&in), how = reader_u8(&in);
        act(&w, &w.peers[what / OPERATIONS % PEERS], what % OPERATIONS, how, &in);
        if (what < OPERATIONS * PEERS || what % 2 == 0)  // else more happens before the server looks
            turn(&w);
    }
    end(&w);
    return 0;
}
