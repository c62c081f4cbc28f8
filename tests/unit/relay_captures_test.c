// What a real relay and its real clients said to each other (tests/captures/*.relay), replayed: our codecs must find in it
// what an independent decoder found, and write the same bytes; our server, given what the clients said, must say what the
// real one said; our client, given what the server said, what the real clients said.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "base/base64.h"
#include "base/hex.h"
#include "crypto/ed25519.h"
#include "relay/auth.h"
#include "relay/client.h"
#include "relay/upgrade.h"
#include "unit/relay_support.h"
#include "unit/vector_support.h"

#define CONNECTIONS_MAX 8
#define SHORT_DATA 32  // bytes; longer data are given by size and hash
#define DENIED_SEED 0x66

static const char *const captures[] = {"../captures/relay_client_plain.relay", "../captures/relay_client_tls.relay",
                                       "../captures/relay_only.relay"};

static bool is_server(const vectors *v) {
    return vectors_is(v, "from", "server");
}

static size_t connection_of(const vectors *v) {
    size_t n = (size_t)vectors_u64(v, "tcp");
    assert_true(n < CONNECTIONS_MAX);
    return n;
}

// --- Decoding and encoding

// One direction of one connection.
typedef struct direction {
    char head[4096];
    size_t head_len;
    bool upgraded;  // the head was seen
    ws_decoder decoder;
    char found[64][512];  // lines that describe what was found, not yet compared
    size_t count, compared;
} direction;

static uint64_t fnv(const uint8_t *p, size_t len) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void add_data(char *line, const uint8_t *data, size_t len) {
    char hex[2 * SHORT_DATA + 1] = "";
    if (data == NULL)
        return;
    if (len <= SHORT_DATA)
        hex_encode(data, len, hex);
    if (len <= SHORT_DATA)
        (void)sprintf(line + strlen(line), " data=%s", hex);
    else
        (void)sprintf(line + strlen(line), " size=%zu fnv=%llu", len, (unsigned long long)fnv(data, len));
}

static void describe_frame(char *line, const char *start, const ws_message *m, const relay_frame *f) {
    char hex[2 * RELAY_ID + 1] = "";
    (void)sprintf(line, "kind=frame %s name=%s message=%zu", start, relay_frame_info_of(f->type)->name, m->len);
    if (f->id != NULL) {
        hex_encode(f->id, RELAY_ID, hex);
        (void)sprintf(line + strlen(line), " id=%s", hex);
    }
    if (f->type >= RELAY_TO_RELAY && f->type <= RELAY_TO_CLIENT_BATCH)
        (void)sprintf(line + strlen(line), " ecn=%u", f->ecn);
    if (f->type == RELAY_TO_RELAY_BATCH || f->type == RELAY_TO_CLIENT_BATCH)
        (void)sprintf(line + strlen(line), " segment=%u", f->segment);
    if (f->type == RELAY_STATUS)
        (void)sprintf(line + strlen(line), " code=%u", f->code);
    add_data(line, f->data, f->len);
}

static void check_encoding(const ws_message *m, const relay_frame *f) {
    uint8_t *out = malloc(m->len);
    assert_non_null(out);
    writer w = writer_of(out, m->len);
    relay_frame_encode(&w, f);
    assert_true(!w.failed && writer_len(&w) == m->len);
    assert_memory_equal(out, m->data, m->len);
    free(out);
}

static void take_message(direction *d, const char *start, uint8_t sender, const ws_message *m) {
    char *line = d->found[d->count++ % 64];
    relay_frame f;
    if (m->opcode != WS_BINARY) {
        (void)sprintf(line, "kind=control %s opcode=%d", start, m->opcode);
        add_data(line, m->data, m->len);
        return;
    }
    // The type says the phase: the handshake has those below the datagrams.
    uint8_t phase = m->data[0] < RELAY_TO_RELAY ? RELAY_IN_HANDSHAKE : RELAY_IN_SESSION;
    assert_int_equal(relay_frame_decode(m->data, m->len, sender, RELAY_V2, phase, &f), 0);
    assert_true(relay_frame_id_valid(&f));
    describe_frame(line, start, m, &f);
    check_encoding(m, &f);
}

static size_t take_head(direction *d, const char *start, bool server, const uint8_t *bytes, size_t len) {
    http_scan scan = {0};
    http_head h;
    assert_true(d->head_len + len <= sizeof d->head);
    memcpy(d->head + d->head_len, bytes, len);
    d->head_len += len;
    int end = http_scan_end(&scan, d->head, d->head_len);
    assert_true(end >= 0);
    if (end == 0)
        return len;
    assert_int_equal(
        server ? http_response_parse(d->head, (size_t)end, &h) : http_request_parse(d->head, (size_t)end, &h), 0);
    char first[256], *line = d->found[d->count++ % 64];
    (void)snprintf(first, sizeof first, "%.*s", (int)strcspn(d->head, "\r"), d->head);
    for (char *p = first; *p != '\0'; p++)
        *p = *p == ' ' ? '|' : *p;
    (void)sprintf(line, "kind=head %s fields=%zu start=%s", start, h.field_count, first);
    d->upgraded = true;
    return len - (d->head_len - (size_t)end);
}

