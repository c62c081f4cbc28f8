// WebSocket frames against the printed vectors, cut at every place, in fragments, and at their bounds.
#include "web/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "unit/vector_support.h"

#define MESSAGE_MAX 65536

static bool by_client(const vectors *v) {
    return vectors_is(v, "sender", "client");
}

static int error_of(const vectors *v) {
    for (int code = -1; code > -64; code--) {
        if (vectors_is(v, "error", iroh_error_name(code)))
            return code;
    }
    fail();
    return 0;
}

// Feeds copies of `len` bytes in pieces of `piece`, each in memory of its own, and returns the first result that is not 0.
// A message is copied into `out`.
static int decode_in_pieces(ws_decoder *d, const uint8_t *bytes, size_t len, size_t piece, ws_message *m,
                            uint8_t *out) {
    for (size_t at = 0; at < len; at += piece) {
        size_t n = len - at < piece ? len - at : piece;
        uint8_t *copy = malloc(n), *p = copy;
        assert_non_null(copy);
        memcpy(copy, bytes + at, n);
        size_t left = n;
        int r = ws_decode(d, &p, &left, m);
        if (r == 1 && m->len > 0)
            memcpy(out, m->data, m->len);
        free(copy);
        if (r != 0)
            return at + n - left == len || r < 0 ? r : IROH_ERR_INTERNAL;
    }
    return 0;
}

static void vectors_decode_however_they_are_cut(void **state) {
    (void)state;
    vectors v;
    uint8_t message[256], data[256], out[256];
    int count = 0;
    vectors_open(&v, "websocket.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "frame") && !vectors_is(&v, "kind", "fragments"))
            continue;
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        size_t data_len = vectors_bytes(&v, "data", data, sizeof data);
        for (size_t piece = 1; piece <= len; piece++) {
            ws_decoder d;
            ws_message m;
            ws_decoder_init(&d, by_client(&v), MESSAGE_MAX);
            assert_int_equal(decode_in_pieces(&d, message, len, piece, &m, out), 1);
            assert_int_equal(m.opcode, vectors_u64(&v, "opcode"));
            assert_int_equal(m.len, data_len);
            assert_memory_equal(out, data, data_len);
            ws_decoder_dispose(&d);
        }
        count++;
    }
    assert_int_equal(count, 7);
}

static void vectors_encode(void **state) {
    (void)state;
    vectors v;
    uint8_t message[256], data[256], out[256], mask[4];
    vectors_open(&v, "websocket.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "frame"))
            continue;
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        size_t data_len = vectors_bytes(&v, "data", data, sizeof data);
        bool masked = by_client(&v);
        if (masked)
            assert_int_equal(vectors_bytes(&v, "mask", mask, 4), 4);
        size_t header = ws_put_header(out, (int)vectors_u64(&v, "opcode"), data_len, masked ? mask : NULL);
        assert_int_equal(header, ws_header_size(data_len, masked));
        memcpy(out + header, data, data_len);
        if (masked)
            ws_mask(out + header, data, data_len, mask, 0);
        assert_int_equal(header + data_len, len);
        assert_memory_equal(out, message, len);
    }
}

static void headers_take_the_shortest_form(void **state) {
    (void)state;
    static const uint8_t mask[4] = {1, 2, 3, 4};
    vectors v;
    uint8_t wanted[WS_HEADER_MAX], out[WS_HEADER_MAX];
    vectors_open(&v, "websocket.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "header"))
            continue;
        size_t size = (size_t)vectors_u64(&v, "size");
        size_t len = vectors_bytes(&v, "server", wanted, sizeof wanted);
        assert_int_equal(ws_put_header(out, WS_BINARY, size, NULL), len);
        assert_memory_equal(out, wanted, len);
        len = vectors_bytes(&v, "client", wanted, sizeof wanted);
        assert_int_equal(ws_put_header(out, WS_BINARY, size, mask), len);
        assert_memory_equal(out, wanted, len);
    }
}

