#include "web/websocket.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/utf8.h"
#include "crypto/sha1.h"

#define FIN 0x80
#define RESERVED 0x70
#define OPCODE 0x0f
#define CONTROL 0x08  // bit of the opcodes of control frames
#define MASKED 0x80
#define LEN_16 126  // in place of a length: two bytes of length follow
#define LEN_64 127  // or eight
#define MASK_SIZE 4
#define GROW_MIN 512  // bytes

#define ACCEPT_MAGIC "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

typedef struct frame {
    uint8_t opcode;
    bool final;
    const uint8_t *mask;  // in the header; null: none
    size_t header;        // bytes
    size_t payload;
} frame;

// --- Headers

size_t ws_header_size(size_t len, bool masked) {
    size_t size = len < LEN_16 ? 2 : len <= UINT16_MAX ? 4 : 10;
    return size + (masked ? MASK_SIZE : 0);
}

size_t ws_put_header(uint8_t *out, int opcode, size_t len, const uint8_t *mask) {
    writer w = writer_of(out, ws_header_size(len, mask != NULL));
    uint8_t masked = mask != NULL ? MASKED : 0;
    writer_u8(&w, (uint8_t)(FIN | opcode));
    if (len < LEN_16) {
        writer_u8(&w, (uint8_t)(masked | len));
    } else if (len <= UINT16_MAX) {
        writer_u8(&w, masked | LEN_16);
        writer_u16(&w, (uint16_t)len);
    } else {
        writer_u8(&w, masked | LEN_64);
        writer_u64(&w, len);
    }
    if (mask != NULL)
        writer_bytes(&w, mask, MASK_SIZE);
    return writer_len(&w);
}

uint8_t *ws_prepend_header(uint8_t *data, size_t len, int opcode) {
    uint8_t *start = data - ws_header_size(len, false);
    (void)ws_put_header(start, opcode, len, NULL);
    return start;
}

