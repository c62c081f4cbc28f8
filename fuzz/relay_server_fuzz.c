// A relay server of two hubs with a few clients: the input is a script of what they do. Clients come, send frames and raw
// bytes, stop reading, go; time passes; what one hub tells the other takes a while. Whatever one does, no other loses its
// connection for it, queues stay within their bounds, and when all are gone nothing is left.
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "crypto/ed25519.h"
#include "relay/auth.h"
#include "relay/session.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 6
#define IDS 3  // so that some clients have the same
#define HUBS 2
#define LETTERS 64  // messages on their way to a hub at most
#define INPUT_MAX 16384

enum { OPEN, CLOSE, FRAME, RAW, DATAGRAM, READ, STALL, TIME, LIMIT, DECIDE, SHUTDOWN, OPERATIONS };

// What a hub tells another: a notice, or a message for one of its clients.
typedef struct letter {
    struct letter *next;
    int notice;  // 0: a message
    uint8_t id[RELAY_ID];
    uint64_t serial;
    bool bulk;
    size_t len;
    uint8_t message[];
} letter;

typedef struct hub {
    relay_hub hub;
    struct hub *other;
    letter *first, **last;  // on their way to it
    size_t letters;
} hub;

typedef struct client {
    relay_session session;
    bool used;
    bool blamed;  // it did what may end it
} client;

typedef struct world {
    hub hubs[HUBS];
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

// --- Between hubs

static void send_letter(hub *to, letter *l) {
    l->next = NULL;
    *to->last = l;
    to->last = &l->next;
    to->letters++;
}

static void announce(void *user, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    const hub *h = user;
    letter *l = calloc(1, sizeof *l);
    require(l != NULL && (notice == RELAY_NOTICE_JOIN || notice == RELAY_NOTICE_LEAVE));
    l->notice = notice;
    l->serial = serial;
    memcpy(l->id, id, RELAY_ID);
    send_letter(h->other, l);
}

static bool deliver(void *user, uint32_t shard, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message,
                    size_t len) {
    const hub *h = user;
    require(shard < HUBS && shard == h->other->hub.config.shard);
    if (h->other->letters >= LETTERS)
        return false;
    letter *l = calloc(1, sizeof *l + len);
    require(l != NULL);
    l->bulk = bulk;
    l->len = len;
    memcpy(l->id, id, RELAY_ID);
    memcpy(l->message, message, len);
    send_letter(h->other, l);
    return true;
}

static void read_letters(hub *h) {
    for (letter *l; (l = h->first) != NULL; free(l)) {
        h->first = l->next;
        h->last = h->first != NULL ? h->last : &h->first;
        h->letters--;
        if (l->notice == 0)
            relay_hub_deliver(&h->hub, l->id, l->bulk, l->message, l->len);
        else
            require(relay_hub_heard(&h->hub, l->notice, l->id, l->serial) == 0);
    }
}

// --- Clients

static hub *hub_of(world *w, const client *c) {
    return &w->hubs[(size_t)(c - w->clients) * HUBS / CLIENTS];
}

static void open_client(world *w, client *c, uint8_t how) {
    if (c->used)
        return;
    memset(c, 0, sizeof *c);
    relay_session_init(&c->session, &hub_of(w, c)->hub, c);
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

// The right answer to its challenge, if it has one, in the name of one of the ids.
static void prove(const world *w, client *c, uint8_t who) {
    uint8_t message[RELAY_ID + RELAY_SIGNATURE + 8], signature[RELAY_SIGNATURE], seed[32] = {who % IDS};
    if (c->session.state != RELAY_SESSION_CHALLENGED)
        return;
    relay_challenge_sign(seed, c->session.challenge, signature);
    const relay_frame f = {
        .type = RELAY_CLIENT_AUTH, .id = w->ids[who % IDS], .data = signature, .len = sizeof signature};
    writer out = writer_of(message, sizeof message);
    relay_frame_encode(&out, &f);
    require(!out.failed);
    send_masked(w, c, WS_BINARY, message, writer_len(&out));
}

static void decide(const world *w, client *c, uint8_t how) {
    if ((how & 6) == 6)
        relay_session_eof(&c->session, w->now);
    else if ((how & 6) == 4)
        prove(w, c, how >> 3);
    else if ((how & 1) != 0)
        relay_session_allow(&c->session, w->now);
    else
        relay_session_deny(&c->session, NULL, w->now);
}

static void pass_time(world *w, uint8_t how) {
    w->now += how * 100 * NS_PER_MS;
    for (size_t i = 0; i < HUBS; i++) {
        relay_hub_tick(&w->hubs[i].hub, w->now);
        read_letters(&w->hubs[i]);
        require(relay_hub_deadline(&w->hubs[i].hub) > w->now);
    }
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
        for (size_t i = 0; i < HUBS; i++)
            relay_hub_set_rx_limit(&w->hubs[i].hub, how * 100U, how & 0x0fU);
        break;
    case DECIDE:
        decide(w, c, how);
        break;
    default:
        relay_session_shutdown(&c->session, how, how, w->now);
        break;
    }
}

static void check(world *w) {
    unsigned wants;
    for (size_t i = 0; i < HUBS; i++)
        for (relay_session *s; (s = relay_hub_next(&w->hubs[i].hub, &wants)) != NULL;)
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

static void start_hub(world *w, uint32_t i, const entropy *random) {
    hub *h = &w->hubs[i];
    relay_hub_config config;
    relay_hub_config_default(&config);
    config.random = random;
    config.shard = i;
    config.shards = HUBS;
    config.hooks = (relay_hub_hooks){.announce = announce, .deliver = deliver, .user = h};
    h->other = &w->hubs[(i + 1) % HUBS];
    h->last = &h->first;
    require(relay_hub_init(&h->hub, &config) == 0);
}

static void end_hub(hub *h) {
    require(h->hub.sessions == 0 && h->hub.routes.count == 0 && h->hub.blocks.in_use == 0);
    require(relay_hub_deadline(&h->hub) == TIME_NEVER);
    relay_hub_dispose(&h->hub);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    if (size > INPUT_MAX)
        return 0;
    start(&w);
    const entropy random = {draw, &w};
    for (uint32_t i = 0; i < HUBS; i++)
        start_hub(&w, i, &random);
    reader in = reader_of(data, size);
    while (reader_left(&in) >= 2) {
        uint8_t what = reader_u8(&in), how = reader_u8(&in);
        act(&w, &w.clients[what / OPERATIONS % CLIENTS], what % OPERATIONS, how, &in);
        check(&w);
    }
    for (size_t i = 0; i < CLIENTS; i++)
        close_client(&w, &w.clients[i]);
    for (size_t i = 0; i < 2 * HUBS; i++)  // what is told may be answered
        read_letters(&w.hubs[i % HUBS]);
    for (size_t i = 0; i < HUBS; i++)
        end_hub(&w.hubs[i]);
    return 0;
}
