#include "unit/relay_client_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "crypto/ed25519.h"

relay_near near;

void relay_near_start(const char *url, const char *token) {
    relay_client_config config = {
        .url = url, .url_len = strlen(url), .token = token, .random = &near.randomness.source, .blocks = &near.blocks};
    memset(config.seed, 0x44, sizeof config.seed);
    assert_int_equal(relay_client_init(&near.client, &config, 0), 0);
    relay_client_set_home(&near.client, true, 0);
}

int relay_near_set_up(void **state) {
    (void)state;
    uint8_t seed[32] = {9};
    ed25519_public(seed, near.peer);
    relay_random_init(&near.randomness, 5);
    relay_blocks_init(&near.blocks, 1000);
    ws_decoder_init(&near.said_decoder, true, RELAY_MESSAGE_MAX);
    near.said_len = near.said_seen = 0;
    relay_near_start(RELAY_NEAR_URL, NULL);
    return 0;
}

int relay_near_tear_down(void **state) {
    (void)state;
    relay_client_dispose(&near.client);
    ws_decoder_dispose(&near.said_decoder);
    relay_blocks_dispose(&near.blocks);
    return 0;
}

void relay_near_flush(uint64_t now) {
    for (relay_block *b; (b = relay_queue_take(&near.client.queue)) != NULL; relay_queue_done(&near.client.queue, b)) {
        size_t len = b->end - b->start;
        assert_true(near.said_len + len <= sizeof near.said);
        memcpy(near.said + near.said_len, b->bytes + b->start, len);
        near.said_len += len;
    }
    relay_client_wrote(&near.client, true, true, now);
}

bool relay_near_next(ws_message *m) {
    uint8_t *p = near.said + near.said_seen;
    size_t left = near.said_len - near.said_seen;
    int r = left > 0 ? ws_decode(&near.said_decoder, &p, &left, m) : 0;
    assert_true(r >= 0);
    near.said_seen = near.said_len - left;
    return r == 1;
}

relay_frame relay_near_expect(uint8_t type) {
    ws_message m = {0};
    relay_frame f = {0};
    relay_near_flush(0);
    assert_true(relay_near_next(&m));
    assert_true(m.opcode == WS_BINARY && m.len > 0);
    assert_int_equal(m.data[0], type);
    assert_int_equal(relay_frame_decode(m.data, m.len, RELAY_BY_CLIENT, RELAY_V2, relay_frame_info_of(type)->phase, &f),
                     0);
    return f;
}

bool relay_near_silent(void) {
    ws_message m;
    relay_near_flush(0);
    return !relay_near_next(&m);
}

int relay_near_hear(const void *bytes, size_t len, uint64_t now) {
    static uint8_t *kept;
    free(kept);
    kept = malloc(len > 0 ? len : 1);
    assert_non_null(kept);
    memcpy(kept, bytes, len);
    uint8_t *p = kept;
    int r = relay_client_receive(&near.client, &p, &len, now, &near.event);
    if (r == 0)
        assert_int_equal(len, 0);
    return r;
}

int relay_near_hear_message(int opcode, const void *data, size_t len, uint64_t now) {
    uint8_t bytes[512];
    size_t header = ws_put_header(bytes, opcode, len, NULL);
    if (len > 0)
        memcpy(bytes + header, data, len);
    return relay_near_hear(bytes, header + len, now);
}

int relay_near_hear_frame(const relay_frame *f, uint64_t now) {
    uint8_t bytes[256];
    writer w = writer_of(bytes, sizeof bytes);
    relay_frame_encode(&w, f);
    assert_false(w.failed);
    return relay_near_hear_message(WS_BINARY, bytes, writer_len(&w), now);
}

size_t relay_near_answer(char *out, const char *version, int extra_fields) {
    char accept[WS_ACCEPT_SIZE];
    ws_accept(near.client.key, strlen(near.client.key), accept);
    int len = sprintf(out, "HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: %s\r\n%s%s%s", accept,
                      version != NULL ? "sec-websocket-protocol: " : "", version != NULL ? version : "",
                      version != NULL ? "\r\n" : "");
    for (int i = 0; i < extra_fields; i++)
        len += sprintf(out + len, "x%d: y\r\n", i);
    return (size_t)(len + sprintf(out + len, "\r\n"));
}

void relay_near_upgrade(const char *version, uint64_t now) {
    char text[512];
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_DIAL);
    relay_client_dialling(&near.client, now);
    relay_client_connected(&near.client, NULL, now);
    relay_near_flush(now);
    near.said_len = near.said_seen = 0;  // the request
    assert_int_equal(relay_near_hear(text, relay_near_answer(text, version, 0), now), 0);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_AUTHENTICATING);
}

void relay_near_become_ready(const char *version, uint64_t now) {
    static const relay_frame confirm = {.type = RELAY_SERVER_CONFIRMS};
    relay_near_upgrade(version, now);
    assert_int_equal(relay_near_hear_frame(&confirm, now), 1);
    assert_int_equal(near.event.kind, RELAY_EVENT_READY);
    assert_int_equal(relay_client_state(&near.client), RELAY_CLIENT_READY);
}

void relay_near_pong(uint64_t now) {
    relay_frame f = relay_near_expect(RELAY_PING_FRAME);
    f.type = RELAY_PONG_FRAME;
    assert_int_equal(relay_near_hear_frame(&f, now), 0);
}
