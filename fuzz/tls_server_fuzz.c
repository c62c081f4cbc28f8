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
#include "require.h"
#include "tls/web_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 64

enum { DONE_NOTHING, DONE_DAMAGE, DONE_RAW, DONE_FINISHED, DONE_KINDS };

// A self-signed certificate for localhost, over P-256.
static const char chain[] = "-----BEGIN CERTIFICATE-----\n"
                            "MIIBFTCBu6ADAgECAgEBMAoGCCqGSM49BAMCMBQxEjAQBgNVBAMMCWxvY2FsaG9z\n"
                            "dDAeFw0yNDAxMDEwMDAwMDBaFw00NDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMMCWxv\n"
                            "Y2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDi5cFDp6/k1pMvIfjhS\n"
                            "eM9ceT9OOMDj/t/zu4bcdEUbAcyeAe+G8FdQ/Fm+ccQA7VKWMKuwBPKqSFEP+zo4\n"
                            "nyIwCgYIKoZIzj0EAwIDSQAwRgIhAK07LBZt3dm4ynr25DB6su4A0HnyYCggJQDI\n"
                            "guTZXpmsAiEA0XHUQOMB2esp2RTJ1L4z5OKFWaSXiCIJXWWl965BUzA=\n"
                            "-----END CERTIFICATE-----\n";
static const char key[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgj9/3RvPzXhDaqTZC\n"
                          "doi++r/FDO1opTKbgPIW7ULvmLKhRANCAAQ4uXBQ6ev5NaTLyH44UnjPXHk/TjjA\n"
                          "4/7f87uG3HRFGwHMngHvhvBXUPxZvnHEAO1SljCrsATyqkhRD/s6OJ8i\n"
                          "-----END PRIVATE KEY-----\n";

// A record with a hello of the common kind: AES-128-GCM, X25519, ECDSA.
static const uint8_t hello[] = {
    0x16, 0x03, 0x01, 0x00, 0x7b, 0x01, 0x00, 0x00, 0x77, 0x03, 0x03, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
    0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
    0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x00, 0x00, 0x02, 0x13, 0x01, 0x01, 0x00, 0x00, 0x4c, 0x00, 0x2b, 0x00, 0x03, 0x02,
    0x03, 0x04, 0x00, 0x0a, 0x00, 0x04, 0x00, 0x02, 0x00, 0x1d, 0x00, 0x0d, 0x00, 0x04, 0x00, 0x02, 0x04, 0x03, 0x00,
    0x33, 0x00, 0x26, 0x00, 0x24, 0x00, 0x1d, 0x00, 0x20, 0x99, 0x38, 0x1d, 0xe5, 0x60, 0xe4, 0xbd, 0x43, 0xd2, 0x3d,
    0x8e, 0x43, 0x5a, 0x7d, 0xba, 0xfe, 0xb3, 0xc0, 0x6e, 0x51, 0xc1, 0x3c, 0xae, 0x4d, 0x54, 0x13, 0x69, 0x1e, 0x52,
    0x9a, 0xaf, 0x2c, 0x00, 0x0f, 0x00, 0x01, 0x01, 0x00, 0x1c, 0x00, 0x02, 0x40, 0x01};

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
    require(give(h, hello, sizeof hello, slowly) == 0 && h->stage == WEB_FINISHED);
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
        require(web_certificate_new(chain, sizeof chain - 1, key, sizeof key - 1, &certificate) == 0 &&
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
