// Relay frames against the printed vectors, every row under truncation and round trips, what may not be sent, and the
// forwarding in place.
#include "relay/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

#include "unit/vector_support.h"

static size_t maybe_bytes(const vectors *v, const char *name, uint8_t *out, size_t room) {
    return vectors_has(v, name) ? vectors_bytes(v, name, out, room) : 0;
}

static uint64_t maybe_u64(const vectors *v, const char *name) {
    return vectors_has(v, name) ? vectors_u64(v, name) : 0;
}

static void check_fields(const vectors *v, const relay_frame *f) {
    uint8_t data[512], id[RELAY_ID];
    size_t len = maybe_bytes(v, "data", data, sizeof data);
    assert_int_equal(f->len, len);
    if (len > 0)
        assert_memory_equal(f->data, data, len);
    assert_int_equal(f->id != NULL, vectors_has(v, "id"));
    if (maybe_bytes(v, "id", id, sizeof id) > 0)
        assert_memory_equal(f->id, id, sizeof id);
    assert_int_equal(f->ecn, maybe_u64(v, "ecn"));
    assert_int_equal(f->segment, maybe_u64(v, "segment"));
    assert_int_equal(f->code, maybe_u64(v, "code"));
    assert_int_equal(f->reconnect_in, maybe_u64(v, "reconnect_in"));
    assert_int_equal(f->try_for, maybe_u64(v, "try_for"));
}

static void check_encoding(const vectors *v, const relay_frame *f) {
    uint8_t wanted[512], out[512];
    size_t len = vectors_bytes(v, vectors_has(v, "canon") ? "canon" : "message", wanted, sizeof wanted);
    writer w = writer_of(out, len);
    relay_frame_encode(&w, f);
    assert_false(w.failed);
    assert_int_equal(writer_len(&w), len);
    assert_memory_equal(out, wanted, len);
    for (size_t room = 0; room < len; room++) {
        w = writer_of(out, room);
        relay_frame_encode(&w, f);
        assert_true(w.failed);
    }
}

// A frame is for who may send it, in its versions and its phase, and for nobody else.
static void check_places(const vectors *v, const uint8_t *message, size_t len) {
    uint64_t senders = vectors_u64(v, "sender"), versions = vectors_u64(v, "versions"), phase = vectors_u64(v, "phase");
    for (uint8_t sender = RELAY_BY_CLIENT; sender <= RELAY_BY_SERVER; sender++) {
        for (uint8_t version = RELAY_V1; version <= RELAY_V2; version++) {
            for (uint8_t p = RELAY_IN_HANDSHAKE; p <= RELAY_IN_SESSION; p++) {
                relay_frame f;
                bool allowed = (senders & sender) != 0 && (versions & 1U << version) != 0 && p == phase;
                int r = relay_frame_decode(message, len, sender, version, p, &f);
                assert_int_equal(r, allowed ? 0 : IROH_ERR_UNSUPPORTED);
                if (!allowed)
                    continue;
                check_fields(v, &f);
                check_encoding(v, &f);
                assert_true(relay_frame_id_valid(&f));
                assert_true(vectors_is(v, "name", relay_frame_info_of(f.type)->name));
            }
        }
    }
}

static void vectors_decode_and_encode(void **state) {
    (void)state;
    vectors v;
    uint8_t message[512];
    bool seen[RELAY_STATUS + 1] = {false};
    vectors_open(&v, "relay_frames.txt");
    while (vectors_next(&v)) {
        if (vectors_has(&v, "error"))
            continue;
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        check_places(&v, message, len);
        if (message[0] <= RELAY_STATUS)
            seen[message[0]] = true;
    }
    for (size_t i = 0; i <= RELAY_STATUS; i++)
        assert_true(seen[i]);
}

static void what_is_broken_is_refused(void **state) {
    (void)state;
    vectors v;
    uint8_t message[512];
    int count = 0;
    vectors_open(&v, "relay_frames.txt");
    while (vectors_next(&v)) {
        relay_frame f;
        if (!vectors_has(&v, "error"))
            continue;
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        int r = relay_frame_decode(message, len, (uint8_t)vectors_u64(&v, "sender"),
                                   (uint8_t)vectors_u64(&v, "version"), (uint8_t)vectors_u64(&v, "phase"), &f);
        if (r == 0 && !relay_frame_id_valid(&f))
            r = IROH_ERR_KEY;
        assert_true(vectors_is(&v, "error", iroh_error_name(r)));
        count++;
    }
    assert_int_equal(count, 32);
    relay_frame f;
    assert_int_equal(relay_frame_decode(message, 0, RELAY_BY_SERVER, RELAY_V2, RELAY_IN_SESSION, &f), IROH_ERR_SYNTAX);
}

