#include "unit/relay_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/ed25519.h"

static void draw(void *user, void *out, size_t len) {
    relay_random *r = user;
    uint8_t *p = out;
    if (r->next_len >= len && len > 0) {
        memcpy(p, r->next, len);
        memmove(r->next, r->next + len, r->next_len - len);
        r->next_len -= len;
        return;
    }
    for (size_t i = 0; i < len; i++) {
        r->seed = r->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        p[i] = (uint8_t)(r->seed >> 33);
    }
}

void relay_random_init(relay_random *r, uint64_t seed) {
    *r = (relay_random){.seed = seed};
    r->source = (entropy){draw, r};
}

void relay_wire_init(relay_wire *w, relay_hub *hub, uint8_t key) {
    *w = (relay_wire){0};
    memset(w->seed, key, sizeof w->seed);
    ed25519_public(w->seed, w->id);
    relay_session_init(&w->session, hub, w);
    ws_decoder_init(&w->decoder, false, RELAY_MESSAGE_MAX);
}

void relay_wire_dispose(relay_wire *w, uint64_t now) {
    relay_session_close(&w->session, now);
    ws_decoder_dispose(&w->decoder);
    free(w->bytes);
    free(w->copy);
}

void relay_wire_open(relay_wire *w, relay_hub *hub, uint8_t key, int version, uint64_t now) {
    ws_message m;
    relay_wire_init(w, hub, key);
    assert_int_equal(relay_session_start(&w->session, version, w->id, now), 0);
    relay_session_allow(&w->session, now);
    relay_wire_flush(w, now);
    assert_true(relay_wire_next(w, &m));
    assert_true(m.len == 1 && m.data[0] == RELAY_SERVER_CONFIRMS);
}

int relay_wire_message(relay_wire *w, int opcode, const void *data, size_t len, uint64_t now) {
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    size_t header = ws_header_size(len, true);
    uint8_t *bytes = malloc(header + len);
    assert_non_null(bytes);
    (void)ws_put_header(bytes, opcode, len, mask);
    ws_mask(bytes + header, data, len, mask, 0);
    int r = relay_session_receive(&w->session, bytes, header + len, now);
    free(bytes);
    return r;
}

int relay_wire_frame(relay_wire *w, const relay_frame *f, uint64_t now) {
    uint8_t *bytes = malloc(RELAY_MESSAGE_MAX);
    assert_non_null(bytes);
    writer out = writer_of(bytes, RELAY_MESSAGE_MAX);
    relay_frame_encode(&out, f);
    assert_false(out.failed);
    int r = relay_wire_message(w, WS_BINARY, bytes, writer_len(&out), now);
    free(bytes);
    return r;
}

int relay_wire_datagram(relay_wire *w, const uint8_t *to, const void *data, size_t len, uint64_t now) {
    const relay_frame f = {.type = RELAY_TO_RELAY, .id = to, .data = data, .len = len};
    return relay_wire_frame(w, &f, now);
}

static void append(relay_wire *w, const uint8_t *bytes, size_t len) {
    if (w->len + len > w->room) {
        w->room = 2 * (w->len + len);
        w->bytes = realloc(w->bytes, w->room);
        assert_non_null(w->bytes);
    }
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

void relay_wire_flush(relay_wire *w, uint64_t now) {
    bool any = false;
    for (relay_block *block; (block = relay_queue_take(&w->session.queue)) != NULL; any = true) {
        append(w, block->bytes + block->start, block->end - block->start);
        relay_queue_done(&w->session.queue, block);
    }
    relay_session_wrote(&w->session, true, any, now);
}

bool relay_wire_next(relay_wire *w, ws_message *m) {
    size_t left = w->len - w->seen;
    uint8_t *p = w->bytes + w->seen;
    if (left == 0)
        return false;
    int r = ws_decode(&w->decoder, &p, &left, m);
    w->seen = w->len - left;
    assert_true(r >= 0);
    if (r == 0)
        return false;
    // A copy that outlives what is appended, and that a sanitizer sees the ends of.
    free(w->copy);
    w->copy = malloc(m->len > 0 ? m->len : 1);
    assert_non_null(w->copy);
    memcpy(w->copy, m->data, m->len);
    m->data = w->copy;
    return true;
}

relay_frame relay_wire_expect(relay_wire *w, uint8_t type) {
    ws_message m = {0};
    relay_frame f = {0};
    assert_true(relay_wire_next(w, &m));
    assert_int_equal(m.opcode, WS_BINARY);
    assert_true(m.len > 0);
    assert_int_equal(m.data[0], type);
    assert_int_equal(
        relay_frame_decode(m.data, m.len, RELAY_BY_SERVER, w->session.version, relay_frame_info_of(type)->phase, &f),
        0);
    return f;
}

bool relay_wire_silent(relay_wire *w) {
    ws_message m;
    return !relay_wire_next(w, &m);
}

void relay_wire_ping(relay_wire *w, const char data[static RELAY_PING], uint64_t now) {
    const relay_frame f = {.type = RELAY_PING_FRAME, .data = (const uint8_t *)data, .len = RELAY_PING};
    assert_int_equal(relay_wire_frame(w, &f, now), 0);
}

// --- One hub

relay_hub relay_one_hub;
static relay_random randomness;

void relay_one_hub_start(uint32_t rx_rate) {
    relay_hub_config config;
    relay_random_init(&randomness, 1);
    relay_hub_config_default(&config);
    config.random = &randomness.source;
    config.rx_rate = rx_rate;
    assert_int_equal(relay_hub_init(&relay_one_hub, &config), 0);
}

int relay_one_hub_set_up(void **state) {
    (void)state;
    relay_one_hub_start(0);
    return 0;
}

int relay_one_hub_tear_down(void **state) {
    (void)state;
    assert_int_equal(relay_one_hub.sessions, 0);
    assert_int_equal(relay_one_hub.routes.count, 0);
    relay_hub_dispose(&relay_one_hub);
    return 0;
}

unsigned relay_wire_wants(const relay_wire *w) {
    unsigned all = 0, wants;
    for (relay_session *s; (s = relay_hub_next(&relay_one_hub, &wants)) != NULL;)
        all |= s == &w->session ? wants : 0;
    return all;
}
