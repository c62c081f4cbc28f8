#include "unit/replay_text_support.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define HEX_MAX 32  // longer byte strings are shown by their hash

typedef struct line {
    char *at;
    size_t left;
} line;

__attribute__((format(printf, 2, 3))) static void add(line *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->at, l->left, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= l->left) {
        (void)fprintf(stderr, "replay: line too long\n");
        exit(1);
    }
    l->at += n;
    l->left -= (size_t)n;
}

static void number(line *l, const char *name, uint64_t value) {
    add(l, " %s=%" PRIu64, name, value);
}

// FNV-1a: enough to tell two captures apart, and a few lines in any language.
static uint64_t hash_of(const uint8_t *bytes, size_t len) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h;
}

static void bytes_value(line *l, const char *name, const uint8_t *bytes, size_t len) {
    add(l, " %s=%zu:", name, len);
    if (len > HEX_MAX) {
        add(l, "#%016" PRIx64, hash_of(bytes, len));
        return;
    }
    for (size_t i = 0; i < len; i++)
        add(l, "%02x", bytes[i]);
}

// --- Packets

static void add_versions(line *l, const quic_packet *h) {
    reader r = reader_of(h->bytes + h->pn_offset, h->len - h->pn_offset);
    add(l, " versions=");
    for (bool first = true; reader_left(&r) > 0; first = false)
        add(l, "%s%08" PRIx32, first ? "" : ",", reader_u32(&r));
}

static void add_control(line *l, const replay_packet *p) {
    const quic_packet *h = &p->header;
    bool retry = h->type == QUIC_RETRY;
    add(l, retry ? " retry" : " version_negotiation");
    if (retry)
        number(l, "conn", p->conn->number);
    bytes_value(l, "dcid", h->dcid, h->dcid_len);
    bytes_value(l, "scid", h->scid, h->scid_len);
    if (retry)
        bytes_value(l, "token", h->token, h->token_len);
    else
        add_versions(l, h);
}

static void add_protected(line *l, const replay_packet *p) {
    static const char *const types[] = {
        [QUIC_INITIAL] = "initial", [QUIC_0RTT] = "0rtt", [QUIC_HANDSHAKE] = "handshake", [QUIC_1RTT] = "1rtt"};
    const quic_packet *h = &p->header;
    uint8_t first = h->bytes[0];
    add(l, " %s conn=%zu %s path=%" PRIu32, types[h->type], p->conn->number, p->dir == REPLAY_C2S ? "c2s" : "s2c",
        p->path);
    bytes_value(l, "dcid", h->dcid, h->dcid_len);
    if (h->type != QUIC_1RTT)
        bytes_value(l, "scid", h->scid, h->scid_len);
    if (h->type == QUIC_INITIAL)
        bytes_value(l, "token", h->token, h->token_len);
    if (p->kind == REPLAY_SEALED) {
        add(l, " sealed");
        return;
    }
    number(l, "pn", p->pn);
    number(l, "pn_size", p->pn_size);
    number(l, "size", h->len);
    number(l, "fixed", first >> 6 & 1);
    if (h->type == QUIC_1RTT) {
        number(l, "spin", first >> 5 & 1);
        number(l, "phase", first >> 2 & 1);
        number(l, "generation", p->generation);
    }
    bytes_value(l, "header", h->bytes, h->pn_offset + p->pn_size);
    bytes_value(l, "plain", p->plain, p->plain_len);
}

void replay_packet_text(const replay_packet *p, size_t datagram, size_t offset, char out[static REPLAY_TEXT_MAX]) {
    line l = {out, REPLAY_TEXT_MAX};
    add(&l, "packet %zu %zu", datagram, offset);
    switch (p->kind) {
    case REPLAY_OPENED:
    case REPLAY_SEALED:
        add_protected(&l, p);
        break;
    case REPLAY_CONTROL:
        add_control(&l, p);
        break;
    case REPLAY_RESET:
        add(&l, " reset conn=%zu", p->conn->number);
        break;
    case REPLAY_UNKNOWN:
        add(&l, " unknown");
        break;
    }
}

// --- Frames

static void add_ack(line *l, const quic_ack_frame *a) {
    quic_ack_iter at = {0};
    uint64_t low, high;
    number(l, "path", a->path);
    number(l, "largest", a->largest);
    number(l, "delay", a->delay);
    add(l, " ranges=");
    for (bool first = true; quic_ack_next(a, &at, &low, &high); first = false)
        add(l, "%s%" PRIu64 "-%" PRIu64, first ? "" : ",", low, high);
    if (a->ecn)
        add(l, " ecn=%" PRIu64 "/%" PRIu64 "/%" PRIu64, a->ect0, a->ect1, a->ce);
}