// Cut anywhere, a vector fails or is a frame that holds less; nothing is read beyond the cut.
static void cut_frames_stay_within_their_bytes(void **state) {
    (void)state;
    vectors v;
    uint8_t message[512];
    vectors_open(&v, "relay_frames.txt");
    while (vectors_next(&v)) {
        if (vectors_has(&v, "error"))
            continue;
        size_t len = vectors_bytes(&v, "message", message, sizeof message);
        uint8_t sender = (uint8_t)(vectors_u64(&v, "sender") & 1 ? RELAY_BY_CLIENT : RELAY_BY_SERVER);
        uint8_t version = vectors_u64(&v, "versions") & 4 ? RELAY_V2 : RELAY_V1;
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *exact = malloc(cut > 0 ? cut : 1);
            relay_frame f;
            assert_non_null(exact);
            memcpy(exact, message, cut);
            int r = relay_frame_decode(exact, cut, sender, version, (uint8_t)vectors_u64(&v, "phase"), &f);
            if (r == 0 && f.len > 0)
                assert_true(f.data >= exact && f.data + f.len <= exact + cut);
            free(exact);
        }
    }
}

static void sizes_are_bounded(void **state) {
    (void)state;
    uint8_t *message = calloc(1, RELAY_MESSAGE_MAX + 1), *out = malloc(RELAY_MESSAGE_MAX);
    assert_true(message != NULL && out != NULL);
    message[0] = RELAY_TO_CLIENT;
    relay_frame f;
    assert_int_equal(relay_frame_decode(message, 1 + RELAY_BODY_MAX, RELAY_BY_SERVER, RELAY_V2, RELAY_IN_SESSION, &f),
                     0);
    assert_int_equal(relay_frame_decode(message, 2 + RELAY_BODY_MAX, RELAY_BY_SERVER, RELAY_V2, RELAY_IN_SESSION, &f),
                     IROH_ERR_TOO_LARGE);
    for (uint8_t type = RELAY_TO_RELAY; type <= RELAY_TO_CLIENT_BATCH; type++) {
        size_t max = type % 2 == 0 ? 65502 : 65500;
        relay_frame datagram = {.type = type, .segment = 1200, .id = message, .data = message, .len = max};
        writer w = writer_of(out, RELAY_MESSAGE_MAX);
        relay_frame_encode(&w, &datagram);
        assert_true(!w.failed && writer_len(&w) == RELAY_FRAME_MAX);
        datagram.len = max + 1;
        w = writer_of(out, RELAY_MESSAGE_MAX);
        relay_frame_encode(&w, &datagram);
        assert_true(w.failed);
        datagram.len = 0;
        w = writer_of(out, RELAY_MESSAGE_MAX);
        relay_frame_encode(&w, &datagram);
        assert_true(w.failed);
    }
    free(message);
    free(out);
}

static void wrong_lengths_and_types_are_not_written(void **state) {
    (void)state;
    uint8_t out[128], bytes[128] = {0};
    const relay_frame wrong[] = {
        {.type = RELAY_PING_FRAME, .data = bytes, .len = 7},
        {.type = RELAY_SERVER_CHALLENGE, .data = bytes, .len = 15},
        {.type = RELAY_CLIENT_AUTH, .id = bytes, .data = bytes, .len = 63},
        {.type = 14},
        {.type = 255},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        writer w = writer_of(out, sizeof out);
        relay_frame_encode(&w, &wrong[i]);
        assert_true(w.failed);
    }
}

static const uint8_t sender_id[RELAY_ID] = {7, 7, 7};

static size_t forward(uint8_t *message, size_t len, uint8_t **out) {
    relay_frame f;
    assert_int_equal(relay_frame_decode(message, len, RELAY_BY_CLIENT, RELAY_V2, RELAY_IN_SESSION, &f), 0);
    return relay_frame_forward(message, len, &f, sender_id, out);
}

