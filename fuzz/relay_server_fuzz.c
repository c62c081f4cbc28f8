// A relay server with a few clients: the input is a script of what they do. Clients come, send frames and raw bytes, stop
// reading, go; time passes. Whatever one does, no other loses its connection for it, queues stay within their bounds, and
// when all are gone nothing is left.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/ed25519.h"
#include "relay/session.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 6
#define IDS 3  // so that some clients have the same
#define INPUT_MAX 16384

enum { OPEN, CLOSE, FRAME, RAW, DATAGRAM, READ, STALL, TIME, LIMIT, DECIDE, SHUTDOWN, OPERATIONS };

typedef struct client {
    relay_session session;
    bool used;
    bool blamed;  // it did what may end it
} client;

typedef struct world {
    relay_hub hub;
    client clients[CLIENTS];
    uint8_t ids[IDS][RELAY_ID];
    uint64_t now;
    uint64_t seed;
} world;

static void draw(void *user, void *out, size_t len) {
    world *w = user;
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++) {
        w->seed = w->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        p[i] = (uint8_t)(w->seed >> 33);
    }
}

static void open_client(world *w, client *c, uint8_t how) {
    if (c->used)
        return;
    memset(c, 0, sizeof *c);
    relay_session_init(&c->session, &w->hub, c);
    c->used = true;
    const uint8_t *proven = (how & 1) != 0 ? w->ids[(how >> 2) % IDS] : NULL;
    require(relay_session_start(&c->session, (how & 2) != 0 ? RELAY_V2 : RELAY_V1, proven, w->now) == 0);
    if (proven != NULL && (how & 0x80) == 0)
        relay_session_allow(&c->session, w->now);
}

static void read_all(const world *w, client *c) {
    ws_decoder d;
    ws_decoder_init(&d, false, RELAY_MESSAGE_MAX);
    for (relay_block *b; (b = relay_queue_take(&c->session.queue)) != NULL; relay_queue_done(&c->session.queue, b)) {
        uint8_t *p = b->bytes + b->start;
        size_t len = b->end - b->start;
        ws_message m;
        relay_frame f;
        int r = 1;
        while ((r = ws_decode(&d, &p, &len, &m)) == 1) {
            // Everything that a client is sent, it can read.
            uint8_t phase = m.len > 0 && m.data[0] < RELAY_TO_RELAY ? RELAY_IN_HANDSHAKE : RELAY_IN_SESSION;
            require(m.opcode != WS_BINARY ||
                    relay_frame_decode(m.data, m.len, RELAY_BY_SERVER, c->session.version, phase, &f) == 0);
            require(m.opcode != WS_BINARY || m.len <= RELAY_FRAME_MAX);
        }
        require(r == 0);
    }
    ws_decoder_dispose(&d);
    relay_session_wrote(&c->session, true, true, w->now);
}

static void close_client(const world *w, client *c) {
    if (!c->used)
        return;
    read_all(w, c);
    relay_session_close(&c->session, w->now);
    c->used = false;
}

static void send_masked(const world *w, client *c, int opcode, const uint8_t *data, size_t len) {
    static const uint8_t mask[4] = {0x55, 0xaa, 0x33, 0xcc};
    size_t header = ws_header_size(len, true);
    uint8_t *bytes = malloc(header + len);
    require(bytes != NULL);
    (void)ws_put_header(bytes, opcode, len, mask);
    ws_mask(bytes + header, data, len, mask, 0);
    (void)relay_session_receive(&c->session, bytes, header + len, w->now);
    free(bytes);
}

static void send_raw(const world *w, client *c, const uint8_t *data, size_t len) {
    uint8_t *bytes = malloc(len > 0 ? len : 1);
    require(bytes != NULL);
    if (len > 0)
        memcpy(bytes, data, len);
    (void)relay_session_receive(&c->session, bytes, len, w->now);
    free(bytes);
}

// A well-formed datagram, large if asked, to one of the ids.
static void send_datagram(const world *w, client *c, uint8_t how) {
    size_t len = RELAY_DATAGRAM_HEAD + ((how & 0x80) != 0 ? 60000U : how & 0x70U);
    uint8_t *message = calloc(1, len);
    require(message != NULL);
    message[0] = RELAY_TO_RELAY;
    memcpy(message + 1, w->ids[how % IDS], RELAY_ID);
    send_masked(w, c, WS_BINARY, message, len);
    free(message);
}