static void feed(direction *d, const vectors *v, bool server) {
    uint8_t bytes[4096], *p = bytes;
    char start[64];
    ws_message m;
    size_t len = vectors_bytes(v, "bytes", bytes, sizeof bytes);
    (void)sprintf(start, "tcp=%zu from=%s", connection_of(v), server ? "server" : "client");
    if (!d->upgraded) {
        size_t used = take_head(d, start, server, bytes, len);
        p += used;
        len -= used;
    }
    int r = 1;
    while (d->upgraded && r == 1) {
        r = ws_decode(&d->decoder, &p, &len, &m);
        assert_true(r >= 0);
        if (r == 1)
            take_message(d, start, server ? RELAY_BY_SERVER : RELAY_BY_CLIENT, &m);
    }
}

static void decode_capture(const char *name) {
    static direction all[CONNECTIONS_MAX][2];
    vectors v;
    size_t total = 0;
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        ws_decoder_init(&all[i][0].decoder, true, RELAY_MESSAGE_MAX);
        ws_decoder_init(&all[i][1].decoder, false, RELAY_MESSAGE_MAX);
    }
    vectors_open(&v, name);
    while (vectors_next(&v)) {
        if (vectors_is(&v, "kind", "claim"))
            continue;
        direction *d = &all[connection_of(&v)][is_server(&v)];
        if (vectors_is(&v, "kind", "bytes")) {
            feed(d, &v, is_server(&v));
            continue;
        }
        assert_true(d->compared < d->count);
        assert_string_equal(d->found[d->compared++ % 64], v.line);
        total++;
    }
    assert_true(total > 20);
    for (size_t i = 0; i < 2 * CONNECTIONS_MAX; i++) {
        direction *d = &all[i / 2][i % 2];
        assert_true(d->compared == d->count);
        ws_decoder_dispose(&d->decoder);
    }
}

static void our_codecs_find_what_is_in_them(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++)
        decode_capture(captures[i]);
}

// --- What both replays need to know beforehand

// Connections that only probe have neither challenge nor claim, and no part in the replays.
typedef struct known {
    uint8_t challenge[RELAY_CHALLENGE], exported[RELAY_EXPORT], id[RELAY_ID];
    bool has_exported, has_id;
} known;

static void learn(const char *name, known all[static CONNECTIONS_MAX]) {
    vectors v;
    memset(all, 0, CONNECTIONS_MAX * sizeof *all);
    vectors_open(&v, name);
    while (vectors_next(&v)) {
        known *k = &all[connection_of(&v)];
        bool claim = vectors_is(&v, "kind", "claim"), frame = vectors_is(&v, "kind", "frame");
        if (claim)
            k->has_exported = vectors_bytes(&v, "exported", k->exported, RELAY_EXPORT) == RELAY_EXPORT;
        if (claim || (frame && vectors_is(&v, "name", "client_auth")))
            k->has_id = vectors_bytes(&v, "id", k->id, RELAY_ID) == RELAY_ID;
        if (frame && vectors_is(&v, "name", "server_challenge"))
            (void)vectors_bytes(&v, "data", k->challenge, RELAY_CHALLENGE);
    }
}

// --- Our server in the place of the real one

typedef struct replayed {
    relay_wire wire;
    bool begun, answered;
    char answer[1024];
    size_t answer_len;
    char request[4096];
    size_t request_len;
} replayed;

static relay_hub hub;
static relay_random randomness;

static void begin_session(replayed *c, const known *k, const http_head *h) {
    relay_upgrade u;
    relay_claim claim;
    relay_upgrade_judge(h, &u);
    assert_int_equal(u.version, RELAY_V2);
    assert_int_equal(u.claim != NULL, k->has_exported);
    bool proven = u.claim != NULL && relay_claim_decode(u.claim->p, u.claim->len, &claim) == 0 &&
                  relay_claim_verify(&claim, k->exported);
    assert_int_equal(proven, k->has_exported);
    memcpy(randomness.next, k->challenge, RELAY_CHALLENGE);
    randomness.next_len = proven ? 0 : RELAY_CHALLENGE;
    assert_int_equal(relay_session_start(&c->wire.session, u.version, proven ? claim.id : NULL, 0), 0);
    c->begun = true;
}