static void what_is_broken_is_refused_as_soon_as_it_shows(void **state) {
    (void)state;
    vectors v;
    uint8_t message[256], out[256];
    int count = 0;
    vectors_open(&v, "websocket.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "refused"))
            continue;
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        for (size_t piece = 1; piece <= len; piece++) {
            ws_decoder d;
            ws_message m;
            ws_decoder_init(&d, by_client(&v), MESSAGE_MAX);
            int r = 0;
            for (size_t at = 0; at < len && r == 0; at += piece)
                r = decode_in_pieces(&d, message + at, len - at < piece ? len - at : piece, piece, &m, out);
            assert_int_equal(r, error_of(&v));
            ws_decoder_dispose(&d);
        }
        count++;
    }
    assert_int_equal(count, 17);
}

static void close_codes_are_judged(void **state) {
    (void)state;
    vectors v;
    uint8_t data[WS_CONTROL_MAX];
    vectors_open(&v, "websocket.txt");
    while (vectors_next(&v)) {
        bool good = vectors_is(&v, "kind", "close");
        if (!good && !vectors_is(&v, "kind", "close_refused"))
            continue;
        ws_message m = {.opcode = WS_CLOSE, .data = data};
        m.len = vectors_bytes(&v, "data", data, sizeof data);
        assert_int_equal(ws_close_code(&m), good ? (int)vectors_u64(&v, "code") : IROH_ERR_PROTOCOL);
    }
}

static void the_opening_handshake_matches_the_rfc(void **state) {
    (void)state;
    vectors v;
    char key[64], wanted[64], accept[WS_ACCEPT_SIZE];
    int count = 0;
    vectors_open(&v, "websocket.txt");
    while (vectors_next(&v)) {
        if (!vectors_is(&v, "kind", "accept"))
            continue;
        size_t len = vectors_text(&v, "key", key, sizeof key);
        (void)vectors_text(&v, "accept", wanted, sizeof wanted);
        ws_accept(key, len, accept);
        assert_string_equal(accept, wanted);
        count++;
    }
    assert_int_equal(count, 1);
}

static void count_up(void *user, void *out, size_t len) {
    uint8_t *next = user, *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (*next)++;
}

static void keys_are_of_16_random_bytes(void **state) {
    (void)state;
    uint8_t next = 0;
    const entropy random = {count_up, &next};
    char key[WS_KEY_SIZE];
    ws_key(&random, key);
    assert_string_equal(key, "AAECAwQFBgcICQoLDA0ODw==");
    assert_int_equal(next, 16);
}

// A whole message must be a slice of what was read, and leave room for another header in front of it.
static void whole_messages_are_handed_out_in_place(void **state) {
    (void)state;
    static const uint8_t mask[4] = {0xa1, 0xb2, 0xc3, 0xd4};
    static const size_t sizes[] = {0, 1, 125, 126, 1234, 65535, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t len = sizes[i], header = ws_header_size(len, true), left = header + len;
        uint8_t *buffer = malloc(left), *p = buffer;
        assert_non_null(buffer);
        (void)ws_put_header(buffer, WS_BINARY, len, mask);
        for (size_t k = 0; k < len; k++)
            buffer[header + k] = (uint8_t)(k * 7 ^ mask[k % 4]);
        ws_decoder d;
        ws_message m;
        ws_decoder_init(&d, true, MESSAGE_MAX);
        assert_int_equal(ws_decode(&d, &p, &left, &m), 1);
        assert_true(m.data == buffer + header && m.len == len && left == 0 && d.partial == NULL);
        for (size_t k = 0; k < len; k++)
            assert_int_equal(m.data[k], (uint8_t)(k * 7));
        uint8_t *start = ws_prepend_header(m.data, len, WS_BINARY);
        assert_true(start >= buffer && m.data - start == (ptrdiff_t)ws_header_size(len, false));
        ws_decoder_dispose(&d);
        free(buffer);
    }
}