static void add_new_cid(line *l, const quic_frame *f) {
    number(l, "path", f->new_cid.path);
    number(l, "seq", f->new_cid.seq);
    number(l, "retire", f->new_cid.retire_prior_to);
    bytes_value(l, "cid", f->new_cid.cid.bytes, f->new_cid.cid.len);
    bytes_value(l, "token", f->new_cid.token, sizeof f->new_cid.token);
}

static void add_stream(line *l, const quic_frame *f) {
    number(l, "id", f->stream.id);
    number(l, "offset", f->stream.offset);
    number(l, "fin", f->stream.fin);
    number(l, "has_len", f->stream.has_len);
    bytes_value(l, "data", f->stream.data, f->stream.len);
}

static void add_close(line *l, const quic_frame *f) {
    number(l, "code", f->close.code);
    if (f->type == FRAME_CONNECTION_CLOSE)
        number(l, "frame", f->close.frame_type);
    bytes_value(l, "reason", f->close.reason, f->close.reason_len);
}

static void add_ack_frequency(line *l, const quic_frame *f) {
    number(l, "seq", f->ack_frequency.seq);
    number(l, "threshold", f->ack_frequency.threshold);
    number(l, "max_ack_delay", f->ack_frequency.max_ack_delay_us);
    number(l, "reordering", f->ack_frequency.reordering);
}

static void add_address(line *l, const quic_frame *f) {
    char text[ADDR_TEXT_MAX];
    (void)addr_format(&f->address.address, text);
    number(l, "seq", f->address.seq);
    add(l, " address=%s", text);
}

// Frames of RFC 9000 and RFC 9221 but for acknowledgements. False: another type.
static bool add_core_fields(line *l, const quic_frame *f, const quic_frame_info *info) {
    switch (info->type) {
    case FRAME_PADDING:
        number(l, "len", f->padding.len);
        return true;
    case FRAME_PING:
    case FRAME_HANDSHAKE_DONE:
    case FRAME_IMMEDIATE_ACK:
        return true;
    case FRAME_RESET_STREAM:
        number(l, "id", f->reset_stream.id);
        number(l, "code", f->reset_stream.code);
        number(l, "final", f->reset_stream.final_size);
        return true;
    case FRAME_STOP_SENDING:
        number(l, "id", f->stop_sending.id);
        number(l, "code", f->stop_sending.code);
        return true;
    case FRAME_CRYPTO:
        number(l, "offset", f->crypto.offset);
        bytes_value(l, "data", f->crypto.data, f->crypto.len);
        return true;
    case FRAME_NEW_TOKEN:
        bytes_value(l, "token", f->new_token.token, f->new_token.len);
        return true;
    case FRAME_STREAM:
        add_stream(l, f);
        return true;
    case FRAME_MAX_STREAM_DATA:
    case FRAME_STREAM_DATA_BLOCKED:
        number(l, "id", f->limit.id);
        number(l, "value", f->limit.value);
        return true;
    case FRAME_MAX_DATA:
    case FRAME_MAX_STREAMS_BIDI:
    case FRAME_MAX_STREAMS_UNI:
    case FRAME_DATA_BLOCKED:
    case FRAME_STREAMS_BLOCKED_BIDI:
    case FRAME_STREAMS_BLOCKED_UNI:
        number(l, "value", f->limit.value);
        return true;
    case FRAME_CONNECTION_CLOSE:
    case FRAME_APPLICATION_CLOSE:
        add_close(l, f);
        return true;
    case FRAME_DATAGRAM:
    case FRAME_DATAGRAM_LEN:
        number(l, "has_len", f->datagram.has_len);
        bytes_value(l, "data", f->datagram.data, f->datagram.len);
        return true;
    default:
        return false;
    }
}