static void decide_access(void) {
    uint8_t seed[32], denied[RELAY_ID];
    unsigned wants;
    memset(seed, DENIED_SEED, sizeof seed);
    ed25519_public(seed, denied);
    for (relay_session *s; (s = relay_hub_next(&hub, &wants)) != NULL;) {
        if ((wants & RELAY_WANTS_ACCESS) == 0)
            continue;
        if (memcmp(s->id, denied, sizeof denied) == 0)
            relay_session_deny(s, NULL, 0);
        else
            relay_session_allow(s, 0);
    }
}

static void hear_client(replayed *c, const known *k, const vectors *v) {
    uint8_t bytes[4096];
    size_t len = vectors_bytes(v, "bytes", bytes, sizeof bytes);
    http_head h;
    if (c->begun) {
        (void)relay_session_receive(&c->wire.session, bytes, len, 0);
    } else {
        assert_int_equal(http_request_parse(bytes, len, &h), 0);
        memcpy(c->request, bytes, len);
        c->request_len = len;
        begin_session(c, k, &h);
    }
    decide_access();
}

// The head of the real server, all but its date, is the head of ours.
static void compare_answer(replayed *c, const vectors *v) {
    char bytes[4096], ours[4096], date[64];
    size_t len = vectors_bytes(v, "bytes", (uint8_t *)bytes, sizeof bytes);
    http_head h;
    relay_upgrade u;
    if (c->answered)
        return;
    assert_int_equal(http_response_parse(bytes, len, &h), 0);
    const http_text *value = http_field_find(&h, "date", NULL);
    assert_non_null(value);
    (void)snprintf(date, sizeof date, "%.*s", (int)value->len, value->p);
    assert_int_equal(http_request_parse(c->request, c->request_len, &h), 0);
    relay_upgrade_judge(&h, &u);
    u.secure = true;  // the original says what belongs to TLS on plain connections too
    writer w = writer_of(ours, sizeof ours);
    relay_upgrade_put_answer(&w, &u, date);
    assert_int_equal(writer_len(&w), len);
    assert_memory_equal(ours, bytes, len);
    c->answered = true;
}

// Whether there was something to compare.
static bool compare_frame(replayed *c, const vectors *v) {
    ws_message m;
    relay_frame f;
    char start[64], line[512];
    if (vectors_is(v, "name", "ping"))  // at random times
        return false;
    relay_wire_flush(&c->wire, 0);
    assert_true(relay_wire_next(&c->wire, &m));
    uint8_t phase = m.data[0] < RELAY_TO_RELAY ? RELAY_IN_HANDSHAKE : RELAY_IN_SESSION;
    assert_int_equal(relay_frame_decode(m.data, m.len, RELAY_BY_SERVER, RELAY_V2, phase, &f), 0);
    (void)sprintf(start, "tcp=%zu from=server", connection_of(v));
    describe_frame(line, start, &m, &f);
    assert_string_equal(line, v->line);
    return true;
}

static void serve_capture(const char *name) {
    static replayed all[CONNECTIONS_MAX];
    known facts[CONNECTIONS_MAX];
    relay_hub_config config;
    vectors v;
    int compared = 0;
    learn(name, facts);
    relay_random_init(&randomness, 1);
    relay_hub_config_default(&config);
    config.random = &randomness.source;
    assert_int_equal(relay_hub_init(&hub, &config), 0);
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        relay_wire_init(&all[i].wire, &hub, 1);
    vectors_open(&v, name);
    while (vectors_next(&v)) {
        if (!facts[connection_of(&v)].has_id)
            continue;
        replayed *c = &all[connection_of(&v)];
        bool bytes = vectors_is(&v, "kind", "bytes");
        if (bytes && is_server(&v))
            compare_answer(c, &v);
        else if (bytes)
            hear_client(c, &facts[connection_of(&v)], &v);
        else if (vectors_is(&v, "kind", "frame") && is_server(&v))
            compared += compare_frame(c, &v);
    }
    assert_true(compared >= 8);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        relay_wire_dispose(&all[i].wire, 0);
    relay_hub_dispose(&hub);
}

static void our_server_says_what_the_real_one_said(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++)
        serve_capture(captures[i]);
}

// --- Our client in the place of the real ones

typedef struct acting {
    relay_client client;
    ws_decoder decoder;  // of what it says
    bool begun, gone;
    uint64_t events, wanted;
} acting;

static relay_blocks blocks;

static void find_seed(const uint8_t id[static RELAY_ID], uint8_t seed[static 32]) {
    uint8_t candidate[RELAY_ID];
    for (unsigned byte = 0x11; byte <= 0x99; byte += 0x11) {
        memset(seed, (int)byte, 32);
        ed25519_public(seed, candidate);
        if (memcmp(candidate, id, RELAY_ID) == 0)
            return;
    }
    fail();
}

