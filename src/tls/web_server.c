// Every handshake begins here: what the client says is held until its first record is whole. If that is a hello of the
// common kind, our own handshake answers it; else the library gets all that came, and everything after it.
#include "tls/web_server.h"

#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/hkdf.h"
#include "tls/web_state.h"

#define HELD_ROOM 512  // bytes at first: most hellos

int web_handshake_new(web_certificate *c, web_handshake **out) {
    web_handshake *h = calloc(1, sizeof *h);
    if (h == NULL)
        return IROH_ERR_NOMEM;
    h->certificate = web_certificate_ref(c);
    *out = h;
    return 0;
}

void web_handshake_free(web_handshake *h) {
    if (h == NULL)
        return;
    web_library_close(h);
    tls_server_dispose(&h->own);
    web_certificate_unref(h->certificate);
    free(h->held);
    free(h->output);
    wipe(h, sizeof *h);
    free(h);
}

const uint8_t *web_handshake_output(web_handshake *h, size_t *len) {
    *len = h->output_len;
    h->output_len = 0;
    return h->output;
}

// --- Records

// Moves input to what is held, until there are `wanted` bytes or no more input. Whether there are; grows with what came
// alone, not with what was announced.
static bool hold(web_handshake *h, size_t wanted) {
    size_t n = h->held_len < wanted ? wanted - h->held_len : 0;
    n = n < h->input_len ? n : h->input_len;
    if (h->held_len + n > h->held_room) {
        size_t room = h->held_len + n < HELD_ROOM ? HELD_ROOM : 2 * (h->held_len + n);
        uint8_t *grown = realloc(h->held, room);
        if (grown == NULL) {
            h->no_memory = true;
            return false;
        }
        h->held = grown;
        h->held_room = room;
    }
    if (n > 0)
        memcpy(h->held + h->held_len, h->input, n);
    h->held_len += n;
    h->input += n;
    h->input_len -= n;
    return h->held_len >= wanted;
}

static size_t body_len(const web_handshake *h) {
    return (size_t)h->held[3] << 8 | h->held[4];
}

// --- The hello

static int leave_to_library(web_handshake *h) {
    h->stage = WEB_LIBRARY;
    int r = web_library_open(h);
    if (r != 0)
        return r == IROH_ERR_NOMEM ? r : IROH_ERR_HANDSHAKE;
    return web_library_receive(h);
}

// Whether the record that is held, of which at least a byte is there, may be a hello for us.
static bool may_be_ours(const web_handshake *h) {
    if (h->certificate->key == NULL || h->held[0] != TLS_RECORD_HANDSHAKE)
        return false;
    return h->held_len < TLS_RECORD_HEADER ||
           (h->held[1] == 3 && body_len(h) > 0 && body_len(h) <= TLS_SERVER_HELLO_MAX);
}

static int answer(web_handshake *h) {
    const tls_credential *c = &h->certificate->credential;
    tls_server_seed seed;
    size_t room = tls_server_room(c);
    h->output = malloc(room);
    if (h->output == NULL)
        return IROH_ERR_NOMEM;
    h->output_room = room;
    if (gnutls_rnd(GNUTLS_RND_NONCE, seed.random, sizeof seed.random) != 0 ||
        gnutls_rnd(GNUTLS_RND_KEY, seed.secret, sizeof seed.secret) != 0)
        return 0;
    int r = tls_server_answer(&h->own, c, &seed, h->held + TLS_RECORD_HEADER, h->held_len - TLS_RECORD_HEADER,
                              h->output, room);
    wipe(&seed, sizeof seed);
    if (r > 0)
        h->output_len = (size_t)r;
    return r;
}

static int take_hello(web_handshake *h) {
    bool header = hold(h, TLS_RECORD_HEADER);
    if (h->no_memory)
        return IROH_ERR_NOMEM;
    if (h->held_len == 0)
        return 0;
    if (!may_be_ours(h))
        return leave_to_library(h);
    if (!header || !hold(h, TLS_RECORD_HEADER + body_len(h)))
        return h->no_memory ? IROH_ERR_NOMEM : 0;
    int r = answer(h);
    if (r == 0)
        return leave_to_library(h);
    if (r < 0)
        return r;
    h->stage = WEB_FINISHED;
    h->held_len = 0;
    return 0;
}

// --- What comes behind it

static void say_alert(web_handshake *h) {
    uint8_t room[TLS_RECORD_SMALL], *start;
    if (h->own.alert == TLS_ALERT_CLOSE_NOTIFY)
        return;
    int len = tls_server_put_alert(&h->own, room, &start);
    // The answer's room is larger, and what was in it has been sent.
    if (len > 0 && (size_t)len <= h->output_room - h->output_len) {
        memcpy(h->output + h->output_len, start, (size_t)len);
        h->output_len += (size_t)len;
    }
}

static int take_finished(web_handshake *h) {
    int r = 0;
    while (r == 0 && h->input_len > 0) {
        if (!hold(h, TLS_RECORD_HEADER))
            break;
        // Of a longer one than there may be, its header alone says it.
        size_t len = TLS_RECORD_HEADER + body_len(h);
        if (len <= TLS_RECORD_MAX && !hold(h, len))
            break;
        r = tls_server_take(&h->own, h->held, h->held_len);
        h->held_len = 0;
    }
    if (h->no_memory)
        return IROH_ERR_NOMEM;
    if (r == IROH_ERR_HANDSHAKE)
        say_alert(h);
    return r;
}

int web_handshake_receive(web_handshake *h, const uint8_t **bytes, size_t *len) {
    if (h->result != 0)
        return h->result;
    h->input = *bytes;
    h->input_len = *len;
    int r = 0;
    if (h->stage == WEB_LIBRARY)
        r = web_library_receive(h);
    if (h->stage == WEB_HELLO)
        r = take_hello(h);
    if (h->stage == WEB_FINISHED && r == 0)
        r = take_finished(h);
    *bytes = h->input;
    *len = h->input_len;
    h->result = r;
    return r;
}

// --- What is left of it

int web_handshake_secrets(const web_handshake *h, web_secrets *out) {
    if (h->stage == WEB_LIBRARY)
        return web_library_secrets(h, out);
    *out = (web_secrets){.suite = h->own.suite};
    memcpy(out->read.secret, h->own.read, sizeof h->own.read);
    memcpy(out->write.secret, h->own.write, sizeof h->own.write);
    return 0;
}

int web_handshake_export(const web_handshake *h, const char *label, const void *context, size_t context_len,
                         uint8_t *out, size_t len) {
    if (h->stage == WEB_LIBRARY)
        return web_library_export(h, label, context, context_len, out, len);
    return hkdf_tls_export(h->own.suite->hash_len, h->own.exporter, label, strlen(label), context, context_len, out,
                           len) == 0
               ? 0
               : IROH_ERR_CRYPTO;
}