static void pass_time(world *w, uint8_t how) {
    w->now += how * 100 * NS_PER_MS;
    relay_hub_tick(&w->hub, w->now);
    require(relay_hub_deadline(&w->hub) > w->now);
    for (size_t i = 0; i < CLIENTS; i++)
        w->clients[i].blamed = w->clients[i].blamed || w->clients[i].session.state == RELAY_SESSION_ENDED;
}

static void act(world *w, client *c, unsigned operation, uint8_t how, reader *in) {
    const uint8_t *bytes = NULL;
    size_t len = 0;
    if (operation == FRAME || operation == RAW) {
        len = how < reader_left(in) ? how : reader_left(in);
        bytes = reader_bytes(in, len);
    }
    if (!c->used && operation != OPEN && operation != TIME && operation != LIMIT)
        return;
    c->blamed = c->blamed || operation == FRAME || operation == RAW || operation == DATAGRAM || operation == DECIDE ||
                operation == SHUTDOWN;
    switch (operation) {
    case OPEN:
        open_client(w, c, how);
        break;
    case CLOSE:
        close_client(w, c);
        break;
    case FRAME:
        send_masked(w, c, WS_BINARY, bytes, len);
        break;
    case RAW:
        send_raw(w, c, bytes, len);
        break;
    case DATAGRAM:
        send_datagram(w, c, how);
        break;
    case READ:
        read_all(w, c);
        break;
    case STALL:
        relay_session_wrote(&c->session, false, (how & 1) != 0, w->now);
        break;
    case TIME:
        pass_time(w, how);
        break;
    case LIMIT:
        relay_hub_set_rx_limit(&w->hub, how * 100U, how & 0x0fU);
        break;
    case DECIDE:
        if ((how & 1) != 0)
            relay_session_allow(&c->session, w->now);
        else
            relay_session_deny(&c->session, NULL, w->now);
        break;
    default:
        relay_session_shutdown(&c->session, how, how, w->now);
        break;
    }
}

static void check(world *w) {
    unsigned wants;
    for (relay_session *s; (s = relay_hub_next(&w->hub, &wants)) != NULL;)
        require(wants != 0 && ((client *)s->user)->used);
    for (size_t i = 0; i < CLIENTS; i++) {
        const client *c = &w->clients[i];
        if (!c->used)
            continue;
        require(c->session.state != RELAY_SESSION_ENDED || c->blamed);
        require(c->session.queue.bulk.messages <= RELAY_HUB_PACKETS);
        require(c->session.queue.bulk.bytes <= RELAY_HUB_BYTES);
        require(c->session.queue.urgent.bytes <= RELAY_HUB_NOTICE_BYTES);
    }
}

static void start(world *w) {
    static uint8_t ids[IDS][RELAY_ID];
    static bool made;
    for (uint8_t i = 0; i < IDS && !made; i++) {
        uint8_t seed[32] = {i};
        ed25519_public(seed, ids[i]);
    }
    made = true;
    memset(w, 0, sizeof *w);
    memcpy(w->ids, ids, sizeof ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    relay_hub_config config;
    if (size > INPUT_MAX)
        return 0;
    start(&w);
    const entropy random = {draw, &w};
    relay_hub_config_default(&config);
    config.random = &random;
    require(relay_hub_init(&w.hub, &config) == 0);
    reader in = reader_of(data, size);
    while (reader_left(&in) >= 2) {
        uint8_t what = reader_u8(&in), how = reader_u8(&in);
        act(&w, &w.clients[what / OPERATIONS % CLIENTS], what % OPERATIONS, how, &in);
        check(&w);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        close_client(&w, &w.clients[i]);
    require(w.hub.sessions == 0 && w.hub.routes.count == 0 && w.hub.blocks.in_use == 0);
    require(relay_hub_deadline(&w.hub) == TIME_NEVER);
    relay_hub_dispose(&w.hub);
    return 0;
}
