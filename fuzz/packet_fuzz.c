// A datagram from a stranger: every packet in it is parsed, and what belongs to no connection is answered. Then Initial
// packets are opened with the keys that anybody can derive, as a server does with the first packet of a client.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "quic/packet.h"
#include "quic/protect.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(const quic_packet *p, const uint8_t *part, size_t len) {
    return len == 0 || (part >= p->bytes && len <= p->len && (size_t)(part - p->bytes) <= p->len - len);
}

static quic_cid cid_of(const uint8_t *bytes, size_t len) {
    quic_cid cid = {.len = (uint8_t)len};
    require(len <= QUIC_CID_MAX);
    if (len > 0)
        memcpy(cid.bytes, bytes, len);
    return cid;
}

// The answer to an unknown version names the ids the other way round, and version 1.
static void answer_version(const quic_packet *p) {
    uint8_t out[1024];
    quic_packet answer;
    size_t len = quic_packet_write_version_negotiation(out, sizeof out, p, 0);
    require(len > 0);
    // Ids of more than 20 bytes are for other versions; a receiver of version 1 does not read them.
    if (p->dcid_len > QUIC_CID_MAX || p->scid_len > QUIC_CID_MAX)
        return;
    require(quic_packet_parse(out, len, &answer) == 0 && answer.type == QUIC_VERSION_NEGOTIATION);
    require(answer.dcid_len == p->scid_len && (answer.dcid_len == 0 || memcmp(answer.dcid, p->scid, p->scid_len) == 0));
    require(answer.scid_len == p->dcid_len && (answer.scid_len == 0 || memcmp(answer.scid, p->dcid, p->dcid_len) == 0));
    require(quic_packet_lists_version(&answer, QUIC_VERSION_1));
}

// A Retry with the same fields and a right tag is the same packet, and any other tag is wrong.
static void check_retry(const quic_packet *p) {
    quic_cid dcid = cid_of(p->dcid, p->dcid_len), scid = cid_of(p->scid, p->scid_len);
    uint8_t *out = malloc(p->len);
    require(out != NULL);
    bool valid = quic_packet_retry_valid(p, &scid);
    size_t len = quic_packet_write_retry(out, p->len, &dcid, &scid, &scid, p->token, p->token_len, p->bytes[0]);
    require(len == p->len);
    require(memcmp(out, p->bytes, len - AEAD_TAG) == 0);
    require((memcmp(out, p->bytes, len) == 0) == valid);
    quic_packet ours;
    require(quic_packet_parse(out, len, &ours) == 0 && ours.type == QUIC_RETRY &&
            quic_packet_retry_valid(&ours, &scid));
    free(out);
}

// Seals what was opened and wants the packet as it came.
static void seal_again(const quic_keys *k, const quic_packet *p, const uint8_t *before, size_t pn_size, uint64_t pn,
                       int plain_len) {
    if (pn_size + (size_t)plain_len < 4)
        return;
    int n = quic_packet_seal(k, k->hp, p->bytes, p->pn_offset, pn_size, (size_t)plain_len, 0, pn);
    require(n == (int)p->len && memcmp(p->bytes, before, p->len) == 0);
}

static void open_initial(const quic_packet *p) {
    quic_cid dcid = cid_of(p->dcid, p->dcid_len);
    quic_keys client, server;
    uint8_t *before = malloc(p->len);
    uint64_t truncated;
    require(before != NULL && quic_keys_initial(&dcid, &client, &server) == 0);
    memcpy(before, p->bytes, p->len);
    int pn_size = quic_packet_unprotect(client.hp, p->bytes, p->len, p->pn_offset, &truncated);
    if (pn_size > 0) {
        uint64_t pn = quic_pn_decode(truncated, (size_t)pn_size, QUIC_PN_NONE);
        int n = quic_packet_open(&client, p->bytes, p->len, p->pn_offset, (size_t)pn_size, 0, pn);
        require(n == IROH_ERR_CRYPTO || n >= 0);
        if (n >= 0)
            seal_again(&client, p, before, (size_t)pn_size, pn, n);
    }
    free(before);
    quic_keys_dispose(&client);
    quic_keys_dispose(&server);
}

// A number that was cut to the size we choose comes back whole at a peer who has seen `largest`.
static void check_number(const uint8_t *data, size_t size) {
    if (size < 12)
        return;
    uint64_t largest = 0, ahead = 0;
    for (size_t i = 0; i < 8; i++)
        largest = largest << 8 | data[i];
    for (size_t i = 8; i < 12; i++)
        ahead = ahead << 8 | data[i];
    largest &= VARINT_MAX >> 1;
    uint64_t pn = largest + 1 + ahead % (UINT64_C(1) << 30);
    size_t pn_size = quic_pn_size(pn, largest);
    require(pn_size >= 1 && pn_size <= 4);
    require(quic_pn_decode(pn & ((UINT64_C(1) << (8 * pn_size)) - 1), pn_size, largest) == pn);
}

static void check_packet(const quic_packet *p) {
    require(inside(p, p->dcid, p->dcid_len) && inside(p, p->scid, p->scid_len) && inside(p, p->token, p->token_len));
    require(p->pn_offset <= p->len);
    if (p->type == QUIC_RETRY)
        check_retry(p);
    else if (p->type == QUIC_INITIAL)
        open_initial(p);
    else if (p->type == QUIC_VERSION_NEGOTIATION)
        (void)quic_packet_lists_version(p, QUIC_VERSION_1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    require(bytes != NULL);
    if (size > 0)
        memcpy(bytes, data, size);
    check_number(data, size);
    for (size_t at = 0; at < size;) {
        quic_packet p;
        int n = quic_packet_parse(bytes + at, size - at, &p);
        require(n == 0 || n == IROH_ERR_SYNTAX || n == IROH_ERR_UNSUPPORTED);
        if (n == IROH_ERR_UNSUPPORTED)
            answer_version(&p);
        if (n != 0)
            break;
        require(p.len > 0 && p.len <= size - at);
        check_packet(&p);
        at += p.len;
    }
    free(bytes);
    return 0;
}