static bool opcode_known(uint8_t opcode) {
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

// What the first two bytes show.
static int check_start(const ws_decoder *d, const uint8_t *p) {
    uint8_t opcode = p[0] & OPCODE;
    if ((p[0] & RESERVED) != 0 || !opcode_known(opcode) || ((p[1] & MASKED) != 0) != d->masked)
        return IROH_ERR_PROTOCOL;
    if ((opcode & CONTROL) != 0)
        return (p[0] & FIN) != 0 && (p[1] & ~MASKED) <= WS_CONTROL_MAX ? 0 : IROH_ERR_PROTOCOL;
    // A continuation only inside a fragmented message, any other data frame only outside of one.
    return (opcode == WS_CONTINUATION) == (d->fragmented != 0) ? 0 : IROH_ERR_PROTOCOL;
}

static int check_length(const ws_decoder *d, uint8_t opcode, uint8_t form, uint64_t len) {
    if ((form == LEN_16 && len < LEN_16) || (form == LEN_64 && len <= UINT16_MAX) || len > INT64_MAX)
        return IROH_ERR_PROTOCOL;
    uint64_t before = (opcode & CONTROL) == 0 && d->fragmented != 0 ? d->whole_len : 0;
    return len <= d->message_max - before || (opcode & CONTROL) != 0 ? 0 : IROH_ERR_TOO_LARGE;
}

// 1: a whole header; 0: more bytes are needed.
static int parse_header(const ws_decoder *d, const uint8_t *p, size_t len, frame *out) {
    if (len < 2)
        return 0;
    int r = check_start(d, p);
    if (r != 0)
        return r;
    reader at = reader_of(p + 2, len - 2);
    uint8_t form = p[1] & (uint8_t)~MASKED;
    uint64_t payload = form == LEN_16 ? reader_u16(&at) : form == LEN_64 ? reader_u64(&at) : form;
    if (at.failed)
        return 0;
    r = check_length(d, p[0] & OPCODE, form, payload);
    if (r != 0)
        return r;
    const uint8_t *mask = d->masked ? reader_bytes(&at, MASK_SIZE) : NULL;
    if (at.failed)
        return 0;
    *out = (frame){
        .opcode = p[0] & OPCODE,
        .final = (p[0] & FIN) != 0,
        .mask = mask,
        .header = (size_t)(at.p - p),
        .payload = (size_t)payload,
    };
    return 1;
}

// --- Buffers

void ws_decoder_init(ws_decoder *d, bool masked, size_t message_max) {
    *d = (ws_decoder){.masked = masked, .message_max = (uint32_t)message_max};
}

static void drop_partial(ws_decoder *d) {
    free(d->partial);
    d->partial = NULL;
    d->partial_len = d->partial_room = 0;
    d->spent = false;
}

static void drop_whole(ws_decoder *d) {
    free(d->whole);
    d->whole = NULL;
    d->whole_len = d->whole_room = 0;
}

void ws_decoder_dispose(ws_decoder *d) {
    drop_partial(d);
    drop_whole(d);
}

// Makes room for `len` bytes, which have arrived, at least doubling it.
static int grow(uint8_t **buffer, uint32_t *room, size_t len) {
    if (len <= *room)
        return 0;
    size_t wanted = 2 * (size_t)*room > len ? 2 * (size_t)*room : len;
    wanted = wanted > GROW_MIN ? wanted : GROW_MIN;
    uint8_t *grown = realloc(*buffer, wanted);
    if (grown == NULL)
        return IROH_ERR_NOMEM;
    *buffer = grown;
    *room = (uint32_t)wanted;
    return 0;
}

// Moves up to `wanted` bytes of the input behind the partial frame.
static int gather(ws_decoder *d, uint8_t **bytes, size_t *len, size_t wanted) {
    size_t n = wanted < *len ? wanted : *len;
    int r = grow(&d->partial, &d->partial_room, d->partial_len + n);
    if (r != 0)
        return r;
    if (n > 0)
        memcpy(d->partial + d->partial_len, *bytes, n);
    d->partial_len += (uint32_t)n;
    *bytes += n;
    *len -= n;
    return 0;
}

// --- Frames to messages

static int add_fragment(ws_decoder *d, const frame *f, const uint8_t *payload) {
    size_t end = WS_HEADER_MAX + d->whole_len + f->payload;
    int r = grow(&d->whole, &d->whole_room, end);
    if (r != 0)
        return r;
    if (f->payload > 0)
        memcpy(d->whole + end - f->payload, payload, f->payload);
    d->whole_len += (uint32_t)f->payload;
    if (f->opcode != WS_CONTINUATION)
        d->fragmented = f->opcode;
    return 0;
}

static int finish(const ws_message *m) {
    return m->opcode != WS_TEXT || utf8_valid(m->data, m->len) ? 1 : IROH_ERR_UTF8;
}

// Takes a whole frame: 1 with a message, 0 when it is a fragment of one.
static int take_frame(ws_decoder *d, const frame *f, uint8_t *payload, ws_message *out) {
    if (f->mask != NULL)
        ws_mask(payload, payload, f->payload, f->mask, 0);
    if (f->final && f->opcode != WS_CONTINUATION) {
        *out = (ws_message){f->opcode, payload, f->payload};
        return finish(out);
    }
    int r = add_fragment(d, f, payload);
    if (r != 0 || !f->final)
        return r;
    *out = (ws_message){d->fragmented, d->whole + WS_HEADER_MAX, d->whole_len};
    d->fragmented = 0;
    return finish(out);
}

// A frame that lies whole in the input. 1: it is at *at; 0: it does not.
static int frame_in_place(const ws_decoder *d, uint8_t **bytes, size_t *len, frame *f, uint8_t **at) {
    int r = parse_header(d, *bytes, *len, f);
    if (r != 1 || *len - f->header < f->payload)
        return r < 0 ? r : 0;
    *at = *bytes;
    *bytes += f->header + f->payload;
    *len -= f->header + f->payload;
    return 1;
}

// Completes the frame that began in an earlier read, or puts aside one that begins at the end of this one: first its
// header, which says how much there is to come. 1: it is at *at; 0: the input has ended.
static int frame_in_pieces(ws_decoder *d, uint8_t **bytes, size_t *len, frame *f, uint8_t **at) {
    for (;;) {
        int whole = parse_header(d, d->partial, d->partial_len, f);
        size_t missing = whole == 1 ? f->header + f->payload - d->partial_len : 1;
        if (whole < 0)
            return whole;
        if (missing == 0)
            break;
        if (*len == 0)
            return 0;
        int r = gather(d, bytes, len, missing);
        if (r != 0)
            return r;
    }
    *at = d->partial;
    d->spent = true;
    return 1;
}

int ws_decode(ws_decoder *d, uint8_t **bytes, size_t *len, ws_message *out) {
    if (d->fragmented == 0)
        drop_whole(d);
    for (;;) {
        frame f;
        uint8_t *at;
        if (d->spent)
            drop_partial(d);
        int r = d->partial_len == 0 ? frame_in_place(d, bytes, len, &f, &at) : 0;
        if (r == 0)
            r = frame_in_pieces(d, bytes, len, &f, &at);
        if (r != 1)
            return r;
        r = take_frame(d, &f, at + f.header, out);
        if (r != 0)
            return r;
    }
}

int ws_close_code(const ws_message *m) {
    if (m->len == 0)
        return WS_CLOSE_NONE;
    if (m->len == 1 || !utf8_valid(m->data + 2, m->len - 2))
        return IROH_ERR_PROTOCOL;
    int code = m->data[0] << 8 | m->data[1];
    bool registered = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
    return registered || (code >= 3000 && code <= 4999) ? code : IROH_ERR_PROTOCOL;
}

// --- Masks

void ws_mask(uint8_t *out, const uint8_t *bytes, size_t len, const uint8_t mask[static 4], size_t offset) {
    uint8_t turned[16];
    uint64_t key[2], word[2];
    for (size_t i = 0; i < sizeof turned; i++)
        turned[i] = mask[(offset + i) % MASK_SIZE];
    memcpy(key, turned, sizeof key);
    size_t i = 0;
    for (; len - i >= sizeof word; i += sizeof word) {
        memcpy(word, bytes + i, sizeof word);
        word[0] ^= key[0];
        word[1] ^= key[1];
        memcpy(out + i, word, sizeof word);
    }
    for (; i < len; i++)
        out[i] = bytes[i] ^ turned[i % MASK_SIZE];
}

// --- Opening handshake

void ws_key(const entropy *random, char out[static WS_KEY_SIZE]) {
    uint8_t nonce[16];
    entropy_fill(random, nonce, sizeof nonce);
    base64_encode(BASE64_PADDED, nonce, sizeof nonce, out);
    out[WS_KEY_SIZE - 1] = '\0';
}

void ws_accept(const char *key, size_t key_len, char out[static WS_ACCEPT_SIZE]) {
    uint8_t hash[SHA1_SIZE];
    sha1_of_two(key, key_len, ACCEPT_MAGIC, sizeof ACCEPT_MAGIC - 1, hash);
    base64_encode(BASE64_PADDED, hash, sizeof hash, out);
    out[WS_ACCEPT_SIZE - 1] = '\0';
}