static size_t make(uint8_t *out, uint8_t type, uint16_t segment, uint8_t ecn, const char *payload) {
    writer w = writer_of(out, 200);
    writer_u8(&w, type);
    memset(writer_room(&w, RELAY_ID), 9, RELAY_ID);
    writer_u8(&w, ecn);
    if (type == RELAY_TO_RELAY_BATCH)
        writer_u16(&w, segment);
    writer_bytes(&w, payload, strlen(payload));
    return writer_len(&w);
}

static void check_forwarded(const uint8_t *out, size_t len, uint8_t type, uint16_t segment, const char *payload) {
    relay_frame f;
    assert_int_equal(relay_frame_decode(out, len, RELAY_BY_SERVER, RELAY_V1, RELAY_IN_SESSION, &f), 0);
    assert_true(f.type == type && f.segment == segment && out[1 + RELAY_ID] == 3);
    assert_memory_equal(f.id, sender_id, RELAY_ID);
    assert_int_equal(f.len, strlen(payload));
    assert_memory_equal(f.data, payload, f.len);
}

static void datagrams_are_forwarded_in_place(void **state) {
    (void)state;
    uint8_t message[256], *out;
    size_t len = make(message, RELAY_TO_RELAY, 0, 0xff, "single");
    assert_int_equal(forward(message, len, &out), len);
    assert_ptr_equal(out, message);
    check_forwarded(out, len, RELAY_TO_CLIENT, 0, "single");
    len = make(message, RELAY_TO_RELAY_BATCH, 4, 7, "aaaabbbbcc");
    assert_int_equal(forward(message, len, &out), len);
    check_forwarded(out, len, RELAY_TO_CLIENT_BATCH, 4, "aaaabbbbcc");
    len = make(message, RELAY_TO_RELAY_BATCH, 100, 3, "short");
    assert_int_equal(forward(message, len, &out), len);
    check_forwarded(out, len, RELAY_TO_CLIENT_BATCH, 100, "short");
}

static void a_batch_without_segments_becomes_a_datagram(void **state) {
    (void)state;
    uint8_t message[256], *out;
    size_t len = make(message, RELAY_TO_RELAY_BATCH, 0, 3, "whole");
    assert_int_equal(forward(message, len, &out), len - 2);
    check_forwarded(out, len - 2, RELAY_TO_CLIENT, 0, "whole");
}

static void a_longer_type_is_left_behind(void **state) {
    (void)state;
    uint8_t message[256], *out;
    size_t len = make(message + 1, RELAY_TO_RELAY, 0, 3, "x") + 1;
    message[0] = 0x40;
    assert_int_equal(forward(message, len, &out), len - 1);
    check_forwarded(out, len - 1, RELAY_TO_CLIENT, 0, "x");
}

// What the receiver's side would choke on never gets there.
static void empty_and_oversize_datagrams_are_not_forwarded(void **state) {
    (void)state;
    uint8_t *message = calloc(1, RELAY_MESSAGE_MAX), *before = malloc(RELAY_MESSAGE_MAX), *out = NULL;
    assert_true(message != NULL && before != NULL);
    for (uint8_t type = RELAY_TO_RELAY; type <= RELAY_TO_RELAY_BATCH; type++) {
        size_t head = type == RELAY_TO_RELAY ? RELAY_DATAGRAM_HEAD : RELAY_BATCH_HEAD;
        memset(message, 1, RELAY_MESSAGE_MAX);
        message[0] = type;
        memcpy(before, message, RELAY_MESSAGE_MAX);
        assert_int_equal(forward(message, head, &out), 0);
        assert_int_equal(forward(message, RELAY_FRAME_MAX + 1, &out), 0);
        assert_memory_equal(message, before, RELAY_MESSAGE_MAX);
        assert_int_equal(forward(message, RELAY_FRAME_MAX, &out), RELAY_FRAME_MAX);
    }
    free(message);
    free(before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_decode_and_encode),
        cmocka_unit_test(what_is_broken_is_refused),
        cmocka_unit_test(cut_frames_stay_within_their_bytes),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(wrong_lengths_and_types_are_not_written),
        cmocka_unit_test(datagrams_are_forwarded_in_place),
        cmocka_unit_test(a_batch_without_segments_becomes_a_datagram),
        cmocka_unit_test(a_longer_type_is_left_behind),
        cmocka_unit_test(empty_and_oversize_datagrams_are_not_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
