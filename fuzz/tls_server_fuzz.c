// The server's handshake of ordinary TLS under bytes that no client would send. The first byte of the input chooses how:
//   bit 0   clear: the rest is what the client sends, records and all
//           set: the client sends a proper hello, which the server answers, and then records with contents of its choice:
//           type u8, what is done to the record u8, length u8, bytes; with the right keys
//   bit 1   set: everything comes byte by byte
// Whatever comes, the server waits, is done, or fails for good; it takes no more than there is; and it is done only if the
// client has sent the right Finished.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/bytes.h"
#include "localhost.h"
#include "require.h"
#include "tls/web_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 64

enum { DONE_NOTHING, DONE_DAMAGE, DONE_RAW, DONE_FINISHED, DONE_KINDS };

static web_certificate *certificate;

// Gives all of it, or until the server has had enough.
static int give(web_handshake *h, const uint8_t *bytes, size_t len, bool slowly) {
    int r = 0;
    while (r == 0 && len > 0) {
        size_t n = slowly ? 1 : len, left = n, out_len;
        const uint8_t *at = bytes;
        r = web_handshake_receive(h, &at, &left);
        require(left <= n && at == bytes + n - left && (r != 0 || left == 0));
        require(r == 0 || r == 1 || r == IROH_ERR_HANDSHAKE);
        (void)web_handshake_output(h, &out_len);
        bytes += n - left;
        len -= n - left;
    }
    size_t none = 0;
    const uint8_t *nowhere = bytes;
    require(r == 0 || web_handshake_receive(h, &nowhere, &none) == r);
    return r;
}

// One record of a client that knows the keys. What the server says of it.
static int step(web_handshake *h, tls_record *client, reader *r, bool slowly, size_t *proven) {
    uint8_t room[TLS_RECORD_HEAD + UINT8_MAX + TLS_RECORD_TAIL], *start = room;
    uint8_t type = reader_u8(r), kind = reader_u8(r);
    size_t len = reader_u8(r), whole = 4 + (size_t)h->own.suite->hash_len;
    len = len < reader_left(r) ? len : reader_left(r);
    const uint8_t *bytes = reader_bytes(r, len);
    type = type > 0 ? type : TLS_RECORD_DATA;  // 0 would be padding, and the content's last byte the type
    if (kind % DONE_KINDS == DONE_FINISHED) {
        bytes = h->own.expected + *proven;
        len = len < whole - *proven ? len : whole - *proven;
        type = TLS_RECORD_HANDSHAKE;
    }
    if (len > 0)
        memcpy(room + TLS_RECORD_HEAD, bytes, len);
    if (kind % DONE_KINDS == DONE_RAW)
        return give(h, room + TLS_RECORD_HEAD, len, slowly);
    bool right = type == TLS_RECORD_HANDSHAKE && len > 0 && len <= whole - *proven &&
                 memcmp(room + TLS_RECORD_HEAD, h->own.expected + *proven, len) == 0;
    int n = tls_record_seal(client, type, room + TLS_RECORD_HEAD, len, &start);
    require(n > 0);
    bool clean = h->held_len == 0;
    if (kind % DONE_KINDS == DONE_DAMAGE)
        start[kind % n] ^= 0x10;
    int result = give(h, start, (size_t)n, slowly);
    if (kind % DONE_KINDS == DONE_DAMAGE || !clean) {
        require(result != 1);
        return result;
    }
    require(right ? result == (*proven + len == whole) : result == IROH_ERR_HANDSHAKE);
    *proven += right ? len : 0;
    return result;
}

static void converse(web_handshake *h, reader *r, bool slowly) {
    size_t proven = 0;
    require(give(h, common_hello, sizeof common_hello, slowly) == 0 && h->stage == WEB_FINISHED);
    tls_record_secret write = {.seq = 0};
    memcpy(write.secret, h->own.record.read.secret, sizeof write.secret);
    tls_record client;
    tls_record_init(&client, h->own.suite, false, &write, &write);
    int result = 0;
    for (int i = 0; i < STEPS_MAX && result == 0 && reader_left(r) > 0; i++)
        result = step(h, &client, r, slowly, &proven);
    uint8_t out[16];
    web_secrets secrets;
    if (result == 1)
        require(web_handshake_secrets(h, &secrets) == 0 && secrets.suite->id == 0x1301 &&
                web_handshake_export(h, "EXPORTER-x", "", 0, out, sizeof out) == 0);
    tls_record_dispose(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    web_handshake *h = NULL;
    reader r = reader_of(data, size);
    uint8_t choice = reader_u8(&r);
    if (certificate == NULL)
        require(web_certificate_new(localhost_chain, sizeof localhost_chain - 1, localhost_key,
                                    sizeof localhost_key - 1, &certificate) == 0 &&
                certificate->key != NULL);
    require(web_handshake_new(certificate, &h) == 0);
    if ((choice & 1) != 0) {
        converse(h, &r, (choice & 2) != 0);
    } else {
        // Nobody has shown a Finished of this secret.
        size_t len = reader_left(&r);
        require(give(h, reader_bytes(&r, len), len, (choice & 2) != 0) != 1);
    }
    web_handshake_free(h);
    return 0;
}