static void masks_turn_with_the_offset(void **state) {
    (void)state;
    static const uint8_t mask[4] = {1, 2, 4, 8};
    uint8_t bytes[100], whole[100], parts[100];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31);
    ws_mask(whole, bytes, sizeof bytes, mask, 0);
    for (size_t i = 0; i < sizeof bytes; i++)
        assert_int_equal(whole[i], bytes[i] ^ mask[i % 4]);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        ws_mask(parts, bytes, cut, mask, 0);
        ws_mask(parts + cut, bytes + cut, sizeof bytes - cut, mask, cut);
        assert_memory_equal(parts, whole, sizeof whole);
    }
}

static void control_frames_come_between_fragments(void **state) {
    (void)state;
    uint8_t bytes[] = {0x02, 1, 'a', 0x89, 1, 'p', 0x00, 1, 'b', 0x80, 1, 'c', 0x82, 1, 'd'};
    uint8_t *p = bytes;
    size_t left = sizeof bytes;
    ws_decoder d;
    ws_message m;
    ws_decoder_init(&d, false, MESSAGE_MAX);
    assert_int_equal(ws_decode(&d, &p, &left, &m), 1);
    assert_true(m.opcode == WS_PING && m.len == 1 && m.data[0] == 'p');
    assert_int_equal(ws_decode(&d, &p, &left, &m), 1);
    assert_true(m.opcode == WS_BINARY && m.len == 3 && memcmp(m.data, "abc", 3) == 0);
    assert_int_equal(ws_decode(&d, &p, &left, &m), 1);
    assert_true(m.opcode == WS_BINARY && m.len == 1 && m.data[0] == 'd');
    assert_null(d.whole);
    assert_int_equal(ws_decode(&d, &p, &left, &m), 0);
    ws_decoder_dispose(&d);
}

static void memory_grows_with_what_arrives_and_goes_when_idle(void **state) {
    (void)state;
    uint8_t header[] = {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0}, one = 'x', *p = header;
    size_t left = sizeof header;
    ws_decoder d;
    ws_message m;
    ws_decoder_init(&d, false, MESSAGE_MAX);
    assert_int_equal(ws_decode(&d, &p, &left, &m), 0);
    assert_true(d.partial_room < 1024);
    for (size_t i = 0; i < MESSAGE_MAX; i++) {
        p = &one;
        left = 1;
        assert_int_equal(ws_decode(&d, &p, &left, &m), i == MESSAGE_MAX - 1);
        assert_true(d.partial_room <= 2 * d.partial_len + 1024);
    }
    assert_int_equal(m.len, MESSAGE_MAX);
    p = &one;
    left = 0;
    assert_int_equal(ws_decode(&d, &p, &left, &m), 0);
    assert_null(d.partial);
    ws_decoder_dispose(&d);
}

static void the_bound_is_of_messages_not_of_frames(void **state) {
    (void)state;
    uint8_t bytes[] = {0x02, 3, 'a', 'b', 'c', 0x89, 5, 1, 2, 3, 4, 5, 0x00, 1, 'd', 0x80, 1, 'e'};
    uint8_t *p = bytes;
    size_t left = sizeof bytes;
    ws_decoder d;
    ws_message m;
    ws_decoder_init(&d, false, 4);
    assert_int_equal(ws_decode(&d, &p, &left, &m), 1);  // control frames have a bound of their own
    assert_int_equal(ws_decode(&d, &p, &left, &m), IROH_ERR_TOO_LARGE);
    ws_decoder_dispose(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_decode_however_they_are_cut),
        cmocka_unit_test(vectors_encode),
        cmocka_unit_test(headers_take_the_shortest_form),
        cmocka_unit_test(what_is_broken_is_refused_as_soon_as_it_shows),
        cmocka_unit_test(close_codes_are_judged),
        cmocka_unit_test(the_opening_handshake_matches_the_rfc),
        cmocka_unit_test(keys_are_of_16_random_bytes),
        cmocka_unit_test(whole_messages_are_handed_out_in_place),
        cmocka_unit_test(masks_turn_with_the_offset),
        cmocka_unit_test(control_frames_come_between_fragments),
        cmocka_unit_test(memory_grows_with_what_arrives_and_goes_when_idle),
        cmocka_unit_test(the_bound_is_of_messages_not_of_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
