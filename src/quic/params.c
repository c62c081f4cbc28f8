// Transport parameters as a table: a row says where a parameter lives in quic_params, how it is written, and its limits.
#include "quic/params.h"

#include <iroh/error.h>

#include "base/addr.h"
#include "base/bytes.h"

#define STREAMS_MAX (UINT64_C(1) << 60)
#define UDP_PAYLOAD_MIN 1200
#define ACK_DELAY_EXPONENT_MAX 20
#define MAX_ACK_DELAY_MAX ((UINT64_C(1) << 14) - 1)  // ms
#define NO_FLAG SIZE_MAX

typedef enum value_kind {
    VALUE_VARINT,  // uint64_t
    VALUE_BYTE,    // uint8_t, one raw byte
    VALUE_FLAG,    // bool, no bytes: there or not
    VALUE_CID,     // quic_cid
    VALUE_TOKEN,   // uint8_t[QUIC_RESET_TOKEN]
    VALUE_PREFERRED,
} value_kind;

typedef struct param_row {
    uint64_t id;
    value_kind kind;
    bool server_only;
    size_t value;    // offset in quic_params
    size_t present;  // offset of the bool that says that it is there; NO_FLAG: left out means `initial`
    uint64_t min, max;
    uint64_t initial;
} param_row;

#define AT(member) offsetof(quic_params, member)

static const param_row rows[] = {
    {0x00, VALUE_CID, true, AT(original_dcid), AT(has_original_dcid)},
    {0x01, VALUE_VARINT, false, AT(max_idle_timeout_ms), NO_FLAG, 0, VARINT_MAX, 0},
    {0x02, VALUE_TOKEN, true, AT(reset_token), AT(has_reset_token)},
    {0x03, VALUE_VARINT, false, AT(max_udp_payload_size), NO_FLAG, UDP_PAYLOAD_MIN, VARINT_MAX, QUIC_MAX_UDP_PAYLOAD},
    {0x04, VALUE_VARINT, false, AT(initial_max_data), NO_FLAG, 0, VARINT_MAX, 0},
    {0x05, VALUE_VARINT, false, AT(initial_max_stream_data_bidi_local), NO_FLAG, 0, VARINT_MAX, 0},
    {0x06, VALUE_VARINT, false, AT(initial_max_stream_data_bidi_remote), NO_FLAG, 0, VARINT_MAX, 0},
    {0x07, VALUE_VARINT, false, AT(initial_max_stream_data_uni), NO_FLAG, 0, VARINT_MAX, 0},
    {0x08, VALUE_VARINT, false, AT(initial_max_streams_bidi), NO_FLAG, 0, STREAMS_MAX, 0},
    {0x09, VALUE_VARINT, false, AT(initial_max_streams_uni), NO_FLAG, 0, STREAMS_MAX, 0},
    {0x0a, VALUE_VARINT, false, AT(ack_delay_exponent), NO_FLAG, 0, ACK_DELAY_EXPONENT_MAX, 3},
    {0x0b, VALUE_VARINT, false, AT(max_ack_delay_ms), NO_FLAG, 0, MAX_ACK_DELAY_MAX, 25},
    {0x0c, VALUE_FLAG, false, AT(disable_active_migration), NO_FLAG},
    {0x0d, VALUE_PREFERRED, true, AT(preferred_cid), AT(has_preferred_address)},
    {0x0e, VALUE_VARINT, false, AT(active_connection_id_limit), NO_FLAG, 2, VARINT_MAX, 2},
    {0x0f, VALUE_CID, false, AT(initial_scid), AT(has_initial_scid)},
    {0x10, VALUE_CID, true, AT(retry_scid), AT(has_retry_scid)},
    {0x20, VALUE_VARINT, false, AT(max_datagram_frame_size), NO_FLAG, 0, VARINT_MAX, 0},
    {0x3e, VALUE_VARINT, false, AT(max_path_id), AT(has_max_path_id), 0, UINT32_MAX},
    {0x2ab2, VALUE_FLAG, false, AT(grease_quic_bit), NO_FLAG},
    {0xff04de1b, VALUE_VARINT, false, AT(min_ack_delay_us), AT(has_min_ack_delay), 0, VARINT_MAX},
    {0x9f81a176, VALUE_VARINT, false, AT(address_discovery), AT(has_address_discovery), 0, 2},
    {UINT64_C(0x3d7f91120401), VALUE_BYTE, false, AT(nat_traversal), AT(has_nat_traversal), 1, UINT8_MAX},
};
#define ROWS (sizeof rows / sizeof rows[0])

