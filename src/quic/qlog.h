// A connection's diary in qlog form: JSON text sequences (RFC 7464) of schema version 0.3, the newest that qvis and the
// viewers made from it open.
//
// Formatting only: text goes to a sink in pieces, one record after the other, and what the sink does with it is its own
// affair. Every function takes a null writer and then does nothing. Times are ns on the caller's clock; the trace
// counts from its first event. Not thread-safe.
#ifndef QUIC_QLOG_H
#define QUIC_QLOG_H

#include "base/addr.h"
#include "quic/params.h"
#include "quic/rtt.h"
#include "quic/types.h"

typedef struct quic_qlog quic_qlog;

typedef struct quic_qlog_sink {
    void (*write)(void *user, const char *text, size_t len);  // never fails; `text` is dead afterwards
    void (*close)(void *user);                                // at quic_qlog_free; may be null
    void *user;
} quic_qlog_sink;

// Starts a trace and writes its header. `odcid` is the client's first destination connection id, which names the
// connection in the traces of both sides. Null when out of memory (the sink is not closed then).
quic_qlog *quic_qlog_new(quic_role role, const quic_cid *odcid, const quic_qlog_sink *sink);
void quic_qlog_free(quic_qlog *q);

// A packet as its header names it. `path` counts for 1-RTT packets only: the path in whose space the number is.
typedef struct quic_qlog_packet {
    quic_packet_type type;
    uint32_t path;
    uint64_t pn;  // QUIC_PN_NONE: not known
    size_t len;   // bytes in the datagram
} quic_qlog_packet;

// `payload`: its frames in plain.
void quic_qlog_write_packet(quic_qlog *q, uint64_t now, bool sent, const quic_qlog_packet *packet,
                            const uint8_t *payload, size_t payload_len);

static inline void quic_qlog_packet_sent(quic_qlog *q, uint64_t now, const quic_qlog_packet *packet,
                                         const uint8_t *payload, size_t payload_len) {
    if (q != NULL)
        quic_qlog_write_packet(q, now, true, packet, payload, payload_len);
}

static inline void quic_qlog_packet_received(quic_qlog *q, uint64_t now, const quic_qlog_packet *packet,
                                             const uint8_t *payload, size_t payload_len) {
    if (q != NULL)
        quic_qlog_write_packet(q, now, false, packet, payload, payload_len);
}

// `trigger`: a word of the schema, such as "payload_decrypt_error", "duplicate", "key_unavailable".
void quic_qlog_packet_dropped(quic_qlog *q, uint64_t now, const quic_qlog_packet *packet, const char *trigger);
// `mtu_probe`: its loss says nothing about congestion. `by_time`: it is too old; false: too many later ones arrived.
void quic_qlog_packet_lost(quic_qlog *q, uint64_t now, const quic_qlog_packet *packet, bool mtu_probe, bool by_time);
void quic_qlog_metrics(quic_qlog *q, uint64_t now, uint32_t path, const quic_rtt *rtt, uint64_t window,
                       uint64_t in_flight);

void quic_qlog_started(quic_qlog *q, uint64_t now, const addr *local, const addr *remote);
void quic_qlog_parameters(quic_qlog *q, uint64_t now, bool local, const quic_params *p);
void quic_qlog_handshake_complete(quic_qlog *q, uint64_t now, const char *suite);
void quic_qlog_key_updated(quic_qlog *q, uint64_t now, uint64_t generation, bool by_peer);

// `local`: we closed. `reason` is any bytes.
void quic_qlog_closed(quic_qlog *q, uint64_t now, bool local, bool application, uint64_t code, const char *reason,
                      size_t reason_len);

#endif
