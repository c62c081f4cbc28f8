// Events of one connection. A record is built with qlog_text and flushed at its end, so that a sink that stops in the
// middle of a run leaves a readable file.
#include "quic/qlog.h"

#include <stdlib.h>

#include "quic/qlog_text.h"

#define RECORD_START "\x1e"
#define RECORD_END "\n"

struct quic_qlog {
    quic_qlog_sink sink;
    quic_role role;
    bool started;
    uint64_t start;  // ns, of the first event
    qlog_text text;
};

static const char *const packet_names[] = {
    [QUIC_INITIAL] = "initial", [QUIC_0RTT] = "0RTT", [QUIC_HANDSHAKE] = "handshake",
    [QUIC_RETRY] = "retry",     [QUIC_1RTT] = "1RTT", [QUIC_VERSION_NEGOTIATION] = "version_negotiation",
};

static qlog_text *begin_record(quic_qlog *q) {
    qlog_text *t = &q->text;
    qlog_text_raw(t, RECORD_START);
    t->follows = false;
    qlog_text_open(t, NULL, '{');
    return t;
}

static void end_record(qlog_text *t) {
    qlog_text_close(t, '}');
    qlog_text_raw(t, RECORD_END);
    qlog_text_flush(t);
}

// Up to the members of the event's data.
static qlog_text *begin_event(quic_qlog *q, uint64_t now, const char *name) {
    if (!q->started)
        q->start = now;
    q->started = true;
    qlog_text *t = begin_record(q);
    qlog_text_ms(t, "time", now - q->start);
    qlog_text_string(t, "name", name);
    qlog_text_open(t, "data", '{');
    return t;
}

static void end_event(qlog_text *t) {
    qlog_text_close(t, '}');
    end_record(t);
}

quic_qlog *quic_qlog_new(quic_role role, const quic_cid *odcid, const quic_qlog_sink *sink) {
    quic_qlog *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->sink = *sink;
    q->role = role;
    q->text.sink = &q->sink;
    qlog_text *t = begin_record(q);
    qlog_text_string(t, "qlog_version", "0.3");
    qlog_text_string(t, "qlog_format", "JSON-SEQ");
    qlog_text_open(t, "trace", '{');
    qlog_text_open(t, "vantage_point", '{');
    qlog_text_string(t, "name", "iroh-c");
    qlog_text_string(t, "type", role == QUIC_CLIENT ? "client" : "server");
    qlog_text_close(t, '}');
    qlog_text_open(t, "common_fields", '{');
    qlog_text_hex(t, "ODCID", odcid->bytes, odcid->len);
    qlog_text_hex(t, "group_id", odcid->bytes, odcid->len);
    qlog_text_string(t, "time_format", "relative");
    qlog_text_u64(t, "reference_time", 0);
    qlog_text_close(t, '}');
    qlog_text_close(t, '}');
    end_record(t);
    return q;
}

void quic_qlog_free(quic_qlog *q) {
    if (q != NULL && q->sink.close != NULL)
        q->sink.close(q->sink.user);
    free(q);
}

// --- Packets

static void write_header(qlog_text *t, const quic_qlog_packet *p) {
    qlog_text_open(t, "header", '{');
    qlog_text_string(t, "packet_type", packet_names[p->type]);
    if (p->pn != QUIC_PN_NONE)
        qlog_text_u64(t, "packet_number", p->pn);
    // Not in the schema, which knows one path only; viewers pass over it.
    if (p->type == QUIC_1RTT)
        qlog_text_u64(t, "path_id", p->path);
    qlog_text_close(t, '}');
    qlog_text_open(t, "raw", '{');
    qlog_text_u64(t, "length", p->len);
    qlog_text_close(t, '}');
}

void quic_qlog_write_packet(quic_qlog *q, uint64_t now, bool sent, const quic_qlog_packet *packet,
                            const uint8_t *payload, size_t payload_len) {
    qlog_text *t = begin_event(q, now, sent ? "transport:packet_sent" : "transport:packet_received");
    write_header(t, packet);
    qlog_text_open(t, "frames", '[');
    reader r = reader_of(payload, payload_len);
    quic_frame f;
    const quic_frame_info *info;
    while (reader_left(&r) > 0 && quic_frame_decode(&r, &f, &info) == 0)
        qlog_text_frame(t, &f, info);
    qlog_text_close(t, ']');
    end_event(t);
}

void quic_qlog_packet_dropped(quic_qlog *q, uint64_t now, const quic_qlog_packet *packet, const char *trigger) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "transport:packet_dropped");
    write_header(t, packet);
    qlog_text_string(t, "trigger", trigger);
    end_event(t);
}

// --- Recovery

void quic_qlog_packet_lost(quic_qlog *q, uint64_t now, const quic_qlog_packet *packet, bool mtu_probe, bool by_time) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "recovery:packet_lost");
    write_header(t, packet);
    if (mtu_probe)
        qlog_text_bool(t, "is_mtu_probe_packet", true);
    qlog_text_string(t, "trigger", by_time ? "time_threshold" : "reordering_threshold");
    end_event(t);
}