static const void *value_of(const quic_params *p, const param_row *row) {
    return (const uint8_t *)p + row->value;
}

static void *value_in(quic_params *p, const param_row *row) {
    return (uint8_t *)p + row->value;
}

static bool is_there(const quic_params *p, const param_row *row) {
    if (row->present != NO_FLAG)
        return *(const bool *)((const uint8_t *)p + row->present);
    if (row->kind == VALUE_FLAG)
        return *(const bool *)value_of(p, row);
    return *(const uint64_t *)value_of(p, row) != row->initial;
}

void quic_params_default(quic_params *p) {
    *p = (quic_params){0};
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].kind == VALUE_VARINT)
            *(uint64_t *)value_in(p, &rows[i]) = rows[i].initial;
    }
}

// --- Writing

static void write_value(writer *w, const quic_params *p, const param_row *row) {
    const void *value = value_of(p, row);
    switch (row->kind) {
    case VALUE_VARINT:
        writer_varint(w, *(const uint64_t *)value);
        break;
    case VALUE_BYTE:
        writer_u8(w, *(const uint8_t *)value);
        break;
    case VALUE_CID:
        writer_bytes(w, ((const quic_cid *)value)->bytes, ((const quic_cid *)value)->len);
        break;
    case VALUE_TOKEN:
        writer_bytes(w, value, QUIC_RESET_TOKEN);
        break;
    case VALUE_FLAG:
    case VALUE_PREFERRED:
        break;
    }
}

static void write_param(writer *w, const quic_params *p, const param_row *row) {
    writer_varint(w, row->id);
    uint8_t *length = writer_room(w, 1);  // no value of ours has 64 bytes
    size_t before = writer_len(w);
    write_value(w, p, row);
    if (length != NULL)
        *length = (uint8_t)(writer_len(w) - before);
}

// Receivers must skip what they do not know: a parameter of a reserved id keeps them in practice (RFC 9000, 18.1).
static void write_reserved(writer *w, const entropy *random) {
    uint8_t noise[15];
    size_t len = (size_t)entropy_below(random, sizeof noise + 1);
    entropy_fill(random, noise, sizeof noise);
    writer_varint(w, 31 * entropy_below(random, (VARINT_MAX - 27) / 31) + 27);
    writer_varint(w, len);
    writer_bytes(w, noise, len);
}

int quic_params_encode(const quic_params *p, quic_role sender, const entropy *random, uint8_t *out, size_t room) {
    const param_row *order[ROWS + 1];
    size_t count = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].kind != VALUE_PREFERRED && (!rows[i].server_only || sender == QUIC_SERVER) && is_there(p, &rows[i]))
            order[count++] = &rows[i];
    }
    if (random != NULL)
        order[count++] = NULL;  // the reserved one
    for (size_t i = count; random != NULL && i > 1; i--) {
        size_t j = (size_t)entropy_below(random, i);
        const param_row *other = order[i - 1];
        order[i - 1] = order[j];
        order[j] = other;
    }
    writer w = writer_of(out, room);
    for (size_t i = 0; i < count; i++) {
        if (order[i] != NULL)
            write_param(&w, p, order[i]);
        else
            write_reserved(&w, random);
    }
    return w.failed ? IROH_ERR_LENGTH : (int)writer_len(&w);
}

// --- Reading

static bool read_preferred(reader *r, quic_params *p) {
    uint8_t ip4[4], ip6[16];
    reader_copy(r, ip4, sizeof ip4);
    uint16_t port4 = reader_u16(r);
    reader_copy(r, ip6, sizeof ip6);
    uint16_t port6 = reader_u16(r);
    p->preferred_cid.len = reader_u8(r);
    if (p->preferred_cid.len == 0 || p->preferred_cid.len > QUIC_CID_MAX)
        return false;
    reader_copy(r, p->preferred_cid.bytes, p->preferred_cid.len);
    reader_copy(r, p->preferred_token, QUIC_RESET_TOKEN);
    addr a4 = addr_ip4(ip4, port4), a6 = addr_ip6(ip6, port6, 0);
    return !addr_is_unspecified(&a4) || !addr_is_unspecified(&a6);
}

static bool read_cid(reader *r, quic_cid *cid) {
    size_t len = reader_left(r);
    if (len > QUIC_CID_MAX)
        return false;
    cid->len = (uint8_t)len;
    reader_copy(r, cid->bytes, len);
    return true;
}

