// WebSocket frames (RFC 6455, section 5) without extensions, in place.
//
// A message that lies whole in the caller's buffer is unmasked there and handed out as a slice of it; only what a read
// cuts in two, and messages in fragments, are gathered in a buffer of the decoder, which grows with what has arrived and
// never with what a header claims, and is given back as soon as it is empty: an idle connection costs the struct.
//
// Stricter than the RFC in nothing, and as strict as the original: minimal lengths, no reserved bits, masks exactly from
// clients, control frames whole and of at most 125 bytes, text in UTF-8.
//
// Our own and not wslay's: that one reads through a buffer of 4 KB for each connection and hands out pieces of at most
// that size, so that each message would be copied twice and an idle client would cost four times its state.
#ifndef WEB_WEBSOCKET_H
#define WEB_WEBSOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/entropy.h"

enum { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

#define WS_HEADER_MAX 14    // bytes: 2, length 8, mask 4
#define WS_CONTROL_MAX 125  // payload of a control frame
#define WS_CLOSE_NORMAL 1000
#define WS_CLOSE_NONE 1005  // reported for a close frame without a code; never on the wire

typedef struct ws_message {
    int opcode;     // WS_TEXT, WS_BINARY, WS_CLOSE, WS_PING or WS_PONG
    uint8_t *data;  // unmasked, writable
    size_t len;
} ws_message;

typedef struct ws_decoder {
    bool masked;           // frames must be masked (we are the server), else must not be
    uint8_t fragmented;    // opcode of the fragmented message under way, 0: none
    uint32_t message_max;  // bytes of a message
    uint8_t *partial;      // a frame that a read cut, from its header on; null: none
    uint32_t partial_len, partial_room;
    uint8_t *whole;  // fragments so far, after WS_HEADER_MAX bytes of room; null: none
    uint32_t whole_len, whole_room;
    bool spent;  // `partial` was handed out and is to be given back
} ws_decoder;

// A decoder for what the other side sends; `masked` when that side is the client. Allocates nothing.
void ws_decoder_init(ws_decoder *d, bool masked, size_t message_max);
void ws_decoder_dispose(ws_decoder *d);

// Takes the next message out of *bytes, *len of them, and advances both. 1: `out` is a message, valid until the next call
// or until the buffer is used otherwise. In front of data there are as many writable bytes as an unmasked header of that
// length has, if the frame was masked or fragmented. 0: all bytes were taken, more are needed. IROH_ERR_PROTOCOL,
// IROH_ERR_TOO_LARGE (message_max), IROH_ERR_UTF8, IROH_ERR_NOMEM: the connection is over.
int ws_decode(ws_decoder *d, uint8_t **bytes, size_t *len, ws_message *out);

// The code of a close message; WS_CLOSE_NONE if it has none, IROH_ERR_PROTOCOL if it is one that nobody may send.
int ws_close_code(const ws_message *m);

size_t ws_header_size(size_t len, bool masked);

// Writes a header for a final frame at `out` (room for ws_header_size): its size. `mask` null: unmasked.
size_t ws_put_header(uint8_t *out, int opcode, size_t len, const uint8_t *mask);

// Writes an unmasked header immediately in front of data, and returns where it starts.
uint8_t *ws_prepend_header(uint8_t *data, size_t len, int opcode);

// out = bytes xor mask, where the first byte is number `offset` of the payload. `out` may be `bytes`.
void ws_mask(uint8_t *out, const uint8_t *bytes, size_t len, const uint8_t mask[static 4], size_t offset);

// The opening handshake (RFC 6455, section 4): a random key, and the answer that proves that it was read. Both terminated.
#define WS_KEY_SIZE 25
#define WS_ACCEPT_SIZE 29
void ws_key(const entropy *random, char out[static WS_KEY_SIZE]);
void ws_accept(const char *key, size_t key_len, char out[static WS_ACCEPT_SIZE]);

#endif
