// A stream of WebSocket frames. The first byte says which side sends it, the second in which pieces it arrives. Read in one
// piece and in many it must give the same messages and end with the same result; and each message must be able to take an
// unmasked header in front of it.
#include <stdlib.h>
#include <string.h>

#include "require.h"
#include "web/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1 << 18)
#define MESSAGE_MAX 65536

typedef struct outcome {
    uint64_t hash;  // over the messages
    size_t count;
    int result;  // 0 or the error at the end
} outcome;

static void add(outcome *o, const uint8_t *p, size_t len) {
    for (size_t i = 0; i < len; i++)
        o->hash = (o->hash ^ p[i]) * UINT64_C(0x100000001b3);
}

static void take(outcome *o, const ws_decoder *d, ws_message *m) {
    uint8_t start[] = {(uint8_t)m->opcode, (uint8_t)m->len, (uint8_t)(m->len >> 8), (uint8_t)(m->len >> 16)};
    require(m->len <= (m->opcode >= WS_CLOSE ? WS_CONTROL_MAX : MESSAGE_MAX));
    add(o, start, sizeof start);
    add(o, m->data, m->len);
    o->count++;
    if (m->opcode == WS_CLOSE)
        (void)ws_close_code(m);
    if (d->masked)
        (void)ws_prepend_header(m->data, m->len, m->opcode);
}

// Each piece is in memory of its own, so that nothing outside of it goes unnoticed.
static outcome read_in_pieces(const uint8_t *bytes, size_t len, size_t piece, bool masked) {
    outcome o = {0};
    ws_decoder d;
    ws_message m;
    ws_decoder_init(&d, masked, MESSAGE_MAX);
    for (size_t at = 0; at < len && o.result == 0; at += piece) {
        size_t n = len - at < piece ? len - at : piece, left = n;
        uint8_t *copy = malloc(n), *p = copy;
        require(copy != NULL);
        memcpy(copy, bytes + at, n);
        int r = 1;
        while (r == 1) {
            r = ws_decode(&d, &p, &left, &m);
            if (r == 1)
                take(&o, &d, &m);
        }
        require(r < 0 || left == 0);
        o.result = r;
        free(copy);
    }
    ws_decoder_dispose(&d);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > INPUT_MAX)
        return 0;
    bool masked = (data[0] & 1) != 0;
    outcome whole = read_in_pieces(data + 2, size - 2, size, masked);
    outcome parts = read_in_pieces(data + 2, size - 2, 1U + data[1], masked);
    require(whole.hash == parts.hash && whole.count == parts.count && whole.result == parts.result);
    return 0;
}
