// A relay client with a server that lies: the input is a script of what the server says, in any cuts, and of what happens
// around the client meanwhile. Whatever that is, queues and buffers stay within their bounds, what the client says can be
// read, events come from an open connection only, and after the end there is nothing more.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/ed25519.h"
#include "relay/client.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 16384
#define BLOCKS 400
#define URGENT_BYTES_MAX 65536  // more than the client allows itself
#define URL "https://relay.example/?x=1"

enum { DIAL, CONNECT, LOSE, ANSWER, RAW, FRAME, CONTROL, SEND, TAKE, STALL, TIME, HOME, NETWORK, CLOSE, OPERATIONS };

typedef struct world {
    relay_client client;
    relay_blocks blocks;
    relay_block *held;  // taken and not yet written
    uint64_t now, seed;
    bool was_closed;
    // What the client says on this connection.
    http_scan scan;
    char head[RELAY_BLOCK_ROOM];
    size_t head_len;
    bool asked;  // the head was whole
    ws_decoder decoder;
} world;

static void draw(void *user, void *out, size_t len) {
    world *w = user;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        p[i] = (uint8_t)(w->seed >> 33);
    }
}

// --- What the client says

static void read_message(const ws_message *m) {
    relay_frame f;
    require(m->opcode == WS_BINARY || m->opcode == WS_PONG || m->opcode == WS_CLOSE);
    if (m->opcode != WS_BINARY)
        return;
    require(m->len > 0 && m->len <= RELAY_FRAME_MAX);
    uint8_t phase = m->data[0] < RELAY_TO_RELAY ? RELAY_IN_HANDSHAKE : RELAY_IN_SESSION;
    require(relay_frame_decode(m->data, m->len, RELAY_BY_CLIENT, RELAY_V2, phase, &f) == 0);
}

static void read_bytes(world *w, const uint8_t *bytes, size_t len) {
    uint8_t *copy = malloc(len > 0 ? len : 1), *at = copy;
    require(copy != NULL);
    memcpy(copy, bytes, len);
    for (; !w->asked && len > 0; at++, len--) {
        require(w->head_len < sizeof w->head);
        w->head[w->head_len++] = (char)*at;
        w->asked = http_scan_end(&w->scan, w->head, w->head_len) > 0;
    }
    ws_message m;
    int r = 1;
    while (len > 0 && (r = ws_decode(&w->decoder, &at, &len, &m)) == 1)
        read_message(&m);
    require(r >= 0);
    free(copy);
}

static void give_back(world *w) {
    if (w->held != NULL)
        relay_queue_done(&w->client.queue, w->held);
    w->held = NULL;
}

static void take(world *w) {
    give_back(w);
    for (relay_block *b; (b = relay_queue_take(&w->client.queue)) != NULL; relay_queue_done(&w->client.queue, b))
        read_bytes(w, b->bytes + b->start, b->end - b->start);
    relay_client_wrote(&w->client, true, true, w->now);
}

static void stall(world *w, bool progress) {
    if (w->held == NULL && (w->held = relay_queue_take(&w->client.queue)) != NULL)
        read_bytes(w, w->held->bytes + w->held->start, w->held->end - w->held->start);
    relay_client_wrote(&w->client, false, progress, w->now);
}

static void forget_connection(world *w) {
    give_back(w);
    w->scan = (http_scan){0};
    w->head_len = 0;
    w->asked = false;
    ws_decoder_dispose(&w->decoder);
    ws_decoder_init(&w->decoder, true, RELAY_MESSAGE_MAX);
}

// --- What the server says

static void look_at(const world *w, const relay_client_event *e) {
    volatile uint8_t sum = 0;
    require(w->client.state == RELAY_CLIENT_READY);
    require(e->kind >= RELAY_EVENT_READY && e->kind <= RELAY_EVENT_RESTARTING);
    if (e->kind == RELAY_EVENT_READY)
        return;
    for (size_t i = 0; i < e->frame.len; i++)
        sum = (uint8_t)(sum + e->frame.data[i]);
    if (e->kind == RELAY_EVENT_DATAGRAM)
        require(e->frame.len > 0 && e->frame.len <= RELAY_FRAME_MAX && e->frame.id != NULL);
    if (e->kind == RELAY_EVENT_DATAGRAM || e->kind == RELAY_EVENT_GONE)
        require(ed25519_is_point(e->frame.id));
}

static void hear(world *w, const void *bytes, size_t len) {
    uint8_t *copy = malloc(len > 0 ? len : 1), *at = copy;
    relay_client_event event;
    int r;
    require(copy != NULL);
    if (len > 0)
        memcpy(copy, bytes, len);
    bool had = w->client.state >= RELAY_CLIENT_UPGRADING && w->client.state <= RELAY_CLIENT_READY;
    while ((r = relay_client_receive(&w->client, &at, &len, w->now, &event)) > 0)
        look_at(w, &event);
    require(r == 0 || (w->client.state != RELAY_CLIENT_READY && (!had || w->client.error == r)));
    require(r < 0 || len == 0);
    free(copy);
}