static bool add_path_fields(line *l, const quic_frame *f, const quic_frame_info *info) {
    switch (info->type) {
    case FRAME_NEW_CONNECTION_ID:
    case FRAME_PATH_NEW_CONNECTION_ID:
        add_new_cid(l, f);
        return true;
    case FRAME_RETIRE_CONNECTION_ID:
    case FRAME_PATH_RETIRE_CONNECTION_ID:
        number(l, "path", f->retire_cid.path);
        number(l, "seq", f->retire_cid.seq);
        return true;
    case FRAME_PATH_CHALLENGE:
    case FRAME_PATH_RESPONSE:
        bytes_value(l, "data", f->path_data.data, sizeof f->path_data.data);
        return true;
    case FRAME_PATH_ABANDON:
        number(l, "path", f->path_abandon.path);
        number(l, "code", f->path_abandon.code);
        return true;
    case FRAME_PATH_STATUS_BACKUP:
    case FRAME_PATH_STATUS_AVAILABLE:
    case FRAME_PATH_CIDS_BLOCKED:
        number(l, "path", f->path_status.path);
        number(l, "seq", f->path_status.seq);
        return true;
    case FRAME_MAX_PATH_ID:
    case FRAME_PATHS_BLOCKED:
        number(l, "path", f->path_limit.path);
        return true;
    case FRAME_REMOVE_ADDRESS:
        number(l, "seq", f->address.seq);
        return true;
    default:
        return false;
    }
}

void replay_frame_text(const quic_frame *f, const quic_frame_info *info, size_t size,
                       char out[static REPLAY_TEXT_MAX]) {
    line l = {out, REPLAY_TEXT_MAX};
    add(&l, "  0x%" PRIx64 " %s", f->type, info->name);
    if (info->type == FRAME_ACK || info->type == FRAME_ACK_ECN || info->type == FRAME_PATH_ACK ||
        info->type == FRAME_PATH_ACK_ECN)
        add_ack(&l, &f->ack);
    else if (info->type == FRAME_ACK_FREQUENCY)
        add_ack_frequency(&l, f);
    else if (!add_core_fields(&l, f, info) && !add_path_fields(&l, f, info))
        add_address(&l, f);
    number(&l, "size", size);
}

// --- Transport parameters

static void optional_cid(line *l, const char *name, bool there, const quic_cid *cid) {
    if (there)
        bytes_value(l, name, cid->bytes, cid->len);
    else
        add(l, " %s=-", name);
}

static void optional_number(line *l, const char *name, bool there, uint64_t value) {
    if (there)
        number(l, name, value);
    else
        add(l, " %s=-", name);
}

void replay_params_text(const replay_conn *c, replay_dir dir, char out[static REPLAY_TEXT_MAX]) {
    const quic_params *p = &c->params[dir];
    line l = {out, REPLAY_TEXT_MAX};
    add(&l, "  params conn=%zu %s", c->number, dir == REPLAY_C2S ? "c2s" : "s2c");
    optional_cid(&l, "original_destination_connection_id", p->has_original_dcid, &p->original_dcid);
    optional_cid(&l, "initial_source_connection_id", p->has_initial_scid, &p->initial_scid);
    optional_cid(&l, "retry_source_connection_id", p->has_retry_scid, &p->retry_scid);
    if (p->has_reset_token)
        bytes_value(&l, "stateless_reset_token", p->reset_token, sizeof p->reset_token);
    else
        add(&l, " stateless_reset_token=-");
    number(&l, "max_idle_timeout", p->max_idle_timeout_ms);
    number(&l, "max_udp_payload_size", p->max_udp_payload_size);
    number(&l, "initial_max_data", p->initial_max_data);
    number(&l, "initial_max_stream_data_bidi_local", p->initial_max_stream_data_bidi_local);
    number(&l, "initial_max_stream_data_bidi_remote", p->initial_max_stream_data_bidi_remote);
    number(&l, "initial_max_stream_data_uni", p->initial_max_stream_data_uni);
    number(&l, "initial_max_streams_bidi", p->initial_max_streams_bidi);
    number(&l, "initial_max_streams_uni", p->initial_max_streams_uni);
    number(&l, "ack_delay_exponent", p->ack_delay_exponent);
    number(&l, "max_ack_delay", p->max_ack_delay_ms);
    number(&l, "active_connection_id_limit", p->active_connection_id_limit);
    number(&l, "max_datagram_frame_size", p->max_datagram_frame_size);
    optional_number(&l, "initial_max_path_id", p->has_max_path_id, p->max_path_id);
    optional_number(&l, "min_ack_delay", p->has_min_ack_delay, p->min_ack_delay_us);
    optional_number(&l, "address_discovery", p->has_address_discovery, p->address_discovery);
    optional_number(&l, "n0_nat_traversal", p->has_nat_traversal, p->nat_traversal);
    number(&l, "disable_active_migration", p->disable_active_migration);
    number(&l, "grease_quic_bit", p->grease_quic_bit);
}