static bool in_range(const param_row *row, uint64_t value) {
    return value >= row->min && value <= row->max;
}

// `r` holds the value and nothing else; it must be read to its end.
static bool read_value(reader *r, quic_params *p, const param_row *row) {
    void *value = value_in(p, row);
    bool ok = true;
    switch (row->kind) {
    case VALUE_VARINT:
        *(uint64_t *)value = reader_varint(r);
        ok = in_range(row, *(uint64_t *)value);
        break;
    case VALUE_BYTE:
        *(uint8_t *)value = reader_u8(r);
        ok = in_range(row, *(uint8_t *)value);
        break;
    case VALUE_FLAG:
        *(bool *)value = true;
        break;
    case VALUE_CID:
        ok = read_cid(r, value);
        break;
    case VALUE_TOKEN:
        reader_copy(r, value, QUIC_RESET_TOKEN);
        break;
    case VALUE_PREFERRED:
        ok = read_preferred(r, p);
        break;
    }
    if (row->present != NO_FLAG)
        *(bool *)((uint8_t *)p + row->present) = true;
    return ok && !r->failed && reader_left(r) == 0;
}

static size_t row_of(uint64_t id) {
    size_t i = 0;
    while (i < ROWS && rows[i].id != id)
        i++;
    return i;
}

int quic_params_decode(quic_params *p, quic_role sender, const uint8_t *bytes, size_t len) {
    reader r = reader_of(bytes, len);
    uint32_t seen = 0;  // a bit for each row
    quic_params_default(p);
    while (reader_left(&r) > 0) {
        size_t i = row_of(reader_varint(&r));
        uint64_t value_len = reader_varint(&r);
        if (r.failed || value_len > reader_left(&r))
            return QUIC_TRANSPORT_PARAMETER_ERROR;
        reader value = reader_of(r.p, (size_t)value_len);
        r.p += value_len;
        if (i == ROWS)
            continue;
        if ((seen >> i & 1) != 0 || (rows[i].server_only && sender == QUIC_CLIENT) || !read_value(&value, p, &rows[i]))
            return QUIC_TRANSPORT_PARAMETER_ERROR;
        seen |= UINT32_C(1) << i;
    }
    if (p->has_min_ack_delay && p->min_ack_delay_us > p->max_ack_delay_ms * 1000)
        return QUIC_TRANSPORT_PARAMETER_ERROR;
    return 0;
}

// --- 0-RTT

void quic_params_remembered(const quic_params *p, quic_params *out) {
    quic_params fresh;
    quic_params_default(&fresh);
    *out = *p;
    out->has_original_dcid = out->has_initial_scid = out->has_retry_scid = out->has_reset_token = false;
    out->has_preferred_address = out->has_min_ack_delay = out->has_max_path_id = false;
    out->original_dcid = out->initial_scid = out->retry_scid = out->preferred_cid = (quic_cid){0};
    memset(out->reset_token, 0, sizeof out->reset_token);
    memset(out->preferred_token, 0, sizeof out->preferred_token);
    out->min_ack_delay_us = fresh.min_ack_delay_us;
    out->max_path_id = fresh.max_path_id;
    out->ack_delay_exponent = fresh.ack_delay_exponent;
    out->max_ack_delay_ms = fresh.max_ack_delay_ms;
}

bool quic_params_keep_promises(const quic_params *fresh, const quic_params *old) {
    bool limits = fresh->active_connection_id_limit >= old->active_connection_id_limit &&
                  fresh->initial_max_data >= old->initial_max_data &&
                  fresh->initial_max_stream_data_bidi_local >= old->initial_max_stream_data_bidi_local &&
                  fresh->initial_max_stream_data_bidi_remote >= old->initial_max_stream_data_bidi_remote &&
                  fresh->initial_max_stream_data_uni >= old->initial_max_stream_data_uni &&
                  fresh->initial_max_streams_bidi >= old->initial_max_streams_bidi &&
                  fresh->initial_max_streams_uni >= old->initial_max_streams_uni &&
                  fresh->max_datagram_frame_size >= old->max_datagram_frame_size;
    bool discovery = fresh->has_address_discovery == old->has_address_discovery &&
                     fresh->address_discovery == old->address_discovery;
    bool traversal = fresh->has_nat_traversal == old->has_nat_traversal && fresh->nat_traversal == old->nat_traversal;
    return limits && discovery && traversal && (fresh->grease_quic_bit || !old->grease_quic_bit);
}