// The 101 that the client waits for, or what is almost one.
static void answer(world *w, uint8_t how) {
    static const char *const versions[] = {RELAY_V2_NAME, RELAY_V1_NAME, "iroh-relay-v3", NULL};
    char text[512], accept[WS_ACCEPT_SIZE];
    ws_accept(w->client.key, strlen(w->client.key), accept);
    accept[0] = (char)(accept[0] ^ ((how & 4) != 0));
    writer out = writer_of(text, sizeof text);
    http_put_status(&out, (how & 8) != 0 ? 404 : 101);
    http_put_text(&out, "sec-websocket-accept", accept);
    if (versions[how & 3] != NULL)
        http_put_text(&out, "sec-websocket-protocol", versions[how & 3]);
    http_put_end(&out);
    size_t len = writer_len(&out), cut = how >> 4 != 0 ? (size_t)(how >> 4) * 8 : len;
    for (size_t at = 0; at < len; at += cut)
        hear(w, text + at, len - at < cut ? len - at : cut);
}

static void say(world *w, int opcode, const uint8_t *bytes, size_t len) {
    uint8_t message[WS_HEADER_MAX + 256];
    size_t header = ws_put_header(message, opcode, len, NULL);
    if (len > 0)
        memcpy(message + header, bytes, len);
    hear(w, message, header + len);
}

// --- What happens around it

static void send(world *w, uint8_t how) {
    static uint8_t data[RELAY_DATAGRAM_MAX + 1];
    size_t len = (how & 0x80) != 0 ? sizeof data - (how & 3) : how & 0x3fU;
    int r = relay_client_send(&w->client, w->client.id, how & 3, (how & 0x40) != 0 ? 7 : 0, data, len, w->now);
    require(w->client.state < RELAY_CLIENT_CLOSING || r < 0);
}

static void pass_time(world *w, uint8_t how) {
    w->now += how * 100 * NS_PER_MS;
    relay_client_tick(&w->client, w->now);
    // An attempt that ends may find that nobody has wanted the relay for long; then that is due at once.
    if (relay_client_deadline(&w->client) <= w->now)
        relay_client_tick(&w->client, w->now);
    require(relay_client_deadline(&w->client) > w->now);
}

static void connect_to(world *w, uint8_t how) {
    static const uint8_t exported[RELAY_EXPORT] = {1, 2, 3};
    if (w->client.state == RELAY_CLIENT_DIALLING)
        forget_connection(w);
    relay_client_connected(&w->client, (how & 1) != 0 ? exported : NULL, w->now);
}

static void act(world *w, unsigned operation, uint8_t how, reader *in) {
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (operation == RAW || operation == FRAME || operation == CONTROL) {
        len = how < reader_left(in) ? how : reader_left(in);
        bytes = reader_bytes(in, len);
    }
    switch (operation) {
    case DIAL:
        if (w->client.state == RELAY_CLIENT_DIAL)
            relay_client_dialling(&w->client, w->now);
        break;
    case CONNECT:
        connect_to(w, how);
        break;
    case LOSE:
        relay_client_lost(&w->client, -(int)how - 1, w->now);
        break;
    case ANSWER:
        answer(w, how);
        break;
    case RAW:
        hear(w, bytes, len);
        break;
    case FRAME:
        say(w, WS_BINARY, bytes, len);
        break;
    case CONTROL:
        say(w, len > 0 ? 8 + bytes[0] % 3 : WS_TEXT, bytes, len < 100 ? len : 100);
        break;
    case SEND:
        send(w, how);
        break;
    case TAKE:
        take(w);
        break;
    case STALL:
        stall(w, (how & 1) != 0);
        break;
    case TIME:
        pass_time(w, how);
        break;
    case HOME:
        relay_client_set_home(&w->client, (how & 1) != 0, w->now);
        break;
    case NETWORK:
        relay_client_network_changed(&w->client, w->now);
        break;
    default:
        relay_client_close(&w->client, w->now);
        w->was_closed = true;
        break;
    }
}

static void check(const world *w) {
    const relay_client *c = &w->client;
    require(c->queue.bulk.messages <= RELAY_CLIENT_QUEUE && c->queue.bulk.bytes <= RELAY_CLIENT_QUEUE_BYTES);
    require(c->queue.urgent.bytes <= URGENT_BYTES_MAX);
    require(c->head_len <= HTTP_HEAD_MAX && c->head_room <= 2 * HTTP_HEAD_MAX);
    require(c->decoder.partial_room <= 2 * RELAY_MESSAGE_MAX && c->decoder.whole_room <= 2 * RELAY_MESSAGE_MAX);
    require(!w->was_closed || c->state >= RELAY_CLIENT_CLOSING);
    require(c->state != RELAY_CLIENT_CLOSED || relay_client_deadline(c) == TIME_NEVER);
    require(w->blocks.in_use <= BLOCKS);
    require(c->stats.successes <= c->stats.closed + 1);
}

static void start(world *w) {
    static entropy random;
    memset(w, 0, sizeof *w);
    random = (entropy){draw, w};
    relay_blocks_init(&w->blocks, BLOCKS);
    ws_decoder_init(&w->decoder, true, RELAY_MESSAGE_MAX);
    const relay_client_config config = {
        .url = URL, .url_len = sizeof URL - 1, .token = "token", .seed = {7}, .random = &random, .blocks = &w->blocks};
    require(relay_client_init(&w->client, &config, w->now) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    if (size > INPUT_MAX)
        return 0;
    start(&w);
    reader in = reader_of(data, size);
    while (reader_left(&in) >= 2) {
        uint8_t what = reader_u8(&in), how = reader_u8(&in);
        act(&w, what % OPERATIONS, how, &in);
        check(&w);
    }
    give_back(&w);
    relay_client_close(&w.client, w.now);
    relay_client_dispose(&w.client);
    require(w.blocks.in_use == 0);
    relay_blocks_dispose(&w.blocks);
    ws_decoder_dispose(&w.decoder);
    return 0;
}