void quic_qlog_metrics(quic_qlog *q, uint64_t now, uint32_t path, const quic_rtt *rtt, uint64_t window,
                       uint64_t in_flight) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "recovery:metrics_updated");
    qlog_text_u64(t, "path_id", path);
    if (rtt->sampled) {
        qlog_text_ms(t, "min_rtt", rtt->min);
        qlog_text_ms(t, "latest_rtt", rtt->latest);
    }
    qlog_text_ms(t, "smoothed_rtt", rtt->smoothed);
    qlog_text_ms(t, "rtt_variance", rtt->variation);
    qlog_text_u64(t, "congestion_window", window);
    qlog_text_u64(t, "bytes_in_flight", in_flight);
    end_event(t);
}

// --- Connection

static void write_address(qlog_text *t, const addr *a, const char *ip, const char *port) {
    char text[ADDR_TEXT_MAX];
    addr host = *a;
    host.port = 0;
    size_t len = addr_format(&host, text);
    if (!addr_is_ip(a)) {
        qlog_text_bytes(t, ip, text, len);
        return;
    }
    // The text of an IP ends in ":0", and that of IPv6 stands in brackets.
    size_t skip = a->kind == ADDR_IP6 ? 1 : 0;
    qlog_text_bytes(t, ip, text + skip, len - 2 - 2 * skip);
    qlog_text_u64(t, port, a->port);
}

void quic_qlog_started(quic_qlog *q, uint64_t now, const addr *local, const addr *remote) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "connectivity:connection_started");
    if (addr_is_ip(remote))
        qlog_text_string(t, "ip_version", remote->kind == ADDR_IP4 ? "v4" : "v6");
    write_address(t, local, "src_ip", "src_port");
    write_address(t, remote, "dst_ip", "dst_port");
    end_event(t);
}

void quic_qlog_parameters(quic_qlog *q, uint64_t now, bool local, const quic_params *p) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "transport:parameters_set");
    qlog_text_string(t, "owner", local ? "local" : "remote");
    if (p->has_original_dcid)
        qlog_text_hex(t, "original_destination_connection_id", p->original_dcid.bytes, p->original_dcid.len);
    if (p->has_initial_scid)
        qlog_text_hex(t, "initial_source_connection_id", p->initial_scid.bytes, p->initial_scid.len);
    if (p->has_retry_scid)
        qlog_text_hex(t, "retry_source_connection_id", p->retry_scid.bytes, p->retry_scid.len);
    qlog_text_bool(t, "disable_active_migration", p->disable_active_migration);
    qlog_text_u64(t, "max_idle_timeout", p->max_idle_timeout_ms);
    qlog_text_u64(t, "max_udp_payload_size", p->max_udp_payload_size);
    qlog_text_u64(t, "ack_delay_exponent", p->ack_delay_exponent);
    qlog_text_u64(t, "max_ack_delay", p->max_ack_delay_ms);
    qlog_text_u64(t, "active_connection_id_limit", p->active_connection_id_limit);
    qlog_text_u64(t, "initial_max_data", p->initial_max_data);
    qlog_text_u64(t, "initial_max_stream_data_bidi_local", p->initial_max_stream_data_bidi_local);
    qlog_text_u64(t, "initial_max_stream_data_bidi_remote", p->initial_max_stream_data_bidi_remote);
    qlog_text_u64(t, "initial_max_stream_data_uni", p->initial_max_stream_data_uni);
    qlog_text_u64(t, "initial_max_streams_bidi", p->initial_max_streams_bidi);
    qlog_text_u64(t, "initial_max_streams_uni", p->initial_max_streams_uni);
    qlog_text_u64(t, "max_datagram_frame_size", p->max_datagram_frame_size);
    if (p->has_max_path_id)
        qlog_text_u64(t, "initial_max_path_id", p->max_path_id);
    if (p->has_min_ack_delay)
        qlog_text_u64(t, "min_ack_delay", p->min_ack_delay_us);
    if (p->has_address_discovery)
        qlog_text_u64(t, "address_discovery", p->address_discovery);
    if (p->has_nat_traversal)
        qlog_text_u64(t, "n0_nat_traversal", p->nat_traversal);
    end_event(t);
}

void quic_qlog_handshake_complete(quic_qlog *q, uint64_t now, const char *suite) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "connectivity:connection_state_updated");
    qlog_text_string(t, "new", "handshake_complete");
    end_event(t);
    t = begin_event(q, now, "transport:parameters_set");
    qlog_text_string(t, "owner", "local");
    qlog_text_string(t, "tls_cipher", suite);
    end_event(t);
}

void quic_qlog_key_updated(quic_qlog *q, uint64_t now, uint64_t generation, bool by_peer) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "security:key_updated");
    qlog_text_string(t, "key_type", q->role == QUIC_CLIENT ? "client_1rtt_secret" : "server_1rtt_secret");
    qlog_text_u64(t, "generation", generation);
    qlog_text_string(t, "trigger", by_peer ? "remote_update" : "local_update");
    end_event(t);
}

void quic_qlog_closed(quic_qlog *q, uint64_t now, bool local, bool application, uint64_t code, const char *reason,
                      size_t reason_len) {
    if (q == NULL)
        return;
    qlog_text *t = begin_event(q, now, "connectivity:connection_closed");
    qlog_text_string(t, "owner", local ? "local" : "remote");
    qlog_text_u64(t, application ? "application_code" : "connection_code", code);
    qlog_text_bytes(t, "reason", reason, reason_len);
    end_event(t);
}