// With the key that the real client drew, the request is the same to the byte.
static void begin_client(acting *c, const known *k, const vectors *v) {
    uint8_t bytes[4096];
    char url[128];
    http_head h;
    relay_client_config config = {.random = &randomness.source, .blocks = &blocks};
    size_t len = vectors_bytes(v, "bytes", bytes, sizeof bytes);
    assert_int_equal(http_request_parse(bytes, len, &h), 0);
    const http_text *host = http_field_find(&h, "host", NULL), *key = http_field_find(&h, "sec-websocket-key", NULL);
    int size = snprintf(url, sizeof url, "%s://%.*s/", k->has_exported ? "https" : "http", (int)host->len, host->p);
    config.url = url;
    config.url_len = (size_t)size;
    find_seed(k->id, config.seed);
    assert_int_equal(relay_client_init(&c->client, &config, 0), 0);
    relay_client_dialling(&c->client, 0);
    assert_int_equal(base64_decode(BASE64_PADDED, key->p, key->len, randomness.next, 16), 16);
    randomness.next_len = 16;
    relay_client_connected(&c->client, k->has_exported ? k->exported : NULL, 0);
    relay_block *block = relay_queue_take(&c->client.queue);
    assert_non_null(block);
    assert_int_equal(block->end - block->start, len);
    assert_memory_equal(block->bytes + block->start, bytes, len);
    relay_queue_done(&c->client.queue, block);
    c->begun = true;
}

static void hear_server(acting *c, const vectors *v) {
    uint8_t bytes[4096], *p = bytes;
    size_t len = vectors_bytes(v, "bytes", bytes, sizeof bytes);
    relay_client_event event;
    int r = 1;
    while (r == 1) {
        r = relay_client_receive(&c->client, &p, &len, 0, &event);
        c->events += r == 1 && event.kind != RELAY_EVENT_READY;
    }
    if (r < 0)
        assert_true(c->client.denied && strcmp(c->client.denial, "not authorized") == 0);
}

// The signature over the challenge is the real client's.
static void compare_auth(acting *c, const vectors *v) {
    ws_message m;
    relay_frame f;
    char start[64], line[512];
    relay_block *block = relay_queue_take(&c->client.queue);
    assert_non_null(block);
    uint8_t *p = block->bytes + block->start;
    size_t len = block->end - block->start;
    assert_int_equal(ws_decode(&c->decoder, &p, &len, &m), 1);
    assert_int_equal(relay_frame_decode(m.data, m.len, RELAY_BY_CLIENT, RELAY_V2, RELAY_IN_HANDSHAKE, &f), 0);
    (void)sprintf(start, "tcp=%zu from=client", connection_of(v));
    describe_frame(line, start, &m, &f);
    assert_string_equal(line, v->line);
    relay_queue_done(&c->client.queue, block);
}

static void count_wanted(acting *c, const vectors *v) {
    static const char *const events[] = {"relay_to_client_datagram", "relay_to_client_datagram_batch", "endpoint_gone",
                                         "status"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        c->wanted += vectors_is(v, "name", events[i]);
}

static void act_capture(const char *name) {
    static acting all[CONNECTIONS_MAX];
    known facts[CONNECTIONS_MAX];
    vectors v;
    uint64_t total = 0;
    learn(name, facts);
    relay_random_init(&randomness, 1);
    relay_blocks_init(&blocks, 1000);
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        ws_decoder_init(&all[i].decoder, true, RELAY_MESSAGE_MAX);
    vectors_open(&v, name);
    while (vectors_next(&v)) {
        if (!facts[connection_of(&v)].has_id)
            continue;
        acting *c = &all[connection_of(&v)];
        bool bytes = vectors_is(&v, "kind", "bytes");
        if (bytes && is_server(&v))
            hear_server(c, &v);
        else if (bytes && !c->begun)
            begin_client(c, &facts[connection_of(&v)], &v);
        else if (vectors_is(&v, "kind", "frame") && vectors_is(&v, "name", "client_auth"))
            compare_auth(c, &v);
        else if (vectors_is(&v, "kind", "frame") && is_server(&v))
            count_wanted(c, &v);
    }
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        assert_int_equal(all[i].events, all[i].wanted);
        total += all[i].events;
        ws_decoder_dispose(&all[i].decoder);
        if (all[i].begun)
            relay_client_dispose(&all[i].client);
    }
    assert_true(total >= 4);
    relay_blocks_dispose(&blocks);
}

static void our_client_says_what_the_real_ones_said(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++)
        act_capture(captures[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_codecs_find_what_is_in_them),
        cmocka_unit_test(our_server_says_what_the_real_one_said),
        cmocka_unit_test(our_client_says_what_the_real_ones_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
