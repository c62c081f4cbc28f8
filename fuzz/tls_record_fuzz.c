// The TLS record layer. The first byte chooses suite and version; then come steps: a record with any content and type that
// the peer seals, damaged or not, raw bytes, a rest. What was sealed as data and not damaged must arrive as it was, and
// whatever arrives must lie within what was given; after an error nothing is opened any more.
#include "web/tls_record.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200

enum { STEP_DATA, STEP_ANY, STEP_DAMAGED, STEP_RAW, STEP_REST, STEP_UPDATE, STEPS };

static bool open_all(tls_record *r, uint8_t *bytes, size_t len, const uint8_t *wanted, size_t wanted_len) {
    uint8_t *at = bytes, *content;
    size_t left = len, content_len;
    bool was_ended = r->ended, arrived = false;
    for (;;) {
        int result = tls_record_open(r, &at, &left, &content, &content_len);
        require(at >= bytes && at + left == bytes + len);
        if (result <= 0) {
            require(result == 0 || r->ended);
            break;
        }
        require(!was_ended && content >= bytes && content + content_len <= bytes + len);
        arrived = content_len == wanted_len && (wanted_len == 0 || memcmp(content, wanted, wanted_len) == 0);
    }
    return arrived;
}

static void step(tls_record *from, tls_record *to, reader *r, unsigned kind) {
    uint8_t room[TLS_RECORD_HEAD + UINT8_MAX + TLS_RECORD_TAIL], content[UINT8_MAX], *start;
    size_t len = reader_u8(r);
    len = len < reader_left(r) ? len : reader_left(r);
    const uint8_t *bytes = reader_bytes(r, len);
    if (len > 0)
        memcpy(content, bytes, len);
    if (kind == STEP_RAW) {
        (void)open_all(to, content, len, NULL, SIZE_MAX);
        return;
    }
    uint8_t type = kind == STEP_DATA ? TLS_RECORD_DATA : reader_u8(r), where = reader_u8(r);
    if (len > 0)
        memcpy(room + TLS_RECORD_HEAD, content, len);
    int n = kind == STEP_UPDATE ? tls_record_put_update(from, room, &start)
                                : tls_record_seal(from, type, room + TLS_RECORD_HEAD, len, &start);
    require(n > 0 && start >= room && start + n <= room + sizeof room);
    if (kind == STEP_DAMAGED)
        start[where % n] ^= (uint8_t)(1 << where % 8);
    bool expected = kind == STEP_DATA && !to->ended && to->message_len == 0 && to->idle < TLS_RECORD_IDLE_MAX &&
                    to->read.seq == from->write.seq - 1 &&
                    memcmp(to->read.secret, from->write.secret, sizeof to->read.secret) == 0;
    bool arrived = open_all(to, start, (size_t)n, content, len);
    require(arrived || !expected);
    require(kind != STEP_DAMAGED || !arrived);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    tls_record from, to;
    tls_record_secret one, two;
    reader r = reader_of(data, size);
    uint8_t choice = reader_u8(&r);
    bool old = (choice & 4) != 0;
    memset(&one, 1, sizeof one);
    memset(&two, 2, sizeof two);
    one.seq = two.seq = 0;
    const aead_suite *suite = aead_suite_by_id((uint16_t)(0x1301 + choice % 4 % 3));
    tls_record_init(&from, suite, old, &one, &two);
    tls_record_init(&to, suite, old, &two, &one);
    for (int i = 0; i < STEPS_MAX && reader_left(&r) > 0; i++) {
        unsigned kind = reader_u8(&r) % STEPS;
        if (kind == STEP_REST)
            (void)tls_record_rest(&to);
        else if (kind != STEP_UPDATE || !old)
            step(&from, &to, &r, kind);
    }
    tls_record_dispose(&from);
    tls_record_dispose(&to);
    return 0;
}
